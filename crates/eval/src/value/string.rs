//! Strings: bytes and a context.

use std::borrow::Cow;
use std::ptr::NonNull;

use nival_syntax::raw_text;

use crate::context::Context;
use crate::memory::{Heap, Sighted};

/// A string value: `{ length: u32, context: u32, bytes… }`.
#[derive(Clone, Copy)]
pub struct Str(NonNull<u64>);

// SAFETY: a string is never written after it was made.
unsafe impl Send for Str {}
// SAFETY: as above.
unsafe impl Sync for Str {}

impl Str {
    #[inline(always)]
    pub(super) fn of_object(object: NonNull<u64>) -> Str {
        Str(object)
    }

    #[inline(always)]
    pub(super) fn object(self) -> NonNull<u64> {
        self.0
    }

    /// A string of `length` bytes (zero at first) that `fill` writes.
    pub(crate) fn build(heap: &Heap, length: usize, context: Context, fill: impl FnOnce(&mut [u8])) -> Str {
        let stored = u32::try_from(length).expect("a string is shorter than 4 GiB");
        let object = heap.bytes(1 + length.div_ceil(8));
        // SAFETY: the object is fresh and has room for the header and the bytes; nobody else sees it yet.
        unsafe {
            object.write(u64::from(stored) | u64::from(context.id()) << 32);
            fill(std::slice::from_raw_parts_mut(object.add(1).as_ptr().cast::<u8>(), length));
        }
        Str(object)
    }

    /// A string of pieces that follow one another.
    pub(crate) fn build_of(heap: &Heap, pieces: &[&[u8]], context: Context) -> Str {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        Str::build(heap, length, context, |mut room| {
            for piece in pieces {
                let (place, rest) = room.split_at_mut(piece.len());
                place.copy_from_slice(piece);
                room = rest;
            }
        })
    }

    /// Where it is, which tells it from other strings.
    #[inline(always)]
    pub(crate) fn sighted(self) -> Sighted {
        Sighted::at(self.0.as_ptr().addr())
    }

    /// The string at an address.
    ///
    /// # Safety
    /// There must be one.
    #[inline(always)]
    pub(crate) unsafe fn at_address(address: usize) -> Str {
        // SAFETY: nothing in the space has the address zero.
        Str(unsafe { NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(address)) })
    }

    /// Header and bytes, with zeros behind them.
    #[inline]
    pub(crate) fn words(self) -> &'static [u64] {
        let count = 1 + self.bytes().len().div_ceil(8);
        // SAFETY: the object has so many words.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), count) }
    }

    /// Gives the string back, which nobody else may have seen, if it came last: `other` is the same. Not so right behind the
    /// other, which would then be the last and could become longer where it is.
    pub(crate) fn give_way_to(self, heap: &Heap, other: Str) -> bool {
        let count = self.words().len();
        other.words().as_ptr_range().end != self.0.as_ptr() && heap.take_back_bytes(self.0, count)
    }

    /// The same string with more behind it, in the same place if there is room.
    ///
    /// # Safety
    /// If the string came last, nobody else may have it: it is another one then.
    pub(crate) unsafe fn followed_by(self, heap: &Heap, more: &[u8], context: Context) -> Option<Str> {
        let before = self.bytes().len();
        let length = before + more.len();
        let (old, new) = (1 + before.div_ceil(8), 1 + length.div_ceil(8));
        let stored = u32::try_from(length).ok().filter(|_| heap.lengthen(self.0, old, new - old))?;
        // SAFETY: there is room for the header and all bytes, and nobody else reads them, as the caller vouches.
        unsafe {
            self.0.write(u64::from(stored) | u64::from(context.id()) << 32);
            let end = self.0.add(1).as_ptr().cast::<u8>().add(before);
            end.copy_from_nonoverlapping(more.as_ptr(), more.len());
        }
        Some(self)
    }

    #[inline(always)]
    fn header(self) -> u64 {
        // SAFETY: a string object starts with its header.
        unsafe { self.0.read() }
    }

    /// The bytes. They are text in some encoding, most often UTF-8, but nothing makes sure of that.
    #[inline]
    pub fn bytes(self) -> &'static [u8] {
        let length = self.header() as u32 as usize;
        // SAFETY: the object has that many bytes after its header and lives as long as the process.
        unsafe { std::slice::from_raw_parts(self.0.add(1).as_ptr().cast::<u8>(), length) }
    }

    /// The store paths that this string refers to.
    #[inline]
    pub fn context(self) -> Context {
        Context::from_id((self.header() >> 32) as u32)
    }

    /// The text for a message: see [`raw_text`].
    pub fn to_text(self) -> Cow<'static, str> {
        raw_text(self.bytes())
    }
}
