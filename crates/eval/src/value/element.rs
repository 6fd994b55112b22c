//! Elements that `map` and its like make: a function applied to what is in something else.
//!
//! All elements of one result share one object, `{ function, source, result }`, and need no other memory than
//! their places in the result: which element a thunk is follows from its place.

use std::ptr::NonNull;

use nival_syntax::Symbol;

use super::slot::{Slot, Suspension};
use super::{Attrs, Keys, List, ListBuilder, Origins, Value};
use crate::memory::Heap;

/// What made an element.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// `genList`. There is no source.
    Generated,
    /// `map`, of a list.
    Mapped,
    /// `mapAttrs`, of a set.
    MappedAttr,
    /// `zipAttrsWith`, of a list of lists.
    Zipped,
}

impl Kind {
    pub(super) const COUNT: u8 = 4;

    /// # Safety
    /// The number must be that of a kind.
    #[inline(always)]
    pub(super) unsafe fn from_number(number: u64) -> Kind {
        debug_assert!(number < u64::from(Kind::COUNT));
        // SAFETY: the caller vouches for the number.
        unsafe { std::mem::transmute::<u8, Kind>(number as u8) }
    }
}

/// An element to be computed.
#[derive(Clone, Copy)]
pub(crate) struct Element {
    kind: Kind,
    object: NonNull<u64>,
    place: &'static Slot,
}

/// What the function of an element is applied to.
pub(crate) enum Arguments {
    Index(usize),
    Value(Value),
    NameAndValue(Symbol, Value),
}

impl Element {
    /// # Safety
    /// The object must be one of [`share`], for this kind, and the place one of the result in it.
    #[inline(always)]
    pub(super) unsafe fn new(kind: Kind, object: NonNull<u64>, place: &'static Slot) -> Element {
        Element { kind, object, place }
    }

    fn value(self, index: usize) -> Value {
        // SAFETY: the object has three values.
        unsafe { Value::from_bits(self.object.add(index).read()) }
    }

    pub(crate) fn function(self) -> Value {
        self.value(0)
    }

    pub(crate) fn arguments(self) -> Arguments {
        let (source, result) = (self.value(1).object(), self.value(2).object());
        let index_in = |slots: &[Slot]| {
            (std::ptr::from_ref(self.place).addr() - slots.as_ptr().addr()) / size_of::<Slot>()
        };
        match self.kind {
            Kind::Generated => Arguments::Index(index_in(List::of_object(result).slots())),
            Kind::Mapped => {
                let index = index_in(List::of_object(result).slots());
                Arguments::Value(List::of_object(source).slots()[index].get())
            }
            Kind::MappedAttr => {
                let (source, result) = (Attrs::of_object(source), Attrs::of_object(result));
                let index = index_in(result.flat_slots());
                let name = result.flatten().keys.names()[index];
                let value = match source.plain() {
                    Some(plain) => plain.value(index),
                    None => source.get(name).expect("the result has the names of the source"),
                };
                Arguments::NameAndValue(name, value)
            }
            Kind::Zipped => {
                let result = Attrs::of_object(result);
                let index = index_in(result.flat_slots());
                let values = List::of_object(source).slots()[index].get();
                Arguments::NameAndValue(result.flatten().keys.names()[index], values)
            }
        }
    }
}

/// Makes thunks of the places of a result.
fn share(heap: &Heap, kind: Kind, values: [Value; 3], places: &[Slot]) {
    let object = heap.words(3);
    for (index, value) in values.into_iter().enumerate() {
        // SAFETY: three fresh words.
        unsafe { object.add(index).write(value.to_bits()) };
    }
    let suspension = Suspension::element(kind, object);
    for place in places {
        place.suspend(suspension);
    }
}

impl List {
    /// A list of what the function makes of the indices.
    pub(crate) fn generated(heap: &Heap, function: Value, length: usize) -> List {
        let result = ListBuilder::unfilled(heap, length);
        share(heap, Kind::Generated, [function, result.into(), result.into()], result.slots());
        result
    }

    /// A list of what the function makes of the elements.
    pub(crate) fn mapped(heap: &Heap, function: Value, source: List) -> List {
        let result = ListBuilder::unfilled(heap, source.len());
        share(heap, Kind::Mapped, [function, source.into(), result.into()], result.slots());
        result
    }
}

impl Attrs {
    /// A set of what the function makes of names and values.
    pub(crate) fn mapped(heap: &Heap, function: Value, source: Attrs) -> Attrs {
        let (result, places) = Attrs::unfilled(heap, source.keys(heap), Origins::NONE);
        share(heap, Kind::MappedAttr, [function, source.into(), result.into()], places);
        result
    }

    /// A set of what the function makes of names and the values in a list.
    pub(crate) fn zipped(heap: &Heap, function: Value, names: &[Symbol], values: List) -> Attrs {
        let (result, places) = Attrs::unfilled(heap, Keys::of(heap, names), Origins::NONE);
        share(heap, Kind::Zipped, [function, values.into(), result.into()], places);
        result
    }
}
