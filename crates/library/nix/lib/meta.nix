# A package's `meta`.
{ lib }:
rec {
  addMetaAttrs =
    new: drv:
    if drv ? overrideAttrs then
      drv.overrideAttrs (old: { meta = old.meta or { } // new; })
    else
      drv // { meta = drv.meta or { } // new; };
  dontDistribute = addMetaAttrs { hydraPlatforms = [ ]; };
  setName = name: drv: drv // { inherit name; };
  updateName = f: drv: drv // { name = f drv.name; };
  appendToName =
    suffix:
    updateName (
      name:
      let
        parsed = builtins.parseDrvName name;
      in
      "${parsed.name}-${suffix}${lib.optionalString (parsed.version != "") "-${parsed.version}"}"
    );
  mapDerivationAttrset = f: builtins.mapAttrs (_: pkg: if lib.isDerivation pkg then f pkg else pkg);
  setPrio = priority: addMetaAttrs { inherit priority; };
  defaultPriority = 5;
  lowPrio = setPrio 10;
  hiPrio = setPrio (-10);
  lowPrioSet = mapDerivationAttrset lowPrio;
  hiPrioSet = mapDerivationAttrset hiPrio;

  getExe =
    pkg:
    getExe' pkg (
      pkg.meta.mainProgram or (lib.warn
        "getExe: Package ${
          lib.strings.escapeNixIdentifier pkg.meta.name or pkg.pname or pkg.name
        } does not have the meta.mainProgram attribute. Its name is taken to be the main program's: set meta.mainProgram, or name the program with getExe'."
        lib.getName
        pkg
      )
    );
  getExe' =
    pkg: program:
    if !lib.isDerivation pkg then
      throw "lib.meta.getExe': The first argument is of type ${builtins.typeOf pkg}, but it should be a derivation instead."
    else if !builtins.isString program then
      throw "lib.meta.getExe': The second argument is of type ${builtins.typeOf program}, but it should be a string instead."
    else if builtins.match ".*/.*" program != null then
      throw "lib.meta.getExe': The second argument \"${program}\" is a nested path with a \"/\" character, but it should just be the name of the executable instead."
    else
      "${lib.getBin pkg}/bin/${program}";
}
