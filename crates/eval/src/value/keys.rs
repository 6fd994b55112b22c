//! What attribute sets have in common: their names, and where each was written.
//!
//! Names are interned, so that sets made in one place, or merged from such sets, share them: a place that
//! selects an attribute remembers the last names it saw and where among them the attribute was, and `//`
//! remembers how two kinds of set go together.

use std::hash::BuildHasher;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};

use nival_syntax::{Pos, Symbol};

use super::Attrs;
use super::shape::{MergePlan, Shape};
use super::tree::{Node, Place};
use crate::hash::WordHash;
use crate::lately::Lately;
use crate::memory::{self, Heap, Sighted};

/// The names of an attribute set, sorted by symbol number. Equal names are one object, but for huge sets. The names
/// themselves follow in memory.
#[repr(C)]
pub(crate) struct Keys {
    count: u32,
    /// Those of other names are mostly others.
    hash: u32,
    below: [Place<Keys>; 2],
    /// The shapes of shared sets with these names.
    pub(super) shapes: Place<Shape>,
    name_order: Late<u32>,
    filter: Late<u64>,
}

/// A table that is made when it is first asked for, if ever. How long it is follows from the number of names.
struct Late<T>(AtomicPtr<T>);

impl<T> Late<T> {
    const fn new() -> Late<T> {
        Late(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// # Safety
    /// What `make` returns must have this length, each time.
    #[inline]
    unsafe fn get(&self, length: usize, make: impl FnOnce() -> Vec<T>) -> &[T] {
        let mut table = self.0.load(Ordering::Acquire);
        if table.is_null() {
            // Two threads may do it at once: either result will do.
            table = make().leak().as_mut_ptr();
            self.0.store(table, Ordering::Release);
        }
        // SAFETY: only tables that are never freed are stored, and the caller vouches for the length.
        unsafe { std::slice::from_raw_parts(table, length) }
    }
}

/// A bit for each name at a place that its number says: tells of most other names that they are not there. Sets in layers
/// are mostly asked for what another layer has.
struct Filter<'a>(&'a [u64]);

impl Filter<'_> {
    /// So many bits for a name.
    const BITS: usize = 8;

    fn words(names: usize) -> usize {
        (names * Self::BITS).div_ceil(64).next_power_of_two()
    }

    fn bits(names: &[Symbol]) -> Vec<u64> {
        let mut bits = vec![0; Self::words(names.len())];
        for name in names {
            let (word, bit) = Self::place(bits.len(), *name);
            bits[word] |= bit;
        }
        bits
    }

    #[inline]
    fn place(words: usize, name: Symbol) -> (usize, u64) {
        // Numbers that follow each other, as those of names that were met together do, come to lie in one word.
        let id = name.id() as usize;
        ((id / 64) & (words - 1), 1 << (id % 64))
    }

    #[inline]
    fn may_have(&self, name: Symbol) -> bool {
        let (word, bit) = Self::place(self.0.len(), name);
        self.0[word] & bit != 0
    }
}

/// Sorted names, hashed as bytes.
#[derive(PartialEq, Eq)]
struct Names<'a>(&'a [Symbol]);

impl std::hash::Hash for Names<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let names = self.0;
        // SAFETY: these are the bytes of numbers.
        let bytes = unsafe { std::slice::from_raw_parts(names.as_ptr().cast::<u8>(), size_of_val(names)) };
        state.write(bytes);
    }
}

static TABLE: [Place<Keys>; 1 << 15] = [const { Place::new() }; 1 << 15];

impl Node for Keys {
    fn below(&self) -> &[Place<Keys>; 2] {
        &self.below
    }
}

/// Sets with more names than this are few, and are not searched for others like them.
const INTERNED_UP_TO: usize = 4096;

/// Where there are more names than this, it is first asked whether a name can be among them.
const FILTERED_FROM: usize = 64;

/// So many names are all compared: that takes no jump that could be guessed wrong.
const COMPARED_UP_TO: usize = 32;
/// They are compared so many at a time.
const LANES: usize = 4;
/// Fills up the last of these: no name has a number like it.
const FILLING: u32 = u32::MAX;
const ABSENT: u32 = u32::MAX;

/// A name that is looked for in something.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C, packed(4))]
pub(super) struct Sought {
    whose: u64,
    /// The number of the name.
    name: u32,
}

impl Sought {
    /// All zero, so that a new thread's tables need not be copied from somewhere.
    pub(super) const NOTHING: Sought = Sought { whose: 0, name: 0 };

    /// Names are never freed, so that their address says which they are.
    #[inline(always)]
    fn in_keys(keys: &'static Keys, name: Symbol) -> Sought {
        Sought { whose: std::ptr::from_ref(keys).addr() as u64, name: name.id() }
    }

    #[inline(always)]
    pub(super) fn in_object(object: Sighted, name: Symbol) -> Sought {
        Sought { whose: object.to_bits(), name: name.id() }
    }
}

thread_local! {
    /// The index of what this thread has looked for among names: most of it is looked for again.
    static FOUND: Lately<Sought, u32, { 1 << 12 }> = Lately::new(Sought::NOTHING, 0);
}

impl Keys {
    /// The one object for these names, which must be sorted and distinct.
    pub(crate) fn of(heap: &Heap, names: &[Symbol]) -> &'static Keys {
        debug_assert!(names.is_sorted());
        if names.len() > INTERNED_UP_TO {
            return Keys::keep(heap, names, 0);
        }
        let hash = WordHash::new().hash_one(Names(names));
        TABLE[hash as usize % TABLE.len()].find_or_make(
            hash,
            |keys| keys.hash == hash as u32 && keys.names() == names,
            || Keys::keep(heap, names, hash as u32),
        )
    }

    #[cold]
    fn keep(heap: &Heap, names: &[Symbol], hash: u32) -> &'static Keys {
        let (below, shapes) = ([const { Place::new() }; 2], Place::new());
        let (name_order, filter) = (Late::new(), Late::new());
        let count = names.len() as u32;
        let keys = Keys { count, hash, below, shapes, name_order, filter };
        if names.len() > COMPARED_UP_TO {
            return heap.keep_before(keys, names);
        }
        let mut numbers = [FILLING; COMPARED_UP_TO];
        for (number, name) in numbers.iter_mut().zip(names) {
            *number = name.id();
        }
        heap.keep_before(keys, &numbers[..names.len().next_multiple_of(LANES)])
    }

    #[inline(always)]
    pub(crate) fn names(&self) -> &[Symbol] {
        // SAFETY: `keep`, which makes all keys, puts the numbers of so many names behind them.
        unsafe { memory::behind(self, self.count as usize) }
    }

    /// The numbers of the names, which must be no more than [`COMPARED_UP_TO`], and what fills up the last lanes.
    #[inline(always)]
    fn lanes(&self) -> &[[u32; LANES]] {
        debug_assert!(self.names().len() <= COMPARED_UP_TO);
        // SAFETY: `keep` puts so many there.
        unsafe { memory::behind(self, self.names().len().div_ceil(LANES)) }
    }

    #[inline]
    pub(crate) fn find(&'static self, name: Symbol) -> Option<usize> {
        let names = self.names();
        if names.len() > COMPARED_UP_TO {
            return self.find_among_many(name);
        }
        let mut before = [0; LANES];
        for numbers in self.lanes() {
            for (before, number) in before.iter_mut().zip(numbers) {
                *before += u32::from(*number < name.id());
            }
        }
        let index = before.iter().sum::<u32>() as usize;
        (names.get(index) == Some(&name)).then_some(index)
    }

    #[inline(never)]
    fn find_among_many(&'static self, name: Symbol) -> Option<usize> {
        let names = self.names();
        if names.len() >= FILTERED_FROM && !self.filter().may_have(name) {
            return None;
        }
        let search = || names.binary_search(&name).map_or(ABSENT, |index| index as u32);
        let index = FOUND.with(|found| found.get_or(Sought::in_keys(self, name), search));
        (index != ABSENT).then_some(index as usize)
    }

    fn filter(&self) -> Filter<'_> {
        let names = self.names();
        // SAFETY: the filter has as many words as there are for so many names.
        Filter(unsafe { self.filter.get(Filter::words(names.len()), || Filter::bits(names)) })
    }

    /// The indices of the names in the order of their bytes.
    pub(crate) fn name_order(&self) -> &[u32] {
        // SAFETY: there is one index for each name.
        unsafe { self.name_order.get(self.count as usize, || in_order(self.names())) }
    }
}

fn in_order(names: &[Symbol]) -> Vec<u32> {
    let word = |(name, index): (&Symbol, u32)| u128::from(name.first_bytes()) << 32 | u128::from(index);
    let mut order: Vec<u128> = names.iter().zip(0..).map(word).collect();
    order.sort_unstable();
    // What the first bytes don't decide is seldom, and together now.
    let bytes = |word: u128| names[word as u32 as usize].as_bytes();
    for same in order.chunk_by_mut(|low, high| low >> 32 == high >> 32).filter(|same| same.len() > 1) {
        same.sort_unstable_by(|low, high| bytes(*low).cmp(bytes(*high)));
    }
    order.into_iter().map(|word| word as u32).collect()
}

/// Where the attributes of a set were written. Few are ever asked for, so a merged set only remembers of
/// what it was merged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origins(u64);

const TAG_MASK: u64 = 3;
/// All low bits of an address are free. Those of a value that was not computed yet are zero, so this one is not.
const WITHIN: u64 = 4;
const LOW_BITS: u64 = 7;
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
    pub(crate) fn listed(
        heap: &Heap,
        braces: Pos,
        positions: impl ExactSizeIterator<Item = Pos> + Clone,
    ) -> Origins {
        if positions.clone().all(Pos::is_none) {
            return Origins::single(braces);
        }
        let words = heap.bytes((1 + positions.len()).div_ceil(2)).cast::<Pos>();
        for (index, pos) in std::iter::once(braces).chain(positions).enumerate() {
            // SAFETY: there is room for all positions in the fresh words.
            unsafe { words.add(index).write(pos) };
        }
        Origins(words.as_ptr().expose_provenance() as u64 | LISTED)
    }

    /// The same position whatever attribute is asked for.
    pub(crate) fn single(pos: Pos) -> Origins {
        if pos.is_none() { Origins::NONE } else { Origins(u64::from(pos.id()) << SINGLE_SHIFT | SINGLE) }
    }

    /// Where they are in a set of which these are some.
    pub(super) fn within(set: Attrs) -> Origins {
        if set.has_origins() {
            Origins(set.object().as_ptr().expose_provenance() as u64 | WITHIN)
        } else {
            Origins::NONE
        }
    }

    pub(super) fn merged(heap: &Heap, plan: &'static MergePlan, left: Origins, right: Origins) -> Origins {
        if left == Origins::NONE && right == Origins::NONE {
            return Origins::NONE;
        }
        // Most sets that are merged in one place were made in one place each.
        if let Some(address) = Sighted::from_bits(plan.last().load(Ordering::Acquire)).address() {
            // SAFETY: only addresses of what is merged below are stored, and nothing was freed since then.
            let last = unsafe { &*std::ptr::with_exposed_provenance::<Merged>(address) };
            if last.left == left && last.right == right {
                return Origins(address as u64 | MERGED);
            }
        }
        let address = heap.put(Merged { plan, left, right }).as_ptr().expose_provenance();
        plan.last().store(Sighted::at(address).to_bits(), Ordering::Release);
        Origins(address as u64 | MERGED)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// Lets what was [`Origins::listed`] stay, as code holds it.
    pub(crate) fn stay(self, heap: &Heap) {
        if self.0 & TAG_MASK == LISTED {
            heap.root(self.0);
        }
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
            SINGLE => self.pos(0, Symbol::EMPTY),
            _ => Pos::NONE,
        }
    }

    /// Where the attribute with this index and name was written.
    pub(crate) fn pos(self, index: usize, name: Symbol) -> Pos {
        let (mut origins, mut index) = (self, index);
        loop {
            if origins == Origins::NONE {
                return Pos::NONE;
            }
            let address = (origins.0 & !LOW_BITS) as usize;
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
                _ => {
                    let object = std::ptr::with_exposed_provenance_mut(address);
                    // SAFETY: the address is that of a set, and so not null.
                    let set = Attrs::of_object(unsafe { NonNull::new_unchecked(object) });
                    let Some((flat, from)) = set.search(name) else { return Pos::NONE };
                    origins = flat.own_origins();
                    index = from;
                }
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
        let heap = Heap::new();
        let keys = Keys::of(&heap, &names);
        assert!(std::ptr::eq(keys, Keys::of(&heap, &names.clone())));
        assert!(!std::ptr::eq(keys, Keys::of(&heap, &names[1..])));
        let sorted: Vec<Symbol> = keys.name_order().iter().map(|index| names[*index as usize]).collect();
        assert_eq!(sorted, ["a", "b", "c"].map(Symbol::intern));
    }
}
