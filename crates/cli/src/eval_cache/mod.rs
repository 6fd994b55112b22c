//! Not again: an unchanged command answers from what it answered last time.
//!
//! The first run evaluates over a [`Recorder`], which notes everything that evaluation asks of the world. What it
//! saw and what the command answered make an [`Entry`], one file per command below `$XDG_CACHE_HOME/nival/eval`. The
//! next run of the same command looks whether all of that is still so: a file counts as unchanged when its
//! fingerprint (inode, size, times) is, else when its contents are; a store path when it is still there; what was
//! written to the store when it is still valid. The first difference ends the check, and the command evaluates again.
//!
//! An answer is kept only if evaluation succeeded and all that it asked can be asked again: `builtins.currentTime`
//! and errors of the file system that an expression survived make an answer that is not kept. The cache is never a
//! reason to fail: what cannot be read is a miss, what cannot be written is left out.

mod encoding;
mod entries;
mod entry;
mod files;
mod inputs;
mod neighbours;
mod recorder;
mod seen;

use std::path::PathBuf;
use std::sync::Arc;

use nival_formats::{HashAlgo, Hasher};
use nival_store::Existing;

pub(crate) use entry::Said;
pub(crate) use recorder::Recorder;

use crate::cache_folder::Folder;
use crate::fingerprint::Fingerprint;
use crate::host::WorldHost;
use crate::world::World;
use entry::Entry;
use nival_eval::Host as _;

/// Settings that change how things are built, fetched or told, and not what an expression means.
const NEUTRAL_SETTINGS: &[&str] = &[
    "cores",
    "eval-cache",
    "eval-profile-file",
    "eval-profiler",
    "eval-profiler-frequency",
    "keep-derivations",
    "keep-failed",
    "keep-going",
    "keep-outputs",
    "log-lines",
    "max-jobs",
    "max-silent-time",
    "parse-cache",
    "sandbox",
    "sandbox-paths",
    "system-features",
    "timeout",
    "trace-function-calls",
];

/// The place of one command's answer.
pub(crate) struct Slot {
    folder: Folder,
    key: [u8; 32],
}

/// Where an answer is kept.
///
/// `question` is everything that decides the answer beside the world: the expression, how it is called and shown.
/// `evaluation` are the settings that the evaluator gets. Nothing if the user does not want the cache.
pub(crate) fn slot(
    world: &World,
    evaluation: &nival_eval::Settings,
    question: &[impl AsRef<[u8]>],
) -> Option<Slot> {
    if !world.settings.eval_cache || world.debugger.is_some() || world.existing == Existing::Replace {
        return None;
    }
    // A program is what its file is: there are no two builds that share answers.
    let program = Fingerprint::of(&std::fs::metadata(&world.context.program).ok()?);
    let mut key = Key(Hasher::new(HashAlgo::Blake3));
    key.add(env!("CARGO_PKG_VERSION"));
    key.add(format!("{program:?}"));
    key.add(world.store_dir().as_str());
    let physical = world.store_config().map(|config| (&config.real_store_dir, &config.state_dir));
    key.add(format!("{physical:?} {} {}", world.read_only, world.as_reference));
    key.add(format!("{evaluation:?}"));
    for (name, value) in world.settings.show() {
        if !NEUTRAL_SETTINGS.contains(&name) {
            key.add(name);
            key.add(value);
        }
    }
    if evaluation.search_path.iter().any(|entry| !entry.path.starts_with('/')) {
        key.add(world.context.directory.as_os_str().as_encoded_bytes());
    }
    for part in question {
        key.add(part);
    }
    let folder: PathBuf = world.context.xdg("XDG_CACHE_HOME", ".cache").join("nival/eval");
    let key = key.0.finish().as_bytes().try_into().expect("BLAKE3 has 32 bytes");
    Some(Slot { folder: Folder::new(folder, world.context.uid), key })
}

struct Key(Hasher);

impl Key {
    fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }
}

impl Slot {
    /// What was said last time, if everything that was seen then is still so.
    pub(crate) fn recall(&self, world: &World) -> Option<Vec<Said>> {
        if world.refresh {
            return None;
        }
        let file = self.folder.read(&self.key)?;
        let mut entry = Entry::decode(&file, &self.key)?;
        let refreshed = entry.inputs.check(&world.context.environment)?;
        if !entry.paths.is_empty() && !still_valid(world, &entry) {
            return None;
        }
        if refreshed {
            self.folder.write(&self.key, &entry.encode(&self.key));
        } else {
            self.folder.mark_used(&self.key);
        }
        Some(entry.said)
    }

    /// Keeps what a recorded evaluation said.
    pub(crate) fn keep(&self, world: &World, recorder: &Recorder) {
        if let Some(entry) = recorder.finish(world) {
            self.folder.write(&self.key, &entry.encode(&self.key));
        }
    }
}

/// Whether the store has what evaluation wrote and used; from here on no garbage collection takes it.
fn still_valid(world: &World, entry: &Entry<'_>) -> bool {
    let Ok(store) = world.store() else { return false };
    let paths: Vec<_> = entry.paths.iter().collect();
    (!world.keeps_what_is_added() || store.add_temp_roots(&paths).is_ok())
        && store.query_valid_paths(paths.iter().copied()).is_ok_and(|valid| valid.len() == paths.len())
}

/// Says again what was said: messages to the user, data to `sink`.
pub(crate) fn replay(
    world: &Arc<World>,
    said: &[Said],
    mut sink: impl FnMut(&[u8]) -> crate::error::Result,
) -> crate::error::Result {
    let host = WorldHost(Arc::clone(world));
    for one in said {
        match one {
            Said::Message(kind, text) => host.message(*kind, text),
            Said::Data(bytes) => sink(bytes)?,
        }
    }
    Ok(())
}
