# All home modules.
{ lib, pkgs, ... }:
{
  imports = [
    ./activation.nix
    ./assertions.nix
    ./environment.nix
    ./files.nix
    ./shell-integration.nix
    ./systemd.nix
    ./xdg.nix
    ./programs
  ];

  # Builders of the embedded set: they make the generation whatever `pkgs` is.
  _module.args.nivalPkgs = import ../../pkgs {
    inherit lib;
    inherit (pkgs.stdenv.hostPlatform) system;
  };
}
