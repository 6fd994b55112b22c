# The type of `home.file` and its relatives: files by their place below `base`.
{
  lib,
  nivalPkgs,
  homeDirectory,
}:
{ optionName, base, baseText }:
let
  inherit (lib) literalExpression mkOption types;
in
types.attrsOf (
  types.submodule (
    { name, config, options, ... }:
    {
      options = {
        enable = mkOption {
          type = types.bool;
          default = true;
          description = "Whether the file is made.";
        };
        target = mkOption {
          type = types.nonEmptyStr;
          apply =
            path: lib.removePrefix (homeDirectory + "/") (if lib.hasPrefix "/" path then path else "${base}/${path}");
          defaultText = literalExpression "name";
          description = "Where the file goes, relative to ${baseText}.";
        };
        text = mkOption {
          type = types.nullOr types.lines;
          default = null;
          description = "The text of the file. Either this or `source` is given.";
        };
        source = mkOption {
          type = types.path;
          description = "The file or folder that is linked to. Either this or `text` is given.";
        };
        executable = mkOption {
          type = types.nullOr types.bool;
          default = null;
          description = "Whether the file may be executed; `null` leaves that as it is in `source`.";
        };
        recursive = mkOption {
          type = types.bool;
          default = false;
          description = "Of a folder, link each file instead of the folder, so that other files can be beside them.";
        };
        ignorelinks = mkOption {
          type = types.bool;
          default = false;
          description = "With `recursive`, whether links in the folder are linked to themselves, not to what they point at.";
        };
        onChange = mkOption {
          type = types.lines;
          default = "";
          example = "systemctl --user restart thing";
          description = "Shell text that is run after the switch when the file has changed.";
        };
        force = mkOption {
          type = types.bool;
          default = false;
          description = "Whether a file that is in the way, and isn't ours, is replaced without being asked about.";
        };
      };
      config = {
        target = lib.mkDefault name;
        source = lib.mkIf (config.text != null) (
          lib.mkDerivedConfig options.text (
            text:
            nivalPkgs.writeTextFile {
              name = lib.hm.strings.storeFileName name;
              inherit text;
              executable = config.executable == true;
            }
          )
        );
      };
    }
  )
)
