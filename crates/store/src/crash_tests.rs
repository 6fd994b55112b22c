//! What is left when the process dies, or the disk is full, in the middle of an addition.
//!
//! The test program runs itself again for the part that dies; see [`child`].

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use nival_formats::{
    ContentAddressMethod, Derivation, DerivationOutput, HashAlgo, HashModuloMemo, StorePath,
};

use crate::error::StoreError;
use crate::fault::die_at;
use crate::{
    Deferred, Existing, GcOptions, LocalStore, Result, Source, StoreConfig, VerifyDepth, delete_tree,
};

const PLACES: [&str; 4] = ["unpacked", "before-rename", "before-register", "after-register"];
const BATCH_PLACES: [&str; 4] = ["text-written", "before-rename", "before-register", "after-register"];

fn add(store: &LocalStore, source: &Path) -> Result<nival_formats::StorePath> {
    store.add_source(Source {
        name: "tree",
        path: source,
        method: ContentAddressMethod::NixArchive,
        algo: HashAlgo::Sha256,
        filter: None,
        expected: None,
    })
}

/// Adds the tree of the directory in the environment, and dies where the environment says. Run by itself it adds
/// a tree of its own.
#[test]
fn child() {
    let own = tempfile::tempdir().unwrap();
    let dir = std::env::var_os("NIVAL_TEST_DIR").map_or_else(|| own.path().to_owned(), Into::into);
    if own.path() == dir {
        write_source(&dir, 10);
    }
    if let Some(place) = std::env::var("NIVAL_TEST_DIE_AT")
        .ok()
        .and_then(|name| PLACES.into_iter().chain(BATCH_PLACES).find(|place| *place == name))
    {
        die_at(place);
    }
    let store = LocalStore::open(StoreConfig::chroot(dir.join("root"))).unwrap();
    let added = match std::env::var_os("NIVAL_TEST_BATCH") {
        None => add(&store, &dir.join("source")).map(drop),
        Some(_) => return assert_added(add_batch(store, &dir)),
    };
    assert!(added.is_ok(), "{}", added.unwrap_err());
    drop(store);
    delete_tree(own.path()).unwrap();
}

fn assert_added(added: Result<Vec<StorePath>>) {
    assert!(added.is_ok(), "{}", added.unwrap_err());
}

/// A source and a hundred derivations, each of which needs it and the one before. The last but one is large.
fn add_batch(store: LocalStore, dir: &Path) -> Result<Vec<StorePath>> {
    let deferred = Deferred::new(std::sync::Arc::new(store), Existing::Keep);
    let source = deferred.add_source(Source {
        name: "tree",
        path: &dir.join("source"),
        method: ContentAddressMethod::NixArchive,
        algo: HashAlgo::Sha256,
        filter: None,
        expected: None,
    })?;
    let memo = HashModuloMemo::default();
    let mut paths = vec![source.clone()];
    for number in 0..100 {
        let mut derivation = Derivation {
            name: format!("step-{number}"),
            system: "builtin".into(),
            builder: b"builtin:nival-text".to_vec(),
            outputs: [("out".into(), DerivationOutput::Deferred)].into(),
            input_sources: [source.clone()].into(),
            env: [(b"size".to_vec(), vec![b'x'; if number == 98 { 200_000 } else { 10 }])].into(),
            ..Derivation::default()
        };
        if let Some(before) = paths.last().filter(|_| number > 0) {
            derivation.input_derivations.entry(before.clone()).or_default().outputs.insert("out".into());
        }
        let mut read = |_: &StorePath| -> Result<Derivation> { unreachable!("the memo has all of them") };
        let store_dir = deferred.store().store_dir();
        let mut draft = derivation.draft(store_dir)?;
        let prepared = draft.prepare(store_dir, &memo, &mut read)?;
        let file = draft.finish(store_dir, prepared, &memo)?.on_its_own();
        paths.push(file.path.clone());
        deferred.add_derivation(file)?;
    }
    assert!(paths.iter().all(|path| deferred.is_pending(path)));
    deferred.flush()?;
    for path in &paths {
        assert!(!deferred.is_pending(path));
        if !deferred.store().is_valid_path(path)? {
            return Err(StoreError::NotValid(path.to_string()));
        }
    }
    Ok(paths)
}

fn write_source(dir: &Path, size: usize) {
    fs::create_dir_all(dir.join("source/sub")).unwrap();
    fs::write(dir.join("source/sub/file"), vec![b'x'; size]).unwrap();
}

fn run_child(shell: &str, dir: &Path, die_at: &str) -> Output {
    child_command(shell, dir, die_at).output().unwrap()
}

fn run_batch_child(shell: &str, dir: &Path, die_at: &str) -> Output {
    child_command(shell, dir, die_at).env("NIVAL_TEST_BATCH", "1").output().unwrap()
}

fn child_command(shell: &str, dir: &Path, die_at: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "crash_tests::child", "--nocapture", "--test-threads=1"])
        .env("NIVAL_TEST_DIR", dir)
        .env("NIVAL_TEST_DIE_AT", die_at);
    command
}

fn names(store: &LocalStore) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(&store.config().real_store_dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".links")
        .collect();
    names.sort();
    names
}

#[test]
fn a_crash_leaves_the_old_state_or_the_new_one() {
    for place in PLACES {
        let dir = tempfile::tempdir().unwrap();
        write_source(dir.path(), 10);
        let output = run_child("ulimit -c 0;", dir.path(), place);
        assert!(!output.status.success(), "{place}: the child should have died");

        let store = LocalStore::open(StoreConfig::chroot(dir.path().join("root"))).unwrap();
        let valid = store.query_all_valid_paths().unwrap();
        assert_eq!(valid.len(), usize::from(place == "after-register"), "{place}");
        assert!(
            names(&store).len() > valid.len(),
            "{place}: the crash left no trace, so it wasn't where it should be"
        );
        assert!(store.verify(VerifyDepth::Contents).unwrap().problems.is_empty(), "{place}");

        // The next attempt isn't disturbed by what is there.
        let path = add(&store, &dir.path().join("source")).unwrap();
        assert!(store.verify(VerifyDepth::Contents).unwrap().problems.is_empty(), "{place}");
        drop(store);

        // Nothing keeps the path, so a collection removes everything, leftovers included.
        let store = LocalStore::open(StoreConfig::chroot(dir.path().join("root"))).unwrap();
        store.collect_garbage(&GcOptions::default()).unwrap();
        assert!(!store.is_valid_path(&path).unwrap(), "{place}");
        assert_eq!(names(&store), Vec::<String>::new(), "{place}");
        delete_tree(dir.path()).unwrap();
    }
}

#[test]
fn a_collection_clears_what_a_crash_left() {
    for place in PLACES {
        let dir = tempfile::tempdir().unwrap();
        write_source(dir.path(), 10);
        run_child("ulimit -c 0;", dir.path(), place);
        let store = LocalStore::open(StoreConfig::chroot(dir.path().join("root"))).unwrap();
        store.collect_garbage(&GcOptions::default()).unwrap();
        assert_eq!(names(&store), Vec::<String>::new(), "{place}");
        assert_eq!(
            fs::read_dir(dir.path().join("root/nix/var/nix/temproots")).unwrap().count(),
            0,
            "{place}"
        );
        delete_tree(dir.path()).unwrap();
    }
}

/// A file that can't grow stands for a full disk: that needs no rights.
#[test]
fn a_write_error_names_the_file_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write_source(dir.path(), 3_000_000);
    drop(LocalStore::open(StoreConfig::chroot(dir.path().join("root"))).unwrap());
    // 2000 blocks of 512 bytes are more than the database needs.
    let output = run_child("trap '' XFSZ; ulimit -f 2000;", dir.path(), "");
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    assert!(text.contains("cannot unpack `") && text.contains("-tmp/sub/file`"), "{text}");

    let store = LocalStore::open(StoreConfig::chroot(dir.path().join("root"))).unwrap();
    assert!(store.query_all_valid_paths().unwrap().is_empty());
    let left: Vec<String> = names(&store).into_iter().filter(|name| !name.ends_with(".lock")).collect();
    assert_eq!(left, Vec::<String>::new());
    add(&store, &dir.path().join("source")).unwrap();
    delete_tree(dir.path()).unwrap();
}

#[test]
fn a_crash_in_a_batch_registers_all_of_it_or_nothing() {
    for place in BATCH_PLACES {
        let dir = tempfile::tempdir().unwrap();
        write_source(dir.path(), 10);
        let output = run_batch_child("ulimit -c 0;", dir.path(), place);
        assert!(!output.status.success(), "{place}: the child should have died");

        let open = || LocalStore::open(StoreConfig::chroot(dir.path().join("root"))).unwrap();
        let store = open();
        let valid = store.query_all_valid_paths().unwrap();
        assert_eq!(valid.len(), if place == "after-register" { 101 } else { 0 }, "{place}");
        assert!(!names(&store).is_empty(), "{place}: the crash left no trace");
        assert!(store.verify(VerifyDepth::Contents).unwrap().problems.is_empty(), "{place}");

        // The next attempt isn't disturbed by what is there, and leaves nothing beside it.
        let paths = add_batch(store, dir.path()).unwrap();
        let store = open();
        assert!(store.verify(VerifyDepth::Contents).unwrap().problems.is_empty(), "{place}");
        let mut expected: Vec<String> = paths.iter().map(ToString::to_string).collect();
        expected.sort();
        assert_eq!(names(&store), expected, "{place}");

        store.collect_garbage(&GcOptions::default()).unwrap();
        assert_eq!(names(&store), Vec::<String>::new(), "{place}");
        delete_tree(dir.path()).unwrap();
    }
}

/// As above for one file; the batch that it is in leaves nothing either.
#[test]
fn a_write_error_in_a_batch_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write_source(dir.path(), 10);
    drop(LocalStore::open(StoreConfig::chroot(dir.path().join("root"))).unwrap());
    // 200 blocks of 512 bytes are more than the database needs as yet, and fewer than the large derivation.
    let output = run_batch_child("trap '' XFSZ; ulimit -f 200;", dir.path(), "");
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    assert!(text.contains("cannot write `") && text.contains("-step-98.drv`"), "{text}");

    let store = LocalStore::open(StoreConfig::chroot(dir.path().join("root"))).unwrap();
    assert!(store.query_all_valid_paths().unwrap().is_empty());
    assert_eq!(names(&store), Vec::<String>::new());
    add_batch(store, dir.path()).unwrap();
    delete_tree(dir.path()).unwrap();
}
