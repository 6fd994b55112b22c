//! Code and what it runs in, in one word.

use super::space::{CODE_SPACE, OFFSET_BITS, base};

/// Closures are larger numbers than this, and addresses are smaller.
pub(crate) const CLOSURES_FROM: u64 = 1 << 48;
/// Where code begins: what is below is left free, for words that must not look like code.
pub(super) const FIRST_CODE: usize = (CLOSURES_FROM >> OFFSET_BITS << 3) as usize + ((NUMBERS as usize) << 3);
/// The low bits of a closure are zero: they are free for a tag.
pub(super) const LOW_BITS: u64 = 7;
/// What functions of the language have there as values; thunks have nothing.
pub(super) const LAMBDA: u64 = crate::value::Tag::Lambda as u64;
/// How many numbers there can be instead of code.
pub(super) const NUMBERS: u64 = 16;

/// Code and what it runs in, in one word.
///
/// Instead of code there can be a number from 0 to 15.
#[derive(Clone, Copy)]
pub(crate) struct Closure(u64);

pub(super) const FIRST_NUMBER: u64 = CLOSURES_FROM >> OFFSET_BITS;
pub(super) const OFFSET_MASK: u64 = ((1 << OFFSET_BITS) - 1) & !LOW_BITS;

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
        debug_assert!(number < NUMBERS);
        Closure((FIRST_NUMBER + number) << OFFSET_BITS | object & OFFSET_MASK)
    }

    /// The number that is there instead of code.
    #[inline(always)]
    pub(crate) fn number(self) -> Option<u64> {
        let number = (self.0 >> OFFSET_BITS) - FIRST_NUMBER;
        (number < NUMBERS).then_some(number)
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
