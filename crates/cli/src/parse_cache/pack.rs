//! The form of a pack: entries one after the other, then an index of them by path, then a trailer.
//!
//! All numbers are little-endian. An entry begins at a multiple of 16: its head ([`HEAD`] bytes), a hash if there is
//! one, its path, what was kept; the last two are filled up with zeros to the next multiple of 16. The index is a table
//! of a power of two of slots, at most two thirds of them taken: half of the path's hash, and the entry's place in units
//! of 16 bytes; empty slots are 0. The trailer says where the index is and has a checksum of all before it: it is for
//! what a loss of power leaves behind, not for what someone made on purpose.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::Stat;

use crate::fingerprint::{Fingerprint, Hash, hash};
use crate::path_hash::{PathHash, fold, hash_of_path};

/// Changes with the form.
const MAGIC: &[u8; 16] = b"nival parse  3\n\0";
const HEAD: usize = 64;
const HASH: usize = size_of::<Hash>();
const TRAILER: usize = 40;
const SUM: usize = 8;
/// The checksum is that of pieces of this size, one after the other.
pub(super) const PIECE: usize = 1 << 20;
const ALIGNMENT: usize = 16;
const SLOT: usize = 8;

/// What is kept of a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Kind {
    /// What a file was parsed to.
    Tree = 1,
    /// What is in a folder.
    Listing = 2,
    /// The hash that a tree of files has in the store, by what tells that none of them changed.
    Source = 3,
}

/// What tells that a file or folder is as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    pub(super) proof: Proof,
    /// What was there; of a [`Proof::Contents`] the size alone counts.
    pub(super) fingerprint: Fingerprint,
    /// The hash of the contents, if they are all that tells, or somebody asked for it.
    pub(super) hash: Option<Hash>,
}

impl Stamp {
    /// Whether a file that was read again still has the same text.
    pub(crate) fn is_of(&self, text: &[u8], stat: &Stat) -> bool {
        let is_as_it_was = match self.proof {
            Proof::Contents => false,
            Proof::Itself => Fingerprint::of_stat(stat) == self.fingerprint,
            Proof::StorePath => true,
        };
        is_as_it_was || self.hash.is_some_and(|known| known == hash(text))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Proof {
    /// The contents alone.
    Contents = 0,
    /// The fingerprint of the file or folder.
    Itself = 1,
    /// The fingerprint of the store path that it is in.
    StorePath = 2,
}

const HAS_HASH: u32 = 1 << 8;

/// Something to be kept.
pub(super) struct Entry<'a> {
    pub(super) kind: Kind,
    pub(super) path: &'a [u8],
    pub(super) stamp: Stamp,
    /// What is kept, in parts that follow one another.
    pub(super) parts: &'a [&'a [u8]],
}

impl Entry<'_> {
    /// How much it takes in a pack, about.
    pub(super) fn size(&self) -> u64 {
        let parts: usize = self.parts.iter().map(|part| part.len()).sum();
        (HEAD + HASH + self.path.len() + parts + 2 * ALIGNMENT + 2 * SLOT) as u64
    }
}

/// A pack as it lies in memory.
#[derive(Clone, Copy)]
pub(super) struct Pack<'a> {
    /// Entries.
    entries: &'a [u8],
    /// A power of two of slots.
    slots: &'a [[u8; SLOT]],
    checked: &'a [u8],
    checksum: &'a [u8; SUM],
}

/// An entry of a pack.
pub(super) struct Kept<'a> {
    pub(super) stamp: Stamp,
    pub(super) bytes: &'a [u8],
}

impl<'a> Pack<'a> {
    /// Nothing if it is no pack, or is not whole. The entries are looked at when they are asked for.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let (checked, checksum) = bytes.split_last_chunk::<SUM>()?;
        let (body, trailer) = bytes.split_last_chunk::<TRAILER>()?;
        if trailer[..16] != MAGIC[..] {
            return None;
        }
        let place = usize::try_from(word(trailer, 16)?).ok()?;
        let count = usize::try_from(word(trailer, 24)?).ok()?;
        let (entries, slots) = body.split_at_checked(place)?;
        let (slots, rest) = slots.as_chunks::<SLOT>();
        let is_table = slots.len() == count && rest.is_empty() && count.is_power_of_two();
        is_table.then_some(Self { entries, slots, checked, checksum })
    }

    /// Whether nothing of it is damaged: all of it is read.
    pub(super) fn is_sound(&self) -> bool {
        checksum(0, self.checked.chunks(PIECE)).to_le_bytes() == *self.checksum
    }

    /// What is kept of a path.
    pub(super) fn find(&self, kind: Kind, path: &[u8]) -> Option<Kept<'a>> {
        let hash = hash_of_path(path);
        let mask = self.slots.len() - 1;
        for step in 0..self.slots.len() {
            let slot = u64::from_le_bytes(self.slots[(hash as usize).wrapping_add(step) & mask]);
            if slot == 0 {
                return None;
            }
            if slot >> 32 == hash >> 32
                && let Some(image) = self.image(slot)
                && image.kind == kind
                && image.path == path
            {
                return Some(Kept { stamp: image.stamp, bytes: image.kept });
            }
        }
        None
    }

    /// All entries, in the order in which they lie there.
    pub(super) fn images(&self) -> impl Iterator<Item = Image<'a>> {
        let mut slots: Vec<u64> = self.slots.iter().map(|slot| u64::from_le_bytes(*slot)).collect();
        slots.retain(|slot| *slot != 0);
        slots.sort_unstable_by_key(|slot| *slot as u32);
        slots.into_iter().filter_map(|slot| self.image(slot))
    }

    fn image(&self, slot: u64) -> Option<Image<'a>> {
        // Places count from one, so that no taken slot is 0.
        Image::read(self.entries.get((slot as u32 as usize).checked_sub(1)?.checked_mul(ALIGNMENT)?..)?)
    }
}

/// An entry in the form in which it goes to other packs.
pub(super) struct Image<'a> {
    pub(super) kind: Kind,
    pub(super) path: &'a [u8],
    stamp: Stamp,
    kept: &'a [u8],
    all: &'a [u8],
}

impl<'a> Image<'a> {
    /// Of what begins with an entry that is undamaged but for what was kept.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let head = bytes.first_chunk::<HEAD>()?;
        let path_length = usize::try_from(half(head, 12)?).ok()?;
        let length = usize::try_from(word(head, 16)?).ok()?;
        let flags = half(head, 8)?;
        let hash = if flags & HAS_HASH == 0 { None } else { Some(*bytes[HEAD..].first_chunk::<HASH>()?) };
        let path_start = if hash.is_some() { HEAD + HASH } else { HEAD };
        let path_end = path_start.checked_add(path_length)?;
        let path = bytes.get(path_start..path_end)?;
        if word(head, 0)? != check(&bytes[8..path_start], path) {
            return None;
        }
        let start = path_end.next_multiple_of(ALIGNMENT);
        let end = start.checked_add(length)?;
        let kept = bytes.get(start..end)?;
        let all = bytes.get(..end.checked_next_multiple_of(ALIGNMENT)?)?;
        let kind = match flags & 0xf {
            1 => Kind::Tree,
            2 => Kind::Listing,
            3 => Kind::Source,
            _ => return None,
        };
        let proof = match flags >> 4 & 0xf {
            0 => Proof::Contents,
            1 => Proof::Itself,
            2 => Proof::StorePath,
            _ => return None,
        };
        let fingerprint = Fingerprint {
            device: word(head, 24)?,
            inode: word(head, 32)?,
            size: word(head, 40)?,
            modified: word(head, 48)?.cast_signed(),
            changed: word(head, 56)?.cast_signed(),
        };
        Some(Self { kind, path, stamp: Stamp { proof, fingerprint, hash }, kept, all })
    }
}

/// Where an entry lies in a pack, and what is kept by it.
pub(super) struct Placed {
    pub(super) entry: Range<usize>,
    pub(super) kept: Range<usize>,
}

/// An entry as it lies in memory, of which the rest is read again where it is needed.
#[derive(Clone, Copy)]
pub(crate) struct Added {
    pub(super) entry: &'static [u8],
    pub(crate) kept: &'static [u8],
}

impl Added {
    /// The path, and what tells that the file is as it was.
    pub(crate) fn stamp(self) -> Option<(&'static Path, Stamp)> {
        let image = Image::read(self.entry)?;
        Some((Path::new(OsStr::from_bytes(image.path)), image.stamp))
    }
}

/// What is in a pack that grows: new entries first, then those of other packs that are of other paths.
#[derive(Default)]
pub(super) struct Growing {
    /// Hashes of kinds and paths. If two are equal, one is left out.
    seen: HashSet<u64, PathHash>,
    index: Vec<(u64, u64)>,
    end: u64,
}

impl Growing {
    /// Puts an entry to its end. Gives where in the pack it lies; nothing if there is one of the same path.
    pub(super) fn add<E>(
        &mut self,
        entry: &Entry<'_>,
        put: &mut impl Put<Error = E>,
    ) -> Result<Option<Placed>, E> {
        let hash = hash_of_path(entry.path);
        if !self.seen.insert(hash ^ entry.kind as u64) {
            return Ok(None);
        }
        let start = self.end as usize;
        let kept = write_entry(entry, start, put)?;
        self.index.push((hash, self.end));
        let end = kept.end.next_multiple_of(ALIGNMENT);
        self.end = end as u64;
        Ok(Some(Placed { entry: start..end, kept }))
    }

    /// The same for all entries of a pack; the newest pack comes first.
    pub(super) fn add_all<E>(&mut self, pack: &Pack<'_>, put: &mut impl Put<Error = E>) -> Result<(), E> {
        for image in pack.images() {
            let hash = hash_of_path(image.path);
            if self.seen.insert(hash ^ image.kind as u64) {
                put.put(image.all)?;
                self.index.push((hash, self.end));
                self.end += image.all.len() as u64;
            }
        }
        Ok(())
    }

    /// Puts what comes after the entries.
    pub(super) fn finish<E>(self, put: &mut impl Put<Error = E>) -> Result<(), E> {
        let slots = table(&self.index);
        put.put(slots.as_flattened())?;
        let mut trailer = [0; TRAILER - SUM];
        trailer[..16].copy_from_slice(MAGIC);
        trailer[16..24].copy_from_slice(&self.end.to_le_bytes());
        trailer[24..32].copy_from_slice(&(slots.len() as u64).to_le_bytes());
        put.put(&trailer)?;
        let checksum = put.checksum()?;
        put.put(&checksum.to_le_bytes())
    }
}

/// A checksum that goes on, or begins with zero.
pub(super) fn checksum<'a>(before: u64, pieces: impl Iterator<Item = &'a [u8]>) -> u64 {
    pieces.fold(before, |sum, piece| nival_syntax::checksum(piece, sum))
}

/// Where a pack goes.
pub(super) trait Put {
    type Error;
    fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
    /// The [`checksum`] of what came so far.
    fn checksum(&mut self) -> Result<u64, Self::Error>;
}

/// Gives where that lies which is kept.
fn write_entry<E>(entry: &Entry<'_>, start: usize, put: &mut impl Put<Error = E>) -> Result<Range<usize>, E> {
    const ZEROS: [u8; ALIGNMENT] = [0; ALIGNMENT];
    let Entry { kind, path, stamp, parts } = entry;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut head = [0; HEAD + HASH];
    let flags = *kind as u32 | (stamp.proof as u32) << 4 | if stamp.hash.is_some() { HAS_HASH } else { 0 };
    head[8..12].copy_from_slice(&flags.to_le_bytes());
    head[12..16].copy_from_slice(&(path.len() as u32).to_le_bytes());
    let Fingerprint { device, inode, size, modified, changed } = stamp.fingerprint;
    let words = [length as u64, device, inode, size, modified.cast_unsigned(), changed.cast_unsigned()];
    for (number, word) in words.into_iter().enumerate() {
        head[16 + 8 * number..][..8].copy_from_slice(&word.to_le_bytes());
    }
    let head = match &stamp.hash {
        Some(hash) => {
            head[HEAD..].copy_from_slice(hash);
            &mut head[..]
        }
        None => &mut head[..HEAD],
    };
    let check = check(&head[8..], path);
    head[..8].copy_from_slice(&check.to_le_bytes());
    let padding = |length: usize| &ZEROS[..length.next_multiple_of(ALIGNMENT) - length];
    put.put(head)?;
    put.put(path)?;
    put.put(padding(path.len()))?;
    for part in *parts {
        put.put(part)?;
    }
    put.put(padding(length))?;
    let start = start + head.len() + path.len().next_multiple_of(ALIGNMENT);
    Ok(start..start + length)
}

/// The slots for entries with these hashes at these places.
fn table(index: &[(u64, u64)]) -> Vec<[u8; SLOT]> {
    let mut slots = vec![[0; SLOT]; (index.len() * 3 / 2 + 1).next_power_of_two()];
    let mask = slots.len() - 1;
    for (hash, place) in index {
        let Ok(place) = u32::try_from(place / ALIGNMENT as u64 + 1) else { continue };
        let mut slot = *hash as usize & mask;
        while slots[slot] != [0; SLOT] {
            slot = (slot + 1) & mask;
        }
        slots[slot] = (hash >> 32 << 32 | u64::from(place)).to_le_bytes();
    }
    slots
}

fn word(bytes: &[u8], place: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
}

fn half(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
}

/// Tells whether a head and the path after it are as they were written.
fn check(head: &[u8], path: &[u8]) -> u64 {
    fold(hash_of_path(head) ^ 1, hash_of_path(path))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    struct InMemory(Vec<u8>);

    impl Put for InMemory {
        type Error = Infallible;

        fn put(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn checksum(&mut self) -> Result<u64, Infallible> {
            Ok(checksum(0, self.0.chunks(PIECE)))
        }
    }

    fn packed(new: &[Entry<'_>], old: &[Pack<'_>]) -> Vec<u8> {
        let (mut memory, mut contents) = (InMemory(Vec::new()), Growing::default());
        for entry in new {
            let Ok(place) = contents.add(entry, &mut memory);
            if let Some(place) = place {
                assert_eq!(memory.0[place.kept], entry.parts.concat());
            }
        }
        for pack in old {
            let Ok(()) = contents.add_all(pack, &mut memory);
        }
        let Ok(()) = contents.finish(&mut memory);
        memory.0
    }

    fn entry(path: &str, kind: Kind, parts: &[&'static str]) -> Entry<'static> {
        let size = path.len() as u64;
        let fingerprint = Fingerprint { device: 1, inode: u64::MAX, size, modified: -1, changed: i64::MAX };
        let (proof, hash) = match size % 3 {
            0 => (Proof::Contents, Some([7; 32])),
            1 => (Proof::Itself, None),
            _ => (Proof::StorePath, Some([0; 32])),
        };
        let parts = parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>().leak();
        let path = path.to_owned().leak().as_bytes();
        Entry { kind, path, stamp: Stamp { proof, fingerprint, hash }, parts }
    }

    fn some() -> Vec<Entry<'static>> {
        let mut entries = vec![
            entry("/a", Kind::Tree, &["tree of a"]),
            entry("/a", Kind::Listing, &["what", " is", " in a"]),
            entry("/folder/with/a/long/name.nix", Kind::Tree, &["0123456789abcdef", ""]),
            entry("", Kind::Tree, &[]),
        ];
        for number in 0..50 {
            entries.push(entry(&format!("/number/{number}"), Kind::Tree, &["many", "-", "1"]));
        }
        entries
    }

    #[test]
    fn what_was_kept_is_found() {
        let bytes = packed(&some(), &[]);
        let pack = Pack::new(&bytes).unwrap();
        assert!(pack.is_sound());
        for entry in some() {
            let kept = pack.find(entry.kind, entry.path).unwrap();
            assert_eq!((kept.stamp, kept.bytes), (entry.stamp, entry.parts.concat().as_slice()));
            let place = kept.bytes.as_ptr() as usize - bytes.as_ptr() as usize;
            assert_eq!(place % ALIGNMENT, 0);
        }
        for path in ["/b", "/a/", "/number/50", "/folder"] {
            assert!(pack.find(Kind::Tree, path.as_bytes()).is_none(), "{path}");
        }
        assert!(pack.find(Kind::Listing, b"/number/1").is_none());
        let paths: Vec<_> = pack.images().map(|image| (image.kind, image.path.to_vec())).collect();
        assert_eq!(
            paths,
            some().into_iter().map(|entry| (entry.kind, entry.path.to_vec())).collect::<Vec<_>>()
        );
    }

    #[test]
    fn new_ones_stand_before_old_ones() {
        let first = packed(&some(), &[]);
        let second = packed(&[entry("/a", Kind::Tree, &["second"]), entry("/b", Kind::Tree, &["b"])], &[]);
        let old = [Pack::new(&second).unwrap(), Pack::new(&first).unwrap()];
        let new = [entry("/b", Kind::Tree, &["third"]), entry("/b", Kind::Tree, &["a double"])];
        let merged = packed(&new, &old);
        let pack = Pack::new(&merged).unwrap();
        assert!(pack.is_sound());
        assert_eq!(pack.images().count(), some().len() + 1);
        for (kind, path, expected) in [
            (Kind::Tree, "/b", "third"),
            (Kind::Tree, "/a", "second"),
            (Kind::Listing, "/a", "what is in a"),
            (Kind::Tree, "/number/7", "many-1"),
        ] {
            assert_eq!(pack.find(kind, path.as_bytes()).unwrap().bytes, expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn an_empty_pack() {
        let bytes = packed(&[], &[]);
        let pack = Pack::new(&bytes).unwrap();
        assert!(pack.is_sound() && pack.find(Kind::Tree, b"/a").is_none() && pack.images().count() == 0);
    }

    #[test]
    fn what_is_no_pack() {
        let bytes = packed(&some(), &[]);
        for length in 0..bytes.len() {
            assert!(Pack::new(&bytes[..length]).is_none(), "{length}");
        }
        for other in [&b"nonsense"[..], &[0; 4096], &[0xff; 4096], &[bytes.as_slice(), b"x"].concat()] {
            assert!(Pack::new(other).is_none());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Damage of any kind is found by the checksum, and without it gives what was kept or nothing, but for damage
        /// of what was kept itself.
        #[test]
        fn damage(changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..8)) {
            let mut bytes = packed(&some(), &[]);
            let whole = bytes.clone();
            for (place, change) in changes {
                let place = place.index(bytes.len());
                bytes[place] ^= change;
            }
            prop_assume!(bytes != whole);
            let Some(pack) = Pack::new(&bytes) else { return Ok(()) };
            prop_assert!(!pack.is_sound());
            for entry in some() {
                if let Some(kept) = pack.find(entry.kind, entry.path) {
                    prop_assert_eq!(kept.stamp, entry.stamp);
                    prop_assert_eq!(kept.bytes.len(), entry.parts.concat().len());
                }
            }
            prop_assert!(pack.images().count() <= pack.slots.len());
        }

        #[test]
        fn nonsense_with_a_right_end(mut bytes in prop::collection::vec(any::<u8>(), 0..2048), slots in 0..7u32) {
            let place = (bytes.len() / ALIGNMENT * ALIGNMENT) as u64;
            bytes.truncate(place as usize);
            for slot in 0..1u64 << slots {
                bytes.extend_from_slice(&((hash_of_path(b"/a") >> 32 << 32) | (slot * 7)).to_le_bytes());
            }
            bytes.extend_from_slice(MAGIC);
            bytes.extend_from_slice(&place.to_le_bytes());
            bytes.extend_from_slice(&(1u64 << slots).to_le_bytes());
            bytes.extend_from_slice(&[0; SUM]);
            let pack = Pack::new(&bytes).unwrap();
            prop_assert!(pack.find(Kind::Tree, b"/a").is_none());
            prop_assert!(pack.images().count() == 0);
        }
    }
}
