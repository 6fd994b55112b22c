{ lib, ... }: (lib.evalModules { modules = [ { _file = "home.nix"; options.a = lib.types.int; } ]; }).config.a
