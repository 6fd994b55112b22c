{ nival, lib, ... }:
(nival.home {
  modules = [
    {
      home.username = lib.mkDefault "ann";
      home.homeDirectory = "/home/ann";
      home.stateVersion = "25.05";
    }
    ./parts/program-no-package.nix
  ];
}).activationPackage.drvPath
