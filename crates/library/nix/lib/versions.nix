# Version numbers.
{ lib }:
rec {
  inherit (builtins) compareVersions splitVersion;
  major = v: builtins.elemAt (splitVersion v) 0;
  minor = v: builtins.elemAt (splitVersion v) 1;
  patch = v: builtins.elemAt (splitVersion v) 2;
  majorMinor = v: builtins.concatStringsSep "." (lib.take 2 (splitVersion v));
  pad =
    n: version:
    let
      parts = lib.splitString "-" version;
      numbers = lib.take n (lib.splitString "." (builtins.head parts));
      suffix = lib.optionalString (builtins.length parts > 1) ("-" + builtins.concatStringsSep "-" (builtins.tail parts));
    in
    builtins.concatStringsSep "." (numbers ++ builtins.genList (_: "0") (n - builtins.length numbers)) + suffix;
}
