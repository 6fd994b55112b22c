# Makes the flakes of a lock file's nodes, and gives the first of them.
#
# `trees` has what was fetched already, `embedded` the inputs that are parts of the program, both by node; the rest is
# fetched by `fetch` when it is asked for.
lockFile: trees: embedded: fetch:
let
  inherit (builtins) fromJSON;

  locks = fromJSON lockFile;

  # The node that an input is: its name, or the way to it from the first node.
  nodeOf = input: if builtins.isList input then builtins.foldl' step locks.root input else input;
  step = node: name: nodeOf locks.nodes.${node}.inputs.${name};

  below = folder: subdir: if subdir == "" then folder else folder + "/" + subdir;

  sources = builtins.mapAttrs (
    name: node:
    let
      path = node.locked.path or "";
      isRelative = node.locked.type or "" == "path" && builtins.substring 0 1 path != "/";
      parent = sources.${nodeOf node.parent};

      sourceInfo =
        if trees ? ${name} then
          trees.${name}.sourceInfo
        else if isRelative then
          parent.sourceInfo
        else
          fetch (node.info or { } // removeAttrs node.locked [ "dir" ]);

      outPath =
        if isRelative && !(trees ? ${name}) then
          below parent.outPath path
        else
          below sourceInfo.outPath (trees.${name}.dir or node.locked.dir or "");

      flake = import (outPath + "/flake.nix");
      inputs = builtins.mapAttrs (_: input: sources.${nodeOf input}.result) (node.inputs or { });
      outputs = flake.outputs (inputs // { self = result; });
      result =
        outputs
        // sourceInfo
        // {
          inherit
            outPath
            inputs
            outputs
            sourceInfo
            ;
          _type = "flake";
        };
    in
    if embedded ? ${name} then
      { result = import embedded.${name} { }; }
    else
      {
        inherit outPath sourceInfo;
        result =
          if node.flake or true then
            assert builtins.isFunction flake.outputs;
            result
          else
            sourceInfo // { inherit sourceInfo outPath; };
      }
  ) locks.nodes;
in
sources.${locks.root}.result
