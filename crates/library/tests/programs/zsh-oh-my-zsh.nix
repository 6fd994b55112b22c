# Oh My Zsh sets completion up itself.
{ nival, ... }@args:
import ./parts/texts.nix args {
  programs.zsh = {
    enable = true;
    oh-my-zsh = {
      enable = true;
      package = nival.pkgs.writeTextDir "share/oh-my-zsh/oh-my-zsh.sh" "";
      plugins = [
        "git"
        "sudo"
      ];
      theme = "robbyrussell";
      custom = "$HOME/custom";
      extraConfig = "zstyle :omz:update mode disabled";
    };
  };
}
