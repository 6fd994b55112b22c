{ lib, ... }: (lib.evalModules { modules = [ { _file = "home.nix"; options = { }; programs.git.enable = true; } ]; }).config
