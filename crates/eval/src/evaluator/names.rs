//! Which names strings are, for those who look for attributes by strings.

use std::cell::Cell;

use nival_syntax::Symbol;

use super::Evaluator;
use crate::memory;
use crate::value::Str;

const PLACE_BITS: u32 = 10;

/// The names of strings lately asked for, found by where the strings are: most are asked for again and again.
pub(super) struct Names(Box<[Cell<Known>]>);

#[derive(Clone, Copy)]
struct Known {
    /// Where the string is, or zero.
    address: usize,
    /// The number of collections before, as its place may be another one's after the next.
    collections: u64,
    name: Symbol,
}

impl Default for Names {
    fn default() -> Names {
        let none = Known { address: 0, collections: 0, name: Symbol::EMPTY };
        Names((0..1 << PLACE_BITS).map(|_| Cell::new(none)).collect())
    }
}

impl Evaluator {
    /// The name that a string is.
    #[inline]
    pub(crate) fn name_of(&self, string: Str) -> Symbol {
        let address = string.address();
        let mixed = (address as u64 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = &self.names.0[(mixed >> (u64::BITS - PLACE_BITS)) as usize];
        let known = place.get();
        let collections = memory::collections();
        if known.address == address && known.collections == collections {
            return known.name;
        }
        let name = Symbol::intern(string.bytes());
        place.set(Known { address, collections, name });
        name
    }
}
