# Small functions on plain values.
{ lib }:
let
  inherit (builtins) bitAnd bitOr bitXor;
in
rec {
  inherit (builtins)
    add
    bitAnd
    bitOr
    bitXor
    ceil
    deepSeq
    div
    floor
    genericClosure
    isBool
    isFloat
    isInt
    isNull
    lessThan
    mul
    pathExists
    readFile
    seq
    sub
    ;

  id = x: x;
  const = x: _: x;
  flip =
    f: a: b:
    f b a;
  pipe = builtins.foldl' (x: f: f x);
  concat = x: y: x ++ y;
  mergeAttrs = x: y: x // y;
  defaultTo = fallback: x: if x == null then fallback else x;
  mapNullable = f: x: if x == null then null else f x;

  "or" = x: y: x || y;
  and = x: y: x && y;
  xor = x: y: (!x) != (!y);
  bitNot = builtins.sub (-1);
  boolToString = b: if b then "true" else "false";
  boolToYesNo = b: if b then "yes" else "no";

  min = x: y: if x < y then x else y;
  max = x: y: if x > y then x else y;
  mod = base: int: base - (int * (builtins.div base int));

  compare =
    a: b:
    if a < b then
      -1
    else if a > b then
      1
    else
      0;
  splitByAndCompare =
    p: yes: no: a: b:
    if p a then if p b then yes a b else -1 else if p b then 1 else no a b;

  importJSON = path: builtins.fromJSON (builtins.readFile path);
  importTOML = path: builtins.fromTOML (builtins.readFile path);

  warn =
    builtins.warn or (
      message: value: builtins.trace "warning: ${message}" value
    );
  warnIf = condition: message: if condition then warn message else id;
  warnIfNot = condition: message: if condition then id else warn message;
  throwIf = condition: message: if condition then throw message else id;
  throwIfNot = condition: message: if condition then id else throw message;
  info = message: builtins.trace "INFO: ${message}";
  showWarnings = warnings: value: builtins.foldl' (rest: w: warn w rest) value warnings;

  checkListOfEnum =
    message: valid: given:
    let
      unexpected = lib.subtractLists valid given;
    in
    throwIfNot (unexpected == [ ])
      "${message}: ${builtins.concatStringsSep ", " (map builtins.toString unexpected)} unexpected; valid ones: ${builtins.concatStringsSep ", " (map builtins.toString valid)}";

  inNixShell = builtins.getEnv "IN_NIX_SHELL" != "";
  inPureEvalMode = !builtins ? currentSystem;

  # Hashes that no file has, for finding out the right one.
  fakeHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  fakeSha256 = builtins.concatStringsSep "" (builtins.genList (_: "0") 64);
  fakeSha512 = builtins.concatStringsSep "" (builtins.genList (_: "0") 128);

  # The nixpkgs release whose `lib` this one follows.
  release = "26.11";
  versionSuffix = "-nival";
  version = release + versionSuffix;
  trivialRelease = release;
  nixpkgsVersion = version;
  oldestSupportedRelease = 2605;
  isInOldestRelease = oldestSupportedReleaseIsAtLeast;
  oldestSupportedReleaseIsAtLeast = release: release <= oldestSupportedRelease;

  isFunction = f: builtins.isFunction f || (f ? __functor && isFunction (f.__functor f));
  functionArgs =
    f:
    if f ? __functor then
      f.__functionArgs or (functionArgs (f.__functor f))
    else
      builtins.functionArgs f;
  setFunctionArgs = f: args: {
    __functor = _: f;
    __functionArgs = args;
  };
  mirrorFunctionArgs =
    f:
    let
      args = functionArgs f;
    in
    g: setFunctionArgs g args;
  toFunction = v: if isFunction v then v else _: v;

  toBaseDigits =
    base: n:
    let
      go = n: if n < base then [ n ] else go (n / base) ++ [ (mod n base) ];
    in
    assert base >= 2 && n >= 0;
    go n;
  toHexString =
    n: builtins.concatStringsSep "" (map (builtins.elemAt (lib.stringToCharacters "0123456789ABCDEF")) (toBaseDigits 16 n));
  fromHexString =
    text:
    if builtins.match "(0x)?[0-9a-fA-F]{1,16}" text == null then
      throw "lib.fromHexString: \"${text}\" isn't a hexadecimal number"
    else
      (builtins.fromTOML "v=0x${lib.removePrefix "0x" text}").v;
}
