# Files and folders.
{ lib }:
rec {
  inherit (builtins)
    baseNameOf
    dirOf
    hashFile
    isPath
    readDir
    readFileType
    ;
  pathType = readFileType;
  pathIsDirectory = path: builtins.pathExists path && readFileType path == "directory";
  pathIsRegularFile = path: builtins.pathExists path && readFileType path == "regular";
  listFilesRecursive =
    dir:
    lib.concatLists (
      lib.mapAttrsToList (
        name: type: if type == "directory" then listFilesRecursive (dir + "/${name}") else [ (dir + "/${name}") ]
      ) (readDir dir)
    );
  packagesFromDirectoryRecursive =
    args@{ callPackage, directory, ... }:
    let
      file = directory + "/package.nix";
    in
    if builtins.pathExists file then
      callPackage file { }
    else
      lib.concatMapAttrs (
        name: type:
        if type == "directory" then
          { ${name} = packagesFromDirectoryRecursive (args // { directory = directory + "/${name}"; }); }
        else if type == "regular" && lib.hasSuffix ".nix" name then
          { ${lib.removeSuffix ".nix" name} = callPackage (directory + "/${name}") { }; }
        else
          { }
      ) (readDir directory);
}
