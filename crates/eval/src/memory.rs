//! Where values live: a bump arena per evaluator.
//!
//! Nothing is freed. A value is a plain word that may be copied anywhere, so an object must stay where it is
//! for as long as the process runs. All allocation of values goes through [`Heap`], so that a collector can
//! be put behind it later.

use std::cell::Cell;
use std::ptr::NonNull;

const FIRST_CHUNK_WORDS: usize = 1 << 17;
const SECOND_CHUNK_WORDS: usize = 1 << 20;
const LARGEST_CHUNK_WORDS: usize = 1 << 22;

/// A bump arena of zeroed words. One thread allocates; any thread may read what was published to it.
pub(crate) struct Heap {
    cursor: Cell<usize>,
    end: Cell<usize>,
    next_chunk_words: Cell<usize>,
    allocated_words: Cell<usize>,
}

impl Heap {
    pub(crate) fn new() -> Heap {
        Heap {
            cursor: Cell::new(0),
            end: Cell::new(0),
            next_chunk_words: Cell::new(FIRST_CHUNK_WORDS),
            allocated_words: Cell::new(0),
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
        let chunk_words = self.next_chunk_words.get();
        if count > chunk_words / 4 {
            self.allocated_words.set(self.allocated_words.get() + count);
            return map_words(count);
        }
        let chunk = map_words(chunk_words);
        self.allocated_words.set(self.allocated_words.get() + chunk_words);
        self.next_chunk_words.set((chunk_words * 2).clamp(SECOND_CHUNK_WORDS, LARGEST_CHUNK_WORDS));
        let start = chunk.as_ptr().expose_provenance();
        self.cursor.set(start + count * 8);
        self.end.set(start + chunk_words * 8);
        chunk
    }

    /// Puts something on the heap, where it stays. It is never dropped.
    pub(crate) fn keep<T>(&self, thing: T) -> NonNull<T> {
        const { assert!(align_of::<T>() <= 8 && size_of::<T>() > 0) };
        let place = self.words(size_of::<T>().div_ceil(8)).cast::<T>();
        // SAFETY: the place is fresh, large enough and aligned to words.
        unsafe { place.write(thing) };
        place
    }

    /// Bytes handed out so far.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.allocated_words.get() * 8 - (self.end.get() - self.cursor.get())
    }
}

/// Zeroed words from the operating system, which commits them when they are first touched. Large pieces are
/// given in huge pages where there are any: touching small ones one after the other takes longer than
/// computing what goes into them.
fn map_words(count: usize) -> NonNull<u64> {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
    let bytes = count.checked_mul(8).unwrap_or_else(|| out_of_memory(count));
    let is_large = bytes >= 2 * HUGE_PAGE;
    let mapped = if is_large { bytes + HUGE_PAGE } else { bytes };
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: a new anonymous mapping at a place of the system's choice.
    let start =
        unsafe { mmap_anonymous(std::ptr::null_mut(), mapped, ProtFlags::READ | ProtFlags::WRITE, flags) };
    let Ok(start) = start else { out_of_memory(count) };
    let mut words = start.cast::<u64>();
    if is_large {
        // SAFETY: the mapping is larger than what is asked for by as much as alignment may skip.
        words = unsafe { start.byte_add(start.align_offset(HUGE_PAGE)) }.cast();
        // SAFETY: the range lies in the new mapping; the advice does not change what is in it. Without huge
        // pages it fails, and nothing is lost.
        let _ = unsafe { madvise(words.cast(), bytes, Advice::LinuxHugepage) };
    }
    NonNull::new(words).unwrap_or_else(|| out_of_memory(count))
}

const HUGE_PAGE: usize = 2 << 20;

#[cold]
fn out_of_memory(words: usize) -> ! {
    match std::alloc::Layout::array::<u64>(words) {
        Ok(layout) => std::alloc::handle_alloc_error(layout),
        Err(_) => std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>()),
    }
}
