//! A switch that fails, or is killed, at every single step.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it does not expect")]

mod fixture;

use std::path::Path;
use std::process::Command;

use fixture::{Fixture, steps};
use nival_environ::{Error, Options, undo, uninstall};
use serde_json::json;

const CHILD: &str = "NIVAL_TEST_KILL";

/// Two generations that differ in every way a switch has to deal with.
fn generations(fixture: &Fixture) -> (std::path::PathBuf, std::path::PathBuf) {
    let unit =
        |text: &str| fixture.store_file(&format!("unit-{text}"), &format!("[Service]\nExecStart={text}\n"));
    let units = |list: &[(&str, &str)]| {
        let one = |(name, text): &(&str, &str)| json!({ "name": name, "source": unit(text), "wantedBy": ["default.target"] });
        list.iter().map(one).collect::<Vec<_>>()
    };
    let old = fixture.generation(
        "old",
        &[
            (".same", "same"),
            (".changed", "one"),
            ("gone/deep/file", "gone"),
            ("swap", "file"),
            ("tree/a", "a"),
        ],
        json!({ "units": units(&[("stays.service", "one"), ("leaves.service", "x")]) }),
    );
    let new = fixture.generation(
        "new",
        &[
            (".same", "same"),
            (".changed", "two"),
            (".added/x/y", "new"),
            ("swap/inner", "now a directory"),
            ("tree", "now a file"),
        ],
        json!({
            "units": units(&[("stays.service", "two"), ("comes.service", "y")]),
            "activation": steps(&[("noop", "echo ran")]),
        }),
    );
    (old, new)
}

fn backing_up() -> Options {
    Options { backup_extension: Some("bak".into()), ..Options::default() }
}

fn prepared(root: &Path) -> (Fixture, std::path::PathBuf) {
    let fixture = Fixture::at(root);
    let (old, new) = generations(&fixture);
    fixture.units.active.borrow_mut().insert("default.target".into());
    fixture.put("foreign/file", "not ours");
    fixture.switch(&old).unwrap();
    fixture.put(".added/x/y", "in the way");
    (fixture, new)
}

#[test]
fn a_failure_at_every_step_leads_back() {
    let mut failures = 0;
    for at in 0.. {
        let scratch = tempfile::tempdir().unwrap();
        let (fixture, new) = prepared(scratch.path());
        let before = (fixture.tree(), fixture.units.active.borrow().clone());
        fixture.progress.seen.set(0);
        fixture.progress.fail_at.set(Some(at));
        match fixture.switch_with(&new, &backing_up()) {
            Err(Error::Step(step)) => {
                failures += 1;
                assert_eq!(step.went_back.failed, None, "at {at}");
                assert_eq!((fixture.tree(), fixture.units.active.borrow().clone()), before, "at {at}");
                assert_eq!(fixture.current(), Some(1), "at {at}");
            }
            Err(error) => panic!("at {at}: {error}"),
            // After the last step a stop only leaves clearing up to the next command.
            Ok(outcome) => assert_eq!(outcome.to, Some(2), "at {at}"),
        }
        if fixture.progress.seen.get() <= at {
            break;
        }
        fixture.progress.fail_at.set(None);
        assert_eq!(fixture.switch_with(&new, &backing_up()).unwrap().to, Some(2), "at {at}");
        assert_eq!(fixture.read(".added/x/y"), "new");
        assert_eq!(fixture.read(".added/x/y.bak"), "in the way");
    }
    assert!(failures > 20, "only {failures} steps were seen");
}

#[test]
fn a_kill_at_every_step_leaves_the_old_generation_or_the_new() {
    if let Some(told) = std::env::var_os(CHILD) {
        let told = told.into_string().unwrap();
        let (at, root) = told.split_once(' ').unwrap();
        let (fixture, new) = prepared(Path::new(root));
        fixture.progress.seen.set(0);
        fixture.progress.kill_at.set(Some(at.parse().unwrap()));
        fixture.switch_with(&new, &backing_up()).unwrap();
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (mut old_stands, mut new_stands) = (0, 0);
    for at in 0.. {
        let root = scratch.path().join("run");
        // The same place each time, so that trees can be compared.
        let _ = std::fs::remove_dir_all(&root);
        let (fixture, new) = prepared(&root);
        let old_tree = fixture.tree();
        fixture.switch_with(&new, &backing_up()).unwrap();
        let new_tree = fixture.tree();
        std::fs::remove_dir_all(&root).unwrap();

        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_kill_at_every_step_leaves_the_old_generation_or_the_new"])
            .env(CHILD, format!("{at} {}", root.display()))
            .output()
            .unwrap()
            .status;
        let fixture = Fixture::at(&root);
        if status.success() {
            assert_eq!(fixture.tree(), new_tree);
            break;
        }
        let recovered = undo::recover(&fixture.context()).unwrap();
        let tree = fixture.tree();
        if tree == old_tree {
            old_stands += 1;
        } else {
            assert_eq!(tree, new_tree, "at {at}");
            assert!(recovered.is_some_and(|recovered| recovered.finished), "at {at}");
            new_stands += 1;
        }
        assert_eq!(undo::recover(&fixture.context()).unwrap(), None, "at {at}");
        fixture.switch_with(&new, &backing_up()).unwrap();
        assert_eq!(fixture.tree(), new_tree, "at {at}");
    }
    assert!(old_stands > 20 && new_stands > 0, "{old_stands} old, {new_stands} new");
}

#[test]
fn a_failing_script_says_where_and_what_and_leads_back() {
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    let before = fixture.tree();
    let generation = fixture.generation(
        "bad",
        &[(".x", "x")],
        json!({ "activation": steps(&[("clone", "echo \"from $newGenPath\"; verboseEcho no; run sh -c 'exit 3'")]) }),
    );
    let error = fixture.switch(&generation).unwrap_err().to_string();
    let shown = error.replace(fixture.root.to_str().unwrap(), "ROOT");
    insta::assert_snapshot!(shown, @r"
    step `clone` failed: the script exited with code 3
      | from ROOT/store/bad-home-manager-generation
    everything was led back: no generation stands, as before
    scripts can't be undone; these had run: clone
    ");
    assert_eq!(fixture.tree(), before);
}

#[test]
fn a_unit_that_does_not_start_leads_back() {
    let scratch = tempfile::tempdir().unwrap();
    let (fixture, new) = prepared(scratch.path());
    let before = fixture.tree();
    *fixture.units.refuses.borrow_mut() = Some("start comes.service".into());
    fixture.units.asked.borrow_mut().clear();
    assert!(matches!(fixture.switch_with(&new, &backing_up()), Err(Error::Step(_))));
    assert_eq!(fixture.tree(), before);
    insta::assert_snapshot!(fixture.units.asked.borrow().join("\n"), @r"
    stop leaves.service
    daemon-reload
    restart stays.service
    start comes.service
    stop comes.service
    daemon-reload
    restart stays.service
    start leaves.service
    ");
}

#[test]
fn a_failure_at_every_step_of_leaving_leads_back() {
    for at in 0.. {
        let scratch = tempfile::tempdir().unwrap();
        let (fixture, _) = prepared(scratch.path());
        let before = fixture.tree();
        fixture.progress.seen.set(0);
        fixture.progress.fail_at.set(Some(at));
        let result = uninstall(&fixture.context(), &Options::default());
        let reached = fixture.progress.seen.get() > at;
        fixture.progress.fail_at.set(None);
        match result {
            Err(Error::Step(_)) => assert_eq!(fixture.tree(), before, "at {at}"),
            Err(error) => panic!("at {at}: {error}"),
            Ok(_) => {
                undo::recover(&fixture.context()).unwrap();
                assert_eq!(fixture.current(), None, "at {at}");
                let mut left: Vec<String> = fixture.tree().into_keys().collect();
                left.retain(|path| !path.starts_with(".local"));
                assert_eq!(left, [".added", ".added/x", ".added/x/y", "foreign", "foreign/file"], "at {at}");
            }
        }
        if !reached {
            assert!(at > 10, "only {at} steps were seen");
            break;
        }
    }
}
