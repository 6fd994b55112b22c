//! What is known of a file without reading it, and what tells its contents.

use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nival_eval::host::Listing;
use nival_formats::HashAlgo;
use rustix::fs::Stat;

/// Of contents.
pub(crate) type Hash = [u8; 32];

pub(crate) fn hash(bytes: &[u8]) -> Hash {
    nival_formats::Hash::of(HashAlgo::Blake3, bytes).as_bytes().try_into().expect("BLAKE3 has 32 bytes")
}

/// Of the names and types in a folder, in whatever order they come.
pub(crate) fn hash_listing(listing: &Listing) -> Hash {
    let mut listing: Vec<_> = listing.iter().collect();
    listing.sort_unstable_by_key(|(name, _)| name);
    let mut text = Vec::with_capacity(listing.len() * 16);
    for (name, kind) in listing {
        text.extend_from_slice(name);
        text.extend_from_slice(&[0, *kind as u8]);
    }
    hash(&text)
}

/// How old a change must be before its time says that there was none since: file systems have clocks of up to two
/// seconds (FAT), and two changes within one tick look like one. Git's index has the same rule ("racy git").
const SETTLED: i64 = 2_000_000_000;

/// Where a file is, how large, and when it was changed last: two equal ones are of equal contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fingerprint {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: i64,
    /// The same of the last change of contents or metadata, which no program can set.
    pub(crate) changed: i64,
}

impl Fingerprint {
    pub(crate) fn of(metadata: &Metadata) -> Self {
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
    pub(crate) fn of_stat(stat: &Stat) -> Self {
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
    pub(crate) fn settled(self) -> Option<Self> {
        self.settled_by(SystemTime::now())
    }

    /// The same for what is looked at from that moment on.
    pub(crate) fn settled_by(self, moment: SystemTime) -> Option<Self> {
        let moment = moment.duration_since(UNIX_EPOCH).ok()?.as_nanos() as i64;
        (moment.saturating_sub(self.modified.max(self.changed)) > SETTLED).then_some(self)
    }
}

/// Files of the kernel change without a trace in their times.
fn has_honest_times(path: &Path) -> bool {
    !["/proc", "/sys", "/dev"].iter().any(|folder| is_below(path, folder))
}

/// As `starts_with` for canonical paths, without looking at each part of them.
pub(crate) fn is_below(path: &Path, folder: &str) -> bool {
    let rest = path.as_os_str().as_bytes().strip_prefix(folder.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The fingerprint of what was just looked at, if it may be relied on.
pub(crate) fn reliable(path: &Path, fingerprint: Fingerprint) -> Option<Fingerprint> {
    fingerprint.settled().filter(|_| has_honest_times(path))
}
