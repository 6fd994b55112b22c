//! Declare a home, build it, switch to it, change it, undo it, clear up.

use std::fs;

use crate::stage::{Run, Stage};

const ONE: &str = r#"
  home.file.".greeting".text = "one\n";
  home.file."notes/first".text = "first\n";
  home.sessionVariables.EDITOR = "vi";
  home.packages = [ (pkgs.writeShellScriptBin "greet" "echo one from $0") ];
"#;

const TWO: &str = r#"
  home.file.".greeting".text = "two\n";
  home.file."notes/second".text = "second\n";
  home.packages = [ (pkgs.writeShellScriptBin "greet" "echo two") ];
"#;

#[test]
fn a_home_from_its_first_generation_to_its_last() {
    let stage = Stage::new();
    let file = stage.declare(ONE);

    // Building activates nothing.
    let built =
        stage.run(&["build", &file, "--no-link"]).success().says(&["store: ", "seen at /nix/store"]).out;
    let manifest = fs::read_to_string(stage.real(&format!("{}/manifest.json", built.trim()))).unwrap();
    assert!(manifest.contains("\"username\""), "{manifest}");
    assert_eq!(stage.entries(), [""; 0]);
    stage.run(&["build", &file, "--out-link", "it"]).success();
    assert_eq!(fs::read_link(stage.path("it")).unwrap().to_str(), Some(built.trim()));

    // Neither does planning; it says what would change, and why.
    let planned = stage.run(&["plan", &file]).success().out;
    for part in [
        "no generation → a new generation",
        "+ .greeting",
        &format!("({file}:7)"),
        "+ greet",
        "+ EDITOR = vi",
        "notes/first",
    ] {
        assert!(planned.contains(part), "`{part}` is missing in:\n{planned}");
    }
    let json = stage.run(&["plan", &file, "--json"]).success().out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(stage.visible_entries(), [""; 0]);

    let switched = stage.run(&["switch", &file]).success();
    switched.says(&[
        "+ .greeting",
        "generation 1 is active in",
        "look inside: nival enter --store",
        "undo: nival home uninstall --store",
    ]);
    stage.assert_generations(&[1], 1);
    assert_eq!(stage.text(".greeting"), "one\n");
    assert_eq!(stage.text("notes/first"), "first\n");
    assert!(stage.has(".nix-profile"));
    if let Some(run) = stage.enter(&["greet"]) {
        let out = run.success().out;
        assert!(out.starts_with("one from /"), "{out}");
        let command = r#"cat "$HOME/.greeting"; ls "$HOME/.nix-profile/bin""#;
        let out = stage.enter(&["sh", "-c", command]).unwrap().success().out;
        assert_eq!(out, "one\ngreet\n");
    }

    // Nothing changed: nothing is changed.
    let before = stage.entries();
    stage.run(&["switch", &file]).success().says(&["nothing to do"]);
    assert_eq!(stage.entries(), before);
    stage.assert_generations(&[1], 1);

    stage.declare(TWO);
    stage.run(&["switch", &file]).success().says(&[
        "generation 1 → a new generation",
        "~ .greeting",
        "- notes/first",
        "generation 2 is active in",
        "undo: nival home rollback --store",
    ]);
    stage.assert_generations(&[1, 2], 2);
    assert_eq!(stage.text(".greeting"), "two\n");
    assert!(stage.has("notes/second") && !stage.has("notes/first"));
    if let Some(run) = stage.enter(&["greet"]) {
        assert_eq!(run.success().out, "two\n");
    }

    stage.run(&["rollback"]).success().says(&["generation 2 → generation 1", "generation 1 is active"]);
    stage.assert_generations(&[1, 2], 1);
    assert_eq!(stage.text(".greeting"), "one\n");
    stage.run(&["rollback"]).failure(1, &["there is no generation before generation 1", "hint: "]);

    stage.run(&["switch", "--generation", "2"]).success().says(&["generation 2 is active"]);
    stage.assert_generations(&[1, 2], 2);
    assert_eq!(stage.text(".greeting"), "two\n");
    stage.run(&["switch", "--generation", "7"]).failure(1, &["there is no generation 7", "hint: "]);

    let packages = stage.run(&["packages"]).success().out;
    assert!(packages.lines().any(|line| line == "greet"), "{packages}");

    // The collector takes what was forgotten, and only that.
    let first = generation(&stage, 1);
    let second = generation(&stage, 2);
    stage.nival(&["gc"]).success();
    assert!(stage.real(&first).exists() && stage.real(&second).exists());
    stage
        .run(&["remove-generations", "2"])
        .failure(1, &["generation 2 is the running one and can't be removed", "hint: "]);
    stage.run(&["remove-generations", "1"]).success().says(&["removed generation 1", "`nival gc`"]);
    stage.assert_generations(&[2], 2);
    fs::remove_file(stage.path("it")).unwrap();
    let freed = stage.nival(&["gc"]).success();
    assert!(freed.out.lines().any(|line| line == first), "{freed:?}");
    assert!(!stage.real(&first).exists() && stage.real(&second).exists());
    assert_eq!(stage.text(".greeting"), "two\n");
    let looked = stage.nival(&["doctor", "--check-contents"]).out;
    assert!(looked.contains("valid paths, none damaged"), "{looked}");

    stage.run(&["uninstall", "--dry-run"]).success();
    assert!(stage.has(".greeting"));
    stage.run(&["uninstall"]).success().says(&["nothing of Nival's is left in"]);
    assert_eq!(stage.visible_entries(), [""; 0]);
    let left: Vec<String> = stage.entries().into_iter().filter(|entry| !entry.ends_with('/')).collect();
    assert_eq!(left, [".local/state/nival/home/lock"], "only the lock stays");
    stage.run(&["generations"]).success();
    stage.nival(&["gc"]).success();
    assert!(!stage.real(&second).exists());
}

#[test]
fn a_switch_from_a_file_in_the_current_folder() {
    let stage = Stage::new();
    stage.declare(r#"  home.file.".greeting".text = "near\n";"#);
    stage.run(&["switch", "home.nix"]).success();
    assert_eq!(stage.text(".greeting"), "near\n");
    // A folder stands for the declaration in it.
    stage.run(&["switch", "."]).success().says(&["nothing to do"]);
}

#[test]
fn a_generation_that_activates_itself() {
    let stage = Stage::new();
    let file = stage.declare(r#"  home.file.".greeting".text = "by itself\n";"#);
    let built = stage.run(&["build", &file, "--no-link", "--user", "somebody"]).success().out;
    let Some(run) = stage.enter(&[&format!("{}/activate", built.trim())]) else { return };
    run.success().says(&["generation 1 is active"]);
    let text = stage.enter(&["sh", "-c", r#"cat "$HOME/.greeting""#]).unwrap().success().out;
    assert_eq!(text, "by itself\n");
    stage.run(&["uninstall"]).success();
    assert!(!stage.has(".greeting"));
}

/// Without options: the user's own home, and where `/nix` is not theirs to write, a store of their own in it.
#[test]
fn a_home_and_a_store_of_ones_own() {
    let stage = Stage::new();
    let file = stage.write(
        "home/.config/home-manager/home.nix",
        &ONE_OF_ALL.replace("HOME", stage.path("home").to_str().unwrap()),
    );
    let run = |arguments: &[&str]| {
        let mut command = stage.command(arguments);
        command.env("HOME", stage.path("home")).env("USER", "commander");
        Run::of(command.output().unwrap())
    };
    // Root's store is the machine's, and a test keeps away from it.
    let described = run(&["doctor"]).out;
    let own = stage.home(".local/share/nival/root/nix/store");
    if !described.contains(&format!("{}, seen at /nix/store inside", own.display())) {
        assert!(described.contains("store: /nix/store ("), "{described}");
        return;
    }
    let switched = run(&["home", "switch"]).success();
    switched.says(&[
        "store: ",
        &format!("({file}:5)"),
        "generation 1 is active",
        "undo: nival home uninstall\n",
    ]);
    assert_eq!(fs::read_to_string(stage.home(".greeting")).unwrap(), "own\n");
    assert!(fs::read_link(stage.home(".greeting")).unwrap().starts_with(&own));
    let entered = run(&["enter", "--", "greet"]);
    if !entered.err.contains("cannot let the store appear") {
        assert_eq!(entered.success().out, "hello\n");
    }
    run(&["home", "switch"]).success().says(&["nothing to do"]);
    run(&["home", "uninstall"]).success();
    assert!(!stage.has(".greeting"));
}

const ONE_OF_ALL: &str = r#"{ pkgs, ... }: {
  home.username = "commander";
  home.homeDirectory = "HOME";
  home.stateVersion = "25.05";
  home.file.".greeting".text = "own\n";
  home.packages = [ (pkgs.writeShellScriptBin "greet" "echo hello") ];
}
"#;

#[test]
fn old_generations_expire() {
    let stage = Stage::new();
    for text in ["a", "b", "c"] {
        let file = stage.declare(&format!("  home.file.x.text = \"{text}\";"));
        stage.run(&["switch", &file]).success();
    }
    stage.run(&["expire-generations", "-30 days"]).success().says(&["no generation was removed"]);
    stage.assert_generations(&[1, 2, 3], 3);
    stage.run(&["expire-generations", "long ago"]).failure(1, &["`long ago` is not an age", "hint: "]);
    stage.run(&["expire-generations", "2999-01-01"]).success().says(&["removed generation 1, 2"]);
    stage.assert_generations(&[3], 3);
}

fn generation(stage: &Stage, number: u64) -> String {
    let link = stage.home(&format!(".local/state/nix/profiles/home-manager-{number}-link"));
    fs::read_link(link).unwrap().to_str().unwrap().to_owned()
}
