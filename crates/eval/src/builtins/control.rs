//! The order of evaluation, errors, and messages on the way.

use std::collections::BTreeSet;

use nival_syntax::{Pos, Symbol};

use crate::debug;
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::evaluator::{Coercion, Evaluator};
use crate::host::MessageKind;
use crate::value::{AttrsBuilder, Builtin, Value, View};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin::new("seq", &["e1", "e2"], "`e2`, after `e1` was evaluated.", |ev, arguments, pos| {
        ev.force(arguments[0], pos)?.see();
        ev.force(arguments[1], pos)
    }),
    Builtin::new(
        "deepSeq",
        &["e1", "e2"],
        "`e2`, after `e1` and all that is in it was evaluated.",
        |ev, arguments, pos| {
            ev.force_deep(arguments[0])?;
            ev.force(arguments[1], pos)
        },
    ),
    Builtin::new(
        "throw",
        &["s"],
        "Ends evaluation with a message, which `tryEval` catches.",
        |ev, arguments, pos| {
            let frame = "while evaluating the error message passed to builtin.throw";
            let text = ev.coerce_to_string(arguments[0], Coercion::Interpolation, pos, frame)?;
            Err(EvalError::new(ErrorKind::Throw, text.to_text()))
        },
    )
    .global(),
    Builtin::new("abort", &["s"], "Ends evaluation with a message.", |ev, arguments, pos| {
        let frame = "while evaluating the error message passed to builtins.abort";
        let text = ev.coerce_to_string(arguments[0], Coercion::Interpolation, pos, frame)?;
        let text = text.to_text();
        Err(EvalError::new(
            ErrorKind::Abort,
            format!("evaluation aborted with the following error message: '{text}'"),
        ))
    })
    .global(),
    Builtin::new(
        "tryEval",
        &["e"],
        "Evaluates `e` as far as its outermost: `{ success, value }`. Only `throw` and `assert` are caught.",
        |ev, arguments, pos| {
            let (success, value) = match debug::within_try(ev, || ev.force(arguments[0], pos)) {
                Ok(value) => (true, value),
                Err(error) if error.is_catchable() => (false, Value::FALSE),
                Err(error) => return Err(error),
            };
            let mut result = AttrsBuilder::with_capacity(2);
            result.add("success", Value::bool(success));
            result.add("value", value);
            Ok(ev.attrs(result))
        },
    ),
    Builtin::new(
        "addErrorContext",
        &["context", "e"],
        "`e`, whose error gets one more line of explanation.",
        |ev, arguments, pos| {
            ev.force(arguments[1], pos).map_err(|error| {
                let frame = "while evaluating the error message passed to builtins.addErrorContext";
                match ev.coerce_to_string(arguments[0], Coercion::Plain, pos, frame) {
                    Ok(text) => error.with_lasting_frame(text.to_text().into_owned(), Pos::NONE),
                    Err(other) => other,
                }
            })
        },
    )
    .untraced(),
    Builtin::new(
        "trace",
        &["e1", "e2"],
        "`e2`, after `e1` was shown on standard error.",
        |ev, arguments, pos| {
            show(ev, arguments[0], pos)?;
            ev.force(arguments[1], pos)
        },
    ),
    Builtin::new(
        "traceVerbose",
        &["e1", "e2"],
        "As `trace`, if the setting `trace-verbose` is on; else just `e2`.",
        |ev, arguments, pos| {
            if ev.settings().trace_verbose {
                show(ev, arguments[0], pos)?;
            }
            ev.force(arguments[1], pos)
        },
    ),
    Builtin::new(
        "warn",
        &["e1", "e2"],
        "`e2`, after the string `e1` was shown as a warning.",
        |ev, arguments, pos| {
            let frame = "while evaluating the first argument; the message passed to builtins.warn";
            let text = ev.force_plain_string(arguments[0], pos, frame)?;
            ev.say(MessageKind::EvaluationWarning, text.bytes())?;
            debug::after_message(ev, |at| at.warnings)?;
            if ev.settings().abort_on_warn {
                return Err(EvalError::new(
                    ErrorKind::Abort,
                    "aborting to reveal stack trace of warning, as abort-on-warn is set",
                ));
            }
            ev.force(arguments[1], pos)
        },
    ),
    Builtin::new("break", &["v"], "`v`; a place for a debugger to stop.", |ev, arguments, pos| {
        debug::breakpoint(ev)?;
        if debug::defer(ev, arguments[0]) {
            return Ok(Value::NULL);
        }
        ev.force(arguments[0], pos)
    })
    .global()
    .untraced(),
    Builtin::new(
        "genericClosure",
        &["attrset"],
        "All items that `operator` reaches from those in `startSet`, each `key` once.",
        generic_closure,
    ),
];

fn show(ev: &Evaluator, value: Value, pos: Pos) -> Result<()> {
    let value = ev.force(value, pos)?;
    let text = match value.view() {
        View::String(text) => text.bytes().to_vec(),
        _ => ev.print(value, &crate::print::PrintOptions::default())?,
    };
    ev.say(MessageKind::Trace, &text)?;
    debug::after_message(ev, |at| at.traces)
}

fn generic_closure(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let attrs = ev.force_attrs(
        arguments[0],
        pos,
        "while evaluating the first argument passed to builtins.genericClosure",
    )?;
    let argument = "in the attrset passed as argument to builtins.genericClosure";
    let start = ev.required_attr(attrs, Symbol::intern("startSet"), argument)?;
    let frame = "while evaluating the 'startSet' attribute passed as argument to builtins.genericClosure";
    let start = ev.force_list(start, pos, frame)?;
    if start.is_empty() {
        return Ok(start.into());
    }
    let operator = ev.required_attr(attrs, Symbol::intern("operator"), argument)?;
    let frame = "while evaluating the 'operator' attribute passed as argument to builtins.genericClosure";
    let operator = ev.force_function(operator, pos, frame)?;
    let key_symbol = Symbol::intern("key");
    let mut seen = Keys::default();
    let mut found = Vec::new();
    let mut todo: std::collections::VecDeque<Value> = start.iter().collect();
    while let Some(item) = todo.pop_front() {
        let in_element = || format!("in genericClosure element {}", ev.print_for_error(item));
        let attrs = ev.force_attrs(item, pos, "").frame_with(in_element, Pos::NONE)?;
        let key = ev.required_attr(attrs, key_symbol, "").frame_with(in_element, Pos::NONE)?;
        let key = ev.force(key, pos)?;
        if let View::Lambda(lambda) = key.view() {
            lambda.code().see();
        }
        let is_new =
            seen.insert(ev, key, pos).map_err(|error| describe_comparison(ev, error, item, key, &found))?;
        if !is_new {
            continue;
        }
        found.push(item);
        let frame = "while evaluating the return value of the `operator` passed to builtins.genericClosure";
        let next =
            ev.call(operator, &[item], pos).and_then(|next| ev.force_list(next, pos, frame)).frame_with(
                || format!("while calling operator on genericClosure element {}", ev.print_for_error(item)),
                Pos::NONE,
            )?;
        todo.extend(next.iter());
    }
    Ok(ev.list(&found))
}

/// Says which two elements have keys without an order.
#[cold]
fn describe_comparison(
    ev: &Evaluator,
    error: EvalError,
    item: Value,
    key: Value,
    found: &[Value],
) -> EvalError {
    let key_of = |item: &Value| item.as_attrs().and_then(|attrs| attrs.get(Symbol::intern("key")));
    let other = found
        .iter()
        .find(|item| key_of(item).is_some_and(|other| ev.less_than(key, other, Pos::NONE, "").is_err()));
    let item = ev.print_for_error(item);
    match other {
        Some(other) => error
            .with_frame(format!("with element {}", ev.print_for_error(*other)), Pos::NONE)
            .with_frame(format!("while comparing element {item}"), Pos::NONE),
        None => error.with_frame(format!("while checking key of element {item}"), Pos::NONE),
    }
}

/// Keys seen so far: strings by their bytes, all others sorted by the order of the language.
#[derive(Default)]
struct Keys {
    strings: BTreeSet<&'static [u8]>,
    others: Vec<Value>,
}

impl Keys {
    /// Whether the key is new.
    fn insert(&mut self, ev: &Evaluator, key: Value, pos: Pos) -> Result<bool> {
        if let View::String(text) = key.view() {
            if let Some(other) = self.others.first() {
                // Keys of different types have no order.
                ev.less_than(key, *other, pos, "")?;
            }
            return Ok(self.strings.insert(text.bytes()));
        }
        let frame = "";
        if let Some(text) = self.strings.first() {
            ev.less_than(key, ev.string(text), pos, frame)?;
        }
        let (mut low, mut high) = (0, self.others.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if ev.less_than(key, self.others[middle], pos, frame)? {
                high = middle;
            } else if ev.less_than(self.others[middle], key, pos, frame)? {
                low = middle + 1;
            } else {
                return Ok(false);
            }
        }
        self.others.insert(low, key);
        Ok(true)
    }
}
