//! Frames: the values of variables, `{ up, values… }`.
//!
//! A frame is local as long as nothing refers to it but what runs in it and what is in local frames: these end before it
//! does, and then it is used again. It escapes when a reference to it (a thunk, a function, the place of a variable that is
//! not evaluated) gets into any other object. Where a call has put such references into the frame of the function that it
//! calls, they escape when that one has.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::memory::Heap;
use crate::value::{Slot, Value};

/// Set in the first word of a local frame, above which there may be others that are local.
pub(crate) const LOCAL: u64 = 1;

/// A frame, or the empty one outside of everything.
#[derive(Clone, Copy)]
pub(crate) struct Env(Option<NonNull<u64>>);

// SAFETY: all words are atomic once the frame is published.
unsafe impl Send for Env {}
// SAFETY: as above.
unsafe impl Sync for Env {}

impl Env {
    pub(crate) const ROOT: Env = Env(None);

    /// A local frame whose values are still to be set: as long as they are not, anything may be in their places. Whoever
    /// makes it calls [`Env::leave`] in the end.
    #[inline(always)]
    pub(crate) fn local(heap: &Heap, up: Env, size: u32) -> Env {
        let object = heap.words_again(1 + size as usize);
        // SAFETY: a fresh object of at least one word.
        unsafe { object.write(up.to_bits() | LOCAL) };
        Env(Some(object))
    }

    /// A frame that escapes at once.
    pub(crate) fn escaped(heap: &Heap, up: Env, size: u32) -> Env {
        up.escape();
        let object = heap.words(1 + size as usize);
        // SAFETY: a fresh object of at least one word.
        unsafe { object.write(up.to_bits()) };
        Env(Some(object))
    }

    /// Makes all values unset, where that is asked for.
    #[inline(always)]
    pub(crate) fn unset(self, size: u32) {
        for index in 0..size {
            self.slot(index).unset();
        }
    }

    /// Puts the first values of another frame into this one, `count` of them.
    pub(crate) fn continue_from(self, other: Env, count: u32) {
        for index in 0..count {
            self.set(index, other.slot(index).get());
        }
    }

    /// Says that something which is not in a local frame will refer to this one, or has got what is in a place of it.
    #[inline(always)]
    pub(crate) fn escape(self) {
        if self.is_local() {
            let up = self.up();
            self.first_word().store(up.to_bits(), Ordering::Relaxed);
            if up.is_local() {
                up.escape_with_those_around();
            }
        }
    }

    #[cold]
    fn escape_with_those_around(self) {
        self.escape();
    }

    #[inline(always)]
    fn is_local(self) -> bool {
        self.0.is_some() && self.first_word().load(Ordering::Relaxed) & LOCAL != 0
    }

    /// Takes back the frame when what ran in it has come to a result, if it is local. If not, that in which the call is
    /// escapes too, as its variables may be in this one.
    #[inline(always)]
    pub(crate) fn leave(self, heap: &Heap, size: u32, result: &Result<Value>, caller: Env) {
        if let Ok(value) = result {
            value.escape();
        }
        match self.0 {
            Some(object) if self.is_local() => {
                if result.is_ok() {
                    heap.take_back(object, 1 + size as usize);
                }
            }
            _ => caller.escape(),
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
    pub(crate) fn up(self) -> Env {
        // SAFETY: a frame's first word is another frame, with or without the mark.
        unsafe { Env::from_bits(self.first_word().load(Ordering::Relaxed) & !LOCAL) }
    }

    #[inline(always)]
    fn first_word(self) -> &'static AtomicU64 {
        debug_assert!(self.0.is_some(), "scopes were resolved before");
        // SAFETY: resolved depths never lead beyond the root.
        unsafe { self.0.unwrap_unchecked().cast::<AtomicU64>().as_ref() }
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
    use crate::memory::era;

    const SIZE: u32 = 2;

    fn frame(heap: &Heap, up: Env) -> Env {
        Env::local(heap, up, SIZE)
    }

    #[test]
    fn a_local_frame_is_used_again() {
        let heap = Heap::new();
        let first = frame(&heap, Env::ROOT);
        first.set(1, Value::TRUE);
        // Whether it came last or not.
        for _ in 0..2 {
            let before = era();
            first.leave(&heap, SIZE, &Ok(Value::TRUE), Env::ROOT);
            assert_ne!(era(), before);
            let again = frame(&heap, Env::ROOT);
            assert_eq!(again.to_bits(), first.to_bits());
            again.unset(SIZE);
            assert!(again.slot(1).get_if_set().is_none());
            heap.words(1);
        }
        assert_ne!(frame(&heap, Env::ROOT).to_bits(), first.to_bits());
    }

    #[test]
    fn what_escapes_stays_with_all_around() {
        let heap = Heap::new();
        let outer = frame(&heap, Env::ROOT);
        let caller = frame(&heap, outer);
        let inner = frame(&heap, caller);
        let callee = frame(&heap, Env::ROOT);
        callee.escape();
        assert!(inner.is_local());
        callee.leave(&heap, SIZE, &Ok(Value::TRUE), inner);
        let frames = [callee, inner, caller, outer];
        for frame in frames {
            assert!(!frame.is_local());
            frame.leave(&heap, SIZE, &Ok(Value::TRUE), Env::ROOT);
        }
        assert_eq!(
            frames.map(Env::up).map(Env::to_bits),
            [Env::ROOT, caller, outer, Env::ROOT].map(Env::to_bits)
        );
        let next = frame(&heap, Env::ROOT);
        assert!(frames.iter().all(|frame| frame.to_bits() != next.to_bits()));
    }

    #[test]
    fn what_failed_is_not_used_again() {
        let heap = Heap::new();
        let failed = frame(&heap, Env::ROOT);
        failed.leave(&heap, SIZE, &Err(crate::EvalError::other("failed")), Env::ROOT);
        assert_ne!(frame(&heap, Env::ROOT).to_bits(), failed.to_bits());
    }
}
