# What `store_facts.json` was recorded from, with `nix-instantiate` of C++ Nix 2.34.8.
let
  text = builtins.toFile "note" "a note\n";
  first = derivation {
    name = "first";
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-c" "echo > $out" ];
    outputs = [ "out" "doc" ];
    inherit text;
  };
  fixed = derivation {
    name = "fixed";
    system = "builtin";
    builder = "builtin:fetchurl";
    url = "https://example.org/x";
    outputHash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    outputHashMode = "flat";
  };
  structured = derivation {
    name = "structured";
    system = "x86_64-linux";
    builder = "/bin/sh";
    __structuredAttrs = true;
    list = [ 1 "two" first ];
    set.quote = "\"\n\t";
  };
in
derivation {
  name = "top";
  system = "x86_64-linux";
  builder = "${first}/bin/x";
  doc = first.doc;
  inherit fixed structured;
  src = ./source;
  script = "line\n\"quoted\" \\ \ttab";
}
