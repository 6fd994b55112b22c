# Widgets under their old and new names, and what differs by shell.
{ ... }@args:
import ./parts/texts.nix args {
  programs.bash.enable = true;
  programs.fish.enable = true;
  programs.zsh.enable = true;
  programs.fzf = {
    enable = true;
    defaultCommand = "fd --type f";
    defaultOptions = [
      "--height 40%"
      "--border"
    ];
    colors = {
      bg = "#111111";
      "bg+" = "#222222";
    };
    fileWidgetCommand = "fd";
    changeDirWidget.options = [ "--preview 'ls {}'" ];
    historyWidget.command = "";
    fileWidget.bash.command = "find";
    fileWidget.zsh.options = [ "--multi" ];
    fileWidget.fish.options = [ "--preview 'cat {}'" ];
    tmux.enableShellIntegration = true;
    tmux.shellIntegrationOptions = [ "-d 40%" ];
  };
}
