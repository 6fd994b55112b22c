# fish: ~/.config/fish.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) literalExpression mkIf mkOption optional types;
  inherit (config.lib) nival;
  cfg = config.programs.fish;

  nullOr =
    type: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description;
    };

  functionType = types.submodule {
    options = {
      body = mkOption {
        type = types.lines;
        description = "What the function does.";
      };
      argumentNames = nullOr (types.either types.str (types.listOf types.str)) "Names for the arguments.";
      description = nullOr types.str "What fish says of the function.";
      wraps = nullOr types.str "The command whose completions it takes over.";
      onEvent = nullOr (types.either types.str (types.listOf types.str)) "Events on which it runs.";
      onVariable = nullOr types.str "The variable on whose change it runs.";
      onJobExit = nullOr (types.either types.str types.int) "The job at whose end it runs.";
      onProcessExit = nullOr (types.either types.str types.int) "The process at whose end it runs.";
      onSignal = nullOr (types.either types.str types.int) "The signal on which it runs.";
      inheritVariable = nullOr types.str "The variable that it captures.";
      noScopeShadowing = mkOption {
        type = types.bool;
        default = false;
        description = "Whether it sees its caller's variables.";
      };
    };
  };

  abbrType = types.submodule {
    options = {
      name = nullOr types.str "The abbreviation, where it isn't the attribute's name.";
      expansion = nullOr types.str "What it becomes.";
      position = nullOr types.str "Where it counts: `command` or `anywhere`.";
      regex = nullOr types.str "A pattern, instead of the name.";
      command = nullOr (types.either types.str (types.listOf types.str)) "The command, or commands, after which it counts.";
      setCursor = mkOption {
        type = types.either types.bool types.str;
        default = false;
        description = "Whether the cursor goes to the mark `%`, or to the mark given.";
      };
      function = nullOr types.str "The function that gives the expansion.";
    };
  };

  bindType = types.submodule {
    options = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the binding is made.";
      };
      name = nullOr types.str "The key, where it isn't the attribute's name.";
      mode = nullOr types.str "The mode in which it counts.";
      command = nullOr (types.either types.str (types.listOf types.str)) "What the key does.";
      setsMode = nullOr types.str "The mode that follows.";
      erase = lib.mkEnableOption "removing what the key did";
      silent = lib.mkEnableOption "silence";
      repaint = lib.mkEnableOption "drawing the prompt anew afterwards";
      operate = nullOr (types.enum [
        "preset"
        "user"
      ]) "Whether fish's own bindings or the user's are changed.";
    };
  };

  flag = name: value: optional (value != null && value != false) (if value == true then "--${name}" else "--${name} ${lib.escapeShellArg (toString value)}");

  repeated = option: values: lib.concatMap (flag option) (if values == null then [ ] else lib.toList values);

  abbr =
    name: def:
    let
      a = if builtins.isString def then { expansion = def; } else def;
      options = lib.concatLists [
        (flag "position" (a.position or null))
        (flag "regex" (a.regex or null))
        (repeated "command" (a.command or null))
        (
          if a.setCursor or false == true then
            [ "--set-cursor" ]
          else
            optional (builtins.isString (a.setCursor or false)) "--set-cursor=${a.setCursor}"
        )
        (flag "function" (a.function or null))
      ];
      known = if a.name or null != null then a.name else name;
    in
    lib.concatStringsSep " " (
      [ "abbr --add" ]
      ++ options
      ++ [ "--" known ]
      ++ optional (a.expansion or null != null) (lib.escapeShellArg a.expansion)
    );

  functionText =
    name: def:
    let
      f = if builtins.isString def then { body = def; } else def;
      options = lib.concatLists [
        (flag "description" (f.description or null))
        (flag "wraps" (f.wraps or null))
        (repeated "on-event" (f.onEvent or null))
        (flag "on-variable" (f.onVariable or null))
        (flag "on-job-exit" (f.onJobExit or null))
        (flag "on-process-exit" (f.onProcessExit or null))
        (flag "on-signal" (f.onSignal or null))
        (flag "no-scope-shadowing" (f.noScopeShadowing or false))
        (flag "inherit-variable" (f.inheritVariable or null))
        (optional (f.argumentNames or null != null) "--argument-names ${toString f.argumentNames}")
      ];
    in
    "function ${lib.concatStringsSep " " ([ name ] ++ options)}\n${nival.indent f.body}\nend\n";

  # Functions that wait for something must be there before it happens.
  handlers = builtins.attrNames (
    lib.filterAttrs (
      _: f:
      builtins.isAttrs f
      && builtins.any (o: f.${o} != null) [
        "onEvent"
        "onVariable"
        "onJobExit"
        "onProcessExit"
        "onSignal"
      ]
    ) cfg.functions
  );

  # fish can't read `hm-session-vars.sh`: sh reads it, and fish takes the variables from there.
  variables = builtins.attrNames (
    lib.filterAttrs (_: v: v != null) config.home.sessionVariables // config.home.sessionSearchVariables
  );
  exports = ''
    for entry in (sh -c 'if [ -r "$0" ]; then . "$0"; fi; env -0' ${config.home.sessionVariablesPackage}/etc/profile.d/hm-session-vars.sh | string split0)
      set -l pair (string split -m 1 = -- $entry)
      contains -- $pair[1] ${toString variables} __HM_SESS_VARS_SOURCED; and set -gx $pair[1] $pair[2]
    end
  '';

  binding =
    key: b:
    let
      options =
        lib.optional b.silent "-s"
        ++ lib.optional (b.operate != null) "--${b.operate}"
        ++ lib.optional (b.mode != null) "--mode ${b.mode}"
        ++ lib.optional (b.setsMode != null) "--sets-mode ${b.setsMode}";
      name = if b.name == null then key else b.name;
      bind = words: lib.concatStringsSep " " ([ "bind" ] ++ words);
    in
    lib.optional b.erase (bind ([ "-e" ] ++ options ++ [ name ]))
    ++ lib.optional (b.command != null) (
      bind (options ++ [ name ] ++ map lib.escapeShellArg (lib.toList b.command) ++ lib.optional b.repaint "repaint")
    );
  binds = lib.filterAttrs (_: b: b.enable) cfg.binds;

  lines = lib.concatStringsSep "\n";
  block = header: texts: [ "${header}; and begin" ] ++ map nival.indent (builtins.filter (t: t != "") texts) ++ [ "end" ];
in
{
  options.programs.fish = {
    enable = lib.mkEnableOption "fish";
    package = nival.packageOption "fish";
    shellAliases = nival.aliasesOption;
    shellAbbrs = mkOption {
      type = types.attrsOf (types.either types.str abbrType);
      default = { };
      example = {
        gco = "git checkout";
      };
      description = "Abbreviations, which are replaced on the line as they are typed.";
    };
    binds = mkOption {
      type = types.attrsOf bindType;
      default = { };
      example = {
        "alt-s".erase = true;
      };
      description = "Keys, and what they do.";
    };
    preferAbbrs = mkOption {
      type = types.bool;
      default = false;
      description = "Whether aliases become abbreviations.";
    };
    shellInit = nival.textOption "Text for all shells.";
    loginShellInit = nival.textOption "Text for login shells.";
    interactiveShellInit = nival.textOption "Text for interactive shells.";
    shellInitLast = nival.textOption "Text at the very end, for all shells.";
    functions = mkOption {
      type = types.attrsOf (types.either types.lines functionType);
      default = { };
      example = {
        mkcd = "mkdir -p $argv[1]; and cd $argv[1]";
      };
      description = "Functions.";
    };
    completions = mkOption {
      type = types.attrsOf (
        types.either types.lines (
          types.submodule {
            options.body = mkOption {
              type = types.lines;
              description = "The text of the file.";
            };
          }
        )
      );
      default = { };
      example = {
        thing = "complete -c thing -s h -l help";
      };
      description = "Completions by command.";
    };
    plugins = mkOption {
      type = types.listOf (
        types.submodule {
          options = {
            name = mkOption {
              type = types.str;
              description = "The plugin's name.";
            };
            src = mkOption {
              type = types.path;
              description = "The plugin's folder.";
            };
          };
        }
      );
      default = [ ];
      example = literalExpression ''[ { name = "z"; src = ./z; } ]'';
      description = "Plugins.";
    };
    generateCompletions = mkOption {
      type = types.bool;
      default = false;
      visible = false;
      description = "Accepted, without effect: completions aren't made from manual pages.";
    };
  };

  config = mkIf cfg.enable {
    home.packages = nival.packages cfg.package;
    programs.fish.functions = mkIf (binds != { }) {
      fish_user_key_bindings = lines (lib.concatLists (lib.mapAttrsToList binding binds));
    };
    programs.fish.shellAbbrs = mkIf cfg.preferAbbrs config.programs.fish.shellAliases;

    xdg.configFile = lib.mkMerge [
      {
        "fish/config.fish".text =
          lines (
            [
              "set -q __fish_home_manager_config_sourced; and exit"
              "set -g __fish_home_manager_config_sourced 1"
              ""
              "if not set -q __HM_SESS_VARS_SOURCED"
              (nival.indent exports)
              "end"
              ""
            ]
            ++ map (name: "source ${config.xdg.configHome}/fish/functions/${name}.fish") handlers
            ++ [ cfg.shellInit ]
            ++ block "status is-login" [ cfg.loginShellInit ]
            ++ [ "" ]
            ++ block "status is-interactive" [
              (lines (lib.mapAttrsToList abbr cfg.shellAbbrs))
              (lines (
                lib.optionals (!cfg.preferAbbrs) (
                  lib.mapAttrsToList (name: command: "alias ${name} ${lib.escapeShellArg command}") cfg.shellAliases
                )
              ))
              cfg.interactiveShellInit
            ]
            ++ [
              ""
              cfg.shellInitLast
            ]
          )
          + "\n";
      }
      (lib.mapAttrs' (
        name: def: lib.nameValuePair "fish/functions/${name}.fish" { text = functionText name def; }
      ) cfg.functions)
      (lib.mapAttrs' (
        name: def: lib.nameValuePair "fish/completions/${name}.fish" { text = def.body or def; }
      ) cfg.completions)
      (builtins.listToAttrs (
        map (
          plugin:
          lib.nameValuePair "fish/conf.d/plugin-${plugin.name}.fish" {
            text = ''
              set -l plugin_dir ${plugin.src}
              test -d $plugin_dir/functions; and set -p fish_function_path $plugin_dir/functions
              test -d $plugin_dir/completions; and set -p fish_complete_path $plugin_dir/completions
              for file in $plugin_dir/conf.d/*.fish $plugin_dir/key_bindings.fish $plugin_dir/init.fish
                test -f $file; and source $file
              end
            '';
          }
        ) cfg.plugins
      ))
    ];
  };
}
