//! Built-in functions and constants, each with its one definition.

mod control;
mod derivation;
mod lists;
mod numbers;
mod sets;
mod types;

use crate::value::{Builtin, Constant};

/// All built-in functions.
pub fn functions() -> impl Iterator<Item = &'static Builtin> {
    FUNCTIONS.iter().copied().flatten()
}

/// All built-in constants, but for `true`, `false`, `null` and `builtins`.
pub fn constants() -> impl Iterator<Item = &'static Constant> {
    CONSTANTS.iter().copied().flatten()
}

static FUNCTIONS: &[&[Builtin]] = &[
    control::FUNCTIONS,
    derivation::FUNCTIONS,
    lists::FUNCTIONS,
    numbers::FUNCTIONS,
    sets::FUNCTIONS,
    types::FUNCTIONS,
];
static CONSTANTS: &[&[Constant]] = &[derivation::CONSTANTS];
