# `matchBlocks`, and options that were once for all hosts.
{ ... }@args:
import ./parts/texts.nix args {
  programs.ssh = {
    enable = true;
    forwardAgent = true;
    serverAliveInterval = 60;
    matchBlocks.a = {
      hostname = "a.example";
      user = "ann";
      port = 2222;
      identityFile = "~/.ssh/key";
      identitiesOnly = true;
      checkHostIP = false;
      sendEnv = [ "LANG" ];
      setEnv.N = 1;
      remoteForwards = [
        {
          bind.port = 1;
          host = {
            address = "b";
            port = 2;
          };
        }
      ];
      extraOptions.Tag = "t";
    };
    matchBlocks.m = {
      match = "host b exec true";
      proxyJump = "a";
    };
  };
}
