//! `fromTOML`.

use std::collections::BTreeMap;

use nival_syntax::{Pos, Symbol};

use crate::error::{EvalError, Result};
use crate::evaluator::Evaluator;
use crate::toml::{self, Toml};
use crate::value::{AttrsBuilder, Builtin, Value};

pub(super) static FUNCTIONS: &[Builtin] = &[Builtin {
    name: "fromTOML",
    arguments: &["e"],
    doc: "The set that a TOML 1.0 text stands for. Dates and times need the experimental feature \
          `parse-toml-timestamps`, and become sets with `_type = \"timestamp\"` and `value`.",
    global: true,
    internal: false,
    feature: None,
    traced: true,
    run: from_toml,
}];

fn from_toml(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to builtins.fromTOML";
    let text = ev.force_plain_string(arguments[0], pos, frame)?;
    toml::parse(text.bytes())
        // As in the reference, the last line stays although it is empty: a colour ends there.
        .map_err(|error| format!("{error}\u{1b}[0m"))
        .and_then(|table| set(ev, table))
        .map_err(|message| EvalError::other(format!("while parsing TOML: {message}")).at(pos))
}

fn set(ev: &Evaluator, table: BTreeMap<String, Toml>) -> Result<Value, String> {
    let mut attrs = AttrsBuilder::with_capacity(table.len());
    for (key, entry) in table {
        attrs.add(Symbol::intern(without_nul(&key)?), value(ev, entry)?);
    }
    Ok(ev.attrs(attrs))
}

fn value(ev: &Evaluator, toml: Toml) -> Result<Value, String> {
    Ok(match toml {
        Toml::String(text) => ev.string(without_nul(&text)?),
        Toml::Integer(number) => ev.int(number),
        Toml::Float(number) => ev.float(number),
        Toml::Bool(flag) => Value::bool(flag),
        Toml::Timestamp(text) if ev.settings().has_feature("parse-toml-timestamps") => {
            let mut attrs = AttrsBuilder::with_capacity(2);
            attrs.add(Symbol::intern("_type"), ev.string("timestamp"));
            attrs.add(Symbol::intern("value"), ev.string(text));
            ev.attrs(attrs)
        }
        Toml::Timestamp(_) => return Err("Dates and times are not supported".to_owned()),
        Toml::Array(array) => {
            let mut list = ev.list_of(array.len());
            for element in array {
                list.push(value(ev, element)?);
            }
            list.finish().into()
        }
        Toml::Table(table) => set(ev, table)?,
    })
}

/// Strings of the language can't hold NUL bytes.
fn without_nul(text: &str) -> Result<&str, String> {
    if !text.contains('\0') {
        return Ok(text);
    }
    let shown = text.replace('\0', "␀");
    Err(format!(
        "error: input string '{shown}' cannot be represented as Nix string because it contains null bytes"
    ))
}
