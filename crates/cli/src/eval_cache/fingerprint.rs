//! What is known of a file without reading it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

/// How old a change must be before its time says that there was none since: file systems have clocks of up to two
/// seconds (FAT), and two changes within one tick look like one. Git's index has the same rule ("racy git").
const SETTLED: i64 = 2_000_000_000;

/// Where a file is, how large, and when it was changed last: two equal ones are of equal contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fingerprint {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) modified: i64,
    /// The same of the last change of contents or metadata, which no program can set.
    pub(super) changed: i64,
}

impl Fingerprint {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The same of what the system call gave.
    pub(super) fn of_stat(stat: &Stat) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size as u64,
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }

    /// The fingerprint of what was just looked at, if a later change is sure to show in it.
    pub(super) fn settled(self) -> Option<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos() as i64;
        (now.saturating_sub(self.modified.max(self.changed)) > SETTLED).then_some(self)
    }
}
