//! The directories of a store.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::config::StoreConfig;
use crate::error::{IoContext as _, Result, StoreError};
use crate::lock::{LockKind, open_lock_file, wait_lock};

/// Makes the directories that every store has, and takes the big lock.
pub(crate) fn prepare(config: &StoreConfig) -> Result<File> {
    make_writable(&config.real_store_dir)?;
    let db = config.db_dir();
    for directory in [
        &config.real_store_dir,
        &config.links_dir(),
        &config.profiles_dir().join("per-user"),
        &config.roots_dir().join("per-user"),
        &config.roots_dir().join("auto"),
        &config.state_dir.join("temproots"),
        &db,
    ] {
        create_dirs(directory)?;
    }
    reserve_space(&db.join("reserved"), config.reserved_space);
    let lock = db.join("big-lock");
    let file = open_lock_file(&lock)?;
    wait_lock(&file, LockKind::Shared, &lock, &config.reporter)?;
    Ok(file)
}

/// A store may be mounted read-only for everybody but the one who adds to it; root makes it writable for itself
/// (C++ Nix: `LocalStore::makeStoreWritable`).
fn make_writable(store: &Path) -> Result<()> {
    use rustix::fs::StatVfsMountFlags;
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let Ok(stat) = rustix::fs::statvfs(store) else { return Ok(()) };
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        rustix::mount::mount_remount(store, rustix::mount::MountFlags::BIND, "")
            .at("make writable the read-only mount", store)?;
    }
    Ok(())
}

pub(crate) fn create_dirs(directory: &Path) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory).at("create the directory", directory)
}

/// Keeps some space aside that the garbage collector frees first: SQLite can't work on a full disk. That this
/// fails is no error.
pub(crate) fn reserve_space(file: &Path, size: u64) {
    if fs::symlink_metadata(file).is_ok_and(|metadata| metadata.size() == size) {
        return;
    }
    let reserve = || -> io::Result<()> {
        let opened =
            fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file)?;
        opened.set_len(0)?;
        rustix::fs::fallocate(&opened, rustix::fs::FallocateFlags::empty(), 0, size)?;
        Ok(())
    };
    let _ = reserve();
}

pub(crate) fn refuse_symlinks(store: &Path) -> Result<()> {
    for path in store.ancestors() {
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(StoreError::SymlinkedStore { path: path.to_owned() });
        }
    }
    Ok(())
}
