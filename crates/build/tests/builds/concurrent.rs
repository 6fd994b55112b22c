//! Several processes, and processes that die.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nival_build::{BuildError, CancelToken};

use crate::support::{Stage, shell, with_env};

const HOST: (&str, &str) = ("__impureHostDeps", "/usr /bin /lib /lib64 /etc/ld.so.cache");
const STORE: &str = "NIVAL_TEST_STORE";
const DERIVATION: &str = "NIVAL_TEST_DERIVATION";

/// Run by the other tests in a process of its own; without those variables there is nothing to do.
#[test]
fn helper_builds_what_it_is_told() {
    let (Ok(store), Ok(derivation)) = (std::env::var(STORE), std::env::var(DERIVATION)) else { return };
    let stage = Stage::at(&store);
    stage.build(&derivation.parse().unwrap());
}

fn build_elsewhere(stage: &Stage, derivation: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["concurrent::helper_builds_what_it_is_told", "--exact", "--nocapture"])
        .env(STORE, stage.root())
        .env(DERIVATION, derivation)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < Duration::from_secs(20), "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_processes_build_once() {
    let stage = Stage::new();
    let log = stage.root().join("count");
    std::fs::write(&log, "").unwrap();
    let derivation = stage.write(with_env(shell("once", "/usr/bin/sleep 1; echo $RANDOM > $out"), &[HOST]));
    let mut children: Vec<Child> = (0..3).map(|_| build_elsewhere(&stage, derivation.as_str())).collect();
    let out = stage.build(&derivation);
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    if let Some(out) = out {
        let first = stage.text(&out);
        stage.build(&derivation).unwrap();
        assert_eq!(stage.text(&out), first);
    }
    stage.assert_clean();
}

#[test]
fn a_killed_build_leaves_nothing_that_the_next_does_not_remove() {
    let stage = Stage::new();
    let marked = stage.root().join("mark").display().to_string();
    let script = "/usr/bin/mkdir -p $out/a; echo > $out/a/x; /usr/bin/chmod 555 $out/a; echo > file; \
                  if [ -e /build/slow ]; then :; fi; /usr/bin/sleep 2; echo > $out/b";
    let derivation = stage.write(with_env(shell("killed", script), &[HOST, ("mark", &marked)]));
    let scratch = stage.store.config().real_store_dir.join(format!("{derivation}.chroot"));
    let mut child = build_elsewhere(&stage, derivation.as_str());
    let processes = || {
        std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            std::fs::read(entry.path().join("environ"))
                .is_ok_and(|text| text.windows(marked.len()).any(|window| window == marked.as_bytes()))
        })
    };
    wait_for("builder", || processes() || child.try_wait().unwrap().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    // The kernel kills the builder together with the process that started it.
    wait_for("end of the builder", || !processes());
    if let Some(out) = stage.build(&derivation) {
        assert!(stage.store.real_path(&out).join("b").exists());
        assert!(!scratch.exists());
        stage.assert_clean();
    }
}

#[test]
fn cancelling_kills_the_builds() {
    let mut stage = Stage::new();
    stage.options.cancel = CancelToken::default();
    let derivation = stage.write(with_env(shell("long", "/usr/bin/sleep 300"), &[HOST]));
    let cancel = stage.options.cancel.clone();
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            cancel.cancel();
        });
        match stage.realise(std::slice::from_ref(&derivation)) {
            Err(BuildError::Cancelled) => {}
            Err(error) => assert!(error.to_string().contains("sandbox can't be had"), "{error}"),
            Ok(_) => panic!("it can't have been built"),
        }
    });
    assert!(started.elapsed() < Duration::from_secs(10));
    stage.assert_clean();
}

#[test]
fn the_first_failure_stops_the_others() {
    let mut stage = Stage::new();
    stage.options.max_jobs = 2;
    let slow = stage.write(with_env(shell("slow", "/usr/bin/sleep 300"), &[HOST]));
    let bad = stage.write(with_env(shell("bad", "/usr/bin/sleep 0.3; exit 1"), &[HOST]));
    let started = Instant::now();
    let Err(BuildError::Failed(failures)) = stage.realise(&[slow, bad]) else { panic!() };
    assert!(failures[0].derivation.ends_with("-bad.drv") || failures[0].to_string().contains("can't be had"));
    assert!(started.elapsed() < Duration::from_secs(10));
    stage.assert_clean();
}
