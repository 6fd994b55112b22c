//! Built-in values that come from where evaluation happens.

use nival_formats::placeholder::output_placeholder;
use nival_syntax::Pos;

use super::any_text;
use crate::error::Result;
use crate::evaluator::Evaluator;
use crate::value::{Builtin, Constant, Value};

/// The version of C++ Nix whose language this is.
const NIX_VERSION: &str = "2.34.8";

const LANGUAGE_VERSION: i64 = 6;

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "getEnv",
        arguments: &["name"],
        doc: "The value of an environment variable, or an empty string.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: get_env,
    },
    Builtin {
        name: "placeholder",
        arguments: &["output"],
        doc: "A text that stands for the path of an output of the derivation it is used in: it is replaced when that is built.",
        global: true,
        internal: false,
        feature: None,
        traced: true,
        run: placeholder,
    },
];

pub(super) static CONSTANTS: &[Constant] = &[
    Constant {
        name: "nixVersion",
        doc: "The version of C++ Nix whose language this is.",
        global: false,
        value: |ev| Ok(ev.string(NIX_VERSION)),
    },
    Constant {
        name: "langVersion",
        doc: "The version of the language.",
        global: false,
        value: |ev| Ok(ev.int(LANGUAGE_VERSION)),
    },
];

/// Those that aren't there in pure evaluation.
pub(super) static IMPURE_CONSTANTS: &[Constant] = &[
    Constant {
        name: "currentTime",
        doc: "Seconds since 1970 when it was first asked for. Not there in pure evaluation.",
        global: false,
        value: |ev| Ok(ev.int(ev.host().current_time())),
    },
    Constant {
        name: "currentSystem",
        doc: "The system that derivations are made for, such as `x86_64-linux`. Not there in pure evaluation.",
        global: false,
        value: |ev| Ok(ev.string(&ev.settings().current_system)),
    },
];

fn get_env(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.getEnv";
    let name = any_text(ev.force_plain_string(arguments[0], pos, frame)?.bytes());
    if ev.settings().pure_eval || ev.settings().restrict_eval {
        return Ok(ev.string(""));
    }
    Ok(ev.string(ev.host().env(&name).unwrap_or_default()))
}

fn placeholder(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.placeholder";
    let output = any_text(ev.force_plain_string(arguments[0], pos, frame)?.bytes());
    Ok(ev.string(output_placeholder(&output)))
}
