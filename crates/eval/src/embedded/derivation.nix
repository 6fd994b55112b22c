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

  # Places

  Errors and `unsafeGetAttrPos` show lines and columns of this text. They are part of what programs print,
  and so the attributes and calls below stand where C++ Nix 2.34 has its own.
*/
drvAttrs@{
  outputs ? [ "out" ],
  ...
}:

let

  strict = derivationStrict drvAttrs;

  commonAttrs =
    drvAttrs
    // (builtins.listToAttrs views)
    // {
      all = map (view: view.value) views;
      inherit drvAttrs;
    };

  viewOf = outputName: {
    name = outputName;
    value = commonAttrs // {
      outPath = builtins.getAttr outputName strict;
      drvPath = strict.drvPath;
      type = "derivation";
      inherit outputName;
    };
  };

  views = map viewOf outputs;

in
(builtins.head views).value
