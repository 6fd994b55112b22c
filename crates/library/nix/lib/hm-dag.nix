# Steps with an order between them.
{ lib }:
let
  inherit (builtins)
    attrNames
    attrValues
    elem
    filter
    head
    length
    mapAttrs
    tail
    ;
in
rec {
  empty = { };
  isEntry = e: e ? data && e ? after && e ? before;
  isDag = dag: builtins.isAttrs dag && builtins.all isEntry (attrValues dag);

  # { result = [ { name; data; } … ]; } or { cycle; loops; }.
  topoSort =
    dag:
    let
      nodes = mapAttrs (name: entry: {
        inherit name;
        inherit (entry) data;
        after = entry.after ++ filter (other: elem name dag.${other}.before) (attrNames dag);
      }) dag;
      sorted = lib.toposort (a: b: elem a.name b.after) (attrValues nodes);
    in
    if sorted ? result then { result = builtins.map (n: { inherit (n) name data; }) sorted.result; } else sorted;

  map = f: mapAttrs (name: entry: entry // { data = f name entry.data; });

  entryBetween = before: after: data: { inherit data before after; };
  entryAnywhere = entryBetween [ ] [ ];
  entryAfter = entryBetween [ ];
  entryBefore = before: entryBetween before [ ];

  entriesBetween =
    tag: before: after: datas:
    let
      go =
        n: after: datas:
        let
          name = "${tag}-${toString n}";
        in
        if datas == [ ] then
          empty
        else if length datas == 1 then
          { ${name} = entryBetween before after (head datas); }
        else
          { ${name} = entryAfter after (head datas); } // go (n + 1) [ name ] (tail datas);
    in
    go 0 after datas;
  entriesAnywhere = tag: entriesBetween tag [ ] [ ];
  entriesAfter = tag: entriesBetween tag [ ];
  entriesBefore = tag: before: entriesBetween tag before [ ];
}
