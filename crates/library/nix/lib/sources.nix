# Choosing which files of a folder become a source.
{ lib }:
rec {
  inherit (builtins) filterSource;
  pathHasContext = builtins.hasContext or (_: false);
  canCleanSource = src: src ? _isLibCleanSourceWith || !pathHasContext (toString src);

  cleanSourceFilter =
    name: type:
    let
      base = baseNameOf (toString name);
    in
    !(
      builtins.elem base [
        ".git"
        ".svn"
        "CVS"
        ".hg"
        ".jj"
        ".pijul"
        "_darcs"
      ]
      || lib.hasSuffix "~" base
      || builtins.match "^\\.sw[a-z]$" base != null
      || builtins.match "^\\..*\\.sw[a-z]$" base != null
      || (type != "directory" && (lib.hasSuffix ".o" base || lib.hasSuffix ".so" base))
      || (type == "symlink" && lib.hasPrefix "result" base)
      || type == "unknown"
    );

  cleanSource = src: cleanSourceWith { filter = cleanSourceFilter; inherit src; };

  cleanSourceWith =
    {
      filter ? _: _: true,
      src,
      name ? null,
    }:
    let
      inner = src._isLibCleanSourceWith or false;
      origSrc = if inner then src.origSrc else src;
      filter' = if inner then path: type: filter path type && src.filter path type else filter;
      name' =
        if name != null then
          name
        else if inner then
          src.name
        else
          "source";
    in
    {
      _isLibCleanSourceWith = true;
      inherit origSrc;
      filter = filter';
      name = name';
      outPath = builtins.path {
        filter = filter';
        path = origSrc;
        name = name';
      };
    };

  sourceByRegex =
    src: regexes:
    let
      origSrc = if src._isLibCleanSourceWith or false then src.origSrc else src;
    in
    cleanSourceWith {
      inherit src;
      filter =
        path: _:
        let
          relative = lib.removePrefix (toString origSrc + "/") (toString path);
        in
        builtins.any (re: builtins.match re relative != null) regexes;
    };

  sourceFilesBySuffices =
    src: suffixes:
    cleanSourceWith {
      inherit src;
      filter =
        name: type: type == "directory" || builtins.any (s: lib.hasSuffix s (baseNameOf (toString name))) suffixes;
    };

  pathIsGitRepo = path: builtins.pathExists (path + "/.git");
}
