# Strings.
{ lib }:
let
  inherit (builtins)
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    genList
    head
    isAttrs
    isList
    isPath
    isString
    length
    map
    match
    replaceStrings
    split
    stringLength
    substring
    tail
    ;
  asciiLower = "abcdefghijklmnopqrstuvwxyz";
  asciiUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
in
rec {
  inherit (builtins)
    appendContext
    concatStringsSep
    fromJSON
    isString
    match
    replaceStrings
    split
    stringLength
    substring
    toJSON
    typeOf
    unsafeDiscardStringContext
    ;
  inherit (builtins) compareVersions splitVersion;

  concatStrings = concatStringsSep "";
  concatMapStrings = f: list: concatStrings (map f list);
  concatImapStrings = f: list: concatStrings (lib.imap1 f list);
  concatMapStringsSep =
    sep: f: list:
    concatStringsSep sep (map f list);
  concatImapStringsSep =
    sep: f: list:
    concatStringsSep sep (lib.imap1 f list);
  concatMapAttrsStringSep =
    sep: f: set:
    concatStringsSep sep (lib.mapAttrsToList f set);
  concatLines = concatMapStrings (s: s + "\n");
  join = concatStringsSep;
  intersperse =
    sep: list:
    if length list < 2 then
      list
    else
      tail (
        concatMap (x: [
          sep
          x
        ]) list
      );
  replaceString = from: to: replaceStrings [ from ] [ to ];
  replicate = n: s: concatStrings (genList (_: s) n);
  optionalString = condition: s: if condition then s else "";

  trim = trimWith {
    start = true;
    end = true;
  };
  trimWith =
    {
      start ? false,
      end ? false,
    }:
    s:
    let
      space = " \t\r\n";
      regex =
        if start && end then
          "[${space}]*(.*[^${space}])[${space}]*"
        else if start then
          "[${space}]*(.*)"
        else if end then
          "(.*[^${space}])[${space}]*"
        else
          "(.*)";
      found = match regex s;
    in
    if found == null then "" else head found;

  makeSearchPath =
    subDir: paths: concatStringsSep ":" (map (path: path + "/" + subDir) (filter (x: x != null) paths));
  makeSearchPathOutput =
    output: subDir: pkgs:
    makeSearchPath subDir (map (lib.getOutput output) pkgs);
  makeLibraryPath = makeSearchPathOutput "lib" "lib";
  makeIncludePath = makeSearchPathOutput "dev" "include";
  makeBinPath = makeSearchPathOutput "bin" "bin";
  normalizePath = s: concatStringsSep "/" (filter isString (split "/+" s));

  hasPrefix = prefix: s: substring 0 (stringLength prefix) s == prefix;
  hasSuffix =
    suffix: s:
    let
      n = stringLength s;
      m = stringLength suffix;
    in
    n >= m && substring (n - m) n s == suffix;
  hasInfix = infix: s: replaceStrings [ infix ] [ "" ] "${s}" != "${s}" || infix == "";
  removePrefix =
    prefix: s:
    let
      n = stringLength prefix;
    in
    if substring 0 n s == prefix then substring n (-1) s else s;
  removeSuffix =
    suffix: s: if hasSuffix suffix s then substring 0 (stringLength s - stringLength suffix) s else s;

  stringToCharacters = s: genList (n: substring n 1 s) (stringLength s);
  stringAsChars = f: s: concatStrings (map f (stringToCharacters s));
  lowerChars = stringToCharacters asciiLower;
  upperChars = stringToCharacters asciiUpper;
  toLower = replaceStrings upperChars lowerChars;
  toUpper = replaceStrings lowerChars upperChars;
  toSentenceCase = s: if s == "" then "" else toUpper (substring 0 1 s) + toLower (substring 1 (-1) s);
  toCamelCase =
    s:
    let
      words = filter (w: isString w && w != "") (split "[-_ ]+" s);
      capitalise = w: toUpper (substring 0 1 w) + substring 1 (-1) w;
      joined = concatMapStrings capitalise words;
    in
    toLower (substring 0 1 joined) + substring 1 (-1) joined;

  escape = list: replaceStrings list (map (c: "\\${c}") list);
  escapeRegex = escape (stringToCharacters "\\[{()^$?*+|.");
  escapeC =
    list:
    replaceStrings list (
      map (c: "\\x${toLower (fixedWidthString 2 "0" (lib.toHexString (charToInt c)))}") list
    );
  charToInt =
    let
      table = builtins.listToAttrs (
        genList (n: {
          name = substring n 1 printable;
          value = n + 32;
        }) (stringLength printable)
      );
      printable = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
    in
    c:
    table.${c} or {
      "\t" = 9;
      "\n" = 10;
      "\r" = 13;
    }.${c};
  escapeURL =
    let
      unreserved = stringToCharacters (asciiUpper + asciiLower + "0123456789-_.~");
      printable = stringToCharacters " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}\n\t\r";
      toEscape = filter (c: !elem c unreserved) printable;
    in
    replaceStrings toEscape (map (c: "%${fixedWidthString 2 "0" (lib.toHexString (charToInt c))}") toEscape);
  escapeXML = replaceStrings [ "\"" "'" "<" ">" "&" ] [ "&quot;" "&apos;" "&lt;" "&gt;" "&amp;" ];
  escapeShellArg =
    value:
    let
      s = toString value;
    in
    if match "[[:alnum:],._+:@%/-]+" s == null then "'${replaceStrings [ "'" ] [ "'\\''" ] s}'" else s;
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;
  isValidPosixName = name: match "[a-zA-Z_][a-zA-Z0-9_]*" name != null;
  toShellVar =
    name: value:
    lib.throwIfNot (isValidPosixName name) "toShellVar: ${name} is not a valid shell variable name" (
      if isAttrs value && !isStringLike value then
        "declare -A ${name}=(${
          concatStringsSep " " (lib.mapAttrsToList (n: v: "[${escapeShellArg n}]=${escapeShellArg v}") value)
        })"
      else if isList value then
        "declare -a ${name}=(${escapeShellArgs value})"
      else
        "${name}=${escapeShellArg value}"
    );
  toShellVars = vars: concatStringsSep "\n" (lib.mapAttrsToList toShellVar vars);
  escapeNixString = s: escape [ "$" ] (builtins.toJSON s);
  keywords = [
    "assert"
    "else"
    "if"
    "in"
    "inherit"
    "let"
    "or"
    "rec"
    "then"
    "with"
  ];
  escapeNixIdentifier =
    s: if match "[a-zA-Z_][a-zA-Z0-9_'-]*" s != null && !elem s keywords then s else escapeNixString s;

  splitString = sep: s: addContextFrom s (map (addContextFrom s) (filter isString (split (escapeRegex (toString sep)) (toString s))));
  splitStringBy =
    pred: keepSplit: s:
    let
      step =
        state: char:
        if pred state.previous char then
          {
            done = state.done ++ [ state.current ];
            current = if keepSplit then char else "";
            previous = char;
          }
        else
          {
            inherit (state) done;
            current = state.current + char;
            previous = char;
          };
      end = builtins.foldl' step {
        done = [ ];
        current = "";
        previous = "";
      } (stringToCharacters s);
    in
    end.done ++ [ end.current ];
  addContextFrom = src: target: if isString target then substring 0 0 src + target else target;

  isStorePath =
    x: if isStringLike x then let s = toString x; in substring 0 1 s == "/" && dirOf s == builtins.storeDir else false;
  isStringLike = x: isString x || isPath x || x ? outPath || x ? __toString;
  isConvertibleWithToString =
    x:
    isStringLike x
    || elem (builtins.typeOf x) [
      "null"
      "int"
      "float"
      "bool"
    ]
    || (isList x && builtins.all isConvertibleWithToString x);

  versionOlder = a: b: builtins.compareVersions b a == 1;
  versionAtLeast = a: b: !versionOlder a b;
  getName = x: if isString x then (builtins.parseDrvName x).name else x.pname or (builtins.parseDrvName x.name).name;
  getVersion = x: if isString x then (builtins.parseDrvName x).version else x.version or (builtins.parseDrvName x.name).version;
  nameFromURL =
    url: sep:
    let
      file = lib.last (splitString "/" url);
      name = head (splitString sep file);
    in
    assert name != file;
    name;
  sanitizeDerivationName =
    name:
    let
      clean = replaceStrings [ " " ] [ "-" ] (
        concatMapStrings (s: if isList s then "-" else s) (
          split "[^[:alnum:]+._?=-]+" (head (match "\\.*(.*)" (builtins.unsafeDiscardStringContext name)))
        )
      );
      n = stringLength clean;
      short = if n > 207 then substring (n - 207) n clean else clean;
    in
    if stringLength name <= 207 && match "[[:alnum:]+_?=-][[:alnum:]+._?=-]*" name != null then
      builtins.unsafeDiscardStringContext name
    else if short == "" then
      "unknown"
    else
      short;

  enableFeature = flag: feature: "--${if flag then "enable" else "disable"}-${feature}";
  enableFeatureAs =
    flag: feature: value:
    enableFeature flag feature + optionalString flag "=${value}";
  withFeature = flag: feature: "--${if flag then "with" else "without"}-${feature}";
  withFeatureAs =
    flag: feature: value:
    withFeature flag feature + optionalString flag "=${value}";
  cmakeOptionType = type: name: value: "-D${name}:${lib.toUpper type}=${value}";
  cmakeBool = name: flag: cmakeOptionType "bool" name (if flag then "TRUE" else "FALSE");
  cmakeFeature = cmakeOptionType "string";
  mesonOption = name: value: "-D${name}=${value}";
  mesonBool = name: flag: mesonOption name (lib.boolToString flag);
  mesonEnable = name: flag: mesonOption name (if flag then "enabled" else "disabled");

  fixedWidthString =
    width: filler: s:
    let
      n = stringLength s;
    in
    if n > width then
      throw "fixedWidthString: requested string length (${toString width}) must not be shorter than actual length (${toString n})"
    else
      replicate (width - n) filler + s;
  fixedWidthNumber = width: n: fixedWidthString width "0" (toString n);
  floatToString =
    x:
    let
      short = toString x;
    in
    if builtins.fromJSON short == x then short else builtins.toJSON x;
  toInt =
    s:
    let
      found = match "[[:space:]]*(-?[0-9]+)[[:space:]]*" s;
      digits = head found;
    in
    if found == null then
      throw "toInt: Could not convert ${escapeNixString s} to int."
    else if match "-?0[0-9]+" digits != null then
      throw "toInt: Ambiguity in interpretation of ${escapeNixString s} between octal and zero padded integer."
    else
      builtins.fromJSON digits;
  toIntBase10 =
    s:
    let
      found = match "[[:space:]]*0*(-?[0-9]+)[[:space:]]*" s;
    in
    if found == null then throw "toIntBase10: Could not convert ${escapeNixString s} to int." else builtins.fromJSON (head found);
  fileContents = file: removeSuffix "\n" (builtins.readFile file);
  readPathsFromFile = root: file: map (p: root + "/${p}") (filter (l: l != "" && !hasPrefix "#" l) (splitString "\n" (fileContents file)));

  commonPrefixLength =
    a: b:
    let
      m = lib.min (stringLength a) (stringLength b);
      go = n: if n < m && substring n 1 a == substring n 1 b then go (n + 1) else n;
    in
    go 0;
  # Row by row, so the cost is the product of the two lengths.
  levenshtein =
    a: b:
    let
      bs = stringToCharacters b;
      step =
        row: char:
        (builtins.foldl'
          (state: other: rec {
            index = state.index + 1;
            left = lib.min (lib.min (state.left + 1) (elemAt row index + 1)) (
              elemAt row state.index + (if char == other then 0 else 1)
            );
            cells = state.cells ++ [ left ];
          })
          {
            index = 0;
            left = head row + 1;
            cells = [ (head row + 1) ];
          }
          bs
        ).cells;
    in
    lib.last (builtins.foldl' step (genList (n: n) (length bs + 1)) (stringToCharacters a));
  levenshteinAtMost =
    limit: a: b:
    let
      difference = stringLength a - stringLength b;
    in
    difference <= limit && -difference <= limit && levenshtein a b <= limit;
}
