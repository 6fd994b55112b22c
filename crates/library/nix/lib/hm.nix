# `lib.hm`: what Home Manager adds to the library.
{ lib }:
let
  dag = import ./hm-dag.nix { inherit lib; };
in
{
  inherit dag;

  types = {
    inherit (import ./hm-types.nix { inherit lib dag; }) dagOf;
    selectorFunction = lib.mkOptionType {
      name = "selectorFunction";
      description = "Function that takes an attribute set and returns a list containing a selection of the values of the input set";
      check = lib.isFunction;
      merge =
        _: defs: set:
        lib.concatMap (select: select set) (lib.getValues defs);
    };
    overlayFunction = lib.mkOptionType {
      name = "overlayFunction";
      description = "An overlay function, takes self and super and returns an attribute set overriding the desired attributes.";
      check = lib.isFunction;
      merge =
        _: defs: self: super:
        builtins.foldl' (all: def: all // def.value self super) { } defs;
    };
  };

  assertions.assertPlatform = module: pkgs: platforms: {
    assertion = builtins.elem pkgs.stdenv.hostPlatform.system platforms;
    message = "The module ${module} does not support your platform. It only supports\n\n  - ${builtins.concatStringsSep "\n  - " platforms}";
  };

  booleans.yesNo = b: if b then "yes" else "no";

  shell = rec {
    export = name: value: "export ${name}=\"${if builtins.isBool value then lib.boolToString value else toString value}\"";
    exportAll = vars: builtins.concatStringsSep "\n" (lib.mapAttrsToList export (lib.filterAttrs (_: v: v != null) vars));
    prependToVar = sep: name: values: "${builtins.concatStringsSep sep values}\${${name}:+${sep}}\$${name}";
    mkBashIntegrationOption = integration "Bash";
    mkFishIntegrationOption = integration "Fish";
    mkZshIntegrationOption = integration "Zsh";
    integration =
      shell:
      {
        config,
        baseName ? shell,
        extraDescription ? "",
      }:
      lib.mkOption {
        type = lib.types.bool;
        default = config.home.shell."enable${baseName}Integration";
        defaultText = lib.literalExpression "config.home.shell.enable${baseName}Integration";
        example = false;
        description = "Whether to enable ${shell} integration." + lib.optionalString (extraDescription != "") "\n\n${extraDescription}";
      };
  };

  zsh = rec {
    toZshValue =
      v:
      if builtins.isBool v then
        lib.boolToString v
      else if builtins.isList v then
        "(${lib.concatMapStringsSep " " lib.escapeShellArg v})"
      else if builtins.isString v then
        "\"${lib.escape [ "\\" "\"" "`" ] v}\""
      else
        "\"${toString v}\"";
    define = name: value: "${name}=${toZshValue value}";
    defineAll = vars: builtins.concatStringsSep "\n" (lib.mapAttrsToList define vars);
    export = name: value: "export ${define name value}";
  };

  strings = {
    # A name that the store accepts, from any path.
    storeFileName = path: "hm_" + lib.concatStrings (builtins.filter builtins.isString (builtins.split "[^a-zA-Z0-9+._?=]+" path));
    isPathLike =
      x: builtins.isPath x || (builtins.isString x && lib.hasPrefix "${builtins.storeDir}/" x) || lib.isDerivation x;
  };
}
