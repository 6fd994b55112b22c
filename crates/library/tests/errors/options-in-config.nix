{ lib, ... }: (lib.evalModules { modules = [ { _file = "home.nix"; a = lib.mkOption { }; } ]; }).config
