# Declaring options, merging their definitions, showing them.
{ lib }:
let
  inherit (builtins)
    concatMap
    concatStringsSep
    filter
    foldl'
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isString
    length
    tail
    ;
in
rec {
  isOption = x: isAttrs x && x._type or "" == "option";

  mkOption =
    attrs@{
      default ? null,
      defaultText ? null,
      example ? null,
      description ? null,
      relatedPackages ? null,
      type ? null,
      apply ? null,
      internal ? null,
      visible ? null,
      readOnly ? null,
    }:
    attrs // { _type = "option"; };

  mkEnableOption =
    name:
    mkOption {
      default = false;
      example = true;
      description = "Whether to enable ${name}.";
      type = lib.types.bool;
    };

  mkPackageOption =
    pkgs: name:
    {
      nullable ? false,
      default ? name,
      example ? null,
      extraDescription ? "",
      pkgsText ? "pkgs",
    }:
    let
      title = if isList name then lib.last name else name;
      path = lib.toList default;
      showPath = p: concatStringsSep "." p;
      value = lib.attrByPath path (
        throw "${showPath ([ pkgsText ] ++ path)} cannot be found in ${pkgsText}${
          lib.optionalString (pkgs ? __missingAttributeHint) "\n\n${pkgs.__missingAttributeHint}"
        }"
      ) pkgs;
    in
    mkOption (
      {
        type = if nullable then lib.types.nullOr lib.types.package else lib.types.package;
        description =
          "The ${title} package to use." + lib.optionalString (extraDescription != "") " ${extraDescription}";
      }
      // lib.optionalAttrs (default != null) {
        default = value;
        defaultText = literalExpression (showPath ([ pkgsText ] ++ path));
      }
      // lib.optionalAttrs (nullable && default == null) { default = null; }
      // lib.optionalAttrs (example != null) {
        example = literalExpression (if isList example then showPath ([ pkgsText ] ++ example) else example);
      }
    );
  mkPackageOptionMD = mkPackageOption;

  # An option that swallows any definition.
  mkSinkUndeclaredOptions =
    attrs:
    mkOption (
      {
        internal = true;
        visible = false;
        default = false;
        description = "Takes every definition and gives nothing.";
        type = lib.types.mkOptionType {
          name = "sink";
          check = _: true;
          merge = _: _: false;
        };
        apply = _: throw "Option value is not readable because the option is not declared.";
      }
      // attrs
    );

  # Merging by a type that may be nixpkgs' own: those don't expect a definition's
  # position beside its file and value.
  mergeAs =
    type: loc: defs:
    type.merge loc (if type ? keepsPositions then defs else map (def: removeAttrs def [ "pos" ]) defs);

  mergeDefaultOption =
    loc: defs:
    let
      values = getValues defs;
    in
    if length values == 1 then
      head values
    else if builtins.all isFunction values then
      x: mergeDefaultOption loc (map (def: def // { value = def.value x; }) defs)
    else if builtins.all isList values then
      builtins.concatLists values
    else if builtins.all isAttrs values then
      foldl' (a: b: a // b) { } values
    else if builtins.all isBool values then
      builtins.any lib.id values
    else if builtins.all isString values then
      lib.concatStrings values
    else if builtins.all isInt values && builtins.all (v: v == head values) values then
      head values
    else
      throw "Cannot merge definitions of `${showOption loc}'. Definition values:${showDefs defs}";

  mergeOneOption = mergeUniqueOption { message = ""; };

  mergeUniqueOption =
    {
      message,
      merge ? null,
    }:
    loc: defs:
    if length defs != 1 then
      throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.\n${message}\nDefinition values:${showDefs defs}\n${prioritySuggestion}"
    else if merge == null then
      (head defs).value
    else
      merge loc defs;

  mergeEqualOption =
    loc: defs:
    if length defs == 1 then
      (head defs).value
    else
      (foldl' (
        first: def:
        if def.value == first.value then
          first
        else
          throw "The option `${showOption loc}' has conflicting definition values:${
            showDefs [
              first
              def
            ]
          }\n${prioritySuggestion}"
      ) (head defs) (tail defs)).value;

  prioritySuggestion = "Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.";

  getValues = map (def: def.value);
  getFiles = map (def: def.file);

  literalExpression =
    text:
    if isString text then
      {
        _type = "literalExpression";
        inherit text;
      }
    else
      throw "literalExpression expects a string.";
  literalMD =
    text:
    if isString text then
      {
        _type = "literalMD";
        inherit text;
      }
    else
      throw "literalMD expects a string.";
  literalExample = literalExpression;

  showOption =
    parts:
    let
      showPart =
        part:
        if builtins.match "\\*|<.*>|‹.*›" part != null then part else lib.strings.escapeNixIdentifier part;
    in
    concatStringsSep "." (map showPart parts);

  showFiles = files: lib.concatMapStringsSep " and " (f: "`${toString f}'") files;

  showOptionWithDefLocs =
    opt: "${showOption opt.loc}, with values defined in:\n${lib.concatMapStrings (f: "  - ${f}\n") opt.files}";

  # Every definition with its file, the line where that is known, and its value.
  showDefs =
    defs:
    lib.concatMapStrings (
      def:
      let
        shown = builtins.tryEval (
          lib.generators.toPretty { } (
            lib.generators.withRecursion {
              depthLimit = 10;
              throwOnDepthLimit = false;
            } def.value
          )
        );
        lines = filter isString (builtins.split "\n" shown.value);
        kept = lib.take 5 lines;
        text = concatStringsSep "\n    " (kept ++ lib.optional (length lines > 5) "...");
      in
      "\n- In `${toString def.file}'${definitionLine def}"
      + (
        if !shown.success then
          ""
        else if length lines > 1 then
          ":\n    ${text}"
        else
          ": ${text}"
      )
    ) defs;

  # `:12` where the evaluator knows where the definition's attribute is written.
  definitionLine =
    def:
    if def.pos or null != null && def.pos.file == toString def.file then ":${toString def.pos.line}" else "";

  didYouMean =
    show: name: candidates:
    let
      near = filter (lib.strings.levenshteinAtMost 2 name) candidates;
      best = map show (lib.take 3 (lib.sortOn (lib.strings.levenshtein name) near));
    in
    if best == [ ] then
      ""
    else if length best == 1 then
      "\n\nDid you mean ${head best}?"
    else
      "\n\nDid you mean ${concatStringsSep ", " (lib.init best)} or ${lib.last best}?";

  unknownModule = "<unknown-file>";

  scrubOptionValue =
    x:
    if lib.isDerivation x then
      {
        type = "derivation";
        drvPath = x.name;
        outPath = x.name;
        inherit (x) name;
      }
    else if isList x then
      map scrubOptionValue x
    else if isAttrs x then
      builtins.mapAttrs (_: scrubOptionValue) (removeAttrs x [ "_args" ])
    else
      x;

  renderOptionValue =
    v:
    if isAttrs v && v ? _type && v ? text then
      v
    else
      literalExpression (lib.generators.toPretty { allowPrettyValues = true; } v);

  optionAttrSetToDocList = optionAttrSetToDocList' [ ];
  optionAttrSetToDocList' =
    _: options:
    concatMap (
      opt:
      let
        visible = opt.visible or true;
        doc = {
          loc = opt.loc;
          name = showOption opt.loc;
          description = opt.description or null;
          declarations = filter (d: d != unknownModule) opt.declarations;
          internal = opt.internal or false;
          visible = if isBool visible then visible else visible == "shallow";
          readOnly = opt.readOnly or false;
          type = opt.type.description or "unspecified";
        }
        // lib.optionalAttrs (opt ? example) {
          example = builtins.addErrorContext "while evaluating the example of option `${showOption opt.loc}`" (
            renderOptionValue opt.example
          );
        }
        // lib.optionalAttrs (opt ? defaultText || opt ? default) {
          default =
            builtins.addErrorContext
              "while evaluating the ${if opt ? defaultText then "defaultText" else "default"} of option `${showOption opt.loc}`"
              (renderOptionValue (opt.defaultText or opt.default));
        };
        below = opt.type.getSubOptions opt.loc;
        deeper = if visible == false || visible == "shallow" || below == { } then [ ] else optionAttrSetToDocList below;
      in
      [ doc ] ++ deeper
    ) (lib.collect isOption options);
}
