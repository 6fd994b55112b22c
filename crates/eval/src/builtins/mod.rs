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

pub(crate) use strictness::{LastUsage, Usage};

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

/// What need not be UTF-8 here: names of store paths, which are refused later if they are not, and systems.
fn any_text(bytes: &[u8]) -> String {
    nival_syntax::raw_text(bytes).into_owned()
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes)
        .map_err(|_| EvalError::other(format!("'{}' is not valid UTF-8", nival_syntax::raw_text(bytes))))
}

/// The hash algorithm that an argument names.
fn hash_algo(ev: &Evaluator, value: Value, pos: Pos, frame: &'static str) -> Result<HashAlgo> {
    let name = any_text(ev.force_plain_string(value, pos, frame)?.bytes());
    let algo =
        name.parse::<HashAlgo>().map_err(|error| EvalError::new(ErrorKind::Usage, error.to_string()))?;
    if algo == HashAlgo::Blake3 {
        derivation::require_feature(ev, "blake3-hashes")?;
    }
    Ok(algo)
}

#[cfg(test)]
mod tests {
    use super::any_text;

    /// The crates for formats and for messages know nothing of each other.
    #[test]
    fn bytes_stand_for_themselves_in_the_same_way_everywhere() {
        for byte in 0x80..=0xff {
            assert_eq!(any_text(&[byte]), nival_formats::store_path::stand_in(byte).to_string());
        }
        let error = nival_formats::store_path::check_name(&any_text(b"a\xff")).expect_err("no name");
        assert_eq!(
            nival_syntax::raw_bytes(&error.to_string())[..],
            b"name 'a\xff' contains illegal character '\xff'"[..]
        );
        let error = nival_formats::store_path::check_name("\u{e9}").expect_err("no name");
        assert!(nival_syntax::raw_bytes(&error.to_string()).ends_with(b" '\xc3'"));
    }
}
