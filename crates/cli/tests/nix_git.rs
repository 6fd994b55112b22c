//! Git repositories as `nix eval` reads them, against recorded answers of C++ Nix 2.34.8.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::process::Command;

/// A command line in a folder with the repositories of `recorded/repositories.sh`, which is `/DIR`.
#[derive(serde::Deserialize)]
struct Case {
    /// What is done to the repositories first.
    #[serde(default)]
    before: String,
    arguments: Vec<String>,
    code: i32,
    stdout: String,
    stderr: String,
}

#[test]
fn answers_are_those_of_the_reference() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("nix_git.json")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().canonicalize().unwrap();
    let program = directory.join("nix");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nival"), &program).unwrap();
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        assert!(command.args(["-c", script]).current_dir(&directory).status().unwrap().success(), "{script}");
    };
    shell(include_str!("recorded/repositories.sh"));
    let mut wrong = Vec::new();
    for case in &cases {
        shell(&case.before);
        let arguments =
            case.arguments.iter().map(|argument| argument.replace("/DIR", directory.to_str().unwrap()));
        let got = Command::new(&program)
            .args(arguments)
            .current_dir(&directory)
            .env_clear()
            .env("HOME", &directory)
            .env("NIX_CONF_DIR", &directory)
            .env("NIX_CONFIG", "experimental-features = nix-command flakes")
            .env("NIX_REMOTE", directory.join("store"))
            .output()
            .unwrap();
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(directory.to_str().unwrap(), "/DIR");
        let (stdout, stderr) = (text(got.stdout), text(got.stderr));
        // Where the store is, is said once.
        let stderr: String = stderr
            .lines()
            .filter(|line| !line.starts_with("store: "))
            .fold(String::new(), |all, line| all + line + "\n");
        if (got.status.code(), &stdout, &stderr) != (Some(case.code), &case.stdout, &case.stderr) {
            wrong.push(format!(
                "{} {:?}\nexpected {}:\n{}{}\ngot {}:\n{stdout}{stderr}\n",
                case.before, case.arguments, case.code, case.stdout, case.stderr, got.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), cases.len(), wrong.concat());
}
