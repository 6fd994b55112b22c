# The type of a DAG: a value that isn't an entry stands anywhere.
{ lib, dag }:
let
  inherit (lib) mkOptionType types;
  entryOf =
    elemType:
    let
      entry = types.submodule (
        { name, ... }:
        {
          options = {
            data = lib.mkOption { type = elemType; };
            after = lib.mkOption { type = types.listOf types.str; };
            before = lib.mkOption { type = types.listOf types.str; };
          };
          config = lib.mkIf (elemType.name == "submodule") { data._module.args.dagName = name; };
        }
      );
      convert =
        def:
        if dag.isEntry def.value then
          def.value
        else
          # `mkIf`, `mkBefore` and the like around a plain value stay around its data.
          dag.entryAnywhere def.value;
    in
    mkOptionType {
      name = "dagEntryOf";
      description = "DAG entry of ${elemType.description}";
      inherit (elemType) getSubOptions getSubModules;
      substSubModules = m: entryOf (elemType.substSubModules m);
      merge = loc: defs: entry.merge loc (map (def: def // { value = convert def; }) defs);
    };
  dagOf =
    elemType:
    let
      attrs = types.attrsOf (entryOf elemType);
    in
    mkOptionType {
      name = "dagOf";
      description = "DAG of ${elemType.description}";
      inherit (attrs)
        check
        merge
        emptyValue
        getSubOptions
        ;
      getSubModules = elemType.getSubModules;
      substSubModules = m: dagOf (elemType.substSubModules m);
      functor = lib.defaultFunctor "dagOf" // {
        type = payload: dagOf payload.elemType;
        payload = { inherit elemType; };
        binOp =
          a: b:
          let
            merged = a.elemType.typeMerge b.elemType.functor;
          in
          if merged == null then null else { elemType = merged; };
      };
      nestedTypes.elemType = elemType;
    };
in
{
  inherit dagOf;
}
