# `<nix/fetchurl.nix>`: a derivation that the store fetches by itself, without a shell.
# The attributes are those of the reference, as they are part of the derivation's hash.
{
  url,
  name ? baseNameOf (toString url),
  executable ? false,
  unpack ? false,
  impure ? false,
  system ? "", # accepted and not used
  hash ? "",
  md5 ? "",
  sha1 ? "",
  sha256 ? "",
  sha512 ? "",
  outputHash ? builtins.head (
    builtins.filter (given: given != "") [ hash sha512 sha1 md5 ] ++ [ sha256 ]
  ),
  outputHashAlgo ?
    if hash != "" then ""
    else if sha512 != "" then "sha512"
    else if sha1 != "" then "sha1"
    else if md5 != "" then "md5"
    else "sha256",
}:
derivation (
  {
    inherit name url executable unpack;
    urls = [ url ];
    system = "builtin";
    builder = "builtin:fetchurl";
    outputHashMode = if executable || unpack then "recursive" else "flat";
    preferLocalBuild = true;
    impureEnvVars = [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" ];
  }
  // (if impure then { __impure = true; } else { inherit outputHash outputHashAlgo; })
)
