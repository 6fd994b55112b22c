# git: ~/.config/git/{config,ignore,attributes}.
{
  config,
  lib,
  nivalPkgs,
  pkgs,
  ...
}:
let
  inherit (lib) literalExpression mkDefault mkIf mkOption types;
  inherit (config.lib) nival;
  cfg = config.programs.git;

  scalar = types.oneOf [
    types.str
    types.bool
    types.int
  ];
  value = types.either scalar (types.listOf scalar);
  section = types.attrsOf (types.either value (types.attrsOf value));
  iniType = types.attrsOf (types.either section (types.attrsOf section));

  includeType = types.submodule (
    { config, ... }:
    {
      options = {
        condition = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "gitdir:~/work/";
          description = "When the file is included; `null` means always.";
        };
        path = mkOption {
          type = types.either types.str types.path;
          description = "The file to include.";
        };
        contents = mkOption {
          type = types.attrsOf types.anything;
          default = { };
          example = {
            user.email = "me@work.example";
          };
          description = "What the included file holds, instead of `path`.";
        };
        contentSuffix = mkOption {
          type = types.str;
          default = "gitconfig";
          description = "The end of the name of the file made from `contents`.";
        };
      };
      config.path = mkIf (config.contents != { }) (
        mkDefault (
          nivalPkgs.writeText (lib.hm.strings.storeFileName config.contentSuffix) (lib.generators.toGitINI config.contents)
        )
      );
    }
  );
  include =
    i:
    lib.generators.toGitINI (
      if i.condition == null then { include.path = "${i.path}"; } else { includeIf.${i.condition}.path = "${i.path}"; }
    );

  lines =
    description: example:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description example;
    };

  lfs = if cfg.lfs.package == null then "git-lfs" else lib.getExe' cfg.lfs.package "git-lfs";
  skip = lib.optionalString cfg.lfs.skipSmudge " --skip";

  # Where `pkgs` has no signer, git looks for its own.
  signer =
    if cfg.signing.signer != null then
      cfg.signing.signer
    else if cfg.signing.format == "ssh" && pkgs ? openssh then
      lib.getExe' pkgs.openssh "ssh-keygen"
    else if cfg.signing.format == "openpgp" && pkgs ? gnupg then
      lib.getExe pkgs.gnupg
    else if cfg.signing.format == "x509" && pkgs ? gnupg then
      lib.getExe' pkgs.gnupg "gpgsm"
    else
      null;

  git = nival.exe cfg.package "git";
  fragments = if builtins.isList cfg.settings then builtins.filter (f: f != { }) cfg.settings else [ ];
  rename = from: to: lib.mkRenamedOptionModule ([ "programs" "git" ] ++ from) ([ "programs" "git" ] ++ to);
in
{
  imports = [
    (rename [ "userName" ] [ "settings" "user" "name" ])
    (rename [ "userEmail" ] [ "settings" "user" "email" ])
    (rename [ "aliases" ] [ "settings" "alias" ])
    (rename [ "extraConfig" ] [ "settings" ])
    (rename [ "signing" "gpgPath" ] [ "signing" "signer" ])
  ];

  options.programs.git = {
    enable = lib.mkEnableOption "Git";
    package = nival.packageOption "git";
    settings = mkOption {
      type = types.oneOf [
        types.lines
        iniType
        (types.listOf iniType)
      ];
      default = { };
      example = {
        user.name = "Ann";
        core.editor = "vi";
        url."git@example.org:".insteadOf = "https://example.org/";
      };
      description = "Git's configuration: sections of keys and values, a list of such sets where their order counts, or text as it is.";
    };
    iniContent = mkOption {
      type = iniType;
      default = { };
      internal = true;
      description = "What modules add to the configuration.";
    };
    ignores = lines "Patterns of files that git ignores everywhere." [
      "*~"
      "*.swp"
    ];
    attributes = lines "Attributes for paths everywhere." [ "*.pdf diff=pdf" ];
    hooks = mkOption {
      type = types.attrsOf types.path;
      default = { };
      example = literalExpression "{ pre-commit = ./pre-commit; }";
      description = "Hooks for all repositories.";
    };
    includes = mkOption {
      type = types.listOf includeType;
      default = [ ];
      example = literalExpression ''[ { condition = "gitdir:~/work/"; contents.user.email = "me@work.example"; } ]'';
      description = "Further configuration files.";
    };
    signing = {
      key = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "The key that signs.";
      };
      format = mkOption {
        type = types.nullOr (
          types.enum [
            "openpgp"
            "ssh"
            "x509"
          ]
        );
        default = if lib.versionOlder config.home.stateVersion "25.05" then "openpgp" else null;
        defaultText = literalExpression ''if lib.versionOlder config.home.stateVersion "25.05" then "openpgp" else null'';
        description = "The kind of signatures; `null` leaves it to git.";
      };
      signByDefault = mkOption {
        type = types.nullOr types.bool;
        default = null;
        description = "Whether commits and tags are signed unless told otherwise.";
      };
      signer = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "The program that signs; `null` means the one of `pkgs` for the format, or else git's own choice.";
      };
    };
    lfs = {
      enable = lib.mkEnableOption "Git Large File Storage";
      package = nival.packageOption "git-lfs";
      skipSmudge = mkOption {
        type = types.bool;
        default = false;
        description = "Whether large files are left to be fetched by hand.";
      };
    };
    maintenance = {
      enable = lib.mkEnableOption "`git maintenance` by systemd timers";
      repositories = lines "The repositories to keep in order, as absolute paths." [ "/home/commander/project" ];
      timers = mkOption {
        type = types.attrsOf types.str;
        default = {
          hourly = "*-*-* 1..23:53:00";
          daily = "Tue..Sun *-*-* 0:53:00";
          weekly = "Mon 0:53:00";
        };
        description = "When each of git's schedules is run, as systemd's `OnCalendar`.";
      };
    };
  };

  config = mkIf cfg.enable {
    home.packages = nival.packages cfg.package ++ lib.optionals cfg.lfs.enable (nival.packages cfg.lfs.package);

    programs.git.iniContent = lib.mkMerge [
      (mkIf (builtins.isAttrs cfg.settings) cfg.settings)
      (mkIf (cfg.signing.key != null) { user.signingKey = mkDefault cfg.signing.key; })
      (mkIf (cfg.signing.signByDefault != null) {
        commit.gpgSign = mkDefault cfg.signing.signByDefault;
        tag.gpgSign = mkDefault cfg.signing.signByDefault;
      })
      (mkIf (cfg.signing.format != null) { gpg.format = mkDefault cfg.signing.format; })
      (mkIf (signer != null) {
        gpg.${if cfg.signing.format == null then "openpgp" else cfg.signing.format}.program = mkDefault signer;
      })
      (mkIf (cfg.hooks != { }) {
        core.hooksPath = "${nivalPkgs.linkFarm "git-hooks" cfg.hooks}";
      })
      (mkIf cfg.lfs.enable {
        filter.lfs = {
          clean = "${lfs} clean -- %f";
          process = "${lfs} filter-process${skip}";
          required = true;
          smudge = "${lfs} smudge${skip} -- %f";
        };
      })
      (mkIf cfg.maintenance.enable { maintenance.repo = cfg.maintenance.repositories; })
    ];

    xdg.configFile = {
      "git/config".text = lib.concatStringsSep "\n" (
        lib.optional (cfg.iniContent != { }) (lib.generators.toGitINI cfg.iniContent)
        ++ map lib.generators.toGitINI fragments
        ++ lib.optional (builtins.isString cfg.settings && cfg.settings != "") cfg.settings
        ++ map include cfg.includes
      );
      "git/ignore" = mkIf (cfg.ignores != [ ]) { text = lib.concatLines cfg.ignores; };
      "git/attributes" = mkIf (cfg.attributes != [ ]) { text = lib.concatLines cfg.attributes; };
    };

    systemd.user = mkIf cfg.maintenance.enable {
      services."git-maintenance@" = {
        Unit = {
          Description = "Git maintenance (%i)";
          Documentation = [ "man:git-maintenance(1)" ];
        };
        Service = {
          Type = "oneshot";
          ExecStart = "\"${git}\" for-each-repo --keep-going --config=maintenance.repo maintenance run --schedule=%i";
          NoNewPrivileges = "yes";
        };
      };
      timers = lib.mapAttrs' (
        name: time:
        lib.nameValuePair "git-maintenance@${name}" {
          Unit.Description = "Git maintenance (${name})";
          Timer = {
            OnCalendar = time;
            Persistent = true;
          };
          Install.WantedBy = [ "timers.target" ];
        }
      ) cfg.maintenance.timers;
    };
  };
}
