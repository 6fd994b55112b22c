# bat, a `cat` with colours.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) literalExpression mkIf mkOption types;
  inherit (config.lib) nival;
  cfg = config.programs.bat;

  flags = lib.filterAttrs (_: v: v == true) cfg.config;
  settings = lib.filterAttrs (_: v: !builtins.isBool v) cfg.config;
  configText =
    lib.generators.toKeyValue {
      mkKeyValue = name: value: "--${name}=${lib.escapeShellArg value}";
      listsAsDuplicateKeys = true;
    } settings
    + lib.concatMapStrings (name: "--${name}\n") (builtins.attrNames flags);

  assets =
    description:
    mkOption {
      type = types.attrsOf (
        types.either types.lines (
          types.submodule {
            options = {
              src = mkOption {
                type = types.path;
                description = "The file, or a folder with it.";
              };
              file = mkOption {
                type = types.nullOr types.str;
                default = null;
                description = "The file's place in the folder.";
              };
            };
          }
        )
      );
      default = { };
      example = literalExpression "{ dracula = { src = ./themes; file = \"Dracula.tmTheme\"; }; }";
      inherit description;
    };
  assetFiles =
    folder: extension:
    lib.mapAttrs' (
      name: asset:
      lib.nameValuePair "bat/${folder}/${name}.${extension}" (
        if builtins.isString asset then
          { text = asset; }
        else
          { source = if asset.file == null then asset.src else "${asset.src}/${asset.file}"; }
      )
    );
in
{
  options.programs.bat = {
    enable = lib.mkEnableOption "bat";
    package = nival.packageOption "bat";
    extraPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = literalExpression "[ pkgs.bat-extras.batman ]";
      description = "Further packages for bat.";
    };
    config = mkOption {
      type = types.attrsOf (
        types.oneOf [
          types.str
          (types.listOf types.str)
          types.bool
        ]
      );
      default = { };
      example = {
        theme = "TwoDark";
        map-syntax = [ "*.jenkinsfile:Groovy" ];
      };
      description = "bat's options, without their dashes.";
    };
    themes = assets "Further themes.";
    syntaxes = assets "Further syntaxes.";
  };

  config = mkIf cfg.enable {
    home.packages = nival.packages cfg.package ++ cfg.extraPackages;
    xdg.configFile = {
      "bat/config" = mkIf (cfg.config != { }) { text = configText; };
    }
    // assetFiles "themes" "tmTheme" cfg.themes
    // assetFiles "syntaxes" "sublime-syntax" cfg.syntaxes;

    # Themes and syntaxes count only once they are in bat's cache.
    home.activation.batCache = mkIf (cfg.themes != { } || cfg.syntaxes != { }) (
      lib.hm.dag.entryAfter [ "linkGeneration" ] (
        nival.guarded cfg.package "bat" ''
          verboseEcho "Building bat's cache"
          (cd / && run env XDG_CACHE_HOME=${lib.escapeShellArg config.xdg.cacheHome} ${nival.exe cfg.package "bat"} cache --build)
        ''
      )
    );
  };
}
