//! Elements that `map` and its like make: a function applied to what is in something else.
//!
//! All elements of one result share two words behind the places of the result, `{ function, source }`, and need no other
//! memory than these places: which element a thunk is follows from its place.

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

    /// How many words come before the places of a result.
    fn head(self) -> usize {
        match self {
            Kind::Generated | Kind::Mapped => List::HEAD,
            Kind::MappedAttr | Kind::Zipped => Attrs::HEAD,
        }
    }
}

/// An element to be computed.
#[derive(Clone, Copy)]
pub(crate) struct Element {
    kind: Kind,
    result: NonNull<u64>,
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
    /// The result must be one that [`share`] has seen, for this kind, and the place one of those in it.
    #[inline(always)]
    pub(super) unsafe fn new(kind: Kind, result: NonNull<u64>, place: &'static Slot) -> Element {
        Element { kind, result, place }
    }

    /// The result's names, if it is a set, and its places.
    #[inline(always)]
    fn places(self) -> (&'static [Symbol], &'static [Slot]) {
        match self.kind {
            Kind::Generated | Kind::Mapped => (&[], List::of_object(self.result).slots()),
            Kind::MappedAttr | Kind::Zipped => Attrs::of_object(self.result).flat_parts(),
        }
    }

    /// What the elements of a result with so many share: the function and the source.
    #[inline(always)]
    fn shared(self, count: usize) -> [Value; SHARED] {
        // SAFETY: `share` has put these values behind the places of the result.
        [0, 1].map(|index| unsafe {
            Value::from_bits(self.result.add(self.kind.head() + count + index).read())
        })
    }

    pub(crate) fn function(self) -> Value {
        self.shared(self.places().1.len())[0]
    }

    /// The function, and what it is applied to.
    pub(crate) fn call(self) -> (Value, Arguments) {
        let (names, places) = self.places();
        let [function, source] = self.shared(places.len());
        let index = (std::ptr::from_ref(self.place).addr() - places.as_ptr().addr()) / size_of::<Slot>();
        let in_list = || List::of_object(source.object()).slots()[index].get();
        let arguments = match self.kind {
            Kind::Generated => Arguments::Index(index),
            Kind::Mapped => Arguments::Value(in_list()),
            Kind::MappedAttr => {
                let (source, name) = (Attrs::of_object(source.object()), names[index]);
                let value = match source.plain() {
                    Some(plain) => plain.value(index),
                    None => source.get(name).expect("the result has the names of the source"),
                };
                Arguments::NameAndValue(name, value)
            }
            Kind::Zipped => Arguments::NameAndValue(names[index], in_list()),
        };
        (function, arguments)
    }
}

/// So many words are behind the places of a result.
const SHARED: usize = 2;

/// Makes thunks of the places of a result, which has room for what they share behind them.
fn share(kind: Kind, result: NonNull<u64>, places: &[Slot], shared: [Value; SHARED]) {
    for (index, value) in shared.into_iter().enumerate() {
        // SAFETY: the result was made with so many words behind its places.
        unsafe { result.add(kind.head() + places.len() + index).write(value.to_bits()) };
    }
    let suspension = Suspension::element(kind, result);
    for place in places {
        place.suspend(suspension);
    }
}

impl List {
    /// A list of what the function makes of the indices.
    pub(crate) fn generated(heap: &Heap, function: Value, length: usize) -> List {
        let result = ListBuilder::unfilled(heap, length, SHARED);
        share(Kind::Generated, result.object(), result.slots(), [function, Value::NULL]);
        result
    }

    /// A list of what the function makes of the elements.
    pub(crate) fn mapped(heap: &Heap, function: Value, source: List) -> List {
        let result = ListBuilder::unfilled(heap, source.len(), SHARED);
        share(Kind::Mapped, result.object(), result.slots(), [function, source.into()]);
        result
    }
}

impl Attrs {
    /// A set of what the function makes of names and values.
    pub(crate) fn mapped(heap: &Heap, function: Value, source: Attrs) -> Attrs {
        let keys = source.keys(heap);
        let (result, places) = Attrs::unfilled_with(heap, keys, Origins::NONE, SHARED);
        share(Kind::MappedAttr, result.object(), places, [function, source.into()]);
        result
    }

    /// A set of what the function makes of names and the values in a list.
    pub(crate) fn zipped(heap: &Heap, function: Value, names: &[Symbol], values: List) -> Attrs {
        let (result, places) = Attrs::unfilled_with(heap, Keys::of(heap, names), Origins::NONE, SHARED);
        share(Kind::Zipped, result.object(), places, [function, values.into()]);
        result
    }
}
