# From the modules that are given to all that they import, each once.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    attrNames
    catAttrs
    concatLists
    elem
    filter
    genericClosure
    head
    isAttrs
    isList
    isString
    mapAttrs
    substring
    ;
  inherit (lib) imap1 isFunction;
  inherit (lib.options) showDefs unknownModule;
  inherit (lib.strings) escapeNixString isConvertibleWithToString;

  applyModuleArgs =
    key: f: args:
    f (
      args
      // mapAttrs (
        name: _:
        addErrorContext "while evaluating the module argument `${name}' in \"${key}\":" (
          args.${name} or (addErrorContext
            "noting that argument `${name}` is not externally provided, so querying `_module.args` instead, requiring `config`"
            args.config._module.args.${name} or (throw "The module `${key}' asks for the argument `${name}', which isn't given.${
              lib.options.didYouMean (n: "`${n}'") name (attrNames args ++ attrNames args.config._module.args)
            }\n\nGive it in `specialArgs' (`extraSpecialArgs' of homeManagerConfiguration), or set `_module.args.${name}'.")
          )
        )
      ) (lib.functionArgs f)
    );

  load =
    args: file: key: m:
    if isFunction m then
      unifyModuleSyntax file key (applyModuleArgs key m args)
    else if isAttrs m then
      if m._type or "module" == "module" then
        unifyModuleSyntax file key m
      else if m._type == "if" || m._type == "override" || m._type == "merge" then
        unifyModuleSyntax file key { config = m; }
      else
        throw "Expected a module, but found a value of type ${escapeNixString m._type}, while trying to load a module from `${file}'.${
          lib.optionalString (m._type == "configuration")
            " A configuration is the result of evaluating modules: import the modules it was made of instead."
        }"
    else if isList m then
      throw "Module imports can't be nested lists. Perhaps you meant to remove one level of lists? Definitions: ${
        showDefs [
          {
            inherit file;
            value = m;
          }
        ]
      }"
    else
      unifyModuleSyntax (toString m) (toString m) (
        applyModuleArgsIfFunction (toString m) (imported file m) args
      );

  imported =
    file: m:
    if file == unknownModule then
      import m
    else
      addErrorContext "while importing the module `${toString m}' from `${file}'" (import m);

  unifyModuleSyntax =
    file: key: m:
    let
      known = [
        "_class"
        "_file"
        "config"
        "disabledModules"
        "freeformType"
        "imports"
        "key"
        "meta"
        "options"
      ];
      unknown = attrNames (removeAttrs m known);
      common = {
        _file = if m ? _file then toString m._file else file;
        _class = m._class or null;
        key = if m ? key then toString m.key else key;
        disabledModules = m.disabledModules or [ ];
      };
      withMeta = config: if m ? meta then lib.mkMerge [ config { inherit (m) meta; } ] else config;
      withFreeform =
        config:
        if m ? freeformType then lib.mkMerge [ config { _module.freeformType = m.freeformType; } ] else config;
    in
    if !isAttrs m then
      throw "module ${file} (${key}) does not look like a module."
    else if m ? config || m ? options then
      if unknown != [ ] then
        throw "Module `${if lib.hasInfix ":anon-" key then "${common._file}${lib.optionalString (common._file == unknownModule) " (${key})"}" else key}' has an unsupported attribute `${head unknown}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them (namely: ${toString unknown}) into the explicit `config' attribute."
      else
        common
        // {
          imports = m.imports or [ ];
          options = m.options or { };
          config = withFreeform (withMeta (m.config or { }));
        }
    else
      common
      // {
        imports = m.require or [ ] ++ m.imports or [ ];
        options = { };
        config = withFreeform (
          removeAttrs m [
            "_class"
            "_file"
            "disabledModules"
            "freeformType"
            "imports"
            "key"
            "require"
          ]
        );
      };

  applyModuleArgsIfFunction =
    key: f: args:
    if isFunction f then applyModuleArgs key f args else f;

  checkClass =
    class: m:
    if class == null || m._class == null || m._class == class then
      m
    else
      throw "The module `${m._file}` (class: ${escapeNixString m._class}) cannot be imported into a module evaluation that expects class ${escapeNixString class}.";

  disabledKey =
    modulesPath: file: m:
    if isString m then
      if substring 0 1 m == "/" then m else toString modulesPath + "/" + m
    else if isConvertibleWithToString m then
      if m ? key && m.key != toString m then
        throw "Module `${file}` contains a disabledModules item that is an attribute set that can be converted to a string (${toString m}) but also has a `.key` attribute (${m.key}) with a different value. This makes it ambiguous which module should be disabled."
      else
        toString m
    else if m ? key then
      m.key
    else
      throw "Module `${file}` contains a disabledModules item that is a ${builtins.typeOf m} without a `key`, so it can't be told which module is meant. Give a path, a string path relative to modulesPath, or a set with a `key`.";

  structure =
    class: args: parentFile: parentKey: modules:
    imap1 (
      n: x:
      let
        module = checkClass class (load args parentFile "${parentKey}:anon-${toString n}" x);
        below = structure class args module._file module.key module.imports;
      in
      {
        inherit (module) key;
        inherit module;
        modules = below;
        disabled =
          map (d: {
            file = module._file;
            item = d;
          }) module.disabledModules
          ++ concatLists (catAttrs "disabled" below);
      }
    ) modules;
in
{
  inherit unifyModuleSyntax applyModuleArgsIfFunction;

  setDefaultModuleLocation = file: m: {
    _file = file;
    imports = [ m ];
  };

  collectModules =
    class: modulesPath: initial: args:
    let
      top = structure class args unknownModule "" initial;
      disabled = map (d: disabledKey modulesPath d.file d.item) (concatLists (catAttrs "disabled" top));
      enabled = if disabled == [ ] then modules: modules else filter (m: !elem m.key disabled);
      graph = modules: map (m: {
        inherit (m) key;
        disabled = elem m.key disabled;
        file = m.module._file;
        imports = graph m.modules;
      }) modules;
    in
    {
      modules = map (m: m.module) (genericClosure {
        startSet = enabled top;
        operator = m: enabled m.modules;
      });
      graph = graph (filter (m: m.key != "lib/modules.nix") top);
    };
}
