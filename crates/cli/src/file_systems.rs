//! Which file systems tell of each change of a file by its fingerprint.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use crate::lock::lock;
use crate::path_hash::PathHash;

/// How far the times and inode numbers of a file system go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Telling {
    /// The contents alone count: times may come from another machine or a program, and late (NFS, SMB, 9P, FUSE), or
    /// inode numbers are made up anew (FAT).
    Nothing,
    /// A folder that is put together of several (overlayfs) says nothing of changes below it, when the lowest of them is
    /// another one after the next mount.
    Files,
    Folders,
}

/// Magic numbers of `statfs(2)`.
fn telling_of(magic: u32) -> Telling {
    const EXT: u32 = 0xef53;
    const XFS: u32 = 0x5846_5342;
    const BTRFS: u32 = 0x9123_683e;
    const BCACHEFS: u32 = 0xca45_1a4e;
    const F2FS: u32 = 0xf2f5_2010;
    const ZFS: u32 = 0x2fc1_2fc1;
    const TMPFS: u32 = 0x0102_1994;
    const RAMFS: u32 = 0x8584_58f6;
    const SQUASHFS: u32 = 0x7371_7368;
    const EROFS: u32 = 0xe0f5_e1e2;
    const OVERLAYFS: u32 = 0x794c_7630;
    match magic {
        EXT | XFS | BTRFS | BCACHEFS | F2FS | ZFS | TMPFS | RAMFS | SQUASHFS | EROFS => Telling::Folders,
        OVERLAYFS => Telling::Files,
        _ => Telling::Nothing,
    }
}

/// The same of a file's or folder's file system.
pub(crate) fn telling_at(file: impl rustix::fd::AsFd) -> Telling {
    rustix::fs::fstatfs(file).map_or(Telling::Nothing, |stat| telling_of(stat.f_type as u32))
}

/// What each file system was found to be, by the number of its device.
#[derive(Default)]
pub(crate) struct FileSystems(Mutex<HashMap<u64, Telling, PathHash>>);

impl FileSystems {
    /// Of what is at `path`, on this device.
    pub(crate) fn telling(&self, device: u64, path: &Path) -> Telling {
        *lock(&self.0).entry(device).or_insert_with(|| {
            rustix::fs::statfs(path).map_or(Telling::Nothing, |stat| telling_of(stat.f_type as u32))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_files_tell_nothing() {
        let known = FileSystems::default();
        assert_eq!(known.telling(1, Path::new("/proc/self")), Telling::Nothing);
        assert_eq!(known.telling(2, Path::new("/nowhere")), Telling::Nothing);
        assert_eq!(telling_of(0x6969), Telling::Nothing, "NFS");
        assert_eq!(telling_of(0x6573_5546), Telling::Nothing, "FUSE");
        assert_eq!(telling_of(0x794c_7630), Telling::Files, "overlayfs");
        assert_eq!(telling_of(0xef53), Telling::Folders, "ext4");
    }
}
