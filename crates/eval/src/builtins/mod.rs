//! Built-in functions and constants, each with its one definition.

mod derivation;

use crate::value::{Builtin, Constant};

/// All built-in functions.
pub fn functions() -> impl Iterator<Item = &'static Builtin> {
    FUNCTIONS.iter().copied().flatten()
}

/// All built-in constants, but for `true`, `false`, `null` and `builtins`.
pub fn constants() -> impl Iterator<Item = &'static Constant> {
    CONSTANTS.iter().copied().flatten()
}

static FUNCTIONS: &[&[Builtin]] = &[derivation::FUNCTIONS];
static CONSTANTS: &[&[Constant]] = &[derivation::CONSTANTS];
