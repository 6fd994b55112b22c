//! The directories of a store.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{
    CWD, IFlags, Mode, OFlags, RenameFlags, ioctl_getflags, ioctl_setflags, open, renameat_with,
};

use crate::config::StoreConfig;
use crate::error::{IoContext as _, Result, StoreError};
use crate::lock::{LockKind, open_lock_file, wait_lock};

/// Makes the directories that every store has, and takes the big lock.
pub(crate) fn prepare(config: &StoreConfig) -> Result<File> {
    make_writable(&config.real_store_dir)?;
    if !config.real_store_dir.exists() {
        // If it fails, the directory is made as any other, or says why it can't be.
        let _ = create_apart(&config.real_store_dir);
    }
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

/// Makes a directory far from its parent on the disk: a store is a tree of its own.
///
/// ext4 puts files near their directory and a directory near its parent, unless that is marked as the top of trees
/// which have nothing to do with each other (chattr(1), `T`): then the name decides, so the directory gets one by
/// chance and is renamed. Without a journal, ext4 looks at each inode nearby that was deleted in the last minute before
/// it makes a file.
fn create_apart(directory: &Path) -> io::Result<()> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    fs::create_dir_all(parent)?;
    let chance = std::process::id().to_string();
    let top = parent.join(format!(".top-{chance}"));
    fs::create_dir(&top)?;
    let make = || -> io::Result<()> {
        let marked = open(&top, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        ioctl_setflags(&marked, ioctl_getflags(&marked)? | IFlags::TOPDIR)?;
        let apart = top.join(chance);
        fs::create_dir(&apart)?;
        let moved = renameat_with(CWD, &apart, CWD, directory, RenameFlags::NOREPLACE);
        if moved.is_err() {
            fs::remove_dir(&apart)?;
        }
        Ok(moved?)
    };
    let made = make();
    fs::remove_dir(&top)?;
    made
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use super::*;

    /// Whether a file system knows such a mark or not, nothing but the directory stays.
    #[test]
    fn what_is_made_apart_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("nix/store");
        let made = create_apart(&store).is_ok();
        let names = || {
            fs::read_dir(folder.path().join("nix"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(), if made { vec!["store"] } else { vec![] });
        create_dirs(&store).unwrap();
        fs::write(store.join("here"), "before").unwrap();
        assert!(create_apart(&store).is_err(), "another process was quicker");
        assert_eq!(names(), ["store"]);
        assert_eq!(fs::read_to_string(store.join("here")).unwrap(), "before");
    }
}
