# ssh: ~/.ssh/config.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  inherit (config.lib) nival;
  inherit (lib.hm) dag;
  cfg = config.programs.ssh;

  # Directives that take one list; of others, each item is a line (ssh_config(5)).
  commaLists = [
    "CASignatureAlgorithms"
    "Ciphers"
    "HostKeyAlgorithms"
    "HostbasedAcceptedAlgorithms"
    "HostbasedKeyTypes"
    "IgnoreUnknown"
    "KbdInteractiveDevices"
    "KexAlgorithms"
    "MACs"
    "PreferredAuthentications"
    "ProxyJump"
    "PubkeyAcceptedAlgorithms"
    "PubkeyAcceptedKeyTypes"
  ];
  spaceLists = [
    "CanonicalDomains"
    "CanonicalizePermittedCNAMEs"
    "ChannelTimeout"
    "GlobalKnownHostsFile"
    "PermitRemoteOpen"
    "SendEnv"
    "UserKnownHostsFile"
  ];
  forwards = [
    "DynamicForward"
    "LocalForward"
    "RemoteForward"
  ];

  show = v: if builtins.isBool v then lib.hm.booleans.yesNo v else toString v;
  address =
    a:
    if a.port or null == null then
      a.address
    else if a.address == null then
      toString a.port
    else if lib.hasPrefix "/" a.address then
      throw "programs.ssh: a forward has the socket `${a.address}' with the port ${toString a.port}: give either of them"
    else
      "[${a.address}]:${toString a.port}";
  forwardAddress = a: address ({ address = "localhost"; } // a);
  forward =
    f:
    if !builtins.isAttrs f then
      show f
    else if f ? bind then
      lib.concatMapStringsSep " " forwardAddress ([ f.bind ] ++ lib.optional (f.host or { } != { }) f.host)
    else
      forwardAddress f;

  directive =
    indent: name: value:
    let
      values = lib.toList value;
      line = v: "${indent}${name} ${v}";
    in
    if value == null || value == [ ] || value == { } then
      [ ]
    else if lib.elem name commaLists then
      [ (line (lib.concatMapStringsSep "," show values)) ]
    else if lib.elem name spaceLists then
      [ (line (lib.concatMapStringsSep " " show values)) ]
    else if lib.elem name forwards then
      map (f: line (forward f)) values
    else if name == "SetEnv" && builtins.isAttrs value then
      [ (line (lib.concatStringsSep " " (lib.mapAttrsToList (n: v: "${n}=${builtins.toJSON (toString v)}") value))) ]
    else
      map (v: line (show v)) values;

  block =
    settings:
    let
      directives = removeAttrs settings [ "header" ];
      # IgnoreUnknown counts for what comes after it.
      names = lib.sortOn (n: if n == "IgnoreUnknown" then "" else n) (builtins.attrNames directives);
    in
    lib.concatStringsSep "\n" ([ settings.header ] ++ lib.concatMap (n: directive "  " n directives.${n}) names);

  header = name: if lib.hasPrefix "Host " name || lib.hasPrefix "Match " name then name else "Host ${name}";
  settingsType = types.submodule (
    { dagName, ... }:
    {
      freeformType = types.attrsOf types.anything;
      options.header = mkOption {
        type = types.str;
        default = header dagName;
        defaultText = lib.literalMD "The name, after `Host` unless it starts with `Host` or `Match`.";
        description = "The line that opens the block.";
      };
    }
  );

  # Home Manager's older names of directives.
  old = import ./ssh-match-block.nix { inherit lib; };

  blocks =
    let
      sorted = dag.topoSort (removeAttrs cfg.settings [ "*" ]);
    in
    map (b: b.data) (
      sorted.result or (throw "programs.ssh.settings: the blocks ${
        lib.concatMapStringsSep ", " (b: "`${b.name}'") sorted.cycle
      } each want to come before another of them")
    )
    ++ lib.optional (cfg.settings ? "*") cfg.settings."*".data;
  sections =
    lib.optional (cfg.extraOptionOverrides != { } || cfg.includes != [ ]) (
      lib.concatStringsSep "\n" (
        lib.concatLists (lib.mapAttrsToList (directive "") cfg.extraOptionOverrides)
        ++ lib.optional (cfg.includes != [ ]) "Include ${lib.concatStringsSep " " cfg.includes}"
      )
    )
    ++ map block blocks
    ++ lib.optional (cfg.extraConfig != "") (nival.indent cfg.extraConfig);
in
{
  imports = lib.mapAttrsToList (
    name: directive: lib.mkRenamedOptionModule [ "programs" "ssh" name ] [ "programs" "ssh" "settings" "*" directive ]
  ) (lib.getAttrs old.formerlyGlobal old.names);

  options.programs.ssh = {
    enable = lib.mkEnableOption "SSH client configuration";
    package = mkOption {
      type = types.nullOr types.package;
      default = null;
      description = "The OpenSSH package; `null` means the host's own.";
    };
    settings = mkOption {
      type = lib.hm.types.dagOf settingsType;
      default = { };
      example = {
        "build.example.org" = {
          User = "builder";
          Port = 2222;
        };
      };
      description = ''
        Blocks of directives, by host pattern, with ssh's own names. They can be put in
        order with `lib.hm.dag`; the block `*` is always last.
      '';
    };
    matchBlocks = mkOption {
      type = lib.hm.types.dagOf old.type;
      default = { };
      example = {
        "build.example.org".user = "builder";
      };
      description = "Blocks of directives with Home Manager's older names. `settings` is newer.";
    };
    includes = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "~/.ssh/work" ];
      description = "Files to include.";
    };
    extraConfig = nival.textOption "Text at the end, which counts for the block `*`.";
    extraOptionOverrides = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      description = "Directives before all blocks.";
    };
    enableDefaultConfig = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the block `*` states OpenSSH's own defaults, as Home Manager does.";
    };
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.extraConfig == "" || cfg.settings ? "*";
        message = "programs.ssh.extraConfig is given, but there is no block `*' for it: set programs.ssh.settings.\"*\".";
      }
    ];
    home.packages = nival.packages cfg.package;
    programs.ssh.settings = lib.mkMerge [
      (lib.mapAttrs (name: entry: entry // { data = old.directives header name entry.data; }) cfg.matchBlocks)
      (mkIf cfg.enableDefaultConfig {
        "*" = lib.mapAttrs (_: lib.mkDefault) {
          ForwardAgent = false;
          AddKeysToAgent = "no";
          Compression = false;
          ServerAliveInterval = 0;
          ServerAliveCountMax = 3;
          HashKnownHosts = false;
          UserKnownHostsFile = "~/.ssh/known_hosts";
          ControlMaster = "no";
          ControlPath = "~/.ssh/master-%r@%n:%p";
          ControlPersist = "no";
        };
      })
    ];
    home.file.".ssh/config".text = lib.optionalString (sections != [ ]) (lib.concatStringsSep "\n\n" sections + "\n");
  };
}
