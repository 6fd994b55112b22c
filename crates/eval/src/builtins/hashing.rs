//! Built-in functions on hashes.

use nival_formats::{Hash, HashFormat};
use nival_syntax::{Pos, Symbol};

use super::derivation::parse_notated_hash;
use super::{any_text, hash_algo};
use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::Evaluator;
use crate::host::MessageKind;
use crate::value::{Builtin, Value};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "hashString",
        arguments: &["type", "string"],
        doc: "The hash of a text in base 16, by the algorithm `md5`, `sha1`, `sha256` or `sha512`.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: hash_string,
    },
    Builtin {
        name: "convertHash",
        arguments: &["arguments"],
        doc: "`hash` in the notation `toHashFormat`: `base16`, `nix32`, `base64` or `sri`. `hashAlgo` says the algorithm if `hash` does \
              not.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: convert_hash,
    },
];

fn hash_string(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.hashString";
    let algo = hash_algo(ev, arguments[0], pos, frame)?;
    let frame = "while evaluating the second argument passed to builtins.hashString";
    let string = ev.force_string(arguments[1], pos, frame)?;
    Ok(ev.string(Hash::of(algo, string.bytes()).to_base16()))
}

fn convert_hash(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.convertHash";
    let attrs = ev.force_attrs(arguments[0], pos, frame)?;
    let hash = ev.required_attr(attrs, Symbol::intern("hash"), "while locating the attribute 'hash'")?;
    let hash = any_text(ev.force_plain_string(hash, pos, "while evaluating the attribute 'hash'")?.bytes());
    let algo = attrs.get(Symbol::intern("hashAlgo"));
    let algo =
        algo.map(|algo| hash_algo(ev, algo, pos, "while evaluating the attribute 'hashAlgo'")).transpose()?;
    let frame = "while locating the attribute 'toHashFormat'";
    let format = ev.required_attr(attrs, Symbol::intern("toHashFormat"), frame)?;
    let frame = "while evaluating the attribute 'toHashFormat'";
    let format = any_text(ev.force_plain_string(format, pos, frame)?.bytes());
    if format == "base32" {
        let warning = "\"base32\" is a deprecated alias for hash format \"nix32\".";
        ev.say(MessageKind::Warning, warning.as_bytes())?;
    }
    let format =
        format.parse::<HashFormat>().map_err(|error| EvalError::new(ErrorKind::Usage, error.to_string()))?;
    let hash = parse_notated_hash(ev, &hash, algo)?;
    Ok(ev.string(hash.to_format(format)))
}
