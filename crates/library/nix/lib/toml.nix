# TOML 1.0 text of a value, as <https://toml.io/en/v1.0.0> has it.
{ lib }:
let
  inherit (builtins)
    concatStringsSep
    filter
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    match
    ;
  isTable = v: isAttrs v && !lib.isDerivation v && !(v ? __toString);
  isTableList = v: isList v && v != [ ] && builtins.all isTable v;
  # A TOML basic string escapes as JSON does, but that DEL must be escaped too.
  string = s: builtins.toJSON s;
  key = name: if match "[A-Za-z0-9_-]+" name != null then name else string name;
  path = concatStringsSep ".";
  float =
    x:
    let
      text = builtins.toJSON x;
    in
    if match "-?[0-9]+" text != null then "${text}.0" else text;
  inline =
    place: v:
    if isString v || isPath v || lib.isDerivation v || v ? __toString then
      string (toString v)
    else if isBool v then
      lib.boolToString v
    else if isInt v then
      toString v
    else if isFloat v then
      float v
    else if isList v then
      "[${lib.concatImapStringsSep ", " (n: inline "${place}[${toString (n - 1)}]") v}]"
    else if isTable v then
      if v == { } then
        "{}"
      else
        "{ ${concatStringsSep ", " (lib.mapAttrsToList (n: x: "${key n} = ${inline "${place}.${n}" x}") (withoutNull v))} }"
    else
      throw "toTOML: ${place} is ${
        if v == null then "null" else "a ${builtins.typeOf v}"
      }, which TOML has no form for";
  withoutNull = lib.filterAttrs (_: v: v != null);
  # The blocks (header and keys) of a table and of the tables below it.
  # `header` is null at the top; one of a list of tables always has its own.
  blocks =
    header: prefix: set:
    let
      names = builtins.attrNames set;
      below = name: isTable set.${name} || isTableList set.${name};
      keys = map (name: "${key name} = ${inline (path (prefix ++ [ name ])) set.${name}}") (
        filter (name: !below name) names
      );
      child =
        name:
        let
          here = prefix ++ [ (key name) ];
          value = set.${name};
        in
        if isTable value then
          blocks "[${path here}]" here (withoutNull value)
        else
          lib.concatMap (x: blocks "[[${path here}]]" here (withoutNull x)) value;
      children = lib.concatMap child (filter below names);
      # A table that only holds tables needs no header.
      needed = keys != [ ] || children == [ ] || lib.hasPrefix "[[" header;
      own = if header == null then keys else lib.optionals needed ([ header ] ++ keys);
    in
    lib.optional (own != [ ]) (concatStringsSep "\n" own) ++ children;
  render =
    set:
    let
      all = blocks null [ ] (withoutNull set);
    in
    if all == [ ] then "" else concatStringsSep "\n\n" all + "\n";
in
v: if isTable v then render v else throw "toTOML: the top of a TOML file is a table, not a ${builtins.typeOf v}"
