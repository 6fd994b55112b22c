//! Stacked sets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nival_syntax::Symbol;

use super::{Attr, Attrs, Form, LARGE, Plain, SIZE_SHIFT, STACKED};
use crate::hash::WordHash;
use crate::lately::Lately;
use crate::memory::{Heap, Sighted};
use crate::value::keys::{Keys, Origins, Sought};
use crate::value::shape::{merged, split};
use crate::value::{Slot, Value};

/// How many sets `//` puts on top of each other before it makes one of them.
pub(super) const MAX_DEPTH: u64 = 8;
/// Sets on a stack become one where the upper one is this many times as large as the lower one.
pub(super) const STACK_RATIO: usize = 3;
const DEPTH_SHIFT: u32 = 1;

/// Where a name was found in a stacked set: the flat set that has it, if any.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
struct Found {
    flat: Sighted,
    index: u32,
}

impl Found {
    const NOWHERE: Found = Found { flat: Sighted::NOTHING, index: 0 };
}

/// A set gets a flat form when it was searched so many times, or an eighth as many times as it has attributes.
const FEWEST_SEARCHES: u64 = 6;
/// There are no objects at such addresses.
const MOST_SEARCHES: u64 = 1 << 16;

/// For so many names each layer is walked over once, instead of being searched for each of them.
const WALKED_FROM: usize = 64;

/// The names of so many kinds of stacked sets are kept.
const MOST_STACK_KEYS: usize = 1 << 12;

thread_local! {
    /// What this thread has lately looked for in stacked sets.
    static FOUND: Lately<Sought, Found, { 1 << 11 }> = Lately::new(Sought::NOTHING, Found::NOWHERE);
    /// The names that stacked sets have, by those of their layers, which are kept for ever.
    static STACK_KEYS: RefCell<HashMap<Vec<usize>, &'static Keys, WordHash>> = RefCell::default();
    /// Where the flat forms of stacked sets are made.
    static FLAT_FORMS: Heap = Heap::new();
}

/// Shows the heap of this thread's flat forms, unless the thread is ending.
pub(crate) fn with_flat_forms(show: impl FnOnce(&Heap)) {
    let _ = FLAT_FORMS.try_with(show);
}

impl Attrs {
    /// Package sets are asked for the same names again and again.
    pub(super) fn lookup_in_stack(self, name: Symbol) -> Option<(Attrs, usize)> {
        if let Some(flat) = self.known_flat_form() {
            return flat.lookup(name);
        }
        let search = || {
            self.note_search();
            match self.search(name) {
                Some((flat, index)) => Found { flat: flat.sighted(), index: index as u32 },
                None => Found::NOWHERE,
            }
        };
        let sought = Sought::in_object(self.sighted(), name);
        let Found { flat, index } = FOUND.with(|found| found.get_or(sought, search));
        let object = std::ptr::with_exposed_provenance_mut(flat.address()?);
        NonNull::new(object).map(|flat| (Attrs(flat), index as usize))
    }

    /// The flat set that has an attribute, and its index there, without the help of what was found or made before.
    pub(in crate::value) fn search(self, name: Symbol) -> Option<(Attrs, usize)> {
        let mut set = self;
        loop {
            match set.form() {
                Form::Plain(plain) => return plain.keys.find(name).map(|index| plain.entry(index)),
                Form::Stacked { base, top, .. } => {
                    let found = top.search(name);
                    if found.is_some() {
                        return found;
                    }
                    set = base;
                }
            }
        }
    }

    /// Where a stacked set has its flat form, or how often it was searched as long as it has none.
    fn flat_form(self) -> &'static AtomicU64 {
        // SAFETY: the fourth word of a stacked set is only accessed as an atomic.
        unsafe { self.0.add(3).cast::<AtomicU64>().as_ref() }
    }

    /// The flat form of a stacked set, if it has one.
    #[inline]
    pub(crate) fn known_flat_form(self) -> Option<Attrs> {
        let bits = self.flat_form().load(Ordering::Acquire);
        // SAFETY: what is no number of searches is a set.
        (bits > MOST_SEARCHES).then(|| Attrs(unsafe { Value::from_bits(bits) }.object()))
    }

    /// A set that is searched often gets a flat form, in which places in the code remember where they found what.
    fn note_search(self) {
        let searched = self.flat_form().load(Ordering::Relaxed);
        if self.most() < LARGE && searched >= FEWEST_SEARCHES.max(self.most() as u64 / 8) {
            self.flatten();
        } else if searched < MOST_SEARCHES {
            let _ = self.flat_form().compare_exchange(
                searched,
                searched + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    #[inline(never)]
    pub(super) fn flatten_stack(self, base: Attrs, top: Attrs) -> Plain {
        if let Some(flat) = self.known_flat_form() {
            return flat.flatten();
        }
        let merged = FLAT_FORMS.with(|heap| match (base.plain(), top.plain()) {
            (Some(low), Some(high)) => {
                let (names, picks) = merged(low.keys.names(), high.keys.names());
                let values = picks.into_iter().map(split).map(|(is_high, index)| {
                    let side = if is_high { high } else { low };
                    side.value(index)
                });
                Attrs::from_values(heap, Keys::of(heap, &names), Origins::within(self), values)
            }
            _ => self.flatten_layers(heap),
        });
        // Two threads may do it at once: either result will do.
        self.flat_form().store(Value::from(merged).to_bits(), Ordering::Release);
        merged.flatten()
    }

    fn flatten_layers(self, heap: &Heap) -> Attrs {
        let mut entries = Vec::with_capacity(self.most());
        self.add_entries(&mut entries);
        // Each layer is sorted, which the sort sees; where several have a name, the uppermost comes first.
        entries.sort_by_key(|(name, _)| *name);
        entries.dedup_by_key(|(name, _)| *name);
        let keys = self.stack_keys(heap, || entries.iter().map(|(name, _)| *name).collect());
        let values = entries.iter().map(|(_, slot)| slot.get());
        Attrs::from_values(heap, keys, Origins::within(self), values)
    }

    /// The names of all attributes. A stacked set gets no flat form for that.
    pub(crate) fn keys(self, heap: &Heap) -> &'static Keys {
        if let Form::Plain(plain) = self.form() {
            return plain.keys;
        }
        self.stack_keys(heap, || {
            let mut names = Vec::with_capacity(self.most());
            self.for_each_layer(&mut |keys| names.extend_from_slice(keys.names()));
            // A stable sort sees that each layer is sorted.
            names.sort();
            names.dedup();
            names
        })
    }

    /// The names of all attributes of a stacked set, made once for all that have layers with the same names.
    fn stack_keys(self, heap: &Heap, names: impl FnOnce() -> Vec<Symbol>) -> &'static Keys {
        let mut layers = Vec::new();
        self.for_each_layer(&mut |keys| layers.push(std::ptr::from_ref(keys).addr()));
        STACK_KEYS.with_borrow_mut(|known| {
            let is_full = known.len() >= MOST_STACK_KEYS;
            match known.entry(layers) {
                Entry::Occupied(keys) => *keys.get(),
                Entry::Vacant(_) if is_full => Keys::of(heap, &names()),
                Entry::Vacant(place) => place.insert(Keys::of(heap, &names())),
            }
        })
    }

    fn for_each_layer(self, show: &mut impl FnMut(&'static Keys)) {
        match self.form() {
            Form::Plain(plain) => show(plain.keys),
            Form::Stacked { base, top, .. } => {
                base.for_each_layer(show);
                top.for_each_layer(show);
            }
        }
    }

    /// The attributes of a stacked set that have one of these names, both in the order of the names' numbers.
    pub(super) fn among_in_stack(self, base: Attrs, top: Attrs, names: &[Symbol]) -> Vec<Attr> {
        if names.len() < WALKED_FROM {
            return names.iter().filter_map(|name| self.get_attr(*name)).collect();
        }
        let mut found = top.among(names);
        found.extend(base.among(names));
        // A stable sort sees that both are sorted; where both have a name, the upper one comes first.
        found.sort_by_key(|attr| attr.name);
        found.dedup_by_key(|attr| attr.name);
        found
    }

    /// Adds the names and places of all attributes, layer by layer from above. Stacks within stacks get no flat form of
    /// their own.
    fn add_entries(self, entries: &mut Vec<(Symbol, &'static Slot)>) {
        match self.form() {
            Form::Stacked { base, top, .. } if self.known_flat_form().is_none() => {
                top.add_entries(entries);
                base.add_entries(entries);
            }
            _ => {
                let plain = self.flatten();
                let names = plain.keys.names().iter().enumerate();
                entries.extend(names.map(|(index, name)| (*name, plain.slot(index))));
            }
        }
    }

    /// Sets on a stack that are not much larger than what comes on top of them become one with it, so that there are
    /// few, and a set that grows by one attribute at a time is copied seldom.
    pub(super) fn stack(self, heap: &Heap, other: Attrs) -> Attrs {
        let (mut base, mut top) = (self, other);
        while let Form::Stacked { base: lower, top: upper, .. } = base.form()
            && (base.depth() + 1 >= MAX_DEPTH
                || other.most() < LARGE && upper.most() < top.most() * STACK_RATIO)
        {
            // Nothing is worked out for those who are seldom met again.
            let depth = upper.depth().max(top.depth()) + 1;
            top = Attrs::stacked(heap, upper, top, depth).flatten().set;
            base = lower;
        }
        let depth = base.depth().max(top.depth()) + 1;
        Attrs::stacked(heap, base, top, depth)
    }

    pub(super) fn depth(self) -> u64 {
        let header = self.header();
        if header & STACKED == 0 { 0 } else { header >> DEPTH_SHIFT & 0x7f }
    }

    fn stacked(heap: &Heap, base: Attrs, top: Attrs, depth: u64) -> Attrs {
        let size = (base.most() + top.most()) as u64;
        let object = heap.words(4);
        // SAFETY: four fresh words; the last stays zero.
        unsafe {
            object.write(STACKED | depth << DEPTH_SHIFT | size << SIZE_SHIFT);
            object.add(1).write(Value::from(base).to_bits());
            object.add(2).write(Value::from(top).to_bits());
        }
        Attrs(object)
    }
}

#[cfg(test)]
mod tests {
    use nival_syntax::Pos;

    use super::*;
    use crate::value::AttrsBuilder;

    fn set(heap: &Heap, numbers: std::ops::Range<u32>, first: u32) -> Attrs {
        let mut attrs = AttrsBuilder::new();
        for number in numbers {
            let value = Value::new_int(heap, i64::from(first + number));
            let name = Symbol::intern(format!("stacked{number}").as_bytes());
            attrs.insert(name, value, Pos::from_id(first + number));
        }
        attrs.build(heap)
    }

    #[test]
    fn a_stack_that_is_searched_often_becomes_flat_and_keeps_all() {
        let heap = Heap::new();
        let (low, high) = (set(&heap, 0..100, 1000), set(&heap, 90..110, 2000));
        let both = low.update(&heap, high);
        assert!(both.plain().is_none());
        for _ in 0..3 {
            let mut names = Vec::new();
            for attr in low.iter().chain(high) {
                let found = both.get_attr(attr.name).expect("it is in one of them");
                let last = high.get_attr(attr.name).unwrap_or(attr);
                assert_eq!((found.value, found.pos()), (last.value, last.pos()), "{}", attr.name);
                names.push(attr.name);
            }
            assert!(!both.contains(Symbol::intern("not stacked")));
            names.sort_unstable();
            names.dedup();
            for names in [&names[..], &names[80..]] {
                let found = both.among(names).into_iter().map(|attr| (attr.name, attr.value, attr.pos()));
                let expected = names.iter().map(|name| {
                    let attr = both.get_attr(*name).expect("all are there");
                    (*name, attr.value, attr.pos())
                });
                assert!(found.eq(expected));
            }
        }
        assert!(both.known_flat_form().is_some());
    }
}
