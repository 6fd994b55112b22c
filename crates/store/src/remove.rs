//! Deletes trees, read-only directories included.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{IoContext as _, Result};

/// Deletes `path` and all below it, never following a symlink, and returns the size of the files that are gone.
/// That nothing is there is fine.
pub fn delete_tree(path: &Path) -> Result<u64> {
    let mut freed = 0;
    match delete_at(CWD, path.as_os_str(), &mut freed) {
        Ok(()) => Ok(freed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(freed),
        Err(error) => Err(error).at("delete", path),
    }
}

fn delete_at(parent: BorrowedFd<'_>, name: &OsStr, freed: &mut u64) -> io::Result<()> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        // Space is freed with the last link; the other link of a file with two may be the one in `.links`.
        if stat.st_nlink <= 2 {
            *freed += stat.st_size as u64;
        }
        return Ok(rustix::fs::unlinkat(parent, name, AtFlags::empty())?);
    }
    if stat.st_mode & 0o700 != 0o700 {
        rustix::fs::chmodat(
            parent,
            name,
            Mode::from_raw_mode((stat.st_mode & 0o7777) | 0o700),
            AtFlags::empty(),
        )?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = File::from(rustix::fs::openat(parent, name, flags, Mode::empty())?);
    let mut names = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    for name in names {
        match delete_at(directory.as_fd(), &name, freed) {
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {}
            other => other?,
        }
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}
