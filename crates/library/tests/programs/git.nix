# Old names of settings, repeated keys, signing, hooks, includes and maintenance.
{ ... }@args:
import ./parts/texts.nix args {
  programs.git = {
    enable = true;
    userEmail = "ann@example.org";
    aliases.st = "status";
    extraConfig.core.whitespace = "trailing-space";
    settings = {
      url."git@example.org:".insteadOf = [
        "https://example.org/"
        "ex:"
      ];
      commit.verbose = true;
    };
    attributes = [ "*.pdf diff=pdf" ];
    signing = {
      format = "ssh";
      signer = "/usr/bin/ssh-keygen";
      signByDefault = false;
    };
    hooks.pre-commit = ./git.nix;
    includes = [
      { path = "~/more"; }
      {
        condition = "gitdir:~/work/";
        contents.user.email = "ann@work.example";
      }
    ];
    maintenance = {
      enable = true;
      repositories = [ "/home/ann/project" ];
      timers.daily = "12:00";
    };
  };
}
