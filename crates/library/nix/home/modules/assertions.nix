# What modules check and warn of, and options that are accepted without effect.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  accepted =
    description:
    mkOption {
      type = types.anything;
      default = { };
      visible = false;
      description = "Accepted, without effect: ${description}";
    };
in
{
  options = {
    assertions = mkOption {
      type = types.listOf types.unspecified;
      internal = true;
      default = [ ];
      example = [
        {
          assertion = false;
          message = "this can't work";
        }
      ];
      description = "Conditions that must hold for the home to be built, each with the message for when it doesn't.";
    };
    warnings = mkOption {
      type = types.listOf types.str;
      internal = true;
      default = [ ];
      description = "What the user is told when the home is built.";
    };
    lib = mkOption {
      type = types.attrsOf types.attrs;
      internal = true;
      default = { };
      description = "Functions that modules share, as `config.lib`.";
    };
    meta = mkOption {
      type = types.attrsOf types.raw;
      internal = true;
      default = { };
      description = "Notes on modules, for tools.";
    };
    manual = accepted "Nival's manual is its book.";
    news = accepted "Nival has a changelog.";
    nixpkgs = accepted "the package set is given to `homeManagerConfiguration`.";
  };
}
