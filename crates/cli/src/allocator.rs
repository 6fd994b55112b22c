//! The program's memory allocator: mimalloc, asked in the quickest way.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};

/// mimalloc, which need not look at the alignment of most things: whatever it gives out begins at a word.
pub(crate) struct Allocator;

const ALWAYS: usize = size_of::<usize>();

// SAFETY: mimalloc gives out memory of the size and alignment that it is asked for, or null, and frees either kind alike.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the sizes of layouts are above zero, as the caller vouches, and their alignments powers of two.
        unsafe {
            match layout.align() {
                ..=ALWAYS => mi_malloc(layout.size()).cast(),
                align => mi_malloc_aligned(layout.size(), align).cast(),
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe {
            match layout.align() {
                ..=ALWAYS => mi_zalloc(layout.size()).cast(),
                align => mi_zalloc_aligned(layout.size(), align).cast(),
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, place: *mut u8, _: Layout) {
        // SAFETY: the caller vouches that the place was given out here.
        unsafe { mi_free(place.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above, for the place and the size.
        unsafe {
            match layout.align() {
                ..=ALWAYS => mi_realloc(place.cast(), size).cast(),
                align => mi_realloc_aligned(place.cast(), size, align).cast(),
            }
        }
    }
}
