//! What commands work on: the settings, the store (opened when first needed) and what evaluation wants written to it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, OnceLock, PoisonError};

use nival_formats::{Derivation, StoreDir, StorePath};
use nival_store::{LocalStore, StoreConfig};

use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::output::Output;
use crate::settings::Settings;
use crate::store_place::StorePlace;

/// One run's surroundings, settings and store.
pub(crate) struct World {
    pub(crate) context: Context,
    pub(crate) settings: Settings,
    pub(crate) output: Output,
    pub(crate) print_build_logs: bool,
    /// Whether errors read as those of C++ Nix, because the program was called by one of its names.
    pub(crate) as_reference: bool,
    /// Whether the store stays as it is: paths are computed only.
    pub(crate) read_only: bool,
    /// Whether what was evaluated and fetched before counts as out of date (`--refresh`).
    pub(crate) refresh: bool,
    place: StorePlace,
    store: OnceLock<LocalStore>,
    store_dir: StoreDir,
    derivations: Mutex<Derivations>,
    /// What evaluation would have added to a store that keeps nothing.
    computed: Mutex<HashSet<StorePath>>,
}

/// Derivations that were evaluated: written in batches, because each transaction costs as much as hundreds of files.
#[derive(Default)]
struct Derivations {
    known: HashMap<StorePath, Derivation>,
    unwritten: Vec<StorePath>,
}

impl World {
    pub(crate) fn new(
        context: Context,
        settings: Settings,
        output: Output,
        place: StorePlace,
        print_build_logs: bool,
    ) -> Self {
        let store_dir = place.store_dir();
        Self {
            context,
            settings,
            output,
            print_build_logs,
            as_reference: false,
            read_only: false,
            refresh: false,
            place,
            store: OnceLock::new(),
            store_dir,
            derivations: Mutex::default(),
            computed: Mutex::default(),
        }
    }

    /// Where the store is.
    pub(crate) fn place(&self) -> &StorePlace {
        &self.place
    }

    /// The name of the store's folder.
    pub(crate) fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    /// The store, opened (and made, if need be) at the first call.
    pub(crate) fn store(&self) -> Result<&LocalStore> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let config = self.store_config().ok_or_else(|| {
            CommandError::failure("the store `dummy://` keeps nothing, so this cannot be done in it")
                .hint("leave `--store` away, or name a folder: `--store DIR`")
        })?;
        let is_new = !config.db_dir().join("db.sqlite").exists();
        let store = LocalStore::open(config.clone())?;
        if is_new {
            // Said once: afterwards `nival doctor` tells.
            self.output.say(format!("store: {}", self.place.describe()));
        }
        Ok(self.store.get_or_init(|| store))
    }

    /// How the store is opened; nothing for `dummy://`.
    pub(crate) fn store_config(&self) -> Option<&StoreConfig> {
        self.place.config()
    }

    /// Whether what evaluation adds is written to a store.
    pub(crate) fn keeps_what_is_added(&self) -> bool {
        self.store_config().is_some() && !self.read_only
    }

    /// Keeps a derivation that was evaluated, to be written with others.
    pub(crate) fn add_derivation(&self, path: StorePath, derivation: Derivation) {
        let mut derivations = self.derivations.lock().unwrap_or_else(PoisonError::into_inner);
        let derivations = &mut *derivations;
        if let std::collections::hash_map::Entry::Vacant(entry) = derivations.known.entry(path) {
            derivations.unwritten.push(entry.key().clone());
            entry.insert(derivation);
        }
    }

    /// Notes a path that was computed and not added.
    pub(crate) fn note_computed(&self, path: &StorePath) {
        self.computed.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
    }

    /// Whether a path was computed in this run.
    pub(crate) fn is_computed(&self, path: &StorePath) -> bool {
        self.computed.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    /// A derivation evaluated in this run.
    pub(crate) fn known_derivation(&self, path: &StorePath) -> Option<Derivation> {
        self.derivations.lock().unwrap_or_else(PoisonError::into_inner).known.get(path).cloned()
    }

    /// Writes the derivations that were evaluated so far and are not in the store yet.
    pub(crate) fn write_derivations(&self) -> Result {
        let mut derivations = self.derivations.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.keeps_what_is_added() || derivations.unwritten.is_empty() {
            return Ok(());
        }
        let store = self.store()?;
        store.add_temp_roots(&derivations.unwritten.iter().collect::<Vec<_>>())?;
        let valid = store.query_valid_paths(&derivations.unwritten)?;
        let missing = derivations.unwritten.iter().filter(|path| !valid.contains(*path));
        store.write_derivations(missing.map(|path| &derivations.known[path]))?;
        derivations.unwritten.clear();
        Ok(())
    }
}
