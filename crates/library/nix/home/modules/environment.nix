# The home itself: whose it is, its packages, variables and aliases.
{
  config,
  lib,
  nivalPkgs,
  ...
}:
let
  inherit (lib) literalExpression mkOption types;
  cfg = config.home;

  nullOrStr =
    description:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      inherit description;
    };

  localeVariables = {
    LANG = "base";
    LC_CTYPE = "ctype";
    LC_NUMERIC = "numeric";
    LC_TIME = "time";
    LC_COLLATE = "collate";
    LC_MONETARY = "monetary";
    LC_MESSAGES = "messages";
    LC_PAPER = "paper";
    LC_NAME = "name";
    LC_ADDRESS = "address";
    LC_TELEPHONE = "telephone";
    LC_MEASUREMENT = "measurement";
  };

  inherit (lib.hm.shell) export exportAll prependToVar;
in
{
  options.home = {
    username = mkOption {
      type = types.nonEmptyStr;
      example = "commander";
      description = "The name of the user whose home this is.";
    };
    homeDirectory = mkOption {
      type = types.path;
      apply = toString;
      example = "/home/commander";
      description = "The user's home directory, as an absolute path.";
    };
    stateVersion = mkOption {
      type = types.strMatching "[0-9]{2}\\.(05|11)";
      example = "25.05";
      description = ''
        The release whose defaults this home was written for. Leave it as it is when
        upgrading: it keeps modules from changing what they make under you.
      '';
    };
    profileDirectory = mkOption {
      type = types.path;
      readOnly = true;
      default = cfg.homeDirectory + "/.nix-profile";
      defaultText = literalExpression ''"''${home.homeDirectory}/.nix-profile"'';
      description = "Where the packages of the active generation are found.";
    };
    packages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = literalExpression ''[ (pkgs.writeShellScriptBin "hello" "echo hello") ]'';
      description = "The packages that appear in the user's environment.";
    };
    extraOutputsToInstall = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "doc"
        "devdoc"
      ];
      description = "Further outputs of each package that appear in the user's environment.";
    };
    path = mkOption {
      type = types.package;
      internal = true;
      description = "The environment made of all packages.";
    };

    language = lib.mapAttrs (_: lib.id) {
      base = nullOrStr "The locale for everything that the other options don't name (`LANG`).";
      ctype = nullOrStr "The locale for kinds of characters.";
      numeric = nullOrStr "The locale for numbers.";
      time = nullOrStr "The locale for dates and times.";
      collate = nullOrStr "The locale for sorting.";
      monetary = nullOrStr "The locale for amounts of money.";
      messages = nullOrStr "The locale for messages.";
      paper = nullOrStr "The locale for paper sizes.";
      name = nullOrStr "The locale for personal names.";
      address = nullOrStr "The locale for addresses.";
      telephone = nullOrStr "The locale for telephone numbers.";
      measurement = nullOrStr "The locale for units of measure.";
    };
    keyboard = mkOption {
      type = types.nullOr (
        types.submodule {
          options = {
            layout = nullOrStr "The layout, `null` for the system's.";
            model = nullOrStr "The model of the keyboard.";
            options = mkOption {
              type = types.listOf types.str;
              default = [ ];
              example = [ "grp:caps_toggle" ];
              description = "X keyboard options.";
            };
            variant = nullOrStr "The variant of the layout.";
          };
        }
      );
      default = { };
      description = "The keyboard that modules for graphical sessions set; `null` leaves it alone.";
    };

    sessionVariables = mkOption {
      inherit (config.lib.nival.variables) type;
      default = { };
      example = {
        EDITOR = "vi";
      };
      description = ''
        Environment variables for login sessions. They are written to
        `etc/profile.d/hm-session-vars.sh` in the profile, which the shells that are
        enabled here read. A value may use other variables, as in `"$HOME/bin"`; a
        `null` leaves the variable out.
      '';
    };
    sessionVariablesPackage = mkOption {
      type = types.package;
      internal = true;
      description = "The package with `hm-session-vars.sh`.";
    };
    sessionVariablesExtra = mkOption {
      type = types.lines;
      default = "";
      internal = true;
      description = "Shell text at the end of `hm-session-vars.sh`.";
    };
    sessionPath = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "$HOME/.local/bin" ];
      description = "Folders put in front of `PATH` in login sessions.";
    };
    sessionSearchVariables = mkOption {
      type = types.attrsOf (types.listOf types.str);
      default = { };
      example = {
        MANPATH = [ "$HOME/.npm/man" ];
      };
      description = "Variables that hold search paths; the folders given are put in front.";
    };
    shellAliases = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        ll = "ls -l";
      };
      description = "Aliases for all shells that are enabled here.";
    };
    shell = lib.genAttrs' [ "Bash" "Fish" "Zsh" ] (
      shell:
      lib.nameValuePair "enable${shell}Integration" (mkOption {
        type = types.bool;
        default = cfg.shell.enableShellIntegration;
        defaultText = literalExpression "config.home.shell.enableShellIntegration";
        description = "Whether programs set themselves up in ${shell} unless told otherwise.";
      })
    ) // {
      enableShellIntegration = mkOption {
        type = types.bool;
        default = true;
        example = false;
        description = "Whether programs set themselves up in all shells unless told otherwise.";
      };
    };
    enableNixpkgsReleaseCheck = mkOption {
      type = types.bool;
      default = true;
      visible = false;
      description = "Accepted, without effect: the home modules are part of Nival.";
    };
    preferXdgDirectories = lib.mkEnableOption "" // {
      description = "Whether programs keep their files in the XDG base directories where they can choose.";
    };
  };

  config.programs = lib.genAttrs [ "bash" "fish" "zsh" ] (_: {
    inherit (cfg) shellAliases;
  });
  config.home = {
    sessionVariables = lib.filterAttrs (_: v: v != null) (
      lib.mapAttrs (_: part: cfg.language.${part}) localeVariables
    );
    sessionSearchVariables = lib.mkIf (cfg.sessionPath != [ ]) { PATH = cfg.sessionPath; };
    packages = [ cfg.sessionVariablesPackage ];

    # Where Nix isn't installed system-wide, nothing else puts the profile on the path.
    sessionVariablesExtra = lib.mkBefore ''
      case ":$PATH:" in
        *":${cfg.profileDirectory}/bin:"*) ;;
        *) export PATH="${cfg.profileDirectory}/bin:$PATH" ;;
      esac
    '';

    sessionVariablesPackage = nivalPkgs.writeTextFile {
      name = "hm-session-vars.sh";
      destination = "/etc/profile.d/hm-session-vars.sh";
      text = ''
        # Once for a session, not again in each shell below it.
        if [ -n "''${__HM_SESS_VARS_SOURCED-}" ]; then return; fi
        export __HM_SESS_VARS_SOURCED=1

        ${exportAll cfg.sessionVariables}
      ''
      + lib.concatStringsSep "\n" (
        lib.mapAttrsToList (name: folders: export name (prependToVar ":" name folders)) cfg.sessionSearchVariables
      )
      + "\n"
      + cfg.sessionVariablesExtra;
    };

    path = nivalPkgs.buildEnv {
      name = "home-manager-path";
      paths = cfg.packages;
      inherit (cfg) extraOutputsToInstall;
    };
  };
}
