//! An allocator that leaves nothing behind in what is freed, when garbage is soon to be collected: the collector takes all memory of
//! the process for what it may be, and what was a reference once would keep a whole world.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, Ordering};

static WIPES: AtomicBool = AtomicBool::new(false);

/// From now on what is freed is cleared.
pub(super) fn start() {
    WIPES.store(true, Ordering::Relaxed);
}

/// Whether old references must not be left lying about.
#[inline(always)]
pub(crate) fn keeps_clean() -> bool {
    WIPES.load(Ordering::Relaxed)
}

/// Clears what is freed, if garbage is collected. Programs that let it be collected should have it as their
/// global allocator, around another.
pub struct Wiping<A>(pub A);

// SAFETY: all is left to the other allocator, but that memory is written before it is freed.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Wiping<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller vouches.
        unsafe { self.0.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller vouches.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's until it is freed, and as large as the layout says.
        unsafe {
            if keeps_clean() {
                block.write_bytes(0, layout.size());
            }
            self.0.dealloc(block, layout);
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !keeps_clean() {
            // SAFETY: as the caller vouches.
            return unsafe { self.0.realloc(block, layout, size) };
        }
        // SAFETY: the caller vouches for the size; both blocks have as much as is copied.
        unsafe {
            let other = self.0.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !other.is_null() {
                other.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            other
        }
    }
}
