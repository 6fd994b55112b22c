//! Functions: lambdas with their frames, built-in functions, and partly applied built-in functions.

use std::ptr::NonNull;

use nival_syntax::Pos;

use super::{BoxKind, List, Value};
use crate::Result;
use crate::code::LambdaCode;
use crate::evaluator::{Env, Evaluator};
use crate::memory::{Closure, Heap};

/// A function written in the language: code and frame, in one word.
#[derive(Clone, Copy)]
pub struct Lambda(Closure);

impl Lambda {
    /// # Safety
    /// But for the tag the bits must come from [`Lambda::to_bits`].
    #[inline(always)]
    pub(super) unsafe fn from_bits(bits: u64) -> Lambda {
        // SAFETY: as the caller vouches.
        Lambda(unsafe { Closure::from_bits(bits) })
    }

    /// A word whose bits for the tag are zero.
    #[inline(always)]
    pub(super) fn to_bits(self) -> u64 {
        self.0.to_bits()
    }

    #[inline(always)]
    pub(crate) fn new(code: &'static LambdaCode, env: Env) -> Lambda {
        Lambda(Closure::new(code, env.to_bits()))
    }

    #[inline(always)]
    pub(crate) fn code(self) -> &'static LambdaCode {
        // SAFETY: lambdas are made of such code.
        unsafe { self.0.code() }
    }

    /// Where it stands.
    pub fn pos(self) -> Pos {
        self.code().pos
    }

    #[inline(always)]
    pub(crate) fn env(self) -> Env {
        // SAFETY: lambdas are made of frames.
        unsafe { Env::from_bits(self.0.object()) }
    }
}

/// A built-in function: its one definition, for the evaluator and the manual alike.
pub struct Builtin {
    /// Its name in `builtins`, without underscores in front.
    pub name: &'static str,
    /// The names of its arguments: there is at least one.
    pub arguments: &'static [&'static str],
    /// What it does, in Markdown.
    pub doc: &'static str,
    /// Whether it is also there without `builtins.` in front (`map`); if not, it is as `__name` (`__add`).
    pub global: bool,
    /// Whether it is left out of `builtins` and can only be named as `__name`.
    pub internal: bool,
    /// The experimental feature without which it isn't there.
    pub feature: Option<&'static str>,
    /// Whether errors get a frame "while calling the '…' builtin".
    pub traced: bool,
    /// What it does with exactly as many arguments as it has names for. They are not evaluated; the position
    /// is none: that of the call is in the frame around. The result need not be evaluated either.
    pub run: fn(&Evaluator, &[Value], Pos) -> Result<Value>,
}

/// A built-in value that is not a function.
pub struct Constant {
    /// Its name in `builtins`.
    pub name: &'static str,
    /// What it is, in Markdown.
    pub doc: &'static str,
    /// Whether it is also there without `builtins.` in front.
    pub global: bool,
    /// Its value: computed when first asked for.
    pub value: fn(&Evaluator) -> Result<Value>,
}

impl Builtin {
    /// No function has more arguments.
    pub(crate) const MOST_ARGUMENTS: usize = 4;

    /// A function of `builtins` as most of them are: also there as `__name`, traced, in every evaluation.
    pub(crate) const fn new(
        name: &'static str,
        arguments: &'static [&'static str],
        doc: &'static str,
        run: fn(&Evaluator, &[Value], Pos) -> Result<Value>,
    ) -> Builtin {
        Builtin { name, arguments, doc, global: false, internal: false, feature: None, traced: true, run }
    }

    /// The same, named without `builtins.` too.
    pub(crate) const fn global(mut self) -> Builtin {
        self.global = true;
        self
    }

    /// The same, without a frame of its own in errors.
    pub(crate) const fn untraced(mut self) -> Builtin {
        self.traced = false;
        self
    }

    /// How many arguments it takes.
    pub fn arity(&self) -> usize {
        self.arguments.len()
    }
}

/// A built-in function with some of its arguments: `{ kind, builtin, arguments }`.
#[derive(Clone, Copy)]
pub struct Partial(NonNull<u64>);

// SAFETY: it is never written after it was made.
unsafe impl Send for Partial {}
// SAFETY: as above.
unsafe impl Sync for Partial {}

impl Partial {
    #[inline(always)]
    pub(super) fn of_object(object: NonNull<u64>) -> Partial {
        Partial(object)
    }

    #[inline(always)]
    pub(super) fn object(self) -> NonNull<u64> {
        self.0
    }

    pub(crate) fn new(heap: &Heap, builtin: &'static Builtin, arguments: &[Value]) -> Partial {
        Partial::with_list(heap, builtin, List::new(heap, arguments))
    }

    pub(super) fn copy(self, heap: &Heap) -> Partial {
        Partial::with_list(heap, self.builtin(), self.arguments())
    }

    fn with_list(heap: &Heap, builtin: &'static Builtin, arguments: List) -> Partial {
        let arguments = Value::from(arguments);
        let object = heap.words(3);
        // SAFETY: three fresh words.
        unsafe {
            object.write(BoxKind::Partial as u64);
            object.add(1).write(std::ptr::from_ref(builtin).expose_provenance() as u64);
            object.add(2).write(arguments.to_bits());
        }
        Partial(object)
    }

    /// The function.
    pub fn builtin(self) -> &'static Builtin {
        // SAFETY: the second word is the address of a built-in function.
        unsafe { &*std::ptr::with_exposed_provenance(self.0.add(1).read() as usize) }
    }

    /// The arguments so far.
    pub fn arguments(self) -> List {
        // SAFETY: the third word is a list.
        List::of_object(unsafe { Value::from_bits(self.0.add(2).read()) }.object())
    }
}
