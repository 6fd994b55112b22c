{
  config,
  lib,
  pkgs,
  ...
}:
let
  # A program in C, built from source in the sandbox with the host's compiler.
  tally = pkgs.callPackage ./tally { };

  greet = pkgs.writeShellScriptBin "greet" ''
    echo "Good $([ "$(date +%H)" -lt 12 ] && echo morning || echo day), ${config.home.username}."
  '';
in
{
  home.username = "commander";
  home.homeDirectory = "/home/commander";

  # The release this home was written for; it stays when Nival is upgraded.
  home.stateVersion = "25.05";

  programs.home-manager.enable = true;

  home.packages = [
    tally
    greet
    (pkgs.writeShellScriptBin "path" ''
      # One folder of the search path a line.
      echo "$PATH" | tr : '\n'
    '')
  ];

  home.sessionVariables = {
    EDITOR = "vi";
    PAGER = "less -FR";
  };
  home.sessionPath = [ "$HOME/.local/bin" ];
  home.shellAliases = {
    ll = "ls -l";
    ".." = "cd ..";
    gs = "git status --short";
  };

  programs.bash = {
    enable = true;
    historyControl = [ "ignoreboth" ];
  };

  programs.starship = {
    enable = true;
    settings = {
      add_newline = false;
      character = {
        success_symbol = "[➜](bold green)";
        error_symbol = "[➜](bold red)";
      };
    };
  };

  programs.zoxide = {
    enable = true;
    enableBashIntegration = true;
  };

  programs.direnv.enable = true;

  programs.git = {
    enable = true;
    settings = {
      user.name = "Commander";
      user.email = "commander@example.org";
      init.defaultBranch = "main";
      alias.last = "log -1 --stat";
    };
    ignores = [
      "*~"
      ".direnv/"
    ];
  };

  programs.readline = {
    enable = true;
    variables.completion-ignore-case = true;
  };

  # Dotfiles: text of one's own, a file, and a folder whose files are linked one by one.
  home.file.".hushlogin".text = "";
  home.file.".config/htop".source = ./dotfiles/htop;
  home.file.".config/htop".recursive = true;
  xdg.configFile."tally/ignore".source = ./dotfiles/tally-ignore;

  # A repository of the editor's configuration, cloned once; afterwards it is yours to change.
  home.activation.editorConfig = lib.hm.dag.entryAfter [ "writeBoundary" ] ''
    source=''${EDITOR_CONFIG:-$HOME/src/editor-config.git}
    if [ -d "$HOME/git/editor-config" ]; then
      verboseEcho "The editor's configuration is there already"
    elif [ -e "$source" ]; then
      run mkdir -p "$HOME/git"
      run git clone --quiet "$source" "$HOME/git/editor-config"
    else
      noteEcho "No editor configuration to clone at $source"
    fi
  '';

  # A service of the user's, started with the session.
  systemd.user.services.tally-daily = {
    Unit.Description = "Count the words of the notes";
    Service = {
      Type = "oneshot";
      ExecStart = "${tally}/bin/tally %h/notes";
    };
    Install.WantedBy = [ "default.target" ];
  };
  systemd.user.timers.tally-daily = {
    Unit.Description = "Count the words of the notes every day";
    Timer.OnCalendar = "daily";
    Install.WantedBy = [ "timers.target" ];
  };
}
