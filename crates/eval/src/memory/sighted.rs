//! Where objects were seen, for tables that don't keep them.

use super::collect::collections;

const COLLECTION_BITS: u32 = 20;
const COLLECTION_MASK: u64 = (1 << COLLECTION_BITS) - 1;

/// The address of an object, as a word that a collection does not take for a reference to it. It has the number of collections so
/// far in it, as another object may be at that address after the next one: then the same address is another word.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sighted(u64);

impl Sighted {
    pub(crate) const NOTHING: Sighted = Sighted(0);

    #[inline(always)]
    pub(crate) fn at(address: usize) -> Sighted {
        Sighted(address as u64 >> 3 << COLLECTION_BITS | collections() & COLLECTION_MASK)
    }

    /// The address, if nothing was collected since.
    #[inline(always)]
    pub(crate) fn address(self) -> Option<usize> {
        let is_there =
            self != Sighted::NOTHING && self.0 & COLLECTION_MASK == collections() & COLLECTION_MASK;
        is_there.then_some((self.0 >> COLLECTION_BITS << 3) as usize)
    }

    #[inline(always)]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(crate) fn from_bits(bits: u64) -> Sighted {
        Sighted(bits)
    }
}
