//! Realising derivations with the settings in force, and telling what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use nival_build::{
    BuildError, BuildEvent, BuildFailure, BuildOptions, DerivedPath, FailureKind, Realised, SandboxMode,
    SandboxPath, WantedOutputs,
};
use nival_eval::{ContextElement, DerivationRef};
use nival_formats::{StoreDir, StorePath};

use crate::error::{CommandError, Kind, Result, reason};
use crate::lock::lock;
use crate::output::Output;
use crate::settings::Settings;
use crate::world::World;

/// Outputs of one derivation.
pub(crate) type Target = DerivedPath;

/// One output of a derivation.
pub(crate) fn output(derivation: StorePath, name: &str) -> Target {
    DerivedPath { derivation, outputs: WantedOutputs::Names(BTreeSet::from([name.to_owned()])) }
}

/// What has to be built before the files that a context refers to can be read.
pub(crate) fn targets<'a>(
    store_dir: &StoreDir,
    elements: impl IntoIterator<Item = &'a ContextElement>,
) -> Result<Vec<Target>> {
    let mut wanted: BTreeMap<&StorePath, BTreeSet<String>> = BTreeMap::new();
    for element in elements {
        let ContextElement::Output { derivation, output } = element else { continue };
        let DerivationRef::File(derivation) = derivation else {
            return Err(CommandError::failure(format!(
                "failed to obtain derivation of '{}'",
                derivation.display(store_dir)
            ))
            .hint("derivations that are built by derivations are not built yet"));
        };
        wanted.entry(derivation).or_default().insert(output.clone());
    }
    let targets = wanted.into_iter().map(|(derivation, names)| DerivedPath {
        derivation: derivation.clone(),
        outputs: WantedOutputs::Names(names),
    });
    Ok(targets.collect())
}

/// Builds what is not there yet; answers with the output paths in the order of the targets.
pub(crate) fn realise(world: &World, targets: &[Target]) -> Result<Vec<StorePath>> {
    world.write_derivations()?;
    let store = world.store()?;
    let options = options(world)?;
    let teller = Teller {
        output: world.output,
        whole_logs: world.print_build_logs,
        store_dir: store.store_dir().to_string(),
        phases: Mutex::default(),
    };
    let realised = nival_build::realise(store, targets, &options, &|event| teller.tell(event))
        .map_err(|error| build_error(error, &format!("nival{}", world.place().arguments())))?;
    Ok(realised.into_iter().flat_map(|Realised { outputs, .. }| outputs.into_values()).collect())
}

/// Says what [`realise`] would build.
pub(crate) fn say_missing(world: &World, targets: &[Target]) -> Result {
    world.write_derivations()?;
    let store = world.store()?;
    let missing = nival_build::query_missing(store, targets)?;
    let count = missing.will_build.len();
    if world.as_reference && count > 0 {
        let these = if count == 1 { "this derivation".into() } else { format!("these {count} derivations") };
        world.output.say(format!("{these} will be built:"));
        for path in &missing.will_build {
            world.output.say(format!("  {}", store.display(path)));
        }
        return Ok(());
    }
    for path in &missing.will_build {
        world.output.line(store.display(path));
    }
    world.output.say(format!("{count} derivation{} would be built", if count == 1 { "" } else { "s" }));
    for path in &missing.unknown {
        world.output.warn(format!("warning: nothing here can make {}", store.display(path)));
    }
    Ok(())
}

/// Makes `link` point to a store path and lets it keep the path from being collected.
pub(crate) fn make_result_link(world: &World, link: &Path, target: &Path) -> Result {
    let link = world.context.absolute(link);
    let store = world.store()?;
    let is_inside = |path: &Path| path.starts_with(world.store_dir().as_str());
    if is_inside(&link) {
        return Err(CommandError::failure(format!(
            "creating a garbage collector root (\"{}\") in the Nix store is forbidden (are you running nix-build inside the \
             store?)",
            link.display()
        )));
    }
    let is_ours = |link: &Path| std::fs::read_link(link).is_ok_and(|target| is_inside(&target));
    if link.symlink_metadata().is_ok() && !is_ours(&link) {
        let message = format!("cannot create symlink \"{}\"; already exists", link.display());
        return Err(CommandError::failure(message)
            .hint("`--out-link NAME` chooses another name, `--no-link` makes none"));
    }
    if let Some(folder) = link.parent() {
        let failed = |error| {
            let (folder, reason) = (folder.display(), reason(&error));
            CommandError::failure(format!("creating directory \"{folder}\": {reason}"))
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut temporary = link.clone().into_os_string();
    temporary.push(format!(".tmp-{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let made =
        std::os::unix::fs::symlink(target, &temporary).and_then(|()| std::fs::rename(&temporary, &link));
    made.map_err(|error| CommandError::failure(format!("making the link {}: {error}", link.display())))?;
    store.add_indirect_root(&link)?;
    Ok(())
}

fn options(world: &World) -> Result<BuildOptions> {
    let settings = &world.settings;
    let seconds = |value: u64| (value > 0).then(|| Duration::from_secs(value));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(BuildOptions {
        max_jobs: match settings.max_jobs.as_str() {
            "auto" => cores,
            text => text.parse().map_err(|_| {
                CommandError::new(Kind::Usage, format!("setting 'max-jobs' has the wrong value '{text}'"))
                    .hint("it is a number or `auto`")
            })?,
        },
        cores: settings.cores as usize,
        keep_going: settings.keep_going,
        keep_failed: settings.keep_failed,
        timeout: seconds(settings.timeout),
        max_silent_time: seconds(settings.max_silent_time),
        log_lines: settings.log_lines as usize,
        sandbox: match settings.sandbox.as_str() {
            "true" => SandboxMode::Enabled,
            "relaxed" => SandboxMode::Relaxed,
            "false" => SandboxMode::Disabled,
            text => {
                return Err(CommandError::new(
                    Kind::Usage,
                    format!("setting 'sandbox' has the wrong value '{text}'"),
                )
                .hint("it is `true`, `relaxed` or `false`"));
            }
        },
        sandbox_paths: sandbox_paths(settings),
        allowed_impure_host_deps: settings.allowed_impure_host_deps.iter().map(PathBuf::from).collect(),
        system_features: settings.system_features.iter().cloned().collect(),
        host_environment: world.context.environment.clone(),
        ..BuildOptions::default()
    })
}

fn sandbox_paths(settings: &Settings) -> Vec<SandboxPath> {
    let path = |text: &String| {
        let (text, optional) = match text.strip_suffix('?') {
            Some(text) => (text, true),
            None => (text.as_str(), false),
        };
        let (target, source) = text.split_once('=').unwrap_or((text, text));
        SandboxPath { target: target.into(), source: source.into(), optional }
    };
    settings.sandbox_paths.iter().map(path).collect()
}

/// `program` is how logs of this store are asked for.
fn build_error(error: BuildError, program: &str) -> CommandError {
    match error {
        BuildError::Store(error) => (*error).into(),
        BuildError::Failed(failures) => failed(&failures, program),
        other => CommandError::failure(other),
    }
}

impl From<BuildError> for CommandError {
    fn from(error: BuildError) -> Self {
        build_error(error, "nival")
    }
}

/// The causes, what was not built for want of them, and the ways on.
fn failed(failures: &[BuildFailure], program: &str) -> CommandError {
    let (waiting, causes): (Vec<_>, Vec<_>) =
        failures.iter().partition(|failure| matches!(failure.kind, FailureKind::Dependencies(_)));
    let kind = match causes.first().map(|failure| &failure.kind) {
        Some(FailureKind::TimedOut(_) | FailureKind::Silent(_)) => Kind::BuildTimeout,
        Some(FailureKind::HashMismatch(_)) => Kind::HashMismatch,
        Some(
            FailureKind::Builder(_)
            | FailureKind::OutputMissing { .. }
            | FailureKind::OutputRejected(_)
            | FailureKind::LogTooLong(_),
        ) => Kind::BuildFailure,
        _ => Kind::Failure,
    };
    let mut paragraphs: Vec<String> = causes.iter().map(|failure| failure.describe(program)).collect();
    if !waiting.is_empty() {
        let mut text = "Not built, since they need it:".to_owned();
        for failure in waiting {
            text.push_str("\n  ");
            text.push_str(&failure.derivation);
        }
        paragraphs.push(text);
    }
    let mut hints: Vec<String> = Vec::new();
    for hint in causes.iter().filter_map(|failure| failure.hint()) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    CommandError { kind, message: paragraphs.join("\n\n"), hints }
}

impl From<nival_store::StoreError> for CommandError {
    fn from(error: nival_store::StoreError) -> Self {
        let failure = Self::failure(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Tells what builds do, one line each, also without a terminal.
struct Teller {
    output: Output,
    whole_logs: bool,
    store_dir: String,
    phases: Mutex<BTreeMap<StorePath, String>>,
}

impl Teller {
    fn tell(&self, event: BuildEvent<'_>) {
        let name = |path: &StorePath| path.derivation_name().unwrap_or(path.name()).to_owned();
        match event {
            BuildEvent::Started { derivation } => {
                self.output.say(format!("building {}/{derivation}", self.store_dir));
            }
            BuildEvent::Waiting { derivation } => {
                self.output.say(format!("waiting for another build of {}", name(derivation)));
            }
            BuildEvent::LogLine { derivation, line } if self.whole_logs => {
                self.output.say(format!("{}> {line}", name(derivation)));
            }
            BuildEvent::Phase { derivation, phase } if self.whole_logs => {
                let mut phases = lock(&self.phases);
                if phases.insert(derivation.clone(), phase.to_owned()).as_deref() != Some(phase) {
                    self.output.say(format!("{}: {phase}", name(derivation)));
                }
            }
            BuildEvent::Warning(text) => self.output.warn(format!("warning: {text}")),
            _ => {}
        }
    }
}
