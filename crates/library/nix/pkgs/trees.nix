# Folders of links and files, and environments of packages.
{ lib, pkgs }:
rec {
  # A tree from a list of { path; type; text?; target?; executable?; }.
  writeTree =
    name: entries:
    pkgs.mkBuiltin {
      attrs = {
        inherit name;
        entries = builtins.toJSON entries;
        builder = "builtin:nival-tree";
      };
    };

  linkFarm =
    name: entries:
    let
      list =
        if builtins.isAttrs entries then
          lib.mapAttrsToList (name: path: { inherit name path; }) entries
        else
          entries;
      # Of several entries with one name the last counts.
      byName = builtins.listToAttrs (
        lib.reverseList (map (e: lib.nameValuePair e.name "${e.path}") list)
      );
    in
    writeTree name (
      lib.mapAttrsToList (path: target: {
        inherit path target;
        type = "link";
      }) byName
    )
    // {
      passthru.entries = byName;
    };
  linkFarmFromDrvs = name: drvs: linkFarm name (map (drv: { inherit (drv) name; path = drv; }) drvs);

  buildEnv = lib.makeOverridable (
    {
      name,
      paths,
      pathsToLink ? [ "/" ],
      extraOutputsToInstall ? [ ],
      ignoreCollisions ? false,
      meta ? { },
      passthru ? { },
      extraPrefix ? "",
      postBuild ? "",
      manifest ? "",
    }:
    let
      outputsOf =
        drv:
        if !lib.isDerivation drv then
          [ drv ]
        else
          let
            default =
              drv.meta.outputsToInstall or (
                if drv.outputSpecified or false then [ drv.outputName ] else [ (builtins.head (drv.outputs or [ "out" ])) ]
              );
            extra = builtins.filter (o: builtins.elem o (drv.outputs or [ ]) && !builtins.elem o default) extraOutputsToInstall;
          in
          map (o: drv.${o} or drv) (default ++ extra);
      # For each package: active, priority, number of outputs, their paths.
      derivations = map (
        drv:
        let
          outputs = outputsOf drv;
        in
        [
          "true"
          (toString (drv.meta.priority or 5))
          (toString (builtins.length outputs))
        ]
        ++ map (o: "${o}") outputs
      ) (builtins.filter (p: p != null) (lib.flatten paths));
    in
    if postBuild != "" || extraPrefix != "" || pathsToLink != [ "/" ] || manifest != "" then
      throw "buildEnv: the embedded set's buildEnv (`${name}') links whole packages; it takes no postBuild, extraPrefix, manifest or pathsToLink"
    else
      pkgs.mkBuiltin {
        inherit meta;
        passthru = {
          inherit paths;
        }
        // passthru;
        attrs = {
          inherit name derivations;
          manifest = "";
          builder = "builtin:buildenv";
          preferLocalBuild = true;
          allowSubstitutes = false;
        };
      }
  );

  symlinkJoin =
    args@{
      name ? "${args.pname}-${args.version}",
      paths,
      postBuild ? "",
      meta ? { },
      passthru ? { },
      ...
    }:
    if postBuild == "" then
      buildEnv {
        inherit name paths meta passthru;
      }
    else
      # The tree is of links already; the command may add to it or replace links.
      pkgs.runCommandLocal name { inherit meta passthru; } ''
        cp -R --no-dereference ${
          buildEnv {
            name = "${name}-links";
            inherit paths;
          }
        } $out
        chmod -R u+w $out
        ${postBuild}
      '';
}
