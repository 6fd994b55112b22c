//! Thunks: values still to be computed.
//!
//! A thunk has three words (four, if it applies a function to two arguments): its state, and those that say
//! what to compute. The state is one of
//! - zero: nothing happened yet,
//! - a small number (tag 0): the evaluator with that number is at work on it,
//! - an address (tag 0): it failed, and this is the error,
//! - a value (any other tag): it is done.
//!
//! What to compute stays in place, so that a failed thunk can be tried again where that makes sense.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Tag, Value};
use crate::code::Code;
use crate::error::EvalError;
use crate::evaluator::Env;
use crate::memory::Heap;

/// Evaluator numbers are below this, addresses above.
const OWNER_LIMIT: u64 = 1 << 15;

/// In the second word: there are two arguments. No address of a program has this bit.
const TWO_ARGUMENTS: u64 = 1 << 63;

#[derive(Clone, Copy)]
pub(crate) struct Thunk(NonNull<u64>);

/// What a thunk computes.
pub(crate) enum Suspension {
    /// Runs code in a frame.
    Code(&'static Code, Env),
    /// Applies an (evaluated) function to an argument.
    Apply(Value, Value),
    /// Applies an (evaluated) function to two arguments.
    ApplyTwo(Value, [Value; 2]),
}

pub(crate) enum State {
    Suspended,
    Claimed(u32),
    Failed(&'static EvalError),
    Done(Value),
}

#[repr(C)]
struct ThunkObject {
    state: AtomicU64,
    first: AtomicU64,
    second: AtomicU64,
}

impl Thunk {
    /// The thunk a value points to.
    #[inline(always)]
    pub(crate) fn of(value: Value) -> Option<Thunk> {
        (value.tag() == Tag::Thunk).then(|| Thunk(value.object()))
    }

    #[inline(always)]
    pub(crate) fn new_code(heap: &Heap, code: &'static Code, env: Env) -> Value {
        Thunk::make(heap, std::ptr::from_ref(code).expose_provenance() as u64, env.to_bits())
    }

    /// `function` must be an evaluated object: its tag tells it from code, its high bits are free.
    #[inline(always)]
    pub(crate) fn new_apply(heap: &Heap, function: Value, argument: Value) -> Value {
        debug_assert!(matches!(function.tag(), Tag::Lambda | Tag::Boxed | Tag::Attrs));
        Thunk::make(heap, function.to_bits(), argument.to_bits())
    }

    /// As [`Thunk::new_apply`], with one more argument.
    pub(crate) fn new_apply_two(heap: &Heap, function: Value, arguments: [Value; 2]) -> Value {
        debug_assert!(matches!(function.tag(), Tag::Lambda | Tag::Boxed | Tag::Attrs));
        let object = heap.words(4);
        // SAFETY: four fresh words; the state is zero already.
        unsafe {
            object.add(1).write(function.to_bits() | TWO_ARGUMENTS);
            object.add(2).write(arguments[0].to_bits());
            object.add(3).write(arguments[1].to_bits());
        }
        Value::from_object(object, Tag::Thunk)
    }

    #[inline(always)]
    fn make(heap: &Heap, first: u64, second: u64) -> Value {
        let object = heap.words(3);
        // SAFETY: three fresh words; the state is zero already.
        unsafe {
            object.add(1).write(first);
            object.add(2).write(second);
        }
        Value::from_object(object, Tag::Thunk)
    }

    #[inline(always)]
    fn words(self) -> &'static ThunkObject {
        // SAFETY: a thunk object is three words, all of them accessed atomically once it is published.
        unsafe { self.0.cast::<ThunkObject>().as_ref() }
    }

    /// The value, if it is computed.
    #[inline(always)]
    pub(crate) fn result(self) -> Option<Value> {
        let state = self.words().state.load(Ordering::Acquire);
        // SAFETY: a state with a tag is a value.
        (state & super::TAG_MASK != 0).then(|| unsafe { Value::from_bits(state) })
    }

    pub(crate) fn state(self) -> State {
        let state = self.words().state.load(Ordering::Acquire);
        if state & super::TAG_MASK != 0 {
            // SAFETY: a state with a tag is a value.
            State::Done(unsafe { Value::from_bits(state) })
        } else if state == 0 {
            State::Suspended
        } else if state >> super::TAG_BITS < OWNER_LIMIT {
            State::Claimed((state >> super::TAG_BITS) as u32)
        } else {
            // SAFETY: only `fail` writes addresses, and only of leaked errors.
            State::Failed(unsafe { &*std::ptr::with_exposed_provenance::<EvalError>(state as usize) })
        }
    }

    /// Tries to become the one who computes it.
    #[inline(always)]
    pub(crate) fn claim(self, owner: u32) -> bool {
        let state = &self.words().state;
        let claimed = u64::from(owner) << super::TAG_BITS;
        state.compare_exchange(0, claimed, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// What is to be computed.
    #[inline(always)]
    pub(crate) fn suspension(self) -> Suspension {
        let words = self.words();
        let first = words.first.load(Ordering::Relaxed);
        let second = words.second.load(Ordering::Relaxed);
        // SAFETY: `new_code` writes the address of code and a frame, `new_apply` two values of which the
        // first has a tag, and `new_apply_two` marks the first and adds a word.
        unsafe {
            if first & TWO_ARGUMENTS != 0 {
                let function = Value::from_bits(first & !TWO_ARGUMENTS);
                let third = Value::from_bits(self.0.add(3).read());
                return Suspension::ApplyTwo(function, [Value::from_bits(second), third]);
            }
            if first & super::TAG_MASK == 0 {
                let code = &*std::ptr::with_exposed_provenance::<Code>(first as usize);
                Suspension::Code(code, Env::from_bits(second))
            } else {
                Suspension::Apply(Value::from_bits(first), Value::from_bits(second))
            }
        }
    }

    /// Stores the result. `value` must be evaluated.
    #[inline(always)]
    pub(crate) fn finish(self, value: Value) {
        debug_assert!(value.is_forced());
        self.words().state.store(value.to_bits(), Ordering::Release);
    }

    /// Makes it as it was before it was claimed.
    pub(crate) fn restore(self) {
        self.words().state.store(0, Ordering::Release);
    }

    /// Remembers that it failed.
    pub(crate) fn fail(self, error: EvalError) {
        let error = Box::leak(Box::new(error));
        let address = std::ptr::from_ref::<EvalError>(error).expose_provenance() as u64;
        self.words().state.store(address, Ordering::Release);
    }
}
