//! The folder a build works in, and the removal of what killed processes left of theirs.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FlockOperation;

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A build folder: `<builds>/nix-<process>-<number>/build`, the outer one closed to others. Removed when dropped.
#[derive(Debug)]
pub(crate) struct BuildDir {
    top: PathBuf,
    pub(crate) path: PathBuf,
    keep: bool,
    /// Locked as long as the build runs, so that other processes know it isn't left over.
    _lock: File,
}

impl BuildDir {
    /// Makes a build folder below `builds`, for the build user with this id if there is one.
    pub(crate) fn create(builds: &Path, user: Option<u32>) -> io::Result<Self> {
        fs::create_dir_all(builds)?;
        let process = std::process::id();
        let (top, lock) = loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let top = builds.join(format!("nix-{process}-{number}"));
            match DirBuilder::new().mode(0o700).create(&top) {
                Ok(()) => {
                    let lock = File::open(&top)?;
                    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
                    break (top, lock);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        let path = top.join("build");
        let folder = Self { top, path, keep: false, _lock: lock };
        DirBuilder::new().mode(0o700).create(&folder.path)?;
        if let Some(id) = user {
            std::os::unix::fs::chown(&folder.path, Some(id), Some(id))?;
        }
        Ok(folder)
    }

    /// Writes a file for the builder.
    pub(crate) fn write(&self, name: &str, contents: &[u8], user: Option<u32>) -> io::Result<()> {
        use std::io::Write as _;
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(self.path.join(name))?;
        file.write_all(contents)?;
        match user {
            Some(id) => std::os::unix::fs::fchown(&file, Some(id), Some(id)),
            None => Ok(()),
        }
    }

    /// Leaves the folder for people to look at.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.keep = true;
        let open = Permissions::from_mode(0o755);
        let _ = fs::set_permissions(&self.top, open.clone());
        let _ = fs::set_permissions(&self.path, open);
        self.path.clone()
    }
}

impl Drop for BuildDir {
    fn drop(&mut self) {
        if !self.keep {
            // What can't be removed now is removed as left over later.
            let _ = nival_store::delete_tree(&self.top);
        }
    }
}

/// Removes the folders of processes that are gone. Kept ones are open to all, and stay.
pub(crate) fn remove_left_over(builds: &Path) {
    let Ok(entries) = fs::read_dir(builds) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process =
            name.to_str().and_then(|name| name.strip_prefix("nix-")?.split('-').next()?.parse().ok());
        let Some(process) = process.and_then(rustix::process::Pid::from_raw) else { continue };
        let ours = entry.metadata().is_ok_and(|metadata| {
            metadata.is_dir()
                && metadata.mode().trailing_zeros() >= 6
                && metadata.uid() == rustix::process::geteuid().as_raw()
        });
        let gone = matches!(rustix::process::test_kill_process(process), Err(rustix::io::Errno::SRCH));
        let unlocked = || {
            File::open(entry.path())
                .is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
        };
        if ours && gone && unlocked() {
            let _ = nival_store::delete_tree(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_unless_kept_and_left_over_ones_are_removed() {
        let builds = tempfile::tempdir().unwrap();
        let folder = BuildDir::create(builds.path(), None).unwrap();
        folder.write("x", b"x", None).unwrap();
        let read_only = folder.path.join("read-only");
        fs::create_dir(&read_only).unwrap();
        fs::write(read_only.join("y"), "").unwrap();
        fs::set_permissions(&read_only, Permissions::from_mode(0o555)).unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(builds.path()).unwrap().count(), 0);

        let kept = BuildDir::create(builds.path(), None).unwrap().keep();
        let running = BuildDir::create(builds.path(), None).unwrap();
        // No process has so high a number: `kernel.pid_max` ends at 4194304.
        for (name, mode) in [("nix-4194305-0", 0o700), ("nix-4194305-1", 0o755), ("other", 0o700)] {
            DirBuilder::new().mode(mode).create(builds.path().join(name)).unwrap();
            fs::set_permissions(builds.path().join(name), Permissions::from_mode(mode)).unwrap();
        }
        remove_left_over(builds.path());
        assert!(kept.exists() && running.path.exists());
        for (name, stays) in [("nix-4194305-0", false), ("nix-4194305-1", true), ("other", true)] {
            assert_eq!(builds.path().join(name).exists(), stays, "{name}");
        }
    }
}
