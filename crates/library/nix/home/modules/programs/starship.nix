# starship, the prompt.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  inherit (config.lib) nival;
  cfg = config.programs.starship;
  toml = pkgs.formats.toml { };
  exe = nival.exe cfg.package "starship";
  guarded = nival.guarded cfg.package "starship";
in
{
  options.programs.starship = {
    enable = lib.mkEnableOption "starship";
    package = nival.packageOption "starship";
    settings = mkOption {
      inherit (toml) type;
      default = { };
      example = {
        add_newline = false;
        character.success_symbol = "[➜](bold green)";
      };
      description = "What is written to `starship.toml`; see <https://starship.rs/config/>.";
    };
    configPath = mkOption {
      type = types.str;
      default = "${config.xdg.configHome}/starship.toml";
      defaultText = lib.literalExpression ''"''${config.xdg.configHome}/starship.toml"'';
      description = "Where the settings are written.";
    };
    enableInteractive = mkOption {
      type = types.bool;
      default = true;
      description = "Whether fish sets the prompt up in interactive shells alone.";
    };
    enableTransience = mkOption {
      type = types.bool;
      default = false;
      description = "Whether fish replaces earlier prompts by a short one.";
    };
    enableBashIntegration = lib.hm.shell.mkBashIntegrationOption { inherit config; };
    enableFishIntegration = lib.hm.shell.mkFishIntegrationOption { inherit config; };
    enableZshIntegration = lib.hm.shell.mkZshIntegrationOption { inherit config; };
  };

  config = mkIf cfg.enable {
    home.packages = nival.packages cfg.package;
    home.sessionVariables.STARSHIP_CONFIG = cfg.configPath;
    home.file.${cfg.configPath} = mkIf (cfg.settings != { }) {
      source = toml.generate "starship-config" cfg.settings;
    };

    programs.bash.initExtra = mkIf cfg.enableBashIntegration (
      lib.mkOrder 1900 (
        guarded ''
          if [[ $TERM != "dumb" ]]; then
            eval "$(${exe} init bash --print-full-init)"
          fi
        ''
      )
    );
    programs.zsh.initContent = mkIf cfg.enableZshIntegration (guarded ''
      if [[ $TERM != "dumb" ]]; then
        eval "$(${exe} init zsh)"
      fi
    '');
    programs.fish.${if cfg.enableInteractive then "interactiveShellInit" else "shellInitLast"} =
      mkIf cfg.enableFishIntegration
        (
          nival.guardedFish cfg.package "starship" ''
            if test "$TERM" != "dumb"
              ${exe} init fish | source
              ${lib.optionalString cfg.enableTransience "enable_transience"}
            end
          ''
        );
  };
}
