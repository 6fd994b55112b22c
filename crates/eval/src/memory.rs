//! Where values live: a bump arena per evaluator.
//!
//! Nothing is freed. A value is a plain word that may be copied anywhere, so an object must stay where it is
//! for as long as the process runs. All allocation of values goes through [`Heap`], so that a collector can
//! be put behind it later.

use std::cell::Cell;
use std::ptr::NonNull;

use nival_syntax::Keep;

const FIRST_CHUNK: usize = 4 << 20;
const LARGEST_CHUNK: usize = 1 << 30;
/// So much is made ready for use at a time: one call is quicker than a page fault for each page.
const STEP: usize = 512 << 10;

/// A bump arena of zeroed words. One thread allocates; any thread may read what was published to it.
pub(crate) struct Heap {
    cursor: Cell<usize>,
    end: Cell<usize>,
    chunk_end: Cell<usize>,
    next_chunk: Cell<usize>,
    mapped: Cell<usize>,
}

impl Heap {
    pub(crate) fn new() -> Heap {
        Heap {
            cursor: Cell::new(0),
            end: Cell::new(0),
            chunk_end: Cell::new(0),
            next_chunk: Cell::new(FIRST_CHUNK),
            mapped: Cell::new(0),
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
            return map(bytes).cast();
        }
        if self.end.get() == self.chunk_end.get() {
            let size = self.next_chunk.get();
            let chunk = map(size).as_ptr().expose_provenance();
            self.cursor.set(chunk);
            self.end.set(chunk);
            self.chunk_end.set(chunk + size);
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

/// A zeroed piece of address space, which takes no memory before it is touched.
fn map(bytes: usize) -> NonNull<u8> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new anonymous mapping at a place of the system's choice.
    let start = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, access, flags) };
    start.ok().and_then(|start| NonNull::new(start.cast())).unwrap_or_else(|| out_of_memory(bytes))
}

/// Makes pages of a mapping ready for writing. Huge pages would save more still, but clearing them was
/// measured to take twice as long on a virtual machine.
fn commit(start: usize, bytes: usize) {
    let start = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: the pages belong to a mapping of this heap, and what is in them does not change. Systems that
    // don't know the advice refuse it, and pages then come as they are touched.
    let _ = unsafe { rustix::mm::madvise(start, bytes, rustix::mm::Advice::LinuxPopulateWrite) };
}

#[cold]
fn out_of_memory(bytes: usize) -> ! {
    match std::alloc::Layout::array::<u8>(bytes) {
        Ok(layout) => std::alloc::handle_alloc_error(layout),
        Err(_) => std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>()),
    }
}
