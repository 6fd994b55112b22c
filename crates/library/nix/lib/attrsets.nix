# Attribute sets.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    elemAt
    filter
    foldl'
    head
    isAttrs
    length
    listToAttrs
    mapAttrs
    zipAttrsWith
    ;
in
rec {
  inherit (builtins)
    attrNames
    attrValues
    catAttrs
    getAttr
    hasAttr
    intersectAttrs
    isAttrs
    listToAttrs
    mapAttrs
    removeAttrs
    zipAttrsWith
    ;

  attrByPath =
    path: default: set:
    let
      len = length path;
      go =
        n: s:
        if n == len then
          s
        else if s ? ${elemAt path n} then
          go (n + 1) s.${elemAt path n}
        else
          default;
    in
    go 0 set;
  hasAttrByPath =
    path: set:
    let
      len = length path;
      go = n: s: n == len || (s ? ${elemAt path n} && go (n + 1) s.${elemAt path n});
    in
    go 0 set;
  longestValidPathPrefix =
    path: set:
    let
      len = length path;
      go = n: s: if n < len && s ? ${elemAt path n} then go (n + 1) s.${elemAt path n} else lib.take n path;
    in
    go 0 set;
  setAttrByPath =
    path: value:
    let
      len = length path;
      go = n: if n == len then value else { ${elemAt path n} = go (n + 1); };
    in
    go 0;
  getAttrFromPath =
    path: set: attrByPath path (throw ("cannot find attribute '" + builtins.concatStringsSep "." path + "'")) set;

  attrVals = names: set: map (name: set.${name}) names;
  getAttrs = names: set: genAttrs names (name: set.${name});
  filterAttrs = pred: set: removeAttrs set (filter (name: !pred name set.${name}) (attrNames set));
  filterAttrsRecursive =
    pred: set:
    mapAttrs (_: v: if isAttrs v then filterAttrsRecursive pred v else v) (filterAttrs pred set);
  foldlAttrs =
    f: init: set:
    foldl' (acc: name: f acc name set.${name}) init (attrNames set);
  foldAttrs =
    op: nul: sets:
    mapAttrs (_: lib.foldr op nul) (zipAttrs sets);
  collect =
    pred: value:
    if pred value then
      [ value ]
    else if isAttrs value then
      concatMap (collect pred) (builtins.attrValues value)
    else
      [ ];

  nameValuePair = name: value: { inherit name value; };
  mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  attrsToList = mapAttrsToList nameValuePair;
  concatMapAttrs = f: set: foldl' (acc: name: acc // f name set.${name}) { } (attrNames set);
  mapAttrsRecursive = mapAttrsRecursiveCond (_: true);
  mapAttrsRecursiveCond =
    cond: f: set:
    let
      go =
        path:
        mapAttrs (
          name: value: if isAttrs value && cond value then go (path ++ [ name ]) value else f (path ++ [ name ]) value
        );
    in
    go [ ] set;
  mapAttrsToListRecursive = mapAttrsToListRecursiveCond (_: _: true);
  mapAttrsToListRecursiveCond =
    cond: f: set:
    let
      go =
        path: value:
        if isAttrs value && cond path value then
          concatMap (name: go (path ++ [ name ]) value.${name}) (attrNames value)
        else
          [ (f path value) ];
    in
    go [ ] set;

  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  genAttrs' = xs: f: listToAttrs (map f xs);
  optionalAttrs = condition: set: if condition then set else { };
  zipAttrsWithNames =
    names: f: sets:
    listToAttrs (map (name: nameValuePair name (f name (builtins.catAttrs name sets))) names);
  zipAttrs = zipAttrsWith (_: values: values);
  mergeAttrsList =
    list:
    let
      go =
        from: to:
        if to - from > 1 then
          let
            middle = from + (to - from) / 2;
          in
          go from middle // go middle to
        else
          elemAt list from;
    in
    if list == [ ] then { } else go 0 (length list);

  recursiveUpdateUntil =
    pred: lhs: rhs:
    let
      go =
        path:
        zipAttrsWith (
          name: values:
          let
            here = path ++ [ name ];
          in
          if length values == 1 || pred here (elemAt values 1) (head values) then head values else go here values
        );
    in
    go [ ] [
      rhs
      lhs
    ];
  recursiveUpdate =
    lhs: rhs:
    lhs
    // mapAttrs (
      name: value: if isAttrs value && isAttrs (lhs.${name} or null) then recursiveUpdate lhs.${name} value else value
    ) rhs;
  matchAttrs =
    pattern: set:
    builtins.all (
      name:
      set ? ${name}
      && (
        if isAttrs pattern.${name} then
          isAttrs set.${name} && matchAttrs pattern.${name} set.${name}
        else
          pattern.${name} == set.${name}
      )
    ) (attrNames pattern);
  overrideExisting = old: new: mapAttrs (name: value: new.${name} or value) old;
  showAttrPath =
    path:
    if path == [ ] then
      "<root attribute path>"
    else
      builtins.concatStringsSep "." (map lib.strings.escapeNixIdentifier path);

  updateManyAttrsByPath =
    let
      go =
        prefix: hasValue: value: updates:
        let
          split = builtins.partition (u: length u.path == prefix) updates;
          nested = builtins.groupBy (u: elemAt u.path prefix) split.wrong;
          withNested =
            if nested == { } then
              value
            else if hasValue && !isAttrs value then
              throw "updateManyAttrsByPath: ${showAttrPath (lib.take prefix (head split.wrong).path)} isn't an attribute set"
            else
              let
                base = if hasValue then value else { };
              in
              base // mapAttrs (name: go (prefix + 1) (base ? ${name}) (base.${name} or null)) nested;
          missing = throw "updateManyAttrsByPath: ${showAttrPath (head split.right).path} doesn't exist in the set";
        in
        foldl' (acc: u: u.update acc) (if hasValue || nested != { } then withNested else missing) split.right;
    in
    updates: value: if updates == [ ] then value else go 0 true value updates;

  cartesianProduct =
    sets:
    foldl' (acc: name: concatMap (set: map (value: set // { ${name} = value; }) sets.${name}) acc) [ { } ] (attrNames sets);
  mapCartesianProduct = f: sets: map f (cartesianProduct sets);

  isDerivation = value: value.type or null == "derivation";
  toDerivation =
    path:
    let
      path' = builtins.storePath path;
      result = {
        type = "derivation";
        name = lib.strings.sanitizeDerivationName (builtins.substring 33 (-1) (baseNameOf path'));
        outPath = path';
        outputs = [ "out" ];
        out = result;
        outputName = "out";
      };
    in
    result;
  getOutput =
    output: pkg: if !pkg ? outputSpecified || !pkg.outputSpecified then pkg.${output} or pkg.out or pkg else pkg;
  getFirstOutput =
    candidates: pkg:
    let
      found = lib.findFirst (name: pkg ? ${name}) null candidates;
    in
    if pkg.outputSpecified or false || found == null then pkg else pkg.${found};
  getBin = getOutput "bin";
  getLib = getOutput "lib";
  getStatic = getFirstOutput [
    "static"
    "lib"
    "out"
  ];
  getDev = getOutput "dev";
  getInclude = getFirstOutput [
    "include"
    "dev"
    "out"
  ];
  getMan = getOutput "man";
  chooseDevOutputs = map getDev;
  recurseIntoAttrs = set: set // { recurseForDerivations = true; };
  dontRecurseIntoAttrs = set: set // { recurseForDerivations = false; };
}
