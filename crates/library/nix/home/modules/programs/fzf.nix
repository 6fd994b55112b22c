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

  color = lib.concatStringsSep "," (lib.mapAttrsToList (name: value: "${name}:${value}") cfg.colors);
  variables = lib.filterAttrs (_: v: v != null && v != [ ]) {
    FZF_ALT_C_COMMAND = cfg.changeDirWidgetCommand;
    FZF_ALT_C_OPTS = cfg.changeDirWidgetOptions;
    FZF_CTRL_R_OPTS = cfg.historyWidgetOptions;
    FZF_CTRL_T_COMMAND = cfg.fileWidgetCommand;
    FZF_CTRL_T_OPTS = cfg.fileWidgetOptions;
    FZF_DEFAULT_COMMAND = cfg.defaultCommand;
    FZF_DEFAULT_OPTS = cfg.defaultOptions ++ lib.optional (cfg.colors != { }) "--color ${color}";
    FZF_TMUX = if cfg.tmux.enableShellIntegration then "1" else null;
    FZF_TMUX_OPTS = cfg.tmux.shellIntegrationOptions;
  };
in
{
  options.programs.fzf = {
    enable = lib.mkEnableOption "fzf";
    package = nival.packageOption "fzf";
    defaultCommand = command "The command that lists what is searched.";
    defaultOptions = arguments "Options that fzf always has.";
    fileWidgetCommand = command "The command that lists files for Ctrl-T.";
    fileWidgetOptions = arguments "Options for Ctrl-T.";
    changeDirWidgetCommand = command "The command that lists folders for Alt-C.";
    changeDirWidgetOptions = arguments "Options for Alt-C.";
    historyWidgetOptions = arguments "Options for Ctrl-R.";
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
          eval "$(${exe} --bash)"
        fi
      '')
    );
    programs.zsh.initContent = mkIf cfg.enableZshIntegration (
      lib.mkOrder 910 (guarded ''
        if [[ $options[zle] = on ]]; then
          source <(${exe} --zsh)
        fi
      '')
    );
    programs.fish.interactiveShellInit = mkIf cfg.enableFishIntegration (
      lib.mkOrder 200 (
        nival.guardedFish cfg.package "fzf" ''
          ${exe} --fish | source
        ''
      )
    );
  };
}
