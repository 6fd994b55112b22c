//! Equality.

use nival_syntax::{Pos, Symbol};

use super::Evaluator;
use crate::error::Result;
use crate::lately::Lately;
use crate::memory::Sighted;
use crate::value::{Attrs, List, Str, Tag, Value, View};

/// How two sets compared when all that was needed for it had been evaluated.
#[derive(Clone, Copy)]
pub(super) struct Compared {
    are_equal: bool,
    /// So many calls inside each other were allowed then: with fewer there could be one too many.
    calls_left: i64,
}

/// How sets compared lately, by where they are.
pub(super) type ComparedSets = Lately<(Sighted, Sighted), Compared, { 1 << 8 }>;

pub(super) fn no_compared_sets() -> ComparedSets {
    let nothing = (Sighted::NOTHING, Sighted::NOTHING);
    ComparedSets::new(nothing, Compared { are_equal: false, calls_left: 0 })
}

impl Evaluator {
    /// Whether two values are equal (`==`).
    ///
    /// Functions are never equal, but a value is equal to itself where it is the same element: sets and lists
    /// are compared by identity of their elements first, as in the reference.
    #[inline]
    pub fn equal(&self, left: Value, right: Value, pos: Pos) -> Result<bool> {
        let _depth = self.enter(pos)?;
        if let (Tag::String, Tag::String) = (left.tag(), right.tag()) {
            return Ok(left.as_str().map(Str::bytes) == right.as_str().map(Str::bytes));
        }
        self.equal_in_depth(left, right, pos)
    }

    fn equal_in_depth(&self, left: Value, right: Value, pos: Pos) -> Result<bool> {
        let left = self.force(left, pos)?;
        let right = self.force(right, pos)?;
        Ok(match (left.view(), right.view()) {
            (View::Null, View::Null) => true,
            (View::Bool(left), View::Bool(right)) => left == right,
            (View::Int(left), View::Int(right)) => left == right,
            (View::Float(left), View::Float(right)) => same_number(left, right),
            (View::Int(left), View::Float(right)) => same_number(left as f64, right),
            (View::Float(left), View::Int(right)) => same_number(left, right as f64),
            (View::String(left), View::String(right)) => left.bytes() == right.bytes(),
            (View::Path(left), View::Path(right)) => left.bytes() == right.bytes(),
            (View::List(left), View::List(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(right.iter()) {
                    if !self.same_or_equal(left, right, pos)? {
                        return Ok(false);
                    }
                }
                true
            }
            (View::Attrs(left), View::Attrs(right)) => self.equal_sets(left, right, pos)?,
            _ => {
                [left, right].into_iter().for_each(Value::see);
                false
            }
        })
    }

    fn equal_sets(&self, left: Attrs, right: Attrs, pos: Pos) -> Result<bool> {
        const SMALL: usize = 8;
        if left.most().min(right.most()) < SMALL {
            return self.compare_sets(left, right, pos);
        }
        // The platforms of nixpkgs are compared for each package.
        let calls_left = self.calls_left.get();
        let sets = (left.sighted(), right.sighted());
        if let Some(known) = self.compared.get(sets)
            && known.calls_left <= calls_left
        {
            return Ok(known.are_equal);
        }
        let are_equal = self.compare_sets(left, right, pos)?;
        self.compared.set(sets, Compared { are_equal, calls_left });
        Ok(are_equal)
    }

    fn compare_sets(&self, left: Attrs, right: Attrs, pos: Pos) -> Result<bool> {
        if self.is_derivation(left.into())? && self.is_derivation(right.into())? {
            let paths = (left.get(Symbol::OUT_PATH), right.get(Symbol::OUT_PATH));
            if let (Some(left), Some(right)) = paths {
                return self.same_or_equal(left, right, pos);
            }
        }
        let (left, right) = (left.flatten(), right.flatten());
        if left.len() != right.len() {
            return Ok(false);
        }
        let same_names = std::ptr::eq(left.keys, right.keys);
        for index in 0..left.len() {
            if !same_names && left.keys.names()[index] != right.keys.names()[index] {
                return Ok(false);
            }
            let (one, other) = (left.slot(index), right.slot(index));
            // Most often both are one value, which is evaluated.
            let known = one.known();
            if known.is_some() && known == other.known() {
                self.check_depth(pos)?;
                known.into_iter().for_each(Value::see);
                continue;
            }
            if !self.same_or_equal(one.get(), other.get(), pos)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Equality of elements: what is one element on both sides is equal to itself.
    ///
    /// One object that was computed in two places is two elements (see [`Thunk::finish`](crate::value::Thunk::finish)).
    pub(crate) fn same_or_equal(&self, left: Value, right: Value, pos: Pos) -> Result<bool> {
        if is_same_element(left, right) {
            self.check_depth(pos)?;
            self.deeper(|| self.force(left, pos))?.see();
            return Ok(true);
        }
        self.equal(left, right, pos)
    }

    /// Whether an element of a list is equal to a value.
    pub(crate) fn has_element(&self, list: List, value: Value, pos: Pos) -> Result<bool> {
        let mut text = value.as_str().map(Str::bytes);
        if !list.is_empty() {
            self.check_depth(pos)?;
        }
        for element in list.iter() {
            let is_it = match (text, element.as_str()) {
                // Mostly a string is looked for among strings.
                (Some(text), Some(element)) => text == element.bytes(),
                _ => self.same_or_equal(value, element, pos)?,
            };
            if is_it {
                return Ok(true);
            }
            // The first comparison has evaluated it.
            text = text.or_else(|| value.as_str().map(Str::bytes));
        }
        Ok(false)
    }

    /// A value as the element that is new in each step of a loop.
    #[inline]
    pub(crate) fn new_element(&self, value: Value) -> Value {
        let number = self.elements.get().wrapping_add(1);
        self.elements.set(number);
        value.numbered(&self.heap, number)
    }
}

/// Whether two elements are one.
#[inline]
pub(super) fn is_same_element(left: Value, right: Value) -> bool {
    left == right || left.settled() == right.settled()
}

#[expect(clippy::float_cmp, reason = "the language compares numbers exactly")]
fn same_number(left: f64, right: f64) -> bool {
    left == right
}
