# fzf, the fuzzy finder.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  inherit (config.lib) nival;
  cfg = config.programs.fzf;
  exe = nival.exe cfg.package "fzf";
  guarded = nival.guarded cfg.package "fzf";

  command =
    description:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "fd --type f";
      inherit description;
    };
  arguments =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "--height 40%" ];
      inherit description;
    };

  shells = [
    "bash"
    "fish"
    "zsh"
  ];
  widget =
    key:
    {
      command = command "The command that lists what ${key} chooses from.";
      options = arguments "Options for ${key}.";
    }
    // lib.genAttrs shells (shell: {
      command = command "`command` in ${shell}, where it differs.";
      options = mkOption {
        type = types.nullOr (types.listOf types.str);
        default = null;
        description = "`options` in ${shell}, where they differ.";
      };
    });
  widgetVariables =
    choose:
    lib.filterAttrs (_: v: v != null && v != [ ]) (
      lib.concatMapAttrs
        (name: part: {
          "FZF_${name}_COMMAND" = (choose part).command;
          "FZF_${name}_OPTS" = (choose part).options;
        })
        {
          ALT_C = cfg.changeDirWidget;
          CTRL_R = cfg.historyWidget;
          CTRL_T = cfg.fileWidget;
        }
    );
  # Lines for one shell, each with a newline.
  overrides =
    shell: show:
    lib.concatStrings (
      lib.mapAttrsToList (name: v: show name (toString v) + "\n") (widgetVariables (part: part.${shell}))
    );
  exports = shell: overrides shell lib.hm.shell.export;

  color = lib.concatStringsSep "," (lib.mapAttrsToList (name: value: "${name}:${value}") cfg.colors);
  variables =
    widgetVariables (part: part)
    // lib.filterAttrs (_: v: v != null && v != [ ]) {
      FZF_DEFAULT_COMMAND = cfg.defaultCommand;
      FZF_DEFAULT_OPTS = cfg.defaultOptions ++ lib.optional (cfg.colors != { }) "--color ${color}";
      FZF_TMUX = if cfg.tmux.enableShellIntegration then "1" else null;
      FZF_TMUX_OPTS = cfg.tmux.shellIntegrationOptions;
    };

  renamed =
    old: part: lib.mkRenamedOptionModule [ "programs" "fzf" "${old}${lib.toSentenceCase part}" ] [ "programs" "fzf" old part ];
in
{
  imports = lib.concatMap (old: map (renamed old) [ "command" "options" ]) [
    "changeDirWidget"
    "fileWidget"
    "historyWidget"
  ];

  options.programs.fzf = {
    enable = lib.mkEnableOption "fzf";
    package = nival.packageOption "fzf";
    defaultCommand = command "The command that lists what is searched.";
    defaultOptions = arguments "Options that fzf always has.";
    fileWidget = widget "Ctrl-T";
    changeDirWidget = widget "Alt-C";
    historyWidget = widget "Ctrl-R";
    colors = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        bg = "#1e1e1e";
      };
      description = "Colours, added to the default options.";
    };
    tmux = {
      enableShellIntegration = lib.mkEnableOption "fzf in a tmux pane of its own";
      shellIntegrationOptions = arguments "Options of fzf-tmux.";
    };
    enableBashIntegration = lib.hm.shell.mkBashIntegrationOption { inherit config; };
    enableFishIntegration = lib.hm.shell.mkFishIntegrationOption { inherit config; };
    enableZshIntegration = lib.hm.shell.mkZshIntegrationOption { inherit config; };
  };

  config = mkIf cfg.enable {
    home.packages = nival.packages cfg.package;
    home.sessionVariables = lib.mapAttrs (_: toString) variables;

    # Early, so that history programs can take Ctrl-R back.
    programs.bash.initExtra = mkIf cfg.enableBashIntegration (
      lib.mkOrder 200 (guarded ''
        if [[ :$SHELLOPTS: =~ :(vi|emacs): ]]; then
        ${nival.indent (exports "bash" + "eval \"$(${exe} --bash)\"")}
        fi
      '')
    );
    programs.zsh.initContent = mkIf cfg.enableZshIntegration (
      lib.mkOrder 910 (guarded ''
        if [[ $options[zle] = on ]]; then
        ${nival.indent (exports "zsh" + "source <(${exe} --zsh)")}
        fi
      '')
    );
    programs.fish.interactiveShellInit = mkIf cfg.enableFishIntegration (
      lib.mkOrder 200 (
        nival.guardedFish cfg.package "fzf" ''
          ${overrides "fish" (name: v: "set -gx ${name} ${lib.escapeShellArg v}")}${exe} --fish | source
        ''
      )
    );
  };
}
