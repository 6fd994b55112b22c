//! `nix-instantiate` against recorded answers.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod recorded;

#[test]
fn answers_are_those_of_the_reference() {
    recorded::check("nix-instantiate", include_str!("nix_instantiate.json"));
}

/// `nival instantiate` takes the same flags, and tells errors in its own way.
#[test]
fn under_its_other_name() {
    let place = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_nival"))
            .arg("instantiate")
            .args(arguments)
            .current_dir(place.path())
            .env_clear()
            .env("HOME", place.path())
            .env("NIX_CONF_DIR", place.path())
            .env("NIX_REMOTE", "dummy://")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(run(&["--eval", "--xml", "-E", "1"]).1.lines().nth(2), Some("  <int value=\"1\" />"));
    assert_eq!(run(&["--parse", "-E", "x: x"]), (Some(0), "(x: x)\n".into(), String::new()));
    let (code, _, error) = run(&["--eval", "-E", "throw \"no\""]);
    assert_eq!(code, Some(1));
    assert!(error.starts_with("error[E0027]: no\n"), "{error}");
    let (code, _, error) = run(&["--nope"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("Try 'nival instantiate --help'"), "{error}");
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(
        help.starts_with("Usage: nival instantiate [OPTIONS]") && help.contains("--read-write-mode"),
        "{help}"
    );
}
