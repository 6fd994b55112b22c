//! Brings files into the one shape that store files have: modification time 1, mode 0444 or 0555, owned by
//! this user, without extended attributes (C++ Nix: `src/libstore/posix-fs-canonicalise.cc`).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use crate::error::{IoContext as _, Result, StoreError};

/// The modification time of every store file: a second into the epoch.
pub const STORE_MTIME: i64 = 1;

/// Who may own the files that are canonicalised.
#[derive(Debug, Clone, Copy)]
pub enum Owner {
    /// Anybody: the files are ours already, or become so.
    Any,
    /// The build user with these ids, so that a builder can't hand us hard links to files of others.
    Uids {
        /// The lowest.
        first: u32,
        /// The highest.
        last: u32,
    },
}

/// Files seen so far, by device and inode: a hard link within one tree comes twice.
pub type InodesSeen = BTreeSet<(u64, u64)>;

/// Canonicalises the tree at `path`. `seen` is shared between the outputs of one build.
pub fn canonicalise(path: &Path, owner: Owner, ignored_acls: &[String], seen: &mut InodesSeen) -> Result<()> {
    let metadata = fs::symlink_metadata(path).at("examine", path)?;
    if let Some(kind) = unsupported_kind(&metadata) {
        return Err(StoreError::UnsupportedFile { path: path.to_owned(), kind });
    }
    remove_extended_attributes(path, ignored_acls)?;

    let inode = (metadata.dev(), metadata.ino());
    if let Owner::Uids { first, last } = owner
        && !(first..=last).contains(&metadata.uid())
    {
        // A hard link within the build that was made ours a moment ago is fine.
        if !metadata.is_dir() && seen.contains(&inode) {
            return Ok(());
        }
        return Err(StoreError::UnsupportedFile {
            path: path.to_owned(),
            kind: "file that doesn't belong to the builder",
        });
    }
    seen.insert(inode);

    let us = rustix::process::geteuid();
    if metadata.uid() != us.as_raw() {
        let (user, group) = (Uid::from_raw(us.as_raw()), Gid::from_raw(rustix::process::getegid().as_raw()));
        rustix::fs::chownat(CWD, path, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
            .at("change the owner of", path)?;
    }
    if metadata.is_dir() {
        // While it is being read, a directory of a builder must be readable.
        if metadata.mode() & 0o500 != 0o500 {
            rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(0o755), AtFlags::empty())
                .at("change the mode of", path)?;
        }
        for entry in fs::read_dir(path).at("read", path)? {
            canonicalise(&entry.at("read", path)?.path(), owner, ignored_acls, seen)?;
        }
    }
    set_mode_and_time(path, &metadata)
}

/// As [`canonicalise`], for a file that this process has just created with mode 0444, and has open.
pub(crate) fn canonicalise_new_file(file: &File, path: &Path, ignored_acls: &[String]) -> Result<()> {
    // A default ACL of the directory comes as an attribute.
    if !matches!(rustix::fs::flistxattr(file, &mut [0u8; 0]), Ok(0) | Err(Errno::NOTSUP | Errno::NODATA)) {
        remove_extended_attributes(path, ignored_acls)?;
    }
    // The process's file mode mask may have taken something away.
    if file.metadata().at("examine", path)?.mode() & 0o7777 != 0o444 {
        rustix::fs::fchmod(file, Mode::from_raw_mode(0o444)).at("change the mode of", path)?;
    }
    rustix::fs::futimens(file, &STORE_TIMES).at("change the time of", path)
}

const STORE_TIMES: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    last_modification: Timespec { tv_sec: STORE_MTIME, tv_nsec: 0 },
};

/// Sets the mode and the modification time of one file.
pub(crate) fn set_mode_and_time(path: &Path, metadata: &Metadata) -> Result<()> {
    if !metadata.is_symlink() {
        let executable = metadata.is_dir() || metadata.mode() & 0o100 != 0;
        let wanted = if executable { 0o555 } else { 0o444 };
        // Changing the owner clears set-user-id bits, so compare all bits there were.
        if metadata.mode() & 0o7777 != wanted {
            rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(wanted), AtFlags::empty())
                .at("change the mode of", path)?;
        }
    }
    if metadata.is_dir() || metadata.mtime() != STORE_MTIME {
        rustix::fs::utimensat(CWD, path, &STORE_TIMES, AtFlags::SYMLINK_NOFOLLOW)
            .at("change the time of", path)?;
    }
    Ok(())
}

/// What a file is, if that can't be in a store.
pub(crate) fn unsupported_kind(metadata: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = metadata.file_type();
    if kind.is_file() || kind.is_dir() || kind.is_symlink() {
        None
    } else if kind.is_socket() {
        Some("socket")
    } else if kind.is_fifo() {
        Some("named pipe")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("device")
    } else {
        Some("special file")
    }
}

fn remove_extended_attributes(path: &Path, ignored: &[String]) -> Result<()> {
    let mut buffer = Vec::new();
    loop {
        let size = match rustix::fs::llistxattr(path, &mut [0u8; 0]) {
            Ok(0) | Err(Errno::NOTSUP | Errno::NODATA) => return Ok(()),
            Ok(size) => size,
            Err(error) => return Err(error).at("list the extended attributes of", path),
        };
        buffer.resize(size, 0u8);
        match rustix::fs::llistxattr(path, &mut buffer[..]) {
            Ok(size) => {
                buffer.truncate(size);
                break;
            }
            // One was added in between.
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error).at("list the extended attributes of", path),
        }
    }
    for name in buffer.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if ignored.iter().any(|kept| kept.as_bytes() == name) {
            continue;
        }
        rustix::fs::lremovexattr(path, OsStr::from_bytes(name))
            .at("remove an extended attribute of", path)?;
    }
    Ok(())
}
