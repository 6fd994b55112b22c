{ lib, ... }:
let
  inherit (lib) mkOption types;
  eval = lib.evalModules {
    modules = [
      {
        options = {
          a = mkOption { type = types.str; default = "option"; };
          b = mkOption { type = types.str; default = "option"; };
          c = mkOption { type = types.str; default = "option"; };
          d = mkOption { type = types.attrsOf types.int; default = { x = 1; }; };
          e = mkOption { type = types.listOf types.str; default = [ "default" ]; };
          f.g.h = mkOption { type = types.int; default = 0; };
          lines = mkOption { type = types.lines; default = ""; };
        };
      }
      {
        a = lib.mkDefault "default";
        b = lib.mkDefault "default";
        d.y = 2;
        d.z = lib.mkDefault 3;
        e = [ "m1" ];
        f = lib.mkForce { g.h = 3; };
        lines = lib.mkAfter "last";
      }
      {
        b = "plain";
        c = lib.mkMerge [ (lib.mkForce "forced") (lib.mkVMOverride "vm") "plain" ];
        d.z = 4;
        d.w = lib.mkIf false 5;
        e = lib.mkMerge [ (lib.mkBefore [ "first" ]) [ "m2" ] (lib.mkOrder 700 [ "700" ]) (lib.mkAfter [ "end" ]) ];
        f.g = lib.mkIf true { h = 9; };
        lines = lib.mkMerge [ "one" (lib.mkBefore "zero") ];
      }
    ];
  };
in
{
  inherit (eval) config;
  prios = lib.mapAttrs (_: o: o.highestPrio) { inherit (eval.options) a b c d e; };
  defined = eval.options.e.isDefined;
  defs = eval.options.e.definitions;
  loc = eval.options.f.g.h.loc;
}
