# zsh: .zshrc, .zshenv, .zprofile, .zlogin, .zlogout.
{
  config,
  lib,
  nivalPkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption optionalString types;
  inherit (config.lib) nival;
  cfg = config.programs.zsh;
  home = config.home.homeDirectory;

  simple =
    type: default: description:
    mkOption { inherit type default description; };

  dotDir =
    if cfg.dotDir == null then
      home
    else if lib.hasPrefix "/" cfg.dotDir then
      cfg.dotDir
    else
      "${home}/${cfg.dotDir}";
  inDotDir = name: if dotDir == home then name else "${dotDir}/${name}";

  aliases =
    flag: lib.mapAttrsToList (name: command: "alias ${flag}-- ${lib.escapeShellArg name}=${lib.escapeShellArg command}");
  historyOptions = {
    APPEND_HISTORY = cfg.history.append;
    EXTENDED_HISTORY = cfg.history.extended;
    HIST_EXPIRE_DUPS_FIRST = cfg.history.expireDuplicatesFirst;
    HIST_FIND_NO_DUPS = cfg.history.findNoDups;
    HIST_IGNORE_ALL_DUPS = cfg.history.ignoreAllDups;
    HIST_IGNORE_DUPS = cfg.history.ignoreDups;
    HIST_IGNORE_SPACE = cfg.history.ignoreSpace;
    HIST_SAVE_NO_DUPS = cfg.history.saveNoDups;
    SHARE_HISTORY = cfg.history.share;
  }
  // lib.optionalAttrs (cfg.autocd != null) { AUTO_CD = cfg.autocd; };
  names = wanted: builtins.attrNames (lib.filterAttrs (_: on: on == wanted) historyOptions);

  keymaps = {
    emacs = "bindkey -e";
    vicmd = "bindkey -a";
    viins = "bindkey -v";
  };

  # Where a plugin of nixpkgs or of the host keeps its script.
  pluginScript =
    package: name:
    if package != null then
      "source ${package}/share/${name}/${name}.zsh"
    else
      "[[ -r /usr/share/${name}/${name}.zsh ]] && source /usr/share/${name}/${name}.zsh";

  functions = lib.mapAttrsToList (
    name: body: "${builtins.toString (nivalPkgs.writeTextDir "share/zsh/site-functions/${name}" body)}/share/zsh/site-functions"
  ) cfg.siteFunctions;
in
{
  imports = [
    (lib.mkRenamedOptionModule [ "programs" "zsh" "enableAutosuggestions" ] [ "programs" "zsh" "autosuggestion" "enable" ])
    (lib.mkRenamedOptionModule
      [ "programs" "zsh" "enableSyntaxHighlighting" ]
      [ "programs" "zsh" "syntaxHighlighting" "enable" ]
    )
    (lib.mkRenamedOptionModule [ "programs" "zsh" "initExtra" ] [ "programs" "zsh" "initContent" ])
  ];

  options.programs.zsh = {
    enable = lib.mkEnableOption "Z shell (Zsh)";
    package = nival.packageOption "zsh";
    autocd = simple (types.nullOr types.bool) null "Whether the name of a folder alone changes into it.";
    cdpath = simple (types.listOf types.str) [ ] "Folders in which `cd` looks.";
    dotDir = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = lib.literalExpression ''"''${config.xdg.configHome}/zsh"'';
      description = "The folder of zsh's files; `null` means the home directory.";
    };
    shellAliases = nival.aliasesOption;
    shellGlobalAliases = simple (types.attrsOf types.str) { } "Aliases that count anywhere on the line.";
    dirHashes = simple (types.attrsOf types.str) { } "Names for folders, used as `~name`.";
    enableCompletion = simple types.bool true "Whether zsh completes the arguments of programs.";
    completionInit = simple types.lines "autoload -U compinit && compinit" "What sets completion up.";
    defaultKeymap = simple (types.nullOr (types.enum (builtins.attrNames keymaps))) null "The keys of the line editor; `null` leaves it to zsh.";
    autosuggestion = {
      enable = lib.mkEnableOption "suggestions from the history";
      package = nival.packageOption "zsh-autosuggestions";
      highlight = simple (types.nullOr types.str) null "How a suggestion looks.";
      strategy = simple (types.listOf (
        types.enum [
          "history"
          "completion"
          "match_prev_cmd"
        ]
      )) [ "history" ] "Where suggestions come from, first to last.";
    };
    syntaxHighlighting = {
      enable = lib.mkEnableOption "colours for the command line";
      package = nival.packageOption "zsh-syntax-highlighting";
      highlighters = simple (types.listOf types.str) [ ] "Further highlighters, beside `main`.";
      styles = simple (types.attrsOf types.str) { } "Styles by kind of word.";
    };
    history = {
      size = simple types.int 10000 "How many commands are kept in memory.";
      save = mkOption {
        type = types.int;
        default = cfg.history.size;
        defaultText = lib.literalExpression "config.programs.zsh.history.size";
        description = "How many commands are kept on disk.";
      };
      path = mkOption {
        type = types.str;
        default = "${dotDir}/.zsh_history";
        defaultText = lib.literalExpression ''"''${config.programs.zsh.dotDir}/.zsh_history"'';
        description = "Where the history is kept.";
      };
      ignorePatterns = simple (types.listOf types.str) [ ] "Patterns of commands that aren't kept.";
      append = simple types.bool false "Whether each session adds to the history file instead of replacing it.";
      extended = simple types.bool false "Whether times are kept.";
      expireDuplicatesFirst = simple types.bool false "Whether repeated commands are the first to go.";
      findNoDups = simple types.bool false "Whether a search shows each command once.";
      ignoreAllDups = simple types.bool false "Whether a repeated command replaces the earlier one.";
      ignoreDups = simple types.bool true "Whether a command that repeats the last one isn't kept.";
      ignoreSpace = simple types.bool true "Whether a command that starts with a space isn't kept.";
      saveNoDups = simple types.bool false "Whether repeated commands aren't written to disk.";
      share = simple types.bool true "Whether sessions share one history.";
    };
    sessionVariables = mkOption {
      inherit (nival.variables) type;
      default = { };
      example = {
        MAILCHECK = 30;
      };
      description = "Environment variables of zsh.";
    };
    localVariables = simple (types.attrsOf types.anything) { } "Variables at the start of `.zshrc`.";
    setOptions = simple (types.listOf types.str) [ ] "Options to set with `setopt`; a leading `NO_` unsets one.";
    siteFunctions = simple (types.attrsOf types.lines) { } "Functions that are loaded when they are first called.";
    initContent = mkOption {
      type = types.lines;
      default = "";
      example = lib.literalExpression "lib.mkOrder 550 \"fpath+=(~/.zfunc)\"";
      description = "Text of `.zshrc`. With `lib.mkOrder`: 500 is at the start, 550 before completion is set up, 1000 the rest, 1500 the end.";
    };
    envExtra = nival.textOption "Text of `.zshenv`.";
    profileExtra = nival.textOption "Text of `.zprofile`.";
    loginExtra = nival.textOption "Text of `.zlogin`.";
    logoutExtra = nival.textOption "Text of `.zlogout`.";
  };

  config = mkIf cfg.enable {
    home.packages = nival.packages cfg.package;

    programs.zsh.setOptions = [ "HIST_FCNTL_LOCK" ] ++ names true ++ map (n: "NO_${n}") (names false);

    programs.zsh.initContent = lib.mkMerge [
      (lib.mkOrder 510 ''
        typeset -U path cdpath fpath manpath
        ${optionalString (cfg.cdpath != [ ]) "cdpath+=(${lib.escapeShellArgs cfg.cdpath})\n"}${
          optionalString (functions != [ ]) "fpath+=(${lib.concatStringsSep " " functions})\nautoload -Uz ${
            lib.escapeShellArgs (builtins.attrNames cfg.siteFunctions)
          }\n"
        }for profile in ''${(z)NIX_PROFILES}; do
          fpath+=($profile/share/zsh/site-functions $profile/share/zsh/$ZSH_VERSION/functions $profile/share/zsh/vendor-completions)
        done
      '')
      (mkIf (cfg.localVariables != { }) (lib.mkOrder 520 (lib.hm.zsh.defineAll cfg.localVariables)))
      (mkIf (cfg.defaultKeymap != null) (lib.mkOrder 530 keymaps.${cfg.defaultKeymap}))
      (mkIf cfg.enableCompletion (lib.mkOrder 570 cfg.completionInit))
      (mkIf cfg.autosuggestion.enable (
        lib.mkOrder 700 (
          pluginScript cfg.autosuggestion.package "zsh-autosuggestions"
          + optionalString (cfg.autosuggestion.strategy != [ ])
            "\nZSH_AUTOSUGGEST_STRATEGY=(${lib.concatStringsSep " " cfg.autosuggestion.strategy})"
          + optionalString (
            cfg.autosuggestion.highlight != null
          ) "\nZSH_AUTOSUGGEST_HIGHLIGHT_STYLE=${lib.escapeShellArg cfg.autosuggestion.highlight}"
        )
      ))
      (lib.mkOrder 910 ''
        HISTSIZE="${toString cfg.history.size}"
        SAVEHIST="${toString cfg.history.save}"
        ${optionalString (
          cfg.history.ignorePatterns != [ ]
        ) "HISTORY_IGNORE=${lib.escapeShellArg "(${lib.concatStringsSep "|" cfg.history.ignorePatterns})"}\n"}HISTFILE="${cfg.history.path}"
        mkdir -p "$(dirname "$HISTFILE")"
      '')
      (lib.mkOrder 950 (lib.concatMapStringsSep "\n" (o: "setopt ${o}") cfg.setOptions))
      (mkIf (cfg.shellAliases != { } || cfg.shellGlobalAliases != { }) (
        lib.mkOrder 1100 (lib.concatStringsSep "\n" (aliases "" cfg.shellAliases ++ aliases "-g " cfg.shellGlobalAliases))
      ))
      (mkIf (cfg.dirHashes != { }) (
        lib.mkOrder 1150 (
          lib.concatStringsSep "\n" (lib.mapAttrsToList (name: path: "hash -d ${name}=\"${path}\"") cfg.dirHashes)
        )
      ))
      # It wraps the line editor, so it comes after whatever else changes that.
      (mkIf cfg.syntaxHighlighting.enable (
        lib.mkOrder 1200 (
          lib.concatStringsSep "\n" (
            [ (pluginScript cfg.syntaxHighlighting.package "zsh-syntax-highlighting") ]
            ++ lib.optional (
              cfg.syntaxHighlighting.highlighters != [ ]
            ) "ZSH_HIGHLIGHT_HIGHLIGHTERS+=(${lib.escapeShellArgs cfg.syntaxHighlighting.highlighters})"
            ++ lib.mapAttrsToList (
              name: style: "ZSH_HIGHLIGHT_STYLES[${name}]=${lib.escapeShellArg style}"
            ) cfg.syntaxHighlighting.styles
          )
        )
      ))
    ];

    home.file = {
      ${inDotDir ".zshrc"}.text = cfg.initContent;
      ${inDotDir ".zshenv"}.text = ''
        . "${config.home.sessionVariablesPackage}/etc/profile.d/hm-session-vars.sh"

        # Variables once for a session, not again in each shell below it.
        if [[ -z "$__HM_ZSH_SESS_VARS_SOURCED" ]]; then
          export __HM_ZSH_SESS_VARS_SOURCED=1
          ${lib.concatStringsSep "\n  " (
            lib.mapAttrsToList lib.hm.zsh.export (lib.filterAttrs (_: v: v != null) cfg.sessionVariables)
          )}
        fi
        ${cfg.envExtra}
      '';
      ${inDotDir ".zprofile"} = mkIf (cfg.profileExtra != "") { text = cfg.profileExtra; };
      ${inDotDir ".zlogin"} = mkIf (cfg.loginExtra != "") { text = cfg.loginExtra; };
      ${inDotDir ".zlogout"} = mkIf (cfg.logoutExtra != "") { text = cfg.logoutExtra; };
    }
    # zsh only knows of the folder when a file in the home says so.
    // lib.optionalAttrs (dotDir != home) {
      ".zshenv".text = ''
        export ZDOTDIR=${lib.escapeShellArg dotDir}
        source "$ZDOTDIR/.zshenv"
      '';
    };
  };
}
