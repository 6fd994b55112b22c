//! Programs against answers of C++ Nix 2.34.8: exit code, standard output and standard error.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

#[derive(serde::Deserialize)]
struct Case {
    /// What `NIX_CONFIG` says.
    #[serde(default = "usual_config")]
    config: String,
    arguments: Vec<String>,
    #[serde(default)]
    input: String,
    code: i32,
    stdout: String,
    stderr: String,
}

fn usual_config() -> String {
    "experimental-features = nix-command flakes".to_owned()
}

/// Calls a program with the arguments of each case in a folder with the files of `recorded/files`, known as `/DIR`.
pub(crate) fn check(program: &str, cases: &str) {
    let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().canonicalize().unwrap();
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/files");
        for file in std::fs::read_dir(files).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), directory.join(file.file_name())).unwrap();
        }
        let path = directory.join(program);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nival"), &path).unwrap();
        let mut child = Command::new(&path)
            .args(&case.arguments)
            .current_dir(&directory)
            .env_clear()
            .env("HOME", &directory)
            .env("NIX_CONF_DIR", &directory)
            .env("NIX_CONFIG", &case.config)
            .env("NIX_REMOTE", "dummy://")
            .env("_NIX_TEST_RAW_MARKDOWN", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that ends before it has read everything is none of our business here.
        let _ = child.stdin.take().unwrap().write_all(case.input.as_bytes());
        let got = child.wait_with_output().unwrap();
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(directory.to_str().unwrap(), "/DIR");
        let (stdout, stderr) = (text(got.stdout), without_times(&text(got.stderr)));
        if (got.status.code(), &stdout, &stderr) != (Some(case.code), &case.stdout, &case.stderr) {
            wrong.push(format!(
                "{:?} {:?}\nexpected {}:\n{}{}\ngot {}:\n{stdout}{stderr}\n",
                case.arguments, case.input, case.code, case.stdout, case.stderr, got.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

/// What `trace-function-calls` says, but for when it was.
fn without_times(text: &str) -> String {
    let without = |line: &str| {
        let untimed = line.strip_prefix("function-trace ").and_then(|_| line.rsplit_once(" at "));
        untimed.map_or_else(|| line.to_owned(), |(line, _)| format!("{line}\n"))
    };
    text.split_inclusive('\n').map(without).collect()
}
