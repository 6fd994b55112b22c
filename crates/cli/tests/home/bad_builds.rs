//! Builders that fail, write nothing or never end: the switch stops before it touches the home.

use crate::stage::{Run, Stage};

/// Switches to a home that needs a build of `script`. `None` where the kernel grants no sandbox.
fn switch(script: &str, options: &[&str]) -> (Stage, Option<Run>) {
    let stage = Stage::new();
    let body = format!(
        r#"  home.file.made.source = derivation {{
    name = "made";
    system = pkgs.system;
    builder = "/bin/sh";
    args = [ "-c" ''{script}'' ];
  }};"#
    );
    let file = stage.declare(&body);
    let mut arguments = vec!["switch", file.as_str()];
    arguments.extend(options);
    let run = stage.run(&arguments);
    assert_eq!(stage.entries(), [""; 0], "{run:?}");
    assert!(!run.err.contains("1 dependency failed"), "the cause is told once:\n{}", run.err);
    if run.no_sandbox() { (stage, None) } else { (stage, Some(run)) }
}

#[test]
fn a_builder_that_fails() {
    let script = "i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done; exit 7";
    let (stage, Some(run)) = switch(script, &["--option", "log-lines", "3"]) else { return };
    let run = run.failure(
        100,
        &["made.drv", "builder failed with exit code 7", "line 47\n", "line 49\n", "The whole log is in `"],
    );
    assert!(!run.err.contains("line 46"), "{}", run.err);
    let log = run.err.split("The whole log is in `").nth(1).unwrap().split('`').next().unwrap();
    assert!(std::path::Path::new(log).is_file(), "{log}");
    // The command that it names is right as it stands.
    let command = run.err.lines().find_map(|line| line.trim().strip_prefix("nival ")).unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    let whole = Run::of(stage.command(&words).output().unwrap()).success().out;
    assert_eq!(whole.lines().count(), 50);
}

#[test]
fn a_builder_that_writes_nothing() {
    let (_stage, Some(run)) = switch("echo done", &[]) else { return };
    run.failure(100, &["builder failed to produce output path for output 'out' at '/nix/store/", "made.drv"]);
}

#[test]
fn a_builder_that_never_ends() {
    let (_stage, Some(run)) = switch("echo begun; while :; do :; done", &["--timeout", "1"]) else { return };
    run.failure(101, &["timed out after 1 second", "begun", "the limit is the setting `timeout`"]);
    let (_stage, Some(run)) = switch("while :; do :; done", &["--max-silent-time", "1"]) else { return };
    run.failure(101, &["of silence", "the limit is the setting `max-silent-time`"]);
}

#[test]
fn a_builder_that_works() {
    let stage = Stage::new();
    let file = stage.declare(
        r#"  home.file.made.source = derivation {
    name = "made";
    system = pkgs.system;
    builder = "/bin/sh";
    args = [ "-c" "echo made > $out" ];
  };"#,
    );
    let run = stage.run(&["switch", &file]);
    if run.no_sandbox() {
        return;
    }
    run.success();
    assert_eq!(stage.text("made"), "made\n");
}
