//! The collector of garbage: what nothing refers to any more is used again.
//!
//! Objects never move, and whatever looks like a reference keeps an object: values are plain words which
//! stand on stacks and in registers, in vectors and tables, so the collector looks through all of the
//! process's memory (see [`super::roots`]) and what is kept for ever, and from there through the objects. A
//! reference may lead into the middle of an object. Where objects start is in a table, and an object ends where the
//! next one starts.
//!
//! What was reached is marked word by word in a second table. Then nothing else is done: heaps find the places
//! between marked words when they need them.
//!
//! Several threads: see [`super::world`].

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use nival_syntax::prefetch;

use super::closure::{FIRST_NUMBER, LAMBDA, LOW_BITS, NUMBERS, OFFSET_MASK};
use super::pile::Pile;
use super::recent;
use super::roots::Memory;
use super::space::{self, BYTES_A_WORD, GRANULE, Kind, OFFSET_BITS, base, space};
use super::wipe;
use super::world::{self, Stack};
use crate::evaluator::LOCAL;
use crate::value::{NUMBER_BITS, is_list_or_set};

/// When garbage is collected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collection {
    /// How many bytes of values there must be before the first time.
    pub from: usize,
    /// How many bytes of values the evaluation of one value must have made, so that what of that is garbage is collected
    /// by itself, if the value is a text.
    pub jobs_from: usize,
    /// For tests: collects every so many bytes, and spoils what is free.
    pub stress: Option<usize>,
}

impl Collection {
    /// Garbage is never collected.
    pub const NEVER: Collection = Collection { from: usize::MAX, jobs_from: usize::MAX, stress: None };
}

impl Default for Collection {
    fn default() -> Collection {
        Collection::NEVER
    }
}

/// What became of the memory for values.
#[derive(Clone, Copy, Default, Debug)]
pub struct Statistics {
    /// How often garbage was collected.
    pub cycles: u64,
    /// Bytes that the space for values has grown to.
    pub heap_bytes: u64,
    /// Bytes that were in use after the last collection.
    pub live_bytes: u64,
    /// Seconds that collections took.
    pub seconds: f64,
}

/// After a collection, a part of the bytes that are in use is handed out before the next: so many times smaller.
const GROWTH: usize = 2;
/// Memory is kept clean from this part of the first collection's size on.
const CLEAN_FROM: usize = 4;
/// No collection pays for less.
const LEAST: usize = 64 << 20;

/// Bytes handed out so far.
static MADE: AtomicUsize = AtomicUsize::new(0);
/// Bytes handed out since the last collection, and how many it may be.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Nothing is collected below.
static FROM: AtomicUsize = AtomicUsize::new(usize::MAX);
static JOBS_FROM: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Whether memory is spoiled.
static STRESS: AtomicBool = AtomicBool::new(false);

static CYCLES: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static MICROSECONDS: AtomicU64 = AtomicU64::new(0);

/// Says when to collect. This holds for the whole process.
pub(crate) fn configure(collection: Collection) {
    if collection.stress.is_some() {
        wipe::start();
    }
    STRESS.store(collection.stress.is_some(), Ordering::Relaxed);
    FROM.store(collection.from, Ordering::Relaxed);
    JOBS_FROM.store(collection.jobs_from, Ordering::Relaxed);
    LIMIT.store(collection.stress.unwrap_or(collection.from), Ordering::Relaxed);
}

pub(crate) fn statistics() -> Statistics {
    Statistics {
        cycles: CYCLES.load(Ordering::Relaxed),
        heap_bytes: (space().granules().len() * GRANULE) as u64,
        live_bytes: LIVE.load(Ordering::Relaxed) as u64,
        seconds: MICROSECONDS.load(Ordering::Relaxed) as f64 / 1e6,
    }
}

/// Counts what a heap was given.
pub(super) fn note(bytes: usize) {
    MADE.fetch_add(bytes, Ordering::Relaxed);
    let taken = TAKEN.fetch_add(bytes, Ordering::Relaxed) + bytes;
    if taken >= LIMIT.load(Ordering::Relaxed) / CLEAN_FROM {
        wipe::start();
    }
}

/// How often garbage was collected.
#[inline]
pub(crate) fn collections() -> u64 {
    CYCLES.load(Ordering::Relaxed)
}

/// Bytes handed out so far by all heaps, with what is left of the last pieces.
#[inline]
pub(crate) fn made() -> usize {
    MADE.load(Ordering::Relaxed)
}

/// What a job must have made for a collection of its own, in bytes.
#[inline]
pub(crate) fn jobs_from() -> usize {
    JOBS_FROM.load(Ordering::Relaxed)
}

/// Whether it is time for a collection, by this thread or another.
pub(super) fn is_due() -> bool {
    TAKEN.load(Ordering::Relaxed) >= LIMIT.load(Ordering::Relaxed) || world::is_stopping()
}

/// Whether heaps are to give up what they have, so that more of it is spoiled.
pub(super) fn is_strict() -> bool {
    STRESS.load(Ordering::Relaxed)
}

/// Collects garbage if all threads can be stopped.
pub(super) fn run() {
    let done = world::alone(|stacks| {
        let start = Instant::now();
        finish(start, collect(stacks));
    });
    if done.is_none() {
        // Another thread has just done it, or is busy with what may take long: it is tried again after a while.
        let less = TAKEN.load(Ordering::Relaxed).min(LIMIT.load(Ordering::Relaxed)) / 8 * 7;
        TAKEN.store(less, Ordering::Relaxed);
    }
}

pub(super) fn finish(start: Instant, live: std::io::Result<usize>) {
    let Ok(live) = live else {
        // Without a look at all memory nothing can be freed, and marks say nothing any more.
        LIMIT.store(usize::MAX, Ordering::Relaxed);
        JOBS_FROM.store(usize::MAX, Ordering::Relaxed);
        return;
    };
    TAKEN.store(0, Ordering::Relaxed);
    LIVE.store(live, Ordering::Relaxed);
    if !is_strict() {
        let room = FROM.load(Ordering::Relaxed).saturating_sub(live);
        LIMIT.store((live / GROWTH).max(LEAST).max(room), Ordering::Relaxed);
    }
    CYCLES.fetch_add(1, Ordering::Relaxed);
    let microseconds = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    MICROSECONDS.fetch_add(microseconds, Ordering::Relaxed);
}

fn collect(stacks: &[Stack]) -> std::io::Result<usize> {
    // What comes into being from here on is the collector's own.
    let mut memory = Memory::look()?;
    memory.leave_out(&space().addresses());
    let mut marker = Marker::new()?;
    clear_marks();
    for stack in stacks {
        memory.leave_out(&stack.whole);
        marker.stack(stack.used.clone());
    }
    memory.each(|words| marker.words(words))?;
    marker.kept();
    drop(marker);
    Ok(sweep())
}

/// How many references are on their way at a time.
const AHEAD: usize = 16;

fn clear_marks() {
    let granules = space().granules();
    let table = |granule: usize| space().marks() + granule * GRANULE / BYTES_A_WORD * 8;
    space::give_back(table(granules.start), table(granules.end) - table(granules.start));
}

/// Finds what is referred to.
pub(super) struct Marker {
    starts: Table,
    marks: Table,
    code: Table,
    /// The bits above an offset, of addresses in the space and of closures.
    addresses: u64,
    closures: Range<u64>,
    /// References that were not followed yet: what is known of them comes from memory meanwhile.
    ahead: [Reference; AHEAD],
    next: usize,
    /// Objects that were found but not looked through.
    open: Pile,
}

#[derive(Clone, Copy, Default)]
struct Reference {
    /// The offset of an object or of something in it.
    to: usize,
    /// That of the word of another object which leads there and may be changed, or zero.
    holder: usize,
}

/// Where this bit is set an object must start, or it was no reference.
const TO_START: usize = 1;
/// That object must be a frame.
const TO_FRAME: usize = 2 | TO_START;

/// A table with a bit for each word.
#[derive(Clone, Copy)]
struct Table(NonNull<u64>);

impl Table {
    fn at(address: usize) -> Table {
        // SAFETY: tables are in the space, where nothing has the address zero.
        Table(unsafe { NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(address)) })
    }

    #[inline(always)]
    fn word(self, index: usize) -> u64 {
        // SAFETY: `index` is that of a granule that was taken, for which the table can be read.
        unsafe { self.0.add(index).read() }
    }

    #[inline(always)]
    fn has(self, offset: usize) -> bool {
        self.word(offset / BYTES_A_WORD) >> (offset / 8 % 64) & 1 == 1
    }

    #[inline(always)]
    fn prefetch(self, offset: usize) {
        prefetch(self.0.as_ptr().addr() + offset / BYTES_A_WORD * 8);
    }

    fn set(self, from: usize, to: usize) {
        self.change(from, to, |word, mask| word | mask);
    }

    fn clear(self, from: usize, to: usize) {
        self.change(from, to, |word, mask| word & !mask);
    }

    #[inline(always)]
    fn change(self, from: usize, to: usize, change: impl Fn(u64, u64) -> u64) {
        let (mut index, last) = (from / BYTES_A_WORD, (to - 8) / BYTES_A_WORD);
        let mut mask = !0 << (from / 8 % 64);
        while index <= last {
            if index == last {
                mask &= !0 >> (63 - (to - 8) / 8 % 64);
            }
            // SAFETY: as for `word`; who changes a table has the granule for itself, or all others wait.
            unsafe {
                let word = self.0.add(index);
                word.write(change(word.read(), mask));
            }
            mask = !0;
            index += 1;
        }
    }

    /// The next offset from which on a bit is as wanted.
    #[inline(always)]
    fn next(self, from: usize, limit: usize, is_set: bool) -> usize {
        if from >= limit {
            return limit;
        }
        let flip = if is_set { 0 } else { !0 };
        let mut index = from / BYTES_A_WORD;
        let mut bits = (self.word(index) ^ flip) & !0 << (from / 8 % 64);
        loop {
            if bits != 0 {
                return (index * BYTES_A_WORD + bits.trailing_zeros() as usize * 8).min(limit);
            }
            index += 1;
            if index * BYTES_A_WORD >= limit {
                return limit;
            }
            bits = self.word(index) ^ flip;
        }
    }

    /// The last offset, up to this one, whose bit is set.
    #[inline(always)]
    fn last(self, from: usize, limit: usize) -> Option<usize> {
        let mut index = from / BYTES_A_WORD;
        let mut bits = self.word(index) & !0 >> (63 - from / 8 % 64);
        while bits == 0 {
            if index * BYTES_A_WORD <= limit {
                return None;
            }
            index -= 1;
            bits = self.word(index);
        }
        Some(index * BYTES_A_WORD + (63 - bits.leading_zeros() as usize) * 8)
    }
}

impl Marker {
    pub(super) fn new() -> std::io::Result<Marker> {
        Ok(Marker {
            starts: Table::at(space().starts()),
            marks: Table::at(space().marks()),
            code: Table::at(space().code_starts()),
            addresses: base() as u64 >> OFFSET_BITS,
            closures: FIRST_NUMBER..space().code_numbers_end(),
            ahead: [Reference::default(); AHEAD],
            next: 0,
            open: Pile::new()?,
        })
    }

    /// A stack. Compiled loops may hold the end of what they go through instead of its beginning.
    fn stack(&mut self, stack: Range<usize>) {
        for address in (stack.start.next_multiple_of(8)..stack.end - 7).step_by(8) {
            // SAFETY: stacks of threads that wait, and this one's, can be read up to their ends.
            let word = unsafe { std::ptr::with_exposed_provenance::<u64>(address).read_volatile() };
            self.word(word);
            if word >> OFFSET_BITS == self.addresses {
                self.word((word & !LOW_BITS).wrapping_sub(8));
            }
        }
        self.finish();
    }

    /// Memory of the process. There are values, places of values, and slices of strings, but also texts and pairs of
    /// numbers, which look like closures most easily.
    fn words(&mut self, words: &[u64]) {
        for &word in words {
            self.word_elsewhere(word, true);
        }
        self.finish();
    }

    /// What stays for ever. There are values, and no others without a tag than those of variables outside of everything,
    /// which the process's memory has as well; but there are pairs of names and positions.
    fn kept(&mut self) {
        for granule in space().granules().filter(|granule| space::kind_of(*granule) == Kind::Kept) {
            let words = std::ptr::with_exposed_provenance::<u64>(base() + granule * GRANULE);
            for index in 0..GRANULE / 8 {
                // SAFETY: granules that were taken can be read.
                self.word_elsewhere(unsafe { words.add(index).read() }, false);
            }
            self.finish();
        }
    }

    #[inline(always)]
    fn word_elsewhere(&mut self, word: u64, has_places: bool) {
        let high = word >> OFFSET_BITS;
        let offset = (word & OFFSET_MASK) as usize;
        if high == self.addresses {
            match (space::kind_of(offset / GRANULE), word & LOW_BITS) {
                (Kind::Bytes | Kind::LargeBytes | Kind::LargeRest, _) => self.note(offset, 0),
                (_, 0) if has_places => self.note(offset, 0),
                // What has a tag is the beginning of an object: sets, lists, boxes, and where attributes were written.
                (_, 1 | 2 | 4 | 5) => self.note(offset | TO_START, 0),
                _ => {}
            }
        } else if self.is_numbered(word) {
            self.note(offset | TO_START, 0);
        } else if self.closures.contains(&high) && word & LOW_BITS == LAMBDA && self.is_closure(word) {
            self.note(offset | TO_FRAME, 0);
        }
    }

    /// An object, where nothing but values has the form of a value. Addresses without a tag are those of the frame around
    /// a frame, or the place of a value that was copied from there before it was computed.
    #[inline(always)]
    fn object(&mut self, from: usize, to: usize) {
        for offset in (from..to).step_by(8) {
            // SAFETY: granules that were taken can be read.
            let word = unsafe { std::ptr::with_exposed_provenance::<u64>(base() + offset).read() };
            let has_tag = word & LOW_BITS != 0;
            self.reference(word, if has_tag { 0 } else { offset });
        }
    }

    /// A word that is what it looks like.
    #[inline(always)]
    pub(super) fn reference(&mut self, word: u64, holder: usize) {
        let high = word >> OFFSET_BITS;
        if high == self.addresses {
            self.note((word & OFFSET_MASK) as usize, holder);
        } else if self.is_numbered(word)
            || self.closures.contains(&high) && matches!(word & LOW_BITS, 0 | LAMBDA)
        {
            self.note((word & OFFSET_MASK) as usize, 0);
        }
    }

    /// Marks a part of the space whatever refers to it.
    pub(super) fn mark(&self, part: Range<usize>) {
        if !part.is_empty() {
            self.marks.set(part.start, part.end);
        }
    }

    /// Looks through what is marked of a part of the space.
    pub(super) fn marked(&mut self, part: Range<usize>) {
        let mut start = part.start;
        while start < part.end {
            start = self.marks.next(start, part.end, true);
            let end = self.marks.next(start, part.end, false);
            self.object(start, end);
            start = end;
        }
        self.finish();
    }

    /// Looks through what was found.
    pub(super) fn finish(&mut self) {
        // What is followed may come with references of its own.
        while !self.open.is_empty() || self.ahead.iter().any(|reference| reference.to != 0) {
            while let Some((from, to)) = self.open.pop() {
                self.object(from, to);
            }
            for index in 0..AHEAD {
                let reference = std::mem::take(&mut self.ahead[index]);
                self.follow(reference);
            }
        }
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        let high = word >> OFFSET_BITS;
        if high == self.addresses {
            self.note((word & OFFSET_MASK) as usize, 0);
        } else if self.is_numbered(word) {
            self.note((word & OFFSET_MASK) as usize | TO_START, 0);
        } else if self.closures.contains(&high) && self.is_closure(word) {
            let is_numbered = high - FIRST_NUMBER < NUMBERS;
            self.note((word & OFFSET_MASK) as usize | if is_numbered { TO_START } else { TO_FRAME }, 0);
        }
    }

    /// Whether it is a list or a set with a number.
    #[inline(always)]
    fn is_numbered(&self, word: u64) -> bool {
        word << NUMBER_BITS >> NUMBER_BITS >> OFFSET_BITS == self.addresses && is_list_or_set(word)
    }

    /// Whether a word that has the size of a closure is one, as far as its code and its tag go.
    fn is_closure(&self, word: u64) -> bool {
        let number = word >> OFFSET_BITS;
        let place = (number << 3) as usize;
        match word & LOW_BITS {
            LAMBDA => self.code.has(place) && self.code.has(place + 8),
            0 => number - FIRST_NUMBER < NUMBERS || self.code.has(place),
            _ => false,
        }
    }

    #[inline(always)]
    fn note(&mut self, to: usize, holder: usize) {
        if space::kind_of(to / GRANULE).is_collected() {
            self.marks.prefetch(to);
            self.starts.prefetch(to);
            if holder != 0 {
                prefetch(base() + to);
            }
            let other = std::mem::replace(&mut self.ahead[self.next % AHEAD], Reference { to, holder });
            self.next = self.next.wrapping_add(1);
            self.follow(other);
        }
    }

    /// Marks the object that a reference leads to; nothing is at the offset zero.
    #[inline(always)]
    fn follow(&mut self, reference: Reference) {
        let offset = reference.to & !TO_FRAME;
        if offset == 0 || reference.holder != 0 && self.shorten(reference) {
            return;
        }
        if self.marks.has(offset) || reference.to & TO_START != 0 && !self.starts.has(offset) {
            return;
        }
        if reference.to & TO_FRAME == TO_FRAME && !self.is_frame(offset) {
            return;
        }
        let granule = offset / GRANULE;
        let kind = space::kind_of(granule);
        let object = match kind {
            Kind::Objects | Kind::Bytes => {
                let Some(start) = self.starts.last(offset, granule * GRANULE) else { return };
                start..self.starts.next(start + 8, (granule + 1) * GRANULE, true)
            }
            _ => space::large_object(granule),
        };
        self.marks.set(object.start, object.end);
        if space::kind_of(object.start / GRANULE).refers_to_others() {
            prefetch(base() + object.start);
            self.open.push(object.start, object.end);
        }
    }

    /// Whether an object begins as a frame does: with the address of another, or zero, and perhaps the mark of local ones.
    #[cold]
    fn is_frame(&self, offset: usize) -> bool {
        // SAFETY: granules that were taken can be read.
        let up = unsafe { std::ptr::with_exposed_provenance::<u64>(base() + offset).read() };
        let up = up & !LOCAL;
        up == 0 || up >> OFFSET_BITS == self.addresses && up & LOW_BITS == 0
    }

    /// Where a value was copied before it was computed and is computed by now, puts the value itself in, so that
    /// what it was computed in is not kept. A frame that a word without a tag leads to has escaped: it begins with another
    /// frame's address, and so is never taken for a value.
    #[inline(always)]
    fn shorten(&mut self, reference: Reference) -> bool {
        let at = |offset: usize| std::ptr::with_exposed_provenance_mut::<u64>(base() + offset);
        // SAFETY: both are words of granules that were taken, and all others wait.
        let value = unsafe { at(reference.to).read() };
        if value & LOW_BITS == 0 || !space::kind_of(reference.to / GRANULE).has_places() {
            return false;
        }
        // SAFETY: as above.
        unsafe { at(reference.holder).write(value) };
        self.word(value);
        true
    }
}

/// Says which granules have room, and how many bytes have not.
pub(super) fn sweep() -> usize {
    let marks = Table::at(space().marks());
    let granules = space().granules();
    let mut pool = space().pool();
    recent::note_collection(pool.count());
    pool.with_holes.iter_mut().for_each(Vec::clear);
    let mut live = 0;
    let mut granule = granules.start;
    while granule < granules.end {
        let (kind, this) = (space::kind_of(granule), granule);
        granule += 1;
        match kind {
            Kind::LargeObject | Kind::LargeBytes => {
                let object = space::large_object(this);
                granule = object.end / GRANULE;
                if marks.has(object.start) {
                    live += object.len();
                    continue;
                }
                space::give_back(base() + object.start, object.len());
                for free in this..granule {
                    space::set_kind(free, Kind::Free);
                    pool.free.push(free as u32);
                }
            }
            Kind::Objects | Kind::Bytes => {
                let first = this * GRANULE / BYTES_A_WORD;
                let words = first..first + GRANULE / BYTES_A_WORD;
                let used = words.map(|index| marks.word(index).count_ones() as usize * 8).sum::<usize>();
                live += used;
                if space::is_owned(this) {
                    // What is still to come in it is younger than this collection.
                    pool.note(this);
                    continue;
                }
                if is_strict() {
                    spoil(marks, this);
                }
                if used == 0 {
                    space::set_kind(this, Kind::Free);
                    pool.free.push(this as u32);
                } else if used < GRANULE / 8 * 7 || is_strict() {
                    pool.with_holes[usize::from(kind == Kind::Bytes)].push(this as u32);
                }
            }
            _ => {}
        }
    }
    pool.free.sort_unstable_by(|low, high| high.cmp(low));
    pool.with_holes.iter_mut().for_each(|granules| granules.reverse());
    live
}

/// Overwrites what is free with something that no value looks like, and that nobody can use.
fn spoil(marks: Table, granule: usize) {
    for offset in (granule * GRANULE..(granule + 1) * GRANULE).step_by(8) {
        if !marks.has(offset) {
            let place = std::ptr::with_exposed_provenance_mut::<u64>(base() + offset);
            // SAFETY: no heap allocates in the granule, and nothing refers to this part of it.
            unsafe { place.write(0x0bad_0bad_0bad_0bad) };
        }
    }
}

/// Says that code starts at an address. That of a function has two bits.
pub(super) fn note_code(address: usize, is_function: bool) {
    let place = address - base();
    Table::at(space().code_starts()).set(place, place + if is_function { 16 } else { 8 });
}

/// Lets the object before an address end there, instead of where the next one starts.
pub(super) fn end_object(address: usize) {
    let offset = address - base();
    Table::at(space().starts()).set(offset, offset + 8);
}

/// The next place between objects, of so many words, as addresses. It is zero then.
pub(super) fn next_hole(from: usize, limit: usize, words: usize) -> Option<Range<usize>> {
    let (marks, starts) = (Table::at(space().marks()), Table::at(space().starts()));
    let (mut at, end) = (from - base(), limit - base());
    while at < end {
        let start = marks.next(at, end, false);
        if start >= end {
            return None;
        }
        at = marks.next(start, end, true);
        // What is passed over is cleared as well: nobody must take it for objects later.
        starts.clear(start, at);
        let place = std::ptr::with_exposed_provenance_mut::<u8>(base() + start);
        // SAFETY: the granule belongs to the heap that asks, and nothing refers to this part of it.
        unsafe { place.write_bytes(0, at - start) };
        if at - start >= words * 8 {
            return Some(base() + start..base() + at);
        }
    }
    None
}
