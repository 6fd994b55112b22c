//! What is left when the process dies, or the disk is full, in the middle of an addition.
//!
//! The test program runs itself again for the part that dies; see [`child`].

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use nival_formats::{ContentAddressMethod, HashAlgo};

use crate::fault::die_at;
use crate::{GcOptions, LocalStore, Result, Source, StoreConfig, VerifyDepth, delete_tree};

const PLACES: [&str; 4] = ["unpacked", "before-rename", "before-register", "after-register"];

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
        .and_then(|name| PLACES.into_iter().find(|place| *place == name))
    {
        die_at(place);
    }
    let store = LocalStore::open(StoreConfig::chroot(dir.join("root"))).unwrap();
    let added = add(&store, &dir.join("source"));
    assert!(added.is_ok(), "{}", added.unwrap_err());
    drop(store);
    delete_tree(own.path()).unwrap();
}

fn write_source(dir: &Path, size: usize) {
    fs::create_dir_all(dir.join("source/sub")).unwrap();
    fs::write(dir.join("source/sub/file"), vec![b'x'; size]).unwrap();
}

fn run_child(shell: &str, dir: &Path, die_at: &str) -> Output {
    Command::new("/bin/sh")
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "crash_tests::child", "--nocapture", "--test-threads=1"])
        .env("NIVAL_TEST_DIR", dir)
        .env("NIVAL_TEST_DIE_AT", die_at)
        .output()
        .unwrap()
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
