# Programs.
{
  imports = [
    ./home-manager.nix
  ];
}
