# tmux: ~/.config/tmux/tmux.conf.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) literalExpression mkIf mkOption optionalString types;
  inherit (config.lib) nival;
  cfg = config.programs.tmux;

  onOff = b: if b then "on" else "off";
  simple =
    type: default: description:
    mkOption { inherit type default description; };
  pluginOf = p: if lib.isDerivation p then p else p.plugin;
  prefix = if cfg.prefix != null then cfg.prefix else "C-${cfg.shortcut}";
  amount = toString cfg.resizeAmount;

  settings = optionalString cfg.sensibleOnTop "run-shell ${pkgs.tmuxPlugins.sensible.rtp}\n" + ''
    set  -g default-terminal "${cfg.terminal}"
    set  -g base-index      ${toString cfg.baseIndex}
    setw -g pane-base-index ${toString cfg.baseIndex}
    ${optionalString (cfg.shell != null) "set  -g default-shell \"${cfg.shell}\"\n"}${optionalString cfg.newSession "new-session -A -s 0\n"}${optionalString cfg.reverseSplit ''
      bind -N "Split into left and right" v split-window -h
      bind -N "Split into top and bottom" s split-window -v
    ''}
    set -g status-keys ${cfg.keyMode}
    set -g mode-keys   ${cfg.keyMode}
    ${optionalString (cfg.keyMode == "vi" && cfg.customPaneNavigationAndResize) (
      lib.concatMapStrings
        (
          { key, flag, side }:
          ''
            bind -N "Select the pane ${side}" ${key} select-pane -${flag}
            bind -r -N "Move the border ${side}" ${lib.toUpper key} resize-pane -${flag} ${amount}
          ''
        )
        [
          {
            key = "h";
            flag = "L";
            side = "on the left";
          }
          {
            key = "j";
            flag = "D";
            side = "below";
          }
          {
            key = "k";
            flag = "U";
            side = "above";
          }
          {
            key = "l";
            flag = "R";
            side = "on the right";
          }
        ]
    )}${optionalString (prefix != "C-b") ''
      unbind C-b
      set -g prefix ${prefix}
      bind -N "Send the prefix key on" ${prefix} send-prefix
    ''}${optionalString cfg.disableConfirmationPrompt ''
      bind-key -N "Close the window" & kill-window
      bind-key -N "Close the pane" x kill-pane
    ''}
    set  -g mouse             ${onOff cfg.mouse}
    set  -g focus-events      ${onOff cfg.focusEvents}
    setw -g aggressive-resize ${onOff cfg.aggressiveResize}
    setw -g clock-mode-style  ${if cfg.clock24 then "24" else "12"}
    set  -s escape-time       ${toString cfg.escapeTime}
    set  -g history-limit     ${toString cfg.historyLimit}
  '';
in
{
  options.programs.tmux = {
    enable = lib.mkEnableOption "tmux";
    package = nival.packageOption "tmux";
    aggressiveResize = simple types.bool false "Whether a window is as large as the smallest client that looks at it.";
    baseIndex = simple types.ints.unsigned 0 "The number of the first window and pane.";
    clock24 = simple types.bool false "Whether the clock has 24 hours.";
    customPaneNavigationAndResize = simple types.bool false "Whether hjkl select panes and HJKL resize them, in the vi mode.";
    disableConfirmationPrompt = simple types.bool false "Whether panes and windows are closed without a question.";
    escapeTime = simple types.ints.unsigned 10 "How many milliseconds tmux waits after an escape.";
    extraConfig = nival.textOption "Text at the end of the file.";
    focusEvents = simple types.bool false "Whether programs are told when they gain or lose the focus.";
    historyLimit = simple types.ints.positive 2000 "How many lines are kept of a window.";
    keyMode = simple (types.enum [
      "emacs"
      "vi"
    ]) "emacs" "Whose keys are used.";
    mouse = lib.mkEnableOption "the mouse";
    newSession = simple types.bool false "Whether a session is made when tmux attaches and there is none.";
    reverseSplit = simple types.bool false "Whether v and s split windows.";
    resizeAmount = simple types.ints.positive 5 "By how many lines or columns panes are resized.";
    sensibleOnTop = simple types.bool false "Whether the plugin `tmuxPlugins.sensible` is run before everything else.";
    tmuxp.enable = lib.mkEnableOption "tmuxp, which keeps sessions in files";
    prefix = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "C-a";
      description = "The prefix key; it counts more than `shortcut`.";
    };
    shortcut = simple types.str "b" "The key that is the prefix together with Ctrl.";
    terminal = simple types.str "screen" "The value of `TERM`.";
    shell = simple (types.nullOr types.str) null "The shell; `null` leaves it to tmux.";
    secureSocket = simple types.bool true "Whether tmux's socket is in `XDG_RUNTIME_DIR`, where others can't reach it.";
    plugins = mkOption {
      type = types.listOf (
        types.either types.package (
          types.submodule {
            options = {
              plugin = mkOption {
                type = types.package;
                description = "The plugin.";
              };
              extraConfig = mkOption {
                type = types.lines;
                default = "";
                description = "Text before the plugin is run.";
              };
            };
          }
        )
      );
      default = [ ];
      example = literalExpression "[ pkgs.tmuxPlugins.yank ]";
      description = "Plugins.";
    };
  };

  config = mkIf cfg.enable {
    home.packages = nival.packages cfg.package ++ lib.optional cfg.tmuxp.enable pkgs.tmuxp;
    home.sessionVariables = mkIf cfg.secureSocket {
      TMUX_TMPDIR = "\${XDG_RUNTIME_DIR:-\"/run/user/$(id -u)\"}";
    };
    xdg.configFile."tmux/tmux.conf".text = lib.mkMerge [
      (lib.mkBefore settings)
      (mkIf (cfg.plugins != [ ]) (
        lib.concatMapStrings (p: ''
          # ${lib.getName (pluginOf p)}
          ${p.extraConfig or ""}
          run-shell ${(pluginOf p).rtp or "${pluginOf p}"}
        '') cfg.plugins
      ))
      (lib.mkAfter cfg.extraConfig)
    ];
  };
}
