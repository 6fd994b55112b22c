//! Built-in functions and constants, each with its one definition.

mod context;
mod control;
mod derivation;
mod environment;
mod fetch;
mod files;
mod flakes;
mod hashing;
mod json;
mod lists;
mod names;
mod numbers;
mod sets;
mod sort;
mod strictness;
mod strings;
mod toml;
mod types;
mod versions;
mod xml;

pub(crate) use derivation::DERIVATION_NAME;
pub(crate) use names::intern_names;
use nival_formats::HashAlgo;
use nival_syntax::Pos;

use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::Evaluator;
use crate::value::{Builtin, Constant, Value};

pub(crate) use strictness::{First, evaluated_first};

/// All built-in functions.
pub fn functions() -> impl Iterator<Item = &'static Builtin> {
    FUNCTIONS.iter().copied().flatten()
}

/// All built-in constants, but for the impure ones and `true`, `false`, `null` and `builtins`.
pub fn constants() -> impl Iterator<Item = &'static Constant> {
    CONSTANTS.iter().copied().flatten()
}

/// Those of the constants that aren't there in pure evaluation.
pub fn impure_constants() -> impl Iterator<Item = &'static Constant> {
    environment::IMPURE_CONSTANTS.iter()
}

static FUNCTIONS: &[&[Builtin]] = &[
    context::FUNCTIONS,
    control::FUNCTIONS,
    derivation::FUNCTIONS,
    environment::FUNCTIONS,
    fetch::FUNCTIONS,
    files::FUNCTIONS,
    flakes::FUNCTIONS,
    hashing::FUNCTIONS,
    json::FUNCTIONS,
    lists::FUNCTIONS,
    numbers::FUNCTIONS,
    sets::FUNCTIONS,
    strings::FUNCTIONS,
    toml::FUNCTIONS,
    types::FUNCTIONS,
    versions::FUNCTIONS,
    xml::FUNCTIONS,
];
static CONSTANTS: &[&[Constant]] = &[derivation::CONSTANTS, environment::CONSTANTS, files::CONSTANTS];

pub(crate) use derivation::require_feature;
pub(crate) use fetch::{FETCH_FINAL_TREE, WithoutRevision, tree_value};
pub(crate) use flakes::warn;

pub(crate) fn text(bytes: &[u8]) -> Result<String> {
    utf8(bytes).map(str::to_owned)
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes)
        .map_err(|_| EvalError::other(format!("'{}' is not valid UTF-8", nival_syntax::raw_text(bytes))))
}

/// The hash algorithm that an argument names.
fn hash_algo(ev: &Evaluator, value: Value, pos: Pos, frame: &'static str) -> Result<HashAlgo> {
    let name = text(ev.force_plain_string(value, pos, frame)?.bytes())?;
    let algo =
        name.parse::<HashAlgo>().map_err(|error| EvalError::new(ErrorKind::Usage, error.to_string()))?;
    if algo == HashAlgo::Blake3 {
        derivation::require_feature(ev, "blake3-hashes")?;
    }
    Ok(algo)
}
