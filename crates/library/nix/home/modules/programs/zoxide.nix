# zoxide, a `cd` that remembers.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  inherit (config.lib) nival;
  cfg = config.programs.zoxide;
  exe = nival.exe cfg.package "zoxide";
  init = shell: lib.concatStringsSep " " ([ "${exe} init ${shell}" ] ++ cfg.options);
  guarded = nival.guarded cfg.package "zoxide";
in
{
  options.programs.zoxide = {
    enable = lib.mkEnableOption "zoxide";
    package = nival.packageOption "zoxide";
    options = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "--cmd cd" ];
      description = "Options of `zoxide init`.";
    };
    enableBashIntegration = lib.hm.shell.mkBashIntegrationOption { inherit config; };
    enableFishIntegration = lib.hm.shell.mkFishIntegrationOption { inherit config; };
    enableZshIntegration = lib.hm.shell.mkZshIntegrationOption { inherit config; };
  };

  config = mkIf cfg.enable {
    home.packages = nival.packages cfg.package;
    # Last, since it wraps the prompt command that is set by then.
    programs.bash.initExtra = mkIf cfg.enableBashIntegration (
      lib.mkOrder 2000 (guarded ''
        eval "$(${init "bash"})"
      '')
    );
    # After zsh's own completion is set up.
    programs.zsh.initContent = mkIf cfg.enableZshIntegration (
      lib.mkOrder 851 (guarded ''
        eval "$(${init "zsh"})"
      '')
    );
    programs.fish.interactiveShellInit = mkIf cfg.enableFishIntegration (
      nival.guardedFish cfg.package "zoxide" ''
        ${init "fish"} | source
      ''
    );
  };
}
