# Calls a flake's outputs function with its inputs. Only the library in the binary can be an input so far.
{ source, embedded }:
let
  flake = import (source + "/flake.nix");

  declared = flake.inputs or { };
  # An input that only the outputs function names stands for the registry entry of that name.
  implied = removeAttrs (builtins.functionArgs flake.outputs) [ "self" ];

  url = name: declared.${name}.url or name;

  resolve =
    name:
    if declared ? ${name}.follows then
      resolve declared.${name}.follows
    else if url name == "nival" || url name == "flake:nival" then
      embedded
    else
      throw ''
        flake input '${name}' is '${url name}', and inputs are not fetched yet
        hint: the library in the binary is an input without fetching: `inputs.${name}.url = "nival"`
        hint: a checkout on this machine can be imported by its path, with `--impure`, or from a plain home.nix with `-I ${name}=DIR`'';

  inputs = builtins.mapAttrs (name: _: resolve name) (implied // declared) // {
    inherit self;
  };

  outputs = flake.outputs inputs;

  sourceInfo = {
    outPath = source;
  };

  self =
    outputs
    // sourceInfo
    // {
      inherit outputs sourceInfo;
      inputs = removeAttrs inputs [ "self" ];
      _type = "flake";
    };
in
if !(flake ? outputs) then
  throw "flake '${source}' has no attribute 'outputs'"
else if !(builtins.isFunction flake.outputs) then
  throw "the attribute 'outputs' of flake '${source}' is not a function"
else
  self
