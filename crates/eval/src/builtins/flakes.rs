//! Built-in functions on flakes and references to them.
//!
//! What each takes and says is C++ Nix 2.34's `src/libflake/flake-primops.cc`.

use nival_formats::FlakeRef;
use nival_formats::flake_ref::Paths;
use nival_formats::input::{AttrValue, InputAttrs, InputError, Wanted};
use nival_syntax::{Pos, Symbol};

use super::{require_feature, text};
use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::{Evaluator, describe_type};
use crate::flake::LockOptions;
use crate::host::{MessageKind, Registries};
use crate::value::{AttrsBuilder, Builtin, Value, View};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin::new(
        "parseFlakeRef",
        &["flake-ref"],
        "Takes a flake reference such as `github:NixOS/nixpkgs/23.05?dir=lib` apart: the result is a set with `type` and what \
         else the reference says.",
        parse_flake_ref,
    ),
    Builtin::new(
        "getFlake",
        &["args"],
        "Fetches the flake that a reference names, and gives its outputs, with its inputs and what is known of its source. In \
         pure evaluation the reference has to be locked: one that can only ever mean the same.",
        get_flake,
    ),
    Builtin::new(
        "flakeRefToString",
        &["attrs"],
        "The flake reference that a set such as that of `parseFlakeRef` stands for, as a URL.",
        flake_ref_to_string,
    ),
];

fn get_flake(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    ev.must_not_be_ahead()?;
    let frame = "while evaluating the argument passed to builtins.getFlake";
    let text = text(ev.force_plain_string(arguments[0], pos, frame)?.bytes())?;
    require_feature(ev, "flakes")?;
    let reference = parse(ev, &text)?;
    let pure = ev.settings().pure_eval;
    if pure && !reference.input.is_locked()? {
        let message = format!(
            "cannot call 'getFlake' on unlocked flake reference '{text}', at {} (use --impure to override)",
            pos.display()
        );
        return Err(EvalError::new(ErrorKind::Impure, message));
    }
    let registries = if pure { Registries::None } else { Registries::All };
    ev.get_flake(&reference, LockOptions { registries, allow_unlocked: !pure })
}

impl From<InputError> for EvalError {
    #[cold]
    fn from(error: InputError) -> EvalError {
        let kind = match error {
            InputError::HashMismatch(_) => ErrorKind::HashMismatch,
            _ => ErrorKind::Other,
        };
        EvalError::new(kind, error.to_string())
    }
}

/// Parses a reference that starts nowhere: relative paths are refused.
pub(super) fn parse(ev: &Evaluator, reference: &str) -> Result<FlakeRef> {
    let features = |name: &str| ev.settings().has_feature(name);
    let parsed = FlakeRef::parse(reference, Paths::Absolute, Wanted::Tree, &features)?;
    warn(ev, &parsed.warnings)?;
    Ok(parsed.flake)
}

/// Says what is dubious.
pub(crate) fn warn(ev: &Evaluator, warnings: &[String]) -> Result<()> {
    warnings.iter().try_for_each(|warning| ev.say(MessageKind::Warning, warning.as_bytes()))
}

fn parse_flake_ref(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to builtins.parseFlakeRef";
    let reference = text(ev.force_plain_string(arguments[0], pos, frame)?.bytes())?;
    require_feature(ev, "flakes")?;
    let attrs = parse(ev, &reference)?.to_attrs();
    let mut result = AttrsBuilder::with_capacity(attrs.len());
    for (name, value) in &attrs {
        result.add(Symbol::intern(name), input_value(ev, value));
    }
    Ok(ev.attrs(result))
}

/// An attribute of an input as a value.
pub(super) fn input_value(ev: &Evaluator, value: &AttrValue) -> Value {
    match value {
        AttrValue::Text(text) => ev.string(text),
        AttrValue::Int(value) => ev.int(*value as i64),
        AttrValue::Bool(value) => Value::bool(*value),
    }
}

fn flake_ref_to_string(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to builtins.flakeRefToString";
    let mut attrs = InputAttrs::new();
    for attr in ev.force_attrs(arguments[0], Pos::NONE, frame)? {
        let name = attr.name;
        let value = ev.force(attr.value, attr.pos())?;
        let value = match value.view() {
            View::Int(value) => AttrValue::Int(u64::try_from(value).map_err(|_| {
                EvalError::other(format!("negative value given for flake ref attr {name}: {value}")).at(pos)
            })?),
            View::Bool(value) => AttrValue::Bool(value),
            View::String(string) => AttrValue::Text(text(string.bytes())?),
            _ => {
                return Err(EvalError::other(format!(
                    "flake reference attribute sets may only contain integers, Booleans, and strings, but attribute \
                     '{name}' is {}",
                    describe_type(value)
                )));
            }
        };
        attrs.insert(text(name.as_bytes())?, value);
    }
    require_feature(ev, "flakes")?;
    let features = |name: &str| ev.settings().has_feature(name);
    let url = FlakeRef::from_attrs(attrs, &features)?.to_url()?;
    warn(ev, &url.warnings())?;
    Ok(ev.string(url.to_string()))
}
