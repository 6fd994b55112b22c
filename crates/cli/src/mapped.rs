//! Files of the user's own caches as memory, without a copy.

use std::os::fd::AsFd;

use rustix::fs::{FileType, Stat};
use rustix::mm::{MapFlags, ProtFlags};

use crate::file_systems::{Telling, telling_at};

/// The bytes of a file of this machine that the user `uid` alone can write, as long as the process lives: what is mapped from
/// another machine may be gone when it is looked at. Nival must have put the file in its place whole, and never write to it
/// again.
pub(crate) fn mapped(
    file: impl AsFd,
    uid: u32,
    largest: u64,
    flags: MapFlags,
) -> Option<(&'static [u8], Stat)> {
    let stat = rustix::fs::fstat(&file).ok()?;
    let size = u64::try_from(stat.st_size).ok().filter(|size| *size > 0 && *size <= largest)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let is_own = stat.st_uid == uid && stat.st_mode & 0o022 == 0;
    if !is_file || !is_own || telling_at(&file) < Telling::Files {
        return None;
    }
    // SAFETY: no address is asked for, so no other mapping is replaced, and this one is never undone. The bytes stay what
    // they are, see above.
    let start = unsafe {
        let flags = MapFlags::PRIVATE | flags;
        rustix::mm::mmap(std::ptr::null_mut(), size as usize, ProtFlags::READ, flags, file, 0)
    }
    .ok()?;
    // SAFETY: so many bytes were mapped there.
    Some((unsafe { std::slice::from_raw_parts(start.cast::<u8>(), size as usize) }, stat))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_files_that_nobody_else_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let user = rustix::process::geteuid().as_raw();
        let map = |uid, largest| {
            mapped(File::open(&path).unwrap(), uid, largest, MapFlags::empty()).map(|(bytes, _)| bytes)
        };
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(map(user, 4), None, "nothing to map");
        fs::write(&path, "text").unwrap();
        assert_eq!(map(user, 4), Some(&b"text"[..]));
        assert_eq!(map(user, 3), None, "too large");
        assert_eq!(map(user + 1, 4), None, "somebody else's");
        fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        assert_eq!(map(user, 4), None, "others may write it");
        let bytes = mapped(File::open(folder.path()).unwrap(), user, u64::MAX, MapFlags::empty());
        assert!(bytes.is_none(), "a folder");
    }
}
