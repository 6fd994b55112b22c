//! Where values live: a bump arena per evaluator.
//!
//! Nothing is freed. A value is a plain word that may be copied anywhere, so an object must stay where it is
//! for as long as the process runs. All allocation of values goes through [`Heap`], so that a collector can
//! be put behind it later.
//!
//! All arenas take their memory from one range of addresses, the [`Space`], whose start is a multiple of its
//! size. An object is therefore known by 33 bits, and code, which has the beginning of the range for itself, by
//! 28: the two fit into one word, which is all that a thunk or a function is (see [`Closure`]).

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use nival_syntax::Keep;

const FIRST_CHUNK: usize = 4 << 20;
const LARGEST_CHUNK: usize = 256 << 20;
/// So much is made ready for use at a time: one call is quicker than a page fault for each page.
const STEP: usize = 512 << 10;
const CODE_CHUNK: usize = 64 << 10;

/// How much address space values can take.
const SPACE: usize = 1 << OFFSET_BITS;
/// Bits of an object's place in the space.
const OFFSET_BITS: u32 = 36;
/// What of the space is for code. Its places are multiples of eight, so that 28 bits can name one.
const CODE_SPACE: usize = 1 << (28 + 3);
/// Where code begins: what is below is left free, for words that must not look like code.
const FIRST_CODE: usize = (CLOSURES_FROM >> OFFSET_BITS << 3) as usize + (16 << 3);
/// Closures are larger numbers than this, and addresses are smaller.
pub(crate) const CLOSURES_FROM: u64 = 1 << 48;
/// The low bits of a closure are zero: they are free for a tag.
const LOW_BITS: u64 = 7;

/// The range of addresses that everything is in.
struct Space {
    /// What was not taken yet, of the parts for code and for all else.
    code: Part,
    objects: Part,
}

struct Part {
    next: AtomicUsize,
    end: usize,
}

static ALL: LazyLock<Space> = LazyLock::new(Space::reserve);
/// The same as in [`ALL`], quicker to get at: set before anything is in the space.
static BASE: AtomicUsize = AtomicUsize::new(0);

/// Where the space begins.
#[inline(always)]
pub(crate) fn base() -> usize {
    BASE.load(Ordering::Relaxed)
}

impl Space {
    fn reserve() -> Space {
        // Where there is a limit on addresses less must do. Places like these are free on all usual systems.
        let sizes = [SPACE, SPACE >> 2, SPACE >> 4];
        let places = (1..256).map(|place| place * SPACE).step_by(15);
        let found = sizes.into_iter().find_map(|size| {
            let mut places = places.clone();
            places.find_map(|place| reserve(place, size)).map(|base| (base, size))
        });
        let (base, size) = found.unwrap_or_else(|| out_of_memory(SPACE >> 4));
        BASE.store(base, Ordering::Relaxed);
        Space {
            code: Part { next: AtomicUsize::new(base + FIRST_CODE), end: base + CODE_SPACE.min(size / 8) },
            objects: Part { next: AtomicUsize::new(base + CODE_SPACE.min(size / 8)), end: base + size },
        }
    }
}

impl Part {
    /// A piece of the range, of whole pages but where the range begins in the middle of one.
    fn take(&self, bytes: usize) -> (usize, usize) {
        let bytes = bytes.next_multiple_of(PAGE);
        let start = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            let end = (next & !(PAGE - 1)).checked_add(bytes)?;
            (end <= self.end).then_some(end)
        });
        let start = start.unwrap_or_else(|_| out_of_memory(bytes));
        let page = start & !(PAGE - 1);
        allow(page, bytes);
        (start, page + bytes)
    }
}

/// No system that this runs on has larger pages.
const PAGE: usize = 64 << 10;

/// A bump arena of zeroed words. One thread allocates; any thread may read what was published to it.
pub(crate) struct Heap {
    cursor: Cell<usize>,
    end: Cell<usize>,
    chunk_end: Cell<usize>,
    next_chunk: Cell<usize>,
    mapped: Cell<usize>,
    code_cursor: Cell<usize>,
    code_end: Cell<usize>,
}

impl Heap {
    pub(crate) fn new() -> Heap {
        LazyLock::force(&ALL);
        Heap {
            cursor: Cell::new(0),
            end: Cell::new(0),
            chunk_end: Cell::new(0),
            next_chunk: Cell::new(FIRST_CHUNK),
            mapped: Cell::new(0),
            code_cursor: Cell::new(0),
            code_end: Cell::new(0),
        }
    }

    /// `count` zeroed words that are never freed or moved.
    #[inline(always)]
    pub(crate) fn words(&self, count: usize) -> NonNull<u64> {
        let start = self.cursor.get();
        let bytes = count * 8;
        if bytes <= self.end.get() - start {
            self.cursor.set(start + bytes);
            // SAFETY: `start` lies inside the current chunk, so it is not null.
            return unsafe { NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(start)) };
        }
        self.words_from_new_chunk(count)
    }

    #[cold]
    #[inline(never)]
    fn words_from_new_chunk(&self, count: usize) -> NonNull<u64> {
        let bytes = count * 8;
        if bytes > STEP / 2 {
            self.mapped.set(self.mapped.get() + bytes);
            let (start, _) = ALL.objects.take(bytes);
            // SAFETY: nothing in the space has the address zero.
            return unsafe { NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(start)) };
        }
        if self.end.get() == self.chunk_end.get() {
            let size = self.next_chunk.get();
            let (chunk, end) = ALL.objects.take(size);
            self.cursor.set(chunk);
            self.end.set(chunk);
            self.chunk_end.set(end);
            self.next_chunk.set((size * 4).min(LARGEST_CHUNK));
        }
        // What is left of the step before is lost only where the chunk changes: steps follow each other.
        let step = STEP.min(self.chunk_end.get() - self.end.get());
        commit(self.end.get(), step);
        self.end.set(self.end.get() + step);
        self.mapped.set(self.mapped.get() + step);
        self.words(count)
    }

    /// Puts something on the heap, where it stays. It is never dropped.
    pub(crate) fn keep<T>(&self, thing: T) -> NonNull<T> {
        const { assert!(align_of::<T>() <= 8 && size_of::<T>() > 0) };
        let place = self.words(size_of::<T>().div_ceil(8)).cast::<T>();
        // SAFETY: the place is fresh, large enough and aligned to words.
        unsafe { place.write(thing) };
        place
    }

    /// Puts entries on the heap, where they stay. They are never dropped.
    fn keep_slice<T: Copy>(&self, entries: &[T]) -> &'static [T] {
        const { assert!(align_of::<T>() <= 8 && size_of::<T>() > 0) };
        let place = self.words(size_of_val(entries).div_ceil(8)).cast::<T>();
        // SAFETY: the place is fresh, large enough and aligned to words.
        unsafe {
            place.copy_from_nonoverlapping(NonNull::from(entries).cast(), entries.len());
            NonNull::slice_from_raw_parts(place, entries.len()).as_ref()
        }
    }

    /// The same in the part of the space that is for code.
    pub(crate) fn keep_code<T>(&self, thing: T) -> NonNull<T> {
        const { assert!(align_of::<T>() == 8 && size_of::<T>() < CODE_CHUNK) };
        if self.code_end.get() - self.code_cursor.get() < size_of::<T>() {
            let (start, end) = ALL.code.take(CODE_CHUNK);
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

    /// Bytes handed out so far.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.mapped.get() - (self.end.get() - self.cursor.get())
    }
}

impl Keep for Heap {
    fn keep_table<T: Copy + 'static>(&self, table: &mut Vec<T>) -> &'static [T] {
        if size_of_val(&**table) > STEP / 2 {
            return std::mem::take(table).leak();
        }
        let kept = self.keep_slice(table);
        table.clear();
        kept
    }
}

/// Code and what it runs in, in one word.
///
/// Instead of code there can be a number from 0 to 15.
#[derive(Clone, Copy)]
pub(crate) struct Closure(u64);

const FIRST_NUMBER: u64 = CLOSURES_FROM >> OFFSET_BITS;
const OFFSET_MASK: u64 = ((1 << OFFSET_BITS) - 1) & !LOW_BITS;

impl Closure {
    /// Of code that [`Heap::keep_code`] keeps and the address of an object in the space, or zero.
    #[inline(always)]
    pub(crate) fn new<T>(code: &'static T, object: u64) -> Closure {
        let place = (std::ptr::from_ref(code).expose_provenance() - base()) as u64;
        debug_assert!((FIRST_CODE as u64..CODE_SPACE as u64).contains(&place), "code is kept as code");
        Closure(place << (OFFSET_BITS - 3) | object & OFFSET_MASK)
    }

    #[inline(always)]
    pub(crate) fn numbered(number: u64, object: u64) -> Closure {
        debug_assert!(number < 16);
        Closure((FIRST_NUMBER + number) << OFFSET_BITS | object & OFFSET_MASK)
    }

    /// The number that is there instead of code.
    #[inline(always)]
    pub(crate) fn number(self) -> Option<u64> {
        let number = (self.0 >> OFFSET_BITS) - FIRST_NUMBER;
        (number < 16).then_some(number)
    }

    /// The code.
    ///
    /// # Safety
    /// It must have been made of code of this type.
    #[inline(always)]
    pub(crate) unsafe fn code<T>(self) -> &'static T {
        let place = (self.0 >> OFFSET_BITS << 3) as usize;
        // SAFETY: as the caller vouches; what is kept as code stays.
        unsafe { &*std::ptr::with_exposed_provenance(base() + place) }
    }

    /// The address of the object, or zero.
    #[inline(always)]
    pub(crate) fn object(self) -> u64 {
        let offset = self.0 & OFFSET_MASK;
        if offset == 0 { 0 } else { base() as u64 + offset }
    }

    #[inline(always)]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// # Safety
    /// But for the lowest three, the bits must come from [`Closure::to_bits`].
    #[inline(always)]
    pub(crate) unsafe fn from_bits(bits: u64) -> Closure {
        Closure(bits & !LOW_BITS)
    }
}

/// Address space at a place, if it is free there. It takes no memory, and can't be used yet.
fn reserve(place: usize, size: usize) -> Option<usize> {
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    let wanted = std::ptr::without_provenance_mut(place);
    // SAFETY: a new anonymous mapping; the place is only a wish.
    let start = unsafe { rustix::mm::mmap_anonymous(wanted, size, ProtFlags::empty(), flags) }.ok()?;
    if start.addr() == place {
        return Some(start.expose_provenance());
    }
    // SAFETY: nobody else knows of the mapping that was just made.
    let _ = unsafe { rustix::mm::munmap(start, size) };
    None
}

/// Lets a piece of the space be read and written. It is zero.
fn allow(start: usize, bytes: usize) {
    let access = MprotectFlags::READ | MprotectFlags::WRITE;
    // SAFETY: the pages belong to the space and were not in use.
    let done = unsafe { rustix::mm::mprotect(std::ptr::with_exposed_provenance_mut(start), bytes, access) };
    done.unwrap_or_else(|_| out_of_memory(bytes));
}

/// Makes pages ready for writing. Huge pages would save more still, but clearing them was measured to take
/// twice as long on a virtual machine.
fn commit(start: usize, bytes: usize) {
    let start = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: the pages belong to a piece of this heap, and what is in them does not change. Systems that
    // don't know the advice refuse it, and pages then come as they are touched.
    let _ = unsafe { rustix::mm::madvise(start, bytes, Advice::LinuxPopulateWrite) };
}

#[cold]
fn out_of_memory(bytes: usize) -> ! {
    match std::alloc::Layout::array::<u8>(bytes) {
        Ok(layout) => std::alloc::handle_alloc_error(layout),
        Err(_) => std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>()),
    }
}
