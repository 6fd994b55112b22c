//! The plan: what a switch would change, and why.
//!
//! As JSON a plan is an object with `schema` (1), `home`, `from` and `to` (`number` where known, and `path`; null
//! for no generation), and the lists `files`, `directories`, `packages`, `units`, `activation`, `variables`,
//! `conflicts` and `notes`. Entries carry `reasons`, each with `option`, `file` and `line`. Paths of files and
//! directories are relative to the home.

mod files;
mod packages;
mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::home_files::{self, Leaf, same_content};
use crate::lock::WhenBusy;
use crate::manifest::{Manifest, Step, StepKind};
use crate::operation::Operation;
use crate::profile::Generation;
use crate::provenance::{Provenance, Reason};
use crate::record::Record;
use crate::units::Verb;

pub use packages::split_name;

/// What to switch to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A generation that was just built, by its store path.
    Path(PathBuf),
    /// A generation of the profile.
    Generation(u64),
    /// The generation before the running one.
    Previous,
    /// No generation: everything that is Nival's is removed.
    Nothing,
}

/// How to plan and switch.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Files in the way are renamed, with this after a dot.
    pub backup_extension: Option<String>,
    /// Why things are in the new generation.
    pub provenance: Provenance,
    /// What to do when another switch is under way.
    pub when_busy: WhenBusy,
    /// Whether scripts are asked to tell what they do.
    pub verbose: bool,
}

/// What a switch would change.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The format of this object.
    pub schema: u32,
    /// The home directory.
    pub home: PathBuf,
    /// The running generation.
    pub from: Option<GenerationName>,
    /// The generation that would run.
    pub to: Option<GenerationName>,
    /// Files.
    pub files: Vec<FileChange>,
    /// Directories made or removed for them.
    pub directories: Vec<DirectoryChange>,
    /// Packages.
    pub packages: Vec<PackageChange>,
    /// Units of systemd's user manager.
    pub units: Vec<UnitChange>,
    /// The steps that are done, in order.
    pub activation: Vec<StepChange>,
    /// Session variables.
    pub variables: Vec<VariableChange>,
    /// What keeps the plan from being applied.
    pub conflicts: Vec<Conflict>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GenerationName {
    /// Its number; none before it is registered.
    pub number: Option<u64>,
    /// Its store path.
    pub path: PathBuf,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FileAction {
    /// A link is made where nothing is.
    Add,
    /// A link of ours gets another content.
    Change,
    /// A link of ours leads by the new generation to the same file.
    Relink,
    /// A link of ours stays.
    Keep,
    /// Another's file has the very same content; it is left there.
    Same,
    /// Another's file is renamed and a link made.
    BackUp,
    /// Another's file is replaced, as `force` asks.
    Overwrite,
    /// A link of ours is removed.
    Remove,
    /// What was our link is another's file now; it is left there.
    Leave,
    /// Another's file is in the way.
    Conflict,
}

/// A file of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileChange {
    /// Its place.
    pub target: String,
    /// What becomes of it.
    pub action: FileAction,
    /// The file that it shows from then on.
    pub source: Option<PathBuf>,
    /// The new name of the file that was in the way.
    pub backup: Option<String>,
    /// Whether its `onChange` is run.
    pub runs_on_change: bool,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// A directory of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DirectoryChange {
    /// Its place.
    pub path: String,
    /// Whether it is made or removed.
    pub action: DirectoryAction,
}

/// What becomes of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DirectoryAction {
    /// It is made.
    Make,
    /// It is empty from then on, and removed.
    Remove,
}

/// A package of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageChange {
    /// Its name, without the version.
    pub name: String,
    /// The version there was, if it was there.
    pub old_version: Option<String>,
    /// The version there will be, if it will.
    pub new_version: Option<String>,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// A unit of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitChange {
    /// Its name.
    pub unit: String,
    /// What is asked of the manager. `stop`, `reload` and `restart` are for a unit that is active, `start` for
    /// one wanted by an active one; none when the unit file asks to be left alone.
    pub action: Option<Verb>,
    /// For a restart: whether the old file's `ExecStop` is run, by stopping before the files change.
    pub stop_first: bool,
    /// The units that want it.
    pub wanted_by: Vec<String>,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// A step of the activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepChange {
    /// Its name.
    pub name: String,
    /// Whether it is a script.
    pub script: bool,
    /// Whether it comes after the write boundary, so that it may change things.
    pub writes: bool,
    /// How it compares to the running generation's.
    pub change: StepNews,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// How a step compares to that of the running generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StepNews {
    /// It was not there.
    New,
    /// Its text is another.
    Changed,
    /// It is the same.
    Same,
}

/// A session variable of the plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariableChange {
    /// Its name.
    pub name: String,
    /// The value there was.
    pub old: Option<serde_json::Value>,
    /// The value there will be.
    pub new: Option<serde_json::Value>,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// Something that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The file that is wanted.
    pub target: String,
    /// The path that is in its way, in full.
    pub path: PathBuf,
    /// What is there.
    pub kind: ConflictKind,
    /// Why the file is wanted.
    pub reasons: Vec<Reason>,
}

/// What is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ConflictKind {
    /// A file that is not Nival's.
    File,
    /// A link that is not Nival's.
    Link,
    /// A directory.
    Directory,
    /// The directory that it should be in is no directory.
    Parent,
    /// The backup's name is taken.
    Backup,
}

/// A plan with all that is needed to apply it.
pub(crate) struct Draft {
    pub(crate) plan: Plan,
    pub(crate) old: Option<Generation>,
    pub(crate) manifest: Option<Manifest>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) replaced: Vec<PathBuf>,
    pub(crate) record: Record,
}

impl Plan {
    /// Computes the plan for this home as it is now; a switch that was cut short is led back first. Nothing
    /// else is changed.
    pub fn compute(context: &Context<'_>, target: &Target, options: &Options) -> Result<Self> {
        crate::undo::recover(context)?;
        Ok(draft(context, target, options)?.plan)
    }

    /// Whether applying it would change nothing at all.
    pub fn is_empty(&self) -> bool {
        let quiet = |file: &FileChange| {
            matches!(file.action, FileAction::Keep | FileAction::Same | FileAction::Leave)
        };
        self.from.as_ref().map(|name| &name.path) == self.to.as_ref().map(|name| &name.path)
            && (self.from.as_ref().map(|name| name.number) == self.to.as_ref().map(|name| name.number)
                || self.to.as_ref().is_some_and(|name| name.number.is_none()))
            && self.files.iter().all(quiet)
            && self.directories.is_empty()
    }
}

pub(crate) fn draft(context: &Context<'_>, target: &Target, options: &Options) -> Result<Draft> {
    if !context.home.is_dir() {
        return Err(Error::HomeMissing(context.home.clone()));
    }
    let old = context.profile.running()?;
    let new = find(context, target, old.as_ref())?;
    let store = &context.store;
    let mut notes = Vec::new();
    let old_manifest = match &old {
        None => None,
        Some(generation) => match Manifest::read(store, &generation.path) {
            Ok(manifest) => Some(manifest),
            // A damaged generation must not keep the user from leaving it.
            Err(error) => {
                notes.push(format!(
                    "the running generation can't be read ({error}); what it made is known by record"
                ));
                None
            }
        },
    };
    let manifest = new.as_ref().map(|name| Manifest::read(store, &name.path)).transpose()?;
    if let Some(manifest) = &manifest {
        // Those of the profile were checked when they came into it.
        if matches!(target, Target::Path(_)) {
            check_owner(context, manifest)?;
        }
        if manifest.derived {
            notes.push("this generation has no manifest.json: its activation scripts are not run".into());
        }
    }
    let leaves = |manifest: &Option<Manifest>| {
        manifest.as_ref().map_or_else(|| Ok(BTreeMap::new()), |manifest| home_files::leaves(store, manifest))
    };
    let old_leaves = leaves(&old_manifest).unwrap_or_default();
    let new_leaves = leaves(&manifest)?;

    let record = Record::read(&context.state_dir())?;
    let none = Manifest::default();
    let (before, after) = (old_manifest.as_ref().unwrap_or(&none), manifest.as_ref().unwrap_or(&none));
    let work = files::survey(context, &record, &old_leaves, &new_leaves, after, options)?;
    let same_path = old.as_ref().map(|generation| &generation.path) == new.as_ref().map(|name| &name.path);
    // Nothing is written for the generation that stands already, nor over what is in the way.
    if work.conflicts.is_empty() && !(same_path && work.operations.is_empty()) {
        check_writable(&context.home)?;
    }
    let plan = Plan {
        schema: 1,
        home: context.home.clone(),
        from: old.as_ref().map(|old| GenerationName { number: Some(old.number), path: old.path.clone() }),
        to: new,
        files: work.files,
        directories: work.directories,
        packages: packages::changes(before, after, &options.provenance),
        units: services::changes(context, (before, &old_leaves), (after, &new_leaves), &options.provenance),
        activation: steps(before, after, &options.provenance),
        variables: variables(before, after, &options.provenance),
        conflicts: work.conflicts,
        notes,
    };
    Ok(Draft {
        plan,
        old,
        manifest,
        operations: work.operations,
        replaced: work.replaced,
        record: work.record,
    })
}

fn find(context: &Context<'_>, target: &Target, old: Option<&Generation>) -> Result<Option<GenerationName>> {
    let number = match target {
        Target::Nothing => return Ok(None),
        Target::Path(path) => return Ok(Some(GenerationName { number: None, path: path.clone() })),
        Target::Generation(number) => *number,
        Target::Previous => {
            let current = old.ok_or(Error::NoCurrent)?.number;
            let before = |generation: &Generation| generation.number < current;
            context.profile.generations()?.into_iter().rfind(before).ok_or(Error::NoPrevious(current))?.number
        }
    };
    let mut generations = context.profile.generations()?.into_iter();
    let found =
        generations.find(|generation| generation.number == number).ok_or(Error::NoGeneration(number))?;
    Ok(Some(GenerationName { number: Some(number), path: found.path }))
}

fn check_owner(context: &Context<'_>, manifest: &Manifest) -> Result<()> {
    if !manifest.username.is_empty() && manifest.username != context.user {
        return Err(Error::WrongOwner {
            what: "the user",
            wanted: manifest.username.clone(),
            found: context.user.clone(),
        });
    }
    let wanted = Path::new(&manifest.home_directory);
    if manifest.home_directory.is_empty() || wanted == context.home {
        return Ok(());
    }
    // As Home Manager does, by identity: the home may be reached through a link.
    let same =
        matches!((wanted.canonicalize(), context.home.canonicalize()), (Ok(one), Ok(other)) if one == other);
    if same {
        return Ok(());
    }
    Err(Error::WrongOwner {
        what: "the home directory",
        wanted: manifest.home_directory.clone(),
        found: context.home.display().to_string(),
    })
}

fn check_writable(home: &Path) -> Result<()> {
    rustix::fs::accessat(
        rustix::fs::CWD,
        home,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
        rustix::fs::AtFlags::EACCESS,
    )
    .map_err(|error| Error::HomeReadOnly { home: home.to_owned(), source: error.into() })
}

fn steps(before: &Manifest, after: &Manifest, provenance: &Provenance) -> Vec<StepChange> {
    let boundary = after.activation.iter().position(|step| step.name == "writeBoundary").unwrap_or(0);
    let change = |(index, step): (usize, &Step)| StepChange {
        name: step.name.clone(),
        script: step.kind != StepKind::Builtin,
        writes: index > boundary,
        change: match before.activation.iter().find(|old| old.name == step.name) {
            None => StepNews::New,
            Some(old) if old == step => StepNews::Same,
            Some(_) => StepNews::Changed,
        },
        reasons: provenance.of("activation", &step.name),
    };
    after.activation.iter().enumerate().map(change).collect()
}

fn variables(before: &Manifest, after: &Manifest, provenance: &Provenance) -> Vec<VariableChange> {
    let (old, new) = (&before.session_variables, &after.session_variables);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = |name: &&String| old.get(*name) != new.get(*name);
    let change = |name: &String| VariableChange {
        name: name.clone(),
        old: old.get(name).cloned(),
        new: new.get(name).cloned(),
        reasons: provenance.of("variable", name),
    };
    names.into_iter().filter(differs).map(change).collect()
}

/// Whether the content at `target` will differ from what is there now: what `onChange` waits for.
fn content_changes(context: &Context<'_>, target: &str, leaf: &Leaf) -> bool {
    !same_content(&context.store.real(&leaf.source), &context.home.join(target))
}
