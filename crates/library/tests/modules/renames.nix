{ lib, ... }:
let
  inherit (lib) mkOption types;
  eval = lib.evalModules {
    modules = [
      {
        options.warnings = mkOption { type = types.listOf types.str; default = [ ]; };
        options.assertions = mkOption { type = types.listOf types.raw; default = [ ]; };
        options.new.name = mkOption { type = types.int; default = 0; };
        options.new.other = mkOption { type = types.listOf types.str; default = [ ]; };
        options.new.merged = mkOption { type = types.str; default = "none"; };
      }
      (lib.mkRenamedOptionModule [ "old" "name" ] [ "new" "name" ])
      (lib.mkAliasOptionModule [ "alias" ] [ "new" "other" ])
      (lib.mkRemovedOptionModule [ "gone" ] "Use nothing.")
      (lib.mkChangedOptionModule [ "level" ] [ "new" "merged" ] (c: if c.level > 5 then "high" else "low"))
      { _file = "user.nix"; old.name = lib.mkDefault 4; alias = [ "x" ]; gone = true; level = 9; }
      { new.other = [ "y" ]; }
    ];
  };
in
{
  inherit (eval.config) warnings new alias;
  assertions = map (a: { inherit (a) assertion message; }) eval.config.assertions;
}
