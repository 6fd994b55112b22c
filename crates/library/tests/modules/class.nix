{ lib, ... }:
let
  inherit (lib) mkOption types;
  m = { _class = "home"; options.x = mkOption { type = types.int; default = 1; }; };
  get = class: (builtins.tryEval (lib.evalModules { inherit class; modules = [ m ]; }).config.x).success;
in
{
  same = get "home";
  other = get "system";
  none = get null;
}
