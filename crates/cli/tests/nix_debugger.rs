//! `nix eval --debugger` against recorded answers, and what is in scope where it stops.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod recorded;

use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn answers_are_those_of_the_reference() {
    recorded::check("nix", include_str!("nix_debugger.json"));
}

/// The built-in names are not compared: there are others than in the reference.
#[test]
fn scopes() {
    let place = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_nival"))
        .args(["eval", "--store", "dummy://", "--debugger", "--expr"])
        .arg("let a.b = 1; f = { x, ... }@y: with a; builtins.seq b (throw \"stop\"); in rec { c = f { x = 2; }; }.c")
        .env_clear()
        .env("HOME", place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b":env\nx + b\ny.x\n:env\n:st 3\n:q\n").unwrap();
    let got = child.wait_with_output().unwrap();
    let shown = String::from_utf8(got.stdout).unwrap();
    let expected = "Env level 0\nstatic: \nwith: b \n\nEnv level 1\nstatic: x y \n\n\
                    Env level 2\nstatic: a f \n\nEnv level 3\n";
    assert_eq!(shown.matches(expected).count(), 2, "{shown}");
    assert!(shown.contains("\n3\n") && shown.contains("\n2\n"), "{shown}");
    assert_eq!(got.status.code(), Some(1));
}
