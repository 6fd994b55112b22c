# The function library: nixpkgs' names and meanings, written for Nival.
import ./extensible.nix (
  lib:
  let
    parts =
      builtins.mapAttrs (_: file: import file { inherit lib; }) {
        asserts = ./asserts.nix;
        attrsets = ./attrsets.nix;
        cli = ./cli.nix;
        customisation = ./customisation.nix;
        debug = ./debug.nix;
        derivations = ./derivations.nix;
        filesystem = ./filesystem.nix;
        generators = ./generators.nix;
        hm = ./hm.nix;
        lists = ./lists.nix;
        meta = ./meta.nix;
        modules = ./modules.nix;
        options = ./options.nix;
        sources = ./sources.nix;
        strings = ./strings.nix;
        trivial = ./trivial.nix;
        types = ./types.nix;
        versions = ./versions.nix;
      }
      // {
        fixedPoints = import ./fixed-points.nix;
        licenses = import ./licenses.nix;
        maintainers = { };
        platforms = import ./platforms.nix;
      };
  in
  {
    inherit (builtins)
      addErrorContext
      appendContext
      convertHash
      fromJSON
      fromTOML
      getContext
      hashString
      hasContext
      parseDrvName
      placeholder
      toFile
      toJSON
      toString
      toXML
      tryEval
      unsafeGetAttrPos
      ;
    inherit (parts.versions) compareVersions splitVersion;
    inherit (parts.generators) mkLuaInline;
  }
  // parts.trivial
  // parts.fixedPoints
  // parts.asserts
  // parts.debug
  // removeAttrs parts.lists [
    # At the top of `lib` these names belong to strings.
    "commonPrefix"
    "hasPrefix"
    "removePrefix"
  ]
  // parts.attrsets
  // import ./string-names.nix parts.strings
  // parts.filesystem
  // parts.sources
  // parts.customisation
  // parts.derivations
  // parts.meta
  // removeAttrs parts.options [
    "definitionLine"
    "didYouMean"
    "mergeAs"
    "showDefs"
  ]
  // import ./type-names.nix parts.types
  // import ./module-names.nix parts.modules
  // parts
)
