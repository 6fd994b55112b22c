# The XDG base directories.
{
  config,
  lib,
  nivalPkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.xdg;
  home = config.home.homeDirectory;
  fileType = import ./file-type.nix {
    inherit lib nivalPkgs;
    homeDirectory = home;
  };

  kinds = {
    config = {
      variable = "XDG_CONFIG_HOME";
      default = ".config";
      holds = "configuration";
    };
    data = {
      variable = "XDG_DATA_HOME";
      default = ".local/share";
      holds = "data";
    };
    state = {
      variable = "XDG_STATE_HOME";
      default = ".local/state";
      holds = "state";
    };
    cache = {
      variable = "XDG_CACHE_HOME";
      default = ".cache";
      holds = "cached data";
    };
  };

  folderOption = kind: {
    name = "${kind}Home";
    value = mkOption {
      type = types.path;
      apply = toString;
      default = "${home}/${kinds.${kind}.default}";
      defaultText = lib.literalExpression ''"''${config.home.homeDirectory}/${kinds.${kind}.default}"'';
      description = "The folder for ${kinds.${kind}.holds} (`${kinds.${kind}.variable}`).";
    };
  };
  fileOption = kind: {
    name = "${kind}File";
    value = mkOption {
      type = fileType {
        optionName = "xdg.${kind}File";
        base = cfg."${kind}Home";
        baseText = "`xdg.${kind}Home`";
      };
      default = { };
      description = "Files in the folder for ${kinds.${kind}.holds}, as in `home.file`.";
    };
  };
  names = builtins.attrNames kinds;
in
{
  options.xdg = {
    enable = lib.mkEnableOption "setting the variables of the XDG base directories";
  }
  // builtins.listToAttrs (map folderOption names ++ map fileOption names);

  config = {
    home.file = lib.mkMerge (
      map (
        kind:
        # The text is in `source` by now.
        lib.mapAttrs' (
          name: file: lib.nameValuePair "${cfg."${kind}Home"}/${name}" (removeAttrs file [ "text" ])
        ) cfg."${kind}File"
      ) names
    );
    home.sessionVariables = lib.mkIf cfg.enable (
      lib.mapAttrs' (kind: k: lib.nameValuePair k.variable cfg."${kind}Home") kinds
    );
    systemd.user.sessionVariables = lib.mkIf cfg.enable (
      lib.mapAttrs' (kind: k: lib.nameValuePair k.variable cfg."${kind}Home") kinds
    );
  };
}
