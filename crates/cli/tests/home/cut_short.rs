//! Switches that meet each other, fail in the middle, or are killed.

use std::fs;

use crate::stage::{Run, Stage, wait_for};

/// A step that says it has begun, and goes on when it is told to, or when the home is gone.
const WAITING_STEP: &str = r#"
  home.activation.wait = lib.hm.dag.entryAfter [ "linkGeneration" ] ''
    touch "$HOME/begun"
    while [ -d "$HOME" ] && ! [ -e "$HOME/go-on" ]; do sleep 0.05; done
  '';
  home.file.x.text = "waited for";
"#;

/// A stage with one generation, if activation scripts can run here.
fn stage() -> Option<Stage> {
    let stage = Stage::new();
    let file = stage.declare(r#"  home.file.x.text = "first"; home.file.y.text = "y";"#);
    stage.run(&["switch", &file]).success();
    if stage.can_enter() {
        return Some(stage);
    }
    // Without a view of the store a step can't run: the switch has to say so and go back.
    let file = stage.declare(WAITING_STEP);
    stage.run(&["switch", &file]).failure(1, &["step `wait` failed", "generation 1 stands"]);
    assert_eq!(stage.text("x"), "first");
    None
}

#[test]
fn two_switches_at_once() {
    let Some(stage) = stage() else { return };
    let file = stage.declare(WAITING_STEP);
    let mut first = stage.home_command(&["switch", &file]).spawn().unwrap();
    wait_for(&stage.home("begun"), &mut first);

    let holder = format!("(process {} of commander, since ", first.id());
    let parts = ["another switch of this home is under way", &holder, "hint: nothing was changed"];
    stage.run(&["switch", &file]).failure(1, &parts);
    stage.run(&["rollback"]).failure(1, &parts);
    stage.run(&["uninstall"]).failure(1, &parts);
    // Looking is no hindrance.
    stage.run(&["generations"]).success();

    fs::write(stage.home("go-on"), "").unwrap();
    Run::of(first.wait_with_output().unwrap()).success().says(&["generation 2 is active"]);
    assert_eq!(stage.text("x"), "waited for");
    stage.assert_generations(&[1, 2], 2);
}

#[test]
fn a_switch_that_waits_for_another() {
    let Some(stage) = stage() else { return };
    let file = stage.declare(WAITING_STEP);
    let mut first = stage.home_command(&["switch", &file]).spawn().unwrap();
    wait_for(&stage.home("begun"), &mut first);
    let second = stage.home_command(&["switch", &file, "--wait"]).spawn().unwrap();
    fs::write(stage.home("go-on"), "").unwrap();
    Run::of(first.wait_with_output().unwrap()).success();
    Run::of(second.wait_with_output().unwrap()).success();
    stage.assert_generations(&[1, 2], 2);
}

#[test]
fn a_step_that_fails_in_the_middle() {
    let Some(stage) = stage() else { return };
    let before = stage.entries();
    let file = stage.declare(
        r#"
  home.activation.ruin = lib.hm.dag.entryAfter [ "linkGeneration" ] ''
    echo "$(cat "$HOME/x")"
    echo "about to fail"
    exit 3
  '';
  home.file.x.text = "second";
  home.file.z.text = "z";
"#,
    );
    stage.run(&["switch", &file]).failure(
        1,
        &[
            "ruin> second",
            "step `ruin` failed: the script exited with code 3",
            &format!("declared by home.activation.ruin ({file}:7)"),
            "| about to fail",
            "everything was led back: generation 1 stands",
        ],
    );
    let state = |entry: &String| !entry.starts_with(".local");
    let after = stage.entries();
    assert_eq!(
        after.iter().filter(|entry| state(entry)).collect::<Vec<_>>(),
        before.iter().filter(|entry| state(entry)).collect::<Vec<_>>()
    );
    assert_eq!((stage.text("x"), stage.text("y")), ("first".into(), "y".into()));
    stage.assert_generations(&[1], 1);
}

#[test]
fn a_switch_that_is_killed() {
    let Some(stage) = stage() else { return };
    let file = stage.declare(WAITING_STEP);
    let mut killed = stage.home_command(&["switch", &file]).spawn().unwrap();
    wait_for(&stage.home("begun"), &mut killed);
    assert_eq!(stage.text("x"), "waited for");
    killed.kill().unwrap();
    assert_eq!(killed.wait().unwrap().code(), None);
    fs::write(stage.home("go-on"), "").unwrap();

    // The next command, whichever it is, leads back to the generation before.
    stage.run(&["generations"]).success().says(&["everything was led back: generation 1 stands", "wait"]);
    assert_eq!((stage.text("x"), stage.text("y")), ("first".into(), "y".into()));
    stage.assert_generations(&[1], 1);

    stage.run(&["switch", &file]).success().says(&["generation 2 is active"]);
    assert_eq!(stage.text("x"), "waited for");
    assert!(!stage.has("y"));
    stage.assert_generations(&[1, 2], 2);
    stage.nival(&["gc"]).success();
    assert_eq!(stage.text("x"), "waited for");
}

#[test]
fn switches_killed_at_any_time() {
    let stage = Stage::new();
    let body = |word: &str| {
        format!(
            "  home.file.x.text = \"{word}\"; home.file.{word}.text = \"{word}\"; home.file.\"{word}.d/y\".text = \"\";"
        )
    };
    let file = stage.declare(&body("even"));
    stage.run(&["switch", &file]).success();
    for round in 1..=12 {
        let file = stage.declare(&body(if round % 2 == 0 { "even" } else { "odd" }));
        let mut child = stage.home_command(&["switch", &file]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(25 * round));
        // It may have ended already: that is one of the times to look at.
        let _ = child.kill();
        child.wait().unwrap();

        stage.run(&["generations"]).success();
        let word = stage.text("x");
        let other = if word == "even" { "odd" } else { "even" };
        assert_eq!(stage.text(&word), word, "round {round}");
        assert!(stage.has(&format!("{word}.d/y")) && !stage.has(other), "round {round}");
        assert!(!stage.has(&format!("{other}.d")), "round {round}: {:?}", stage.visible_entries());
    }
    let file = stage.declare(&body("last"));
    stage.run(&["switch", &file]).success();
    assert_eq!(stage.visible_entries().len(), 5, "{:?}", stage.visible_entries());
    stage.nival(&["gc", "-d"]).success();
    assert_eq!(stage.text("x"), "last");
    let looked = stage.nival(&["doctor", "--check-contents"]).out;
    assert!(looked.contains("valid paths, none damaged"), "{looked}");
}

#[test]
fn a_first_switch_that_is_killed() {
    let stage = Stage::new();
    let file = stage.declare(WAITING_STEP);
    // The store has to be there before it can be entered.
    stage.run(&["build", &file, "--no-link"]).success();
    if !stage.can_enter() {
        return;
    }
    let mut killed = stage.home_command(&["switch", &file]).spawn().unwrap();
    wait_for(&stage.home("begun"), &mut killed);
    killed.kill().unwrap();
    killed.wait().unwrap();
    fs::write(stage.home("go-on"), "").unwrap();
    // A plan is only a look, but it must not be made of half a switch.
    stage.run(&["uninstall"]).success().says(&["no generation stands, as before"]);
    assert_eq!(stage.visible_entries(), ["begun", "go-on"]);
    stage.run(&["switch", &file]).success().says(&["generation 1 is active"]);
    assert_eq!(stage.text("x"), "waited for");
}
