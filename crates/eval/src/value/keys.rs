//! What attribute sets have in common: their names, and where each was written.
//!
//! Names are interned, so that sets made in one place, or merged from such sets, share them: a place that
//! selects an attribute remembers the last names it saw and where among them the attribute was, and `//`
//! remembers how two kinds of set go together.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};

use nival_syntax::{Pos, Symbol};

use super::attrs::MergePlan;
use crate::hash::WordHash;
use crate::memory::Heap;

/// The names of an attribute set, sorted by symbol number. Equal names are one object, but for huge sets.
#[repr(align(16))]
pub(crate) struct Keys {
    names: Box<[Symbol]>,
    name_order: OnceLock<Box<[u32]>>,
    filter: OnceLock<Filter>,
}

/// A bit for each name at a place that its number says: tells of most other names that they are not there. Sets in layers
/// are mostly asked for what another layer has.
struct Filter {
    bits: Box<[u64]>,
}

impl Filter {
    /// So many bits for a name.
    const BITS: usize = 8;

    fn of(names: &[Symbol]) -> Filter {
        let mut filter =
            Filter { bits: vec![0; (names.len() * Self::BITS).div_ceil(64).next_power_of_two()].into() };
        for name in names {
            let (word, bit) = filter.place(*name);
            filter.bits[word] |= bit;
        }
        filter
    }

    #[inline]
    fn place(&self, name: Symbol) -> (usize, u64) {
        // Numbers that follow each other, as those of names that were met together do, come to lie in one word.
        let id = name.id() as usize;
        ((id / 64) & (self.bits.len() - 1), 1 << (id % 64))
    }

    #[inline]
    fn may_have(&self, name: Symbol) -> bool {
        let (word, bit) = self.place(name);
        self.bits[word] & bit != 0
    }
}

type Table = HashMap<&'static [Symbol], &'static Keys, WordHash>;

static TABLE: LazyLock<RwLock<Table>> =
    LazyLock::new(|| RwLock::new(Table::with_capacity_and_hasher(FIRST_CAPACITY, WordHash::default())));

/// So many there are soon: to grow from nothing would mean to hash the names of each again and again.
const FIRST_CAPACITY: usize = 7000;

/// Sets with more names than this are few, and are not searched for others like them.
const INTERNED_UP_TO: usize = 4096;

/// Where there are more names than this, it is first asked whether a name can be among them.
const FILTERED_FROM: usize = 64;

/// Fewer names than this are looked through one by one.
const SEARCHED_UP_TO: usize = 6;
const FOUND_BITS: u32 = 12;
const ABSENT: u32 = u32::MAX;

/// Where a name was found.
#[derive(Clone, Copy)]
struct Found {
    keys: usize,
    name: u32,
    index: u32,
}

thread_local! {
    /// What this thread has lately looked for: most of it is looked for again. Names are never freed, so that
    /// their address says which they are.
    static FOUND: [Cell<Found>; 1 << FOUND_BITS] =
        const { [const { Cell::new(Found { keys: 0, name: 0, index: 0 }) }; 1 << FOUND_BITS] };
}

impl Keys {
    /// The one object for these names, which must be sorted and distinct.
    pub(crate) fn of(names: &[Symbol]) -> &'static Keys {
        debug_assert!(names.is_sorted());
        if names.len() > INTERNED_UP_TO {
            return Keys::leak(names);
        }
        if let Some(keys) = TABLE.read().unwrap_or_else(PoisonError::into_inner).get(names) {
            return keys;
        }
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = table.get(names) {
            return keys;
        }
        let keys = Keys::leak(names);
        table.insert(&keys.names, keys);
        keys
    }

    fn leak(names: &[Symbol]) -> &'static Keys {
        Box::leak(Box::new(Keys {
            names: names.into(),
            name_order: OnceLock::new(),
            filter: OnceLock::new(),
        }))
    }

    #[inline(always)]
    pub(crate) fn names(&self) -> &[Symbol] {
        &self.names
    }

    #[inline]
    pub(crate) fn find(&'static self, name: Symbol) -> Option<usize> {
        if self.names.len() <= SEARCHED_UP_TO {
            return self.names.iter().position(|other| *other == name);
        }
        if self.names.len() >= FILTERED_FROM
            && !self.filter.get_or_init(|| Filter::of(&self.names)).may_have(name)
        {
            return None;
        }
        FOUND.with(|found| {
            let keys = std::ptr::from_ref(self).addr();
            let mixed = (keys as u64 >> 4 ^ u64::from(name.id()) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let place = &found[(mixed >> (u64::BITS - FOUND_BITS)) as usize];
            let last = place.get();
            if last.keys == keys && last.name == name.id() {
                return (last.index != ABSENT).then_some(last.index as usize);
            }
            let index = self.names.binary_search(&name).ok();
            let stored = index.map_or(ABSENT, |index| index as u32);
            place.set(Found { keys, name: name.id(), index: stored });
            index
        })
    }

    /// The indices of the names in the order of their bytes.
    pub(crate) fn name_order(&self) -> &[u32] {
        self.name_order.get_or_init(|| {
            let start = |index: u32| first_bytes(self.names[index as usize].as_bytes());
            let mut order: Vec<(u64, u32)> =
                (0..self.names.len() as u32).map(|index| (start(index), index)).collect();
            order.sort_unstable();
            // What the first bytes don't decide is seldom, and together now.
            let bytes = |index: u32| self.names[index as usize].as_bytes();
            for same in order.chunk_by_mut(|low, high| low.0 == high.0).filter(|same| same.len() > 1) {
                same.sort_unstable_by(|low, high| bytes(low.1).cmp(bytes(high.1)));
            }
            order.into_iter().map(|(_, index)| index).collect()
        })
    }
}

/// What decides the order of most names, as a number.
fn first_bytes(name: &[u8]) -> u64 {
    match name.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            (0..8).fold(0, |first, index| first << 8 | name.get(index).map_or(0, |byte| u64::from(*byte)))
        }
    }
}

/// Where the attributes of a set were written. Few are ever asked for, so a merged set only remembers of
/// what it was merged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origins(u64);

const TAG_MASK: u64 = 3;
const LISTED: u64 = 1;
const MERGED: u64 = 2;
const SINGLE: u64 = 3;
const SINGLE_SHIFT: u32 = 2;

struct Merged {
    plan: &'static MergePlan,
    left: Origins,
    right: Origins,
}

impl Origins {
    /// Nothing is known.
    pub(crate) const NONE: Origins = Origins(0);

    /// The position of the set's braces, and one for each attribute.
    pub(crate) fn listed(heap: &Heap, braces: Pos, positions: &[Pos]) -> Origins {
        if positions.iter().all(|pos| pos.is_none()) {
            return Origins::single(braces);
        }
        let words = heap.bytes((1 + positions.len()).div_ceil(2)).cast::<Pos>();
        for (index, pos) in std::iter::once(&braces).chain(positions).enumerate() {
            // SAFETY: there is room for all positions in the fresh words.
            unsafe { words.add(index).write(*pos) };
        }
        Origins(words.as_ptr().expose_provenance() as u64 | LISTED)
    }

    /// The same position whatever attribute is asked for.
    pub(crate) fn single(pos: Pos) -> Origins {
        if pos.is_none() { Origins::NONE } else { Origins(u64::from(pos.id()) << SINGLE_SHIFT | SINGLE) }
    }

    pub(super) fn merged(heap: &Heap, plan: &'static MergePlan, left: Origins, right: Origins) -> Origins {
        if left == Origins::NONE && right == Origins::NONE {
            return Origins::NONE;
        }
        let merged = heap.put(Merged { plan, left, right });
        Origins(merged.as_ptr().expose_provenance() as u64 | MERGED)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// # Safety
    /// `bits` must come from [`Origins::to_bits`].
    pub(crate) unsafe fn from_bits(bits: u64) -> Origins {
        Origins(bits)
    }

    /// Where the set itself was written; nothing is known of those that were merged.
    pub(crate) fn braces(self) -> Pos {
        match self.0 & TAG_MASK {
            // SAFETY: the position of the braces comes first.
            LISTED => unsafe { *std::ptr::with_exposed_provenance::<Pos>((self.0 & !TAG_MASK) as usize) },
            SINGLE => self.pos(0),
            _ => Pos::NONE,
        }
    }

    /// Where the attribute with this index was written.
    pub(crate) fn pos(self, index: usize) -> Pos {
        let (mut origins, mut index) = (self, index);
        loop {
            let address = (origins.0 & !TAG_MASK) as usize;
            match origins.0 & TAG_MASK {
                LISTED => {
                    let positions = std::ptr::with_exposed_provenance::<Pos>(address);
                    // SAFETY: after that of the braces there is a position for each attribute, and `index` is that of one.
                    return unsafe { *positions.add(1 + index) };
                }
                MERGED => {
                    // SAFETY: the address is that of a `Merged` that is on the heap.
                    let merged = unsafe { &*std::ptr::with_exposed_provenance::<Merged>(address) };
                    let (is_right, from) = merged.plan.pick(index);
                    origins = if is_right { merged.right } else { merged.left };
                    index = from;
                }
                SINGLE => return Pos::from_id((origins.0 >> SINGLE_SHIFT) as u32),
                _ => return Pos::NONE,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_one_object() {
        let mut names = ["b", "a", "c"].map(Symbol::intern);
        names.sort_unstable();
        assert!(std::ptr::eq(Keys::of(&names), Keys::of(&names.clone())));
        assert!(!std::ptr::eq(Keys::of(&names), Keys::of(&names[1..])));
        let sorted: Vec<Symbol> =
            Keys::of(&names).name_order().iter().map(|index| names[*index as usize]).collect();
        assert_eq!(sorted, ["a", "b", "c"].map(Symbol::intern));
    }
}
