//! From values to strings, paths and store paths.

use std::path::PathBuf;

use nival_formats::StorePath;
use nival_syntax::{Pos, Symbol, print};

use super::{Evaluator, Need};
use crate::context::{Context, ContextElement, Contexts};
use crate::error::{ErrorKind, EvalError, FrameText, InFrame, Result};
use crate::host::MessageKind;
use crate::path;
use crate::value::{List, Str, Value, View};

/// Which values become strings, and what happens to paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coercion {
    /// Strings, paths by their names, and sets that say how.
    Plain,
    /// As [`Coercion::Plain`], but paths are copied to the store: what `"${…}"` does.
    Interpolation,
    /// Also numbers, booleans, `null` and lists, paths by their names: what `toString` does.
    ToString,
    /// As [`Coercion::ToString`], but paths are copied to the store: attributes of derivations.
    Derivation,
}

impl Coercion {
    fn takes_more(self) -> bool {
        matches!(self, Coercion::ToString | Coercion::Derivation)
    }

    fn copies(self) -> bool {
        matches!(self, Coercion::Interpolation | Coercion::Derivation)
    }
}

/// What a value comes to as text: the string that it is, or bytes that are no value.
#[derive(Clone)]
pub(crate) enum Text {
    Kept(Str),
    Made(Vec<u8>),
}

impl Text {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Text::Kept(string) => string.bytes(),
            Text::Made(bytes) => bytes,
        }
    }
}

impl Evaluator {
    /// A value as a string, with what it refers to.
    #[inline]
    pub fn coerce_to_string(
        &self,
        value: Value,
        how: Coercion,
        pos: Pos,
        frame: impl Into<FrameText> + Clone,
    ) -> Result<Str> {
        self.check_depth(pos)?;
        match value.as_forced_str() {
            Some(string) => Ok(string),
            None => self.coerce_any_to_string(value, how, pos, frame),
        }
    }

    #[inline(never)]
    fn coerce_any_to_string(
        &self,
        value: Value,
        how: Coercion,
        pos: Pos,
        frame: impl Into<FrameText> + Clone,
    ) -> Result<Str> {
        let value = if value.is_forced() { value } else { self.deeper(|| self.force(value, pos))? };
        match value.view() {
            View::String(string) => Ok(string),
            View::Path(path) if how.copies() => self.copy_to_store(path),
            View::Path(path) => Ok(path),
            View::Attrs(attrs) => {
                let _depth = self.enter(pos)?;
                if let Some(to_string) = attrs.get(Symbol::TO_STRING) {
                    let text = self.call(to_string, &[value], pos)?;
                    let frame = "while evaluating the result of the `__toString` attribute";
                    return self.coerce_to_string(text, how, pos, frame);
                }
                match attrs.get(Symbol::OUT_PATH) {
                    Some(path) => self.coerce_to_string(path, how, pos, frame),
                    None => Err(self.not_a_string(value).with_frame(frame, pos)),
                }
            }
            View::Bool(true) if how.takes_more() => Ok(self.text("1", Context::EMPTY)),
            View::Bool(false) | View::Null if how.takes_more() => Ok(self.text("", Context::EMPTY)),
            View::Int(value) if how.takes_more() => Ok(self.text(value.to_string(), Context::EMPTY)),
            View::Float(value) if how.takes_more() => {
                Ok(self.text(print::float_with_all_places(value), Context::EMPTY))
            }
            View::List(list) if how.takes_more() => {
                let mut contexts = Contexts::default();
                let bytes = self.coerce_list(list, how, pos, frame, &mut contexts)?;
                Ok(self.text(bytes, contexts.union()))
            }
            _ => Err(self.not_a_string(value).with_frame(frame, pos)),
        }
    }

    /// A value as text that need not become a value; what it refers to is added to `contexts`.
    pub(crate) fn coerce_to_text(
        &self,
        value: Value,
        how: Coercion,
        pos: Pos,
        frame: impl Into<FrameText> + Clone,
        contexts: &mut Contexts,
    ) -> Result<Text> {
        self.check_depth(pos)?;
        if let Some(string) = value.as_forced_str() {
            contexts.add(string.context());
            return Ok(Text::Kept(string));
        }
        let value = if value.is_forced() { value } else { self.deeper(|| self.force(value, pos))? };
        if let View::List(list) = value.view()
            && how.takes_more()
        {
            return Ok(Text::Made(self.coerce_list(list, how, pos, frame, contexts)?));
        }
        let string = self.coerce_to_string(value, how, pos, frame)?;
        contexts.add(string.context());
        Ok(Text::Kept(string))
    }

    fn coerce_list(
        &self,
        list: List,
        how: Coercion,
        pos: Pos,
        frame: impl Into<FrameText> + Clone,
        contexts: &mut Contexts,
    ) -> Result<Vec<u8>> {
        let _depth = self.enter(pos)?;
        let _offer = self.offer(Need::Text(how), list.iter());
        let mut bytes = Vec::with_capacity(64 * list.len());
        let last = list.len().wrapping_sub(1);
        for (index, element) in list.iter().enumerate() {
            let frame_of_element = "while evaluating one element of the list";
            let text =
                self.coerce_to_string(element, how, pos, frame_of_element).frame(frame.clone(), pos)?;
            bytes.extend_from_slice(text.bytes());
            contexts.add(text.context());
            // An empty list within a list leaves no space, as in the reference.
            let is_empty_list = element.as_list().is_some_and(List::is_empty);
            if index < last && !is_empty_list {
                bytes.push(b' ');
            }
        }
        Ok(bytes)
    }

    #[cold]
    fn not_a_string(&self, value: Value) -> EvalError {
        EvalError::of_type(format!("cannot coerce {} to a string", super::expect::describe_type(value)))
            .append(&format!(": {}", self.print_for_error(value)))
    }

    /// A value as an absolute path; what a string refers to is added to `context`.
    pub fn coerce_to_path(
        &self,
        value: Value,
        context: &mut Context,
        pos: Pos,
        frame: impl Into<FrameText> + Clone,
    ) -> Result<Str> {
        let value = self.force(value, pos).frame(frame.clone(), pos)?;
        match value.view() {
            View::Path(path) => return Ok(path),
            View::Attrs(attrs) => {
                if let Some(to_string) = attrs.get(Symbol::TO_STRING) {
                    let result = self.call(to_string, &[value], pos)?;
                    return self.coerce_to_path(result, context, pos, frame);
                }
            }
            _ => {}
        }
        let text = self.coerce_to_string(value, Coercion::Plain, pos, frame.clone())?;
        *context = context.union(text.context());
        if text.bytes().first() != Some(&b'/') {
            let message = format!("string '{}' doesn't represent an absolute path", text.to_text());
            return Err(EvalError::other(message).with_frame(frame, pos));
        }
        Ok(self.text(path::canonical(text.bytes()), Context::EMPTY))
    }

    /// A value as a store path; what the string refers to is added to `context`.
    pub fn coerce_to_store_path(
        &self,
        value: Value,
        context: &mut Context,
        pos: Pos,
        frame: impl Into<FrameText> + Clone,
    ) -> Result<StorePath> {
        let text = self.coerce_to_string(value, Coercion::Plain, pos, frame.clone())?;
        *context = context.union(text.context());
        let text = text.to_text();
        self.host().store_dir().parse(&text).map_err(|_| {
            EvalError::other(format!("path '{text}' is not in the Nix store")).with_frame(frame, pos)
        })
    }

    /// A value as a path whose contents can be read: what it refers to is built first.
    pub fn realise_path(&self, value: Value, pos: Pos) -> Result<PathBuf> {
        let mut context = Context::EMPTY;
        let frame = "while realising the context of a path";
        let path = self.coerce_to_path(value, &mut context, Pos::NONE, frame)?;
        if context.is_empty() {
            return Ok(path::to_path_buf(path.bytes()));
        }
        let bytes = self
            .realise(path.bytes(), context)
            .frame_with(|| format!("while realising the context of path '{}'", path.to_text()), pos)?;
        Ok(path::to_path_buf(&bytes))
    }

    /// The same with its links followed.
    pub(crate) fn realise_file(&self, value: Value, pos: Pos) -> Result<PathBuf> {
        let path = self.realise_path(value, pos)?;
        let resolved = self
            .resolve_links_cached(&path)
            .frame_with(|| format!("while realising the context of path '{}'", path.display()), pos)?;
        Ok(resolved.into_owned())
    }

    /// Builds what a text refers to, and replaces placeholders in it.
    pub fn realise(&self, text: &[u8], context: Context) -> Result<Vec<u8>> {
        self.must_not_be_ahead()?;
        let elements = context.elements();
        if let Some(path) = self.first_invalid(context)? {
            return Err(EvalError::new(ErrorKind::Host, format!("path '{path}' is not valid")));
        }
        let Some(first) = elements.iter().find(|element| matches!(element, ContextElement::Output { .. }))
        else {
            return Ok(text.to_vec());
        };
        let shown = first.display(self.host().store_dir());
        if !self.settings().allow_import_from_derivation {
            let message = format!(
                "cannot build '{shown}' during evaluation because the option 'allow-import-from-derivation' is disabled"
            );
            return Err(EvalError::new(ErrorKind::Host, message));
        }
        if self.settings().trace_import_from_derivation {
            let text = format!("built '{shown}' during evaluation due to an import from derivation");
            self.say(MessageKind::Warning, text.as_bytes())?;
        }
        let realised = self.host().realise(&elements)?;
        let mut text = text.to_vec();
        for (placeholder, replacement) in realised.replacements {
            text = path::replace(&text, placeholder.as_bytes(), replacement.as_bytes());
        }
        if self.settings().pure_eval || self.settings().restrict_eval {
            for output in realised.outputs {
                for path in self.host().closure(&output)? {
                    self.allow_store_path(&path);
                }
            }
        }
        Ok(text)
    }

    /// The first of the paths that a text refers to which the store does not have.
    pub(crate) fn first_invalid(&self, context: Context) -> Result<Option<StorePath>> {
        for element in context.elements() {
            let path = match element {
                ContextElement::Path(path) | ContextElement::Closure(path) => path,
                ContextElement::Output { derivation, .. } => derivation.file(),
            };
            if !self.host().is_valid_path(path)? {
                return Ok(Some(path.clone()));
            }
        }
        Ok(None)
    }
}
