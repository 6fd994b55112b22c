# What a home with one module writes: its files' texts, packages, variables and warnings.
{ nival, lib, ... }:
module:
let
  home = nival.home {
    modules = [
      {
        home.username = "ann";
        home.homeDirectory = "/home/ann";
        home.stateVersion = lib.mkDefault "25.05";
      }
      module
    ];
  };
  # Hashes of store paths are tested elsewhere.
  scrub =
    text:
    lib.concatStrings (
      map (part: if builtins.isString part then part else "@store@/") (
        builtins.split "/nix/store/[0-9a-z]{32}-" (builtins.unsafeDiscardStringContext text)
      )
    );
  files = builtins.filter (f: f.enable) (builtins.attrValues home.config.home.file);
in
{
  files = builtins.listToAttrs (
    map (f: {
      name = f.target;
      value = scrub (f.source.text or "${f.source}");
    }) files
  );
  packages = lib.remove "hm-session-vars.sh" (map lib.getName home.config.home.packages);
  variables = builtins.mapAttrs (_: toString) home.config.home.sessionVariables;
  inherit (home) warnings;
}
