//! Objects that were given back, for others of their size.
//!
//! They are those of a thread, whichever of its heaps they are from: a collection takes them for garbage like any other,
//! so the thread forgets them before it lets one begin.

use std::cell::Cell;
use std::ptr::NonNull;

/// Larger objects are not kept: there are few, and they may come last.
const LARGEST: usize = 64;

/// How far eras are apart: not near each other, as the addresses that they go with are.
const ERA: u16 = 0x9e37;

struct GivenBack {
    era: Cell<u16>,
    /// For each size the last object of so many words, or zero. The first word of each leads to the one before. In either
    /// place is the complement of the address, which is no reference for a collection.
    last: [Cell<usize>; LARGEST + 1],
}

thread_local! {
    static GIVEN_BACK: GivenBack =
        const { GivenBack { era: Cell::new(0), last: [const { Cell::new(0) }; LARGEST + 1] } };
}

/// An object of so many words, with what is in it but for the first, if there is one.
#[inline(always)]
pub(super) fn take(count: usize) -> Option<NonNull<u64>> {
    GIVEN_BACK.with(|given_back| {
        let last = given_back.last.get(count).filter(|last| last.get() != 0)?;
        // SAFETY: whoever gave the object back was the last to know of it, and its first word leads to the next.
        unsafe {
            let object = NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut::<u64>(!last.get()));
            last.set(object.read() as usize);
            Some(object)
        }
    })
}

/// Keeps an object of so many words to which nothing refers any more, unless it is too large.
#[inline(always)]
pub(super) fn put(object: NonNull<u64>, count: usize) -> bool {
    GIVEN_BACK.with(|given_back| {
        given_back.era.set(given_back.era.get().wrapping_add(ERA));
        let Some(last) = given_back.last.get(count) else { return false };
        // SAFETY: as the caller vouches.
        unsafe { object.write(last.get() as u64) };
        last.set(!object.as_ptr().addr());
        true
    })
}

pub(super) fn forget() {
    GIVEN_BACK.with(|given_back| given_back.last.iter().for_each(|last| last.set(0)));
}

/// A number that changes whenever something is allocated where something was before, as long as nothing is collected.
#[inline(always)]
pub(crate) fn era() -> u16 {
    GIVEN_BACK.with(|given_back| given_back.era.get())
}
