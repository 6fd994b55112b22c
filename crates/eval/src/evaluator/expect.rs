//! Values of a type that is needed, and the errors when they are of another.
//!
//! Each takes a text such as "while evaluating the first argument passed to builtins.x" that becomes a frame
//! of the error (`""`: none), on the same terms as in the reference.

use nival_syntax::{Pos, Symbol};

use super::Evaluator;
use crate::context::Context;
use crate::error::{ErrorKind, EvalError, FrameText, InFrame, Result};
use crate::value::{Attrs, List, Str, Value, View};

impl Evaluator {
    /// An attribute set.
    #[inline]
    pub fn force_attrs(&self, value: Value, pos: Pos, frame: impl Into<FrameText>) -> Result<Attrs> {
        let value = self.force(value, pos)?;
        value.as_attrs().ok_or_else(|| self.expected("a set", value).with_frame(frame, pos))
    }

    /// A list.
    #[inline]
    pub fn force_list(&self, value: Value, pos: Pos, frame: impl Into<FrameText>) -> Result<List> {
        let value = self.force(value, pos)?;
        value.as_list().ok_or_else(|| self.expected("a list", value).with_frame(frame, pos))
    }

    /// A string with whatever context.
    #[inline]
    pub fn force_string(&self, value: Value, pos: Pos, frame: impl Into<FrameText>) -> Result<Str> {
        let result = self
            .force(value, pos)
            .and_then(|value| value.as_str().ok_or_else(|| self.expected("a string", value).at(pos)));
        result.frame(frame, pos)
    }

    /// A string that refers to nothing.
    #[inline]
    pub fn force_plain_string(
        &self,
        value: Value,
        pos: Pos,
        frame: impl Into<FrameText> + Clone,
    ) -> Result<Str> {
        match value.as_forced_str() {
            Some(string) if string.context().is_empty() => Ok(string),
            _ => self.force_any_plain_string(value, pos, frame),
        }
    }

    #[inline(never)]
    fn force_any_plain_string(
        &self,
        value: Value,
        pos: Pos,
        frame: impl Into<FrameText> + Clone,
    ) -> Result<Str> {
        let string = self.force_string(value, pos, frame.clone())?;
        self.expect_no_context(string).frame(frame, pos)
    }

    pub(crate) fn expect_no_context(&self, string: Str) -> Result<Str> {
        if string.context().is_empty() {
            return Ok(string);
        }
        let Some(element) = string.context().elements().first().copied() else { return Ok(string) };
        Err(EvalError::new(
            ErrorKind::Context,
            format!(
                "the string '{}' is not allowed to refer to a store path (such as '{}')",
                string.to_text(),
                element.display(self.host().store_dir())
            ),
        ))
    }

    /// A string's bytes; what it refers to is added to `context`.
    pub fn force_string_into(
        &self,
        value: Value,
        context: &mut Context,
        pos: Pos,
        frame: impl Into<FrameText>,
    ) -> Result<&'static [u8]> {
        let string = self.force_string(value, pos, frame)?;
        *context = context.union(string.context());
        Ok(string.bytes())
    }

    /// An integer.
    #[inline]
    pub fn force_int(&self, value: Value, pos: Pos, frame: impl Into<FrameText>) -> Result<i64> {
        let result = self.force(value, pos).and_then(|value| match value.view() {
            View::Int(value) => Ok(value),
            _ => Err(self.expected("an integer", value).at(pos)),
        });
        result.frame(frame, pos)
    }

    /// A floating-point number, or an integer taken as one.
    pub fn force_float(&self, value: Value, pos: Pos, frame: impl Into<FrameText>) -> Result<f64> {
        let result = self.force(value, pos).and_then(|value| match value.view() {
            View::Float(value) => Ok(value),
            View::Int(value) => Ok(value as f64),
            _ => Err(self.expected("a float", value).at(pos)),
        });
        result.frame(frame, pos)
    }

    /// `true` or `false`.
    #[inline]
    pub fn force_bool(&self, value: Value, pos: Pos, frame: impl Into<FrameText>) -> Result<bool> {
        let result = self.force(value, pos).and_then(|value| match value.view() {
            View::Bool(value) => Ok(value),
            _ => Err(self.expected("a Boolean", value).at(pos)),
        });
        result.frame(frame, pos)
    }

    /// Something that can be called: a function or a set with `__functor`.
    #[inline]
    pub fn force_function(&self, value: Value, pos: Pos, frame: impl Into<FrameText>) -> Result<Value> {
        if value.is_forced()
            && let View::Lambda(lambda) = value.view()
        {
            lambda.code().see();
            return Ok(value);
        }
        self.force_any_function(value, pos, frame)
    }

    #[inline(never)]
    fn force_any_function(&self, value: Value, pos: Pos, frame: impl Into<FrameText>) -> Result<Value> {
        let result = self.force(value, pos).and_then(|value| {
            let callable =
                value.is_function() || value.as_attrs().is_some_and(|attrs| attrs.contains(Symbol::FUNCTOR));
            if let View::Lambda(lambda) = value.view() {
                lambda.code().see();
            }
            if callable { Ok(value) } else { Err(self.expected("a function", value).at(pos)) }
        });
        result.frame(frame, pos)
    }

    /// An attribute that must be there.
    pub fn required_attr(&self, attrs: Attrs, name: Symbol, frame: impl Into<FrameText>) -> Result<Value> {
        attrs.get(name).ok_or_else(|| {
            let message = format!("attribute '{}' missing", name.to_identifier());
            EvalError::of_type(message).with_frame(frame, Pos::NONE)
        })
    }

    /// Whether a value is a set with `type = "derivation"`.
    pub fn is_derivation(&self, value: Value) -> Result<bool> {
        let Some(kind) = value.as_attrs().and_then(|attrs| attrs.get_attr(Symbol::TYPE)) else {
            return Ok(false);
        };
        let kind = self.force(kind.value, kind.pos())?;
        Ok(kind.as_str().is_some_and(|text| text.bytes() == b"derivation"))
    }

    /// "expected a list but found a set: { … }"
    #[cold]
    pub fn expected(&self, what: &str, found: Value) -> EvalError {
        EvalError::of_type(format!("expected {what} but found {}", self.describe_with_value(found)))
    }

    /// "a set: { … }"
    pub(crate) fn describe_with_value(&self, value: Value) -> String {
        format!("{}: {}", describe_type(value), self.print_for_error(value))
    }
}

/// The type of a value as messages word it: "a string with context".
pub fn describe_type(value: Value) -> String {
    let text = match value.view() {
        View::Thunk => "a thunk",
        View::Null => "null",
        View::Bool(_) => "a Boolean",
        View::Int(_) => "an integer",
        View::Float(_) => "a float",
        View::String(string) if !string.context().is_empty() => "a string with context",
        View::String(_) => "a string",
        View::Path(_) => "a path",
        View::List(_) => "a list",
        View::Attrs(_) => "a set",
        View::Lambda(_) => "a function",
        View::Builtin(builtin) => return format!("the built-in function '{}'", builtin.name),
        View::Partial(partial) => {
            return format!("the partially applied built-in function '{}'", partial.builtin().name);
        }
    };
    text.to_owned()
}
