{ lib, pkgs, ... }:
{
  home.username = "ann";
  home.homeDirectory = "/home/ann";
  home.stateVersion = "25.05";
  home.packages = [ (pkgs.writeShellScriptBin "hello" "echo hello") ];
  home.file.".vimrc".text = "set number";
  home.file.".never" = lib.mkIf false { text = ""; };
  home.file.".folder" = {
    source = ./folder;
    recursive = true;
    onChange = "echo changed";
  };
  xdg.configFile."a/b" = {
    text = "c";
    force = true;
  };
  home.sessionVariables.EDITOR = "vi";
  programs.git = {
    enable = true;
    settings.user.name = "Ann";
  };
  systemd.user.services.thing = {
    Service.ExecStart = "/usr/bin/thing";
    Install.WantedBy = [ "default.target" ];
  };
  home.activation.notes = lib.hm.dag.entryAfter [ "linkGeneration" ] "run mkdir -p notes";
}
