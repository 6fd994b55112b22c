# How a program is named in shell start-up text.
#
# The embedded package set has no programs, so an option `package` is null by
# default there: then the host's program is used, and only if it is there.
{ lib, pkgs, ... }:
{
  config.lib.nival = rec {
    # Environment variables.
    variables.type = lib.types.lazyAttrsOf (
      lib.types.nullOr (
        lib.types.oneOf [
          lib.types.str
          lib.types.path
          lib.types.int
          lib.types.float
          lib.types.bool
        ]
      )
    );
    # An option for text that several modules add to.
    textOption =
      description:
      lib.mkOption {
        type = lib.types.lines;
        default = "";
        inherit description;
      };
    aliasesOption = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      default = { };
      example = {
        ll = "ls -l";
      };
      description = "Aliases.";
    };
    # An option for the package of a program, null where `pkgs` doesn't have it.
    packageOption =
      name:
      lib.mkOption {
        type = lib.types.nullOr lib.types.package;
        default = pkgs.${name} or null;
        defaultText = lib.literalExpression "pkgs.${name} or null";
        example = lib.literalExpression "pkgs.${name}";
        description = "The ${name} package; `null` means the host's own ${name}.";
      };
    packages = package: lib.optional (package != null) package;
    # The command that runs `program`.
    exe = package: program: if package == null then program else lib.getExe' package program;
    # `text` as it is with a package, else only run when the host has the program.
    guarded =
      package: program: text:
      if package != null then text else "if command -v ${program} >/dev/null; then\n${indent text}\nfi";
    guardedFish =
      package: program: text:
      if package != null then text else "if type -q ${program}\n${indent text}\nend";
    indent =
      text:
      lib.concatMapStringsSep "\n" (line: if line == "" then "" else "  ${line}") (
        lib.splitString "\n" (lib.removeSuffix "\n" text)
      );
  };
}
