//! Package names and versions: `parseDrvName`, `compareVersions` and `splitVersion`.

use nival_syntax::{Pos, Symbol};

use crate::error::Result;
use crate::evaluator::Evaluator;
use crate::value::{AttrsBuilder, Builtin, Value};
use crate::versions;

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "compareVersions",
        arguments: &["s1", "s2"],
        doc: "`-1`, `0` or `1` if the first version is older than, the same as, or newer than the second. Versions are \
              compared part by part: numbers as numbers, and `pre` comes before anything.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: compare_versions,
    },
    Builtin {
        name: "parseDrvName",
        arguments: &["s"],
        doc: "Splits a package's name from its version: `{ name, version }`. The version begins after the first dash \
              that isn't followed by a letter.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: parse_drv_name,
    },
    Builtin {
        name: "splitVersion",
        arguments: &["s"],
        doc: "The parts of a version, as `compareVersions` sees them.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: split_version,
    },
];

fn compare_versions(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.compareVersions";
    let left = ev.force_plain_string(arguments[0], pos, frame)?;
    let frame = "while evaluating the second argument passed to builtins.compareVersions";
    let right = ev.force_plain_string(arguments[1], pos, frame)?;
    Ok(ev.int(versions::compare(left.bytes(), right.bytes()) as i64))
}

fn parse_drv_name(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.parseDrvName";
    let full = ev.force_plain_string(arguments[0], pos, frame)?;
    let (name, version) = versions::parse_drv_name(full.bytes());
    let mut attrs = AttrsBuilder::with_capacity(2);
    attrs.add(Symbol::intern("name"), ev.string(name));
    attrs.add(Symbol::intern("version"), ev.string(version));
    Ok(ev.attrs(attrs))
}

fn split_version(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.splitVersion";
    let version = ev.force_plain_string(arguments[0], pos, frame)?;
    let parts: Vec<Value> = versions::components(version.bytes()).map(|part| ev.string(part)).collect();
    Ok(ev.list(&parts))
}
