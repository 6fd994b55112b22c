# Overridable functions and package sets.
{ lib }:
let
  inherit (lib) functionArgs isFunction setFunctionArgs;
in
rec {
  overrideDerivation =
    drv: f:
    let
      new = derivation (drv.drvAttrs // f drv);
    in
    lib.flip (extendDerivation (builtins.seq drv.drvPath true)) new (
      {
        meta = drv.meta or { };
        passthru = drv.passthru or { };
      }
      // (drv.passthru or { })
    );

  makeOverridable =
    f:
    let
      mirror = lib.mirrorFunctionArgs f;
    in
    mirror (
      origArgs:
      let
        result = f origArgs;
        overrideWith = new: origArgs // (if isFunction new then new origArgs else new);
        overrideArgs = mirror (new: makeOverridable f (overrideWith new));
        onResult = g: makeOverridable (mirror (args: g (f args))) origArgs;
      in
      if builtins.isAttrs result then
        result
        // {
          override = overrideArgs;
          overrideDerivation = g: onResult (r: overrideDerivation r g);
        }
        // lib.optionalAttrs (result ? overrideAttrs) {
          overrideAttrs = g: onResult (r: r.overrideAttrs g);
        }
      else if isFunction result then
        setFunctionArgs result (functionArgs result) // { override = overrideArgs; }
      else
        result
    );

  callPackageWith =
    autoArgs: fn: args:
    let
      f = if isFunction fn then fn else import fn;
      wanted = functionArgs f;
      found = builtins.intersectAttrs wanted autoArgs // args;
      missing = builtins.filter (name: !(wanted.${name} || found ? ${name})) (builtins.attrNames wanted);
      place =
        name:
        let
          pos = builtins.unsafeGetAttrPos name wanted;
        in
        if pos != null then
          " at ${pos.file}:${toString pos.line}"
        else if !isFunction fn then
          " in ${toString fn}"
        else
          "";
      first = builtins.head missing;
      hint = autoArgs.__missingAttributeHint or "";
    in
    if missing == [ ] then
      makeOverridable f found
    else
      throw "callPackage: Function called without required argument \"${first}\"${place first}${
        lib.options.didYouMean (name: "\"${name}\"") first (builtins.attrNames (autoArgs // args))
      }${lib.optionalString (hint != "") "\n\n${hint}"}";

  callPackagesWith =
    autoArgs: fn: args:
    let
      f = if isFunction fn then fn else import fn;
      found = builtins.intersectAttrs (functionArgs f) autoArgs // args;
      pkgs = f found;
      overridable = name: newArgs: makeOverridable (a: (f a).${name}) newArgs;
    in
    lib.mapAttrs (name: _: overridable name found) pkgs;

  extendDerivation =
    condition: passthru: drv:
    let
      outputs = drv.outputs or [ "out" ];
      common =
        drv
        // builtins.listToAttrs outputsList
        // { all = map (o: o.value) outputsList; }
        // passthru;
      outputsList = map (name: {
        inherit name;
        value =
          common
          // {
            inherit (drv.${name}) type outputName;
            outputSpecified = true;
            drvPath = assert condition; drv.${name}.drvPath;
            outPath = assert condition; drv.${name}.outPath;
          };
      }) outputs;
    in
    common
    // {
      drvPath = assert condition; drv.drvPath;
      outPath = assert condition; drv.outPath;
    };

  hydraJob = drv: drv;

  makeScope =
    newScope: f:
    let
      self = f self // {
        newScope = scope: newScope (self // scope);
        callPackage = self.newScope { };
        overrideScope = g: makeScope newScope (lib.extends g f);
        packages = f;
      };
    in
    self;
}
