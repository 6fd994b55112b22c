# The program that manages the home is Nival, which is there already.
{ lib, ... }:
{
  options.programs.home-manager = {
    enable = lib.mkEnableOption "" // {
      description = "Accepted, without effect: the home is managed by the `nival` that builds it.";
    };
    path = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      visible = false;
      description = "Accepted, without effect.";
    };
  };
}
