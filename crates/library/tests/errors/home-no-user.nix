{ nival, ... }:
(nival.home {
  modules = [ { home.homeDirectory = "/home/ann"; home.stateVersion = "25.05"; } ];
}).activationPackage.drvPath
