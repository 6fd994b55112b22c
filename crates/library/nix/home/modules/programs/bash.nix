# bash: ~/.bashrc, ~/.profile, ~/.bash_profile, ~/.bash_logout.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  inherit (config.lib) nival;
  cfg = config.programs.bash;

  aliases = lib.concatStringsSep "\n" (
    lib.mapAttrsToList (name: command: "alias -- ${name}=${lib.escapeShellArg command}") cfg.shellAliases
  );
  shopts = lib.concatMapStringsSep "\n" (
    o: if lib.hasPrefix "-" o then "shopt -u ${lib.removePrefix "-" o}" else "shopt -s ${o}"
  ) cfg.shellOptions;
  history = lib.concatStringsSep "\n" (
    lib.optional (cfg.historyControl != [ ]) "HISTCONTROL=${lib.concatStringsSep ":" cfg.historyControl}"
    ++ lib.optional (cfg.historyFile != null) "HISTFILE=\"${cfg.historyFile}\""
    ++ lib.optional (cfg.historyFileSize != null) "HISTFILESIZE=${toString cfg.historyFileSize}"
    ++ lib.optional (
      cfg.historyIgnore != [ ]
    ) "HISTIGNORE=${lib.escapeShellArg (lib.concatStringsSep ":" cfg.historyIgnore)}"
    ++ lib.optional (cfg.historySize != null) "HISTSIZE=${toString cfg.historySize}"
    ++ lib.optional (cfg.historyFile != null) "mkdir -p \"$(dirname \"$HISTFILE\")\""
  );
  completion =
    if pkgs ? bash-completion then
      "${pkgs.bash-completion}/etc/profile.d/bash_completion.sh"
    else
      "/usr/share/bash-completion/bash_completion";
in
{
  options.programs.bash = {
    enable = lib.mkEnableOption "GNU Bourne-Again SHell";
    package = nival.packageOption "bashInteractive";
    enableCompletion = mkOption {
      type = types.bool;
      default = true;
      description = "Whether interactive shells complete the arguments of programs.";
    };
    historySize = mkOption {
      type = types.nullOr types.int;
      default = 10000;
      description = "How many commands are kept in memory; `null` leaves it to bash.";
    };
    historyFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "$HOME/.local/state/bash/history";
      description = "Where the history is kept; `null` leaves it to bash.";
    };
    historyFileSize = mkOption {
      type = types.nullOr types.int;
      default = 100000;
      description = "How many lines of history are kept on disk; `null` leaves it to bash.";
    };
    historyControl = mkOption {
      type = types.listOf (
        types.enum [
          "erasedups"
          "ignoredups"
          "ignorespace"
          "ignoreboth"
        ]
      );
      default = [ ];
      description = "Which commands don't go into the history.";
    };
    historyIgnore = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "ls"
        "exit"
      ];
      description = "Patterns of commands that don't go into the history.";
    };
    shellOptions = mkOption {
      type = types.listOf types.str;
      default = [
        "histappend"
        "extglob"
        "globstar"
        "checkjobs"
      ];
      example = [
        "extglob"
        "-cdspell"
      ];
      description = "Options to set with `shopt`; a leading `-` unsets one.";
    };
    sessionVariables = mkOption {
      inherit (config.lib.nival.variables) type;
      default = { };
      example = {
        MAILCHECK = 30;
      };
      description = "Environment variables of login shells.";
    };
    shellAliases = nival.aliasesOption;
    profileExtra = nival.textOption "Text at the end of `~/.profile`, for login shells.";
    bashrcExtra = nival.textOption "Text at the start of `~/.bashrc`, for all shells, interactive or not.";
    initExtra = nival.textOption "Text at the end of `~/.bashrc`, for interactive shells.";
    logoutExtra = nival.textOption "Text of `~/.bash_logout`.";
  };

  config = mkIf cfg.enable {
    home.packages = nival.packages cfg.package;
    programs.bash.initExtra = mkIf cfg.enableCompletion (
      lib.mkOrder 100 (
        ''
          if [[ ! -v BASH_COMPLETION_VERSINFO ]]; then
        ''
        + (
          if pkgs ? bash-completion then
            "  . \"${completion}\"\n"
          else
            "  [[ -r ${completion} ]] && . ${completion}\n"
        )
        + ''
          fi
        ''
      )
    );
    home.file = {
      ".bash_profile".text = ''
        [[ -f ~/.profile ]] && . ~/.profile

        [[ -f ~/.bashrc ]] && . ~/.bashrc
      '';
      # A store of the user's own is seen by `nival enter` only: other shells go without the variables.
      ".profile".text = ''
        if [ -r "${config.home.sessionVariablesPackage}/etc/profile.d/hm-session-vars.sh" ]; then . "${config.home.sessionVariablesPackage}/etc/profile.d/hm-session-vars.sh"; fi

        ${lib.hm.shell.exportAll cfg.sessionVariables}

        ${cfg.profileExtra}
      '';
      ".bashrc".text = ''
        ${cfg.bashrcExtra}

        # What follows is for interactive shells.
        [[ $- == *i* ]] || return

        ${history}

        ${shopts}

        ${aliases}

        ${cfg.initExtra}
      '';
      ".bash_logout" = mkIf (cfg.logoutExtra != "") { text = cfg.logoutExtra; };
    };
  };
}
