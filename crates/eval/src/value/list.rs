//! Lists.

use std::ptr::NonNull;

use super::{Slot, Value};
use crate::memory::{Heap, Sighted};

/// A list value: `{ length, values… }`.
#[derive(Clone, Copy)]
pub struct List(NonNull<u64>);

// SAFETY: a list is written before it is published; later writes go through atomic slots.
unsafe impl Send for List {}
// SAFETY: as above.
unsafe impl Sync for List {}

impl List {
    /// How many words come before the elements.
    pub(super) const HEAD: usize = 1;

    #[inline(always)]
    pub(super) fn of_object(object: NonNull<u64>) -> List {
        List(object)
    }

    #[inline(always)]
    pub(super) fn object(self) -> NonNull<u64> {
        self.0
    }

    pub(crate) fn new(heap: &Heap, values: &[Value]) -> List {
        let mut builder = ListBuilder::new(heap, values.len());
        for value in values {
            builder.push(*value);
        }
        builder.finish()
    }

    /// A list whose slots the caller sets before it is seen by others.
    #[inline(always)]
    pub(crate) fn unfilled(heap: &Heap, length: usize) -> List {
        ListBuilder::unfilled(heap, length, 0)
    }

    /// Where it is, which tells it from other lists.
    pub(crate) fn sighted(self) -> Sighted {
        Sighted::at(self.0.as_ptr().addr())
    }

    /// The number of elements.
    #[inline]
    pub fn len(self) -> usize {
        // SAFETY: a list object starts with its length.
        unsafe { self.0.read() as usize }
    }

    /// Whether there are no elements.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn slots(self) -> &'static [Slot] {
        // SAFETY: the object has that many slots after its length and lives as long as the process.
        unsafe { std::slice::from_raw_parts(self.0.add(1).as_ptr().cast::<Slot>(), self.len()) }
    }

    /// The element at `index`.
    #[inline]
    pub fn get(self, index: usize) -> Option<Value> {
        self.slots().get(index).map(Slot::get)
    }

    /// The elements in order.
    #[inline]
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Value> + ExactSizeIterator + 'static {
        self.slots().iter().map(Slot::get)
    }

    /// The elements in a vector.
    pub fn to_vec(self) -> Vec<Value> {
        self.iter().collect()
    }
}

/// Fills a list whose length is known before.
pub struct ListBuilder {
    list: List,
    filled: usize,
}

impl ListBuilder {
    pub(crate) fn new(heap: &Heap, length: usize) -> ListBuilder {
        ListBuilder { list: ListBuilder::unfilled(heap, length, 0), filled: 0 }
    }

    /// A list whose slots must all be set before it is seen by others, with some words behind them.
    #[inline(always)]
    pub(super) fn unfilled(heap: &Heap, length: usize, behind: usize) -> List {
        let object = heap.words(List::HEAD + length + behind);
        // SAFETY: a fresh object of at least one word.
        unsafe { object.write(length as u64) };
        List(object)
    }

    /// Adds the next element.
    ///
    /// # Panics
    /// When there are already as many elements as were announced.
    #[inline]
    pub fn push(&mut self, value: Value) {
        self.list.slots()[self.filled].set(value);
        self.filled += 1;
    }

    /// The list.
    ///
    /// # Panics
    /// When elements are missing.
    #[inline]
    pub fn finish(self) -> List {
        assert_eq!(self.filled, self.list.len(), "a list is filled before it is used");
        self.list
    }
}
