//! Files of the user's own caches as memory, without a copy.

use std::os::fd::AsFd;

use rustix::fs::{FileType, Stat};
use rustix::mm::{MapFlags, ProtFlags};

/// The bytes of a file that the user `uid` alone can write, as long as the process lives. The file must be on this machine, as what is
/// mapped from another one may be gone when it is looked at; and one that Nival puts in its place whole, and never writes to
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
    if !is_file || stat.st_uid != uid || stat.st_mode & 0o022 != 0 {
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
