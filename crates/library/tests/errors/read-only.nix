{ lib, ... }:
(lib.evalModules {
  modules = [
    { options.fixed = lib.mkOption { type = lib.types.int; readOnly = true; default = 1; }; }
    { _file = "home.nix"; fixed = 2; }
  ];
}).config.fixed
