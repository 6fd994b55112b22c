# `<nival>`: the library, the embedded package set and the home modules.
{
  system ? builtins.currentSystem,
}:
let
  lib = import ./lib;
  pkgs = import ./pkgs { inherit lib system; };
in
{
  inherit lib pkgs;
  homeModules.default = ./home/modules;
  # { pkgs, modules, extraSpecialArgs, check } -> the evaluated home.
  home = args: import ./home ({ inherit lib pkgs; } // args);
}
