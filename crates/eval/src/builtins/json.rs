//! `toJSON` and `fromJSON`.

use nival_formats::json::StringForm;
use nival_syntax::{Pos, Symbol};

use crate::context::{Context, Contexts};
use crate::error::{EvalError, InFrame, Result};
use crate::evaluator::{Coercion, Evaluator, Need, describe_type, place_or};
use crate::json::{self, JsonError, JsonValue, Utf8Error};
use crate::value::{Attr, Attrs, AttrsBuilder, Builtin, List, Thunk, Value, View};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "fromJSON",
        arguments: &["e"],
        doc: "The value that a JSON text stands for.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: from_json,
    },
    Builtin {
        name: "toJSON",
        arguments: &["e"],
        doc: "A value as JSON text. Paths are copied to the store and become the names of their copies; a set with \
              `__toString` or `outPath`, such as a derivation, becomes a string. Functions can't be written.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: to_json,
    },
];

fn from_json(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.fromJSON";
    let text = ev.force_plain_string(arguments[0], pos, frame)?;
    json::parse(text.bytes(), ev).map_err(|error| {
        let failed = EvalError::other(error.to_string());
        match error {
            JsonError::Syntax(_) => failed.with_frame("while decoding a JSON string", pos),
            JsonError::IntegerRange(_) | JsonError::NulByte(_) => failed,
        }
    })
}

impl JsonValue for Value {
    type Maker = Evaluator;

    fn null(_: &Evaluator) -> Value {
        Value::NULL
    }

    fn bool(_: &Evaluator, value: bool) -> Value {
        Value::bool(value)
    }

    fn int(ev: &Evaluator, value: i64) -> Value {
        ev.int(value)
    }

    fn float(ev: &Evaluator, value: f64) -> Value {
        ev.float(value)
    }

    fn string(ev: &Evaluator, value: &[u8]) -> Value {
        ev.string(value)
    }

    fn list(ev: &Evaluator, values: Vec<Value>) -> Value {
        ev.list(&values)
    }

    fn object(ev: &Evaluator, entries: Vec<(Vec<u8>, Value)>) -> Value {
        let mut attrs = AttrsBuilder::with_capacity(entries.len());
        // The builder keeps the first of two, JSON the last.
        for (key, value) in entries.into_iter().rev() {
            attrs.add(Symbol::intern(&key), value);
        }
        ev.attrs(attrs)
    }
}

fn to_json(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let (text, context) = write(ev, arguments[0], true, pos)?;
    Ok(ev.string_with_context(text, context))
}

/// A value as JSON, and what its strings and paths refer to.
fn write(ev: &Evaluator, value: Value, strict: bool, pos: Pos) -> Result<(Vec<u8>, Context)> {
    let mut out = Vec::new();
    let mut contexts = Contexts::default();
    writer(&mut out, &mut contexts, ev, strict).write(value, pos)?;
    Ok((out, contexts.union()))
}

/// Appends a value as the JSON in a `.drv` file, and what its strings and paths refer to.
pub(super) fn write_in_derivation(
    out: &mut Vec<u8>,
    contexts: &mut Contexts,
    ev: &Evaluator,
    value: Value,
    pos: Pos,
) -> Result<()> {
    let form = StringForm::IN_DERIVATION;
    Writer { form, ..writer(out, contexts, ev, true) }.write(value, pos)
}

fn writer<'a>(
    out: &'a mut Vec<u8>,
    contexts: &'a mut Contexts,
    ev: &'a Evaluator,
    strict: bool,
) -> Writer<'a> {
    let form = StringForm::PLAIN;
    Writer { ev, form, strict, copies: true, is_nested: false, out, contexts, invalid: None }
}

impl Evaluator {
    /// A value as JSON. Unless `strict`, what isn't evaluated yet is an error.
    pub fn to_json(&self, value: Value, strict: bool) -> Result<Vec<u8>> {
        Ok(write(self, value, strict, Pos::NONE)?.0)
    }

    /// All of a value as JSON, with paths by their names.
    pub fn to_json_by_name(&self, value: Value) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut contexts = Contexts::default();
        Writer { copies: false, ..writer(&mut out, &mut contexts, self, true) }.write(value, Pos::NONE)?;
        Ok(out)
    }
}

struct Writer<'a> {
    ev: &'a Evaluator,
    form: &'static StringForm,
    /// Whether to evaluate what is in the value.
    strict: bool,
    /// Whether paths are copied to the store.
    copies: bool,
    /// Whether the outermost value was met already.
    is_nested: bool,
    out: &'a mut Vec<u8>,
    contexts: &'a mut Contexts,
    /// The first string that isn't UTF-8: an error only once everything has been evaluated.
    invalid: Option<Utf8Error>,
}

/// Where a value was written. That of an attribute is only looked up for messages.
#[derive(Clone, Copy)]
enum Place {
    Pos(Pos),
    Of(Attr),
}

impl Place {
    fn pos(self) -> Pos {
        match self {
            Place::Pos(pos) => pos,
            Place::Of(attr) => attr.pos(),
        }
    }
}

impl Writer<'_> {
    fn write(mut self, value: Value, pos: Pos) -> Result<()> {
        self.value(value, Place::Pos(pos))?;
        match self.invalid {
            Some(invalid) => Err(EvalError::other(format!("JSON serialization error: {invalid}"))),
            None => Ok(()),
        }
    }

    fn value(&mut self, value: Value, place: Place) -> Result<()> {
        let _depth = self.ev.enter_at(|| place.pos())?;
        if let Some(string) = value.as_str() {
            self.contexts.add(string.context());
            self.string(string.bytes());
            return Ok(());
        }
        self.other(value, place)
    }

    /// What is not a string yet.
    #[inline(never)]
    fn other(&mut self, value: Value, place: Place) -> Result<()> {
        let ev = self.ev;
        let value = value.settled();
        let value = if self.strict && !value.is_forced() { ev.force_job(value, place.pos())? } else { value };
        let is_nested = std::mem::replace(&mut self.is_nested, true);
        match value.view() {
            View::Null => self.out.extend_from_slice(b"null"),
            View::Bool(value) => self.out.extend_from_slice(if value { b"true" } else { b"false" }),
            View::Int(value) => self.out.extend_from_slice(value.to_string().as_bytes()),
            View::Float(value) => json::write_float(self.out, value),
            View::String(string) => {
                self.contexts.add(string.context());
                self.string(string.bytes());
            }
            View::Path(path) if !self.copies => self.string(&crate::path::shown(path.bytes())),
            View::Path(path) => {
                let stored = ev.copy_to_store(path)?;
                self.contexts.add(stored.context());
                self.string(stored.bytes());
            }
            View::List(list) => self.list(list, place)?,
            View::Attrs(attrs) => self.set(value, attrs, place)?,
            // The reference makes functions when they are asked for, and here nobody did.
            View::Lambda(lambda) if is_nested && !self.strict && !lambda.code().is_seen() => {
                return Err(EvalError::of_type("cannot convert a thunk to JSON").at(place.pos()));
            }
            View::Lambda(lambda) => return Err(not_json(value, lambda.code().pos)),
            View::Builtin(_) | View::Partial(_) | View::Thunk => return Err(not_json(value, place.pos())),
        }
        Ok(())
    }

    fn string(&mut self, bytes: &[u8]) {
        if let Err(error) = json::write_string(self.out, self.form, bytes) {
            self.invalid.get_or_insert(error);
        }
    }

    /// What became long gets so much room at once that it need not move again. Pages that nobody writes to cost nothing.
    fn make_room(&mut self) {
        const LONG: usize = 64 << 10;
        const ROOM: usize = 16 << 20;
        if self.out.len() > LONG && self.out.capacity() < ROOM {
            self.out.reserve(ROOM);
        }
    }

    fn list(&mut self, list: List, place: Place) -> Result<()> {
        self.make_room();
        self.out.push(b'[');
        let _offer = (self.strict && self.copies).then(|| self.ev.offer(Need::Json, list.iter()));
        for (index, element) in list.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.value(element, place)
                .frame_at(|| (format!("while evaluating list element at index {index}"), place.pos()))?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn set(&mut self, value: Value, attrs: Attrs, place: Place) -> Result<()> {
        if let Some(to_string) = attrs.get(Symbol::TO_STRING) {
            let pos = place.pos();
            let text = self.ev.call(to_string, &[value], pos)?;
            let frame = "while evaluating the result of the `__toString` attribute";
            let text = self.ev.coerce_to_string(text, Coercion::Plain, pos, frame)?;
            self.contexts.add(text.context());
            self.string(text.bytes());
            return Ok(());
        }
        if let Some(path) = attrs.get_attr(Symbol::OUT_PATH) {
            return self.value(path.value, Place::Of(path));
        }
        self.make_room();
        self.out.push(b'{');
        let _offer = (self.strict && self.copies)
            .then(|| self.ev.offer(Need::Json, attrs.iter().map(|attr| attr.value)));
        for (index, attr) in attrs.by_name().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.string(attr.name.as_bytes());
            self.out.push(b':');
            self.value(attr.value, Place::Of(attr)).frame_at(|| {
                (format!("while evaluating attribute '{}'", attr.name.to_identifier()), attr.pos())
            })?;
        }
        self.out.push(b'}');
        Ok(())
    }
}

#[cold]
fn not_json(value: Value, pos: Pos) -> EvalError {
    // An element of `map` and its like has the place of its function. Positions are counted by functions that have none.
    let is_call = Thunk::of(value).is_some_and(|thunk| {
        thunk.function().is_some() || thunk.code().is_some_and(|(code, _)| code.place().is_none())
    });
    let what = if is_call { "a function application".to_owned() } else { describe_type(value) };
    EvalError::of_type(format!("cannot convert {what} to JSON")).at(place_or(value, pos))
}
