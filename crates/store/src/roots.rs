//! Garbage collector roots: what keeps paths alive (C++ Nix: `LocalStore::findRoots` in `src/libstore/gc.cc`).
//!
//! A root is a link in `gcroots` or `profiles` to a store path, or a link in `gcroots/auto` to a link elsewhere
//! that leads to a store path (an indirect root: it goes when the user deletes that link).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nival_formats::{Hash, HashAlgo, StorePath};

use crate::error::{IoContext as _, Result, StoreError};
use crate::event::StoreEvent;
use crate::runtime_roots;
use crate::store::LocalStore;
use crate::temp_roots;

/// Who needs a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Root {
    /// A link.
    Link(PathBuf),
    /// A running process that uses it: a file below `/proc`.
    Process(PathBuf),
    /// A running process that has said so.
    Temporary(u32),
}

impl std::fmt::Display for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(path) | Self::Process(path) => write!(f, "{}", path.display()),
            Self::Temporary(pid) => write!(f, "{{temp:{pid}}}"),
        }
    }
}

/// The paths that are needed, and by whom.
pub type Roots = BTreeMap<StorePath, BTreeSet<Root>>;

static NEXT_LINK: AtomicU64 = AtomicU64::new(0);

impl LocalStore {
    /// Makes `link` a link to a store path, and an indirect root.
    ///
    /// What is at `link` is replaced if it is a link into the store, and left alone otherwise.
    pub fn add_permanent_root(&self, path: &StorePath, link: &Path) -> Result<()> {
        self.require_writable("add a root")?;
        let bad = |reason| StoreError::BadRoot { path: link.to_owned(), reason };
        let link = &std::path::absolute(link).at("find", link)?;
        if link.starts_with(&self.config.real_store_dir) || link.starts_with(self.store_dir().as_str()) {
            return Err(bad("it would be in the store itself"));
        }
        self.add_temp_root(path)?;
        match fs::symlink_metadata(link) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).at("examine", link),
            Ok(metadata) if !metadata.is_symlink() => {
                return Err(bad("something is there that isn't a link"));
            }
            Ok(_) => {
                let target = fs::read_link(link).at("read the link", link)?;
                if self.store_path_of(&target).is_none() {
                    return Err(bad("a link is there that doesn't lead into the store"));
                }
            }
        }
        replace_link(link, Path::new(&self.display(path)))?;
        self.add_indirect_root(link)
    }

    /// Makes whatever the link at `link` leads to a root, as long as it is there.
    pub fn add_indirect_root(&self, link: &Path) -> Result<()> {
        self.require_writable("add a root")?;
        let link = std::path::absolute(link).at("find", link)?;
        let name = Hash::of(HashAlgo::Sha1, link.as_os_str().as_bytes()).to_nix32();
        let directory = self.config.roots_dir().join("auto");
        crate::directories::create_dirs(&directory)?;
        replace_link(&directory.join(name), &link)
    }

    /// All roots, those of running processes included. Stale ones are removed on the way.
    pub fn find_roots(&self) -> Result<Roots> {
        let mut roots = self.find_lasting_roots()?;
        for (path, processes) in temp_roots::find(&self.config)? {
            roots.entry(path).or_default().extend(processes.into_iter().map(Root::Temporary));
        }
        Ok(roots)
    }

    /// All roots but the temporary ones.
    pub(crate) fn find_lasting_roots(&self) -> Result<Roots> {
        let mut roots = Roots::new();
        self.find_in(&self.config.roots_dir(), &mut roots)?;
        self.find_in(&self.config.profiles_dir(), &mut roots)?;
        for (path, files) in runtime_roots::find(self.store_dir()) {
            if self.is_valid_path(&path)? {
                roots.entry(path).or_default().extend(files.into_iter().map(Root::Process));
            }
        }
        Ok(roots)
    }

    fn find_in(&self, path: &Path, roots: &mut Roots) -> Result<()> {
        match self.find_at(path, roots) {
            Err(StoreError::Io { source, .. })
                if matches!(
                    source.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                (self.config.reporter)(StoreEvent::UnreadableRoot(path));
                Ok(())
            }
            other => other,
        }
    }

    fn find_at(&self, path: &Path, roots: &mut Roots) -> Result<()> {
        let metadata = fs::symlink_metadata(path).at("examine", path)?;
        if metadata.is_dir() {
            for entry in fs::read_dir(path).at("read the directory", path)? {
                self.find_in(&entry.at("read the directory", path)?.path(), roots)?;
            }
        } else if metadata.is_symlink() {
            let target = fs::read_link(path).at("read the link", path)?;
            if self.store_path_of(&target).is_some() {
                return self.found(path, &target, roots);
            }
            let target = path.parent().unwrap_or(path).join(target);
            match fs::symlink_metadata(&target) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if path.starts_with(self.config.roots_dir().join("auto")) && !self.config.read_only {
                        (self.config.reporter)(StoreEvent::StaleRoot { link: path, target: &target });
                        let _ = fs::remove_file(path);
                    }
                }
                Err(error) => return Err(error).at("examine", &target),
                Ok(metadata) if metadata.is_symlink() => {
                    let second = fs::read_link(&target).at("read the link", &target)?;
                    if self.store_path_of(&second).is_some() {
                        return self.found(&target, &second, roots);
                    }
                }
                Ok(_) => {}
            }
        } else if metadata.is_file()
            && let Some(path_of_name) =
                path.file_name().and_then(|name| name.to_str()?.parse::<StorePath>().ok())
            && self.is_valid_path(&path_of_name)?
        {
            // A file can be a root by its name alone.
            roots.entry(path_of_name).or_default().insert(Root::Link(path.to_owned()));
        }
        Ok(())
    }

    fn found(&self, link: &Path, target: &Path, roots: &mut Roots) -> Result<()> {
        match self.store_path_of(target) {
            Some(path) if self.is_valid_path(&path)? => {
                roots.entry(path).or_default().insert(Root::Link(link.to_owned()));
            }
            _ => (self.config.reporter)(StoreEvent::InvalidRoot { link, target }),
        }
        Ok(())
    }

    /// The store path that a file name in the (logical) store belongs to.
    pub(crate) fn store_path_of(&self, file: &Path) -> Option<StorePath> {
        Some(self.store_dir().split(file.to_str()?).ok()?.0)
    }
}

/// Makes `link` a link to `target`, replacing in one step what was there.
pub(crate) fn replace_link(link: &Path, target: &Path) -> Result<()> {
    if let Some(directory) = link.parent() {
        crate::directories::create_dirs(directory)?;
    }
    let number = NEXT_LINK.fetch_add(1, Ordering::Relaxed);
    let mut temporary = link.as_os_str().to_owned();
    temporary.push(format!(".tmp-{}-{number}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at("remove", &temporary),
        _ => {}
    }
    symlink(target, &temporary).at("create the link", &temporary)?;
    fs::rename(&temporary, link)
        .inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
        .at("replace the link", link)
}
