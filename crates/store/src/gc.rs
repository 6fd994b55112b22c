//! The garbage collector (C++ Nix: `src/libstore/gc.cc`).
//!
//! A collection holds `gc.lock` exclusively. Roots that other processes need meanwhile reach it over a socket, see
//! [`crate::gc_server`]; one who asks for a path that is just being deleted waits until that is done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nival_formats::StorePath;

use crate::closure::ClosureOptions;
use crate::directories;
use crate::error::{IoContext as _, Result, StoreError};
use crate::event::StoreEvent;
use crate::gc_server::{GcServer, Shared};
use crate::lock::{LockKind, open_lock_file, try_lock, wait_lock};
use crate::remove::delete_tree;
use crate::store::LocalStore;
use crate::temp_roots;

/// What a collection does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GcAction {
    /// Delete what no root reaches.
    #[default]
    DeleteDead,
    /// Say what no root reaches.
    ReturnDead,
    /// Say what roots reach.
    ReturnLive,
    /// Delete the named paths; an error if one of them is alive.
    DeleteSpecific,
}

/// How to collect.
#[derive(Debug, Clone)]
pub struct GcOptions {
    /// What to do.
    pub action: GcAction,
    /// For [`GcAction::DeleteSpecific`].
    pub paths_to_delete: BTreeSet<StorePath>,
    /// Let [`GcAction::DeleteSpecific`] delete what roots reach, as long as no path refers to it.
    pub ignore_liveness: bool,
    /// Stop once more than this many bytes are freed.
    pub max_freed: u64,
    /// Outputs of live derivations stay (setting `keep-outputs`).
    pub keep_outputs: bool,
    /// Derivations of live outputs stay (setting `keep-derivations`).
    pub keep_derivations: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            action: GcAction::DeleteDead,
            paths_to_delete: BTreeSet::new(),
            ignore_liveness: false,
            max_freed: u64::MAX,
            keep_outputs: false,
            keep_derivations: true,
        }
    }
}

/// What a collection found or did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcResult {
    /// The live, dead or deleted files of the store, as logical paths; also what was no store path.
    pub paths: BTreeSet<PathBuf>,
    /// The sizes of the deleted files.
    pub bytes_freed: u64,
}

impl LocalStore {
    /// Collects garbage.
    pub fn collect_garbage(&self, options: &GcOptions) -> Result<GcResult> {
        self.require_writable("collect garbage")?;
        let deletes = matches!(options.action, GcAction::DeleteDead | GcAction::DeleteSpecific);
        let reserved = self.config.db_dir().join("reserved");
        if deletes {
            // So that SQLite has room to work, should the disk be full.
            delete_tree(&reserved)?;
        }
        let lock_path = temp_roots::gc_lock_path(&self.config);
        let lock = open_lock_file(&lock_path)?;
        wait_lock(&lock, LockKind::Exclusive, &lock_path, &self.config.reporter)?;

        let shared = Shared::default();
        let server = GcServer::bind(&temp_roots::gc_socket_path(&self.config), self.store_dir())?;
        let result = server.while_serving(&shared, || {
            let mut collector = Collector::new(self, options, &shared)?;
            collector.run()?;
            Ok::<_, StoreError>(collector.into_result())
        })?;
        if deletes {
            directories::reserve_space(&reserved, self.config.reserved_space);
        }
        Ok(result)
    }

    /// Deletes paths that no root reaches and that nothing but each other refers to.
    pub fn delete(&self, paths: BTreeSet<StorePath>) -> Result<GcResult> {
        self.collect_garbage(&GcOptions {
            action: GcAction::DeleteSpecific,
            paths_to_delete: paths,
            ..GcOptions::default()
        })
    }
}

struct Collector<'a> {
    store: &'a LocalStore,
    options: &'a GcOptions,
    keep_outputs: bool,
    keep_derivations: bool,
    shared: &'a Shared,
    roots: BTreeSet<StorePath>,
    alive: BTreeSet<StorePath>,
    dead: BTreeSet<StorePath>,
    referrers: BTreeMap<StorePath, BTreeSet<StorePath>>,
    result: GcResult,
    enough: bool,
}

impl<'a> Collector<'a> {
    fn new(store: &'a LocalStore, options: &'a GcOptions, shared: &'a Shared) -> Result<Self> {
        let specific = options.action == GcAction::DeleteSpecific;
        let ignore_liveness = specific && options.ignore_liveness;
        let mut roots = BTreeSet::new();
        if !ignore_liveness {
            roots.extend(store.find_lasting_roots()?.into_keys());
        }
        // Those that come later come to the server.
        for path in temp_roots::find(&store.config)?.into_keys() {
            shared.add_root(path.hash_part());
            roots.insert(path);
        }
        Ok(Self {
            store,
            options,
            // Who deletes a path by force doesn't mean its outputs or derivers.
            keep_outputs: options.keep_outputs && !ignore_liveness,
            keep_derivations: options.keep_derivations && !ignore_liveness,
            shared,
            roots,
            alive: BTreeSet::new(),
            dead: BTreeSet::new(),
            referrers: BTreeMap::new(),
            result: GcResult::default(),
            enough: false,
        })
    }

    fn into_result(self) -> GcResult {
        let full = |paths: BTreeSet<StorePath>| {
            paths.iter().map(|path| self.store.display(path).into()).collect::<BTreeSet<PathBuf>>()
        };
        match self.options.action {
            GcAction::ReturnLive => GcResult { paths: full(self.alive), bytes_freed: 0 },
            GcAction::ReturnDead => GcResult { paths: full(self.dead), bytes_freed: 0 },
            GcAction::DeleteDead | GcAction::DeleteSpecific => self.result,
        }
    }

    fn deletes(&self) -> bool {
        matches!(self.options.action, GcAction::DeleteDead | GcAction::DeleteSpecific)
    }

    fn run(&mut self) -> Result<()> {
        if self.options.action == GcAction::DeleteSpecific {
            for path in &self.options.paths_to_delete {
                self.collect_from(path)?;
                if !self.dead.contains(path) && !self.enough {
                    return Err(StoreError::Alive { path: self.store.display(path) });
                }
            }
        } else if self.options.max_freed > 0 {
            let directory = &self.store.config.real_store_dir;
            for entry in fs::read_dir(directory).at("read the directory", directory)? {
                let name = entry.at("read the directory", directory)?.file_name();
                if name == ".links" {
                    continue;
                }
                match name.to_str().and_then(|name| name.parse::<StorePath>().ok()) {
                    Some(path) => self.collect_from(&path)?,
                    None if self.deletes() => self.delete_file(Path::new(&name))?,
                    None => {}
                }
                if self.enough {
                    break;
                }
            }
        }
        if self.deletes() { self.delete_unused_links() } else { Ok(()) }
    }

    /// Looks at `start` and all that would have to go with it: deletes them if none of them is needed.
    fn collect_from(&mut self, start: &StorePath) -> Result<()> {
        let outcome = self.visit_and_delete(start);
        self.shared.release();
        outcome
    }

    fn visit_and_delete(&mut self, start: &StorePath) -> Result<()> {
        let mut visited = BTreeSet::from([start.clone()]);
        let mut todo = VecDeque::from([start.clone()]);
        while let Some(path) = todo.pop_front() {
            if self.alive.contains(&path) {
                self.alive.insert(start.clone());
                return Ok(());
            }
            if self.dead.contains(&path) {
                continue;
            }
            if self.roots.contains(&path) {
                return self.mark_alive(start, &path);
            }
            if self.options.action == GcAction::DeleteSpecific
                && !self.options.paths_to_delete.contains(&path)
            {
                return Ok(());
            }
            if !self.shared.claim(path.hash_part()) {
                return self.mark_alive(start, &path);
            }
            for next in self.dependents(&path)? {
                if visited.insert(next.clone()) {
                    todo.push_back(next);
                }
            }
        }
        for path in self.store.referrers_first(&visited)? {
            if !self.dead.insert(path.clone()) || !self.deletes() || self.enough {
                continue;
            }
            self.store.database.invalidate(&path)?;
            self.delete_file(Path::new(path.as_str()))?;
            self.referrers.remove(&path);
        }
        Ok(())
    }

    /// What must go before `path` can.
    fn dependents(&mut self, path: &StorePath) -> Result<BTreeSet<StorePath>> {
        let store = self.store;
        if !store.is_valid_path(path)? {
            return Ok(BTreeSet::new());
        }
        let mut next = match self.referrers.get(path) {
            Some(referrers) => referrers.clone(),
            None => {
                let referrers = store.query_referrers(path)?;
                self.referrers.insert(path.clone(), referrers.clone());
                referrers
            }
        };
        if self.keep_derivations && path.is_derivation() {
            for output in store.query_derivation_outputs(path)?.into_values() {
                if store.try_path_info(&output)?.is_some_and(|info| info.deriver.as_ref() == Some(path)) {
                    next.insert(output);
                }
            }
        }
        if self.keep_outputs {
            next.extend(store.query_valid_derivers(path)?);
        }
        Ok(next)
    }

    fn mark_alive(&mut self, start: &StorePath, path: &StorePath) -> Result<()> {
        self.alive.extend([start.clone(), path.clone()]);
        if self.store.is_valid_path(path)? {
            let options = ClosureOptions {
                include_outputs: self.keep_outputs,
                include_derivers: self.keep_derivations,
                ..ClosureOptions::default()
            };
            self.alive.extend(self.store.closure([path], options)?);
        }
        Ok(())
    }

    fn delete_file(&mut self, name: &Path) -> Result<()> {
        let real = self.store.config.real_store_dir.join(name);
        // Temporary directories belong to a process as long as it keeps them locked.
        if name.as_os_str().as_bytes().starts_with(b"tmp-") && !is_abandoned(&real)? {
            return Ok(());
        }
        let logical = Path::new(self.store.store_dir().as_str()).join(name);
        (self.store.config.reporter)(StoreEvent::Deleting(&logical));
        self.result.bytes_freed += delete_tree(&real)?;
        self.result.paths.insert(logical);
        if self.result.bytes_freed > self.options.max_freed {
            (self.store.config.reporter)(StoreEvent::FreedEnough(self.result.bytes_freed));
            self.enough = true;
        }
        Ok(())
    }

    /// Removes entries of `.links` that are the only link to their file.
    fn delete_unused_links(&self) -> Result<()> {
        let directory = self.store.config.links_dir();
        for entry in fs::read_dir(&directory).at("read the directory", &directory)? {
            let path = entry.at("read the directory", &directory)?.path();
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.nlink() == 1 => fs::remove_file(&path).at("remove", &path)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_abandoned(directory: &Path) -> Result<bool> {
    match File::open(directory) {
        Ok(file) => try_lock(&file, LockKind::Exclusive, directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at("open", directory),
    }
}
