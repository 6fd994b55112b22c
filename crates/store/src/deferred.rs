//! Adding what an evaluation makes without keeping it waiting.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use nival_formats::store_path::DigestHash;
use nival_formats::{DerivationFile, StorePath};

use crate::add::{Existing, Source};
use crate::batch::{Contents, Item};
use crate::error::{Result, StoreError};
use crate::store::LocalStore;

/// So many things are written together.
const BATCH_COUNT: usize = 2000;
/// As soon as so much memory waits, it is written.
const BATCH_BYTES: usize = 16 << 20;
/// Whoever adds more waits for the writer.
const LIMIT_BYTES: usize = 64 << 20;
/// Larger sources are not kept in memory, but added at once.
const LARGEST_SOURCE: usize = 1 << 20;

/// Adds to a store in batches, on a thread of its own once there is enough for one.
///
/// A path that was added can be named by what is added later, from any thread; its files are there after
/// [`Deferred::flush`]. What was not flushed when this is dropped may be missing from the store.
pub struct Deferred {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Arc<LocalStore>,
    existing: Existing,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<Item>,
    bytes: usize,
    /// The paths that wait or are being written.
    pending: HashSet<StorePath, DigestHash>,
    is_writing: bool,
    is_closed: bool,
    /// Why the writer could not do it; for the next one who asks.
    error: Option<StoreError>,
}

impl Deferred {
    /// Nothing is pending.
    pub fn new(store: Arc<LocalStore>, existing: Existing) -> Self {
        let shared = Shared { store, existing, state: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared), writer: Mutex::default() }
    }

    /// The store.
    pub fn store(&self) -> &LocalStore {
        &self.shared.store
    }

    /// Adds a `.drv` file. What it refers to must be valid or have been added before.
    pub fn add_derivation(&self, file: DerivationFile) -> Result<()> {
        self.add(Item::derivation(file))
    }

    /// As [`LocalStore::add_text`].
    pub fn add_text(&self, name: &str, contents: &[u8], references: &[StorePath]) -> Result<StorePath> {
        let item = self.shared.store.text_item(name, contents, references)?;
        let path = item.info.path.clone();
        self.add(item)?;
        Ok(path)
    }

    /// As [`LocalStore::add_source`]: the source is read at once, and may change afterwards.
    pub fn add_source(&self, source: Source<'_>) -> Result<StorePath> {
        let store = &self.shared.store;
        store.require_writable("add to the store")?;
        let (info, spool) = store.read_source(source)?;
        if self.shared.existing == Existing::Replace {
            return store.replace_spooled(info, spool);
        }
        if info.nar_size > LARGEST_SOURCE as u64 {
            return store.add_spooled(info, spool);
        }
        match spool.into_memory() {
            Err(spool) => store.add_spooled(info, spool),
            Ok(nar) => {
                let path = info.path.clone();
                self.add(Item {
                    info,
                    outputs: std::collections::BTreeMap::new(),
                    contents: Contents::Nar(nar),
                })?;
                Ok(path)
            }
        }
    }

    /// Whether a path was added whose files may not be there yet.
    pub fn is_pending(&self, path: &StorePath) -> bool {
        self.shared.lock().pending.contains(path)
    }

    /// Waits until everything that was added is valid. What could not be written waits for the next call.
    pub fn flush(&self) -> Result<()> {
        let mut state = self.shared.wait_while(self.shared.lock(), |state| state.is_writing);
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        let state = self.shared.write(state);
        match { state }.error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn add(&self, item: Item) -> Result<()> {
        if self.shared.existing == Existing::Replace {
            return self.shared.store.replace_item(&item);
        }
        let mut state = self.shared.lock();
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        if !state.pending.insert(item.info.path.clone()) {
            return Ok(());
        }
        state.bytes += item.size();
        state.waiting.push(item);
        if !state.has_batch() {
            return Ok(());
        }
        self.start_writer()?;
        self.shared.changed.notify_all();
        drop(self.shared.wait_while(state, |state| state.bytes > LIMIT_BYTES && state.error.is_none()));
        Ok(())
    }

    fn start_writer(&self) -> Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            let shared = Arc::clone(&self.shared);
            let started =
                std::thread::Builder::new().name("store writer".into()).spawn(move || shared.serve());
            *writer = Some(started.map_err(|source| StoreError::Io {
                action: "start a thread that writes to",
                path: self.shared.store.config.real_store_dir.clone(),
                source,
            })?);
        }
        Ok(())
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
        if let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic of the writer has been told already.
            let _ = writer.join();
        }
    }
}

impl State {
    fn has_batch(&self) -> bool {
        self.waiting.len() >= BATCH_COUNT || self.bytes >= BATCH_BYTES
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        condition: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.changed.wait_while(state, |state| condition(state)).unwrap_or_else(PoisonError::into_inner)
    }

    /// What the writer does.
    fn serve(&self) {
        loop {
            let ready = |state: &State| {
                state.is_closed || state.has_batch() && !state.is_writing && state.error.is_none()
            };
            let state = self.wait_while(self.lock(), |state| !ready(state));
            if state.is_closed {
                return;
            }
            drop(self.write(state));
        }
    }

    /// Writes all that waits. What failed is put back.
    fn write<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let items = std::mem::take(&mut state.waiting);
        if items.is_empty() {
            return state;
        }
        let bytes = std::mem::take(&mut state.bytes);
        state.is_writing = true;
        drop(state);
        let outcome = self.store.add_items(&items);
        let mut state = self.lock();
        state.is_writing = false;
        match outcome {
            Ok(()) => {
                for item in &items {
                    state.pending.remove(&item.info.path);
                }
            }
            Err(error) => {
                state.bytes += bytes;
                let since = std::mem::replace(&mut state.waiting, items);
                state.waiting.extend(since);
                state.error = Some(error);
            }
        }
        self.changed.notify_all();
        state
    }
}
