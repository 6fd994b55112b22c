//! Trees as bytes: what one process writes, a later process of the same program uses as it lies in a file that is
//! mapped into memory.
//!
//! Neither side copies anything: the tables are handed over as they are, and used as they are found. Only the names
//! become symbols again, in the order in which the parser met them, so that symbols get the numbers that they
//! would have got if the text had been parsed.
//!
//! The bytes are numbers in the byte order and layout of this very program: who stores them must see to it that no other one
//! gets them.

use super::tables::{NarrowTables, View, keep_entries};
use super::{Ast, Context, ExprId, Keep};
use crate::prefetch::prefetch;
use crate::source::ReadText;
use crate::symbol::{K0, K1, Many, Name, Word, mix};
use crate::{Origin, Parsed, Source, Symbol, TooMuchText};

/// What any bytes are a value of.
///
/// # Safety
///
/// The type must be without padding, without references, of an alignment of no more than 16 bytes, and every
/// pattern of bits must be a value of it.
pub unsafe trait Plain: Copy + 'static {}

// SAFETY: numbers.
unsafe impl Plain for u8 {}
// SAFETY: numbers.
unsafe impl Plain for u32 {}
// SAFETY: numbers without padding between them.
unsafe impl Plain for [u32; 2] {}
// SAFETY: numbers.
unsafe impl Plain for u64 {}

/// Where tables begin: at multiples of this.
const ALIGNMENT: usize = 16;

/// How many tables whoever keeps a tree may add to those of the tree itself.
const MORE: usize = 8;
/// Names and lines.
const OURS: usize = 3;
const TABLES: usize = View::COUNT + OURS + MORE;

/// The first table: what the others are.
#[derive(Clone, Copy)]
#[repr(C)]
struct Head {
    magic: u32,
    root: u32,
    /// How long the text is.
    text: u32,
    /// How deep brackets stand inside each other in the text.
    depth: u32,
    /// A checksum of all else, or zero for large trees: those have to be taken on trust.
    sum: u64,
    /// In bytes.
    lengths: [u32; TABLES],
    rest: [u32; PADDING],
}

const PADDING: usize = (24 + TABLES * 4).next_multiple_of(ALIGNMENT) / 4 - 6 - TABLES;
const MAGIC: u32 = 0x6e69_7674;

// SAFETY: numbers without padding between them, as the size shows.
unsafe impl Plain for Head {}
const _: () =
    assert!(size_of::<Head>() == 24 + (TABLES + PADDING) * 4 && size_of::<Head>().is_multiple_of(ALIGNMENT));

/// Trees of up to so many bytes have a checksum, which is compared whenever one is used; of larger ones not all
/// need be read.
const SUMMED: usize = 4 << 20;

/// What of a tree is kept in fewer bytes than it has in memory: names, lines, and numbers if they are small.
pub struct Condensed<'a> {
    names: NameBytes<'a>,
    lines: Vec<u8>,
    narrow: NarrowTables,
}

/// Names, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct NameBytes<'a> {
    /// How long each is, or [`NameBytes::VERY_LONG`].
    pub(crate) lengths: &'a [u8],
    /// The bytes of all; of very long ones their count before them.
    pub(crate) bytes: &'a [u8],
}

impl NameBytes<'_> {
    pub(crate) const VERY_LONG: u8 = u8::MAX;
}

impl<'a> Condensed<'a> {
    /// Of what a source was parsed to.
    pub fn of(parsed: &'a Parsed, source: &Source) -> Condensed<'a> {
        let narrow = NarrowTables::of(&parsed.ast().tables);
        Condensed { names: parsed.name_bytes(), lines: source.line_lengths(), narrow }
    }
}

/// The tables of a tree that is to be kept.
pub struct KeptParts<'a> {
    head: Head,
    parts: Vec<&'a [u8]>,
    tables: usize,
    bytes: usize,
    sum: Checksum,
}

impl<'a> KeptParts<'a> {
    /// The tables of a tree; further ones can follow.
    pub fn of(ast: &Ast<'a>, source: &Source, condensed: &'a Condensed<'a>) -> KeptParts<'a> {
        let head = Head {
            magic: MAGIC,
            root: ast.root.0,
            text: source.len() as u32,
            depth: ast.depth,
            sum: 0,
            lengths: [0; TABLES],
            rest: [0; PADDING],
        };
        let mut room = Vec::with_capacity(1 + 2 * TABLES);
        room.push(&[][..]);
        let mut parts = KeptParts { head, parts: room, tables: 0, bytes: 0, sum: Checksum::of(0) };
        parts.add(condensed.names.lengths);
        parts.add(condensed.names.bytes);
        parts.add(&condensed.lines);
        ast.tables.with_narrow(&condensed.narrow).put(&mut parts);
        parts
    }

    /// One more table, of which a few can be added.
    pub fn add<T: Plain>(&mut self, entries: &'a [T]) {
        const ZEROS: [u8; ALIGNMENT] = [0; ALIGNMENT];
        const { assert!(align_of::<T>() <= ALIGNMENT) };
        let bytes = bytes_of(entries);
        // More has no room in a host either.
        self.head.lengths[self.tables] = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.tables += 1;
        self.bytes += bytes.len();
        if self.bytes <= SUMMED {
            self.sum.add(bytes);
        }
        if !bytes.is_empty() {
            self.parts.push(bytes);
        }
        let gap = bytes.len().next_multiple_of(ALIGNMENT) - bytes.len();
        if gap > 0 {
            self.parts.push(&ZEROS[..gap]);
        }
    }

    /// Puts the bytes somewhere: parts that follow one another.
    pub fn put<R>(mut self, to: impl FnOnce(&[&[u8]]) -> R) -> R {
        while self.tables < TABLES {
            self.add::<u8>(&[]);
        }
        self.head.sum = if self.bytes <= SUMMED { self.head.sum_with_head(self.sum) } else { 0 };
        let mut parts = self.parts;
        parts[0] = bytes_of(std::slice::from_ref(&self.head));
        to(&parts)
    }
}

/// A tree that was kept.
pub struct KeptTree {
    head: &'static Head,
    bytes: &'static [u8],
    starts: [usize; TABLES],
}

/// A tree whose tables are where it says.
struct Found {
    tree: KeptTree,
    /// How many bytes the tables have, without what is between them.
    total: usize,
    /// Where the last one ends.
    end: usize,
}

impl KeptTree {
    /// The tree that some bytes are, if they are one.
    pub fn open(bytes: &'static [u8]) -> Option<KeptTree> {
        let Found { tree, total, end } = KeptTree::find_tables(bytes)?;
        if total <= SUMMED {
            // The tables as they lie there, with what is between them.
            let mut sum = Checksum::of(0);
            sum.add(bytes.get(size_of::<Head>()..end)?);
            if tree.head.sum_with_head(sum) != tree.head.sum {
                return None;
            }
        }
        Some(tree)
    }

    /// The same of bytes that this process has just put there.
    pub fn open_new(bytes: &'static [u8]) -> Option<KeptTree> {
        Some(KeptTree::find_tables(bytes)?.tree)
    }

    fn find_tables(bytes: &'static [u8]) -> Option<Found> {
        let head = slice_of::<Head>(bytes.get(..size_of::<Head>())?)?.first()?;
        if head.magic != MAGIC {
            return None;
        }
        let mut at = size_of::<Head>();
        let mut starts = [0; TABLES];
        let mut total = 0;
        for (start, length) in starts.iter_mut().zip(head.lengths) {
            let length = length as usize;
            *start = at;
            at = at.checked_add(length)?.checked_next_multiple_of(ALIGNMENT)?;
            total += length;
        }
        if at > bytes.len() {
            return None;
        }
        Some(Found { tree: KeptTree { head, bytes, starts }, total, end: at })
    }

    /// How many brackets stand inside each other in its text.
    pub fn depth(&self) -> u32 {
        self.head.depth
    }

    fn table_bytes(&self, number: usize) -> Option<&'static [u8]> {
        let start = *self.starts.get(number)?;
        self.bytes.get(start..start.checked_add(self.head.lengths[number] as usize)?)
    }

    pub(super) fn table<T: Plain>(&self, number: usize) -> Option<&'static [T]> {
        slice_of(self.table_bytes(number)?)
    }

    /// A table that was added to those of the tree, counted from zero.
    pub fn added<T: Plain>(&self, number: usize) -> Option<&'static [T]> {
        self.table(OURS + View::COUNT + number)
    }

    /// Makes symbols of the names, in the order in which the parser did so.
    pub fn symbols(&self, keep: &impl Keep) -> Option<&'static [Symbol]> {
        let lengths = self.table::<u8>(0)?;
        let mut rest = self.bytes.get(self.starts[1]..)?;
        let mut names = Many::with_capacity(lengths.len());
        for length in lengths {
            names.add(match (usize::from(*length), rest.as_chunks().0.first()) {
                // What follows is no part of the name.
                (size @ ..=Word::MAX, Some(first)) => {
                    let word = Word::first_of(first, size);
                    Name::of_word(word, word.hash(), rest.split_off(..size)?)
                }
                (size, _) if size < usize::from(NameBytes::VERY_LONG) => Name::new(rest.split_off(..size)?),
                _ => {
                    let size = u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?);
                    Name::new(rest.split_off(..size as usize)?)
                }
            });
        }
        Some(keep_entries(&mut names.symbols(), keep))
    }

    /// The source of the tree, whose text is read only when it is to be shown.
    pub fn source(&self, origin: Origin, read: ReadText) -> Option<Result<&'static Source, TooMuchText>> {
        Some(Source::add_unread(origin, self.head.text, self.table(2)?, read))
    }

    /// Forgets the text of a source that the tree was made of: it is read again when it is to be shown.
    pub fn forget_text(&self, source: &Source, read: ReadText) {
        if let Some(lengths) = self.table(2) {
            source.forget_text(lengths, read);
        }
    }

    /// The tree, of a source and symbols that were made of the same bytes.
    pub fn ast(&self, source: &'static Source, symbols: &'static [Symbol]) -> Option<Ast<'static>> {
        Some(Ast {
            root: ExprId(self.head.root),
            depth: self.head.depth,
            context: Context { symbols, base: source.pos(0).id() },
            tables: View::take(self, OURS)?,
        })
    }
}

impl Head {
    fn sum_with_head(&self, sum: Checksum) -> u64 {
        let numbers = [self.root, self.text, self.depth].map(u64::from);
        let numbers = numbers.into_iter().chain(self.lengths.map(u64::from));
        numbers.fold(sum.finish(), |sum, number| mix(sum ^ K0, number ^ K1))
    }
}

/// A quick checksum of bytes, begun with one of those before: it tells of damage, not of intent.
pub fn checksum(bytes: &[u8], before: u64) -> u64 {
    let mut sum = Checksum::of(before);
    sum.add(bytes);
    mix(sum.finish() ^ K1, bytes.len() as u64 ^ K0)
}

/// Such a checksum of bytes that come one after the other.
struct Checksum([u64; Checksum::LANES]);

impl Checksum {
    const LANES: usize = 4;
    const AHEAD: usize = 1024;
    // Nothing that is multiplied may be zero, but by chance: what came before would be lost.
    const START: u64 = 0xe703_7ed1_a0b4_28db;

    fn of(before: u64) -> Checksum {
        Checksum([before, Checksum::START, Checksum::START ^ K0, Checksum::START ^ K1])
    }

    /// Adds bytes, filled up with zeros as tables are.
    fn add(&mut self, bytes: &[u8]) {
        let mut lanes = self.0;
        let (blocks, rest) = bytes.as_chunks::<{ Checksum::LANES * ALIGNMENT }>();
        for block in blocks {
            prefetch(block.as_ptr().addr() + Checksum::AHEAD);
            for (lane, unit) in lanes.iter_mut().zip(block.as_chunks().0) {
                *lane = Checksum::mixed(*lane, unit);
            }
        }
        let mut add_unit = |unit: &[u8; ALIGNMENT]| {
            lanes[0] = Checksum::mixed(lanes[0], unit);
            // Whatever the parts are in which they come, bytes of one place are in one lane.
            lanes.rotate_left(1);
        };
        let (units, rest) = rest.as_chunks();
        units.iter().for_each(&mut add_unit);
        if !rest.is_empty() {
            let mut last = [0; ALIGNMENT];
            last[..rest.len()].copy_from_slice(rest);
            add_unit(&last);
        }
        self.0 = lanes;
    }

    #[inline]
    fn mixed(lane: u64, unit: &[u8; ALIGNMENT]) -> u64 {
        let unit = u128::from_ne_bytes(*unit);
        mix(lane ^ unit as u64, (unit >> 64) as u64 ^ K0)
    }

    fn finish(self) -> u64 {
        self.0.into_iter().fold(Checksum::START, |sum, lane| mix(sum ^ K1, lane ^ K0))
    }
}

/// The bytes of entries as they lie in memory.
pub(crate) fn bytes_of<T: Plain>(entries: &[T]) -> &[u8] {
    // SAFETY: plain types have no padding, so that all of their bytes can be read.
    unsafe { std::slice::from_raw_parts(entries.as_ptr().cast(), size_of_val(entries)) }
}

/// The entries that bytes are, if they are a whole number of them in the right place.
fn slice_of<T: Plain>(bytes: &[u8]) -> Option<&[T]> {
    if !bytes.len().is_multiple_of(size_of::<T>()) || !bytes.as_ptr().cast::<T>().is_aligned() {
        return None;
    }
    // SAFETY: any bytes are values of a plain type, the place is right for them, and so many fit.
    Some(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) })
}
