# Directives with lists, forwards of all kinds, order, and text around the blocks.
{ lib, ... }@args:
import ./parts/texts.nix args {
  programs.ssh = {
    enable = true;
    enableDefaultConfig = false;
    includes = [ "~/.ssh/work" ];
    extraOptionOverrides.IdentitiesOnly = true;
    extraConfig = "Tag a\nLogLevel quiet";
    settings = {
      "*".User = "ann";
      "b.example" = {
        IgnoreUnknown = [
          "Odd"
          "Even"
        ];
        Ciphers = [
          "aes256-ctr"
          "aes128-ctr"
        ];
        IdentityFile = [
          "~/.ssh/one"
          "~/.ssh/two"
        ];
        SetEnv.GREETING = "say \"hi\"";
        SendEnv = [
          "LANG"
          "LC_*"
        ];
        LocalForward = [
          {
            bind.port = 80;
            host.port = 8080;
          }
          {
            bind.address = "/run/a";
            host.address = "/run/b";
          }
          "9000 inner:90"
        ];
        RemoteForward = {
          bind.port = 1080;
        };
        DynamicForward = [
          {
            address = "::1";
            port = 1080;
          }
        ];
        Nothing = null;
      };
      "a.example" = lib.hm.dag.entryAfter [ "b.example" ] { Port = 22; };
      "Match host c.example" = lib.hm.dag.entryAfter [ "a.example" ] { ForwardAgent = true; };
    };
  };
}
