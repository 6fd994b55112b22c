# Programs. Each file is called as the options it declares (`programs.<name>`);
# the reasons shown in a plan rely on that.
{
  imports = [
    ./bash.nix
    ./bat.nix
    ./direnv.nix
    ./fish.nix
    ./fzf.nix
    ./git.nix
    ./home-manager.nix
    ./readline.nix
    ./ssh.nix
    ./starship.nix
    ./tmux.nix
    ./zoxide.nix
    ./zsh.nix
  ];
}
