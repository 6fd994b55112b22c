//! What kind of value something is.

use nival_syntax::Pos;

use crate::error::Result;
use crate::evaluator::Evaluator;
use crate::value::{Builtin, Value, View};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin::new(
        "typeOf",
        &["value"],
        "The name of the value's type: `\"int\"`, `\"set\"`, `\"lambda\"` …",
        |ev, arguments, pos| {
            let value = ev.force(arguments[0], pos)?;
            value.see();
            Ok(ev.string(value.type_name()))
        },
    ),
    Builtin::new("isNull", &["value"], "Whether the value is `null`.", |ev, arguments, pos| {
        is(ev, arguments, pos, |view| matches!(view, View::Null))
    })
    .global(),
    Builtin::new("isBool", &["value"], "Whether the value is `true` or `false`.", |ev, arguments, pos| {
        is(ev, arguments, pos, |view| matches!(view, View::Bool(_)))
    }),
    Builtin::new("isInt", &["value"], "Whether the value is an integer.", |ev, arguments, pos| {
        is(ev, arguments, pos, |view| matches!(view, View::Int(_)))
    }),
    Builtin::new(
        "isFloat",
        &["value"],
        "Whether the value is a floating-point number.",
        |ev, arguments, pos| is(ev, arguments, pos, |view| matches!(view, View::Float(_))),
    ),
    Builtin::new("isString", &["value"], "Whether the value is a string.", |ev, arguments, pos| {
        is(ev, arguments, pos, |view| matches!(view, View::String(_)))
    }),
    Builtin::new("isPath", &["value"], "Whether the value is a path.", |ev, arguments, pos| {
        is(ev, arguments, pos, |view| matches!(view, View::Path(_)))
    }),
    Builtin::new("isList", &["value"], "Whether the value is a list.", |ev, arguments, pos| {
        is(ev, arguments, pos, |view| matches!(view, View::List(_)))
    }),
    Builtin::new("isAttrs", &["value"], "Whether the value is a set.", |ev, arguments, pos| {
        is(ev, arguments, pos, |view| matches!(view, View::Attrs(_)))
    }),
    Builtin::new(
        "isFunction",
        &["value"],
        "Whether the value is a function, built-in or not.",
        |ev, arguments, pos| {
            is(ev, arguments, pos, |view| {
                matches!(view, View::Lambda(_) | View::Builtin(_) | View::Partial(_))
            })
        },
    ),
];

fn is(ev: &Evaluator, arguments: &[Value], pos: Pos, wanted: fn(View) -> bool) -> Result<Value> {
    let value = ev.force(arguments[0], pos)?;
    value.see();
    Ok(Value::bool(wanted(value.view())))
}
