{ lib, ... }:
let
  inherit (lib) mkOption types;
  eval = lib.evalModules {
    modules = [
      {
        options.users = mkOption {
          default = { };
          type = types.attrsOf (
            types.submodule (
              { name, config, ... }:
              {
                options.name = mkOption { type = types.str; };
                options.home = mkOption { type = types.str; };
                options.shells = mkOption { type = types.listOf types.str; default = [ ]; };
                config.name = lib.mkDefault name;
                config.home = lib.mkDefault "/home/${config.name}";
              }
            )
          );
        };
        options.list = mkOption {
          type = types.listOf (types.submodule { options.x = mkOption { type = types.int; default = 7; }; });
        };
        options.free = mkOption {
          type = types.submodule {
            freeformType = types.attrsOf (types.either types.int types.str);
            options.port = mkOption { type = types.port; default = 80; };
          };
          default = { };
        };
        options.single = mkOption {
          type = types.submodule { options.a = mkOption { type = types.int; default = 1; }; };
          default = { };
        };
        options.maybe = mkOption {
          type = types.nullOr (types.submodule { options.a = mkOption { type = types.int; default = 1; }; });
          default = null;
        };
      }
      {
        # More options for the same submodule.
        options.users = mkOption {
          type = types.attrsOf (types.submodule { options.extra = mkOption { type = types.bool; default = false; }; });
        };
        options.single.b = mkOption { type = types.int; default = 2; };
      }
      {
        users.ann = { shells = [ "zsh" ]; };
        users.bob.name = "robert";
        users.none = lib.mkIf false { };
        list = [ { } { x = 1; } ];
        free.host = "h";
        free.n = 3;
        single.b = 5;
        maybe.a = 4;
      }
      ({ config, ... }: { users.ann.shells = lib.mkBefore [ "sh" ]; users.ann.extra = config.users.bob.name == "robert"; })
    ];
  };
in
{
  inherit (eval) config;
  sub = builtins.attrNames (eval.options.users.type.getSubOptions [ "users" ]);
  description = lib.mapAttrs (_: o: o.type.description) { inherit (eval.options) users list free maybe; };
}
