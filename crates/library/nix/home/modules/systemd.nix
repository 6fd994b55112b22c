# Units of systemd's user manager.
{
  config,
  lib,
  nivalPkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.systemd.user;

  kinds = {
    services = "service";
    timers = "timer";
    sockets = "socket";
    paths = "path";
    targets = "target";
    slices = "slice";
    mounts = "mount";
    automounts = "automount";
  };

  primitive = types.oneOf [
    types.bool
    types.int
    types.str
    types.path
  ];
  unitType =
    kind:
    types.attrsOf (
      types.submodule {
        freeformType = types.attrsOf (types.attrsOf (types.either primitive (types.listOf primitive))) // {
          description = "systemd ${kind} unit configuration";
        };
        options.Unit = {
          Description = mkOption {
            type = types.nullOr types.str;
            default = null;
            example = "My daily backup";
            description = "A short title of the unit.";
          };
          Documentation = mkOption {
            type = types.coercedTo types.str lib.toList (types.listOf types.str);
            default = [ ];
            example = [ "man:thing(1)" ];
            description = "URIs of the unit's documentation.";
          };
        };
      }
    );

  toIni = lib.generators.toINI {
    listsAsDuplicateKeys = true;
    mkKeyValue = key: value: "${key}=${if builtins.isBool value then lib.boolToString value else toString value}";
  };

  unit =
    kind: name: sections:
    let
      file = "${name}.${kind}";
      kept = lib.filterAttrs (_: s: s != { }) (
        lib.mapAttrs (_: lib.filterAttrs (_: v: v != null && v != [ ])) sections
      );
      wanted = lib.toList (sections.Install.WantedBy or [ ]);
      required = lib.toList (sections.Install.RequiredBy or [ ]);
    in
    {
      name = file;
      # systemd takes a unit's name from the end of the link, so the store file has that name too.
      source = "${
        nivalPkgs.writeTextFile {
          name = lib.replaceStrings [ "@" ":" "\\" "[" "]" ] [ "-" "-" "-" "" "" ] file;
          text = toIni kept;
          destination = "/${file}";
        }
      }/${file}";
      wantedBy = wanted;
      places = [ file ] ++ map (t: "${t}.wants/${file}") wanted ++ map (t: "${t}.requires/${file}") required;
    };

  units = lib.concatLists (
    lib.mapAttrsToList (option: kind: lib.mapAttrsToList (unit kind) cfg.${option}) kinds
  );

  variables = lib.concatStrings (
    lib.mapAttrsToList (name: value: "${name}=${toString value}\n") cfg.sessionVariables
  );
in
{
  options.systemd.user =
    lib.mapAttrs (
      _: kind:
      mkOption {
        type = unitType kind;
        default = { };
        example = lib.literalExpression (
          if kind == "service" then
            ''{ thing = { Unit.Description = "A thing"; Service.ExecStart = "/usr/bin/thing"; Install.WantedBy = [ "default.target" ]; }; }''
          else
            ''{ thing.Unit.Description = "A thing"; }''
        );
        description = "The user's ${kind} units: by name, sections of keys and values, as in systemd's unit files.";
      }
    ) kinds
    // {
      enable = lib.mkEnableOption "units of systemd's user manager" // {
        default = true;
      };
      systemctlPath = mkOption {
        type = types.str;
        default = "systemctl";
        description = "The systemctl that is run.";
      };
      startServices = mkOption {
        type = types.either types.bool (
          types.enum [
            "suggest"
            "legacy"
            "sd-switch"
          ]
        );
        default = true;
        description = "Whether a switch starts, restarts and stops the units that changed.";
      };
      sessionVariables = mkOption {
        type = types.attrsOf (types.either types.int types.str);
        default = { };
        example = {
          EDITOR = "vi";
        };
        description = "Variables for everything that systemd's user manager starts.";
      };
      manifestUnits = mkOption {
        type = types.raw;
        internal = true;
        readOnly = true;
        description = "The units as the generation's manifest lists them.";
      };
    };

  config = {
    systemd.user.manifestUnits = map (u: { inherit (u) name source wantedBy; }) (lib.optionals cfg.enable units);

    xdg.configFile = lib.mkIf cfg.enable (
      lib.mkMerge [
        (builtins.listToAttrs (
          lib.concatMap (
            u: map (place: lib.nameValuePair "systemd/user/${place}" { inherit (u) source; }) u.places
          ) units
        ))
        (lib.mkIf (cfg.sessionVariables != { }) {
          "environment.d/10-home-manager.conf".text = variables;
        })
      ]
    );
  };
}
