//! Build users: ids that no account has, so that what root builds doesn't run as root.
//!
//! A process of a user namespace that is root outside owns files such as `/proc/sys/kernel/core_pattern`, whatever
//! capabilities it has lost. So root never builds as itself: each sandboxed build takes a free id from the range
//! of the reference's `auto-allocate-uids`, under the same locks (`libstore/unix/user-lock.cc` of C++ Nix).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::FlockOperation;

const FIRST_ID: u32 = 872_415_232;
const IDS_PER_SLOT: u32 = 65536;
const SLOTS: u32 = 128;

/// An id taken for one build.
#[derive(Debug)]
pub(crate) struct BuildUser {
    pub(crate) id: u32,
    _lock: File,
}

impl BuildUser {
    /// Takes a free id. `None` if this process isn't root, or is root of a namespace without those ids:
    /// then the build runs as this process's own user.
    pub(crate) fn acquire(state_dir: &Path) -> io::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() || !has_all_ids() {
            return Ok(None);
        }
        let pool = state_dir.join("userpool2");
        fs::create_dir_all(&pool)?;
        for slot in 0..SLOTS {
            let path = pool.join(format!("slot-{slot}"));
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Self { id: FIRST_ID + slot * IDS_PER_SLOT, _lock: file })),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(io::Error::other("all build users are taken"))
    }
}

/// Whether this process sees the ids of the whole machine: one line `0 0 4294967295`.
fn has_all_ids() -> bool {
    ["/proc/self/uid_map", "/proc/self/gid_map"].iter().all(|file| {
        fs::read_to_string(file).is_ok_and(|text| text.split_ascii_whitespace().eq(["0", "0", "4294967295"]))
    })
}
