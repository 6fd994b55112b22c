{ lib, ... }:
(lib.evalModules {
  modules = [
    { options.programs.git.enable = lib.mkEnableOption "git"; }
    {
      _file = "home.nix";
      programs.git.enabel = true;
    }
  ];
}).config
