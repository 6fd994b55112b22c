# The text of every file of a home with all programs on the host's own tools.
{ nival, ... }:
let
  home = nival.home { modules = [ ./all-programs.nix ]; };
in
{
  files = nival.lib.mapAttrs' (_: file: {
    name = file.target;
    value = file.source.text or "(no text of its own)";
  }) home.config.home.file;
  inherit (home) warnings;
  session = home.config.home.sessionVariablesPackage.text;
  units = map (u: { inherit (u) name wantedBy; }) home.config.systemd.user.manifestUnits;
}
