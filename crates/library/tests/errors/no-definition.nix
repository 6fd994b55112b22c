{ lib, ... }: (lib.evalModules { modules = [ { options.user.name = lib.mkOption { type = lib.types.str; }; } ]; }).config.user.name
