//! `nix-instantiate` against answers of C++ Nix 2.34: exit code, standard output and standard error.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::process::{Command, Stdio};

#[derive(serde::Deserialize)]
struct Case {
    arguments: Vec<String>,
    code: i32,
    stdout: String,
    stderr: String,
}

#[test]
fn answers_are_those_of_the_reference() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("nix_instantiate.json")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().canonicalize().unwrap();
    let program = directory.join("nix-instantiate");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nival"), &program).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let got = Command::new(&program)
            .args(&case.arguments)
            .current_dir(&directory)
            .env_clear()
            .env("HOME", &directory)
            .env("NIX_CONF_DIR", &directory)
            .env("NIX_REMOTE", "dummy://")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(directory.to_str().unwrap(), "/DIR");
        let (stdout, stderr) = (text(got.stdout), text(got.stderr));
        if (got.status.code(), &stdout, &stderr) != (Some(case.code), &case.stdout, &case.stderr) {
            wrong.push(format!(
                "{:?}\nexpected {}:\n{}{}\ngot {}:\n{stdout}{stderr}\n",
                case.arguments, case.code, case.stdout, case.stderr, got.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}
