//! Where values live: a bump arena per evaluator, with a collector of garbage behind it.
//!
//! A value is a plain word that may be copied anywhere, so an object stays where it is for as long as anything
//! refers to it. All allocation of values goes through [`Heap`]. What is kept (code, trees) stays until the
//! process ends; objects may be freed, but not before a good deal was allocated (see [`collect`]).
//!
//! All arenas take their memory from one range of addresses, the [`space`], whose start is a multiple of its
//! size. An object is therefore known by 33 bits, and code, which has the beginning of the range for itself, by
//! 28: the two fit into one word, which is all that a thunk or a function is (see [`Closure`]).

mod closure;
mod collect;
mod given_back;
mod pile;
mod recent;
mod roots;
mod sighted;
mod space;
mod wipe;
mod world;

use std::cell::Cell;
use std::ptr::NonNull;

use nival_syntax::Keep;

use crate::stack;

pub(crate) use closure::{CLOSURES_FROM, Closure};
pub use collect::{Collection, Statistics};
pub(crate) use collect::{collections, configure, jobs_from, made, statistics};
pub(crate) use given_back::era;
pub(crate) use sighted::Sighted;
use space::{BYTES_A_WORD, GRANULE, Kind, base, space};
pub use wipe::Wiping;
pub(crate) use wipe::keeps_clean;
use world::is_stopping;

/// So much is made ready for use at a time, at first and at most: one call is quicker than a page fault for each page.
const FIRST_STEP: usize = 32 << 10;
const LARGEST_STEP: usize = 256 << 10;
/// In between it is this part of what was: the last piece is mostly not used up.
const STEP_PART: usize = 16;
/// So much of the stack is cleared each time when garbage is collected.
const CLEARED: usize = 32 << 10;
/// No object starts at the beginning of a granule: the end of the one before is often met as an address, and would keep it.
const LEFT_FREE: usize = 8;
/// So much room is taken for code at a time, but for the first time: there may be many evaluators with little.
const CODE_CHUNK: usize = 512 << 10;
const FIRST_CODE_CHUNK: usize = 64 << 10;

/// Larger objects are not looked for a place among others: many small places would be passed over for one.
const LARGEST_IN_HOLES: usize = 32;
/// Smaller places between objects are left, in words.
const SMALLEST_HOLE: usize = 4;

/// Arenas of zeroed words. One thread allocates; any thread may read what was published to it.
pub(crate) struct Heap {
    objects: Stream,
    bytes: Stream,
    kept: Stream,
    tables: Stream,
    roots: Stream,
    /// What is too large for the places between objects.
    large_objects: Stream,
    large_bytes: Stream,
    /// Where the table of first words would begin if it had a bit for the address zero.
    starts: usize,
    code_cursor: Cell<usize>,
    code_end: Cell<usize>,
    handed_out: Cell<usize>,
}

/// Where one kind of thing is allocated.
struct Stream {
    kind: Kind,
    /// Whether it takes granules that have something in them.
    takes_holes: bool,
    cursor: Cell<usize>,
    end: Cell<usize>,
    /// The end of the granule.
    limit: Cell<usize>,
    /// Whether the granule was used before: then what is between objects is cleared and taken.
    is_used: Cell<bool>,
    /// How much was made ready so far.
    ready: Cell<usize>,
}

impl Heap {
    pub(crate) fn new() -> Heap {
        let starts = space().starts();
        world::join();
        Heap {
            objects: Stream::new(Kind::Objects, true),
            bytes: Stream::new(Kind::Bytes, true),
            kept: Stream::new(Kind::Kept, false),
            tables: Stream::new(Kind::Tables, false),
            roots: Stream::new(Kind::Roots, false),
            large_objects: Stream::new(Kind::Objects, false),
            large_bytes: Stream::new(Kind::Bytes, false),
            starts: starts - base() / BYTES_A_WORD * 8,
            code_cursor: Cell::new(0),
            code_end: Cell::new(0),
            handed_out: Cell::new(0),
        }
    }

    /// `count` zeroed words of an object, which stays as long as anything refers to it.
    #[inline(always)]
    pub(crate) fn words(&self, count: usize) -> NonNull<u64> {
        self.object(&self.objects, count)
    }

    /// The same for an object that never refers to others, as the bytes of a string.
    #[inline(always)]
    pub(crate) fn bytes(&self, count: usize) -> NonNull<u64> {
        self.object(&self.bytes, count)
    }

    #[inline(always)]
    fn object(&self, stream: &Stream, count: usize) -> NonNull<u64> {
        let start = self.take(stream, count);
        let place = self.starts + start / BYTES_A_WORD * 8;
        let bit = 1 << (start / 8 % 64);
        // SAFETY: the table has a word for each granule that was taken, and only the heap that took it writes
        // there. Nothing in the space has the address zero.
        unsafe {
            *std::ptr::with_exposed_provenance_mut::<u64>(place) |= bit;
            NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(start))
        }
    }

    /// The same as [`Heap::words`], for what is mostly given back: if one of this size was, in its place, with what is in it
    /// but for the first word.
    #[inline(always)]
    pub(crate) fn words_again(&self, count: usize) -> NonNull<u64> {
        given_back::take(count).unwrap_or_else(|| self.words(count))
    }

    /// Takes back an object of so many words to which nothing refers any more.
    #[inline(always)]
    pub(crate) fn take_back(&self, object: NonNull<u64>, count: usize) {
        if !given_back::put(object, count) {
            self.take_back_from(&self.objects, object, count);
        }
    }

    /// Takes back an object of [`Heap::bytes`], which nobody else has seen, if it came last.
    #[inline]
    pub(crate) fn take_back_bytes(&self, object: NonNull<u64>, count: usize) -> bool {
        self.take_back_from(&self.bytes, object, count)
    }

    #[inline(always)]
    fn take_back_from(&self, stream: &Stream, object: NonNull<u64>, count: usize) -> bool {
        let start = object.as_ptr().addr();
        let is_last = stream.cursor.get() == start + count * 8;
        if is_last {
            let place = self.starts + start / BYTES_A_WORD * 8;
            // SAFETY: this heap has allocated the object, and it is the last in its piece of memory: see `take_slowly`.
            unsafe {
                *std::ptr::with_exposed_provenance_mut::<u64>(place) &= !(1 << (start / 8 % 64));
                object.as_ptr().write_bytes(0, count);
            }
            stream.cursor.set(start);
        }
        is_last
    }

    /// Makes an object of [`Heap::bytes`] longer by so many words, if it came last and they are there.
    #[inline]
    pub(crate) fn lengthen(&self, object: NonNull<u64>, count: usize, more: usize) -> bool {
        let end = object.as_ptr().addr() + count * 8;
        let is_last = self.bytes.cursor.get() == end;
        let fits = is_last && self.bytes.end.get() - end >= more * 8;
        if fits {
            self.bytes.cursor.set(end + more * 8);
        }
        fits
    }

    #[inline(always)]
    fn take(&self, stream: &Stream, count: usize) -> usize {
        let start = stream.cursor.get();
        let bytes = count * 8;
        if bytes <= stream.end.get() - start {
            stream.cursor.set(start + bytes);
            return start;
        }
        self.take_slowly(stream, count)
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(&self, stream: &Stream, count: usize) -> usize {
        if collect::is_due() {
            self.leave();
            collect::run();
        }
        if keeps_clean() {
            // What comes next would else find old references where it has not written yet.
            stack::clear_below(CLEARED);
        }
        let bytes = count * 8;
        if bytes > GRANULE / 2 {
            self.count(bytes);
            return space().take_large(stream.kind, bytes);
        }
        if stream.is_used.get() && stream.takes_holes && count > LARGEST_IN_HOLES {
            let other = if stream.kind == Kind::Bytes { &self.large_bytes } else { &self.large_objects };
            return self.take(other, count);
        }
        loop {
            if let Some(gained) = stream.extend(count) {
                self.count(gained);
                return self.take(stream, count);
            }
            stream.next_granule();
        }
    }

    /// Waits as long as another thread collects garbage.
    #[inline]
    pub(crate) fn pause(&self) {
        if is_stopping() {
            self.leave();
            world::pause();
        }
    }

    /// Gives up what is being filled: the places where it is would look like references to what comes after them.
    fn leave(&self) {
        let leave = |heap: &Heap| heap.collected_streams().into_iter().for_each(Stream::leave);
        leave(self);
        given_back::forget();
        crate::value::with_flat_forms(leave);
    }

    fn count(&self, bytes: usize) {
        self.handed_out.set(self.handed_out.get() + bytes);
        collect::note(bytes);
    }

    /// Puts something on the heap, where it stays as long as anything refers to it. It is never dropped.
    pub(crate) fn put<T>(&self, thing: T) -> NonNull<T> {
        const { assert!(align_of::<T>() <= 8 && size_of::<T>() > 0) };
        let place = self.words(size_of::<T>().div_ceil(8)).cast::<T>();
        // SAFETY: the place is fresh, large enough and aligned to words.
        unsafe { place.write(thing) };
        place
    }

    fn keep_in<T>(&self, stream: &Stream, count: usize) -> NonNull<T> {
        const { assert!(align_of::<T>() <= 8 && size_of::<T>() > 0) };
        let start = self.take(stream, (count * size_of::<T>()).div_ceil(8));
        // SAFETY: nothing in the space has the address zero.
        unsafe { NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(start)) }
    }

    /// Lets an object stay whose address is in a word, with a tag: code is about to hold it.
    pub(crate) fn root(&self, reference: u64) {
        let place = self.keep_in::<u64>(&self.roots, 1);
        // SAFETY: the place is fresh.
        unsafe { place.write(reference) };
    }

    /// Puts something on the heap, where it stays. It is never dropped. The collector of all garbage keeps what it refers to,
    /// that after a job only what has a [`Heap::root`] as well.
    pub(crate) fn keep<T>(&self, thing: T) -> NonNull<T> {
        let place = self.keep_in::<T>(&self.kept, 1);
        // SAFETY: the place is fresh, large enough and aligned to words.
        unsafe { place.write(thing) };
        place
    }

    /// As [`Heap::keep`], with entries right behind it (see [`behind`]).
    pub(crate) fn keep_before<T, E: Copy>(&self, thing: T, entries: &[E]) -> &'static T {
        const { assert!(align_of::<T>() <= 8 && align_of::<E>() <= align_of::<T>()) };
        let words = (size_of::<T>() + size_of_val(entries)).div_ceil(8);
        let place = if words * 8 > GRANULE / 2 {
            NonNull::from(vec![0_u64; words].leak()).cast::<T>()
        } else {
            self.keep_in::<u64>(&self.kept, words).cast::<T>()
        };
        // SAFETY: the place is fresh, large enough for both and aligned to words.
        unsafe {
            place.write(thing);
            place.add(1).cast::<E>().copy_from_nonoverlapping(NonNull::from(entries).cast(), entries.len());
            place.as_ref()
        }
    }

    /// Puts entries that don't refer to objects on the heap, where they stay. They are never dropped.
    fn keep_slice<T: Copy>(&self, entries: &[T]) -> &'static [T] {
        let place = self.keep_in::<T>(&self.tables, entries.len());
        // SAFETY: the place is fresh, large enough and aligned to words.
        unsafe {
            place.copy_from_nonoverlapping(NonNull::from(entries).cast(), entries.len());
            NonNull::slice_from_raw_parts(place, entries.len()).as_ref()
        }
    }

    /// Puts the code of a thunk into the part of the space that is for code, where it stays. It does not refer to objects.
    pub(crate) fn keep_code<T>(&self, thing: T) -> NonNull<T> {
        let place = self.keep_as_code(thing);
        collect::note_code(place.as_ptr().addr(), false);
        place
    }

    /// The same for the code of a function.
    pub(crate) fn keep_function<T>(&self, thing: T) -> NonNull<T> {
        let place = self.keep_as_code(thing);
        collect::note_code(place.as_ptr().addr(), true);
        place
    }

    fn keep_as_code<T>(&self, thing: T) -> NonNull<T> {
        const { assert!(align_of::<T>() == 8 && size_of::<T>() < FIRST_CODE_CHUNK) };
        if self.code_end.get() - self.code_cursor.get() < size_of::<T>() {
            let is_first = self.code_end.get() == 0;
            let (start, end) = space().take_code(if is_first { FIRST_CODE_CHUNK } else { CODE_CHUNK });
            self.code_cursor.set(start);
            self.code_end.set(end);
        }
        let place = self.code_cursor.get();
        self.code_cursor.set(place + size_of::<T>());
        // SAFETY: the place is fresh, large enough, aligned to words as all pieces and sizes are, and not zero.
        unsafe {
            let place = NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut::<T>(place));
            place.write(thing);
            place
        }
    }

    /// Bytes handed out so far, with what is left of the last pieces.
    #[inline(always)]
    pub(crate) fn handed_out(&self) -> usize {
        self.handed_out.get()
    }

    /// Bytes handed out so far.
    pub(crate) fn allocated_bytes(&self) -> usize {
        let rest: usize = self.streams().map(|stream| stream.end.get() - stream.cursor.get()).sum();
        self.handed_out.get() - rest.min(self.handed_out.get())
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        [&self.kept, &self.tables, &self.roots].into_iter().chain(self.collected_streams())
    }

    /// Those with objects that may be freed.
    fn collected_streams(&self) -> [&Stream; 4] {
        [&self.objects, &self.bytes, &self.large_objects, &self.large_bytes]
    }
}

/// The entries behind something that [`Heap::keep_before`] keeps.
///
/// # Safety
/// There must be so many entries of this type.
#[inline(always)]
pub(crate) unsafe fn behind<T, E>(thing: &T, count: usize) -> &[E] {
    let first = std::ptr::from_ref(thing).expose_provenance() + size_of::<T>();
    // SAFETY: as the caller vouches; they are never written again.
    unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(first), count) }
}

impl Drop for Heap {
    fn drop(&mut self) {
        self.streams().for_each(Stream::leave);
    }
}

impl Stream {
    fn new(kind: Kind, takes_holes: bool) -> Stream {
        Stream {
            kind,
            takes_holes,
            cursor: Cell::new(0),
            end: Cell::new(0),
            limit: Cell::new(0),
            is_used: Cell::new(false),
            ready: Cell::new(0),
        }
    }

    /// Makes more of the granule ready, for at least so many words, and says how much.
    fn extend(&self, count: usize) -> Option<usize> {
        let (end, limit) = (self.end.get(), self.limit.get());
        let start = limit.saturating_sub(GRANULE);
        if self.is_used.get() {
            let from = end.max(start + LEFT_FREE);
            let hole = collect::next_hole(from, limit, (count + 1).max(SMALLEST_HOLE))?;
            // What ends where it begins did not come last.
            self.cursor.set(hole.start + LEFT_FREE);
            self.end.set(hole.end);
            return Some(hole.len());
        }
        let left_free = if end == start { LEFT_FREE } else { 0 };
        let (room, wanted) = (limit - self.cursor.get(), count * 8 + left_free);
        if room < wanted {
            return None;
        }
        let missing = wanted - (end - self.cursor.get());
        let ready = self.ready.get();
        let step =
            (ready / STEP_PART).min(LARGEST_STEP).max(missing).next_multiple_of(FIRST_STEP).min(limit - end);
        space::commit(end, step);
        self.ready.set(ready + step);
        self.end.set(end + step);
        self.cursor.set(self.cursor.get() + left_free);
        Some(step)
    }

    fn next_granule(&self) {
        self.leave();
        let granule = space().take(self.kind, self.takes_holes);
        self.cursor.set(granule.start);
        self.end.set(granule.start);
        self.limit.set(granule.start + GRANULE);
        self.is_used.set(!granule.is_fresh);
    }

    fn leave(&self) {
        let limit = self.limit.get();
        if limit != 0 {
            if self.kind.is_collected() && self.cursor.get() < limit {
                collect::end_object(self.cursor.get());
            }
            space::disown(limit - GRANULE, self.cursor.get());
        }
        for place in [&self.cursor, &self.end, &self.limit] {
            place.set(0);
        }
        self.is_used.set(false);
    }
}

impl Keep for Heap {
    fn keep_table<T: Copy + 'static>(&self, table: &mut Vec<T>) -> &'static [T] {
        if size_of_val(&**table) > GRANULE / 2 {
            return std::mem::take(table).leak();
        }
        let kept = self.keep_slice(table);
        table.clear();
        kept
    }
}
