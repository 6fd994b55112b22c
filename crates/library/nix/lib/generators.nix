# Values written as the text of configuration files.
{ lib }:
let
  inherit (builtins)
    concatLists
    concatMap
    concatStringsSep
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    ;
  inherit (lib) isFunction mapAttrsToList;
  inherit (lib.strings) escape escapeNixIdentifier;
in
rec {
  mkValueStringDefault =
    { }:
    v:
    let
      unsupported = kind: throw "generators.mkValueStringDefault: ${kind} not supported: ${toPretty { } v}";
    in
    if isString v then
      v
    else if isInt v || lib.isDerivation v then
      toString v
    else if isBool v then
      lib.boolToString v
    else if v == null then
      "null"
    else if isFloat v then
      lib.strings.floatToString v
    else if isList v then
      unsupported "lists"
    else if isFunction v then
      unsupported "functions"
    else if isAttrs v then
      unsupported "attrsets"
    else
      unsupported "this value is";

  mkKeyValueDefault =
    {
      mkValueString ? mkValueStringDefault { },
    }:
    sep: key: value:
    "${escape [ sep ] key}${sep}${mkValueString value}";

  toKeyValue =
    {
      mkKeyValue ? mkKeyValueDefault { } "=",
      listsAsDuplicateKeys ? false,
      indent ? "",
    }:
    let
      line = key: value: indent + mkKeyValue key value + "\n";
      lines = key: value: if listsAsDuplicateKeys && isList value then map (line key) value else [ (line key value) ];
    in
    set: concatStringsSep "" (concatLists (mapAttrsToList lines set));

  toINI =
    {
      mkSectionName ? escape [
        "["
        "]"
      ],
      mkKeyValue ? mkKeyValueDefault { } "=",
      listsAsDuplicateKeys ? false,
    }:
    sections:
    concatStringsSep "\n" (
      mapAttrsToList (
        name: values: "[${mkSectionName name}]\n" + toKeyValue { inherit mkKeyValue listsAsDuplicateKeys; } values
      ) sections
    );

  toINIWithGlobalSection =
    {
      mkSectionName ? escape [
        "["
        "]"
      ],
      mkKeyValue ? mkKeyValueDefault { } "=",
      listsAsDuplicateKeys ? false,
    }:
    {
      globalSection,
      sections ? { },
    }:
    lib.optionalString (globalSection != { }) (
      toKeyValue { inherit mkKeyValue listsAsDuplicateKeys; } globalSection + "\n"
    )
    + toINI { inherit mkSectionName mkKeyValue listsAsDuplicateKeys; } sections;

  # Git's own format: keys under a tab, `a.b` as `[a "b"]`, strings quoted.
  toGitINI =
    let
      isSection = v: isAttrs v && !lib.isDerivation v;
      sectionName =
        name:
        let
          parts = lib.splitString "." name;
        in
        if lib.hasInfix "\"" name || builtins.length parts == 1 then
          name
        else
          "${builtins.head parts} \"${concatStringsSep "." (builtins.tail parts)}\"";
      quote = builtins.replaceStrings [ "\n" "\t" "\"" "\\" ] [ "\\n" "\\t" "\\\"" "\\\\" ];
      value = v: if isString v then "\"${quote v}\"" else mkValueStringDefault { } v;
      keyValue = mkKeyValueDefault { mkValueString = value; } " = ";
      lines = key: v: concatStringsSep "\n" (map (x: "\t" + keyValue key x) (lib.toList v));
      # Every leaf below a section of sections, as { "a.b.c".key = value; }.
      leaves =
        path: v:
        if isSection v then
          concatMap (name: leaves (path ++ [ name ]) v.${name}) (builtins.attrNames v)
        else if builtins.length path > 1 then
          [ { ${concatStringsSep "." (lib.init path)}.${lib.last path} = v; } ]
        else
          [ { ${builtins.head path} = v; } ];
      flatten =
        set:
        let
          nested = builtins.filter (name: isAttrs set.${name} && builtins.any isSection (builtins.attrValues set.${name})) (
            builtins.attrNames set
          );
        in
        removeAttrs set nested
        // builtins.foldl' lib.recursiveUpdate { } (leaves [ ] (builtins.intersectAttrs (lib.genAttrs nested (_: null)) set));
    in
    set:
    toINI {
      mkKeyValue = lines;
      mkSectionName = sectionName;
    } (flatten set);

  toJSON = { }: builtins.toJSON;
  # JSON is YAML too.
  toYAML = toJSON;
  toTOML = { }: import ./toml.nix { inherit lib; };

  withRecursion =
    {
      depthLimit,
      throwOnDepthLimit ? true,
    }:
    let
      special = [
        "__functor"
        "__functionArgs"
        "__toString"
        "__pretty"
      ];
      cut =
        depth: v:
        if depth <= depthLimit then
          v
        else if throwOnDepthLimit then
          throw "Exceeded maximum eval-depth limit of ${toString depthLimit} while trying to evaluate with `generators.withRecursion'!"
        else
          "<unevaluated>";
      go =
        depth: v:
        let
          next = x: go (depth + 1) (cut (depth + 1) x);
        in
        if isAttrs v then
          builtins.mapAttrs (name: x: if builtins.elem name special then x else next x) v
        else if isList v then
          map next v
        else
          cut (depth + 1) v;
    in
    assert isInt depthLimit;
    go 0;

  toPretty =
    {
      allowPrettyValues ? false,
      multiline ? true,
      indent ? "",
    }:
    let
      go =
        indent: v:
        let
          open = if multiline then "\n${indent}  " else " ";
          close = if multiline then "\n${indent}" else " ";
          items = concatStringsSep open;
        in
        if isInt v then
          toString v
        else if isFloat v then
          builtins.toJSON v
        else if isString v then
          string open close v
        else if isBool v then
          lib.boolToString v
        else if v == null then
          "null"
        else if isPath v then
          toString v
        else if isList v then
          if v == [ ] then "[ ]" else "[" + open + items (map (go (indent + "  ")) v) + close + "]"
        else if isFunction v then
          function v
        else if allowPrettyValues && v ? __pretty && v ? val then
          v.__pretty v.val
        else if v == { } then
          "{ }"
        else if lib.isDerivation v then
          "<derivation ${v.name or "???"}>"
        else
          "{"
          + open
          + items (
            mapAttrsToList (
              name: x:
              "${escapeNixIdentifier name} = ${
                builtins.addErrorContext "while evaluating an attribute `${name}`" (go (indent + "  ") x)
              };"
            ) v
          )
          + close
          + "}";
      string =
        open: close: v:
        let
          lines = builtins.filter isString (builtins.split "\n" v);
          inQuotes = escape [
            "\\"
            "\""
            "\${"
          ];
          inBlock = builtins.replaceStrings [ "\${" "''" ] [ "''\${" "'''" ];
          blockLines = map inBlock lines;
          end = lib.last blockLines;
        in
        if multiline && builtins.length lines > 1 then
          "''" + open + concatStringsSep open (lib.init blockLines) + (if end == "" then close else open + end) + "''"
        else
          "\"" + concatStringsSep "\\n" (map inQuotes lines) + "\"";
      function =
        v:
        let
          args = lib.functionArgs v;
          shown = concatStringsSep ", " (mapAttrsToList (name: optional: if optional then name + "?" else name) args);
        in
        if args == { } then "<function>" else "<function, args: {${shown}}>";
    in
    go indent;

  mkLuaInline = expr: {
    _type = "lua-inline";
    inherit expr;
  };
  toLua =
    {
      multiline ? true,
      indent ? "",
      asBindings ? false,
    }@args:
    v:
    let
      deeper = "${indent}  ";
      open = if multiline then "\n${deeper}" else " ";
      close = if multiline then "\n${indent}" else " ";
      inner = toLua (
        args
        // {
          indent = deeper;
          asBindings = false;
        }
      );
      table = items: if items == [ ] then "{}" else "{${open}${concatStringsSep ",${open}" items}${close}}";
      isName = name: builtins.match "[A-Za-z_][A-Za-z0-9_]*" name != null;
      binding =
        name: x:
        if isName name then
          "${indent}${name} = ${toLua (args // { asBindings = false; }) x}\n"
        else
          throw "generators.toLua: `${name}` isn't a Lua name";
    in
    if asBindings then
      concatStringsSep "" (mapAttrsToList binding v)
    else if v == null then
      "nil"
    else if isInt v || isFloat v || isString v || isBool v then
      builtins.toJSON v
    else if isPath v || lib.isDerivation v then
      builtins.toJSON "${v}"
    else if isList v then
      table (map inner v)
    else if isAttrs v then
      if lib.isType "lua-inline" v then
        "(${v.expr})"
      else
        table (mapAttrsToList (name: x: "[${builtins.toJSON name}] = ${inner x}") v)
    else
      throw "generators.toLua: type ${builtins.typeOf v} is unsupported";
}
