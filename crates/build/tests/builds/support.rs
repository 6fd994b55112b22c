//! A store in a temporary folder, and derivations for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

use nival_build::{
    BuildError, BuildEvent, BuildFailure, BuildOptions, DerivedPath, FailureKind, Realised, WantedOutputs,
    realise, sandbox::SpawnError,
};
use nival_formats::derivation::{DerivationError, HashModuloMemo};
use nival_formats::{ContentAddress, Derivation, DerivationOutput, InputOutputs, StoreDir, StorePath};
use nival_store::{LocalStore, StoreConfig};

pub(crate) struct Stage {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: LocalStore,
    pub(crate) options: BuildOptions,
    pub(crate) events: Mutex<Vec<String>>,
}

impl Stage {
    /// A store whose files are elsewhere than its paths say, so that all builds are isolated.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(StoreConfig::chroot(folder.path())).unwrap();
        Self { folder, store, options: BuildOptions::default(), events: Mutex::default() }
    }

    /// The store of another stage, from another process.
    pub(crate) fn at(root: &str) -> Self {
        let store = LocalStore::open(StoreConfig::chroot(root)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { folder, store, options: BuildOptions::default(), events: Mutex::default() }
    }

    /// The folder that holds everything.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A store whose files are where its paths say, for builds without a sandbox.
    pub(crate) fn in_place() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let mut config = StoreConfig::from_parts(root.join("store"), root.join("var"), root.join("log"));
        config.store_dir = StoreDir::new(root.join("store").to_str().unwrap());
        let store = LocalStore::open(config).unwrap();
        let options = BuildOptions { sandbox: nival_build::SandboxMode::Disabled, ..BuildOptions::default() };
        Self { folder, store, options, events: Mutex::default() }
    }

    /// Writes a derivation after computing its outputs.
    pub(crate) fn write(&self, mut derivation: Derivation) -> StorePath {
        let memo = HashModuloMemo::default();
        let mut read = |path: &StorePath| -> Result<Derivation, DerivationError> {
            Ok(self.store.read_derivation(path).unwrap())
        };
        derivation.fill_output_paths(self.store.store_dir(), &memo, &mut read).unwrap();
        for (name, output) in derivation.outputs.clone() {
            let path = output.path(self.store.store_dir(), &derivation.name, &name).unwrap();
            let path = path.map(|path| self.store.display(&path)).unwrap_or_default();
            derivation.env.insert(name.into_bytes(), path.into_bytes());
        }
        self.store.write_derivation(&derivation).unwrap()
    }

    pub(crate) fn shell(&self, name: &str, script: &str) -> StorePath {
        self.write(shell(name, script))
    }

    pub(crate) fn realise(&self, derivations: &[StorePath]) -> Result<Vec<Realised>, BuildError> {
        let wanted: Vec<DerivedPath> = derivations
            .iter()
            .map(|path| DerivedPath { derivation: path.clone(), outputs: WantedOutputs::All })
            .collect();
        realise(&self.store, &wanted, &self.options, &|event| {
            let text = match event {
                BuildEvent::Started { derivation } => format!("started {}", derivation.name()),
                BuildEvent::Waiting { derivation } => format!("waiting {}", derivation.name()),
                BuildEvent::LogLine { line, .. } => format!("> {line}"),
                BuildEvent::Phase { phase, .. } => format!("phase {phase}"),
                BuildEvent::Finished { derivation, .. } => format!("finished {}", derivation.name()),
                BuildEvent::Failed { derivation, .. } => format!("failed {}", derivation.name()),
                BuildEvent::Warning(text) => format!("warning {text}"),
                _ => return,
            };
            self.events.lock().unwrap().push(text);
        })
    }

    /// The output of a build; `None` where the kernel grants no sandbox, which has to be said properly.
    pub(crate) fn build(&self, derivation: &StorePath) -> Option<StorePath> {
        match self.realise(std::slice::from_ref(derivation)) {
            Ok(realised) => Some(realised[0].outputs["out"].clone()),
            Err(BuildError::Failed(failures)) if no_sandbox(&failures) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The first failure of a build, which must be there.
    pub(crate) fn fail(&self, derivation: &StorePath) -> Option<BuildFailure> {
        match self.realise(std::slice::from_ref(derivation)) {
            Err(BuildError::Failed(failures)) if no_sandbox(&failures) => None,
            Err(BuildError::Failed(mut failures)) => Some(failures.remove(0)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn text(&self, path: &StorePath) -> String {
        std::fs::read_to_string(self.store.real_path(path)).unwrap()
    }

    /// Nothing of any build is left but valid paths, logs and locks.
    pub(crate) fn assert_clean(&self) {
        let valid: BTreeSet<String> =
            self.store.query_all_valid_paths().unwrap().iter().map(ToString::to_string).collect();
        for name in names(&self.store.config().real_store_dir) {
            assert!(valid.contains(&name) || name == ".links" || name.ends_with(".lock"), "{name} is left");
        }
        assert_eq!(names(&self.store.config().state_dir.join("builds")), Vec::<String>::new());
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn no_sandbox(failures: &[BuildFailure]) -> bool {
    let FailureKind::Start(SpawnError::Unavailable { reason }) = &failures[0].kind else { return false };
    assert!(reason.starts_with("cannot "), "{reason}");
    assert!(failures[0].hint().unwrap().contains("--no-sandbox"));
    #[expect(clippy::print_stderr, reason = "a test that could not see a sandbox says so")]
    {
        eprintln!("no sandbox here: {reason}");
    }
    true
}

/// A derivation that runs a script of the host's shell.
pub(crate) fn shell(name: &str, script: &str) -> Derivation {
    Derivation {
        name: name.into(),
        outputs: BTreeMap::from([("out".into(), DerivationOutput::Deferred)]),
        system: BuildOptions::default().system,
        builder: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::from([(b"name".to_vec(), name.into())]),
        ..Derivation::default()
    }
}

pub(crate) fn fixed(name: &str, script: &str, address: ContentAddress) -> Derivation {
    let outputs = BTreeMap::from([("out".into(), DerivationOutput::CaFixed(address))]);
    Derivation { outputs, ..shell(name, script) }
}

pub(crate) fn builtin(builder: &str, name: &str, attributes: &[(&str, &str)]) -> Derivation {
    let env = attributes.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
    Derivation { builder: builder.into(), args: vec![], system: "builtin".into(), env, ..shell(name, "") }
}

pub(crate) fn needs(derivation: Derivation, inputs: &[&StorePath]) -> Derivation {
    let wanted = InputOutputs { outputs: BTreeSet::from(["out".into()]), dynamic: BTreeMap::new() };
    let input_derivations = inputs.iter().map(|path| ((*path).clone(), wanted.clone())).collect();
    Derivation { input_derivations, ..derivation }
}

pub(crate) fn with_env(mut derivation: Derivation, variables: &[(&str, &str)]) -> Derivation {
    derivation.env.extend(variables.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())));
    derivation
}

pub(crate) fn with_outputs(mut derivation: Derivation, outputs: &[&str]) -> Derivation {
    derivation.outputs =
        outputs.iter().map(|name| ((*name).to_owned(), DerivationOutput::Deferred)).collect();
    derivation
}
