//! The golden tests of the library in the binary, evaluated by the real program.
//!
//! Each `tests/{lib,modules,home,programs}/NAME.nix` of the library's crate is a function of `lib` and `nival`; its value as JSON
//! is in `NAME.exp`. Each `tests/errors/NAME.nix` fails with a message that contains `NAME.err`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../library/tests")
        .canonicalize()
        .expect("the library's tests")
}

fn evaluate(file: &Path) -> Output {
    let expression = format!(
        "let nival = import <nival> {{ system = \"x86_64-linux\"; }}; in import {} {{ inherit nival; inherit (nival) lib; }}",
        file.display()
    );
    Command::new(env!("CARGO_BIN_EXE_nival"))
        .args(["eval", "--store", "dummy://", "--json", "--expr", &expression])
        .env_clear()
        .env("HOME", "/homeless")
        .output()
        .expect("the program runs")
}

fn cases(folder: &str, extension: &str) -> Vec<(PathBuf, PathBuf)> {
    let mut cases: Vec<_> = std::fs::read_dir(tests().join(folder))
        .expect("a folder of tests")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|expected| (expected.with_extension("nix"), expected))
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "{folder} has no tests");
    cases
}

/// What is expected, with the folders in their places.
fn read(expected: &Path) -> String {
    std::fs::read_to_string(expected)
        .expect("what is expected")
        .replace("@tests@", &tests().to_string_lossy())
        .replace("@library@", "/__nival__")
}

/// A message as its words: how lines are indented belongs to the renderer.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check_values(folder: &str) {
    for (file, expected) in cases(folder, "exp") {
        let output = evaluate(&file);
        assert!(output.status.success(), "{}:\n{}", file.display(), String::from_utf8_lossy(&output.stderr));
        let expected: serde_json::Value = serde_json::from_str(&read(&expected)).expect("JSON");
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(value, expected, "{}", file.display());
    }
}

#[test]
fn functions() {
    check_values("lib");
}

#[test]
fn module_system() {
    check_values("modules");
}

#[test]
fn homes() {
    check_values("home");
}

#[test]
fn programs() {
    check_values("programs");
}

#[test]
fn errors() {
    for (file, expected) in cases("errors", "err") {
        let output = evaluate(&file);
        let message = String::from_utf8_lossy(&output.stderr);
        let expected = read(&expected);
        assert!(!output.status.success(), "{} has a value", file.display());
        assert!(
            words(&message).contains(&words(&expected)),
            "{}:\n{message}\ninstead of\n{expected}",
            file.display()
        );
    }
}
