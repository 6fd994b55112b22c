//! Where the collector notes what it has yet to look through: in memory of its own, since in the process's it
//! would find its own notes.

use std::io;

use rustix::mm::{MapFlags, MremapFlags, ProtFlags};

use super::space::BYTES_A_WORD;

const FIRST: usize = 1 << 20;
/// A part of an object: its place in words, and its length in these many low bits.
const LENGTH_BITS: u32 = 30;
const WORD: usize = BYTES_A_WORD / 64;

/// Parts of objects, those that came last first.
pub(super) struct Pile {
    start: *mut u64,
    length: usize,
    bytes: usize,
}

impl Pile {
    pub(super) fn new() -> io::Result<Pile> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new anonymous mapping.
        let start =
            unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), FIRST, access, MapFlags::PRIVATE)? };
        Ok(Pile { start: start.cast(), length: 0, bytes: FIRST })
    }

    #[inline(always)]
    pub(super) fn push(&mut self, from: usize, to: usize) {
        if self.length * 8 == self.bytes {
            self.grow();
        }
        debug_assert!((to - from) / WORD < 1 << LENGTH_BITS);
        let entry = ((from / WORD) << LENGTH_BITS) | ((to - from) / WORD);
        // SAFETY: there is room for one more.
        unsafe { self.start.add(self.length).write(entry as u64) };
        self.length += 1;
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<(usize, usize)> {
        self.length = self.length.checked_sub(1)?;
        // SAFETY: it was pushed.
        let entry = unsafe { self.start.add(self.length).read() } as usize;
        let from = entry >> LENGTH_BITS;
        Some((from * WORD, (from + (entry & ((1 << LENGTH_BITS) - 1))) * WORD))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    #[cold]
    fn grow(&mut self) {
        // SAFETY: the mapping is this one's own, and is only known here.
        let start = unsafe {
            rustix::mm::mremap(self.start.cast(), self.bytes, self.bytes * 2, MremapFlags::MAYMOVE)
        };
        self.start = start.unwrap_or_else(|_| super::space::out_of_memory(self.bytes * 2)).cast();
        self.bytes *= 2;
    }
}

impl Drop for Pile {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and is only known here.
        let _ = unsafe { rustix::mm::munmap(self.start.cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_last_is_first() {
        let mut pile = Pile::new().expect("memory for a pile");
        for index in 0..FIRST {
            pile.push(index * 8, (index + index % 5) * 8);
        }
        for index in (0..FIRST).rev() {
            assert_eq!(pile.pop(), Some((index * 8, (index + index % 5) * 8)));
        }
        assert_eq!(pile.pop(), None);
        pile.push((1 << 36) - 8, 1 << 36);
        assert_eq!(pile.pop(), Some(((1 << 36) - 8, 1 << 36)));
    }
}
