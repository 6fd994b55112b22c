# direnv, environments by folder.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption;
  inherit (config.lib) nival;
  cfg = config.programs.direnv;
  toml = pkgs.formats.toml { };
  exe = nival.exe cfg.package "direnv";
  guarded = nival.guarded cfg.package "direnv";
in
{
  imports = [
    (lib.mkRenamedOptionModule
      [ "programs" "direnv" "enableNixDirenvIntegration" ]
      [ "programs" "direnv" "nix-direnv" "enable" ]
    )
  ];

  options.programs.direnv = {
    enable = lib.mkEnableOption "direnv";
    package = nival.packageOption "direnv";
    config = mkOption {
      inherit (toml) type;
      default = { };
      example = {
        global.warn_timeout = "30s";
      };
      description = "What is written to `direnv.toml`.";
    };
    stdlib = nival.textOption "Functions for `.envrc` files, written to `direnvrc`.";
    silent = lib.mkEnableOption "silence: direnv says nothing when it loads and unloads";
    nix-direnv = {
      enable = lib.mkEnableOption "nix-direnv, a `use nix` and `use flake` that keeps its results";
      package = nival.packageOption "nix-direnv";
    };
    enableBashIntegration = lib.hm.shell.mkBashIntegrationOption { inherit config; };
    enableFishIntegration = lib.hm.shell.mkFishIntegrationOption { inherit config; };
    enableZshIntegration = lib.hm.shell.mkZshIntegrationOption { inherit config; };
  };

  config = mkIf cfg.enable {
    home.packages = nival.packages cfg.package;
    warnings = lib.optional (cfg.nix-direnv.enable && cfg.nix-direnv.package == null) ''
      programs.direnv.nix-direnv is enabled, but `pkgs' has no nix-direnv: it has no effect. Add nixpkgs as an input, or leave it disabled.'';

    programs.direnv.config = mkIf cfg.silent {
      global = {
        log_format = "-";
        log_filter = "^$";
      };
    };
    xdg.configFile = {
      "direnv/direnv.toml" = mkIf (cfg.config != { }) { source = toml.generate "direnv-config" cfg.config; };
      "direnv/direnvrc" = mkIf (cfg.stdlib != "") { text = cfg.stdlib; };
      "direnv/lib/hm-nix-direnv.sh" = mkIf (cfg.nix-direnv.enable && cfg.nix-direnv.package != null) {
        source = "${cfg.nix-direnv.package}/share/nix-direnv/direnvrc";
      };
    };

    # After whatever else sets the prompt.
    programs.bash.initExtra = mkIf cfg.enableBashIntegration (
      lib.mkAfter (guarded ''
        eval "$(${exe} hook bash)"
      '')
    );
    programs.zsh.initContent = mkIf cfg.enableZshIntegration (guarded ''
      eval "$(${exe} hook zsh)"
    '');
    programs.fish.interactiveShellInit = mkIf cfg.enableFishIntegration (
      lib.mkAfter (
        nival.guardedFish cfg.package "direnv" ''
          if not functions -q __direnv_export_eval
            ${exe} hook fish | source
          end
        ''
      )
    );
  };
}
