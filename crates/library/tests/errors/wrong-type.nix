{ lib, ... }:
(lib.evalModules {
  modules = [
    { options.size = lib.mkOption { type = lib.types.int; }; }
    {
      _file = "home.nix";
      size = "big";
    }
  ];
}).config.size
