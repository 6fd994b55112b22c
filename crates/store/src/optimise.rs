//! Equal files as hard links to one (C++ Nix: `src/libstore/optimise-store.cc`).
//!
//! `.links/<hash>` is a link to each distinct file, named by the hash of its NAR, which includes the executable
//! bit.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nival_formats::HashAlgo;

use crate::add::Existing;
use crate::dump::hash_path;
use crate::error::{IoContext as _, Result};
use crate::event::StoreEvent;
use crate::metadata::set_mode_and_time;
use crate::store::LocalStore;

/// What optimising saved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OptimiseResult {
    /// Files that were replaced by a link.
    pub files_linked: u64,
    /// Their sizes.
    pub bytes_freed: u64,
}

static NEXT_LINK: AtomicU64 = AtomicU64::new(0);

impl LocalStore {
    /// Replaces equal files in the whole store by hard links.
    pub fn optimise(&self) -> Result<OptimiseResult> {
        self.require_writable("optimise the store")?;
        let mut total = OptimiseResult::default();
        for path in self.query_all_valid_paths()? {
            self.add_temp_root(&path)?;
            // It may have been deleted before the root was known.
            if self.is_valid_path(&path)? {
                self.optimise_node(&self.real_path(&path), Existing::Keep, &mut total)?;
            }
        }
        Ok(total)
    }

    /// Replaces files of a canonical tree in the store by hard links. Files that are to take the place of damaged ones are
    /// not linked to these.
    pub fn optimise_tree(&self, tree: &Path, existing: Existing) -> Result<OptimiseResult> {
        let mut total = OptimiseResult::default();
        self.optimise_node(tree, existing, &mut total)?;
        Ok(total)
    }

    fn optimise_node(&self, path: &Path, existing: Existing, total: &mut OptimiseResult) -> Result<()> {
        let metadata = fs::symlink_metadata(path).at("examine", path)?;
        if metadata.is_dir() {
            for entry in fs::read_dir(path).at("read the directory", path)? {
                self.optimise_node(&entry.at("read the directory", path)?.path(), existing, total)?;
            }
            return Ok(());
        }
        if !metadata.is_file() {
            return Ok(());
        }
        if metadata.mode() & 0o200 != 0 {
            (self.config.reporter)(StoreEvent::SuspiciousWritableFile(path));
            return Ok(());
        }
        let (hash, _) = hash_path(path, HashAlgo::Sha256)?;
        let link = self.config.links_dir().join(hash.to_nix32());
        if let Some(linked) = stat(&link)?
            && (linked.len() != metadata.len()
                || existing == Existing::Replace && hash_path(&link, HashAlgo::Sha256)?.0 != hash)
        {
            (self.config.reporter)(StoreEvent::CorruptLink(&link));
            fs::remove_file(&link).at("remove", &link)?;
        }
        match fs::hard_link(path, &link) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // The directory is full, on some file systems; the file stays as it is.
            Err(error) if is_limit(&error) => return Ok(()),
            Err(error) => return Err(error).at("link", &link),
        }
        let Some(linked) = stat(&link)? else { return Ok(()) };
        if (linked.dev(), linked.ino()) == (metadata.dev(), metadata.ino()) {
            return Ok(());
        }
        if self.replace_by_link(path, &link)? {
            total.files_linked += 1;
            total.bytes_freed += metadata.len();
        }
        Ok(())
    }

    fn replace_by_link(&self, path: &Path, link: &Path) -> Result<bool> {
        let number = NEXT_LINK.fetch_add(1, Ordering::Relaxed);
        let temporary = self.config.real_store_dir.join(format!(".tmp-link-{}-{number}", std::process::id()));
        match fs::hard_link(link, &temporary) {
            Err(error) if is_limit(&error) => return Ok(false),
            result => result.at("link", &temporary)?,
        }
        let _writable = WritableDirectory::of(path, &self.config.real_store_dir)?;
        match fs::rename(&temporary, path) {
            Ok(()) => Ok(true),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                if is_limit(&error) { Ok(false) } else { Err(error).at("replace by a link", path) }
            }
        }
    }
}

/// A directory of the store that may be changed until this is dropped.
struct WritableDirectory(Option<PathBuf>);

impl WritableDirectory {
    fn of(file: &Path, store: &Path) -> Result<Self> {
        let Some(directory) = file.parent().filter(|directory| *directory != store) else {
            return Ok(Self(None));
        };
        let mode = fs::symlink_metadata(directory).at("examine", directory)?.mode();
        fs::set_permissions(directory, fs::Permissions::from_mode((mode & 0o7777) | 0o200))
            .at("make writable", directory)?;
        Ok(Self(Some(directory.to_owned())))
    }
}

impl Drop for WritableDirectory {
    fn drop(&mut self) {
        if let Some(directory) = &self.0
            && let Ok(metadata) = fs::symlink_metadata(directory)
        {
            // Nothing more can be done in a destructor; `verify` doesn't mind a directory's mode.
            let _ = set_mode_and_time(directory, &metadata);
        }
    }
}

fn stat(path: &Path) -> Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.at("examine", path).map(Some),
    }
}

fn is_limit(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TooManyLinks | io::ErrorKind::StorageFull)
}
