# Building from source with the host's tools.
#
# The sandbox shows these paths of the host, read-only, where the setting
# `allowed-impure-host-deps` permits. What is built links against the host's
# libraries: it is as good as a local `make install`, not reproducible.
{
  lib,
  pkgs,
  system,
}:
let
  hostDeps = [
    "/usr"
    "/bin"
    "/sbin"
    "/lib"
    "/lib32"
    "/lib64"
    "/libx32"
    "/etc/alternatives"
    "/etc/ld.so.cache"
  ];
  setup = builtins.toFile "nival-setup.sh" (builtins.readFile ./setup.sh);

  notForBuilder = [
    "meta"
    "passthru"
    "env"
    "pos"
    "finalPackage"
    "overrideAttrs"
  ];

  make =
    rattrs:
    let
      args = rattrs (args // { finalPackage = drv; inherit overrideAttrs; });
      overrideAttrs =
        f:
        make (
          final:
          let
            prev = rattrs final;
            once = if lib.isFunction f then f final else f;
            changes = if lib.isFunction once then once prev else if lib.isFunction f then f prev else f;
          in
          prev // changes
        );
      name =
        args.name or (
          if args ? pname then
            "${args.pname}${lib.optionalString (args ? version) "-${args.version}"}"
          else
            throw "mkDerivation: `name', or `pname' and `version', must be given"
        );
      attrs = lib.filterAttrs (_: v: v != null) (removeAttrs args notForBuilder // args.env or { });
      drv' = derivation (
        {
          inherit system;
          builder = "/bin/sh";
          args = [
            "-e"
            setup
          ];
          outputs = [ "out" ];
          __impureHostDeps = hostDeps;
        }
        // attrs
        // {
          name = lib.strings.sanitizeDerivationName name;
        }
      );
      drv =
        lib.extendDerivation true (
          {
            pname = args.pname or (lib.getName name);
            version = args.version or (lib.getVersion name);
            inherit name overrideAttrs;
            passthru = args.passthru or { };
            meta = {
              inherit name;
              outputsToInstall = [ (builtins.head (args.outputs or [ "out" ])) ];
            }
            // args.meta or { };
          }
          // args.passthru or { }
        ) drv';
    in
    drv;
in
rec {
  stdenv = {
    inherit mkDerivation system;
    name = "nival-host-tools";
    shell = "/bin/sh";
    isLinux = lib.hasSuffix "-linux" system;
    isDarwin = lib.hasSuffix "-darwin" system;
    cc = null;
    buildPlatform = stdenv.hostPlatform;
    targetPlatform = stdenv.hostPlatform;
    hostPlatform = {
      inherit system;
      inherit (stdenv) isLinux isDarwin;
    };
  };
  stdenvNoCC = stdenv;
  mkDerivation = attrs: make (if lib.isFunction attrs then attrs else _: attrs);

  runCommandWith =
    {
      name,
      derivationArgs ? { },
      runLocal ? false,
      ...
    }:
    buildCommand:
    mkDerivation (
      derivationArgs
      // {
        inherit name buildCommand;
      }
      // lib.optionalAttrs runLocal {
        preferLocalBuild = true;
        allowSubstitutes = false;
      }
    );
  runCommand = name: derivationArgs: runCommandWith { inherit name derivationArgs; };
  runCommandCC = runCommand;
  runCommandLocal =
    name: derivationArgs:
    runCommandWith {
      inherit name derivationArgs;
      runLocal = true;
    };
}
