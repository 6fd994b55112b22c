//! The manifest of a home generation: what it holds and how it is activated.
//!
//! A generation of Home Manager itself has no `manifest.json`. It is read as far as its tree tells: its files,
//! and the built-in steps, but not the scripts, which such a generation keeps in one program of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::context::StoreView;
use crate::error::{Error, Result};

/// The newest manifest format that this version reads.
pub const SCHEMA: u32 = 1;

/// Names of the steps that Nival does itself, in their usual order.
pub const BUILTIN_STEPS: [&str; 7] = [
    "checkLinkTargets",
    "writeBoundary",
    "checkFilesChanged",
    "linkGeneration",
    "installPackages",
    "onFilesChange",
    "reloadSystemd",
];

/// A generation's manifest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The format.
    pub schema: u32,
    /// The user the home is for; empty when not known.
    #[serde(default)]
    pub username: String,
    /// The home directory; empty when not known.
    #[serde(default)]
    pub home_directory: String,
    /// The release whose defaults the home keeps.
    #[serde(default)]
    pub state_version: String,
    /// The tree of links for the home directory.
    pub home_files: PathBuf,
    /// The environment of packages.
    #[serde(default)]
    pub home_path: Option<PathBuf>,
    /// What is known of single files.
    #[serde(default)]
    pub files: Vec<File>,
    /// The packages in the environment.
    #[serde(default)]
    pub packages: Vec<Package>,
    /// The user units.
    #[serde(default)]
    pub units: Vec<Unit>,
    /// The steps of the activation, in order.
    #[serde(default)]
    pub activation: Vec<Step>,
    /// Variables set for sessions.
    #[serde(default)]
    pub session_variables: BTreeMap<String, serde_json::Value>,
    /// Whether this was derived from a tree without a manifest.
    #[serde(skip)]
    pub derived: bool,
}

/// A declared file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its place, relative to the home.
    pub target: String,
    /// The store file it shows.
    pub source: PathBuf,
    /// Whether the executable bit was asked for; the builder of the tree has seen to it.
    #[serde(default)]
    pub executable: Option<bool>,
    /// Whether `source` is a directory whose files are linked one by one.
    #[serde(default)]
    pub recursive: bool,
    /// Whether whatever is in the way is replaced.
    #[serde(default)]
    pub force: bool,
    /// Shell text run when the file's content changes.
    #[serde(default)]
    pub on_change: String,
}

/// A package in the home's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Name and version, as `hello-2.12`.
    pub name: String,
    /// Its store path.
    pub path: PathBuf,
}

/// A user unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// Its name, as `x.service`.
    pub name: String,
    /// The unit file.
    pub source: PathBuf,
    /// The units that want it.
    #[serde(default)]
    pub wanted_by: Vec<String>,
}

/// A step of the activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// What it does.
    #[serde(flatten)]
    pub kind: StepKind,
}

/// What a step of the activation does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum StepKind {
    /// Done by Nival; the name is one of [`BUILTIN_STEPS`].
    Builtin,
    /// Shell text.
    Script {
        /// The text.
        script: String,
    },
}

impl Manifest {
    /// Reads the manifest of the generation at the store path `generation`.
    pub fn read(store: &StoreView, generation: &Path) -> Result<Self> {
        let real = store.real(generation);
        let path = real.join("manifest.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return derive(store, generation, &real),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let wrong = |problem: String| Error::Manifest { path: path.clone(), problem };
        // The schema comes first: what a newer format says of its other fields is not known here.
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let Version { schema } = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if schema != SCHEMA {
            return Err(wrong(format!(
                "its schema is {schema}, and this version of Nival reads schema {SCHEMA}"
            )));
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        manifest.check(store).map_err(wrong)?;
        Ok(manifest)
    }

    fn check(&self, store: &StoreView) -> Result<(), String> {
        let mut targets = BTreeSet::new();
        for file in &self.files {
            check_target(&file.target)?;
            if !targets.insert(&file.target) {
                return Err(format!("`files` names `{}` twice", file.target));
            }
        }
        if !self.home_files.starts_with(&store.logical) {
            return Err(format!("`homeFiles` is not in the store: `{}`", self.home_files.display()));
        }
        for unit in &self.units {
            if unit.name.is_empty() || unit.name.starts_with('-') || unit.name.contains(['/', '\0']) {
                return Err(format!("`{}` can't be a unit's name", unit.name));
            }
        }
        let mut steps = BTreeSet::new();
        for step in &self.activation {
            if !steps.insert(&step.name) {
                return Err(format!("`activation` names `{}` twice", step.name));
            }
            if step.kind == StepKind::Builtin && !BUILTIN_STEPS.contains(&&*step.name) {
                return Err(format!(
                    "`activation` has a built-in step `{}`, which this version of Nival does not know",
                    step.name
                ));
            }
        }
        if !steps.contains(&"writeBoundary".to_owned()) {
            return Err("`activation` has no step `writeBoundary`".into());
        }
        Ok(())
    }

    /// The declared file that the leaf `target` of the tree comes from: itself, or the recursive directory
    /// that it is in.
    pub fn file_of(&self, target: &str) -> Option<&File> {
        self.files
            .iter()
            .filter(|file| {
                target
                    .strip_prefix(&*file.target)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .max_by_key(|file| file.target.len())
    }
}

/// A target must stay in the home: it is joined to it and written to.
fn check_target(target: &str) -> Result<(), String> {
    let plain = Path::new(target).components().all(|component| matches!(component, Component::Normal(_)));
    if target.is_empty() || !plain || target.contains('\0') || target.ends_with('/') || target.contains("//")
    {
        return Err(format!("`{target}` can't be a file's target: it must be a plain path below the home"));
    }
    Ok(())
}

fn derive(store: &StoreView, generation: &Path, real: &Path) -> Result<Manifest> {
    let home_files = link_in(store, &real.join("home-files"))?.ok_or_else(|| Error::Manifest {
        path: real.join("manifest.json"),
        problem: format!(
            "`{}` has neither this file nor a `home-files`, so it is no home",
            generation.display()
        ),
    })?;
    let home_path = link_in(store, &real.join("home-path"))?;
    let activation = BUILTIN_STEPS.map(|name| Step { name: name.into(), kind: StepKind::Builtin }).to_vec();
    Ok(Manifest { schema: SCHEMA, home_files, home_path, activation, derived: true, ..Manifest::default() })
}

/// The store path that a generation's link names; the entry itself when it is a directory.
fn link_in(store: &StoreView, entry: &Path) -> Result<Option<PathBuf>> {
    match std::fs::read_link(entry) {
        Ok(target) => Ok(Some(target)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(Some(store.name_of(entry))),
        Err(error) => Err(Error::io("read", entry)(error)),
    }
}
