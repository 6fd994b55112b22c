//! Places for values, which are thunks too.
//!
//! What is still to be computed is in the very place where the value will be: one word says which code to run
//! in which frame. Who copies a value that is not computed yet gets the address of its place instead. The
//! word of a place is one of
//! - zero: nothing was put in yet,
//! - a value (any tag but that of thunks),
//! - a small number: the evaluator with that number is at work on it, which may be marked as an element,
//! - the address of another place: a value that was copied from there before it was computed,
//! - a [`Closure`]: code and frame, or why it failed, or what an element that `map` or its like made is made of
//!   (see [`super::element`]).

use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::element::{Element, Kind};
use super::{NUMBER_BITS, TAG_BITS, TAG_MASK, Tag, Value};
use crate::code::Code;
use crate::error::EvalError;
use crate::evaluator::Env;
use crate::memory::{CLOSURES_FROM, Closure, Heap, era};

/// A place in an object that holds a value or says how to compute it.
#[repr(transparent)]
pub(crate) struct Slot(AtomicU64);

/// Evaluator numbers, and the mark beside them, are below this, addresses above.
const OWNER_LIMIT: u64 = 1 << 15;
/// Beside the number of an evaluator: it is at work on an element.
const ELEMENT: u64 = 1 << 14;

/// The number of a closure that failed. Those of elements come before.
const FAILED: u64 = Kind::COUNT as u64;

pub(crate) enum State {
    Suspended,
    Claimed(u32),
    Failed(&'static EvalError),
    Done(Value),
}

/// What a thunk computes.
pub(crate) enum Work {
    /// Runs code in a frame.
    Code(&'static Code, Env),
    /// Applies a function to an element.
    Element(Element),
}

/// What a thunk computes, as it is stored.
#[derive(Clone, Copy)]
pub(crate) struct Suspension(Closure);

impl Suspension {
    #[inline(always)]
    pub(crate) fn code(code: &'static Code, env: Env) -> Suspension {
        Suspension(Closure::new(code, env.to_bits()))
    }

    pub(super) fn element(kind: Kind, object: NonNull<u64>) -> Suspension {
        let object = object.as_ptr().expose_provenance() as u64;
        Suspension(Closure::numbered(kind as u64, object))
    }

    /// What a claimed thunk is to compute.
    #[inline(always)]
    pub(crate) fn work(self, thunk: Thunk) -> Work {
        // SAFETY: `code` and `element` make all suspensions, of code and frame and of an element's kind and
        // object.
        unsafe {
            match self.0.number() {
                None => Work::Code(self.0.code(), Env::from_bits(self.0.object())),
                Some(kind) => {
                    let object = std::ptr::with_exposed_provenance_mut(self.0.object() as usize);
                    let object = NonNull::new_unchecked(object);
                    Work::Element(Element::new(Kind::from_number(kind), object, thunk.0))
                }
            }
        }
    }
}

impl Slot {
    #[inline(always)]
    fn value_of(&self, word: u64) -> Value {
        debug_assert!(word != 0, "a place is filled before anyone reads it");
        if word & TAG_MASK == 0 && !(OWNER_LIMIT << TAG_BITS..CLOSURES_FROM).contains(&word) {
            return Value::from_object(NonNull::from(self).cast(), Tag::Thunk);
        }
        // SAFETY: this is a value with a tag, or the address of another place.
        unsafe { Value::from_bits(word) }
    }

    #[inline(always)]
    pub(crate) fn get(&'static self) -> Value {
        self.value_of(self.0.load(Ordering::Acquire))
    }

    /// The value, if it is evaluated and in this very place.
    #[inline(always)]
    pub(crate) fn known(&self) -> Option<Value> {
        let word = self.0.load(Ordering::Acquire);
        // SAFETY: a word with a tag is a value.
        (word & TAG_MASK != 0).then(|| unsafe { Value::from_bits(word) })
    }

    /// The other place that it leads to, if it does.
    #[inline(always)]
    pub(crate) fn elsewhere(&self) -> Option<Thunk> {
        let word = self.0.load(Ordering::Acquire);
        let leads = word & TAG_MASK == 0 && (OWNER_LIMIT << TAG_BITS..CLOSURES_FROM).contains(&word);
        // SAFETY: such a word is the address of another place, which lives as long as the process.
        leads.then(|| Thunk(unsafe { &*std::ptr::with_exposed_provenance(word as usize) }))
    }

    /// The value, if one was put in yet (frames are zeroed first and then filled).
    #[inline(always)]
    pub(crate) fn get_if_set(&'static self) -> Option<Value> {
        NonZeroU64::new(self.0.load(Ordering::Acquire)).map(|word| self.value_of(word.get()))
    }

    #[inline(always)]
    pub(crate) fn set(&self, value: Value) {
        self.0.store(value.to_bits(), Ordering::Release);
    }

    /// Makes it one that nothing was put in yet.
    #[inline(always)]
    pub(crate) fn unset(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// Makes it a thunk.
    #[inline(always)]
    pub(crate) fn suspend(&self, suspension: Suspension) {
        self.0.store(suspension.0.to_bits(), Ordering::Release);
    }
}

/// A place whose value is, or was, still to be computed.
#[derive(Clone, Copy)]
pub(crate) struct Thunk(&'static Slot);

impl PartialEq for Thunk {
    fn eq(&self, other: &Thunk) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Thunk {
    /// That of a place which leads to no other.
    #[inline(always)]
    pub(crate) fn at(place: &'static Slot) -> Thunk {
        Thunk(place)
    }

    /// The thunk a value points to.
    #[inline(always)]
    pub(crate) fn of(value: Value) -> Option<Thunk> {
        // SAFETY: the value of a thunk is the address of a place, which lives as long as the process.
        (value.tag() == Tag::Thunk).then(|| Thunk(unsafe { value.object().cast::<Slot>().as_ref() }))
    }

    /// A thunk in a place of its own.
    #[inline(always)]
    pub(crate) fn alone(heap: &Heap, suspension: Suspension) -> Value {
        let object = heap.words(1);
        // SAFETY: a fresh word.
        unsafe { object.write(suspension.0.to_bits()) };
        Value::from_object(object, Tag::Thunk)
    }

    /// The same where the place is given back.
    #[inline(always)]
    pub(crate) fn lent(heap: &Heap, suspension: Suspension) -> Value {
        let object = heap.words_again(1);
        // SAFETY: a fresh word.
        unsafe { object.write(suspension.0.to_bits()) };
        Value::from_object(object, Tag::Thunk)
    }

    /// Takes back the place of a thunk that was lent and that nobody has kept.
    #[inline(always)]
    pub(crate) fn take_back(self, heap: &Heap) {
        heap.take_back(NonNull::from(self.0).cast(), 1);
    }

    /// The value, if it is computed.
    #[inline(always)]
    pub(crate) fn result(self) -> Option<Value> {
        let word = self.0.0.load(Ordering::Acquire);
        // SAFETY: a word with a tag is a value.
        (word & TAG_MASK != 0).then(|| unsafe { Value::from_bits(word) })
    }

    pub(crate) fn state(self) -> State {
        let word = self.0.0.load(Ordering::Acquire);
        if word & TAG_MASK != 0 {
            // SAFETY: a word with a tag is a value.
            State::Done(unsafe { Value::from_bits(word) })
        } else if word < CLOSURES_FROM {
            State::Claimed((word >> TAG_BITS & !ELEMENT) as u32)
        } else {
            // SAFETY: other words of thunks are closures, and `fail` makes those with this number, of errors.
            unsafe {
                let closure = Closure::from_bits(word);
                if closure.number() != Some(FAILED) {
                    return State::Suspended;
                }
                State::Failed(&*std::ptr::with_exposed_provenance(closure.object() as usize))
            }
        }
    }

    /// The function that it applies, where it is an element that nobody began with.
    pub(crate) fn function(self) -> Option<Value> {
        let word = self.0.0.load(Ordering::Acquire);
        if word & TAG_MASK != 0 || word < CLOSURES_FROM {
            return None;
        }
        // SAFETY: such words of thunks are closures, and what did not fail is a suspension.
        let suspension = unsafe { Suspension(Closure::from_bits(word)) };
        match suspension.0.number() {
            None | Some(FAILED) => None,
            Some(_) => match suspension.work(self) {
                Work::Element(element) => Some(element.function()),
                Work::Code(..) => None,
            },
        }
    }

    /// Its code and frame, where it is some that nobody began with.
    pub(crate) fn code(self) -> Option<(&'static Code, Env)> {
        let word = self.0.0.load(Ordering::Acquire);
        if word & TAG_MASK != 0 || word < CLOSURES_FROM {
            return None;
        }
        // SAFETY: such words of thunks are closures, and what has no number is a suspension.
        let suspension = unsafe { Suspension(Closure::from_bits(word)) };
        if suspension.0.number().is_some() {
            return None;
        }
        match suspension.work(self) {
            Work::Code(code, env) => Some((code, env)),
            Work::Element(_) => None,
        }
    }

    /// Whether someone is at work on it.
    pub(crate) fn is_claimed(self) -> bool {
        matches!(self.state(), State::Claimed(_))
    }

    /// Says that what is computed is an element.
    #[inline(always)]
    pub(crate) fn mark_as_element(self, owner: u32) {
        self.0.0.store((u64::from(owner) | ELEMENT) << TAG_BITS, Ordering::Release);
    }

    /// Whether someone is at work on it, and it is an element.
    pub(crate) fn is_claimed_element(self) -> bool {
        let word = self.0.0.load(Ordering::Acquire);
        word & TAG_MASK == 0 && word < OWNER_LIMIT << TAG_BITS && word >> TAG_BITS & ELEMENT != 0
    }

    /// Tries to become the one who computes it. Who is alone with it needs no atomic exchange for that, which costs as much as
    /// all else that is done to begin.
    #[inline(always)]
    pub(crate) fn claim(self, owner: u32, is_alone: bool) -> Option<Suspension> {
        let word = self.0.0.load(Ordering::Relaxed);
        if word & TAG_MASK != 0 || word < CLOSURES_FROM {
            return None;
        }
        // SAFETY: such words of thunks are closures.
        let closure = unsafe { Closure::from_bits(word) };
        if closure.number() == Some(FAILED) {
            return None;
        }
        let claimed = u64::from(owner) << TAG_BITS;
        if is_alone {
            self.0.0.store(claimed, Ordering::Relaxed);
            return Some(Suspension(closure));
        }
        let old = self.0.0.compare_exchange(word, claimed, Ordering::Acquire, Ordering::Relaxed);
        old.is_ok().then_some(Suspension(closure))
    }

    /// Stores the result, which must be evaluated, and returns it as it is stored.
    ///
    /// A function gets an object of its own and a list or set a number: whether two elements are equal depends on
    /// whether they are the same thunk.
    #[inline(always)]
    pub(crate) fn finish(self, heap: &Heap, value: Value) -> Value {
        debug_assert!(value.is_forced());
        // Two places seldom have the same number, also one after the other at one address: one in 65,536.
        let address = std::ptr::from_ref(self.0).addr() >> TAG_BITS;
        let number = (address ^ address >> NUMBER_BITS) as u16 ^ era();
        let value = value.numbered(heap, number);
        self.0.set(value);
        value
    }

    /// Makes it as it was before it was claimed, so that it can be tried again.
    pub(crate) fn restore(self, suspension: Suspension) {
        self.0.suspend(suspension);
    }

    /// Remembers that it failed.
    pub(crate) fn fail(self, heap: &Heap, error: EvalError) {
        let error = heap.put(error).as_ptr().expose_provenance() as u64;
        self.0.suspend(Suspension(Closure::numbered(FAILED, error)));
    }
}
