# Types whose values are modules.
{
  lib,
  mkOptionType,
  defaultFunctor,
  phrase,
}:
let
  inherit (builtins) head isAttrs length;
  inherit (lib) isFunction;
  isModule = x: isAttrs x || isFunction x || lib.types.path.check x;

  quiet = {
    config._module.check = lib.mkForce false;
    _file = "<options for documentation>";
  };

  agree =
    what: a: b:
    if a == null || a == b then
      b
    else if b == null then
      a
    else
      throw "A submoduleWith option is declared multiple times with conflicting ${what} values";
in
rec {
  submodule =
    modules:
    submoduleWith {
      shorthandOnlyDefinesConfig = true;
      modules = lib.toList modules;
    };

  submoduleWith =
    attrs@{
      modules,
      specialArgs ? { },
      shorthandOnlyDefinesConfig ? false,
      description ? null,
      class ? null,
    }:
    let
      base = lib.modules.evalModules {
        inherit class specialArgs;
        modules = [ { _module.args.name = lib.mkOptionDefault "‹name›"; } ] ++ modules;
      };
      docs = base.extendModules { modules = [ quiet ]; };
    in
    mkOptionType {
      name = "submodule";
      description =
        if description != null then
          description
        else if docs._module.freeformType ? description then
          "open submodule of ${phrase [ "noun" "composite" ] docs._module.freeformType}"
        else
          "submodule";
      check = isModule;
      merge =
        loc: defs:
        (base.extendModules {
          prefix = loc;
          modules = [
            { _module.args.name = lib.last loc; }
          ]
          ++ map (
            { value, file, ... }:
            if isAttrs value && shorthandOnlyDefinesConfig == true then
              {
                _file = file;
                config = value;
              }
            else
              {
                _file = file;
                imports = [ value ];
              }
          ) defs;
        }).config;
      emptyValue.value = base.config;
      getSubOptions =
        prefix:
        let
          eval = base.extendModules {
            inherit prefix;
            modules = [ quiet ];
          };
          inherit (eval._module) freeformType;
        in
        eval.options
        // lib.optionalAttrs (freeformType != null) { _freeformOptions = freeformType.getSubOptions prefix; };
      getSubModules = modules;
      substSubModules = m: submoduleWith (attrs // { modules = m; });
      nestedTypes = lib.optionalAttrs (base._module.freeformType != null) { inherit (base._module) freeformType; };
      functor = defaultFunctor "submodule" // {
        type = submoduleWith;
        payload = {
          inherit
            modules
            class
            specialArgs
            shorthandOnlyDefinesConfig
            description
            ;
        };
        binOp = a: b: {
          modules = a.modules ++ b.modules;
          class = agree "class" a.class b.class;
          shorthandOnlyDefinesConfig = agree "shorthandOnlyDefinesConfig" a.shorthandOnlyDefinesConfig b.shorthandOnlyDefinesConfig;
          description = agree "description" a.description b.description;
          specialArgs =
            let
              both = builtins.attrNames (builtins.intersectAttrs a.specialArgs b.specialArgs);
            in
            if both == [ ] then
              a.specialArgs // b.specialArgs
            else
              throw "A submoduleWith option is declared multiple times with the same specialArgs \"${toString both}\"";
        };
      };
    };

  deferredModule = deferredModuleWith { };
  deferredModuleWith =
    attrs@{
      staticModules ? [ ],
    }:
    mkOptionType {
      name = "deferredModule";
      description = "module";
      descriptionClass = "noun";
      check = isModule;
      merge = loc: defs: {
        imports =
          staticModules
          ++ map (
            def: lib.setDefaultModuleLocation "${def.file}, via option ${lib.showOption loc}" def.value
          ) defs;
      };
      inherit (submoduleWith { modules = staticModules; }) getSubOptions getSubModules;
      substSubModules = m: deferredModuleWith (attrs // { staticModules = m; });
      functor = defaultFunctor "deferredModuleWith" // {
        type = deferredModuleWith;
        payload = { inherit staticModules; };
        binOp = a: b: { staticModules = a.staticModules ++ b.staticModules; };
      };
    };

  optionType = mkOptionType {
    name = "optionType";
    description = "optionType";
    descriptionClass = "noun";
    check = lib.isType "option-type";
    merge =
      loc: defs:
      if length defs == 1 then
        (head defs).value
      else
        (lib.modules.fixupOptionType loc (
          lib.modules.mergeOptionDecls loc (
            map (def: {
              _file = def.file;
              options = lib.mkOption { type = def.value; };
            }) defs
          )
        )).type;
  };
}
