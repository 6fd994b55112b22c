//! The range of addresses that everything is in, and what each part of it is used for.
//!
//! It starts at a multiple of its size: code comes first, then two tables with one bit for each word and one that
//! tells where code starts, then objects. Their part is given out in granules, each of which has one kind of thing in it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use super::closure::FIRST_CODE;

/// How much address space values can take.
const SPACE: usize = 1 << OFFSET_BITS;
/// Bits of an object's place in the space.
pub(super) const OFFSET_BITS: u32 = 36;
/// What of the space is for code. Its places are multiples of eight, so that 28 bits can name one.
pub(super) const CODE_SPACE: usize = 1 << (28 + 3);

/// Where the space is if it can be: the upper halves of such addresses are neither text nor numbers that are often
/// met, so that few words look like addresses and are none. (ThreadSanitizer can't have it there.)
const UNLIKELY: usize = 0x1be << OFFSET_BITS;

/// So much is given to a heap at a time.
pub(super) const GRANULE: usize = 512 << 10;
const GRANULES: usize = SPACE / GRANULE;

const FIRST_CHUNK: usize = 4 << 20;
const LARGEST_CHUNK: usize = 256 << 20;
/// No system that this runs on has larger pages.
const PAGE: usize = 64 << 10;
/// Bytes of objects for which a table has one bit, and one word.
const BYTES_A_BIT: usize = 8;
pub(super) const BYTES_A_WORD: usize = BYTES_A_BIT * 64;

/// What is in a granule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    /// It was never used.
    Untouched,
    /// Nothing any more.
    Free,
    /// Things that stay and may refer to objects.
    Kept,
    /// Things that stay and don't refer to objects.
    Tables,
    /// References to objects that stay since code holds them, one in each word.
    Roots,
    Objects,
    /// Objects that don't refer to others.
    Bytes,
    /// The first granule of one object.
    LargeObject,
    /// The first granule of one object that doesn't refer to others.
    LargeBytes,
    /// Another granule of such an object.
    LargeRest,
}

impl Kind {
    /// Whether there are objects in it that may be freed.
    #[inline(always)]
    pub(super) fn is_collected(self) -> bool {
        self as u8 >= Kind::Objects as u8
    }

    #[inline(always)]
    pub(super) fn refers_to_others(self) -> bool {
        matches!(self, Kind::Objects | Kind::LargeObject | Kind::Kept)
    }

    /// Whether values are in it, in places that may be changed.
    #[inline(always)]
    pub(super) fn has_places(self) -> bool {
        matches!(self, Kind::Objects | Kind::LargeObject | Kind::LargeRest)
    }

    fn of_number(number: u8) -> Kind {
        debug_assert!(number <= Kind::LargeRest as u8);
        // SAFETY: only numbers of kinds are stored.
        unsafe { std::mem::transmute::<u8, Kind>(number) }
    }
}

static KINDS: [AtomicU8; GRANULES] = [const { AtomicU8::new(0) }; GRANULES];
/// Whether a heap allocates in a granule.
static OWNED: [AtomicBool; GRANULES] = [const { AtomicBool::new(false) }; GRANULES];
/// When a granule was taken last: a count of granules taken so far, itself included.
static TAKEN: [AtomicU32; GRANULES] = [const { AtomicU32::new(0) }; GRANULES];
/// How many bytes of it were gone through since then, by heaps that are done with it.
static FILLED: [AtomicU32; GRANULES] = [const { AtomicU32::new(0) }; GRANULES];

pub(super) struct Space {
    size: usize,
    code: Part,
    pool: Mutex<Pool>,
}

struct Part {
    next: AtomicUsize,
    end: usize,
}

/// What was not taken yet. Granules are counted from the beginning of the space.
pub(super) struct Pool {
    pub(super) next: usize,
    /// Before this, memory may be read and written.
    allowed: usize,
    end: usize,
    chunk: usize,
    /// Granules in which there are holes between objects, by kind: those that come last are taken first.
    pub(super) with_holes: [Vec<u32>; 2],
    /// Granules that have nothing in them any more, but perhaps not only zeros.
    pub(super) free: Vec<u32>,
    /// How often a granule, or some for one object, was taken.
    count: u32,
}

/// A granule for a heap.
pub(super) struct Granule {
    pub(super) start: usize,
    /// Whether it was never used: it is zero.
    pub(super) is_fresh: bool,
}

static ALL: LazyLock<Space> = LazyLock::new(Space::reserve);
/// The same as in [`ALL`], quicker to get at: set before anything is in the space.
static BASE: AtomicUsize = AtomicUsize::new(0);

/// Where the space begins.
#[inline(always)]
pub(crate) fn base() -> usize {
    BASE.load(Ordering::Relaxed)
}

pub(super) fn space() -> &'static Space {
    &ALL
}

#[inline(always)]
pub(super) fn kind_of(granule: usize) -> Kind {
    KINDS.get(granule).map_or(Kind::Untouched, |kind| Kind::of_number(kind.load(Ordering::Relaxed)))
}

pub(super) fn set_kind(granule: usize, kind: Kind) {
    KINDS[granule].store(kind as u8, Ordering::Relaxed);
}

pub(super) fn is_owned(granule: usize) -> bool {
    OWNED[granule].load(Ordering::Relaxed)
}

/// Says that no heap allocates in the granule any more, the last one having come to a place in it. Both are addresses.
pub(super) fn disown(address: usize, filled_to: usize) {
    let granule = (address - base()) / GRANULE;
    FILLED[granule].store((filled_to - address) as u32, Ordering::Relaxed);
    OWNED[granule].store(false, Ordering::Relaxed);
}

/// When a granule was taken last, as a count of granules.
pub(super) fn taken(granule: usize) -> u32 {
    TAKEN[granule].load(Ordering::Relaxed)
}

/// How many bytes of a granule may have been used since it was taken.
pub(super) fn filled(granule: usize) -> usize {
    if is_owned(granule) { GRANULE } else { FILLED[granule].load(Ordering::Relaxed) as usize }
}

/// The object to which a granule of a large one belongs, as places in the space.
pub(super) fn large_object(granule: usize) -> Range<usize> {
    let (mut first, mut end) = (granule, granule + 1);
    while kind_of(first) == Kind::LargeRest {
        first -= 1;
    }
    while kind_of(end) == Kind::LargeRest {
        end += 1;
    }
    first * GRANULE..end * GRANULE
}

impl Space {
    fn reserve() -> Space {
        // Where there is a limit on addresses less must do. Places like these are free on all usual systems.
        let sizes = [SPACE, SPACE >> 2, SPACE >> 4];
        let places = (!cfg!(thread_sanitizer)).then_some(UNLIKELY).into_iter();
        let places = places.chain((1..256).map(|place| place * SPACE).step_by(15));
        let found = sizes.into_iter().find_map(|size| {
            let mut places = places.clone();
            places.find_map(|place| reserve(place, size)).map(|base| (base, size))
        });
        let (base, size) = found.unwrap_or_else(|| out_of_memory(SPACE >> 4));
        BASE.store(base, Ordering::Relaxed);
        let code_end = CODE_SPACE.min(size / 8);
        let code_starts = code_end + 2 * size / BYTES_A_WORD * 8;
        let first = (code_starts + code_end / BYTES_A_WORD * 8).div_ceil(GRANULE);
        allow(base + code_starts, code_end / BYTES_A_WORD * 8);
        Space {
            size,
            code: Part { next: AtomicUsize::new(base + FIRST_CODE), end: base + code_end },
            pool: Mutex::new(Pool {
                next: first,
                allowed: first,
                end: size / GRANULE,
                chunk: FIRST_CHUNK,
                with_holes: [Vec::new(), Vec::new()],
                free: Vec::new(),
                count: 0,
            }),
        }
    }

    pub(super) fn addresses(&self) -> Range<usize> {
        base()..base() + self.size
    }

    fn first_granule(&self) -> usize {
        (self.code_starts() - base() + self.table_place() / BYTES_A_WORD * 8).div_ceil(GRANULE)
    }

    fn table_size(&self) -> usize {
        self.size / BYTES_A_WORD * 8
    }

    fn table_place(&self) -> usize {
        self.code.end - base()
    }

    /// The address of the table that has a bit for the first word of each object.
    pub(super) fn starts(&self) -> usize {
        base() + self.table_place()
    }

    /// The address of the table that has a bit for each word of the objects that were reached.
    pub(super) fn marks(&self) -> usize {
        self.starts() + self.table_size()
    }

    /// The address of the table that has a bit for the first word of each piece of code.
    pub(super) fn code_starts(&self) -> usize {
        self.marks() + self.table_size()
    }

    /// The numbers up to which code is used, as closures have them.
    pub(super) fn code_numbers_end(&self) -> u64 {
        (self.code.next.load(Ordering::Relaxed) - base()) as u64 >> 3
    }

    pub(super) fn take_code(&self, bytes: usize) -> (usize, usize) {
        self.code.take(bytes)
    }

    pub(super) fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Granules that were taken at some time.
    pub(super) fn granules(&self) -> Range<usize> {
        self.first_granule()..self.pool().next
    }

    /// A granule for a heap. Where those with holes are no use, one without anything in it.
    pub(super) fn take(&self, kind: Kind, with_holes: bool) -> Granule {
        let mut pool = self.pool();
        let with_holes = match kind {
            Kind::Objects if with_holes => pool.with_holes[0].pop(),
            Kind::Bytes if with_holes => pool.with_holes[1].pop(),
            _ => None,
        };
        let used = with_holes.or_else(|| pool.free.pop()).map(|granule| granule as usize);
        let granule = used.unwrap_or_else(|| pool.fresh(self, 1));
        pool.note(granule);
        set_kind(granule, kind);
        OWNED[granule].store(true, Ordering::Relaxed);
        Granule { start: base() + granule * GRANULE, is_fresh: used.is_none() }
    }

    /// Room for one large object. It is zero.
    pub(super) fn take_large(&self, kind: Kind, bytes: usize) -> usize {
        let count = bytes.div_ceil(GRANULE);
        let mut pool = self.pool();
        let granule = pool.free_run(count).unwrap_or_else(|| pool.fresh(self, count));
        pool.note(granule);
        set_kind(granule, if kind == Kind::Bytes { Kind::LargeBytes } else { Kind::LargeObject });
        for rest in granule + 1..granule + count {
            set_kind(rest, Kind::LargeRest);
        }
        base() + granule * GRANULE
    }
}

impl Pool {
    fn fresh(&mut self, space: &Space, count: usize) -> usize {
        let granule = self.next;
        let next = granule + count;
        if next > self.end {
            out_of_memory(count * GRANULE);
        }
        if next > self.allowed {
            let wanted = (self.chunk / GRANULE).max(next - self.allowed);
            // Tables are allowed in whole pages.
            let from = self.allowed;
            let to = (from + wanted).next_multiple_of(FIRST_CHUNK / GRANULE).min(self.end);
            let (start, bytes) = (from * GRANULE, (to - from) * GRANULE);
            allow(base() + start, bytes);
            for table in [space.starts(), space.marks()] {
                let from = (table + start / BYTES_A_WORD * 8) & !(PAGE - 1);
                let to = (table + (start + bytes) / BYTES_A_WORD * 8).next_multiple_of(PAGE);
                allow(from, to - from);
            }
            self.allowed = to;
            self.chunk = (self.chunk * 4).min(LARGEST_CHUNK);
        }
        self.next = next;
        granule
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Counts a granule as taken.
    pub(super) fn note(&mut self, granule: usize) {
        self.count += 1;
        TAKEN[granule].store(self.count, Ordering::Relaxed);
    }

    /// So many free granules in a row.
    fn free_run(&mut self, count: usize) -> Option<usize> {
        let is_run = |run: &[u32]| run[0].abs_diff(run[count - 1]) as usize == count - 1;
        let at = self.free.windows(count).position(is_run)?;
        let run = self.free.drain(at..at + count).min()? as usize;
        give_back(base() + run * GRANULE, count * GRANULE);
        Some(run)
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
    // SAFETY: the pages belong to the space and were not in use, or may be read and written already.
    let done = unsafe { rustix::mm::mprotect(std::ptr::with_exposed_provenance_mut(start), bytes, access) };
    done.unwrap_or_else(|_| out_of_memory(bytes));
}

/// Makes pages ready for writing. Huge pages would save more still, but clearing them was measured to take
/// twice as long on a virtual machine.
pub(super) fn commit(start: usize, bytes: usize) {
    let start = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: the pages belong to a piece of this heap, and what is in them does not change. Systems that
    // don't know the advice refuse it, and pages then come as they are touched.
    let _ = unsafe { rustix::mm::madvise(start, bytes, Advice::LinuxPopulateWrite) };
}

/// Makes memory zero by giving it back to the system, where it is whole pages.
pub(super) fn give_back(start: usize, bytes: usize) {
    let (from, to) = (start.next_multiple_of(PAGE), (start + bytes) & !(PAGE - 1));
    let place = |address| std::ptr::with_exposed_provenance_mut::<u8>(address);
    // SAFETY: the memory belongs to the space and may be written, and nobody needs what is in it.
    unsafe {
        if from < to && rustix::mm::madvise(place(from).cast(), to - from, Advice::LinuxDontNeed).is_ok() {
            place(start).write_bytes(0, from - start);
            place(to).write_bytes(0, start + bytes - to);
        } else {
            place(start).write_bytes(0, bytes);
        }
    }
}

#[cold]
pub(super) fn out_of_memory(bytes: usize) -> ! {
    match std::alloc::Layout::array::<u8>(bytes) {
        Ok(layout) => std::alloc::handle_alloc_error(layout),
        Err(_) => std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>()),
    }
}
