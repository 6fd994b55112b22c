//! Adding many small things at once: `.drv` files, texts, and sources that fit into memory.
//!
//! One transaction registers all of a batch, and in most cases no lock file is made: on ext4 a file that was just
//! deleted makes the creation of the next ones slow, and a lock file for each `.drv` file more than doubles the
//! work. It is safe for this reason: whoever adds a path, here or in C++ Nix, takes a temporary root for it before
//! it asks whether the path is valid, and a temporary root needs the lock `gc.lock`, shared. While a batch holds
//! that lock alone, nobody can begin to add a path; and whoever began before shows it among its temporary roots.
//! Where somebody did, or where the lock is taken, the batch takes the lock files that everybody respects.
//!
//! Texts are written in place, as C++ Nix does: until it is registered a file is garbage, wherever it is.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::PoisonError;

use nival_formats::nar::hash_plain_file;
use nival_formats::{ContentAddress, ContentAddressMethod, DerivationFile, Hash, StorePath};

use crate::add::{Existing, bad_name};
use crate::database::Registration;
use crate::error::{IoContext as _, Result};
use crate::fault::fault_point;
use crate::lock::AfterUnlock;
use crate::metadata::canonicalise_new_file;
use crate::path_info::PathInfo;
use crate::remove::delete_tree;
use crate::restore::restore_nar;
use crate::store::LocalStore;

/// How many lock files are held at once, where they are needed.
const LOCKED_AT_ONCE: usize = 200;

/// Something to add that is in memory.
pub(crate) struct Item {
    pub(crate) info: PathInfo,
    pub(crate) outputs: BTreeMap<String, StorePath>,
    pub(crate) contents: Contents,
}

pub(crate) enum Contents {
    /// Those of a plain file.
    Text(Vec<u8>),
    /// Anything, as a NAR that has the hash which the info says.
    Nar(Vec<u8>),
}

impl Item {
    pub(crate) fn derivation(file: DerivationFile) -> Self {
        let DerivationFile { path, contents, hash, references, outputs } = file;
        Self { outputs, ..Self::text(path, contents, hash, references.into_iter().collect()) }
    }

    pub(crate) fn text(
        path: StorePath,
        contents: Vec<u8>,
        hash: Hash,
        references: BTreeSet<StorePath>,
    ) -> Self {
        // The hash of the NAR is made where it is needed: most of what is evaluated is in the store already.
        let mut info = PathInfo::new(path, hash, 0);
        info.references = references;
        info.content_address = Some(ContentAddress { method: ContentAddressMethod::Text, hash });
        Self { info, outputs: BTreeMap::new(), contents: Contents::Text(contents) }
    }

    /// About how much memory it takes.
    pub(crate) fn size(&self) -> usize {
        let (Contents::Text(bytes) | Contents::Nar(bytes)) = &self.contents;
        bytes.len() + 512
    }

    pub(crate) fn registration(&self) -> Registration<'_> {
        let (nar_hash, nar_size) = match &self.contents {
            Contents::Text(contents) => hash_plain_file(contents),
            Contents::Nar(_) => (self.info.nar_hash, self.info.nar_size),
        };
        Registration { info: &self.info, nar_hash, nar_size, outputs: &self.outputs }
    }
}

impl LocalStore {
    /// Adds a text, as `builtins.toFile` does. Its references must be valid.
    pub fn add_text(&self, name: &str, contents: &[u8], references: &[StorePath]) -> Result<StorePath> {
        let item = self.text_item(name, contents, references)?;
        let path = item.info.path.clone();
        self.add_items(&[item])?;
        Ok(path)
    }

    pub(crate) fn text_item(&self, name: &str, contents: &[u8], references: &[StorePath]) -> Result<Item> {
        let references: BTreeSet<StorePath> = references.iter().cloned().collect();
        let path = self
            .store_dir()
            .text_path(name, contents, references.clone())
            .map_err(|error| bad_name(name, &error))?;
        Ok(Item::text(path, contents.to_vec(), Hash::sha256(contents), references))
    }

    /// Writes `.drv` files and registers them. One may need others of the same call, if these come before it.
    pub fn add_derivations(&self, files: impl IntoIterator<Item = DerivationFile>) -> Result<()> {
        self.add_items(&files.into_iter().map(Item::derivation).collect::<Vec<_>>())
    }

    /// Adds those of `items` that aren't valid. References may go to what is valid or comes earlier.
    pub(crate) fn add_items(&self, items: &[Item]) -> Result<()> {
        self.require_writable("add to the store")?;
        let paths: Vec<&StorePath> = items.iter().map(|item| &item.info.path).collect();
        self.add_temp_roots(&paths)?;
        let mut known: HashSet<&StorePath> = HashSet::new();
        let valid = self.query_valid_paths(paths.iter().copied())?;
        let missing: Vec<&Item> = items
            .iter()
            .filter(|item| !valid.contains(&item.info.path) && known.insert(&item.info.path))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if self.add_alone(&missing)? {
            return Ok(());
        }
        missing.chunks(LOCKED_AT_ONCE).try_for_each(|chunk| self.add_under_locks(chunk))
    }

    /// Adds all, or answers with false: somebody else is at work on one of them, or could be.
    fn add_alone(&self, items: &[&Item]) -> Result<bool> {
        // Other threads of this process have the same temporary roots, so these don't tell of them.
        let _no_other_thread = self.adding.write().unwrap_or_else(PoisonError::into_inner);
        let mut temp_roots = self.temp_roots.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(alone) = temp_roots.be_alone(&self.config)? else { return Ok(false) };
        if items.iter().any(|item| alone.others_have(&item.info.path)) {
            return Ok(false);
        }
        self.write_and_register(items)?;
        Ok(true)
    }

    fn add_under_locks(&self, items: &[&Item]) -> Result<()> {
        let _not_alone = self.adding.read().unwrap_or_else(PoisonError::into_inner);
        let mut locks = self.lock_paths(items.iter().map(|item| &item.info.path))?;
        self.write_and_register(items)?;
        locks.set_after_unlock(AfterUnlock::Delete);
        Ok(())
    }

    fn write_and_register(&self, items: &[&Item]) -> Result<()> {
        let mut written: Vec<&Item> = Vec::with_capacity(items.len());
        for item in items {
            match self.write_item(item) {
                Ok(true) => written.push(item),
                Ok(false) => {}
                Err(error) => {
                    // Nobody knows of them yet, and the disk may be full.
                    for item in written {
                        let _ = delete_tree(&self.real_path(&item.info.path));
                    }
                    return Err(error);
                }
            }
        }
        if self.config.fsync_store_paths {
            let store = &self.config.real_store_dir;
            File::open(store).and_then(|directory| directory.sync_all()).at("synchronise", store)?;
        }
        fault_point("before-register");
        self.database.register(&written.iter().map(|item| item.registration()).collect::<Vec<_>>())?;
        fault_point("after-register");
        Ok(())
    }

    /// Writes the files of a path, unless it has become valid in the meantime. Nobody else may be at work on it.
    fn write_item(&self, item: &Item) -> Result<bool> {
        let path = &item.info.path;
        let real = self.real_path(path);
        match &item.contents {
            Contents::Text(contents) => self.write_text(path, &real, contents),
            Contents::Nar(nar) => {
                if self.is_there(path, &real)? {
                    return Ok(false);
                }
                self.put_in_place(path, Existing::Keep, |temporary| restore_nar(nar.as_slice(), temporary))?;
                Ok(true)
            }
        }
    }

    fn write_text(&self, path: &StorePath, real: &Path, contents: &[u8]) -> Result<bool> {
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o444).open(real);
        let mut file = match create() {
            // What is valid has files, so that only this must be looked up.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if self.is_there(path, real)? {
                    return Ok(false);
                }
                create()
            }
            result => result,
        }
        .at("create", real)?;
        let mut finish = || {
            file.write_all(contents).at("write", real)?;
            fault_point("text-written");
            canonicalise_new_file(&file, real, &self.config.ignored_acls)?;
            if self.config.auto_optimise {
                self.optimise_tree(real, Existing::Keep)?;
            }
            if self.config.fsync_store_paths {
                file.sync_all().at("synchronise", real)?;
            }
            Ok(true)
        };
        finish().inspect_err(|_| {
            let _ = fs::remove_file(real);
        })
    }

    /// Whether a path is valid; if it isn't, what is left of an earlier attempt is removed.
    fn is_there(&self, path: &StorePath, real: &Path) -> Result<bool> {
        match fs::symlink_metadata(real) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            _ => {}
        }
        if self.is_valid_path(path)? {
            return Ok(true);
        }
        delete_tree(real)?;
        Ok(false)
    }
}
