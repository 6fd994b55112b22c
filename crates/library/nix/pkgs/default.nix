# The embedded package set: builders that need no bootstrap.
#
# Files and trees are made by builders inside Nival (`builtin:nival-text`,
# `builtin:nival-tree`, `builtin:buildenv`) for any machine. Whatever runs a
# command (`runCommand`, `stdenv.mkDerivation`) takes sh, coreutils, make and
# the C compiler from the host, so it is impure: see `stdenv.nix`.
{
  lib,
  system,
  overlays ? [ ],
}:
let
  base =
    pkgs:
    {
      inherit lib pkgs system;
      callPackage = lib.callPackageWith pkgs;
      newScope = extra: lib.callPackageWith (pkgs // extra);
      formats = import ./formats.nix { inherit lib pkgs; };
      config = { };
      overlays = overlays;
      extend = overlay: import ./. { inherit lib system; overlays = overlays ++ [ overlay ]; };
      # The evaluator adds this to the error for a name that isn't here.
      __missingAttributeHint = "this package isn't part of Nival's embedded set, which holds builders only; for real packages add nixpkgs as an input of your flake (inputs.nixpkgs.url = \"github:NixOS/nixpkgs/nixos-unstable\") and give `pkgs = nixpkgs.legacyPackages.<system>` to homeManagerConfiguration, or use the host's program and leave the package out";
    }
    // import ./writers.nix { inherit lib pkgs; }
    // import ./trees.nix { inherit lib pkgs; }
    // import ./stdenv.nix { inherit lib pkgs system; }
    // import ./fetchurl.nix { inherit lib pkgs; };
in
lib.fix (lib.extends (lib.composeManyExtensions overlays) base)
