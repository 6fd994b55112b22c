{ lib, ... }:
let
  inherit (lib) mkOption types;
  t = types;
  # Whether a value is of a type, and what the merge of two definitions gives.
  ok = type: v: (builtins.tryEval (builtins.deepSeq (merge type [ v ]) true)).success;
  merge =
    type: vs:
    (lib.evalModules {
      modules = [ { options.x = mkOption { inherit type; }; } ] ++ map (v: { x = v; }) vs;
    }).config.x;
  try = e: let r = builtins.tryEval (builtins.deepSeq e e); in if r.success then r.value else "error";
  values = {
    int = 1; neg = -1; big = 70000; str = "a"; empty = ""; two = "a\nb"; nl = "a\n"; bool = true; null = null; float = 1.5;
    list = [ 1 ]; strs = [ "a" ]; none = [ ]; set = { a = 1; }; ofStr = { a = "b"; }; path = "/a/b"; rel = "a/b";
    one = { only = 1; };
  };
  all = {
    inherit (t) bool int float str nonEmptyStr singleLineStr lines commas path attrs anything raw number port package unspecified externalPath boolByOr;
    u8 = t.ints.u8; s8 = t.ints.s8; positive = t.ints.positive; unsigned = t.ints.unsigned; between = t.ints.between (-5) 5;
    nullInt = t.nullOr t.int; either = t.either t.int t.str; oneOf = t.oneOf [ t.int t.bool (t.listOf t.str) ];
    listInt = t.listOf t.int; attrsInt = t.attrsOf t.int; lazyInt = t.lazyAttrsOf t.int; enum = t.enum [ "a" 1 true ];
    matching = t.strMatching "[a-z]+"; coerced = t.coercedTo t.int toString t.str; uniq = t.uniq t.str;
    nonEmpty = t.nonEmptyListOf t.int; tag = t.attrTag { only = mkOption { type = t.int; }; };
    nonneg = t.numbers.nonnegative; json = t.json; sep = t.separatedString "-";
    check = t.addCheck t.int (x: x > 0); pathWith = t.pathWith { absolute = false; };
  };
in
{
  accepts = lib.mapAttrs (_: type: lib.filter (n: ok type values.${n}) (lib.attrNames values)) all;
  descriptions = lib.mapAttrs (_: type: type.description) (all // {
    nested = t.attrsOf (t.listOf (t.nullOr (t.either t.int (t.enum [ "x" "y" ]))));
    fn = t.functionTo t.str;
    unsignedOr = t.either t.ints.unsigned t.str;
    sub = t.attrsOf (t.submodule { });
  });
  merged = {
    lines = try (merge t.lines [ "a" "b" ]);
    list = try (merge (t.listOf t.int) [ [ 1 ] [ 2 ] ]);
    attrs = try (merge (t.attrsOf t.int) [ { a = 1; } { b = 2; } ]);
    conflict = try (merge t.str [ "a" "b" ]);
    equal = try (merge t.str [ "a" "a" ]);
    anything = try (merge t.anything [ { a.b = 1; l = 1; } { a.c = 2; l = 1; } ]);
    anythingList = try (merge t.anything [ [ 1 ] [ 2 ] ]);
    uniq = try (merge (t.uniq t.str) [ "a" "a" ]);
    null = try (merge (t.nullOr t.int) [ null null ]);
    nullMixed = try (merge (t.nullOr t.int) [ null 1 ]);
    bools = try (merge t.boolByOr [ true false ]);
    fn = try ((merge (t.functionTo t.lines) [ (x: "a${x}") (x: "b${x}") ]) "!");
    coerced = try (merge (t.coercedTo t.str lib.singleton (t.listOf t.str)) [ "a" [ "b" ] ]);
    eitherMixed = try (merge (t.either t.str (t.listOf t.str)) [ [ "a" ] [ "b" ] ]);
    lazy = try ((merge (t.lazyAttrsOf (t.nullOr t.int)) [ { a = lib.mkIf false 1; b = 2; } ]));
    deferred = try (
      (lib.evalModules {
        modules = [
          { options.v = mkOption { type = t.int; }; }
          (merge t.deferredModule [ { v = lib.mkDefault 1; } ({ ... }: { v = 2; }) ])
        ];
      }).config.v
    );
    unspecified = try (merge t.unspecified [ [ 1 ] [ 2 ] ]);
    enum = try (
      (lib.evalModules {
        modules = [
          { options.e = mkOption { type = t.enum [ "a" ]; }; }
          { options.e = mkOption { type = t.enum [ "b" ]; }; }
          { e = "b"; }
        ];
      }).config.e
    );
  };
}
