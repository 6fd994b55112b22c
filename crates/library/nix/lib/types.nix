# Option types: what a value must be, and how several definitions become one.
{ lib }:
let
  inherit (builtins)
    all
    attrNames
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    head
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    length
    mapAttrs
    match
    zipAttrsWith
    ;
  inherit (lib)
    concatMapStringsSep
    isDerivation
    isFunction
    isStringLike
    ;
  inherit (lib.options)
    getFiles
    getValues
    mergeAs
    mergeDefaultOption
    mergeEqualOption
    mergeOneOption
    mergeUniqueOption
    showFiles
    showOption
    ;

  # The phrase of a type within another's, in parentheses where it would read wrongly.
  phrase = classes: t: if elem (t.descriptionClass or null) classes then t.description else "(${t.description})";

  ofElem = name: make: elemType: {
    inherit name;
    type = payload: make payload.elemType;
    payload = { inherit elemType; };
    binOp =
      a: b:
      let
        merged = a.elemType.typeMerge b.elemType.functor;
      in
      if merged == null then null else { elemType = merged; };
  };

  mergeDefinitions = lib.modules.mergeDefinitions;

  noun =
    name: description: check: merge:
    mkOptionType {
      inherit
        name
        description
        check
        merge
        ;
      descriptionClass = "noun";
    };

  isType = type: x: x._type or "" == type;
  setType = type: value: value // { _type = type; };

  defaultFunctor = name: {
    inherit name;
    type = types.${name} or null;
    payload = null;
    binOp = _: _: null;
  };
  defaultTypeMerge =
    f: f':
    if f.name != f'.name then
      null
    else if f.payload == null then
      f.type
    else
      let
        payload = f.binOp f.payload f'.payload;
      in
      if payload == null then null else f.type payload;

  mkOptionType =
    {
      name,
      description ? null,
      descriptionClass ? null,
      check ? _: true,
      merge ? mergeDefaultOption,
      emptyValue ? { },
      getSubOptions ? _: { },
      getSubModules ? null,
      substSubModules ? _: null,
      typeMerge ? defaultTypeMerge functor,
      functor ? defaultFunctor name,
      deprecationMessage ? null,
      nestedTypes ? { },
    }:
    {
      _type = "option-type";
      keepsPositions = true;
      inherit
        name
        descriptionClass
        check
        merge
        emptyValue
        getSubOptions
        getSubModules
        substSubModules
        typeMerge
        functor
        deprecationMessage
        nestedTypes
        ;
      description = if description == null then name else description;
    };

  submodules = import ./types-submodule.nix {
    inherit
      lib
      mkOptionType
      defaultFunctor
      phrase
      ;
  };

  types = rec {
    inherit
      defaultFunctor
      defaultTypeMerge
      isType
      mkOptionType
      setType
      ;
    inherit types;
    isOptionType = isType "option-type";
    optionDescriptionPhrase =
      unparenthesize: t: if unparenthesize (t.descriptionClass or null) then t.description else "(${t.description})";

    raw = noun "raw" "raw value" (_: true) mergeOneOption;
    unspecified = noun "unspecified" "unspecified value" (_: true) mergeDefaultOption;
    anything = noun "anything" "anything" (_: true) (
      loc: defs:
      let
        kind = v: if isAttrs v && isStringLike v then "stringCoercibleSet" else builtins.typeOf v;
        first = kind (head defs).value;
        merge =
          {
            set = (attrsOf anything).merge;
            stringCoercibleSet = mergeOneOption;
            lambda =
              loc: defs: arg:
              anything.merge (loc ++ [ "<function body>" ]) (map (def: def // { value = def.value arg; }) defs);
          }
          .${first} or mergeEqualOption;
      in
      if all (def: kind def.value == first) defs then
        merge loc defs
      else
        throw "The option `${showOption loc}' has conflicting option types in ${showFiles (getFiles defs)}"
    );

    bool = noun "bool" "boolean" isBool mergeEqualOption;
    boolByOr = noun "boolByOr" "boolean (merged using or)" isBool (_: builtins.any (def: def.value));
    int = noun "int" "signed integer" isInt mergeEqualOption;
    float = noun "float" "floating point number" isFloat mergeEqualOption;
    number = either int float;

    ints =
      let
        range = a: b: "${toString a} and ${toString b} (both inclusive)";
        between =
          a: b:
          assert a <= b || throw "ints.between: lowest must be smaller than highest";
          addCheck int (x: x >= a && x <= b)
          // {
            name = "intBetween";
            description = "integer between ${range a b}";
          };
        sized =
          a: b: name: title:
          between a b
          // {
            inherit name;
            description = "${title}; between ${range a b}";
          };
        u = bits: limit: sized 0 (limit - 1) "unsignedInt${toString bits}" "${toString bits} bit unsigned integer";
        s = bits: limit: sized (0 - limit / 2) (limit / 2 - 1) "signedInt${toString bits}" "${toString bits} bit signed integer";
        bound =
          name: description: check:
          addCheck int check
          // {
            inherit name description;
            descriptionClass = "nonRestrictiveClause";
          };
      in
      {
        inherit between;
        unsigned = bound "unsignedInt" "unsigned integer, meaning >=0" (x: x >= 0);
        positive = bound "positiveInt" "positive integer, meaning >0" (x: x > 0);
        u8 = u 8 256;
        u16 = u 16 65536;
        u32 = u 32 4294967296;
        s8 = s 8 256;
        s16 = s 16 65536;
        s32 = s 32 4294967296;
      };
    port = ints.u16;

    numbers =
      let
        json = builtins.toJSON;
        bound =
          name: description: check:
          addCheck number check
          // {
            inherit name description;
            descriptionClass = "nonRestrictiveClause";
          };
      in
      {
        between =
          a: b:
          assert a <= b || throw "numbers.between: lowest must be smaller than highest";
          addCheck number (x: x >= a && x <= b)
          // {
            name = "numberBetween";
            description = "integer or floating point number between ${json a} and ${json b} (both inclusive)";
          };
        nonnegative = bound "numberNonnegative" "nonnegative integer or floating point number, meaning >=0" (x: x >= 0);
        positive = bound "numberPositive" "positive integer or floating point number, meaning >0" (x: x > 0);
      };

    str = noun "str" "string" isString mergeEqualOption;
    string = separatedString "" // {
      name = "string";
      deprecationMessage = "See https://github.com/NixOS/nixpkgs/pull/66346 for better alternative types.";
    };
    nonEmptyStr = noun "nonEmptyStr" "non-empty string" (
      x: isString x && match "[ \t\n]*" x == null
    ) mergeEqualOption;
    singleLineStr = noun "singleLineStr" "(optionally newline-terminated) single-line string" (
      x: isString x && match "[^\n\r]*\n?" x != null
    ) (loc: defs: lib.removeSuffix "\n" (mergeEqualOption loc defs));
    strMatching =
      pattern:
      noun "strMatching ${lib.strings.escapeNixString pattern}" "string matching the pattern ${pattern}" (
        x: isString x && match pattern x != null
      ) mergeEqualOption
      // rec {
        functor = defaultFunctor "strMatching" // {
          type = payload: strMatching payload.pattern;
          payload = { inherit pattern; };
          binOp = a: b: if a == b then a else null;
        };
        typeMerge = defaultTypeMerge functor;
      };
    separatedString =
      sep:
      noun "separatedString" "strings concatenated with ${builtins.toJSON sep}" isString (
        _: defs: concatStringsSep sep (getValues defs)
      )
      // rec {
        functor = defaultFunctor "separatedString" // {
          type = payload: separatedString payload.sep;
          payload = { inherit sep; };
          binOp = a: b: if a.sep == b.sep then { inherit (a) sep; } else null;
        };
        typeMerge = defaultTypeMerge functor;
      };
    lines = separatedString "\n";
    commas = separatedString ",";
    envVar = separatedString ":";
    passwdEntry =
      entry:
      addCheck entry (s: !(lib.hasInfix ":" s || lib.hasInfix "\n" s))
      // {
        name = "passwdEntry ${entry.name}";
        description = "${phrase [ "noun" ] entry}, not containing newlines or colons";
        descriptionClass = "nonRestrictiveClause";
      };

    attrs = mkOptionType {
      name = "attrs";
      description = "attribute set";
      check = isAttrs;
      merge = _: foldl' (all: def: all // def.value) { };
      emptyValue.value = { };
    };

    package = noun "package" "package" (x: isDerivation x || lib.isStorePath x) (
      loc: defs:
      let
        one = mergeOneOption loc defs;
      in
      if isPath one || (isString one && !builtins.hasContext one) then lib.toDerivation one else one
    );
    shellPackage = package // {
      check = x: isDerivation x && x ? shellPath;
    };
    pkgs =
      addCheck (unique { message = "A Nixpkgs pkgs set can not be merged with another pkgs set."; } attrs) (
        x: x._type or null == "pkgs"
      )
      // {
        name = "pkgs";
        descriptionClass = "noun";
        description = "Nixpkgs package set";
      };

    path = pathWith { absolute = true; };
    pathInStore = pathWith { inStore = true; };
    externalPath = pathWith {
      absolute = true;
      inStore = false;
    };
    pathWith =
      {
        inStore ? null,
        absolute ? null,
      }:
      let
        adjective = lib.optionalString (absolute != null) (if absolute then "absolute " else "relative ");
        place = lib.optionalString (inStore != null) (if inStore then " in the Nix store" else " not in the Nix store");
        isInStore = x: match "${lib.escapeRegex builtins.storeDir}/[^.].*" (toString x) != null;
      in
      assert !(inStore == true && absolute == false) || throw "In pathWith, inStore means the path must be absolute";
      noun "path" "${adjective}path${place}" (
        x:
        # A real path would be copied to the store later, so "not in the store" wants a string.
        (if inStore == false then isString x else isStringLike x)
        && (inStore == null || inStore == isInStore x)
        && (absolute == null || absolute == lib.hasPrefix "/" (toString x))
      ) mergeEqualOption
      // rec {
        functor = defaultFunctor "path" // {
          type = pathWith;
          payload = { inherit inStore absolute; };
          binOp = a: b: if a == b then a else null;
        };
        typeMerge = defaultTypeMerge functor;
      };

    listOf =
      elemType:
      mkOptionType {
        name = "listOf";
        description = "list of ${phrase [ "noun" "composite" ] elemType}";
        descriptionClass = "composite";
        check = isList;
        merge =
          loc: defs:
          lib.concatMap (e: lib.optional e.isDefined e.mergedValue) (
            lib.concatLists (
              lib.imap1 (
                n: def:
                lib.imap1 (
                  m: value:
                  mergeDefinitions (loc ++ [ "[definition ${toString n}-entry ${toString m}]" ]) elemType [
                    (def // { inherit value; })
                  ]
                ) def.value
              ) defs
            )
          );
        emptyValue.value = [ ];
        getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "*" ]);
        inherit (elemType) getSubModules;
        substSubModules = m: listOf (elemType.substSubModules m);
        functor = ofElem "listOf" listOf elemType;
        nestedTypes.elemType = elemType;
      };
    nonEmptyListOf =
      elemType:
      let
        list = addCheck (listOf elemType) (l: l != [ ]);
      in
      list
      // {
        description = "non-empty ${phrase [ "noun" ] list}";
        emptyValue = { };
        substSubModules = m: nonEmptyListOf (elemType.substSubModules m);
      };

    attrsOf = elemType: attrsWith { inherit elemType; };
    lazyAttrsOf =
      elemType:
      attrsWith {
        inherit elemType;
        lazy = true;
      };
    attrsWith =
      {
        elemType,
        lazy ? false,
        placeholder ? "name",
      }:
      mkOptionType {
        name = if lazy then "lazyAttrsOf" else "attrsOf";
        description = "${lib.optionalString lazy "lazy "}attribute set of ${phrase [ "noun" "composite" ] elemType}";
        descriptionClass = "composite";
        check = isAttrs;
        merge =
          loc: defs:
          let
            members = zipAttrsWith (name: mergeDefinitions (loc ++ [ name ]) elemType) (
              map (
                def:
                mapAttrs (
                  name: value:
                  def
                  // {
                    inherit value;
                    pos = builtins.unsafeGetAttrPos name def.value;
                  }
                ) def.value
              ) defs
            );
          in
          if lazy then
            mapAttrs (_: m: m.optionalValue.value or elemType.emptyValue.value or m.mergedValue) members
          else
            mapAttrs (_: m: m.mergedValue) (lib.filterAttrs (_: m: m.isDefined) members);
        emptyValue.value = { };
        getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "<${placeholder}>" ]);
        inherit (elemType) getSubModules;
        substSubModules =
          m:
          attrsWith {
            elemType = elemType.substSubModules m;
            inherit lazy placeholder;
          };
        functor = {
          name = "attrsWith";
          type = attrsWith;
          payload = { inherit elemType lazy placeholder; };
          binOp =
            a: b:
            let
              merged = a.elemType.typeMerge b.elemType.functor;
              named =
                if a.placeholder == "name" then
                  b.placeholder
                else if b.placeholder == "name" || a.placeholder == b.placeholder then
                  a.placeholder
                else
                  null;
            in
            if merged == null || a.lazy != b.lazy || named == null then
              null
            else
              {
                elemType = merged;
                inherit (a) lazy;
                placeholder = named;
              };
        };
        nestedTypes.elemType = elemType;
      };

    attrTag =
      tags:
      let
        choices = concatMapStringsSep ", " lib.strings.escapeNixIdentifier (attrNames tags);
        declared = mapAttrs (
          name: opt:
          if opt._type or null != "option" then
            throw "In attrTag, each tag value must be an option, but tag ${lib.strings.escapeNixIdentifier name} was not: wrap the type in mkOption."
          else
            { declarations = [ lib.options.unknownModule ]; } // opt
        ) tags;
        only = v: head (attrNames v);
      in
      noun "attrTag" "attribute-tagged union with choices: ${choices}"
        (v: isAttrs v && length (attrNames v) == 1 && tags ? ${only v})
        (
          loc: defs:
          let
            choice = only (head defs).value;
            other = lib.findFirst (def: only def.value != choice) null defs;
          in
          if other != null then
            throw "The option `${showOption loc}` is defined both as `${choice}` and `${only other.value}`, in ${showFiles (getFiles defs)}."
          else
            {
              ${choice} =
                (lib.modules.evalOptionValue (loc ++ [ choice ]) declared.${choice} (
                  map (def: def // { value = def.value.${choice}; }) defs
                )).value;
            }
        )
      // {
        getSubOptions = prefix: mapAttrs (name: opt: opt // { loc = prefix ++ [ name ]; }) declared;
        nestedTypes = declared;
      };

    luaInline = noun "luaInline" "inline lua" (isType "lua-inline") mergeEqualOption;

    uniq = unique { message = ""; };
    unique =
      { message }:
      type:
      mkOptionType {
        name = "unique";
        inherit (type)
          description
          descriptionClass
          check
          emptyValue
          getSubOptions
          getSubModules
          ;
        merge = mergeUniqueOption {
          inherit message;
          merge = mergeAs type;
        };
        substSubModules = m: unique { inherit message; } (type.substSubModules m);
        functor = ofElem "unique" (unique { inherit message; }) type;
        nestedTypes.elemType = type;
      };

    nullOr =
      elemType:
      mkOptionType {
        name = "nullOr";
        description = "null or ${phrase [ "noun" "conjunction" ] elemType}";
        descriptionClass = "conjunction";
        check = x: x == null || elemType.check x;
        merge =
          loc: defs:
          let
            nulls = filter (def: def.value == null) defs;
          in
          if nulls == [ ] then
            mergeAs elemType loc defs
          else if length nulls == length defs then
            null
          else
            throw "The option `${showOption loc}` is defined both null and not null, in ${showFiles (getFiles defs)}.";
        emptyValue.value = null;
        inherit (elemType) getSubOptions getSubModules;
        substSubModules = m: nullOr (elemType.substSubModules m);
        functor = ofElem "nullOr" nullOr elemType;
        nestedTypes.elemType = elemType;
      };

    functionTo =
      elemType:
      mkOptionType {
        name = "functionTo";
        description = "function that evaluates to a(n) ${phrase [ "noun" "composite" ] elemType}";
        descriptionClass = "composite";
        check = isFunction;
        merge = loc: defs: {
          __functionArgs = zipAttrsWith (_: all (x: x)) (map (def: lib.functionArgs def.value) defs);
          __functor =
            _: args:
            (mergeDefinitions (loc ++ [ "<function body>" ]) elemType (
              map (def: def // { value = def.value args; }) defs
            )).mergedValue;
        };
        getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "<function body>" ]);
        inherit (elemType) getSubModules;
        substSubModules = m: functionTo (elemType.substSubModules m);
        functor = ofElem "functionTo" functionTo elemType;
        nestedTypes.elemType = elemType;
      };

    inherit (submodules)
      deferredModule
      deferredModuleWith
      optionType
      submodule
      submoduleWith
      ;
    optionDeclaration = noun "optionDeclaration" "option declaration" (
      x: isType "option" x && !(x ? value)
    ) mergeDefaultOption;

    enum =
      values:
      let
        show =
          v:
          if isString v then
            "\"${v}\""
          else if isInt v then
            toString v
          else if isBool v then
            lib.boolToString v
          else
            "<${builtins.typeOf v}>";
      in
      mkOptionType {
        name = "enum";
        description =
          if values == [ ] then
            "impossible (empty enum)"
          else if length values == 1 then
            "value ${show (head values)} (singular enum)"
          else
            "one of ${concatMapStringsSep ", " show values}";
        descriptionClass = if length values < 2 then "noun" else "conjunction";
        check = x: elem x values;
        merge = mergeEqualOption;
        functor = defaultFunctor "enum" // {
          type = payload: enum payload.values;
          payload = { inherit values; };
          binOp = a: b: { values = lib.unique (a.values ++ b.values); };
        };
      };

    serializableValueWith =
      {
        typeName,
        nullable ? true,
      }:
      let
        base = oneOf [
          bool
          int
          float
          str
          path
          (attrsOf value)
          (listOf value)
        ];
        value = (if nullable then nullOr base else base) // {
          description = "${typeName} value";
        };
      in
      value;
    json = serializableValueWith { typeName = "JSON"; };
    toml = serializableValueWith {
      typeName = "TOML";
      nullable = false;
    };

    either =
      t1: t2:
      let
        functor = {
          name = "either";
          type = payload: either (head payload.elemType) (elemAt payload.elemType 1);
          payload.elemType = [
            t1
            t2
          ];
          binOp =
            a: b:
            let
              m1 = (head a.elemType).typeMerge (head b.elemType).functor;
              m2 = (elemAt a.elemType 1).typeMerge (elemAt b.elemType 1).functor;
            in
            if m1 == null || m2 == null then
              null
            else
              {
                elemType = [
                  m1
                  m2
                ];
              };
        };
      in
      mkOptionType {
        name = "either";
        description =
          if t1.descriptionClass or null == "nonRestrictiveClause" then
            "${t1.description}, or ${phrase [ "noun" "conjunction" ] t2}"
          else
            "${phrase [ "noun" "conjunction" ] t1} or ${phrase [ "noun" "conjunction" "composite" ] t2}";
        descriptionClass = "conjunction";
        check = x: t1.check x || t2.check x;
        merge =
          loc: defs:
          if all (def: t1.check def.value) defs then
            mergeAs t1 loc defs
          else if all (def: t2.check def.value) defs then
            mergeAs t2 loc defs
          else
            mergeOneOption loc defs;
        inherit functor;
        nestedTypes = {
          left = t1;
          right = t2;
        };
      };
    oneOf =
      ts:
      if ts == [ ] then
        throw "types.oneOf needs to get at least one type in its argument"
      else
        foldl' either (head ts) (builtins.tail ts);

    coercedTo =
      from: coerce: to:
      assert
        from.getSubModules == null
        || throw "coercedTo: coercedType must not have submodules (it’s a ${from.description})";
      mkOptionType {
        name = "coercedTo";
        description = "${phrase [ "noun" ] to} or ${phrase [ "noun" ] from} convertible to it";
        check = x: (from.check x && to.check (coerce x)) || to.check x;
        merge =
          loc: defs:
          mergeAs to loc (map (def: if from.check def.value then def // { value = coerce def.value; } else def) defs);
        inherit (to) emptyValue getSubOptions getSubModules;
        substSubModules = m: coercedTo from coerce (to.substSubModules m);
        typeMerge = _: null;
        nestedTypes = {
          coercedType = from;
          finalType = to;
        };
      };

    # `check` is the only thing asked of a type by merging here, so a type of
    # nixpkgs' own (where `merge` may check too) works the same.
    addCheck = type: check: type // { check = x: type.check x && check x; };

    mergeTypes =
      a: b:
      let
        merged = a.typeMerge b.functor;
      in
      if merged == null then setType "merge-error" { error = "Cannot merge types"; } else merged;
  };
in
types
