# The outputs of the flake input `nival`. `system` is what a home is made for unless it brings its own packages.
{
  system ? builtins.currentSystem or "x86_64-linux",
}:
let
  lib = import ./lib;
  systems = [
    "aarch64-linux"
    "x86_64-linux"
  ];
  legacyPackages = lib.genAttrs systems (system: import ./pkgs { inherit lib system; });
in
{
  inherit legacyPackages;
  lib = lib // {
    homeManagerConfiguration =
      args@{ modules, ... }:
      import ./home (
        {
          inherit lib;
          pkgs = legacyPackages.${system};
        }
        // args
      );
  };
  homeModules.default = ./home/modules;
}
