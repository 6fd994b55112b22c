# Everything but the defaults.
{ nival, ... }@args:
import ./parts/texts.nix args {
  programs.tmux = {
    enable = true;
    baseIndex = 1;
    clock24 = true;
    customPaneNavigationAndResize = true;
    disableConfirmationPrompt = true;
    extraConfig = "set -g status off";
    keyMode = "vi";
    mouse = true;
    newSession = true;
    resizeAmount = 3;
    reverseSplit = true;
    secureSocket = false;
    shell = "/bin/zsh";
    shortcut = "a";
    terminal = "tmux-256color";
    plugins = [
      {
        plugin = (nival.pkgs.writeTextDir "yank.tmux" "") // {
          pname = "yank";
          rtp = "/opt/yank/yank.tmux";
        };
        extraConfig = "set -g @yank on";
      }
    ];
  };
}
