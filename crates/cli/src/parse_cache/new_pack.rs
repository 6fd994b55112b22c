//! The pack that a process makes. What it keeps is used where it lies in the pack, in an address range that is
//! reserved for all of it: first as memory, and once it was written to the file as a mapping of that, which takes no
//! memory where nobody looks. The memory is then used for what comes next.

use std::io::{self, Write as _};
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::fs::MemfdFlags;
use rustix::mm::{Advice, MapFlags, MremapFlags, ProtFlags};

use super::pack::{Added, Entry, Growing, PIECE, Pack, Put, checksum};
use super::packs::{Folder, LARGEST_PACK, NewFile};

/// So much is written with one call. Systems keep together what was written together, and where a part of it is looked at
/// map all of it.
const WRITTEN: usize = 64 << 10;
/// So much is made ready to be filled at a time, of the first piece.
const STEP: usize = 256 << 10;
/// No system that this runs on has larger pages.
const PAGE: usize = 64 << 10;
/// A pack never becomes so large.
const SPACE: usize = 2 * LARGEST_PACK as usize;

/// A pack that grows.
#[derive(Default)]
pub(super) struct NewPack {
    contents: Growing,
    output: Option<Output>,
    /// Something could not be written: there will be no pack.
    has_failed: bool,
}

impl NewPack {
    /// Adds an entry. Gives where it lies until the process ends; nothing if there is one of the same path.
    pub(super) fn add(&mut self, folder: &Folder, entry: &Entry<'_>) -> io::Result<Option<Added>> {
        if self.has_failed {
            return Err(io::ErrorKind::NotFound.into());
        }
        let added = self.try_add(folder, entry);
        self.has_failed = added.is_err();
        added
    }

    fn try_add(&mut self, folder: &Folder, entry: &Entry<'_>) -> io::Result<Option<Added>> {
        let output = match &mut self.output {
            Some(output) => output,
            none => none.insert(Output::new(folder)?),
        };
        let place = self.contents.add(entry, output)?;
        let bytes = |range: Range<usize>| output.room.bytes(range.start, range.end);
        Ok(place.map(|place| Added { entry: bytes(place.entry), kept: bytes(place.kept) }))
    }

    /// How large it is by now; nothing if there is none.
    pub(super) fn size(&self) -> Option<u64> {
        let output = self.output.as_ref().filter(|_| !self.has_failed)?;
        Some(output.room.end as u64)
    }

    /// Writes what is left, with what is in other packs, the newest first.
    pub(super) fn finish<'a>(self, old: impl Iterator<Item = Pack<'a>>) -> io::Result<NewFile> {
        let mut output = self.output.filter(|_| !self.has_failed).ok_or(io::ErrorKind::NotFound)?;
        let mut contents = self.contents;
        for pack in old {
            contents.add_all(&pack, &mut output)?;
        }
        contents.finish(&mut output)?;
        output.write_out()?;
        output.file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Has the system take what is in the file out of the process's memory. What is looked at again comes back.
    pub(super) fn put_away(&self) {
        if let Some(output) = &self.output {
            output.room.put_away();
        }
    }
}

/// Where a new pack goes: a file, and memory for what is not in it yet.
struct Output {
    folder: Folder,
    file: Option<NewFile>,
    room: Room,
    /// How much is in the file.
    written: usize,
    /// A checksum of that.
    sum: u64,
    limit: u64,
}

impl Output {
    fn new(folder: &Folder) -> io::Result<Self> {
        // To write beyond it would end the process.
        let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current.unwrap_or(u64::MAX);
        if limit < PIECE as u64 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let (folder, room) = (folder.clone(), Room::reserve()?);
        Ok(Self { folder, file: None, room, written: 0, sum: 0, limit })
    }

    fn put_by_pieces(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = PIECE - (self.room.end - self.written);
            let piece = bytes.split_off(..room.min(bytes.len())).unwrap_or_default();
            if piece.len() == PIECE {
                self.write_through(piece)?;
                continue;
            }
            self.room.append(piece)?;
            if self.room.end - self.written == PIECE {
                self.write_out()?;
            }
        }
        Ok(())
    }

    /// Writes what is only in memory by now. From then on it is in memory where it is looked at.
    fn write_out(&mut self) -> io::Result<()> {
        self.write(self.room.bytes(self.written, self.room.end))?;
        self.map()
    }

    /// Writes a whole piece that is not in memory here.
    fn write_through(&mut self, piece: &[u8]) -> io::Result<()> {
        self.write(piece)?;
        self.room.skip(piece.len())?;
        self.map()
    }

    fn map(&mut self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| self.room.map(&file.file))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.written + bytes.len();
        if written as u64 > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.folder.create()?),
        };
        // Pieces end where those of the checksum do, but for the last.
        self.sum = checksum(self.sum, bytes.chunks(PIECE));
        bytes.chunks(WRITTEN).try_for_each(|part| file.file.write_all(part))?;
        self.written = written;
        Ok(())
    }
}

impl Put for Output {
    type Error = io::Error;

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Most are few bytes, for which there is room.
        if self.room.end - self.written + bytes.len() < PIECE
            && self.room.end + bytes.len() <= self.room.ready
        {
            return self.room.append(bytes);
        }
        self.put_by_pieces(bytes)
    }

    fn checksum(&mut self) -> io::Result<u64> {
        self.write_out()?;
        Ok(self.sum)
    }
}

/// Addresses for all of a pack, which stay until the process ends. Up to `mapped` they are those of its file, up to
/// `ready` memory of which the first part is filled, and those beyond can't be used yet.
struct Room {
    /// A piece of memory, which is what each piece of the addresses is at first: pages that are used again need not be
    /// found and cleared by the system for each.
    memory: OwnedFd,
    start: usize,
    mapped: usize,
    end: usize,
    ready: usize,
}

impl Room {
    fn reserve() -> io::Result<Self> {
        let memory = rustix::fs::memfd_create("pack", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, PIECE as u64)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new anonymous mapping, which is never undone.
        let start =
            unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), SPACE, ProtFlags::empty(), flags) }?;
        Ok(Self { memory, start: start.expose_provenance(), mapped: 0, end: 0, ready: 0 })
    }

    fn place<T>(&self, offset: usize) -> *mut T {
        std::ptr::with_exposed_provenance_mut(self.start + offset)
    }

    /// What was appended.
    fn bytes(&self, from: usize, to: usize) -> &'static [u8] {
        assert!(from <= to && to <= self.end);
        // SAFETY: so many bytes were written there. They are never changed: what takes their place has the same bytes.
        unsafe { std::slice::from_raw_parts(self.place(from), to - from) }
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end + bytes.len();
        if end > self.ready {
            let ready = end.next_multiple_of(if self.ready < PIECE { STEP } else { PIECE });
            if ready > SPACE {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.prepare(ready)?;
        }
        // SAFETY: behind the end nobody has a reference yet, and so many bytes are ready there.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.place(self.end), bytes.len()) };
        self.end = end;
        Ok(())
    }

    /// Makes memory of the addresses up to one that is in the same piece, or at its end.
    fn prepare(&mut self, ready: usize) -> io::Result<()> {
        let offset = self.ready % PIECE;
        // What had the same place in the piece before is in the file, of which it is a mapping by now.
        assert!(offset + ready - self.ready <= PIECE && ready <= self.mapped + PIECE);
        let (place, more) = (self.place(self.ready), ready - self.ready);
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::FIXED | MapFlags::POPULATE;
        // SAFETY: the pages are in the reserved range and were not in use. The memory has that many bytes there, and nobody
        // else has any of them, see above.
        unsafe { rustix::mm::mmap(place, more, access, flags, &self.memory, offset as u64) }?;
        self.ready = ready;
        Ok(())
    }

    /// Leaves out whole pages, which will be mapped before anyone looks at them.
    fn skip(&mut self, bytes: usize) -> io::Result<()> {
        assert!(self.end == self.ready && bytes.is_multiple_of(PAGE));
        if self.end + bytes > SPACE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.end += bytes;
        self.ready = self.end;
        Ok(())
    }

    /// Puts a file that has all of it in the place of the memory, whole pages of it.
    fn map(&mut self, file: &std::fs::File) -> io::Result<()> {
        let (from, to) = (self.mapped, self.end / PAGE * PAGE);
        if from == to {
            return Ok(());
        }
        let (size, flags) = (to - from, MapFlags::PRIVATE);
        // SAFETY: no address is asked for, so no other mapping is replaced.
        let mapping = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), size, ProtFlags::READ, flags, file, from as u64)
        }?;
        let flags = MremapFlags::MAYMOVE;
        // SAFETY: the mapping was just made and nobody else knows of it. The pages whose place it takes are in the reserved
        // range, and have the same bytes or were not in use: the file has them since they were written, is of this user alone,
        // and is never written there again. Threads that look at them meanwhile wait for the system to be done.
        let moved = unsafe { rustix::mm::mremap_fixed(mapping, size, size, flags, self.place(from)) };
        if moved.is_err() {
            // The place may have nothing in it now. There is not even memory to describe a mapping.
            std::process::abort();
        }
        self.mapped = to;
        Ok(())
    }

    fn put_away(&self) {
        // SAFETY: these are pages of a file that were never written to: they stay what they are. If the advice is refused,
        // they stay where they are as well.
        let _ = unsafe { rustix::mm::madvise(self.place(0), self.mapped, Advice::LinuxDontNeed) };
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::pack::{Kind, Proof, Stamp};
    use super::*;
    use crate::fingerprint::Fingerprint;

    fn keep(pack: &mut NewPack, folder: &Folder, path: &str, kept: &[u8]) -> io::Result<&'static [u8]> {
        let fingerprint = Fingerprint { device: 1, inode: 2, size: 3, modified: 4, changed: 5 };
        let stamp = Stamp { proof: Proof::Itself, fingerprint, hash: None };
        let entry = Entry { kind: Kind::Tree, path: path.as_bytes(), stamp, parts: &[kept, b"end"] };
        let added = pack.add(folder, &entry)?.unwrap();
        assert_eq!(added.stamp().unwrap(), (Path::new(path), stamp));
        Ok(added.kept)
    }

    fn bytes(number: usize, length: usize) -> Vec<u8> {
        (0..length).map(|index| (index * 7 + index / 256 + number) as u8).collect()
    }

    #[test]
    fn what_is_kept_stays_where_it_is() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().join("parse"), "program", rustix::process::geteuid().as_raw());
        let mut pack = NewPack::default();
        let lengths = [1, 100, PAGE, 3 * PIECE + 17, 0, PIECE - 96, STEP, 2 * PIECE, 5];
        let mut kept = Vec::new();
        for (number, length) in lengths.into_iter().enumerate() {
            kept.push(keep(&mut pack, &folder, &format!("/{number}"), &bytes(number, length)).unwrap());
        }
        let check = || {
            for (number, (length, kept)) in lengths.into_iter().zip(&kept).enumerate() {
                assert_eq!(kept.as_ptr().addr() % 16, 0);
                assert!(kept.strip_suffix(b"end").unwrap() == bytes(number, length), "{number}");
            }
        };
        check();
        pack.put_away();
        check();
        folder.put(pack, &[]);
        check();
        let packs = folder.open();
        for (number, kept) in kept.iter().enumerate() {
            let found = packs[0].find(Kind::Tree, format!("/{number}").as_bytes()).unwrap();
            assert!(found.bytes == *kept, "{number}");
        }
    }

    #[test]
    fn what_cannot_be_written_stays_in_memory() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("parse"), "a file").unwrap();
        let folder = Folder::new(place.path().join("parse"), "program", rustix::process::geteuid().as_raw());
        let mut pack = NewPack::default();
        let first = keep(&mut pack, &folder, "/first", &bytes(1, 10_000)).unwrap();
        assert!(pack.size().is_some());
        keep(&mut pack, &folder, "/large", &bytes(2, PIECE)).unwrap_err();
        keep(&mut pack, &folder, "/small", b"").unwrap_err();
        pack.put_away();
        assert_eq!(first.strip_suffix(b"end").unwrap(), bytes(1, 10_000));
        assert_eq!(pack.size(), None);
        assert!(pack.finish(std::iter::empty()).is_err());
    }

    /// The memory becomes that of the file while it is read.
    #[test]
    fn others_read_meanwhile() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().join("parse"), "program", rustix::process::geteuid().as_raw());
        let mut pack = NewPack::default();
        let expected = bytes(0, 60_000);
        for round in 0..40 {
            let kept = keep(&mut pack, &folder, &format!("/{round}"), &expected).unwrap();
            let is_done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        assert!(kept.strip_suffix(b"end").unwrap() == expected);
                    }
                });
                for more in 0..20 {
                    keep(&mut pack, &folder, &format!("/{round}/{more}"), &expected).unwrap();
                }
                is_done.store(true, Ordering::Relaxed);
            });
        }
    }
}
