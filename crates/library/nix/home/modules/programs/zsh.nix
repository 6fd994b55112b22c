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

  pluginType = types.submodule (
    { config, ... }:
    {
      options = {
        name = mkOption {
          type = types.str;
          description = "The plugin's name.";
        };
        src = mkOption {
          type = types.path;
          description = "The plugin's folder, added to `path` and `fpath`.";
        };
        file = mkOption {
          type = types.str;
          default = "${config.name}.plugin.zsh";
          defaultText = lib.literalExpression ''"''${name}.plugin.zsh"'';
          description = "The script in the folder.";
        };
        functions = simple (types.listOf types.str) [ ] "Further folders in it for `fpath`.";
      };
    }
  );

  # Where a plugin of nixpkgs or of the host keeps its script.
  pluginScript =
    package: name:
    if package != null then
      "source ${package}/share/${name}/${name}.zsh"
    else
      "[[ -r /usr/share/${name}/${name}.zsh ]] && source /usr/share/${name}/${name}.zsh";

  # In double quotes variables still count.
  quoted = text: "\"${lib.escape [ "\\" "\"" "`" ] text}\"";
  sourceVariables = ''
    if [ -r "${config.home.sessionVariablesPackage}/etc/profile.d/hm-session-vars.sh" ]; then . "${config.home.sessionVariablesPackage}/etc/profile.d/hm-session-vars.sh"; fi

    # Variables once for a session, not again in each shell below it.
    if [[ -z "''${__HM_ZSH_SESS_VARS_SOURCED-}" ]]; then
      export __HM_ZSH_SESS_VARS_SOURCED=1
      ${lib.concatStringsSep "\n  " (
        lib.mapAttrsToList lib.hm.zsh.export (lib.filterAttrs (_: v: v != null) cfg.sessionVariables)
      )}
    fi
  '';

  pluginPath = plugin: path: quoted "${plugin.src}/${path}";
  loadPlugin = plugin: ''
    path+=${quoted "${plugin.src}"}
    fpath+=(${lib.concatStringsSep " " ([ (quoted "${plugin.src}") ] ++ map (pluginPath plugin) plugin.functions)})
  '';

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
    (lib.mkChangedOptionModule [ "programs" "zsh" "initExtraFirst" ] [ "programs" "zsh" "initContent" ] (
      c: lib.mkBefore c.programs.zsh.initExtraFirst
    ))
    (lib.mkChangedOptionModule [ "programs" "zsh" "initExtraBeforeCompInit" ] [ "programs" "zsh" "initContent" ] (
      c: lib.mkOrder 550 c.programs.zsh.initExtraBeforeCompInit
    ))
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
      patterns = simple (types.attrsOf types.str) { } "Styles by pattern of the line.";
      styles = simple (types.attrsOf types.str) { } "Styles by kind of word.";
    };
    historySubstringSearch = {
      enable = lib.mkEnableOption "a search of the history for what is typed";
      package = nival.packageOption "zsh-history-substring-search";
      searchUpKey = simple (types.either types.str (types.listOf types.str)) "^[[A" "The keys that go back.";
      searchDownKey = simple (types.either types.str (types.listOf types.str)) "^[[B" "The keys that go forward.";
    };
    plugins = mkOption {
      type = types.listOf pluginType;
      default = [ ];
      example = lib.literalExpression ''[ { name = "enhancd"; file = "init.sh"; src = ./enhancd; } ]'';
      description = "Plugins, which `.zshrc` reads in this order.";
    };
    oh-my-zsh = {
      enable = lib.mkEnableOption "Oh My Zsh";
      package = nival.packageOption "oh-my-zsh";
      plugins = simple (types.listOf types.str) [ ] "Plugins of Oh My Zsh.";
      custom = simple types.str "" "The folder of further plugins and themes.";
      theme = simple types.str "" "The theme.";
      extraConfig = nival.textOption "Text before Oh My Zsh starts.";
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
    assertions = [
      {
        assertion = !lib.hasInfix "$" dotDir;
        message = "programs.zsh.dotDir is `${dotDir}', but files can't be put in a folder named by a variable of the shell: use config.home.homeDirectory or config.xdg.configHome.";
      }
      {
        assertion = !cfg.oh-my-zsh.enable || cfg.oh-my-zsh.package != null;
        message = "programs.zsh.oh-my-zsh is enabled, but `pkgs' has no oh-my-zsh: add nixpkgs as an input, or set programs.zsh.oh-my-zsh.package.";
      }
    ];
    home.packages = nival.packages cfg.package ++ lib.optionals cfg.oh-my-zsh.enable (nival.packages cfg.oh-my-zsh.package);

    programs.zsh.setOptions = [ "HIST_FCNTL_LOCK" ] ++ names true ++ map (n: "NO_${n}") (names false);

    programs.zsh.initContent = lib.mkMerge [
      (lib.mkOrder 510 ''
        typeset -U path cdpath fpath manpath
        ${optionalString (cfg.cdpath != [ ]) "cdpath+=(${lib.concatMapStringsSep " " quoted cfg.cdpath})\n"}${
          optionalString (functions != [ ]) "fpath+=(${lib.concatStringsSep " " functions})\nautoload -Uz ${
            lib.escapeShellArgs (builtins.attrNames cfg.siteFunctions)
          }\n"
        }for profile in ''${(z)NIX_PROFILES}; do
          fpath+=($profile/share/zsh/site-functions $profile/share/zsh/$ZSH_VERSION/functions $profile/share/zsh/vendor-completions)
        done
        ${optionalString (cfg.package != null) "HELPDIR=\"${cfg.package}/share/zsh/$ZSH_VERSION/help\"\n"}'')
      (mkIf (cfg.localVariables != { }) (lib.mkOrder 540 (lib.hm.zsh.defineAll cfg.localVariables)))
      (mkIf (cfg.defaultKeymap != null) (lib.mkOrder 530 keymaps.${cfg.defaultKeymap}))
      (mkIf (cfg.plugins != [ ]) (lib.mkOrder 560 (lib.concatMapStrings loadPlugin cfg.plugins)))
      # Oh My Zsh sets completion up itself.
      (mkIf (cfg.enableCompletion && !cfg.oh-my-zsh.enable) (lib.mkOrder 570 cfg.completionInit))
      (mkIf cfg.oh-my-zsh.enable (
        lib.mkOrder 800 (
          lib.concatLines (
            lib.optional (cfg.oh-my-zsh.extraConfig != "") cfg.oh-my-zsh.extraConfig
            ++ lib.optional (cfg.oh-my-zsh.plugins != [ ]) "plugins=(${lib.escapeShellArgs cfg.oh-my-zsh.plugins})"
            ++ lib.optional (cfg.oh-my-zsh.custom != "") "ZSH_CUSTOM=${quoted cfg.oh-my-zsh.custom}"
            ++ lib.optional (cfg.oh-my-zsh.theme != "") "ZSH_THEME=${lib.escapeShellArg cfg.oh-my-zsh.theme}"
            ++ [ "source $ZSH/oh-my-zsh.sh" ]
          )
        )
      ))
      (mkIf (cfg.plugins != [ ]) (
        lib.mkOrder 900 (
          lib.concatMapStrings (p: let script = pluginPath p p.file; in "[[ -f ${script} ]] && source ${script}\n") cfg.plugins
        )
      ))
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
          lib.concatStringsSep "\n" (lib.mapAttrsToList (name: path: "hash -d ${lib.escapeShellArg name}=${quoted path}") cfg.dirHashes)
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
              name: style: "ZSH_HIGHLIGHT_STYLES[${lib.escapeShellArg name}]=${lib.escapeShellArg style}"
            ) cfg.syntaxHighlighting.styles
            ++ lib.mapAttrsToList (
              pattern: style: "ZSH_HIGHLIGHT_PATTERNS+=(${lib.escapeShellArgs [ pattern style ]})"
            ) cfg.syntaxHighlighting.patterns
          )
        )
      ))
      (mkIf cfg.historySubstringSearch.enable (
        lib.mkOrder 1250 (
          lib.concatLines (
            [ (pluginScript cfg.historySubstringSearch.package "zsh-history-substring-search") ]
            ++ map (key: "bindkey ${quoted key} history-substring-search-up") (lib.toList cfg.historySubstringSearch.searchUpKey)
            ++ map (key: "bindkey ${quoted key} history-substring-search-down") (
              lib.toList cfg.historySubstringSearch.searchDownKey
            )
          )
        )
      ))
    ];

    home.file = {
      ${inDotDir ".zshrc"}.text = cfg.initContent;
      # Login shells read the variables after the system's profile, which may set PATH anew.
      ${inDotDir ".zshenv"}.text =
        optionalString (dotDir != home) "export ZDOTDIR=${quoted dotDir}\n"
        + optionalString cfg.oh-my-zsh.enable ''
          ZSH=${cfg.oh-my-zsh.package}/share/oh-my-zsh
          ZSH_CACHE_DIR=${lib.escapeShellArg config.xdg.cacheHome}/oh-my-zsh
        ''
        + ''
          if [[ ! -o login ]]; then
          ${nival.indent sourceVariables}
          fi
        ''
        + cfg.envExtra;
      ${inDotDir ".zprofile"}.text = sourceVariables + optionalString (cfg.profileExtra != "") "\n${cfg.profileExtra}";
      ${inDotDir ".zlogin"} = mkIf (cfg.loginExtra != "") { text = cfg.loginExtra; };
      ${inDotDir ".zlogout"} = mkIf (cfg.logoutExtra != "") { text = cfg.logoutExtra; };
    }
    # zsh only knows of the folder when a file in the home says so.
    // lib.optionalAttrs (dotDir != home) {
      ".zshenv".text = "source ${lib.escapeShellArg "${dotDir}/.zshenv"}\n";
    };
  };
}
