# Home Manager's names of ssh's directives (`programs.ssh.matchBlocks`), and what they stand for.
{ lib }:
let
  inherit (lib) mkOption types;
  names = {
    addKeysToAgent = "AddKeysToAgent";
    addressFamily = "AddressFamily";
    certificateFile = "CertificateFile";
    checkHostIP = "CheckHostIP";
    compression = "Compression";
    controlMaster = "ControlMaster";
    controlPath = "ControlPath";
    controlPersist = "ControlPersist";
    dynamicForwards = "DynamicForward";
    forwardAgent = "ForwardAgent";
    forwardX11 = "ForwardX11";
    forwardX11Trusted = "ForwardX11Trusted";
    hashKnownHosts = "HashKnownHosts";
    hostname = "HostName";
    identitiesOnly = "IdentitiesOnly";
    identityAgent = "IdentityAgent";
    identityFile = "IdentityFile";
    kexAlgorithms = "KexAlgorithms";
    localForwards = "LocalForward";
    port = "Port";
    proxyCommand = "ProxyCommand";
    proxyJump = "ProxyJump";
    remoteForwards = "RemoteForward";
    sendEnv = "SendEnv";
    serverAliveCountMax = "ServerAliveCountMax";
    serverAliveInterval = "ServerAliveInterval";
    setEnv = "SetEnv";
    user = "User";
    userKnownHostsFile = "UserKnownHostsFile";
  };
  lists = [
    "certificateFile"
    "dynamicForwards"
    "identityAgent"
    "identityFile"
    "localForwards"
    "remoteForwards"
    "sendEnv"
  ];
  scalar = types.oneOf [
    types.str
    types.int
    types.bool
    types.path
  ];
  option =
    name: directive:
    mkOption {
      type = types.nullOr (
        if name == "setEnv" then
          types.attrsOf (types.either types.str types.int)
        else if name == "port" then
          types.port
        else if lib.elem name lists then
          types.coercedTo scalar lib.singleton (types.listOf (types.either scalar (types.attrsOf types.anything)))
        else if name == "kexAlgorithms" then
          types.listOf types.str
        else
          scalar
      );
      default = null;
      description = "ssh's `${directive}`.";
    };
in
{
  inherit names;
  # These were once options of `programs.ssh` itself.
  formerlyGlobal = [
    "addKeysToAgent"
    "compression"
    "controlMaster"
    "controlPath"
    "controlPersist"
    "forwardAgent"
    "hashKnownHosts"
    "serverAliveCountMax"
    "serverAliveInterval"
    "userKnownHostsFile"
  ];
  type = types.submodule {
    options = lib.mapAttrs option names // {
      host = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "*.example.org";
        description = "The hosts that the block is for; `null` means its name.";
      };
      match = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "host example.org exec \"true\"";
        description = "The condition of a `Match` block.";
      };
      extraOptions = mkOption {
        type = types.attrsOf types.str;
        default = { };
        description = "Further directives, with ssh's own names.";
      };
    };
  };

  directives =
    header: name: block:
    lib.filterAttrs (_: v: v != null) (
      lib.mapAttrs' (old: directive: lib.nameValuePair directive block.${old}) names
    )
    // block.extraOptions
    // {
      header =
        if block.match != null then
          "Match ${block.match}"
        else if block.host != null then
          "Host ${block.host}"
        else
          header name;
    };
}
