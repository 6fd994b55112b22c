# Files from the network, held to a hash.
{ lib, pkgs }:
{
  fetchurl = lib.makeOverridable (
    {
      url ? builtins.head urls,
      urls ? [ url ],
      name ? baseNameOf (toString url),
      hash ? "",
      sha256 ? "",
      sha512 ? "",
      sha1 ? "",
      executable ? false,
      unpack ? false,
      meta ? { },
      passthru ? { },
    }:
    let
      checksum =
        if hash != "" then
          {
            outputHashAlgo = null;
            outputHash = hash;
          }
        else if sha512 != "" then
          {
            outputHashAlgo = "sha512";
            outputHash = sha512;
          }
        else if sha256 != "" then
          {
            outputHashAlgo = "sha256";
            outputHash = sha256;
          }
        else if sha1 != "" then
          {
            outputHashAlgo = "sha1";
            outputHash = sha1;
          }
        else
          throw "fetchurl: `${url}' needs a hash; give hash = lib.fakeHash once to be told the right one";
    in
    pkgs.mkBuiltin {
      inherit meta passthru;
      attrs = {
        inherit name url urls executable unpack;
        builder = "builtin:fetchurl";
        outputHashMode = if unpack || executable then "recursive" else "flat";
        preferLocalBuild = true;
        impureEnvVars = [
          "http_proxy"
          "https_proxy"
          "ftp_proxy"
          "all_proxy"
          "no_proxy"
        ];
      }
      // checksum;
    }
  );
}
