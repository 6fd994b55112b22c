//! Attribute sets.
//!
//! A set is flat, `{ names, origins, values… }`; or shared, `{ shape, layers… }`, which is what `//` mostly makes: its
//! values are in the flat sets that are its layers (see [`super::shape`]); or stacked, `{ mark and size, base, top, flat }`,
//! which is what `//` makes where a side is large. A stacked set that is walked over gets one of the other forms as well.

mod stack;

use std::ptr::NonNull;

use nival_syntax::{Pos, Symbol};

pub(crate) use self::stack::with_flat_forms;
use self::stack::{MAX_DEPTH, STACK_RATIO};
use super::keys::{Keys, Origins};
use super::shape::{LastMerge, MergePlan, Pick, Plan, Planned, Rest, Shape, SharePlan, others};
use super::{Slot, Value};
use crate::memory::{Heap, Sighted};

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

const STACKED: u64 = 1;
const SHARED: u64 = 2;
const SIZE_SHIFT: u32 = 8;

/// `//` also stacks where the left side has this many attributes, and that many times as many as the right one, and two such
/// kinds of sets were never met before.
const STACK_FROM: usize = 16;
/// `//` stacks where one side has this many attributes: package sets are copied seldom, and looked into seldom.
const LARGE: usize = 512;

/// Names that are this many times as many as others are searched for each of these.
const SEARCHED_RATIO: usize = 8;

/// The forms of a set.
enum Form {
    Plain(Plain),
    Stacked { base: Attrs, top: Attrs, size: usize },
}

/// A flat or a shared set taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Plain {
    pub(crate) keys: &'static Keys,
    set: Attrs,
    shape: Option<&'static Shape>,
}

impl Plain {
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.keys.names().len()
    }

    /// Where a shared set has its values.
    #[inline(always)]
    pub(super) fn picks(self) -> Option<&'static [Pick]> {
        self.shape.map(Shape::picks)
    }

    /// What it has in common with other sets, as a number.
    #[inline(always)]
    pub(super) fn kind(self) -> usize {
        self.shape.map_or(std::ptr::from_ref(self.keys).addr(), |shape| std::ptr::from_ref(shape).addr())
    }

    /// Where the attribute with this index is in all sets of the kind, see [`Attrs::slot_at`].
    #[inline]
    pub(crate) fn place(self, index: usize) -> usize {
        self.shape.map_or(index, |shape| shape.picks()[index].to_bits())
    }

    /// The flat set that has it, and its index there.
    #[inline(always)]
    fn entry(self, index: usize) -> (Attrs, usize) {
        match self.shape {
            None => {
                assert!(index < self.len(), "there is an attribute for each name");
                (self.set, index)
            }
            Some(shape) => {
                let pick = shape.picks()[index];
                // SAFETY: the shape is that of the set.
                (unsafe { self.set.layer(pick.layer()) }, pick.index())
            }
        }
    }

    #[inline(always)]
    pub(crate) fn slot(self, index: usize) -> &'static Slot {
        let (flat, index) = self.entry(index);
        // SAFETY: an entry is in the set that it is said to be in.
        unsafe { flat.slot_unchecked(index) }
    }

    #[inline]
    pub(crate) fn value(self, index: usize) -> Value {
        self.slot(index).get()
    }

    #[inline]
    pub(super) fn attr(self, index: usize) -> Attr {
        let (flat, from) = self.entry(index);
        // SAFETY: as above.
        let value = unsafe { flat.slot_unchecked(from) }.get();
        Attr { name: self.keys.names()[index], value, origins: flat.own_origins(), index: from as u32 }
    }

    /// Where its attributes were written.
    fn origins(self) -> Origins {
        if self.shape.is_some() { Origins::within(self.set) } else { self.set.own_origins() }
    }

    /// The values of a flat set.
    fn slots(self) -> Option<&'static [Slot]> {
        // SAFETY: a flat set has a slot for each of its names.
        self.shape.is_none().then(|| unsafe { self.set.slots_unchecked(self.len()) })
    }
}

impl Attrs {
    /// How many words come before the values of a flat set.
    pub(super) const HEAD: usize = 2;

    #[inline(always)]
    pub(super) fn of_object(object: NonNull<u64>) -> Attrs {
        Attrs(object)
    }

    #[inline(always)]
    pub(super) fn object(self) -> NonNull<u64> {
        self.0
    }

    /// Where it is, which tells it from other sets.
    #[inline(always)]
    pub(crate) fn sighted(self) -> Sighted {
        Sighted::at(self.0.as_ptr().expose_provenance())
    }

    /// A flat set with a value for each name, to be filled by the caller.
    ///
    /// The slots are empty at first and must all be set before the set is seen by others.
    #[inline(always)]
    pub(crate) fn unfilled(heap: &Heap, keys: &'static Keys, origins: Origins) -> (Attrs, &'static [Slot]) {
        Attrs::unfilled_with(heap, keys, origins, 0)
    }

    /// The same with some words behind the values.
    #[inline(always)]
    pub(super) fn unfilled_with(
        heap: &Heap,
        keys: &'static Keys,
        origins: Origins,
        behind: usize,
    ) -> (Attrs, &'static [Slot]) {
        Attrs::in_words(heap.words(Attrs::HEAD + keys.names().len() + behind), keys, origins)
    }

    #[inline(always)]
    fn in_words(object: NonNull<u64>, keys: &'static Keys, origins: Origins) -> (Attrs, &'static [Slot]) {
        let length = keys.names().len();
        // SAFETY: the object is fresh and has room for names, origins and a slot for each name.
        unsafe {
            object.write(std::ptr::from_ref(keys).expose_provenance() as u64);
            object.add(1).write(origins.to_bits());
            let attrs = Attrs(object);
            (attrs, attrs.slots_unchecked(length))
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

    /// Tells which names the set has and where it has them; sets with the same word have them in the same places, but for
    /// stacked ones.
    #[inline(always)]
    pub(crate) fn header(self) -> u64 {
        // SAFETY: a set starts with its names, its shape or its stacked mark.
        unsafe { self.0.read() }
    }

    #[inline(always)]
    fn form(self) -> Form {
        let header = self.header();
        let address = (header & !SHARED) as usize;
        if header & (STACKED | SHARED) == 0 {
            // SAFETY: the header of a flat set is the address of its names, which stay.
            let keys = unsafe { &*std::ptr::with_exposed_provenance::<Keys>(address) };
            Form::Plain(Plain { keys, set: self, shape: None })
        } else if header & STACKED == 0 {
            // SAFETY: the header of a shared set is the address of its shape, which stays, and a mark.
            let shape = unsafe { &*std::ptr::with_exposed_provenance::<Shape>(address) };
            Form::Plain(Plain { keys: shape.keys, set: self, shape: Some(shape) })
        } else {
            // SAFETY: the second and third word of a stacked set are sets.
            let set = |index| unsafe { Attrs(Value::from_bits(self.0.add(index).read()).object()) };
            Form::Stacked { base: set(1), top: set(2), size: (header >> SIZE_SHIFT) as usize }
        }
    }

    /// The set, if it isn't stacked.
    #[inline(always)]
    pub(crate) fn plain(self) -> Option<Plain> {
        match self.form() {
            Form::Plain(plain) => Some(plain),
            Form::Stacked { .. } => None,
        }
    }

    /// A layer of a shared set.
    ///
    /// # Safety
    /// The set must be shared and have so many layers.
    #[inline(always)]
    unsafe fn layer(self, index: usize) -> Attrs {
        // SAFETY: behind the shape there are the layers, as values.
        Attrs(unsafe { Value::from_bits(self.0.add(1 + index).read()) }.object())
    }

    /// The slot of the name with this index in a flat set.
    ///
    /// # Safety
    /// The set must be flat and have more than `index` names.
    #[inline(always)]
    unsafe fn slot_unchecked(self, index: usize) -> &'static Slot {
        // SAFETY: the caller vouches for the slot's being there.
        unsafe { self.0.add(2 + index).cast::<Slot>().as_ref() }
    }

    /// The slots of a flat set.
    ///
    /// # Safety
    /// The set must be flat and have so many names.
    #[inline(always)]
    unsafe fn slots_unchecked(self, count: usize) -> &'static [Slot] {
        // SAFETY: behind names and origins there is a slot for each name.
        unsafe { std::slice::from_raw_parts(self.0.add(2).as_ptr().cast::<Slot>(), count) }
    }

    /// The names and slots of a set that is known to be flat.
    #[inline]
    pub(super) fn flat_parts(self) -> (&'static [Symbol], &'static [Slot]) {
        let flat = self.flatten();
        (flat.keys.names(), flat.slots().expect("a set that was made to be filled is flat"))
    }

    /// The slot at a place that [`Plain::place`] has given for a set with the same header.
    ///
    /// # Safety
    /// It must be one.
    #[inline(always)]
    pub(crate) unsafe fn slot_at(self, header: u64, place: usize) -> &'static Slot {
        // SAFETY: places are indices in flat sets, and picks in shared ones.
        unsafe {
            if header & SHARED == 0 {
                return self.slot_unchecked(place);
            }
            let pick = Pick::of_bits(place);
            self.layer(pick.layer()).slot_unchecked(pick.index())
        }
    }

    /// Where the attributes of a flat set were written.
    #[inline(always)]
    pub(super) fn own_origins(self) -> Origins {
        debug_assert!(self.header() & (STACKED | SHARED) == 0);
        // SAFETY: they follow the names.
        unsafe { Origins::from_bits(self.0.add(1).read()) }
    }

    /// Where the set was written down, if it was.
    pub(crate) fn braces(self) -> Pos {
        match self.form() {
            Form::Plain(Plain { shape: None, .. }) => self.own_origins().braces(),
            _ => Pos::NONE,
        }
    }

    /// The number of attributes.
    #[inline]
    pub fn len(self) -> usize {
        self.flatten().len()
    }

    /// A number of attributes that there are no more of: what several sets on a stack have is counted for each. To count
    /// them exactly means to look for each attribute of one in all others.
    #[inline]
    pub(crate) fn most(self) -> usize {
        match self.form() {
            Form::Plain(plain) => plain.len(),
            Form::Stacked { size, .. } => size,
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.most() == 0
    }

    /// The flat set that has an attribute, and its index there.
    #[inline]
    pub(super) fn lookup(self, name: Symbol) -> Option<(Attrs, usize)> {
        match self.form() {
            Form::Plain(plain) => plain.keys.find(name).map(|index| plain.entry(index)),
            Form::Stacked { .. } => self.lookup_in_stack(name),
        }
    }

    /// The place of a value.
    #[inline]
    pub(crate) fn slot(self, name: Symbol) -> Option<&'static Slot> {
        // SAFETY: that is where it was found.
        self.lookup(name).map(|(flat, index)| unsafe { flat.slot_unchecked(index) })
    }

    /// The value of an attribute.
    #[inline]
    pub fn get(self, name: Symbol) -> Option<Value> {
        self.slot(name).map(Slot::get)
    }

    /// An attribute with its position.
    pub fn get_attr(self, name: Symbol) -> Option<Attr> {
        let (flat, index) = self.lookup(name)?;
        // SAFETY: that is where it was found.
        let value = unsafe { flat.slot_unchecked(index) }.get();
        Some(Attr { name, value, origins: flat.own_origins(), index: index as u32 })
    }

    /// Whether there is such an attribute.
    pub fn contains(self, name: Symbol) -> bool {
        self.lookup(name).is_some()
    }

    /// The attributes that have one of these names, both in the order of the names' numbers.
    pub(crate) fn among(self, names: &[Symbol]) -> Vec<Attr> {
        let set = match self.form() {
            Form::Plain(set) => set,
            Form::Stacked { base, top, .. } => return self.among_in_stack(base, top, names),
        };
        if names.len() * SEARCHED_RATIO < set.len() {
            return names.iter().filter_map(|name| Some(set.attr(set.keys.find(*name)?))).collect();
        }
        let is_searched = set.len() * SEARCHED_RATIO < names.len();
        let mut rest = names;
        let named = set.keys.names().iter().enumerate().filter(|(_, name)| {
            if is_searched {
                return names.binary_search(name).is_ok();
            }
            while rest.first().is_some_and(|other| other < *name) {
                rest = &rest[1..];
            }
            rest.first() == Some(*name)
        });
        named.map(|(index, _)| set.attr(index)).collect()
    }

    /// The attributes by symbol number: quick, and in the same order for all sets, but not in the order of
    /// names.
    pub fn iter(self) -> AttrsIter {
        let plain = self.flatten();
        AttrsIter { plain, next: 0, end: plain.len() }
    }

    /// The attributes in the order of their names' bytes.
    pub fn by_name(self) -> impl ExactSizeIterator<Item = Attr> + DoubleEndedIterator {
        let plain = self.flatten();
        plain.keys.name_order().iter().map(move |index| plain.attr(*index as usize))
    }

    /// A form that can be walked over, which a stacked set gets when it is first asked for.
    #[inline(always)]
    pub(crate) fn flatten(self) -> Plain {
        match self.form() {
            Form::Plain(plain) => plain,
            Form::Stacked { base, top, .. } => self.flatten_stack(base, top),
        }
    }

    /// `self // other`
    pub(crate) fn update(self, heap: &Heap, other: Attrs) -> Attrs {
        self.update_as(heap, other, |_| {})
    }

    /// The same, of a place in the code where mostly the same two kinds of sets come.
    #[inline]
    pub(crate) fn update_as_last(self, heap: &Heap, other: Attrs, last: &LastMerge) -> Attrs {
        let kind = |set: Attrs| (set.header() & !SHARED) as usize;
        match last.plan((kind(self), kind(other))) {
            Some(Plan::Share(plan)) => share(heap, plan, self, other),
            _ => self.update_as(heap, other, |merge| last.note(merge)),
        }
    }

    fn update_as(self, heap: &Heap, other: Attrs, note: impl Fn(Planned)) -> Attrs {
        let sides = self.plain().zip(other.plain());
        let (left, right) = match sides {
            Some((left, right)) => (left.len(), right.len()),
            None => (self.most(), other.most()),
        };
        if left == 0 {
            return other;
        }
        if right == 0 {
            return self;
        }
        let note_and_merge = |planned: Planned, left, right| {
            note(planned);
            merge(heap, planned.plan(), left, right)
        };
        let is_large = left.max(right) >= LARGE;
        let is_lopsided = left >= STACK_FROM && left >= right * STACK_RATIO;
        if (is_large || is_lopsided) && (sides.is_some() || other.depth() + 1 < MAX_DEPTH) {
            let plain = if is_large { None } else { sides };
            let planned =
                plain.and_then(|(left, right)| Some((Planned::of_met(heap, left, right)?, left, right)));
            return match planned {
                Some((planned, left, right)) => note_and_merge(planned, left, right),
                None => self.stack(heap, other),
            };
        }
        let (left, right) = sides.unwrap_or_else(|| (self.flatten(), other.flatten()));
        if std::ptr::eq(left.keys, right.keys) {
            return other;
        }
        note_and_merge(Planned::of(heap, left, right), left, right)
    }

    /// A set of attributes sorted by symbol, without doubles.
    pub(crate) fn from_sorted(heap: &Heap, attrs: &[Attr]) -> Attrs {
        Attrs::in_braces(heap, Pos::NONE, attrs)
    }

    /// The same, of a set that was written down.
    pub(crate) fn in_braces(heap: &Heap, braces: Pos, attrs: &[Attr]) -> Attrs {
        const FEW: usize = 16;
        let names = attrs.iter().map(|attr| attr.name);
        let mut few = [Symbol::EMPTY; FEW];
        let keys = match few.get_mut(..attrs.len()) {
            Some(few) => {
                few.iter_mut().zip(names).for_each(|(place, name)| *place = name);
                Keys::of(heap, few)
            }
            None => Keys::of(heap, &names.collect::<Vec<_>>()),
        };
        let has_origins = attrs.iter().any(|attr| attr.origins != Origins::NONE);
        let origins = if has_origins {
            Origins::listed(heap, braces, attrs.iter().map(Attr::pos))
        } else {
            Origins::single(braces)
        };
        Attrs::from_values(heap, keys, origins, attrs.iter().map(|attr| attr.value))
    }

    /// The attributes with other names than these, which are sorted. `rest` says what is left, if it knows.
    pub(crate) fn without(
        self,
        heap: &Heap,
        names: &[Symbol],
        rest: impl FnOnce(Plain) -> Option<Rest>,
    ) -> Attrs {
        match self.plain() {
            Some(set) if set.len() < LARGE => {
                if let Some(rest) = rest(set) {
                    return self.rest(heap, set, rest);
                }
            }
            None if !names.iter().any(|name| self.contains(*name)) => return self,
            _ => {}
        }
        let set = self.flatten();
        let (kept, indices) = others(set.keys.names(), names);
        if kept.len() == set.len() {
            return self;
        }
        let values = indices.into_iter().map(|index| set.value(index));
        Attrs::from_values(heap, Keys::of(heap, &kept), Origins::within(self), values)
    }

    fn rest(self, heap: &Heap, set: Plain, rest: Rest) -> Attrs {
        match rest {
            Rest::All => self,
            Rest::Part(Plan::Share(plan)) => share(heap, plan, set.set, set.set),
            Rest::Part(Plan::Copy(plan)) => {
                let values = (0..plan.picks().len()).map(|index| set.value(plan.pick(index).1));
                Attrs::from_values(heap, plan.keys, Origins::within(self), values)
            }
        }
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
            Form::Plain(Plain { shape: None, .. }) => self.own_origins() != Origins::NONE,
            _ => true,
        }
    }
}

fn merge(heap: &Heap, plan: Plan, left: Plain, right: Plain) -> Attrs {
    match plan {
        Plan::Copy(plan) => copy(heap, plan, left, right),
        Plan::Share(plan) => share(heap, plan, left.set, right.set),
    }
}

fn copy(heap: &Heap, plan: &'static MergePlan, left: Plain, right: Plain) -> Attrs {
    let origins = Origins::merged(heap, plan, left.origins(), right.origins());
    let (attrs, slots) = Attrs::unfilled(heap, plan.keys, origins);
    if let (Some(left), Some(right)) = (left.slots(), right.slots()) {
        // Which side it is can't be guessed, so there is no branch for it.
        let sides = [left, right];
        for (slot, pick) in slots.iter().zip(plan.picks()) {
            slot.set(sides[(pick & 1) as usize][(pick >> 1) as usize].get());
        }
    } else {
        let sides = [left, right];
        for (slot, pick) in slots.iter().zip(plan.picks()) {
            slot.set(sides[(pick & 1) as usize].value((pick >> 1) as usize));
        }
    }
    attrs
}

/// Both sides must be flat or shared.
fn share(heap: &Heap, plan: &'static SharePlan, left: Attrs, right: Attrs) -> Attrs {
    let sources = plan.sources();
    let object = heap.words(1 + sources.len());
    // SAFETY: a fresh object with room for a shape and the layers.
    unsafe { object.write(std::ptr::from_ref(plan.shape).expose_provenance() as u64 | SHARED) };
    for (index, source) in sources.iter().enumerate() {
        let side = if source.is_right() { right } else { left };
        let layer = if side.header() & SHARED == 0 {
            side
        } else {
            // SAFETY: plans name the layers that sets of this shape have.
            unsafe { side.layer(source.layer()) }
        };
        // SAFETY: as above.
        unsafe { object.add(1 + index).write(Value::from(layer).to_bits()) };
    }
    Attrs(object)
}

/// Iterator over a set's attributes by symbol number.
pub struct AttrsIter {
    plain: Plain,
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
        Some(self.plain.attr(index))
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
            self.plain.attr(self.end)
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
