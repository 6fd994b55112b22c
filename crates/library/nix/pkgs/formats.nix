# Typed settings with the file they are written to, as `pkgs.formats` in nixpkgs.
{ lib, pkgs }:
let
  inherit (lib) types;
  scalar = types.oneOf [
    types.bool
    types.int
    types.float
    types.str
  ];
  atom = name: types.nullOr scalar // { description = "${name} atom (null, bool, int, float or string)"; };
  # A list becomes several lines of one key, or a text.
  keyed =
    {
      listsAsDuplicateKeys,
      listToValue,
      name,
    }:
    if listsAsDuplicateKeys then
      types.coercedTo (atom name) lib.singleton (types.listOf (atom name))
      // {
        description = "${name} atom or a list of them for duplicate keys";
      }
    else if listToValue != null then
      types.coercedTo (atom name) lib.singleton (types.nonEmptyListOf (atom name)) // { description = "${name} atom or a non-empty list of them"; }
    else
      atom name;
  joinLists = listToValue: builtins.mapAttrs (_: v: if listToValue != null && builtins.isList v then listToValue v else v);
in
rec {
  json =
    { }:
    {
      type = lib.types.json;
      generate = name: value: pkgs.writeText name (builtins.toJSON value + "\n");
    };
  # JSON is a subset of YAML.
  yaml = { }: json { } // { type = types.serializableValueWith { typeName = "YAML"; }; };
  toml =
    { }:
    {
      type = types.toml;
      generate = name: value: pkgs.writeText name (lib.generators.toTOML { } value);
    };
  ini =
    {
      listsAsDuplicateKeys ? false,
      listToValue ? null,
      ...
    }@args:
    {
      type = types.attrsOf (types.attrsOf (keyed {
        inherit listsAsDuplicateKeys listToValue;
        name = "INI";
      }));
      generate =
        name: value:
        pkgs.writeText name (
          lib.generators.toINI (removeAttrs args [ "listToValue" ]) (builtins.mapAttrs (_: joinLists listToValue) value)
        );
    };
  keyValue =
    {
      listsAsDuplicateKeys ? false,
      listToValue ? null,
      ...
    }@args:
    {
      type = types.attrsOf (keyed {
        inherit listsAsDuplicateKeys listToValue;
        name = "key-value";
      });
      generate =
        name: value:
        pkgs.writeText name (lib.generators.toKeyValue (removeAttrs args [ "listToValue" ]) (joinLists listToValue value));
    };
  gitIni =
    { }:
    let
      value = types.either scalar (types.listOf scalar);
    in
    {
      type = types.attrsOf (types.attrsOf (types.either value (types.attrsOf value)));
      generate = name: value: pkgs.writeText name (lib.generators.toGitINI value);
    };
}
