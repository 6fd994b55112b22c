//! Declarations with mistakes in them: the cause and the place are named, and the home stays as it was.

use crate::stage::Stage;

/// Runs a switch that must fail and leave nothing in the home.
#[track_caller]
fn refused(stage: &Stage, file: &str, parts: &[&str]) {
    stage.run(&["switch", file]).failure(1, parts);
    assert_eq!(stage.entries(), [""; 0]);
}

#[test]
fn a_syntax_error() {
    let stage = Stage::new();
    let file = stage.declare("  home.file.\".greeting\".text = ;");
    refused(&stage, &file, &["syntax error", &format!("{file}:6"), "home.file.\".greeting\".text = ;"]);
}

#[test]
fn a_value_that_needs_itself() {
    let stage = Stage::new();
    let file = stage.declare("  home.file.x.text = config.home.file.x.text;");
    refused(&stage, &file, &["infinite recursion", &file]);
    let file = stage.declare("  home.file.x.text = let f = x: f (x + 1); in f 1;");
    refused(&stage, &file, &["max-call-depth", &file]);
}

#[test]
fn files_that_are_not_there() {
    let stage = Stage::new();
    let file = stage.declare("  imports = [ ./shell.nix ];");
    let missing = stage.path("shell.nix").display().to_string();
    let importer = format!("while importing the module `{missing}' from `{file}'");
    refused(&stage, &file, &[&missing, "does not exist", &importer]);

    let file = stage.declare("  home.file.\".vimrc\".source = ./vimrc;");
    let missing = stage.path("vimrc").display().to_string();
    refused(&stage, &file, &["`.vimrc'", &missing]);

    let absent = stage.path("absent.nix").display().to_string();
    refused(&stage, &absent, &[&absent, "does not exist", "hint: "]);
    stage
        .home_command(&["switch"])
        .output()
        .map(crate::stage::Run::of)
        .unwrap()
        .failure(1, &["there is no `flake.nix` or `home.nix` in", ".config/home-manager", "hint: "]);
    assert_eq!(stage.entries(), [""; 0]);
}

#[test]
fn an_option_that_does_not_exist() {
    let stage = Stage::new();
    let file = stage.declare("  programs.bash.enabel = true;");
    refused(
        &stage,
        &file,
        &["The option `programs.bash.enabel' does not exist", &file, "Did you mean `programs.bash.enable'"],
    );
}

#[test]
fn definitions_of_the_wrong_type() {
    let stage = Stage::new();
    let file = stage.declare("  home.sessionPath = \"~/bin\";");
    refused(
        &stage,
        &file,
        &["`home.sessionPath' is not of type `list of string'", &format!("`{file}':6: \"~/bin\"")],
    );
}

#[test]
fn definitions_that_contradict_each_other_are_both_named() {
    let stage = Stage::new();
    let other = stage.write("other.nix", "{\n  home.file.x.text = \"other\";\n}\n");
    let file = stage.declare("  imports = [ ./other.nix ];\n  home.file.x.text = 1;");
    refused(&stage, &file, &["is not of type", &format!("`{file}':7: 1")]);
    let file = stage.declare("  imports = [ ./other.nix ];\n  home.username = \"bob\";");
    refused(&stage, &file, &["already defined", &file]);
    stage.write("other.nix", "{\n  home.username = \"bob\";\n}\n");
    let file = stage.declare("  imports = [ ./other.nix ];");
    refused(
        &stage,
        &file,
        &[
            "`home.username' has conflicting definition values",
            &format!("`{other}':2: \"bob\""),
            &format!("`{file}':3: \"commander\""),
        ],
    );
}

#[test]
fn a_package_that_is_not_there() {
    let stage = Stage::new();
    let file = stage.declare("  home.packages = [ pkgs.ripgrep ];");
    refused(
        &stage,
        &file,
        &["'ripgrep'", &format!("{file}:6"), "isn't part of Nival's embedded set", "add nixpkgs as an input"],
    );
}

#[test]
fn assertions_fail_and_warnings_are_told() {
    let stage = Stage::new();
    let file = stage.declare("  assertions = [ { assertion = false; message = \"no tea\"; } ];");
    refused(&stage, &file, &["Failed assertions:", "- no tea"]);
    let file = stage.declare("  warnings = [ \"cold tea\" ];");
    stage.run(&["switch", &file]).success().says(&["warning: cold tea"]);
}

#[test]
fn command_lines_that_make_no_sense() {
    let stage = Stage::new();
    let file = stage.declare("");
    stage.run(&["switch", &file, "--generation", "1"]).failure(2, &["--generation"]);
    stage.run(&["swich", &file]).failure(2, &["swich", "switch"]);
    stage.run(&["switch", &format!("{file}#x")]).failure(2, &["`#x` names a home of a flake"]);
    assert_eq!(stage.entries(), [""; 0]);
}
