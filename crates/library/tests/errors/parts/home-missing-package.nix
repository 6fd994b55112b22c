{ pkgs, ... }:
{
  home.packages = [ (pkgs.callPackage ({ ripgrep }: ripgrep) { }) ];
}
