# Derivations as values.
{ lib }:
{
  optionalDrvAttr = condition: value: if condition then value else null;
  lazyDerivation =
    {
      derivation,
      meta ? null,
      passthru ? { },
      outputs ? [ "out" ],
    }:
    let
      # Forced only when something of the derivation is asked for.
      checked = if derivation.type or null == "derivation" then derivation else throw "lazyDerivation: not a derivation";
    in
    {
      type = "derivation";
      inherit (checked)
        outPath
        outputName
        drvPath
        name
        system
        ;
      inherit outputs;
    }
    // lib.genAttrs outputs (name: checked.${name})
    // lib.optionalAttrs (meta != null) { inherit meta; }
    // passthru;
  warnOnInstantiate =
    message: drv:
    drv
    // builtins.mapAttrs (_: lib.warn message) (
      lib.getAttrs (builtins.filter (n: drv ? ${n}) [
        "drvPath"
        "outPath"
      ]) drv
    );
  addDrvOutputDependencies = builtins.addDrvOutputDependencies or (s: s);
  inherit (builtins) unsafeDiscardOutputDependency;
}
