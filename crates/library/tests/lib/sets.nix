{ lib, ... }:
with lib;
let
  try = e: let r = builtins.tryEval (builtins.deepSeq e e); in if r.success then r.value else "error";
  s = { a.b.c = 1; a.d = 2; e = [ 1 ]; };
in
{
  a = [ (attrByPath [ "a" "b" ] 0 s) (attrByPath [ "a" "x" ] 0 s) (hasAttrByPath [ "a" "d" ] s) (hasAttrByPath [ "e" "x" ] s) (setAttrByPath [ "x" "y" ] 3) ];
  b = [ (filterAttrs (n: v: v > 1) { a = 1; b = 2; }) (filterAttrsRecursive (n: v: n != "x") { a.x = 1; a.y = 2; x = 1; }) ];
  c = [ (recursiveUpdate { a.b = 1; a.c = 2; d = 3; } { a.b = 5; d.e = 1; }) (recursiveUpdateUntil (p: l: r: p == [ "foo" ]) { foo.bar = 1; x.y = 1; } { foo.baz = 2; x.z = 2; }) ];
  d = [ (mapAttrs' (n: v: nameValuePair "x${n}" v) { a = 1; }) (mapAttrsToList (n: v: "${n}${toString v}") { a = 1; b = 2; }) (attrsToList { a = 1; }) (concatMapAttrs (n: v: { ${n + v} = v; }) { a = "1"; b = "2"; }) ];
  e = [ (mapAttrsRecursive (p: v: concatStringsSep "-" (p ++ [ (toString v) ])) { a.b = 1; c = 2; }) (collect isList { a = [ 1 ]; b.c = [ 2 ]; }) (foldlAttrs (acc: n: v: acc + v) 0 { a = 1; b = 2; }) ];
  f = [ (genAttrs [ "a" "b" ] (n: n + n)) (zipAttrs [ { a = 1; } { a = 2; b = 3; } ]) (foldAttrs (x: y: [ x ] ++ y) [ ] [ { a = 1; } { a = 2; } ]) (mergeAttrsList [ { a = 1; } { b = 2; } { a = 3; } ]) ];
  g = [ (cartesianProduct { a = [ 1 2 ]; b = [ 3 4 ]; }) (matchAttrs { a.b = 1; } { a.b = 1; a.c = 2; }) (overrideExisting { a = 1; b = 2; } { b = 3; c = 4; }) ];
  h = [ (updateManyAttrsByPath [ { path = [ "a" "b" ]; update = old: old + 1; } { path = [ "x" ]; update = _: 1; } ] { a.b = 1; }) (attrsets.longestValidPathPrefix [ "a" "b" "q" ] s) (showAttrPath [ "a" "b c" ]) ];
  i = [ (mapAttrsToListRecursive (p: v: [ p v ]) { a.b = 1; c = 2; }) (getAttrs [ "a" ] { a = 1; b = 2; }) (attrVals [ "a" ] { a = 1; }) (optionalAttrs false { a = 1; }) (genAttrs' [ "a" ] (x: nameValuePair x 1)) ];
  j = [ (getOutput "dev" { dev = "d"; out = "o"; }) (getBin { out = "o"; }) (getLib { lib = "l"; }) (getMan "x") ];
}
