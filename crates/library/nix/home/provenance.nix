# Why each thing is in the home: the options that led to it, with file and line.
#
# A definition in one of the home modules (say `home.file.".bashrc"`, made by the
# bash module) is put down to the user's own definitions of that module's options.
{
  lib,
  config,
  options,
}:
let
  library = toString ./.. + "/";
  isOurs = file: lib.hasPrefix library (toString file);

  reason =
    option: file: pos:
    {
      inherit option;
      file = toString file;
    }
    // lib.optionalAttrs (pos != null && pos.file == toString file) { inherit (pos) line; };

  # The user's definitions below a set of options, `enable` first.
  userDefinitions =
    set:
    let
      found = lib.concatMap (
        opt:
        map (def: reason (lib.showOption opt.loc) def.file (def.pos or null)) (
          builtins.filter (def: !isOurs def.file) opt.definitionsWithLocations
        )
      ) (lib.collect lib.isOption set);
      isEnable = r: lib.hasSuffix ".enable" r.option;
      split = builtins.partition isEnable found;
    in
    split.right ++ split.wrong;

  # Modules of programs are called as the options they declare.
  becauseOfModule = builtins.listToAttrs (
    map (name: {
      name = "${library}home/modules/programs/${name}.nix";
      value = userDefinitions options.programs.${name};
    }) (builtins.attrNames options.programs)
  );

  because =
    option: def: pos:
    if isOurs def.file then
      becauseOfModule.${toString def.file} or [ ]
    else
      [ (reason option def.file (if pos != null && pos.file == toString def.file then pos else def.pos or null)) ];

  # { name = reasons; } of an option that is a set; members under a false `mkIf` aren't in its value.
  ofMembers =
    opt:
    builtins.intersectAttrs opt.value (lib.zipAttrsWith (_: lib.concatLists) (
      map (
        def:
        lib.mapAttrs (
          name: _: because (lib.showOption (opt.loc ++ [ name ])) def (builtins.unsafeGetAttrPos name def.value)
        ) def.value
      ) opt.definitionsWithLocations
    ));

  keyed = prefix: lib.mapAttrs' (name: lib.nameValuePair "${prefix}:${name}");

  files =
    opt: values:
    lib.mapAttrs' (name: lib.nameValuePair "file:${values.${name}.target}") (ofMembers opt);
  xdg = lib.mergeAttrsList (
    map (kind: files options.xdg.${kind} config.xdg.${kind}) [
      "configFile"
      "dataFile"
      "stateFile"
      "cacheFile"
    ]
  );

  unitKinds = {
    services = "service";
    timers = "timer";
    sockets = "socket";
    paths = "path";
    targets = "target";
    slices = "slice";
    mounts = "mount";
    automounts = "automount";
  };
  unitReasons = lib.concatMapAttrs (
    option: kind: lib.mapAttrs' (name: lib.nameValuePair "${name}.${kind}") (ofMembers options.systemd.user.${option})
  ) unitKinds;
  # Unit files and the links that want them, by the unit's name.
  unitFiles = builtins.listToAttrs (
    lib.concatMap (
      file:
      let
        unit = baseNameOf file.target;
      in
      lib.optional (lib.hasInfix "/systemd/user/" file.target && unitReasons ? ${unit}) (
        lib.nameValuePair "file:${file.target}" unitReasons.${unit}
      )
    ) (builtins.attrValues config.xdg.configFile)
  );

  packages = lib.filterAttrs (_: reasons: reasons != [ ]) (lib.zipAttrsWith (_: reasons: lib.unique (lib.concatLists reasons)) (
    lib.concatMap (
      def:
      map (
        p: { "package:${p.name or (baseNameOf (toString p))}" = because "home.packages" def null; }
      ) def.value
    ) options.home.packages.definitionsWithLocations
  ));

  activation = lib.filterAttrs (_: reasons: reasons != [ ]) (ofMembers options.home.activation);
in
packages
// files options.home.file config.home.file
// xdg
// unitFiles
// keyed "unit" unitReasons
// keyed "activation" activation
// keyed "variable" (ofMembers options.home.sessionVariables)
