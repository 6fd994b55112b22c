{ lib, ... }:
{
  home = {
    username = "commander";
    homeDirectory = "/home/commander";
    stateVersion = "25.05";
    shellAliases = {
      ll = "ls -l";
      gs = "git status";
    };
    sessionPath = [ "$HOME/.local/bin" ];
    sessionVariables = {
      EDITOR = "vi";
      FALLBACK = "\${X:-y}";
    };
    language.base = "en_GB.UTF-8";
  };
  xdg.enable = true;

  programs.home-manager.enable = true;
  programs.bash = {
    enable = true;
    historyControl = [ "ignoredups" ];
    shellOptions = [ "-cdspell" ];
    sessionVariables.MAILCHECK = 30;
    logoutExtra = "clear";
  };
  programs.zsh = {
    enable = true;
    dotDir = ".config/zsh";
    autosuggestion.enable = true;
    syntaxHighlighting.enable = true;
    sessionVariables.Z = 1;
    siteFunctions.mkcd = "mkdir -p $1 && cd $1";
    history.ignorePatterns = [ "rm *" ];
    shellGlobalAliases.G = "| grep";
  };
  programs.fish = {
    enable = true;
    shellAbbrs.gco = "git checkout";
    functions.greet = {
      body = "echo hi";
      onEvent = "fish_prompt";
    };
    functions.yo = "echo yo";
  };
  programs.git = {
    enable = true;
    userName = "Commander";
    settings.alias.st = "status";
    ignores = [ "*~" ];
    lfs.enable = true;
    signing.key = "ABC";
    signing.signByDefault = true;
    includes = [
      {
        condition = "gitdir:~/work/";
        path = "~/work/gitconfig";
      }
    ];
  };
  programs.ssh = {
    enable = true;
    matchBlocks."a.example" = {
      user = "ann";
      port = 22;
      identityFile = "~/.ssh/key";
      localForwards = [
        {
          bind.port = 80;
          host = {
            address = "inner";
            port = 8080;
          };
        }
      ];
    };
    settings.b = lib.hm.dag.entryBefore [ "a.example" ] { User = "bob"; };
  };
  programs.starship = {
    enable = true;
    settings.add_newline = false;
    settings.character.success_symbol = "[➜](bold green)";
  };
  programs.zoxide.enable = true;
  programs.direnv = {
    enable = true;
    silent = true;
  };
  programs.fzf = {
    enable = true;
    defaultOptions = [ "--height 40%" ];
    colors.bg = "#111111";
  };
  programs.bat = {
    enable = true;
    config = {
      theme = "Two Dark";
      map-syntax = [
        "*.a:B"
        "*.c:D"
      ];
      plain = true;
    };
  };
  programs.tmux = {
    enable = true;
    keyMode = "vi";
    prefix = "C-a";
    customPaneNavigationAndResize = true;
    mouse = true;
  };
  programs.readline = {
    enable = true;
    variables.expand-tilde = true;
    bindings."\\C-h" = "backward-kill-word";
    bindings.Control-k = "kill-line";
  };
  systemd.user.services.thing = {
    Unit.After = [
      "a.service"
      "b.service"
    ];
    Service.ExecStart = "/usr/bin/thing";
    Install.WantedBy = [ "default.target" ];
  };
}
