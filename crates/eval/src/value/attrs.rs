//! Attribute sets.
//!
//! A set is flat, `{ names, origins, values… }`, or layered, `{ mark and size, base, top, flat }`: the
//! second is what `//` makes where a side is large, or the left one much larger than the right one. A layered
//! set that is walked over gets a flat form as well.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nival_syntax::{Pos, Symbol};

use super::keys::{Keys, Origins};
use super::{Slot, Value};
use crate::hash::WordHash;
use crate::memory::{self, Heap};

/// An attribute set.
#[derive(Clone, Copy)]
pub struct Attrs(NonNull<u64>);

// SAFETY: a set is written before it is published; later writes go through atomics.
unsafe impl Send for Attrs {}
// SAFETY: as above.
unsafe impl Sync for Attrs {}

/// One attribute.
#[derive(Clone, Copy)]
pub struct Attr {
    /// Its name.
    pub name: Symbol,
    /// Its value, perhaps not evaluated.
    pub value: Value,
    origins: Origins,
    index: u32,
}

impl Attr {
    /// An attribute for a new set.
    pub fn new(name: Symbol, value: Value, pos: Pos) -> Attr {
        Attr { name, value, origins: Origins::single(pos), index: 0 }
    }

    /// Where it was written.
    pub fn pos(&self) -> Pos {
        self.origins.pos(self.index as usize, self.name)
    }
}

thread_local! {
    /// Where the flat forms of layered sets are made.
    static FLAT_FORMS: Heap = Heap::new();
}

/// Shows the heap of this thread's flat forms, unless the thread is ending.
pub(crate) fn with_flat_forms(show: impl FnOnce(&Heap)) {
    let _ = FLAT_FORMS.try_with(show);
}

const LAYERED: u64 = 1;
const DEPTH_SHIFT: u32 = 1;
const SIZE_SHIFT: u32 = 8;

/// How many sets `//` puts on top of each other before it makes one flat set of them.
const MAX_LAYERS: u64 = 8;
/// `//` copies a left side smaller than this.
const LAYER_FROM: usize = 16;
/// `//` layers when the left side has this many times as many attributes as the right one.
const LAYER_RATIO: usize = 3;

/// `//` layers where one side has this many attributes: package sets are copied seldom, and looked into seldom.
const LARGE: usize = 512;

/// Both forms of a set.
enum Form {
    Flat(Flat),
    Layered { base: Attrs, top: Attrs, size: usize },
}

/// A flat set taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Flat {
    pub(crate) keys: &'static Keys,
    origins: Origins,
    slots: &'static [Slot],
}

impl Flat {
    #[inline]
    pub(crate) fn slot(&self, index: usize) -> &'static Slot {
        &self.slots[index]
    }

    #[inline]
    pub(crate) fn value(&self, index: usize) -> Value {
        self.slots[index].get()
    }

    pub(crate) fn slots(&self) -> &'static [Slot] {
        self.slots
    }

    pub(super) fn origins(&self) -> Origins {
        self.origins
    }

    #[inline]
    pub(super) fn attr(&self, index: usize) -> Attr {
        Attr {
            name: self.keys.names()[index],
            value: self.slots[index].get(),
            origins: self.origins,
            index: index as u32,
        }
    }
}

impl Attrs {
    #[inline(always)]
    pub(super) fn of_object(object: NonNull<u64>) -> Attrs {
        Attrs(object)
    }

    #[inline(always)]
    pub(super) fn object(self) -> NonNull<u64> {
        self.0
    }

    /// A flat set with a value for each name, to be filled by the caller.
    ///
    /// The slots are empty at first and must all be set before the set is seen by others.
    #[inline(always)]
    pub(crate) fn unfilled(heap: &Heap, keys: &'static Keys, origins: Origins) -> (Attrs, &'static [Slot]) {
        Attrs::in_words(heap.words(2 + keys.names().len()), keys, origins)
    }

    #[inline(always)]
    fn in_words(object: NonNull<u64>, keys: &'static Keys, origins: Origins) -> (Attrs, &'static [Slot]) {
        let length = keys.names().len();
        // SAFETY: the object is fresh and has room for names, origins and a slot for each name.
        unsafe {
            object.write(std::ptr::from_ref(keys).expose_provenance() as u64);
            object.add(1).write(origins.to_bits());
            (Attrs(object), std::slice::from_raw_parts(object.add(2).as_ptr().cast::<Slot>(), length))
        }
    }

    pub(crate) fn from_values(
        heap: &Heap,
        keys: &'static Keys,
        origins: Origins,
        values: impl IntoIterator<Item = Value>,
    ) -> Attrs {
        let (attrs, slots) = Attrs::unfilled(heap, keys, origins);
        let mut values = values.into_iter();
        for slot in slots {
            slot.set(values.next().expect("there is a value for each name"));
        }
        attrs
    }

    #[inline(always)]
    fn header(self) -> u64 {
        // SAFETY: a set starts with its names or its layered mark.
        unsafe { self.0.read() }
    }

    #[inline(always)]
    fn form(self) -> Form {
        let header = self.header();
        if header & LAYERED == 0 {
            // SAFETY: the header of a flat set is the address of its names; its origins and as many slots as
            // there are names follow.
            unsafe {
                let keys = &*std::ptr::with_exposed_provenance::<Keys>(header as usize);
                let origins = Origins::from_bits(self.0.add(1).read());
                let slots = self.0.add(2).as_ptr().cast::<Slot>();
                let slots = std::slice::from_raw_parts(slots, keys.names().len());
                Form::Flat(Flat { keys, origins, slots })
            }
        } else {
            // SAFETY: the second and third word of a layered set are sets.
            let layer = |index| unsafe { Attrs(Value::from_bits(self.0.add(index).read()).object()) };
            Form::Layered { base: layer(1), top: layer(2), size: (header >> SIZE_SHIFT) as usize }
        }
    }

    /// The names, if the set is flat.
    #[inline(always)]
    pub(crate) fn flat_keys(self) -> Option<&'static Keys> {
        match self.form() {
            Form::Flat(flat) => Some(flat.keys),
            Form::Layered { .. } => None,
        }
    }

    /// The address of the names of a flat set, or a word that can't be one.
    #[inline(always)]
    pub(crate) fn keys_word(self) -> u64 {
        self.header()
    }

    /// The slot of the name with this index in a flat set.
    ///
    /// # Safety
    /// The set must be flat and have more than `index` names.
    #[inline(always)]
    pub(crate) unsafe fn slot_unchecked(self, index: usize) -> &'static Slot {
        // SAFETY: the caller vouches for the slot's being there.
        unsafe { self.0.add(2 + index).cast::<Slot>().as_ref() }
    }

    /// Where the set was written down, if it was.
    pub(crate) fn braces(self) -> Pos {
        match self.form() {
            Form::Flat(flat) => flat.origins.braces(),
            Form::Layered { .. } => Pos::NONE,
        }
    }

    /// The number of attributes.
    #[inline]
    pub fn len(self) -> usize {
        match self.form() {
            Form::Flat(flat) => flat.slots.len(),
            Form::Layered { .. } => self.flatten().slots.len(),
        }
    }

    /// A number of attributes that there are no more of: what several layers have is counted for each. To count
    /// them exactly means to look for each attribute of a layer in all others.
    #[inline]
    pub(crate) fn most(self) -> usize {
        match self.form() {
            Form::Flat(flat) => flat.slots.len(),
            Form::Layered { size, .. } => size,
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.most() == 0
    }

    /// The flat set (a layer) that has an attribute, and its index there.
    pub(crate) fn lookup(self, name: Symbol) -> Option<(Flat, usize)> {
        let mut set = self;
        loop {
            match set.form() {
                Form::Flat(flat) => return flat.keys.find(name).map(|index| (flat, index)),
                Form::Layered { base, top, .. } => {
                    let found = match top.form() {
                        Form::Flat(flat) => flat.keys.find(name).map(|index| (flat, index)),
                        Form::Layered { .. } => top.lookup(name),
                    };
                    if found.is_some() {
                        return found;
                    }
                    set = base;
                }
            }
        }
    }

    /// The place of a value, for those who make sets that refer to themselves.
    pub(crate) fn slot(self, name: Symbol) -> Option<&'static Slot> {
        self.lookup(name).map(|(flat, index)| &flat.slots[index])
    }

    /// The value of an attribute.
    #[inline]
    pub fn get(self, name: Symbol) -> Option<Value> {
        self.lookup(name).map(|(flat, index)| flat.value(index))
    }

    /// An attribute with its position.
    pub fn get_attr(self, name: Symbol) -> Option<Attr> {
        self.lookup(name).map(|(flat, index)| flat.attr(index))
    }

    /// Whether there is such an attribute.
    pub fn contains(self, name: Symbol) -> bool {
        self.lookup(name).is_some()
    }

    /// The attributes by symbol number: quick, and in the same order for all sets, but not in the order of
    /// names.
    pub fn iter(self) -> AttrsIter {
        {
            let flat = self.flatten();
            AttrsIter { flat, next: 0, end: flat.slots.len() }
        }
    }

    /// The attributes in the order of their names' bytes.
    pub fn by_name(self) -> impl ExactSizeIterator<Item = Attr> + DoubleEndedIterator {
        let flat = self.flatten();
        flat.keys.name_order().iter().map(move |index| flat.attr(*index as usize))
    }

    /// Where a layered set has its flat form, or zero.
    fn flat_form(self) -> &'static AtomicU64 {
        // SAFETY: the fourth word of a layered set is only accessed as an atomic.
        unsafe { self.0.add(3).cast::<AtomicU64>().as_ref() }
    }

    /// The flat form, which a layered set gets when it is first asked for.
    pub(crate) fn flatten(self) -> Flat {
        let (base, top) = match self.form() {
            Form::Flat(flat) => return flat,
            Form::Layered { base, top, .. } => (base, top),
        };
        let known = self.flat_form();
        let bits = known.load(Ordering::Acquire);
        if bits != 0 {
            // SAFETY: only the set below is ever stored, and it is flat.
            return Attrs(unsafe { Value::from_bits(bits) }.object()).flatten();
        }
        let entries = overlaid(base.entries(), &top.entries());
        let names: Vec<Symbol> = entries.iter().map(|(name, _)| *name).collect();
        let merged = FLAT_FORMS.with(|heap| {
            let values = entries.iter().map(|(_, slot)| slot.get());
            Attrs::from_values(heap, Keys::of(heap, &names), Origins::within(self), values)
        });
        // Two threads may do it at once: either result will do.
        known.store(Value::from(merged).to_bits(), Ordering::Release);
        merged.flatten()
    }

    /// The names and places of all attributes, sorted. Layers within layers get no flat form of their own.
    fn entries(self) -> Vec<Entry> {
        match self.form() {
            Form::Layered { base, top, .. } if self.flat_form().load(Ordering::Relaxed) == 0 => {
                overlaid(base.entries(), &top.entries())
            }
            _ => {
                let flat = self.flatten();
                flat.keys.names().iter().copied().zip(flat.slots).collect()
            }
        }
    }

    /// `self // other`
    pub(crate) fn update(self, heap: &Heap, plans: &MergePlans, other: Attrs) -> Attrs {
        let (left, right) = (self.most(), other.most());
        if left == 0 {
            return other;
        }
        if right == 0 {
            return self;
        }
        let is_worth_it = left.max(right) >= LARGE || left >= LAYER_FROM && left >= right * LAYER_RATIO;
        if is_worth_it && other.depth() + 1 < MAX_LAYERS {
            return self.layer(heap, plans, other);
        }
        let (left, right) = (self.flatten(), other.flatten());
        if std::ptr::eq(left.keys, right.keys) {
            return other;
        }
        merge(heap, plans.get(heap, left.keys, right.keys), left, right)
    }

    /// Layers that are not much larger than what comes on top of them become one with it, so that there are
    /// few, and a set that grows by one attribute at a time is copied seldom.
    fn layer(self, heap: &Heap, plans: &MergePlans, other: Attrs) -> Attrs {
        let (mut base, mut top) = (self, other);
        while let Form::Layered { base: lower, top: upper, .. } = base.form()
            && (base.depth() + 1 >= MAX_LAYERS
                || other.most() < LARGE && upper.most() < top.most() * LAYER_RATIO)
        {
            let (upper, over) = (upper.flatten(), top.flatten());
            top = merge(heap, plans.get(heap, upper.keys, over.keys), upper, over);
            base = lower;
        }
        let depth = base.depth().max(top.depth()) + 1;
        Attrs::layered(heap, base, top, depth)
    }

    fn depth(self) -> u64 {
        let header = self.header();
        if header & LAYERED == 0 { 0 } else { header >> DEPTH_SHIFT & 0x7f }
    }

    fn layered(heap: &Heap, base: Attrs, top: Attrs, depth: u64) -> Attrs {
        let size = (base.most() + top.most()) as u64;
        let object = heap.words(4);
        // SAFETY: four fresh words; the last stays zero.
        unsafe {
            object.write(LAYERED | depth << DEPTH_SHIFT | size << SIZE_SHIFT);
            object.add(1).write(Value::from(base).to_bits());
            object.add(2).write(Value::from(top).to_bits());
        }
        Attrs(object)
    }

    /// A set of attributes sorted by symbol, without doubles.
    pub(crate) fn from_sorted(heap: &Heap, attrs: &[Attr]) -> Attrs {
        Attrs::in_braces(heap, Pos::NONE, attrs)
    }

    /// The same, of a set that was written down.
    pub(crate) fn in_braces(heap: &Heap, braces: Pos, attrs: &[Attr]) -> Attrs {
        let names: Vec<Symbol> = attrs.iter().map(|attr| attr.name).collect();
        let has_origins = attrs.iter().any(|attr| attr.origins != Origins::NONE);
        let origins = if has_origins {
            Origins::listed(heap, braces, &attrs.iter().map(Attr::pos).collect::<Vec<_>>())
        } else {
            Origins::single(braces)
        };
        Attrs::from_values(heap, Keys::of(heap, &names), origins, attrs.iter().map(|attr| attr.value))
    }

    /// Some attributes of this set, sorted by symbol. Where they were written is looked up here if it is asked for.
    pub(crate) fn part(self, heap: &Heap, attrs: &[Attr]) -> Attrs {
        let names: Vec<Symbol> = attrs.iter().map(|attr| attr.name).collect();
        self.part_with(heap, Keys::of(heap, &names), attrs)
    }

    /// The same, where the names are known.
    pub(crate) fn part_with(self, heap: &Heap, keys: &'static Keys, attrs: &[Attr]) -> Attrs {
        Attrs::from_values(heap, keys, Origins::within(self), attrs.iter().map(|attr| attr.value))
    }

    pub(super) fn has_origins(self) -> bool {
        match self.form() {
            Form::Flat(flat) => flat.origins != Origins::NONE,
            Form::Layered { .. } => true,
        }
    }
}

type Entry = (Symbol, &'static Slot);

/// What is in either; where both have a name, what is in the second.
fn overlaid(below: Vec<Entry>, above: &[Entry]) -> Vec<Entry> {
    let mut all = Vec::with_capacity(below.len() + above.len());
    let mut rest = above;
    for entry in below {
        while let Some((first, others)) = rest.split_first().filter(|(first, _)| first.0 < entry.0) {
            all.push(*first);
            rest = others;
        }
        match rest.split_first().filter(|(first, _)| first.0 == entry.0) {
            Some((first, others)) => {
                all.push(*first);
                rest = others;
            }
            None => all.push(entry),
        }
    }
    all.extend_from_slice(rest);
    all
}

fn merge(heap: &Heap, plan: &'static MergePlan, left: Flat, right: Flat) -> Attrs {
    let origins = Origins::merged(heap, plan, left.origins, right.origins);
    let (attrs, slots) = Attrs::unfilled(heap, plan.keys, origins);
    // Which side it is can't be guessed, so there is no branch for it.
    let sides = [left.slots, right.slots];
    for (slot, pick) in slots.iter().zip(plan.picks()) {
        slot.set(sides[(pick & 1) as usize][(pick >> 1) as usize].get());
    }
    attrs
}

/// Iterator over a set's attributes by symbol number.
pub struct AttrsIter {
    flat: Flat,
    next: usize,
    end: usize,
}

impl Iterator for AttrsIter {
    type Item = Attr;

    #[inline]
    fn next(&mut self) -> Option<Attr> {
        let index = self.next;
        if index == self.end {
            return None;
        }
        self.next += 1;
        Some(self.flat.attr(index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl DoubleEndedIterator for AttrsIter {
    fn next_back(&mut self) -> Option<Attr> {
        (self.next < self.end).then(|| {
            self.end -= 1;
            self.flat.attr(self.end)
        })
    }
}

impl ExactSizeIterator for AttrsIter {}

impl IntoIterator for Attrs {
    type Item = Attr;
    type IntoIter = AttrsIter;

    fn into_iter(self) -> AttrsIter {
        self.iter()
    }
}

/// How sets with two kinds of names are merged by `//`: worked out once for each pair. For each name its index on the
/// left times two, or on the right times two plus one, follows in memory.
#[repr(C)]
pub(super) struct MergePlan {
    keys: &'static Keys,
    /// Where the attributes of the last set that was merged this way were written, see [`Origins::merged`].
    last: AtomicU64,
}

impl MergePlan {
    fn picks(&self) -> &[u32] {
        // SAFETY: `keep`, which makes all plans, puts one behind the plan for each name.
        unsafe { memory::behind(self, self.keys.names().len()) }
    }

    /// Whether an attribute comes from the right side, and its index there or on the left.
    pub(super) fn pick(&self, index: usize) -> (bool, usize) {
        let pick = self.picks()[index];
        (pick & 1 == 1, (pick >> 1) as usize)
    }

    pub(super) fn last(&self) -> &AtomicU64 {
        &self.last
    }

    fn keep(heap: &Heap, left: &'static Keys, right: &'static Keys) -> &'static MergePlan {
        let (low_names, high_names) = (left.names(), right.names());
        let capacity = low_names.len() + high_names.len();
        let (mut names, mut picks) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        let (mut low, mut high) = (0, 0);
        while let (Some(low_name), Some(high_name)) = (low_names.get(low), high_names.get(high)) {
            let is_low = low_name < high_name;
            names.push(if is_low { *low_name } else { *high_name });
            picks.push(if is_low { (low as u32) << 1 } else { (high as u32) << 1 | 1 });
            low += usize::from(low_name <= high_name);
            high += usize::from(!is_low);
        }
        names.extend_from_slice(&low_names[low..]);
        picks.extend((low..low_names.len()).map(|index| (index as u32) << 1));
        names.extend_from_slice(&high_names[high..]);
        picks.extend((high..high_names.len()).map(|index| (index as u32) << 1 | 1));
        heap.keep_before(MergePlan { keys: Keys::of(heap, &names), last: AtomicU64::new(0) }, &picks)
    }
}

/// The merge plans met so far.
#[derive(Default)]
pub(crate) struct MergePlans(RefCell<HashMap<(usize, usize), &'static MergePlan, WordHash>>);

impl MergePlans {
    fn get(&self, heap: &Heap, left: &'static Keys, right: &'static Keys) -> &'static MergePlan {
        let key = (std::ptr::from_ref(left).addr(), std::ptr::from_ref(right).addr());
        self.0.borrow_mut().entry(key).or_insert_with(|| MergePlan::keep(heap, left, right))
    }
}

/// Collects attributes for a set whose names aren't known before.
#[derive(Default)]
pub struct AttrsBuilder(Vec<Attr>);

impl AttrsBuilder {
    /// An empty one.
    pub fn new() -> AttrsBuilder {
        AttrsBuilder::default()
    }

    /// An empty one with room.
    pub fn with_capacity(capacity: usize) -> AttrsBuilder {
        AttrsBuilder(Vec::with_capacity(capacity))
    }

    /// Adds an attribute. Of two with one name the first stays, as `listToAttrs` wants it.
    pub fn insert(&mut self, name: Symbol, value: Value, pos: Pos) {
        self.0.push(Attr::new(name, value, pos));
    }

    /// Adds an attribute without a position.
    pub fn add(&mut self, name: impl Into<Symbol>, value: Value) {
        self.insert(name.into(), value, Pos::NONE);
    }

    pub(crate) fn build(mut self, heap: &Heap) -> Attrs {
        if !self.0.is_sorted_by(|low, high| low.name < high.name) {
            self.0.sort_by_key(|attr| attr.name);
            self.0.dedup_by_key(|attr| attr.name);
        }
        Attrs::from_sorted(heap, &self.0)
    }
}
