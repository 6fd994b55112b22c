# The module system: from modules to option values.
#
# What a module may hold, how definitions merge, the order of lists and the
# priorities are those of nixpkgs' `lib.evalModules`.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    all
    any
    attrNames
    concatMap
    concatStringsSep
    filter
    foldl'
    head
    isAttrs
    isBool
    length
    mapAttrs
    seq
    sort
    zipAttrsWith
    ;
  inherit (lib) mkOption types;
  inherit (lib.options)
    definitionLine
    didYouMean
    isOption
    showDefs
    showFiles
    showOption
    ;

  internalModule = {
    _file = "lib/modules.nix";
    key = "lib/modules.nix";
    options._module = {
      args = mkOption {
        type = types.lazyAttrsOf types.raw;
        internal = true;
        description = "Further arguments that every module of this evaluation may ask for by name.";
      };
      check = mkOption {
        type = types.bool;
        internal = true;
        default = true;
        description = "Whether a definition of an option that isn't declared is an error.";
      };
      freeformType = mkOption {
        type = types.nullOr types.optionType;
        internal = true;
        default = null;
        description = "The type that takes all definitions of options that aren't declared.";
      };
      specialArgs = mkOption {
        readOnly = true;
        internal = true;
        description = "Arguments that were given from outside, and can be used in `imports`.";
      };
    };
  };

  collect = import ./module-collect.nix { inherit lib; };
  inherit (collect) collectModules;
in
rec {
  inherit (collect) applyModuleArgsIfFunction setDefaultModuleLocation unifyModuleSyntax;

  evalModules =
    evalArgs@{
      modules,
      prefix ? [ ],
      specialArgs ? { },
      class ? null,
      args ? { },
      check ? true,
    }:
    let
      given =
        modules
        ++ lib.optional (evalArgs ? args) { config._module.args = args; }
        ++ lib.optional (evalArgs ? check) { config._module.check = mkDefault check; };

      own = internalModule // {
        config._module = {
          args = {
            inherit extendModules;
            moduleType = type;
          };
          inherit specialArgs;
        };
      };

      collected = collectModules class (specialArgs.modulesPath or "") (given ++ [ own ]) (
        {
          inherit lib options specialArgs;
          _class = class;
          _prefix = prefix;
          config = addErrorContext "if you get an infinite recursion here, you probably reference `config` in `imports`. If you are trying to achieve a conditional import behavior dependent on `config`, consider importing unconditionally, and using `mkEnableOption` and `mkIf` to control its effect." config;
        }
        // specialArgs
      );

      merged = mergeModules prefix (lib.reverseList collected.modules);
      options = merged.matchedOptions;

      declared =
        let
          go = mapAttrs (_: v: if isAttrs v && !isOption v then go v else v.value);
        in
        go options;
      freeformType = declared._module.freeformType;
      config =
        if freeformType == null then
          declared
        else if merged.unmatchedDefns == [ ] then
          declared
        else
          lib.recursiveUpdate (freeformType.merge prefix (
            map (def: def // { value = lib.setAttrByPath def.prefix def.value; }) merged.unmatchedDefns
          )) declared;

      checkUnmatched =
        if config._module.check && freeformType == null && merged.unmatchedDefns != [ ] then
          throw (unmatchedMessage prefix options (head merged.unmatchedDefns))
        else
          null;
      checked = seq checkUnmatched;

      extendModules =
        {
          modules ? [ ],
          specialArgs ? { },
          prefix ? evalArgs.prefix or [ ],
        }:
        evalModules (
          removeAttrs evalArgs [
            "args"
            "check"
          ]
          // {
            modules = given ++ modules;
            specialArgs = evalArgs.specialArgs or { } // specialArgs;
            inherit prefix;
          }
        );

      type = types.submoduleWith { inherit modules specialArgs class; };
    in
    {
      _type = "configuration";
      options = checked options;
      config = checked (removeAttrs config [ "_module" ]);
      _module = checked config._module;
      inherit (collected) graph;
      inherit extendModules type class;
    };

  unmatchedMessage =
    prefix: options: def:
    let
      name = lib.last def.prefix;
      parent = lib.init def.prefix;
      siblings = lib.remove "_module" (attrNames (lib.attrByPath parent { } options));
      shown = showOption (prefix ++ def.prefix);
      base = "The option `${shown}' does not exist. Definition values:${
        addErrorContext
          "while evaluating the error message for definitions for `${shown}', which is an option that does not exist"
          (showDefs [ def ])
      }${didYouMean (s: "`${showOption (prefix ++ parent ++ [ s ])}'") name siblings}";
    in
    if attrNames options != [ "_module" ] then
      base
    else if prefix == [ ] then
      "${base}\n\nIt seems as if you're trying to declare an option by placing it into `config' rather than `options'!\n"
    else
      "${base}\n\nHowever there are no options defined in `${showOption prefix}'. Are you sure you've\ndeclared your options properly? This can happen if you e.g. declared your options in `types.submodule'\nunder `config' rather than `options'.\n";

  mergeModules =
    prefix: modules:
    mergeModules' prefix modules (
      concatMap (m: pushDown m._file m.config) modules
    );

  mergeModules' =
    prefix: modules: configs:
    let
      declarations = zipAttrsWith (_: decls: decls) (
        map (
          module:
          if !isAttrs module.options then
            throw "An option declaration for `${showOption prefix}' in `${module._file}' has type `${builtins.typeOf module.options}' rather than an attribute set.\nDid you mean to define this outside of `options'?\n"
          else
            mapAttrs (name: options: {
              inherit (module) _file;
              pos = builtins.unsafeGetAttrPos name module.options;
              inherit options;
            }) module.options
        ) modules
      );

      attrConfigs = map (
        c:
        if isAttrs c.config then
          c
        else
          throw "In module `${c.file}'${definitionLine c}, you're trying to define a value of type `${builtins.typeOf c.config}'\nrather than an attribute set for the option\n`${showOption prefix}'!\n\nThis usually happens if `${showOption prefix}' has option\ndefinitions inside that are not matched.\n"
      ) configs;

      definitions = zipAttrsWith (_: defs: defs) (
        map (
          c:
          mapAttrs (name: value: {
            inherit (c) file;
            inherit value;
            pos = builtins.unsafeGetAttrPos name (c.origin or c.config);
          }) c.config
        ) attrConfigs
      );

      results = mapAttrs (
        name: decls:
        let
          loc = prefix ++ [ name ];
          defs = definitions.${name} or [ ];
          isDecl = d: d.options ? _type && (d.options._type == "option" || notAnOption loc d);
          optionDecls = filter isDecl decls;
          option = decls: {
            matchedOptions = evalOptionValue loc (fixupOptionType loc (mergeOptionDecls loc decls)) defs;
            unmatchedDefns = [ ];
          };
        in
        if length optionDecls == length decls then
          option decls
        else if optionDecls == [ ] then
          mergeModules' loc decls (
            concatMap (def: map (c: c // { inherit (def) pos; }) (pushDown def.file def.value)) defs
          )
        else if all (d: d.options.type.name or null == "submodule") optionDecls then
          option (map asSubmodule decls)
        else
          throw "The option `${showOption loc}' in module `${(head optionDecls)._file}' would be a parent of the following options, but its type `${
            (head optionDecls).options.type.description or "<no description>"
          }' does not support nested options.\n${
            concatStringsSep "\n" (
              sort (a: b: a < b) (
                concatMap (
                  d:
                  map (n: " - option(s) with prefix `${showOption (loc ++ [ n ])}' in module `${d._file}'") (attrNames d.options)
                ) (filter (d: !isOption d.options) decls)
              )
            )
          }"
      ) declarations;

      unmatched =
        mapAttrs (_: r: r.unmatchedDefns) results
        // removeAttrs definitions (attrNames results);
    in
    {
      matchedOptions = mapAttrs (_: r: r.matchedOptions) results;
      unmatchedDefns =
        if configs == [ ] then
          [ ]
        else
          concatMap (
            name: map (def: def // { prefix = [ name ] ++ def.prefix or [ ]; }) unmatched.${name}
          ) (attrNames unmatched);
    };

  # A tree of options beside submodule declarations becomes a submodule itself.
  asSubmodule =
    decl:
    if isOption decl.options then
      decl
    else
      decl
      // {
        options = mkOption {
          type = types.submoduleWith {
            modules = [ { inherit (decl) options; } ];
            shorthandOnlyDefinesConfig = null;
          };
        };
      };

  notAnOption =
    loc: decl:
    throw (
      "In module ${decl._file}: expected an option declaration at option path `${showOption loc}` but got an attribute set with type ${decl.options._type}"
      + lib.optionalString (decl.options._type == "option-type") "\n\nWhen declaring an option, you must wrap the type in a `mkOption` call. It should look somewhat like:\n    ${showOption loc} = lib.mkOption {\n      type = <the type>;\n      description = ...;\n    };\n"
    );

  mergeOptionDecls =
    loc: decls:
    foldl'
      (
        res: decl:
        let
          opt = decl.options;
          both = k: opt ? ${k} && res ? ${k};
          mergedType = res.type.typeMerge opt.type.functor;
          twice = throw "The option `${showOption loc}' in `${decl._file}' is already declared in ${showFiles res.declarations}.";
          subModules = opt.type.getSubModules or null;
        in
        if both "default" || both "example" || both "description" || both "apply" then
          twice
        else
          opt
          // res
          // {
            declarations = res.declarations ++ [ decl._file ];
            declarationPositions = res.declarationPositions ++ [
              (
                if decl.pos or null != null then
                  decl.pos
                else
                  {
                    file = decl._file;
                    line = null;
                    column = null;
                  }
              )
            ];
            options =
              if subModules == null then
                res.options
              else
                map (setDefaultModuleLocation decl._file) subModules ++ res.options;
          }
          // lib.optionalAttrs (both "type") { type = if mergedType == null then twice else mergedType; }
      )
      {
        inherit loc;
        declarations = [ ];
        declarationPositions = [ ];
        options = [ ];
      }
      decls;

  fixupOptionType =
    _: opt:
    if opt.type.getSubModules or null == null then
      opt // { type = opt.type or types.unspecified; }
    else
      opt
      // {
        type = opt.type.substSubModules opt.options;
        options = [ ];
      };

  evalOptionValue =
    loc: opt: defs:
    let
      allDefs =
        if opt ? default then
          [
            {
              file = head opt.declarations;
              value = mkOptionDefault opt.default;
            }
          ]
          ++ defs
        else
          defs;
      merging =
        if opt.readOnly or false && length allDefs > 1 then
          throw "The option `${showOption loc}' is read-only, but it's set multiple times. Definition values:${
            showDefs (map (def: def // { value = (mergeDefinitions loc opt.type [ def ]).mergedValue; }) allDefs)
          }"
        else
          mergeDefinitions loc opt.type allDefs;
      value = if opt ? apply then opt.apply merging.mergedValue else merging.mergedValue;
      option = opt // {
        value = addErrorContext "while evaluating the option `${showOption loc}':" value;
        inherit (merging.defsFinal') highestPrio;
        definitions = map (def: def.value) merging.defsFinal;
        files = map (def: def.file) merging.defsFinal;
        definitionsWithLocations = merging.defsFinal;
        inherit (merging) isDefined;
        __toString = _: showOption loc;
      };
    in
    if opt.type.deprecationMessage or null == null then
      option
    else
      lib.warn "The type `types.${opt.type.name}' of option `${showOption loc}' defined in ${showFiles opt.declarations} is deprecated. ${opt.type.deprecationMessage}" option;

  mergeDefinitions =
    loc: type: defs:
    let
      normal = concatMap (
        def:
        map (value: if value._type or null == "definition" then value else def // { inherit value; }) (
          addErrorContext "while evaluating definitions from `${toString def.file}':" (dischargeProperties def.value)
        )
      ) defs;
      filtered = filterOverrides' normal;
    in
    rec {
      # Most options have one plain definition: nothing to discharge or sort.
      defsFinal' =
        if
          length defs == 1
          && addErrorContext "while evaluating definitions from `${toString (head defs).file}':" (
            !((head defs).value ? _type)
          )
        then
          {
            values = defs;
            highestPrio = defaultOverridePriority;
          }
        else if any (def: def.value._type or "" == "order") filtered.values then
          filtered // { values = sortProperties filtered.values; }
        else
          filtered;
      defsFinal = defsFinal'.values;
      isDefined = defsFinal != [ ];
      mergedValue =
        if isDefined then
          if all (def: type.check def.value) defsFinal then
            lib.options.mergeAs type loc defsFinal
          else
            throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${
              showDefs (filter (def: !type.check def.value) defsFinal)
            }"
        else
          type.emptyValue.value
            or (throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option.");
      optionalValue = if isDefined then { value = mergedValue; } else { };
    };

  # The sets below a tree of properties, with the properties moved to their
  # members, so that a condition may depend on the configuration.
  pushDownProperties = cfg: map (c: c.config) (pushDown null cfg);

  # The same, each with the set as it was written, which knows its positions.
  pushDown =
    file: cfg:
    let
      kind = cfg._type or "";
      onMembers = wrap: c: if isAttrs c.config then c // { config = mapAttrs (_: wrap) c.config; } else c;
    in
    if kind == "merge" then
      concatMap (pushDown file) cfg.contents
    else if kind == "if" then
      map (onMembers (mkIf cfg.condition)) (pushDown file cfg.content)
    else if kind == "override" then
      map (onMembers (mkOverride cfg.priority)) (pushDown file cfg.content)
    else
      [
        {
          inherit file;
          config = cfg;
          origin = cfg;
        }
      ];

  dischargeProperties =
    def:
    let
      kind = def._type or "";
    in
    if kind == "merge" then
      concatMap dischargeProperties def.contents
    else if kind == "if" then
      if !isBool def.condition then
        throw "‘mkIf’ called with a non-Boolean condition"
      else if def.condition then
        dischargeProperties def.content
      else
        [ ]
    else
      [ def ];

  filterOverrides = defs: (filterOverrides' defs).values;
  filterOverrides' =
    let
      isOverride = def: def.value._type or "" == "override";
      priority = def: if isOverride def then def.value.priority else defaultOverridePriority;
      strip = def: if isOverride def then def // { value = def.value.content; } else def;
    in
    defs:
    let
      highestPrio = foldl' (prio: def: lib.min (priority def) prio) 9999 defs;
    in
    {
      values = concatMap (def: if priority def == highestPrio then [ (strip def) ] else [ ]) defs;
      inherit highestPrio;
    };

  sortProperties =
    defs:
    let
      strip =
        def:
        if def.value._type or "" == "order" then
          def
          // {
            value = def.value.content;
            inherit (def.value) priority;
          }
        else
          def;
      order = def: def.priority or defaultOrderPriority;
    in
    sort (a: b: order a < order b) (map strip defs);

  mergeAttrDefinitionsWithPrio =
    opt:
    mapAttrs
      (
        name: defs:
        let
          merging = mergeDefinitions (opt.loc ++ [ name ]) opt.type.nestedTypes.elemType defs;
        in
        {
          value = merging.mergedValue;
          inherit (merging.defsFinal') highestPrio;
        }
      )
      (
        zipAttrsWith (_: defs: defs) (
          concatMap (
            def: map (mapAttrs (_: value: def // { inherit value; })) (pushDownProperties def.value)
          ) opt.definitionsWithLocations
        )
      );

  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkAssert =
    assertion: message: content:
    mkIf (if assertion then true else throw "\nFailed assertion: ${message}") content;
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkDefinition = args@{ file, value, ... }: args // { _type = "definition"; };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  defaultOverridePriority = 100;
  mkImageMediaOverride = mkOverride 60;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  mkBefore = mkOrder 500;
  defaultOrderPriority = 1000;
  mkAfter = mkOrder 1500;
  mapDefinitionValue =
    f: def:
    let
      kind = def._type or "";
    in
    if kind == "merge" then
      def // { contents = map (mapDefinitionValue f) def.contents; }
    else if kind == "if" || kind == "override" || kind == "order" then
      def // { content = mapDefinitionValue f def.content; }
    else if kind == "definition" then
      def // { value = mapDefinitionValue f def.value; }
    else
      f def;

  inherit (import ./module-renames.nix { inherit lib; })
    doRename
    mkAliasAndWrapDefinitions
    mkAliasAndWrapDefsWithPriority
    mkAliasDefinitions
    mkAliasOptionModule
    mkAliasOptionModuleMD
    mkChangedOptionModule
    mkDerivedConfig
    mkMergedOptionModule
    mkRemovedOptionModule
    mkRenamedOptionModule
    mkRenamedOptionModuleWith
    ;

  fixMergeModules =
    modules: args:
    evalModules {
      inherit modules args;
      check = false;
    };

  importApply = path: arg: setDefaultModuleLocation path (import path arg);
  importJSON = file: {
    _file = file;
    config = lib.importJSON file;
  };
  importTOML = file: {
    _file = file;
    config = lib.importTOML file;
  };
}
