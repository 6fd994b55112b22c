//! The example home, switched into a scratch home.

use std::fs;
use std::path::Path;

use crate::stage::Stage;

#[test]
fn the_example_home() {
    let stage = Stage::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/home").canonicalize().unwrap();
    // As it is: whose the checkout is that it belongs to is another matter.
    let reference = format!("path:{}#commander", folder.display());
    let place = format!("({}:", folder.join("home.nix").display());
    let run = stage.run(&["switch", &reference]);
    if run.no_sandbox() {
        assert_eq!(stage.entries(), [""; 0]);
        return;
    }
    if !stage.can_enter() {
        run.failure(1, &["step `editorConfig` failed"]);
        return;
    }
    run.success().says(&[
        "generation 1 is active",
        "+ tally 1.0",
        "+ greet",
        "+ .bashrc",
        "tally-daily.service",
        "No editor configuration to clone",
        &place,
    ]);
    assert!(stage.text(".bashrc").contains("ll="));
    assert!(stage.text(".config/htop/htoprc").contains("tree_view=1"));

    // The C program, compiled in the sandbox, counts what it is given.
    fs::create_dir(stage.home("texts")).unwrap();
    fs::write(stage.home("texts/a.txt"), "one two\nthree\n").unwrap();
    let counted = stage.enter(&["tally", stage.home("texts").to_str().unwrap()]).unwrap().success().out;
    assert_eq!(
        counted,
        " files  lines  words  bytes\n     1      2      3     14  .txt\n     1      2      3     14  total\n"
    );
    let greeting = stage.enter(&["greet"]).unwrap().success().out;
    assert!(greeting.starts_with("Good ") && greeting.ends_with(", commander.\n"), "{greeting}");

    // The variables are there where the store is seen, and a shell elsewhere starts without a complaint.
    let script = r#". "$HOME/.profile"; echo "$EDITOR""#;
    assert_eq!(stage.enter(&["sh", "-c", script]).unwrap().success().out, "vi\n");
    let outside = std::process::Command::new("/bin/sh")
        .args(["-c", script])
        .env_clear()
        .env("HOME", stage.home(""))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&outside.stderr), "");

    let packages = stage.run(&["packages"]).success().out;
    assert!(packages.contains("tally-1.0"), "{packages}");
    stage.run(&["switch", &reference]).success().says(&["nothing to do"]);
    stage.run(&["uninstall"]).success();
    assert_eq!(stage.visible_entries(), ["texts/", "texts/a.txt"]);
}
