//! `nix repl`, read from a pipe, against recorded answers.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod recorded;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

#[test]
fn answers_are_those_of_the_reference() {
    recorded::check("nix", include_str!("nix_repl.json"));
}

/// Ctrl-C ends an evaluation, and the next line is answered.
#[test]
fn an_evaluation_is_interrupted() {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("nix");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nival"), &program).unwrap();
    let mut child = Command::new(&program)
        .arg("repl")
        .env_clear()
        .env("HOME", place.path())
        .env("NIX_CONF_DIR", place.path())
        .env("NIX_REMOTE", "dummy://")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let endless = "builtins.trace \"begun\" (let f = n: if n == 0 then 0 else f (n - 1); \
                   in builtins.foldl' (a: b: a + f 9000) 0 (builtins.genList (x: x) 1000000))";
    writeln!(input, "{endless}").unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("begun") {
        line.clear();
        assert_ne!(talk.read_line(&mut line).unwrap(), 0, "it says that it has begun");
    }
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    line.clear();
    talk.read_line(&mut line).unwrap();
    assert_eq!(line, "error: interrupted by the user\n");
    writeln!(input, "20 + 22").unwrap();
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("42"), "{rest}");
    assert!(child.wait().unwrap().success());
}
