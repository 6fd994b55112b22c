{ lib, ... }:
{
  programs.ssh.enable = true;
  programs.ssh.settings.a = lib.hm.dag.entryAfter [ "b" ] { Port = 1; };
  programs.ssh.settings.b = lib.hm.dag.entryAfter [ "a" ] { Port = 2; };
}
