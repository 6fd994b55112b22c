//! The evaluation of a home: from the command line's words to a generation's derivation and its reasons.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nival_environ::provenance::Reason;
use nival_eval::Host as _;
use nival_formats::flake_ref::ParsedFlakeRef;
use nival_formats::url::{Strictness, Url, percent_decode};
use serde::Deserialize;

use super::flake_reference::{Finder, Words};
use super::{Session, quote};
use crate::arguments::HomeTarget;
use crate::building::{self, Target};
use crate::context::Context;
use crate::error::{CommandError, Kind, Result};
use crate::host::WorldHost;
use crate::world::World;

/// An evaluated home.
pub(crate) struct Home {
    pub(crate) username: String,
    pub(crate) activation_package: Target,
    pub(crate) warnings: Vec<String>,
    pub(crate) provenance: BTreeMap<String, Vec<Reason>>,
}

/// What the expression below answers with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    drv_path: String,
    username: String,
    warnings: Vec<String>,
    provenance: BTreeMap<String, Vec<Reason>>,
    /// Where a flake's source is in the store, so that reasons can name the user's own files.
    source: Option<String>,
}

/// Where the declaration is.
enum Declaration {
    File(PathBuf),
    /// The folder is that of the tree that the flake is in, if it is one of this machine.
    Flake {
        reference: String,
        folder: Option<PathBuf>,
        name: Option<String>,
    },
}

pub(crate) fn home(world: &Arc<World>, target: &HomeTarget) -> Result<Home> {
    let declaration = find(world, target.source.as_deref())?;
    let session = Session::new(world, &target.include);
    let json = session.string(&expression(world, target, &declaration))?;
    let answer: Answer = serde_json::from_slice(&json).map_err(|error| {
        CommandError::failure(format!("the evaluated home has an unexpected form: {error}"))
    })?;
    let mut provenance = answer.provenance;
    if let (Some(source), Declaration::Flake { folder: Some(folder), .. }) = (&answer.source, &declaration) {
        for file in provenance.values_mut().flatten().filter_map(|reason| reason.file.as_mut()) {
            if let Some(rest) = file.strip_prefix(source.as_str()) {
                *file = format!("{}{rest}", folder.display());
            }
        }
    }
    let derivation = world
        .store_dir()
        .parse(&answer.drv_path)
        .map_err(|error| CommandError::failure(format!("the home's `activationPackage`: {error}")))?;
    Ok(Home {
        username: answer.username,
        activation_package: building::output(derivation, "out"),
        warnings: answer.warnings,
        provenance,
    })
}

/// Finds the declaration: a file, a folder with a flake or a `home.nix`, or Home Manager's usual places.
fn find(world: &Arc<World>, source: Option<&str>) -> Result<Declaration> {
    let context = &world.context;
    let Some(source) = source else {
        let folder = context.xdg("XDG_CONFIG_HOME", ".config").join("home-manager");
        return in_folder(world, &folder, None)?.ok_or_else(|| {
            CommandError::failure(format!("there is no `flake.nix` or `home.nix` in {}", folder.display()))
                .hint("name one: `nival home switch FILE` or `nival home switch FOLDER#NAME`")
        });
    };
    let (path, fragment) = source.split_once('#').unwrap_or((source, ""));
    let path = context.absolute(path);
    if path.is_dir() {
        let name = percent_decode(fragment).map_err(|error| CommandError::new(Kind::Usage, error))?;
        let name = Some(name).filter(|name| !name.is_empty());
        return in_folder(world, &path, name)?.ok_or_else(|| {
            CommandError::failure(format!("there is no `flake.nix` or `home.nix` in {}", path.display()))
        });
    }
    if path.exists() {
        if fragment.is_empty() {
            return Ok(Declaration::File(path));
        }
        let message = format!("`#{fragment}` names a home of a flake, and {} is a file", path.display());
        return Err(CommandError::new(Kind::Usage, message));
    }
    if source == "nival" || source.contains(':') {
        return flake(world, source);
    }
    Err(CommandError::failure(format!("{} does not exist", path.display()))
        .hint("a home is declared in a file such as `home.nix`, or in a folder with a `flake.nix`"))
}

fn in_folder(world: &Arc<World>, folder: &Path, name: Option<String>) -> Result<Option<Declaration>> {
    if folder.join("flake.nix").is_file() {
        let Declaration::Flake { reference, folder, .. } = flake(world, &folder.to_string_lossy())? else {
            return Ok(None);
        };
        return Ok(Some(Declaration::Flake { reference, folder, name }));
    }
    let file = folder.join("home.nix");
    Ok((name.is_none() && file.is_file()).then_some(Declaration::File(file)))
}

/// The home that a flake reference names.
fn flake(world: &Arc<World>, text: &str) -> Result<Declaration> {
    let host = WorldHost(Arc::clone(world));
    let features = |name: &str| world.settings.experimental_features.iter().any(|feature| feature == name);
    let finder = Finder { host: &host, features: &features, context: &world.context, words: Words::Folders };
    let usage = |error: &dyn std::fmt::Display| CommandError::new(Kind::Usage, error);
    let ParsedFlakeRef { flake, fragment, .. } = finder.find(text).map_err(|error| usage(&error))?;
    if host.embedded_flake(&flake.input).is_some() {
        return Err(usage(&"the library in the binary declares no home")
            .hint("name a `home.nix` or a folder with a `flake.nix`"));
    }
    let place = match (flake.input.text("path"), flake.input.text("url")) {
        (Ok(Some(path)), _) => Some(PathBuf::from(path)),
        (_, Ok(Some(url))) => {
            let url = Url::parse(url, Strictness::Lenient).ok().filter(|url| url.scheme == "file");
            url.and_then(|url| url.file_path().ok()).map(PathBuf::from)
        }
        _ => None,
    };
    let reference = flake.to_url().map_err(|error| usage(&error))?.to_string();
    Ok(Declaration::Flake { reference, folder: place, name: Some(fragment).filter(|name| !name.is_empty()) })
}

/// The expression that answers with an [`Answer`] as JSON.
fn expression(world: &World, target: &HomeTarget, declaration: &Declaration) -> String {
    let system = quote(&nival_eval::Settings::default().current_system);
    let overrides = overrides(&world.context, target);
    let home = match declaration {
        Declaration::File(file) => {
            let file = quote(&file.to_string_lossy());
            format!(
                "{{ source = null; home = (import /__nival__/default.nix {{ system = {system}; }}).home {{ \
                 modules = [ (/. + {file}) {overrides} ]; }}; }}"
            )
        }
        Declaration::Flake { reference, name, .. } => {
            let reference = quote(reference);
            let candidates: Vec<String> = match name {
                Some(name) => vec![quote(name)],
                None => {
                    let Context { user, host, .. } = &world.context;
                    let short = host.split('.').next().unwrap_or_default();
                    vec![quote(&format!("{user}@{host}")), quote(&format!("{user}@{short}")), quote(user)]
                }
            };
            let candidates = candidates.join(" ");
            format!(
                r#"let
  flake = {flake};
  homes = flake.homeConfigurations or (throw "flake {text} has no `homeConfigurations`");
  found = builtins.filter (name: homes ? ${{name}}) [ {candidates} ];
  chosen =
    if found != [ ] then
      homes.${{builtins.head found}}
    else
      throw "flake {text} declares no home named ${{builtins.concatStringsSep " or " [ {candidates} ]}}, but: ${{builtins.concatStringsSep ", " (builtins.attrNames homes)}}";
in
{{
  source = flake.sourceInfo.outPath;
  home = if [ {overrides} ] == [ ] then chosen else chosen.extendModules {{ modules = [ {overrides} ]; }};
}}"#,
                flake = format_args!("builtins.getFlake {reference}"),
                text = reference.trim_matches('"'),
            )
        }
    };
    format!(
        r"let
  evaluated = {home};
  inherit (evaluated) home;
in
builtins.toJSON {{
  drvPath = builtins.unsafeDiscardStringContext home.activationPackage.drvPath;
  username = home.config.home.username;
  warnings = home.warnings or home.config.warnings or [ ];
  provenance = home.provenance or {{ }};
  source = if evaluated.source == null then null else builtins.unsafeDiscardStringContext evaluated.source;
}}"
    )
}

/// The modules that `--home` and `--user` stand for.
fn overrides(context: &Context, target: &HomeTarget) -> String {
    let mut modules = String::new();
    let mut module = |flag: &str, option: &str, value: &str| {
        let value = quote(value);
        let _ = write!(
            modules,
            "{{ _file = \"<{flag}>\"; {option} = {{ _type = \"override\"; priority = 50; content = {value}; }}; }} "
        );
    };
    if let Some(home) = &target.home {
        module("--home", "home.homeDirectory", &context.absolute(home).to_string_lossy());
    }
    if let Some(user) = &target.user {
        module("--user", "home.username", user);
    }
    modules
}
