/**
  `derivation`: a set that describes a build, with the paths of what it builds.

  All but these paths is known without making the derivation: `derivationStrict`, which does that, is not
  called before one of them is asked for. So a package set can be walked for names and
  descriptions at little cost, and packages may refer to each
  other.

  # What it is given

  A set with `name`, `system` and `builder`. All of its attributes become variables of the builder's
  environment, but for those that `derivationStrict` treats specially.

  # What it gives

  The set with these besides:

  - for each output a set like this one, for that output
  - `all`: a list of these
  - `drvAttrs`: what was given
  - `outPath`, `drvPath`: where the output and the derivation are
  - `type`, by which other functions know that it is a derivation
  - `outputName`: which of the outputs it is

  # Cost

  `strict` is made once, for all outputs, and only when a path is asked for.

  # Places

  Traces of errors show the lines around `strict` and `outPath`, and `toXML` tells where attributes are.
  That is a part of what programs print, and so these stand in the lines where C++ Nix 2.34 shows them.
*/
drvAttrs@{ outputs ? [ "out" ], ... }:
let

  strict = derivationStrict drvAttrs;

  # What the sets of all outputs have in common: what was given, and these sets, by name and in a list.
  commonAttrs =
    drvAttrs // builtins.listToAttrs byName
    // {
      all = map (output: output.value) byName;
      inherit drvAttrs;
    };
  # One set for each output, with its name, in the form that `listToAttrs` takes.
  byName = map (outputName: {
    name = outputName;
    value = commonAttrs // {
      outPath = builtins.getAttr outputName strict;
      drvPath = strict.drvPath;
      type = "derivation";
      inherit outputName;
    };
  }) outputs;
in
(builtins.head byName).value
