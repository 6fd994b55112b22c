# Histories, unset options, text for each kind of shell, and variables left out by null.
{ lib, ... }@args:
import ./parts/texts.nix args {
  home.shellAliases = {
    ".." = "cd ..";
    say = "echo 'it is'";
  };
  programs.bash = {
    enable = true;
    enableCompletion = false;
    historySize = null;
    historyFile = "$HOME/.cache/history";
    historyControl = [
      "erasedups"
      "ignorespace"
    ];
    historyIgnore = [
      "ls"
      "a *"
    ];
    shellOptions = [
      "extglob"
      "-cdspell"
    ];
    shellAliases.ll = "ls -l";
    sessionVariables = {
      MAILCHECK = 30;
      YES = true;
      GONE = null;
    };
    profileExtra = "echo profile";
    bashrcExtra = "echo rc";
    initExtra = lib.mkMerge [
      "echo middle"
      (lib.mkAfter "echo last")
      (lib.mkBefore "echo first")
    ];
    logoutExtra = "echo bye";
  };
}
