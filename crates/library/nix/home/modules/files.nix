# Files in the home: links into the store.
{
  config,
  lib,
  nivalPkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  fileType = import ./file-type.nix {
    inherit lib nivalPkgs;
    inherit (config.home) homeDirectory;
  };

  files = lib.sortOn (f: f.target) (builtins.filter (f: f.enable) (builtins.attrValues config.home.file));

  # A source that is a file on this machine is copied to the store, under a name that is allowed there.
  storeSource =
    file:
    let
      path = toString file.source;
    in
    if builtins.hasContext path || lib.isDerivation file.source || lib.isStorePath path then
      "${file.source}"
    else if !builtins.pathExists file.source then
      throw "home.file: the source of `${file.target}' doesn't exist: ${path}"
    else
      "${builtins.path {
        path = file.source;
        name = lib.hm.strings.storeFileName (baseNameOf path);
      }}";

  # Each file below a folder, as { "sub/name" = store path; }.
  below =
    folder: prefix:
    lib.concatMapAttrs (
      name: type:
      if type == "directory" then
        below "${folder}/${name}" "${prefix}${name}/"
      else
        { "${prefix}${name}" = "${folder}/${name}"; }
    ) (builtins.readDir folder);

  entry =
    file: path: target:
    # The bit of a text is set where its file is written.
    if file.executable == null || file.text != null then
      {
        inherit path target;
        type = "link";
      }
    else
      {
        inherit path target;
        type = "copy";
        inherit (file) executable;
      };

  entriesOf =
    file:
    let
      source = storeSource file;
    in
    if file.recursive && file.text == null && lib.pathIsDirectory source then
      lib.mapAttrsToList (name: entry file "${file.target}/${name}") (below source "")
    else
      [ (entry file file.target source) ];
in
{
  options = {
    home.file = mkOption {
      type = fileType {
        optionName = "home.file";
        base = config.home.homeDirectory;
        baseText = "the home directory";
      };
      default = { };
      example = lib.literalExpression ''{ ".vimrc".text = "set number"; bin = { source = ./bin; recursive = true; }; }'';
      description = "Files and folders in the home directory, by their place.";
    };
    home-files = mkOption {
      type = types.package;
      internal = true;
      description = "The tree of all files.";
    };
    # Read where the manifest is made.
    home.manifestFiles = mkOption {
      type = types.raw;
      internal = true;
      readOnly = true;
      description = "The files as the generation's manifest lists them.";
    };
  };

  config = {
    assertions = [
      (
        let
          byTarget = lib.groupBy (f: f.target) files;
          twice = builtins.attrNames (lib.filterAttrs (_: fs: builtins.length fs > 1) byTarget);
        in
        {
          assertion = twice == [ ];
          message = "Conflicting managed target files: ${lib.concatStringsSep ", " twice}\n\nTwo entries of home.file, or of xdg.configFile and the like, have this target. Give each its own, or disable one with `enable = false`.";
        }
      )
      (
        let
          outside = builtins.filter (
            f: lib.hasPrefix "/" f.target || lib.elem ".." (lib.splitString "/" f.target)
          ) files;
        in
        {
          assertion = outside == [ ];
          message = "Files outside of the home directory: ${lib.concatMapStringsSep ", " (f: f.target) outside}";
        }
      )
    ];

    lib.file.mkOutOfStoreSymlink =
      path:
      nivalPkgs.writeTree (lib.hm.strings.storeFileName (baseNameOf (toString path))) [
        {
          path = "";
          type = "link";
          target = toString path;
        }
      ];

    home-files = nivalPkgs.writeTree "home-manager-files" (lib.concatMap entriesOf files);

    home.manifestFiles = map (file: {
      inherit (file)
        target
        executable
        recursive
        force
        onChange
        ;
      source = storeSource file;
    }) files;
  };
}
