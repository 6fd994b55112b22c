//! The golden tests of the library in the binary, evaluated by the real program.
//!
//! Each `tests/{lib,modules,home}/NAME.nix` of the library's crate is a function of `lib` and `nival`; its value as JSON
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

fn check_values(folder: &str) {
    for (file, expected) in cases(folder, "exp") {
        let output = evaluate(&file);
        assert!(output.status.success(), "{}:\n{}", file.display(), String::from_utf8_lossy(&output.stderr));
        let expected = std::fs::read(&expected).expect("the expected value");
        let expected: serde_json::Value = serde_json::from_slice(&expected).expect("JSON");
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
fn errors() {
    let tests = tests();
    for (file, expected) in cases("errors", "err") {
        let output = evaluate(&file);
        let message = String::from_utf8_lossy(&output.stderr);
        let expected = std::fs::read_to_string(&expected)
            .expect("the expected message")
            .replace("@tests@", &tests.to_string_lossy())
            .replace("@library@", "/__nival__");
        assert!(!output.status.success(), "{} has a value", file.display());
        assert!(message.contains(expected.trim()), "{}:\n{message}\ninstead of\n{expected}", file.display());
    }
}
