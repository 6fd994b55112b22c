{ lib, ... }:
let
  inherit (lib) mkOption types;
  eval = lib.evalModules {
    modules = [
      {
        _file = "decl.nix";
        options.applied = mkOption { type = types.int; apply = x: x * 2; };
        options.ro = mkOption { type = types.int; readOnly = true; };
        options.hidden = mkOption { type = types.int; default = 1; internal = true; visible = false; description = "d"; };
        options.doc = mkOption { type = types.str; default = "x"; example = "y"; description = "Some doc."; };
        options.pkg.enable = lib.mkEnableOption "the thing";
        options.untyped = mkOption { default = [ 1 ]; };
        options.expr = mkOption { type = types.str; default = "z"; defaultText = lib.literalExpression "config.a"; };
        options.nested = mkOption { type = types.attrsOf (types.submodule { options.n = mkOption { type = types.int; description = "N."; }; }); default = { }; description = "Nested."; };
      }
      { _file = "use.nix"; applied = 4; ro = 5; untyped = [ 2 ]; }
    ];
  };
  wider = eval.extendModules { modules = [ { applied = lib.mkForce 10; } ]; };
  free = lib.evalModules {
    modules = [
      { freeformType = types.attrsOf types.int; options.b.c = mkOption { type = types.int; default = 3; }; }
      { a = 1; b.c = 2; }
      { z = lib.mkIf false 2; y = lib.mkDefault 3; }
    ];
  };
  unchecked = lib.evalModules { modules = [ { _module.check = false; nothing.here = 1; } ]; };
in
{
  inherit (eval) config;
  wider = wider.config.applied;
  files = eval.options.applied.files;
  withLocations = map (d: { inherit (d) file value; }) eval.options.untyped.definitionsWithLocations;
  declarations = eval.options.ro.declarations;
  docs = map (o: removeAttrs o [ "declarations" ]) (lib.filter (o: !lib.elem "_module" o.loc) (lib.optionAttrSetToDocList eval.options));
  free = free.config;
  unchecked = unchecked.config;
  text = toString eval.options.nested;
  type = types.isOptionType eval.options.ro.type;
  mk = lib.mkIf true (lib.mkDefault 1);
}
