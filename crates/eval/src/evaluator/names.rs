//! Which names strings are, for those who look for attributes by strings.

use nival_syntax::Symbol;

use super::Evaluator;
use crate::lately::Lately;
use crate::memory::Sighted;
use crate::value::{Keys, List, Str};

/// The names of strings, by where the strings are.
pub(super) type Names = Lately<Sighted, Symbol, { 1 << 10 }>;

/// The names in lists, by where the lists are.
pub(super) type NameLists = Lately<Sighted, Option<&'static Keys>, { 1 << 6 }>;

pub(super) fn no_names() -> Names {
    Names::new(Sighted::NOTHING, Symbol::EMPTY)
}

pub(super) fn no_name_lists() -> NameLists {
    NameLists::new(Sighted::NOTHING, None)
}

impl Evaluator {
    /// The name that a string is.
    #[inline]
    pub(crate) fn name_of(&self, string: Str) -> Symbol {
        self.names.get_or(string.sighted(), || Symbol::intern(string.bytes()))
    }

    /// The names in a list, if [`Evaluator::keep_names_in`] was lately told.
    pub(crate) fn known_names_in(&self, list: List) -> Option<&'static Keys> {
        self.name_lists.get(list.sighted()).flatten()
    }

    /// Remembers the names in a list, which are sorted and distinct, if they are not too many to be kept for ever.
    pub(crate) fn keep_names_in(&self, list: List, names: &[Symbol]) -> Option<&'static Keys> {
        const MOST: usize = 64;
        let names = (names.len() <= MOST).then(|| Keys::of(&self.heap, names))?;
        self.name_lists.set(list.sighted(), Some(names));
        Some(names)
    }
}
