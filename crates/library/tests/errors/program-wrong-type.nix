{ nival, lib, ... }:
(nival.home {
  modules = [
    {
      home.username = lib.mkDefault "ann";
      home.homeDirectory = "/home/ann";
      home.stateVersion = "25.05";
    }
    ./parts/program-wrong-type.nix
  ];
}).activationPackage.drvPath
