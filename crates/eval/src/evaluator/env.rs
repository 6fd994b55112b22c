//! Frames: the values of variables, `{ up, values… }`.

use std::ptr::NonNull;

use crate::error::Result;
use crate::memory::Heap;
use crate::value::{Slot, Tag, Value};

/// A frame, or the empty one outside of everything.
#[derive(Clone, Copy)]
pub(crate) struct Env(Option<NonNull<u64>>);

// SAFETY: `up` is written before the frame is published; the rest are atomic slots.
unsafe impl Send for Env {}
// SAFETY: as above.
unsafe impl Sync for Env {}

impl Env {
    pub(crate) const ROOT: Env = Env(None);

    /// A frame whose values are still to be set.
    #[inline(always)]
    pub(crate) fn new(heap: &Heap, up: Env, size: u32) -> Env {
        let object = heap.words(1 + size as usize);
        // SAFETY: a fresh object of at least one word.
        unsafe { object.write(up.to_bits()) };
        Env(Some(object))
    }

    /// A frame with the first values of this one, `count` of them, and room for others.
    pub(crate) fn continued(self, heap: &Heap, count: u32, size: u32) -> Env {
        let frame = Env::new(heap, self.up(), size);
        for index in 0..count {
            frame.set(index, self.slot(index).get());
        }
        frame
    }

    /// Gives the frame back when what ran in it has come to a result, if nothing can refer to it any more: thunks and
    /// functions do so, and who was handed a variable that is not evaluated. Those are in objects that were allocated later
    /// (which [`Heap::take_back`] sees) or are the result. Places that were there before may have got values meanwhile,
    /// but only those of computations that could not come to know this frame.
    #[inline(always)]
    pub(crate) fn leave(self, heap: &Heap, size: u32, result: &Result<Value>) {
        if let (Some(object), Ok(value)) = (self.0, result)
            && !matches!(value.tag(), Tag::Lambda | Tag::Thunk)
        {
            heap.take_back(object, 1 + size as usize);
        }
    }

    #[inline(always)]
    pub(crate) fn to_bits(self) -> u64 {
        self.0.map_or(0, |object| object.as_ptr().expose_provenance() as u64)
    }

    /// # Safety
    /// `bits` must come from [`Env::to_bits`].
    #[inline(always)]
    pub(crate) unsafe fn from_bits(bits: u64) -> Env {
        Env(NonNull::new(std::ptr::with_exposed_provenance_mut(bits as usize)))
    }

    /// The frame `depth` steps outwards.
    #[inline(always)]
    pub(crate) fn outer(self, depth: u32) -> Env {
        let mut env = self;
        for _ in 0..depth {
            env = env.up();
        }
        env
    }

    #[inline(always)]
    fn up(self) -> Env {
        debug_assert!(self.0.is_some(), "scopes were resolved before");
        // SAFETY: resolved depths never lead beyond the root; a frame's first word is another frame.
        unsafe { Env::from_bits(self.0.unwrap_unchecked().read()) }
    }

    #[inline(always)]
    pub(crate) fn slot(self, index: u32) -> &'static Slot {
        debug_assert!(self.0.is_some(), "scopes were resolved before");
        // SAFETY: resolved indices lie within the frame, and resolved depths never lead to the root.
        unsafe { self.0.unwrap_unchecked().add(1 + index as usize).cast::<Slot>().as_ref() }
    }

    #[inline(always)]
    pub(crate) fn set(self, index: u32, value: Value) {
        self.slot(index).set(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_given_back_where_it_is_the_last() {
        let heap = Heap::new();
        let leave = |frame: Env, result: Value| frame.leave(&heap, 2, &Ok(result));
        let last = Env::new(&heap, Env::ROOT, 2);
        last.set(1, Value::TRUE);
        let era = heap.era();
        leave(last, Value::TRUE);
        let again = Env::new(&heap, Env::ROOT, 2);
        assert_eq!(again.to_bits(), last.to_bits());
        assert!(again.slot(1).get_if_set().is_none());
        assert_ne!(heap.era(), era);
        // What came later may refer to it.
        let later = Env::new(&heap, again, 2);
        assert_ne!(later.to_bits(), again.to_bits());
        leave(again, Value::TRUE);
        assert_ne!(Env::new(&heap, Env::ROOT, 2).to_bits(), again.to_bits());
    }
}
