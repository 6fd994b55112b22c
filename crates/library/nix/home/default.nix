# Evaluates a home: its modules in, the generation and the reasons for it out.
{
  lib ? import ../lib,
  pkgs,
  modules,
  extraSpecialArgs ? { },
  check ? true,
}:
let
  eval = lib.evalModules {
    class = "homeManager";
    modules = modules ++ [
      ./modules
      {
        _file = "<arguments of homeManagerConfiguration>";
        _module.args.pkgs = lib.mkOptionDefault pkgs;
        _module.check = check;
      }
    ];
    specialArgs = {
      inherit lib;
      modulesPath = toString ./modules;
    }
    // extraSpecialArgs;
  };

  checked =
    configuration:
    let
      failed = map (a: a.message) (builtins.filter (a: !a.assertion) configuration.config.assertions);
    in
    if failed == [ ] then
      configuration
    else
      throw "Failed assertions:\n${lib.concatMapStringsSep "\n" (m: "- ${m}") failed}";

  result =
    configuration:
    let
      safe = checked configuration;
    in
    {
      inherit (safe) config options;
      inherit (safe.config.home) activationPackage;
      inherit (configuration.config) warnings;
      provenance = import ./provenance.nix {
        inherit lib;
        inherit (configuration) config options;
      };
      optionsDoc = import ./options-doc.nix {
        inherit lib;
        inherit (configuration) options;
      };
      newsDisplay = "silent";
      extendModules = args: result (configuration.extendModules args);
    };
in
result eval
