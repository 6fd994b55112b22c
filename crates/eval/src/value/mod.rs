//! Values: one word each, freely copied.
//!
//! The low three bits say what the rest is. Small integers, booleans, null and functions are in the word
//! itself; everything else is a pointer to an object in an arena (see [`crate::memory`]) that lives as long as
//! the process. Objects are written once before they are published, but for the places of values in them,
//! which are atomic (see [`slot`]); so values may be shared between threads.
//!
//! The language tells elements of lists and sets apart by the place where they were computed, also after their values have been
//! copied. So a list or set has a number of that place in the high bits of its word, and a function or a NaN has an object for
//! each place.

mod attrs;
mod element;
mod function;
mod keys;
mod list;
mod shape;
mod slot;
mod string;
mod tree;

use std::num::NonZeroU64;
use std::ptr::NonNull;

pub use attrs::AttrsIter;
pub(crate) use attrs::with_flat_forms;
pub use attrs::{Attr, Attrs, AttrsBuilder};
pub(crate) use element::{Arguments, Element};
pub use function::{Builtin, Constant, Lambda, Partial};
pub(crate) use keys::{Keys, Origins};
pub use list::{List, ListBuilder};
pub(crate) use shape::{LastMerge, Rest};
pub(crate) use slot::{Slot, State, Suspension, Thunk, Work};
pub use string::Str;

use crate::evaluator::Env;
use crate::memory::Heap;

/// A value of the language, possibly not yet evaluated.
///
/// Call [`crate::Evaluator::force`] before looking at it with [`Value::view`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Value(NonZeroU64);

const TAG_BITS: u32 = 3;
const TAG_MASK: u64 = 7;

/// The high bits of lists and sets, which addresses leave free, have a number made of the address of the place that they
/// were computed in, or zero.
pub(crate) const NUMBER_BITS: u32 = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Tag {
    Thunk = 0,
    Attrs = 1,
    List = 2,
    String = 3,
    Lambda = 4,
    Boxed = 5,
    Int = 6,
    Immediate = 7,
}

/// What a boxed object is: its first word.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum BoxKind {
    Int = 1,
    Float = 2,
    Path = 3,
    Builtin = 4,
    Partial = 5,
    Lambda = 6,
}

/// A value taken apart, for `match`.
#[derive(Clone, Copy)]
pub enum View {
    /// Not evaluated yet.
    Thunk,
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A string with its context.
    String(Str),
    /// A path: its absolute name.
    Path(Str),
    /// A list.
    List(List),
    /// An attribute set.
    Attrs(Attrs),
    /// A function written in the language.
    Lambda(Lambda),
    /// A built-in function.
    Builtin(&'static Builtin),
    /// A built-in function applied to fewer arguments than it takes.
    Partial(Partial),
}

impl Value {
    /// `null`
    pub const NULL: Value = Value::immediate(0);
    /// `false`
    pub const FALSE: Value = Value::immediate(1);
    /// `true`
    pub const TRUE: Value = Value::immediate(2);

    const fn immediate(which: u64) -> Value {
        match NonZeroU64::new((which << TAG_BITS) | Tag::Immediate as u64) {
            Some(bits) => Value(bits),
            None => unreachable!(),
        }
    }

    /// `true` or `false`
    #[inline]
    pub const fn bool(value: bool) -> Value {
        if value { Value::TRUE } else { Value::FALSE }
    }

    #[inline(always)]
    pub(crate) fn to_bits(self) -> u64 {
        self.0.get()
    }

    /// # Safety
    /// `bits` must come from [`Value::to_bits`].
    #[inline(always)]
    pub(crate) unsafe fn from_bits(bits: u64) -> Value {
        // SAFETY: the caller vouches that these are the bits of a value, which are never zero.
        Value(unsafe { NonZeroU64::new_unchecked(bits) })
    }

    #[inline(always)]
    fn from_object(object: NonNull<u64>, tag: Tag) -> Value {
        let bits = object.as_ptr().expose_provenance() as u64 | tag as u64;
        // SAFETY: an object's address is not null.
        Value(unsafe { NonZeroU64::new_unchecked(bits) })
    }

    #[inline(always)]
    fn object(self) -> NonNull<u64> {
        let address = (self.0.get() & !TAG_MASK) as usize;
        // SAFETY: only called for pointer tags, whose address part is that of an object.
        unsafe { NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(address)) }
    }

    /// The object of a list or a set, without its number.
    #[inline(always)]
    fn numbered_object(self) -> NonNull<u64> {
        let address = (self.0.get() & (!0 >> NUMBER_BITS) & !TAG_MASK) as usize;
        // SAFETY: only called for lists and sets, which are objects.
        unsafe { NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(address)) }
    }

    /// The same value as an element with a number: `==` looks into lists and sets that are different elements, even where
    /// they are one object, and functions are only equal where they are one element.
    #[inline(always)]
    pub(crate) fn numbered(self, heap: &Heap, number: u16) -> Value {
        match self.tag() {
            Tag::Attrs | Tag::List => {
                let object = self.0.get() & !0 >> NUMBER_BITS;
                // SAFETY: the tag is not zero.
                Value(unsafe { NonZeroU64::new_unchecked(u64::from(number) << (64 - NUMBER_BITS) | object) })
            }
            Tag::Lambda | Tag::Boxed => self.with_identity(heap),
            _ => self,
        }
    }

    #[inline(always)]
    pub(crate) fn tag(self) -> Tag {
        // SAFETY: `Tag` has a variant for each of the eight values of three bits.
        unsafe { std::mem::transmute::<u64, Tag>(self.0.get() & TAG_MASK) }
    }

    /// Whether it is a string, or in one word: nothing that refers to others.
    pub(crate) fn is_text(self) -> bool {
        matches!(self.tag(), Tag::String | Tag::Int | Tag::Immediate)
    }

    /// Whether it is the address of an object.
    pub(crate) fn is_object(self) -> bool {
        matches!(self.tag(), Tag::Attrs | Tag::List | Tag::String | Tag::Boxed)
    }

    /// Whether this is not a thunk (not even one that was evaluated).
    #[inline(always)]
    pub fn is_forced(self) -> bool {
        self.0.get() & TAG_MASK != 0
    }

    #[inline]
    pub(crate) fn small_int(value: i64) -> Option<Value> {
        let shifted = value << TAG_BITS;
        (shifted >> TAG_BITS == value).then(|| {
            // SAFETY: the tag is not zero.
            Value(unsafe { NonZeroU64::new_unchecked(shifted as u64 | Tag::Int as u64) })
        })
    }

    #[inline]
    pub(crate) fn new_int(heap: &Heap, value: i64) -> Value {
        Value::small_int(value).unwrap_or_else(|| Value::new_boxed(heap, BoxKind::Int, value as u64))
    }

    pub(crate) fn new_float(heap: &Heap, value: f64) -> Value {
        Value::new_boxed(heap, BoxKind::Float, value.to_bits())
    }

    pub(crate) fn new_path(heap: &Heap, path: Str) -> Value {
        Value::new_boxed(heap, BoxKind::Path, Value::from(path).to_bits())
    }

    pub(crate) fn new_builtin(heap: &Heap, builtin: &'static Builtin) -> Value {
        Value::new_boxed(heap, BoxKind::Builtin, std::ptr::from_ref(builtin).expose_provenance() as u64)
    }

    fn new_boxed(heap: &Heap, kind: BoxKind, payload: u64) -> Value {
        let object = match kind {
            BoxKind::Int | BoxKind::Float => heap.bytes(2),
            _ => heap.words(2),
        };
        // SAFETY: two fresh words.
        unsafe {
            object.write(kind as u64);
            object.add(1).write(payload);
        }
        Value::from_object(object, Tag::Boxed)
    }

    /// The same value, but none that counts as this one: functions and what is not a number are equal only to themselves.
    #[inline(never)]
    fn with_identity(self, heap: &Heap) -> Value {
        match self.view() {
            View::Lambda(lambda) => {
                lambda.env().escape();
                Value::new_boxed(heap, BoxKind::Lambda, lambda.to_bits())
            }
            View::Builtin(builtin) => Value::new_builtin(heap, builtin),
            View::Partial(partial) => partial.copy(heap).into(),
            View::Float(number) if number.is_nan() => Value::new_float(heap, number),
            _ => self,
        }
    }

    /// Says that what comes from a frame may get into any object. Thunks and functions may refer to that frame, or to one
    /// that its caller knows.
    #[inline(always)]
    pub(crate) fn escape_from(self, env: Env) -> Value {
        if matches!(self.tag(), Tag::Thunk | Tag::Lambda) {
            env.escape();
        }
        self
    }

    /// Says that this evaluated value may get into any object.
    #[inline(always)]
    pub(crate) fn escape(self) -> Value {
        if self.tag() == Tag::Lambda {
            // SAFETY: the word has the bits of a lambda and a tag.
            unsafe { Lambda::from_bits(self.0.get()) }.env().escape();
        }
        self
    }

    /// What a thunk evaluated to, if it was; any other value itself.
    #[inline]
    pub(crate) fn settled(self) -> Value {
        Thunk::of(self).and_then(Thunk::result).unwrap_or(self)
    }

    /// Takes the value apart. A thunk that was already evaluated shows as what it evaluated to.
    #[inline]
    pub fn view(self) -> View {
        match self.tag() {
            Tag::Thunk => match Thunk::of(self).and_then(Thunk::result) {
                Some(value) => value.view(),
                None => View::Thunk,
            },
            Tag::Attrs => View::Attrs(Attrs::of_object(self.numbered_object())),
            Tag::List => View::List(List::of_object(self.numbered_object())),
            Tag::String => View::String(Str::of_object(self.object())),
            // SAFETY: the word has the bits of a lambda and a tag.
            Tag::Lambda => View::Lambda(unsafe { Lambda::from_bits(self.0.get()) }),
            Tag::Int => View::Int(self.0.get() as i64 >> TAG_BITS),
            Tag::Immediate => match self {
                Value::TRUE => View::Bool(true),
                Value::FALSE => View::Bool(false),
                _ => View::Null,
            },
            Tag::Boxed => self.view_boxed(),
        }
    }

    fn view_boxed(self) -> View {
        let object = self.object();
        // SAFETY: a boxed object starts with its kind and has a payload word, which for a path holds a
        // string value, for a built-in function a reference to it and for a lambda its bits.
        unsafe {
            let payload = object.add(1).read();
            match std::mem::transmute::<u64, BoxKind>(object.read()) {
                BoxKind::Int => View::Int(payload as i64),
                BoxKind::Float => View::Float(f64::from_bits(payload)),
                BoxKind::Path => View::Path(Str::of_object(Value::from_bits(payload).object())),
                BoxKind::Builtin => {
                    View::Builtin(&*std::ptr::with_exposed_provenance::<Builtin>(payload as usize))
                }
                BoxKind::Partial => View::Partial(Partial::of_object(object)),
                BoxKind::Lambda => View::Lambda(Lambda::from_bits(payload)),
            }
        }
    }

    /// Notes that somebody has looked at the value: a function that nobody has looked at is shown as a thunk.
    #[inline]
    pub(crate) fn see(self) {
        if matches!(self.tag(), Tag::Lambda | Tag::Boxed)
            && let View::Lambda(lambda) = self.view()
        {
            lambda.code().see();
        }
    }

    /// The attribute set, if this is one.
    #[inline]
    pub fn as_attrs(self) -> Option<Attrs> {
        let value = self.settled();
        (value.tag() == Tag::Attrs).then(|| Attrs::of_object(value.numbered_object()))
    }

    /// The list, if this is one.
    #[inline]
    pub fn as_list(self) -> Option<List> {
        let value = self.settled();
        (value.tag() == Tag::List).then(|| List::of_object(value.numbered_object()))
    }

    /// The string, if this is one.
    #[inline]
    pub fn as_str(self) -> Option<Str> {
        let value = self.settled();
        (value.tag() == Tag::String).then(|| Str::of_object(value.object()))
    }

    /// The string, if this is one and no thunk that was evaluated to one.
    #[inline(always)]
    pub(crate) fn as_forced_str(self) -> Option<Str> {
        (self.tag() == Tag::String).then(|| Str::of_object(self.object()))
    }

    /// Whether this is a lambda, a built-in function or a partly applied one.
    pub fn is_function(self) -> bool {
        matches!(self.view(), View::Lambda(_) | View::Builtin(_) | View::Partial(_))
    }

    /// The type's name as `builtins.typeOf` gives it.
    pub fn type_name(self) -> &'static str {
        match self.view() {
            View::Thunk => "thunk",
            View::Null => "null",
            View::Bool(_) => "bool",
            View::Int(_) => "int",
            View::Float(_) => "float",
            View::String(_) => "string",
            View::Path(_) => "path",
            View::List(_) => "list",
            View::Attrs(_) => "set",
            View::Lambda(_) | View::Builtin(_) | View::Partial(_) => "lambda",
        }
    }
}

/// Whether a word with this tag has a number in its high bits.
#[inline(always)]
pub(crate) fn is_list_or_set(word: u64) -> bool {
    word & TAG_MASK == Tag::Attrs as u64 || word & TAG_MASK == Tag::List as u64
}

/// Whether a value is a thunk that someone is at work on.
pub(crate) fn is_being_evaluated(value: Value) -> bool {
    Thunk::of(value).is_some_and(Thunk::is_claimed)
}

impl From<Str> for Value {
    fn from(string: Str) -> Value {
        Value::from_object(string.object(), Tag::String)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Value {
        Value::from_object(list.object(), Tag::List)
    }
}

impl From<Attrs> for Value {
    fn from(attrs: Attrs) -> Value {
        Value::from_object(attrs.object(), Tag::Attrs)
    }
}

impl From<Lambda> for Value {
    #[inline(always)]
    fn from(lambda: Lambda) -> Value {
        // SAFETY: the tag is not zero.
        Value(unsafe { NonZeroU64::new_unchecked(lambda.to_bits() | Tag::Lambda as u64) })
    }
}

impl From<Partial> for Value {
    fn from(partial: Partial) -> Value {
        Value::from_object(partial.object(), Tag::Boxed)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::bool(value)
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.view() {
            View::Int(value) => write!(out, "{value}"),
            View::Float(value) => write!(out, "{value}"),
            View::Bool(value) => write!(out, "{value}"),
            View::String(value) => write!(out, "{:?}", value.to_text()),
            View::Path(value) => write!(out, "{}", value.to_text()),
            _ => write!(out, "«{}»", self.type_name()),
        }
    }
}
