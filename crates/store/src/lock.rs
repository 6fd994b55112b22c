//! Advisory locks by `flock`, as C++ Nix takes them (`src/libstore/unix/pathlocks.cc`).
//!
//! A store path is locked through a file `<path>.lock` beside it. Whoever is done with the path unlinks that
//! file and writes one byte into it, so that a process that still waits on the unlinked file sees that its lock
//! is worth nothing and starts again.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::{IoContext as _, Result};
use crate::event::{Reporter, StoreEvent};

/// How a lock is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Many may read.
    Shared,
    /// One may write.
    Exclusive,
}

/// Opens or creates a file to lock, readable and writable by its owner alone.
pub(crate) fn open_lock_file(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .at("open the lock file", path)
}

/// Locks `file` if that is possible at once. The lock lasts until the file is closed.
pub(crate) fn try_lock(file: &File, kind: LockKind, path: &Path) -> Result<bool> {
    let operation = match kind {
        LockKind::Shared => FlockOperation::NonBlockingLockShared,
        LockKind::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).at("lock", path),
        }
    }
}

/// Locks `file`, and tells the reporter if it has to wait.
pub(crate) fn wait_lock(file: &File, kind: LockKind, path: &Path, reporter: &Reporter) -> Result<()> {
    if try_lock(file, kind, path)? {
        return Ok(());
    }
    reporter(StoreEvent::WaitingForLock(path));
    let operation = match kind {
        LockKind::Shared => FlockOperation::LockShared,
        LockKind::Exclusive => FlockOperation::LockExclusive,
    };
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).at("lock", path),
        }
    }
}

pub(crate) fn unlock(file: &File, path: &Path) -> Result<()> {
    rustix::fs::flock(file, FlockOperation::Unlock).at("unlock", path)
}

/// What happens to the lock files when the locks are let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterUnlock {
    /// They stay, for those who wait.
    Keep,
    /// They are removed: the path is done with.
    Delete,
}

/// Exclusive locks on a set of paths; let go when dropped.
#[derive(Debug)]
pub struct PathLocks {
    held: Vec<(File, PathBuf)>,
    after: AfterUnlock,
}

impl PathLocks {
    /// Locks all paths, waiting where it must. Sorted order keeps two callers from waiting on each other.
    pub fn acquire<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>, reporter: &Reporter) -> Result<Self> {
        let mut locks = Self { held: Vec::new(), after: AfterUnlock::Keep };
        for path in lock_files(paths) {
            loop {
                let file = open_lock_file(&path)?;
                wait_lock(&file, LockKind::Exclusive, &path, reporter)?;
                if is_current(&file, &path)? {
                    locks.held.push((file, path));
                    break;
                }
            }
        }
        Ok(locks)
    }

    /// Locks all paths, or none if one of them is held by somebody else.
    pub fn try_acquire<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Option<Self>> {
        let mut locks = Self { held: Vec::new(), after: AfterUnlock::Keep };
        for path in lock_files(paths) {
            loop {
                let file = open_lock_file(&path)?;
                if !try_lock(&file, LockKind::Exclusive, &path)? {
                    return Ok(None);
                }
                if is_current(&file, &path)? {
                    locks.held.push((file, path));
                    break;
                }
            }
        }
        Ok(Some(locks))
    }

    /// Says what becomes of the lock files.
    pub fn set_after_unlock(&mut self, after: AfterUnlock) {
        self.after = after;
    }
}

impl Drop for PathLocks {
    fn drop(&mut self) {
        if self.after == AfterUnlock::Delete {
            for (file, path) in &mut self.held {
                // Both are best effort: a lock file that stays behind costs nothing.
                let _ = std::fs::remove_file(&*path);
                let _ = file.write_all(b"d");
            }
        }
    }
}

fn lock_files<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> std::collections::BTreeSet<PathBuf> {
    paths
        .into_iter()
        .map(|path| {
            let mut name = path.as_ref().as_os_str().to_owned();
            name.push(".lock");
            PathBuf::from(name)
        })
        .collect()
}

/// A lock file that was unlinked by its last owner carries a byte.
fn is_current(file: &File, path: &Path) -> Result<bool> {
    Ok(file.metadata().at("examine the lock file", path)?.len() == 0)
}
