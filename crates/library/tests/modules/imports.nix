{ lib, ... }:
let
  inherit (lib) mkOption types;
  keyed = {
    key = "keyed";
    list = [ "keyed" ];
  };
  off = {
    key = "off";
    list = [ "off" ];
  };
  eval = lib.evalModules {
    specialArgs.extra = [ { list = [ "special" ]; } ];
    modules = [
      (
        { extra, ... }:
        {
          imports = extra ++ [
            keyed
            keyed
            ./parts/one.nix
            ./parts/two.nix
            off
          ];
          options.list = mkOption { type = types.listOf types.str; };
          options.arg = mkOption { type = types.raw; };
        }
      )
      { disabledModules = [ off ./parts/two.nix ]; }
      { imports = [ ./parts/one.nix ]; }
      { _module.args.greeting = "hello"; }
      ({ greeting, options, ... }: { arg = greeting; list = [ (toString (builtins.length options.arg.files)) ]; })
      { config.list = [ "explicit" ]; }
    ];
  };
in
eval.config
