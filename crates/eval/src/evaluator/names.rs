//! Which names strings are, for those who look for attributes by strings.

use std::cell::Cell;

use nival_syntax::Symbol;

use super::Evaluator;
use crate::memory;
use crate::value::{Keys, List, Str};

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

const LIST_PLACE_BITS: u32 = 6;

/// What names are in lists lately asked for, in the same way.
pub(super) struct NameLists(Box<[Cell<KnownList>]>);

#[derive(Clone, Copy)]
struct KnownList {
    address: usize,
    collections: u64,
    names: Option<&'static Keys>,
}

impl Default for NameLists {
    fn default() -> NameLists {
        let none = KnownList { address: 0, collections: 0, names: None };
        NameLists((0..1 << LIST_PLACE_BITS).map(|_| Cell::new(none)).collect())
    }
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

    fn place_of(&self, list: List) -> &Cell<KnownList> {
        let mixed = (list.address() as u64 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.name_lists.0[(mixed >> (u64::BITS - LIST_PLACE_BITS)) as usize]
    }

    /// The names in a list, if [`Evaluator::keep_names_in`] was lately told.
    pub(crate) fn known_names_in(&self, list: List) -> Option<&'static Keys> {
        let known = self.place_of(list).get();
        let is_it = known.address == list.address() && known.collections == memory::collections();
        known.names.filter(|_| is_it)
    }

    /// Remembers the names in a list, which are sorted and distinct, if they are not too many to be kept for ever.
    pub(crate) fn keep_names_in(&self, list: List, names: &[Symbol]) -> Option<&'static Keys> {
        const MOST: usize = 64;
        let names = (names.len() <= MOST).then(|| Keys::of(&self.heap, names))?;
        let known =
            KnownList { address: list.address(), collections: memory::collections(), names: Some(names) };
        self.place_of(list).set(known);
        Some(names)
    }
}
