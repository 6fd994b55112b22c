//! Command lines of `nix-instantiate`, `nix eval`, `nix repl`, `nix hash` and `nix-hash` of every kind, with a store, against
//! recorded answers of C++ Nix 2.34.8: exit code, both outputs, and what they leave in the folder.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use nival_formats::{Hash, HashAlgo};

#[derive(serde::Deserialize)]
struct Case {
    program: String,
    arguments: Vec<String>,
    #[serde(default)]
    input: String,
    /// Variables that are not as usual.
    #[serde(default)]
    env: BTreeMap<String, String>,
    code: i32,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    stderr: String,
    /// What is new in the folder, or other than before.
    #[serde(default)]
    files: Vec<String>,
}

const SETTINGS: &str = "substituters =\nsystem = x86_64-linux\n";

#[test]
fn answers_are_those_of_the_reference() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("nix_commands.json")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let place = place.path().canonicalize().unwrap();
    let directory = place.join("folder");
    make_files(&directory);
    let before = contents(&directory);
    let mut wrong = Vec::new();
    for case in &cases {
        let program = place.join(&case.program);
        if !program.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nival"), &program).unwrap();
        }
        let mut command = Command::new(&program);
        command.args(&case.arguments).current_dir(&directory).env_clear();
        command.env("HOME", place.join("home")).env("NIX_CONF_DIR", place.join("none"));
        command.env("NIX_REMOTE", place.join("store")).env("_NIX_TEST_RAW_MARKDOWN", "1");
        command.env("PATH", "/usr/bin:/bin").env("PAGER", "cat").env("EDITOR", "echo").env("TERM", "dumb");
        command.env("NIX_CONFIG", format!("experimental-features = nix-command flakes\n{SETTINGS}"));
        for (name, value) in &case.env {
            let value = value.replace("/DIR", directory.to_str().unwrap());
            let more = if name == "NIX_CONFIG" { SETTINGS } else { "" };
            command.env(name, format!("{more}{value}"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that ends before it has read everything is none of our business here.
        let _ = child.stdin.take().unwrap().write_all(case.input.as_bytes());
        let got = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| {
            String::from_utf8_lossy(&bytes)
                .replace(directory.to_str().unwrap(), "/DIR")
                .replace(place.join("store").to_str().unwrap(), "/STORE")
                .replace(place.join("home").to_str().unwrap(), "/HOME")
        };
        let (stdout, stderr) = (text(got.stdout), text(got.stderr));
        let after = contents(&directory);
        let files: Vec<String> = after.iter().filter(|entry| !before.contains(entry)).cloned().collect();
        if after != before {
            nival_store::delete_tree(&directory).unwrap();
            make_files(&directory);
        }
        let expected = (Some(case.code), &case.stdout, &case.stderr, &case.files);
        if (got.status.code(), &stdout, &stderr, &files) != expected {
            wrong.push(format!(
                "{} {:?} {:?} {:?}\nexpected {}:\n{}{}{:?}\ngot {}:\n{stdout}{stderr}{files:?}\n\n",
                case.program,
                case.arguments,
                case.input,
                case.env,
                case.code,
                case.stdout,
                case.stderr,
                case.files,
                got.status
            ));
        }
    }
    nival_store::delete_tree(&place).unwrap();
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), cases.len(), wrong.concat());
}

fn make_files(directory: &Path) {
    fs::create_dir(directory).unwrap();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/files");
    for file in fs::read_dir(files).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), directory.join(file.file_name())).unwrap();
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", include_str!("recorded/commands.sh")]).current_dir(directory);
    assert!(shell.status().unwrap().success());
}

/// Names of all that is in a folder, with targets of links and hashes of files.
fn contents(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory).unwrap().display().to_string();
            if path.is_symlink() {
                found.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
            } else if path.is_dir() {
                found.push(format!("{name}/"));
                waiting.push(path);
            } else {
                let hash = Hash::of(HashAlgo::Md5, &fs::read(&path).unwrap());
                found.push(format!("{name} {}", hash.to_base16()));
            }
        }
    }
    found.sort();
    found
}
