//! Switching, rolling back, conflicts and leaving, as a user sees them.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it does not expect")]

mod fixture;

use std::fs;
use std::os::unix::fs::symlink;

use fixture::{Fixture, steps};
use nival_environ::lock::{Lock, WhenBusy};
use nival_environ::{
    Error, Options, Plan, Profile as _, Reason, Target, generations, render, switch, uninstall,
};
use serde_json::json;

fn plan_text(fixture: &Fixture, target: &Target, options: &Options) -> String {
    let plan = Plan::compute(&fixture.context(), target, options).unwrap();
    render::plan(&plan).replace(fixture.root.to_str().unwrap(), "ROOT")
}

#[test]
fn a_plan_tells_what_and_why() {
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    let unit = fixture.store_file("unit", "[Service]\nExecStart=/bin/true\n");
    let package = |name: &str| json!({ "name": name, "path": format!("/nix/store/{name}") });
    let old = fixture.generation(
        "old",
        &[(".bashrc", "one"), (".same", "s"), ("old/file", "o")],
        json!({
            "packages": [package("hello-2.12"), package("old-tool-1")],
            "sessionVariables": { "EDITOR": "vi" },
        }),
    );
    let new = fixture.generation(
        "new",
        &[(".bashrc", "two"), (".same", "s"), (".config/git/config", "g")],
        json!({
            "packages": [package("hello-2.13"), package("git-2.50")],
            "units": [{ "name": "x.service", "source": unit, "wantedBy": ["default.target"] }],
            "sessionVariables": { "EDITOR": "hx" },
            "activation": steps(&[("cloneDotfiles", "true")]),
        }),
    );
    fixture.switch(&old).unwrap();
    let mut options = Options::default();
    let mut because = |key: &str, option: &str, line| {
        let reason = Reason { option: option.into(), file: Some("/x/home.nix".into()), line: Some(line) };
        options.provenance.0.insert(key.into(), vec![reason]);
    };
    because("file:.bashrc", "programs.bash.enable", 12);
    because("package:hello-2.13", "home.packages", 4);
    because("unit:x.service", "systemd.user.services.x", 30);
    insta::assert_snapshot!(plan_text(&fixture, &Target::Path(new.clone()), &options), @r"
    ROOT/home: generation 1 → a new generation

    files
      ~ .bashrc   programs.bash.enable (/x/home.nix:12)
      + .config/git/config
      - old/file  no longer declared
      - old/
      + .config/
      + .config/git/
      = 1 unchanged

    packages
      + git 2.50
      ~ hello 2.12 → 2.13  home.packages (/x/home.nix:4)
      - old-tool 1 (no longer declared)

    units
      + start x.service (wanted by default.target)  systemd.user.services.x (/x/home.nix:30)

    session variables
      ~ EDITOR = vi → hx

    activation
      + run cloneDotfiles
    ");
    let plan = Plan::compute(&fixture.context(), &Target::Path(new.clone()), &options).unwrap();
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["files"][0]["reasons"][0]["line"], 12);
    let outcome = fixture.switch_with(&new, &options).unwrap();
    assert_eq!(
        (outcome.from, outcome.to, outcome.undo.as_deref()),
        (Some(1), Some(2), Some("nival home rollback"))
    );
    insta::assert_snapshot!(plan_text(&fixture, &Target::Path(new.clone()), &options), @"nothing to do: ROOT/home is as declared");
    assert!(!fixture.switch(&new).unwrap().changed);
    assert_eq!(fixture.profile.generations().unwrap().len(), 2);
}

#[test]
fn rollback_and_a_numbered_generation() {
    let scratch = tempfile::tempdir().unwrap();
    for fixture in [Fixture::at(&scratch.path().join("in")), Fixture::apart(&scratch.path().join("apart"))] {
        let one = fixture.generation("one", &[("a/b", "one")], json!({}));
        let two = fixture.generation("two", &[("a/b", "two"), ("c", "see")], json!({}));
        fixture.switch(&one).unwrap();
        let first = fixture.tree();
        fixture.switch(&two).unwrap();
        assert_eq!(fixture.read("a/b"), "two");
        let go = |target| switch(&fixture.context(), &target, &Options::default());
        assert_eq!(go(Target::Previous).unwrap().to, Some(1));
        assert_eq!(fixture.read("a/b"), "one");
        assert!(!fixture.home.join("c").exists());
        assert!(matches!(go(Target::Previous), Err(Error::NoPrevious(1))));
        assert!(matches!(go(Target::Generation(7)), Err(Error::NoGeneration(7))));
        assert_eq!(go(Target::Generation(2)).unwrap().undo.unwrap(), "nival home rollback");
        assert_eq!(fixture.read("c"), "see");
        go(Target::Generation(1)).unwrap();
        generations::remove(&fixture.context(), &[2], WhenBusy::Fail).unwrap();
        assert_eq!(fixture.tree(), first);
    }
}

#[test]
fn what_is_in_the_way_stops_the_switch_before_any_change() {
    /// Name, what is there before, `--backup-ext`, and the file's content or a part of the error.
    type Case = (&'static str, fn(&Fixture), Option<&'static str>, Result<&'static str, &'static str>);
    let cases: &[Case] = &[
        ("a file", |f| f.put("d/f", "mine"), None, Err("`HOME/d/f` is a file")),
        ("the same content", |f| f.put("d/f", "ours"), None, Ok("ours")),
        ("a file, with backup", |f| f.put("d/f", "mine"), Some("bak"), Ok("ours")),
        (
            "a file, whose backup is there",
            |f| {
                f.put("d/f", "mine");
                f.put("d/f.bak", "older");
            },
            Some("bak"),
            Err("`HOME/d/f.bak` would be overwritten by the backup of `d/f`"),
        ),
        ("a directory", |f| f.put("d/f/inner", "mine"), None, Err("`HOME/d/f` is a directory")),
        ("a directory, with backup", |f| f.put("d/f/inner", "mine"), Some("bak"), Ok("ours")),
        ("a file as parent", |f| f.put("d", "mine"), Some("bak"), Err("`HOME/d` is no directory")),
        (
            "another's link",
            |f| {
                f.put("else", "mine");
                fs::create_dir(f.home.join("d")).unwrap();
                symlink(f.home.join("else"), f.home.join("d/f")).unwrap();
            },
            None,
            Err("`HOME/d/f` is a link"),
        ),
        (
            "another's dangling link",
            |f| {
                fs::create_dir(f.home.join("d")).unwrap();
                symlink("/nowhere", f.home.join("d/f")).unwrap();
            },
            None,
            Err("`HOME/d/f` is a link"),
        ),
        (
            "a parent kept elsewhere",
            |f| {
                fs::create_dir(f.home.join("dots")).unwrap();
                symlink("dots", f.home.join("d")).unwrap();
            },
            None,
            Ok("ours"),
        ),
        (
            "a link into a tree that is no longer known",
            |f| {
                fs::create_dir(f.home.join("d")).unwrap();
                symlink(f.store.logical.join("lost-home-manager-files/d/f"), f.home.join("d/f")).unwrap();
            },
            None,
            Ok("ours"),
        ),
    ];
    for (name, prepare, extension, expected) in cases {
        let scratch = tempfile::tempdir().unwrap();
        let fixture = Fixture::at(scratch.path());
        prepare(&fixture);
        let before = fixture.tree();
        let generation = fixture.generation("g", &[("d/f", "ours")], json!({}));
        let options = Options { backup_extension: extension.map(str::to_owned), ..Options::default() };
        match (fixture.switch_with(&generation, &options), expected) {
            (Ok(_), Ok(text)) => assert_eq!(fixture.read("d/f"), *text, "{name}"),
            (Err(error @ Error::Conflicts(_)), Err(text)) => {
                let shown = error.to_string().replace(fixture.home.to_str().unwrap(), "HOME");
                assert!(shown.contains(text), "{name}: {shown}");
                assert!(error.hint().is_some(), "{name}");
                assert_eq!(fixture.tree(), before, "{name}");
            }
            (result, _) => panic!("{name}: {result:?}"),
        }
    }
}

#[test]
fn force_replaces_a_file_and_a_failure_brings_it_back() {
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    fixture.put("f", "mine");
    let source = fixture.store_file("forced", "ours");
    let file = json!([{ "target": "f", "source": source, "force": true }]);
    let bad = json!({ "files": file, "activation": steps(&[("bad", "false")]) });
    let bad = fixture.generation("bad", &[("f", "ours")], bad);
    assert!(matches!(fixture.switch(&bad), Err(Error::Step(_))));
    assert_eq!(fixture.read("f"), "mine");
    let good = fixture.generation("good", &[("f", "ours")], json!({ "files": file }));
    fixture.switch(&good).unwrap();
    assert_eq!(fixture.read("f"), "ours");
    let names: Vec<String> = fixture.tree().into_keys().filter(|name| name.starts_with(".nival")).collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn on_change_runs_once_and_only_for_a_change() {
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    let file = json!([{ "target": "d", "source": "/x", "recursive": true, "onChange": "echo changed" }]);
    let with = |name: &str, text: &str, extra: &str| {
        fixture.generation(name, &[("d/a", text), ("d/b", text), ("e", extra)], json!({ "files": file }))
    };
    for (generation, runs) in [(with("1", "x", "1"), 1), (with("2", "x", "2"), 1), (with("3", "y", "3"), 2)] {
        fixture.switch(&generation).unwrap();
        let lines = fixture.progress.lines.borrow();
        assert_eq!(lines.iter().filter(|line| *line == "onChange of d: changed").count(), runs);
    }
}

#[test]
fn leaving_removes_what_is_ours_and_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    fixture.put("mine/file", "mine");
    fs::create_dir(fixture.home.join("empty")).unwrap();
    let before = fixture.tree();
    let one =
        fixture.generation("one", &[("mine/ours", "x"), ("empty/x", "y"), ("made/deep/z", "z")], json!({}));
    let two =
        fixture.generation("two", &[("mine/ours", "x2"), ("empty/x", "y"), ("made/deep/z", "z")], json!({}));
    fixture.switch(&one).unwrap();
    fixture.switch(&two).unwrap();
    insta::assert_snapshot!(plan_text(&fixture, &Target::Nothing, &Options::default()), @r"
    ROOT/home: generation 2 → no generation

    files
      - empty/x      no longer declared
      - made/deep/z  no longer declared
      - mine/ours    no longer declared
      - made/
      - made/deep/
    ");
    uninstall(&fixture.context(), &Options::default()).unwrap();
    assert_eq!(fixture.tree(), before);
    assert!(!uninstall(&fixture.context(), &Options::default()).unwrap().changed);
}

#[test]
fn two_switches_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    let generation = fixture.generation("g", &[("f", "x")], json!({}));
    let lock = Lock::take(&fixture.context(), WhenBusy::Fail).unwrap();
    let error = fixture.switch(&generation).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "another switch of this home is under way (process {} of commander, since 2026-11-20T12:00:00Z)",
            std::process::id()
        )
    );
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let fixture = Fixture::at(scratch.path());
            fixture
                .switch_with(&generation, &Options { when_busy: WhenBusy::Wait, ..Options::default() })
                .unwrap()
                .to
        });
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(fixture.current(), None);
        drop(lock);
        assert_eq!(waiting.join().unwrap(), Some(1));
    });
}

#[test]
fn a_home_that_is_missing_or_read_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    let generation = fixture.generation("g", &[("f", "x")], json!({}));
    fs::set_permissions(&fixture.home, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere, but for this thread without its capabilities.
    let none = rustix::thread::CapabilitySet::empty();
    let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).unwrap();
    let error = fixture.switch(&generation).unwrap_err();
    assert!(matches!(error, Error::HomeReadOnly { .. }), "{error}");
    assert_eq!(fixture.current(), None);
    fs::set_permissions(&fixture.home, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&fixture.home, fixture.root.join("elsewhere")).unwrap();
    assert!(matches!(fixture.switch(&generation), Err(Error::HomeMissing(_))));
}

#[test]
fn generations_are_listed_and_expire() {
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    for name in ["one", "two", "three"] {
        fixture.switch(&fixture.generation(name, &[("f", name)], json!({}))).unwrap();
    }
    let context = fixture.context();
    let numbers = |list: Vec<generations::Listed>| list.iter().map(|one| one.number).collect::<Vec<_>>();
    assert!(matches!(generations::remove(&context, &[1, 3], WhenBusy::Fail), Err(Error::RemoveCurrent(3))));
    assert_eq!(numbers(generations::list(&context).unwrap()), [1, 2, 3]);
    assert_eq!(numbers(generations::expire(&context, "1999-01-01", WhenBusy::Fail).unwrap()), [0; 0]);
    assert_eq!(numbers(generations::expire(&context, "2999-01-01", WhenBusy::Fail).unwrap()), [1, 2]);
    let listed = serde_json::to_value(generations::list(&context).unwrap()).unwrap();
    assert_eq!((&listed[0]["number"], &listed[0]["current"]), (&json!(3), &json!(true)));
    let now = context.now;
    for (age, expected) in [
        ("-30 days", "2026-10-21T12:00:00Z"),
        ("2 weeks ago", "2026-11-06T12:00:00Z"),
        ("1d", "2026-11-19T12:00:00Z"),
        ("2026-11-01", "2026-11-01T00:00:00Z"),
        ("2026-11-01 10:00", "2026-11-01T10:00:00Z"),
    ] {
        assert_eq!(generations::parse_age(age, now).unwrap().to_string(), expected, "{age}");
    }
    for age in ["", "soon", "-5 parsecs", "99999999999999999 years"] {
        assert!(generations::parse_age(age, now).is_err(), "{age}");
    }
}

#[test]
fn a_profile_of_another_kind_is_left() {
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    symlink("/elsewhere", fixture.home.join(".nix-profile")).unwrap();
    let outcome = fixture.switch(&fixture.generation("g", &[], json!({}))).unwrap();
    assert!(outcome.notes[0].contains("export PATH="), "{:?}", outcome.notes);
    assert_eq!(fs::read_link(fixture.home.join(".nix-profile")).unwrap().to_str(), Some("/elsewhere"));
}

#[test]
fn manifests_that_are_wrong_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    let file = |target: &str| json!({ "files": [{ "target": target, "source": "/x" }] });
    for (more, expected) in [
        (json!({ "schema": 2 }), "its schema is 2"),
        (file("../x"), "`../x` can't be a file's target"),
        (file("/etc/passwd"), "can't be a file's target"),
        (file(""), "can't be a file's target"),
        (json!({ "homeFiles": "/etc" }), "not in the store"),
        (json!({ "activation": [] }), "no step `writeBoundary`"),
        (json!({ "activation": [{ "name": "new", "kind": "builtin" }] }), "does not know"),
        (json!({ "units": [{ "name": "--now", "source": "/x" }] }), "can't be a unit's name"),
        (json!({ "files": 3 }), "invalid type"),
        (json!({ "username": "somebody" }), "for the user `somebody`"),
    ] {
        let generation = fixture.generation("g", &[], more);
        let error = fixture.switch(&generation).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        fs::remove_dir_all(fixture.store.physical.join("g-home-files")).unwrap();
    }
}

#[test]
fn a_generation_of_home_manager_is_read_by_its_tree() {
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    let generation =
        fixture.generation("hm", &[("d/f", "x"), (".config/systemd/user/a.service", "u")], json!({}));
    let real = fixture.store.real(&generation);
    fs::remove_file(real.join("manifest.json")).unwrap();
    symlink(fixture.store.logical.join("hm-home-files"), real.join("home-files")).unwrap();
    let outcome = fixture.switch(&generation).unwrap();
    assert_eq!(fixture.read("d/f"), "x");
    assert_eq!(outcome.plan.units[0].unit, "a.service");
    assert!(outcome.notes[0].contains("no manifest.json"), "{:?}", outcome.notes);
}

#[test]
fn units_are_switched_as_their_files_ask() {
    // What the new file says, whether the unit runs, and what is asked then.
    for (keys, runs, expected) in [
        ("", true, "daemon-reload restart"),
        ("", false, "daemon-reload"),
        ("X-RestartIfChanged=false", true, "daemon-reload"),
        ("X-ReloadIfChanged=yes", true, "daemon-reload reload"),
        ("X-StopIfChanged=true", true, "stop daemon-reload start"),
        ("X-SwitchMethod=reload", true, "daemon-reload reload"),
        ("X-SwitchMethod=keep-old", true, "daemon-reload"),
        ("X-SwitchMethod=stop-start", true, "stop daemon-reload start"),
        ("RefuseManualStop=true", true, "daemon-reload"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let fixture = Fixture::at(scratch.path());
        let generation = |name: &str, text: &str| {
            let source = fixture.store_file(&format!("unit-{name}"), text);
            fixture.generation(name, &[], json!({ "units": [{ "name": "x.service", "source": source }] }))
        };
        fixture.switch(&generation("one", "[Unit]\n")).unwrap();
        if runs {
            fixture.units.active.borrow_mut().insert("x.service".into());
        }
        fixture.units.asked.borrow_mut().clear();
        fixture.switch(&generation("two", &format!("[Unit]\n{keys}\nDescription=new\n"))).unwrap();
        assert_eq!(fixture.units.asked.borrow().join(" ").replace(" x.service", ""), expected, "{keys}");
    }
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    fixture.units.away.set(true);
    let source = fixture.store_file("unit", "[Unit]\n");
    let units =
        json!({ "units": [{ "name": "x.service", "source": source, "wantedBy": ["default.target"] }] });
    let outcome = fixture.switch(&fixture.generation("g", &[], units)).unwrap();
    assert!(outcome.notes[0].contains("user manager does not run here"), "{:?}", outcome.notes);
    assert!(fixture.units.asked.borrow().is_empty());
}

#[test]
fn a_script_has_what_home_managers_scripts_rely_on() {
    let scratch = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(scratch.path());
    let script = r#"
        noteEcho "note" two; warnEcho warn; errorEcho error; verboseEcho hidden; _i "%s and %s" a b
        run echo shown; run --quiet echo hidden; run --silence sh -c 'echo hidden >&2'
        $DRY_RUN_CMD echo plain $VERBOSE_ARG
        echo "${oldGenPath-none} ${newGenPath##*/}"; pwd
        sleep 30 & "#;
    let generation = fixture.generation("g", &[], json!({ "activation": steps(&[("s", script)]) }));
    let started = std::time::Instant::now();
    fixture.switch(&generation).unwrap();
    // What a script leaves running does not hold the switch.
    assert!(started.elapsed().as_secs() < 20);
    let lines = fixture.progress.lines.borrow().join("\n").replace(fixture.root.to_str().unwrap(), "ROOT");
    insta::assert_snapshot!(lines, @r"
    s: note two
    s: warn
    s: error
    s: a and b
    s: shown
    s: plain
    s: none g-home-manager-generation
    s: ROOT/home
    ");
}

#[test]
fn names_are_split_from_versions() {
    for (full, expected) in [
        ("hello-2.12", ("hello", "2.12")),
        ("gtk+-3.0-rc1", ("gtk+", "3.0-rc1")),
        ("no-version", ("no-version", "")),
        ("python3.12-foo-1", ("python3.12-foo", "1")),
        ("odd-", ("odd-", "")),
    ] {
        assert_eq!(nival_environ::plan::split_name(full), expected);
    }
}
