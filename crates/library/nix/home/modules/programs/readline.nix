# readline: the line editor of bash and many others.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.programs.readline;
  value =
    v:
    if builtins.isBool v then
      if v then "on" else "off"
    else
      toString v;
  # Names of keys (Control-x, Meta-x) stand bare, key sequences in quotes.
  binding =
    key: command:
    if builtins.match "(control|meta)(-.*)?" (lib.toLower key) != null then "${key}: ${command}" else "\"${key}\": ${command}";
  lines =
    lib.optional cfg.includeSystemConfig "$include /etc/inputrc"
    ++ lib.mapAttrsToList (name: v: "set ${name} ${value v}") cfg.variables
    ++ lib.mapAttrsToList binding cfg.bindings;
  text = lib.concatLines (lines ++ lib.optional (cfg.extraConfig != "") (lib.removeSuffix "\n" cfg.extraConfig));
in
{
  options.programs.readline = {
    enable = lib.mkEnableOption "readline";
    bindings = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        "\\C-h" = "backward-kill-word";
      };
      description = "What keys do.";
    };
    variables = mkOption {
      type = types.attrsOf (
        types.oneOf [
          types.str
          types.int
          types.bool
        ]
      );
      default = { };
      example = {
        expand-tilde = true;
      };
      description = "readline's variables.";
    };
    includeSystemConfig = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the system's `/etc/inputrc` is read first.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "Text at the end of the file.";
    };
  };

  config = mkIf cfg.enable {
    home.file.".inputrc" = mkIf (!config.home.preferXdgDirectories) { inherit text; };
    xdg.configFile.inputrc = mkIf config.home.preferXdgDirectories { inherit text; };
    home.sessionVariables = mkIf config.home.preferXdgDirectories {
      INPUTRC = "${config.xdg.configHome}/inputrc";
    };
  };
}
