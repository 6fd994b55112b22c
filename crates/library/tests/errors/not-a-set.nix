{ lib, ... }: (lib.evalModules { modules = [ { options.a.b = lib.mkEnableOption "b"; } { _file = "home.nix"; a = true; } ]; }).config.a.b
