# The steps of an activation, and the generation that holds everything.
{
  config,
  lib,
  nivalPkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (lib.hm) dag;
  cfg = config.home;

  # Steps that Nival does itself; their text is empty, their place in the order counts.
  builtinSteps = {
    checkLinkTargets = dag.entryBefore [ "writeBoundary" ] "";
    writeBoundary = dag.entryAnywhere "";
    checkFilesChanged = dag.entryBetween [ "linkGeneration" ] [ "writeBoundary" ] "";
    linkGeneration = dag.entryAfter [ "writeBoundary" ] "";
    installPackages = dag.entryAfter [ "writeBoundary" ] "";
    onFilesChange = dag.entryAfter [ "linkGeneration" ] "";
    reloadSystemd = dag.entryAfter [ "linkGeneration" ] "";
  };

  sorted = dag.topoSort cfg.activation;
  steps =
    if sorted ? result then
      map (
        { name, data }:
        if builtinSteps ? ${name} && data == "" then
          {
            inherit name;
            kind = "builtin";
          }
        else
          {
            inherit name;
            kind = "script";
            script = data;
          }
      ) sorted.result
    else
      throw "home.activation: the steps ${
        lib.concatMapStringsSep ", " (s: "`${s.name}'") sorted.cycle
      } each want to come before another of them; loops at ${lib.concatMapStringsSep ", " (s: "`${s.name}'") sorted.loops}";

  manifest = {
    schema = 1;
    inherit (cfg) username homeDirectory stateVersion;
    homeFiles = "${config.home-files}";
    homePath = "${cfg.path}";
    files = cfg.manifestFiles;
    packages = map (p: {
      name = p.name or (baseNameOf (builtins.unsafeDiscardStringContext "${p}"));
      path = "${p}";
    }) (lib.filter (p: p != cfg.sessionVariablesPackage) (lib.unique cfg.packages));
    units = config.systemd.user.manifestUnits;
    activation = steps;
    sessionVariables = lib.filterAttrs (_: v: v != null) cfg.sessionVariables;
  };
in
{
  options.home = {
    activation = mkOption {
      type = lib.hm.types.dagOf types.str;
      default = { };
      example = lib.literalExpression ''
        {
          makeNotes = lib.hm.dag.entryAfter [ "writeBoundary" ] '''
            run mkdir -p $VERBOSE_ARG "$HOME/notes"
          ''';
        }
      '';
      description = ''
        Shell text that is run on each switch, in an order that the steps' entries tell.
        A step that changes anything must come after `writeBoundary`, and make changes
        through `run`, which only prints the command in a dry run. A step must do no harm
        when it is run again.
      '';
    };
    emptyActivationPath = mkOption {
      type = types.bool;
      default = false;
      visible = false;
      description = "Accepted, without effect: steps run with the host's tools.";
    };
    activationPackage = mkOption {
      type = types.package;
      internal = true;
      description = "The generation.";
    };
  };

  config.home = {
    activation = builtinSteps;
    activationPackage = nivalPkgs.writeTree "home-manager-generation" [
      {
        path = "manifest.json";
        type = "file";
        text = builtins.toJSON manifest;
      }
      {
        path = "home-files";
        type = "link";
        target = "${config.home-files}";
      }
      {
        path = "home-path";
        type = "link";
        target = "${cfg.path}";
      }
      {
        path = "activate";
        type = "file";
        executable = true;
        text = ''
          #!/bin/sh
          exec nival home activate "$(dirname "$(readlink -f "$0")")" "$@"
        '';
      }
      {
        path = "hm-version";
        type = "file";
        text = "${lib.release}\n";
      }
    ];
  };
}
