//! Attribute sets.
//!
//! A set is flat, `{ shape, values… }`, or layered, `{ layered mark and length, base, top, flat }`: the second
//! is what `//` makes of a large left side and a small right one. A layered set that is walked over gets a
//! flat form as well.

use std::cell::RefCell;
use std::cmp;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nival_syntax::{Pos, Symbol};

use super::{Shape, Slot, Value};
use crate::hash::WordHash;
use crate::memory::Heap;

/// An attribute set.
#[derive(Clone, Copy)]
pub struct Attrs(NonNull<u64>);

// SAFETY: a set is written before it is published; later writes go through atomic slots.
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
    /// Where it was written.
    pub pos: Pos,
}

const LAYERED: u64 = 1;
const DEPTH_SHIFT: u32 = 1;
const LENGTH_SHIFT: u32 = 8;

/// How many sets `//` puts on top of each other before it makes one flat set of them.
const MAX_LAYERS: u64 = 8;
/// `//` copies a left side smaller than this.
const LAYER_FROM: usize = 48;
/// `//` layers when the left side has this many times as many attributes as the right one.
const LAYER_RATIO: usize = 6;

/// Both forms of a set.
enum Form {
    Flat(&'static Shape, &'static [Slot]),
    Layered { base: Attrs, top: Attrs, length: usize },
}

/// Where an attribute was found.
pub(crate) struct Lookup {
    pub(crate) shape: &'static Shape,
    pub(crate) index: usize,
    pub(crate) slot: &'static Slot,
}

impl Lookup {
    pub(crate) fn pos(&self) -> Pos {
        self.shape.position(self.index)
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

    /// A flat set with a value for each key of the shape, to be filled by the caller.
    ///
    /// The slots are empty at first and must all be set before the set is seen by others.
    #[inline(always)]
    pub(crate) fn unfilled(heap: &Heap, shape: &'static Shape) -> (Attrs, &'static [Slot]) {
        Attrs::in_words(heap.words(1 + shape.keys().len()), shape)
    }

    fn in_words(object: NonNull<u64>, shape: &'static Shape) -> (Attrs, &'static [Slot]) {
        let length = shape.keys().len();
        // SAFETY: the object is fresh and has room for the shape and a slot for each key.
        unsafe {
            object.write(std::ptr::from_ref(shape).expose_provenance() as u64);
            (Attrs(object), std::slice::from_raw_parts(object.add(1).as_ptr().cast::<Slot>(), length))
        }
    }

    pub(crate) fn from_values(
        heap: &Heap,
        shape: &'static Shape,
        values: impl IntoIterator<Item = Value>,
    ) -> Attrs {
        let (attrs, slots) = Attrs::unfilled(heap, shape);
        let mut values = values.into_iter();
        for slot in slots {
            slot.set(values.next().expect("there is a value for each key"));
        }
        attrs
    }

    #[inline(always)]
    fn header(self) -> u64 {
        // SAFETY: a set starts with its shape or its layered mark.
        unsafe { self.0.read() }
    }

    #[inline(always)]
    fn form(self) -> Form {
        let header = self.header();
        if header & LAYERED == 0 {
            // SAFETY: the header of a flat set is the address of its shape, and as many slots as the shape
            // has keys follow.
            unsafe {
                let shape = &*std::ptr::with_exposed_provenance::<Shape>(header as usize);
                let slots = self.0.add(1).as_ptr().cast::<Slot>();
                Form::Flat(shape, std::slice::from_raw_parts(slots, shape.keys().len()))
            }
        } else {
            // SAFETY: the two other words of a layered set are sets.
            let layer = |index| unsafe { Attrs(Value::from_bits(self.0.add(index).read()).object()) };
            Form::Layered { base: layer(1), top: layer(2), length: (header >> LENGTH_SHIFT) as usize }
        }
    }

    /// The shape, if the set is flat.
    #[inline(always)]
    pub(crate) fn shape(self) -> Option<&'static Shape> {
        match self.form() {
            Form::Flat(shape, _) => Some(shape),
            Form::Layered { .. } => None,
        }
    }

    /// The address of the shape, or what can't be one.
    #[inline(always)]
    pub(crate) fn shape_word(self) -> u64 {
        self.header()
    }

    /// The slot at an index of the shape of a flat set.
    ///
    /// # Safety
    /// The set must be flat, of a shape with more than `index` keys.
    #[inline(always)]
    pub(crate) unsafe fn slot_unchecked(self, index: usize) -> &'static Slot {
        // SAFETY: the caller vouches for the slot's being there.
        unsafe { self.0.add(1 + index).cast::<Slot>().as_ref() }
    }

    /// The number of attributes.
    #[inline]
    pub fn len(self) -> usize {
        match self.form() {
            Form::Flat(_, slots) => slots.len(),
            Form::Layered { length, .. } => length,
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    pub(crate) fn lookup(self, name: Symbol) -> Option<Lookup> {
        let mut set = self;
        loop {
            match set.form() {
                Form::Flat(shape, slots) => {
                    let index = shape.find(name)?;
                    return Some(Lookup { shape, index, slot: &slots[index] });
                }
                Form::Layered { base, top, .. } => {
                    if let Some(found) = top.lookup(name) {
                        return Some(found);
                    }
                    set = base;
                }
            }
        }
    }

    /// The value of an attribute.
    #[inline]
    pub fn get(self, name: Symbol) -> Option<Value> {
        self.lookup(name).map(|found| found.slot.get())
    }

    /// An attribute with its position.
    pub fn get_attr(self, name: Symbol) -> Option<Attr> {
        self.lookup(name).map(|found| Attr { name, value: found.slot.get(), pos: found.pos() })
    }

    /// Whether there is such an attribute.
    pub fn contains(self, name: Symbol) -> bool {
        self.lookup(name).is_some()
    }

    /// The attributes by symbol number: quick, and in the same order for all sets, but not in the order of
    /// names.
    pub fn iter(self) -> AttrsIter {
        match self.form() {
            Form::Flat(shape, slots) => AttrsIter { shape, slots, next: 0 },
            Form::Layered { .. } => self.flatten().iter(),
        }
    }

    /// A layered set in its flat form, which is made at the first time.
    fn flatten(self) -> Attrs {
        let Form::Layered { base, top, .. } = self.form() else { return self };
        // SAFETY: the fourth word of a layered set is only accessed as an atomic.
        let flat = unsafe { self.0.add(3).cast::<AtomicU64>().as_ref() };
        let known = flat.load(Ordering::Acquire);
        if known != 0 {
            // SAFETY: only the set below is ever stored.
            return Attrs(unsafe { Value::from_bits(known) }.object());
        }
        let merged = merge(base.flatten(), top.flatten(), |words| {
            NonNull::from(Box::leak(vec![0_u64; words].into_boxed_slice())).cast()
        });
        // Two threads may do it at once: either result will do.
        flat.store(Value::from(merged).to_bits(), Ordering::Release);
        merged
    }

    /// The attributes in the order of their names' bytes.
    pub fn by_name(self) -> Vec<Attr> {
        if let Form::Flat(shape, slots) = self.form() {
            let attr = |index: &u32| {
                let index = *index as usize;
                Attr { name: shape.keys()[index], value: slots[index].get(), pos: shape.position(index) }
            };
            return shape.name_order().iter().map(attr).collect();
        }
        self.flatten().by_name()
    }

    /// `self // other`
    pub(crate) fn update(self, heap: &Heap, plans: &MergePlans, other: Attrs) -> Attrs {
        let (left, right) = (self.len(), other.len());
        if left == 0 {
            return other;
        }
        if right == 0 {
            return self;
        }
        let depth = self.depth() + 1;
        if left >= LAYER_FROM && left >= right * LAYER_RATIO && depth < MAX_LAYERS {
            return Attrs::layered(heap, self, other, depth);
        }
        if let (Form::Flat(left, left_slots), Form::Flat(right, right_slots)) = (self.form(), other.form())
            && left.is_shared()
            && right.is_shared()
        {
            let plan = plans.get(left, right);
            let (attrs, slots) = Attrs::unfilled(heap, plan.shape);
            for (slot, pick) in slots.iter().zip(&plan.picks) {
                let index = (pick >> 1) as usize;
                let from = if pick & 1 == 0 { &left_slots[index] } else { &right_slots[index] };
                slot.set(from.get());
            }
            return attrs;
        }
        merge(self.flatten(), other.flatten(), |words| heap.words(words))
    }

    fn depth(self) -> u64 {
        let header = self.header();
        if header & LAYERED == 0 { 0 } else { header >> DEPTH_SHIFT & 0x7f }
    }

    fn layered(heap: &Heap, base: Attrs, top: Attrs, depth: u64) -> Attrs {
        let added = top.iter().filter(|attr| !base.contains(attr.name)).count();
        let length = (base.len() + added) as u64;
        let object = heap.words(4);
        // SAFETY: four fresh words; the last stays zero.
        unsafe {
            object.write(LAYERED | depth << DEPTH_SHIFT | length << LENGTH_SHIFT);
            object.add(1).write(Value::from(base).to_bits());
            object.add(2).write(Value::from(top).to_bits());
        }
        Attrs(object)
    }

    /// A set with the same names and other values.
    pub(crate) fn map(self, heap: &Heap, value: impl FnMut(Attr) -> Value) -> Attrs {
        let attrs = self.iter();
        Attrs::from_values(heap, attrs.shape.without_positions(), attrs.map(value))
    }

    /// A set of its own shape from attributes sorted by symbol, without doubles.
    pub(crate) fn from_sorted(heap: &Heap, attrs: &[Attr]) -> Attrs {
        let has_positions = attrs.iter().any(|attr| !attr.pos.is_none());
        let positions = has_positions.then(|| attrs.iter().map(|attr| attr.pos).collect());
        let shape = shape_of(attrs.iter().map(|attr| attr.name).collect(), positions);
        Attrs::from_values(heap, shape, attrs.iter().map(|attr| attr.value))
    }
}

/// What is in either of two flat sets, the right one going first.
fn merge(left: Attrs, right: Attrs, words: impl FnOnce(usize) -> NonNull<u64>) -> Attrs {
    let (Form::Flat(low_shape, low_slots), Form::Flat(high_shape, high_slots)) = (left.form(), right.form())
    else {
        unreachable!("both sets are flat");
    };
    let (low_keys, high_keys) = (low_shape.keys(), high_shape.keys());
    let capacity = low_keys.len() + high_keys.len();
    let has_positions = low_shape.has_positions() || high_shape.has_positions();
    let mut keys = Vec::with_capacity(capacity);
    let mut positions = Vec::with_capacity(if has_positions { capacity } else { 0 });
    let mut values = Vec::with_capacity(capacity);
    let (mut low, mut high) = (0, 0);
    while low < low_keys.len() || high < high_keys.len() {
        let order = match (low_keys.get(low), high_keys.get(high)) {
            (Some(low), Some(high)) => low.cmp(high),
            (Some(_), None) => cmp::Ordering::Less,
            _ => cmp::Ordering::Greater,
        };
        let (shape, slots, index) = if order.is_lt() {
            low += 1;
            (low_shape, low_slots, low - 1)
        } else {
            low += usize::from(order.is_eq());
            high += 1;
            (high_shape, high_slots, high - 1)
        };
        keys.push(shape.keys()[index]);
        if has_positions {
            positions.push(shape.position(index));
        }
        values.push(slots[index].get());
    }
    let shape = shape_of(keys, has_positions.then_some(positions));
    let object = words(1 + values.len());
    let (attrs, slots) = Attrs::in_words(object, shape);
    for (slot, value) in slots.iter().zip(values) {
        slot.set(value);
    }
    attrs
}

/// The shape of a set that is computed: small ones without positions are likely to come again.
fn shape_of(keys: Vec<Symbol>, positions: Option<Vec<Pos>>) -> &'static Shape {
    if positions.is_none() && keys.len() <= 24 {
        Shape::interned(&keys)
    } else {
        Shape::new(keys.into(), positions.map(Into::into), false)
    }
}

/// Iterator over a set's attributes by symbol number.
pub struct AttrsIter {
    shape: &'static Shape,
    slots: &'static [Slot],
    next: usize,
}

impl Iterator for AttrsIter {
    type Item = Attr;

    #[inline]
    fn next(&mut self) -> Option<Attr> {
        let index = self.next;
        let value = self.slots.get(index)?.get();
        self.next += 1;
        Some(Attr { name: self.shape.keys()[index], value, pos: self.shape.position(index) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.slots.len() - self.next;
        (left, Some(left))
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

/// How two shapes are merged by `//`: worked out once for each pair.
struct MergePlan {
    shape: &'static Shape,
    /// For each key its index in the left shape times two, or in the right shape times two plus one.
    picks: Box<[u32]>,
}

/// The merge plans met so far.
#[derive(Default)]
pub(crate) struct MergePlans(RefCell<HashMap<(usize, usize), &'static MergePlan, WordHash>>);

impl MergePlans {
    fn get(&self, left: &'static Shape, right: &'static Shape) -> &'static MergePlan {
        let key = (std::ptr::from_ref(left).addr(), std::ptr::from_ref(right).addr());
        self.0.borrow_mut().entry(key).or_insert_with(|| Box::leak(Box::new(plan(left, right))))
    }
}

fn plan(left: &'static Shape, right: &'static Shape) -> MergePlan {
    let (below, above) = (left.keys(), right.keys());
    let capacity = below.len() + above.len();
    let (mut keys, mut positions) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
    let mut picks = Vec::with_capacity(capacity);
    let (mut low, mut high) = (0, 0);
    while low < below.len() || high < above.len() {
        let take_left = high == above.len() || low < below.len() && below[low] < above[high];
        if take_left {
            keys.push(below[low]);
            positions.push(left.position(low));
            picks.push((low as u32) << 1);
            low += 1;
        } else {
            if low < below.len() && below[low] == above[high] {
                low += 1;
            }
            keys.push(above[high]);
            positions.push(right.position(high));
            picks.push((high as u32) << 1 | 1);
            high += 1;
        }
    }
    let shape = if positions.iter().all(|pos| pos.is_none()) {
        Shape::interned(&keys)
    } else {
        Shape::new(keys.into(), Some(positions.into()), true)
    };
    MergePlan { shape, picks: picks.into() }
}

/// Collects attributes for a set whose keys aren't known before.
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
        self.0.push(Attr { name, value, pos });
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
