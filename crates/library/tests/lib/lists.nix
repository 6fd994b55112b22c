{ lib, ... }:
with lib;
let
  try = e: let r = builtins.tryEval (builtins.deepSeq e e); in if r.success then r.value else "error";
in
{
  a = [ (foldr (a: b: a + b) "" [ "a" "b" ]) (foldl (a: b: b + a) "" [ "a" "b" ]) (imap0 (i: v: [ i v ]) [ "a" ]) (imap1 (i: v: i) [ "a" "b" ]) ];
  b = [ (flatten [ 1 [ 2 [ 3 ] ] ]) (remove 1 [ 1 2 1 ]) (findFirst (x: x > 1) null [ 1 2 3 ]) (findSingle (x: x == 3) "none" "multiple" [ 1 3 3 ]) (lists.findFirstIndex (x: x == 2) null [ 1 2 ]) ];
  c = [ (unique [ 1 2 1 ]) (uniqueStrings [ "b" "a" "b" ]) (allUnique [ 1 1 ]) (range 1 4) (replicate 2 "x") (count (x: x == 1) [ 1 1 2 ]) ];
  d = [ (take 2 [ 1 2 3 ]) (drop 1 [ 1 2 3 ]) (takeEnd 2 [ 1 2 3 ]) (dropEnd 1 [ 1 2 3 ]) (sublist 1 5 [ 1 2 3 ]) (last [ 1 2 ]) (init [ 1 2 ]) (try (last [ ])) ];
  e = [ (toposort (a: b: a < b) [ 3 2 1 ]) (toposort hasPrefix [ "/home/user" "other" "/" "/home" ]) (try (toposort (a: b: true) [ 1 2 ])) ];
  f = [ (sort lessThan [ 3 1 2 ]) (sortOn stringLength [ "aaa" "b" "cc" ]) (naturalSort [ "d10" "d2" "d1" ]) (compareLists compare [ 1 2 ] [ 1 3 ]) (reverseList [ 1 2 3 ]) ];
  g = [ (zipLists [ 1 2 ] [ "a" "b" ]) (partition (x: x > 1) [ 1 2 3 ]) (groupBy (x: if x > 1 then "big" else "small") [ 1 2 3 ]) (groupBy' builtins.add 0 (x: toString (x > 1)) [ 1 2 3 ]) ];
  h = [ (intersectLists [ 1 2 ] [ 2 3 ]) (subtractLists [ 1 ] [ 1 2 ]) (mutuallyExclusive [ 1 ] [ 2 ]) (optional true 1) (optionals false [ 1 ]) (toList 1) (lists.hasPrefix [ 1 ] [ 1 2 ]) (lists.commonPrefix [ 1 2 ] [ 1 3 ]) (ifilter0 (i: v: i == 0 || v > 2) [ 1 2 3 ]) ];
  i = [ (pipe 2 [ (x: x + 1) (x: x * 2) ]) (toHexString 255) (fromHexString "ff") (toBaseDigits 2 5) (mod 7 3) (min 1 2) (xor true false) (boolToYesNo true) (bitNot 5) (boolToString false) ];
  j = [ (functionArgs (setFunctionArgs (x: x) { a = true; })) (isFunction { __functor = self: x: x; }) (compare 1 2) ((makeOverridable ({ a, b ? 2 }: { r = a + b; }) { a = 1; }).override { b = 5; }).r ];
  k = ((makeExtensible (self: { a = 1; b = self.a + 1; })).extend (final: prev: { a = prev.a + 10; })).b;
  l = (fix (extends (composeManyExtensions [ (f: p: { x = p.x + 1; y = f.x; }) (f: p: { x = p.x * 3; }) ]) (self: { x = 1; })));
  m = (callPackageWith { a = 1; b = 2; } ({ a, c ? 4, b }: { sum = a + b + c; }) { b = 10; }).sum;
  n = cli.toGNUCommandLineShell { } { v = true; name = "a b"; list = [ 1 2 ]; off = false; none = null; };
}
