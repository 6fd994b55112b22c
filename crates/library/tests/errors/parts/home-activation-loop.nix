{ lib, ... }:
{
  home.activation.a = lib.hm.dag.entryAfter [ "b" ] "";
  home.activation.b = lib.hm.dag.entryAfter [ "a" ] "";
}
