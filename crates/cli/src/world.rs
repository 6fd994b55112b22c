//! What commands work on: the settings, the store (opened when first needed) and what evaluation wants written to it.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use nival_eval::Verbosity;
use nival_eval::debug::Debugger;
use nival_formats::store_path::DigestHash;
use nival_formats::{StoreDir, StorePath};
use nival_store::{Deferred, Existing, LocalStore, StoreConfig};

use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::lock::lock;
use crate::output::Output;
use crate::parse_cache::ParseCache;
use crate::settings::Settings;
use crate::store_place::StorePlace;

/// Makes the debugger of a run.
type DebuggerOf = fn(&Arc<World>) -> Box<dyn Debugger>;

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
    /// What becomes of valid paths that evaluation adds again (`--repair`).
    pub(crate) existing: Existing,
    /// Whether what was evaluated and fetched before counts as out of date (`--refresh`).
    pub(crate) refresh: bool,
    /// How much evaluation says of what it does (`-v`).
    pub(crate) verbosity: Verbosity,
    /// What errors and breakpoints open.
    pub(crate) debugger: Option<DebuggerOf>,
    /// Whether a REPL has said which program it is.
    pub(crate) has_greeted: AtomicBool,
    place: StorePlace,
    store: OnceLock<Deferred>,
    opening: Mutex<()>,
    store_dir: StoreDir,
    /// What evaluation would have added to a store that keeps nothing.
    computed: Mutex<HashSet<StorePath, DigestHash>>,
    /// Writes what is new when the command ends.
    parse_cache: OnceLock<Option<ParseCache>>,
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
            existing: Existing::Keep,
            refresh: false,
            verbosity: Verbosity::Usual,
            debugger: None,
            has_greeted: AtomicBool::new(false),
            place,
            store: OnceLock::new(),
            opening: Mutex::new(()),
            store_dir,
            computed: Mutex::default(),
            parse_cache: OnceLock::new(),
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

    /// Trees and listings that were kept, if the user wants that.
    pub(crate) fn parse_cache(&self) -> Option<&ParseCache> {
        let open = || {
            let store = self.store_config().map(|config| config.real_store_dir.clone());
            self.settings.parse_cache.then(|| ParseCache::new(&self.context, store, !self.refresh))?
        };
        self.parse_cache.get_or_init(open).as_ref()
    }

    /// The store, opened (and made, if need be) at the first call.
    pub(crate) fn store(&self) -> Result<&LocalStore> {
        Ok(self.deferred()?.store())
    }

    /// The way to add to the store what an evaluation makes.
    pub(crate) fn deferred(&self) -> Result<&Deferred> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        // Several threads may be the first to need it.
        let _one_opens = lock(&self.opening);
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let config = self.store_config().ok_or_else(|| {
            CommandError::failure("the store `dummy://` keeps nothing, so this cannot be done in it")
                .hint("leave `--store` away, or name a folder: `--store DIR`")
        })?;
        let is_new = !config.db_dir().join("db.sqlite").exists();
        let store = LocalStore::open(config.clone())?;
        if is_new && !self.as_reference {
            // Said once: afterwards `nival doctor` tells.
            self.output.say(format!("store: {}", self.place.describe()));
        }
        Ok(self.store.get_or_init(|| Deferred::new(Arc::new(store), self.existing)))
    }

    /// How the store is opened; nothing for `dummy://`.
    pub(crate) fn store_config(&self) -> Option<&StoreConfig> {
        self.place.config()
    }

    /// Whether what evaluation adds is written to a store.
    pub(crate) fn keeps_what_is_added(&self) -> bool {
        self.store_config().is_some() && !self.read_only
    }

    /// Notes a path that was computed and not added.
    pub(crate) fn note_computed(&self, path: &StorePath) {
        lock(&self.computed).insert(path.clone());
    }

    /// Whether a path was computed in this run.
    fn is_computed(&self, path: &StorePath) -> bool {
        lock(&self.computed).contains(path)
    }

    /// Waits until everything that evaluation has added so far is in the store.
    pub(crate) fn write_derivations(&self) -> Result {
        // Nothing was added to a store that was never opened.
        match self.store.get() {
            Some(deferred) => Ok(deferred.flush()?),
            None => Ok(()),
        }
    }

    /// Makes the files of a store path readable, should they wait to be written.
    pub(crate) fn settle(&self, path: &StorePath) -> Result {
        match self.store.get() {
            Some(deferred) if deferred.is_pending(path) => Ok(deferred.flush()?),
            _ => Ok(()),
        }
    }

    /// Whether evaluation has made this path: it is valid, or will be.
    pub(crate) fn is_added(&self, path: &StorePath) -> bool {
        self.is_computed(path) || self.store.get().is_some_and(|deferred| deferred.is_pending(path))
    }
}
