# The manifest and the reasons of a small home.
{ nival, lib, ... }:
let
  home = nival.home {
    modules = [ ./small.nix ];
  };
  entries = builtins.fromJSON (builtins.unsafeDiscardStringContext home.activationPackage.entries);
  manifest = builtins.fromJSON (lib.findFirst (e: e.path == "manifest.json") null entries).text;
in
{
  entries = map (e: "${e.path} ${e.type}") entries;
  manifest = manifest // {
    homeFiles = lib.hasSuffix "-home-manager-files" manifest.homeFiles;
    homePath = lib.hasSuffix "-home-manager-path" manifest.homePath;
    files = map (f: f // { source = lib.hasPrefix builtins.storeDir f.source; }) manifest.files;
    packages = map (p: p.name) manifest.packages;
    units = map (u: removeAttrs u [ "source" ]) manifest.units;
  };
  provenance = lib.mapAttrs (_: map (r: r // { file = baseNameOf r.file; })) home.provenance;
  system = home.activationPackage.system;
  overridden = (home.extendModules { modules = [ { home.homeDirectory = lib.mkForce "/tmp/home"; } ]; }).config.xdg.configHome;
}
