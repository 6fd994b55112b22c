{
  programs.zsh.enable = true;
  programs.zsh.dotDir = "$XDG_CONFIG_HOME/zsh";
}
