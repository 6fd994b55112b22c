{ lib, ... }:
with lib;
let
  try = e: let r = builtins.tryEval (builtins.deepSeq e e); in if r.success then r.value else "error";
in
{
  a = map escapeShellArg [ "a" "a b" "it's" "" "a/b-c.d:e@f%g+h,i" "$x" ];
  b = escapeShellArgs [ "one" "two three" ];
  c = toShellVars { a = "x y"; b = [ 1 "q r" ]; c = { k = "v w"; }; };
  d = map (splitString ".") [ "a.b.c" "" "a..b" ];
  e = [ (hasPrefix "a" "abc") (hasSuffix "c" "abc") (hasInfix "b" "abc") (hasInfix "z" "abc") ];
  f = [ (removePrefix "a" "abc") (removeSuffix "c" "abc") (removeSuffix "x" "abc") (removePrefix "abc" "abc") ];
  g = map trim [ "  a b \n" "" "  " "x" ];
  h = [ (toUpper "abC") (toLower "ABc") (strings.toSentenceCase "hELLO") (toCamelCase "hello-world foo_bar") ];
  i = map strings.escapeNixIdentifier [ "a" "a-b" "a b" "1a" "if" "a.b" "a'" "$x" ];
  j = [ (versionAtLeast "1.2" "1.10") (versionOlder "1.2" "1.10") (getName "foo-1.2") (getVersion "foo-1.2") (getName { pname = "p"; }) ];
  k = [ (fixedWidthString 5 "0" "12") (fixedWidthNumber 3 7) (try (fixedWidthString 1 "0" "12")) ];
  l = map (s: try (toInt s)) [ "1" " 12 " "-3" "012" "x" "" "0" ];
  m = map (s: try (toIntBase10 s)) [ "012" "0" "7" ];
  n = [ (strings.levenshtein "foo" "fooo") (strings.levenshtein "kitten" "sitting") (strings.levenshtein "" "abc") (strings.levenshteinAtMost 2 "enable" "enabel") ];
  o = [ (concatMapStringsSep ", " toString [ 1 2 ]) (concatImapStringsSep "-" (i: x: "${toString i}${x}") [ "a" "b" ]) (concatLines [ "a" "b" ]) (concatMapAttrsStringSep ";" (n: v: "${n}=${v}") { a = "1"; b = "2"; }) ];
  p = [ (makeBinPath [ "/a" "/b" null ]) (makeSearchPath "x" [ "/a" ]) (makeLibraryPath [ { out = "/o"; lib = "/l"; } ]) ];
  q = [ (escapeRegex "a.b*c") (escapeURL "a b/c") (escapeXML "<a href=\"x\">'&'</a>") (escape [ "(" ")" ] "(foo)") ];
  r = [ (strings.sanitizeDerivationName "../hello bar@x") (strings.sanitizeDerivationName "") (strings.sanitizeDerivationName "ok-1.0") ];
  s = [ (enableFeature true "x") (withFeatureAs true "y" "z") (cmakeBool "A" true) (mesonEnable "b" false) ];
  t = [ (optionalString true "a") (optionalString false "a") (intersperse "," [ 1 2 3 ]) (stringAsChars (c: "${c}${c}") "ab") (strings.replicate 3 "x") ];
  u = [ (isStorePath "/nix/store/x") (isStringLike { outPath = "x"; }) (isValidPosixName "a_1") (isValidPosixName "1a") (strings.isConvertibleWithToString [ 1 ]) ];
  v = [ (strings.floatToString 0.5) (strings.floatToString 1.0) (versions.majorMinor "1.2.3") (versions.pad 3 "1.2") (versions.pad 2 "1.2.3-rc") ];
  w = [ (splitStringBy (prev: curr: curr == ".") false "a.b.c") (splitStringBy (prev: curr: toLower prev == prev && toUpper curr == curr) true "fooBarBaz") ];
  x = [ (nameFromURL "https://x.org/a/foo-1.0.tar.gz" "-") (replaceString "a" "b" "aXa") (strings.commonPrefixLength "abc" "abd") (strings.normalizePath "/a//b///c/") ];
}
