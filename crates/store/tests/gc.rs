//! Roots and the garbage collector.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use nival_formats::StorePath;
use nival_store::{GcAction, GcOptions, LocalStore, Root, StoreError};
use support::TestStore;

fn text(store: &LocalStore, name: &str, references: &[&StorePath]) -> StorePath {
    let references: Vec<StorePath> = references.iter().map(|path| (*path).clone()).collect();
    store.add_text(name, name.as_bytes(), &references).unwrap()
}

fn options(action: GcAction) -> GcOptions {
    GcOptions { action, ..GcOptions::default() }
}

fn shown(store: &LocalStore, paths: &[&StorePath]) -> BTreeSet<PathBuf> {
    paths.iter().map(|path| store.display(path).into()).collect()
}

#[test]
fn what_no_root_reaches_is_deleted() {
    let test = TestStore::new();
    let (low, high, dead, dead_user) = {
        let store = test.open();
        let low = text(&store, "low", &[]);
        let high = text(&store, "high", &[&low]);
        let dead = text(&store, "dead", &[]);
        let dead_user = text(&store, "dead-user", &[&dead, &low]);
        (low, high, dead, dead_user)
    };
    let store = test.open();
    let link = test.dir().join("result");
    store.add_permanent_root(&high, &link).unwrap();
    assert_eq!(fs::read_link(&link).unwrap().to_str(), Some(&*store.display(&high)));
    drop(store);

    let store = test.open();
    let live = store.collect_garbage(&options(GcAction::ReturnLive)).unwrap();
    assert_eq!(live.paths, shown(&store, &[&low, &high]));
    let garbage = store.collect_garbage(&options(GcAction::ReturnDead)).unwrap();
    assert_eq!(garbage.paths, shown(&store, &[&dead, &dead_user]));
    assert_eq!(store.query_all_valid_paths().unwrap().len(), 4);
    let deleted = store.collect_garbage(&options(GcAction::DeleteDead)).unwrap();
    assert_eq!(deleted.paths, shown(&store, &[&dead, &dead_user]));
    assert_eq!(deleted.bytes_freed, ("dead".len() + "dead-user".len()) as u64);
    assert_eq!(store.query_all_valid_paths().unwrap(), [low.clone(), high.clone()].into());
    assert!(!store.real_path(&dead).exists());

    // With its link an indirect root is gone.
    fs::remove_file(&link).unwrap();
    let deleted = store.collect_garbage(&options(GcAction::DeleteDead)).unwrap();
    assert_eq!(deleted.paths, shown(&store, &[&low, &high]));
    assert_eq!(fs::read_dir(store.config().roots_dir().join("auto")).unwrap().count(), 0);
}

#[test]
fn temporary_roots_hold_as_long_as_the_store_is_open() {
    let test = TestStore::new();
    let owner = test.open();
    let path = text(&owner, "text", &[]);
    let other = test.open();
    assert_eq!(other.find_roots().unwrap()[&path], [Root::Temporary(std::process::id())].into());
    other.collect_garbage(&options(GcAction::DeleteDead)).unwrap();
    assert!(other.is_valid_path(&path).unwrap());
    let error = other.delete([path.clone()].into()).unwrap_err();
    assert!(matches!(error, StoreError::Alive { .. }), "{error}");
    drop(owner);
    other.delete([path.clone()].into()).unwrap();
    assert!(!other.is_valid_path(&path).unwrap());
}

#[test]
fn a_path_in_use_is_not_deleted_by_itself() {
    let test = TestStore::new();
    let (low, high) = {
        let store = test.open();
        let low = text(&store, "low", &[]);
        (low.clone(), text(&store, "high", &[&low]))
    };
    let store = test.open();
    assert!(matches!(store.delete([low.clone()].into()).unwrap_err(), StoreError::Alive { .. }));
    let deleted = store.delete([low.clone(), high.clone()].into()).unwrap();
    assert_eq!(deleted.paths, shown(&store, &[&low, &high]));
}

#[test]
fn strange_files_in_the_store_are_garbage() {
    let test = TestStore::new();
    let store = test.open();
    let directory = &store.config().real_store_dir;
    fs::create_dir_all(directory.join("not-a-path/sub")).unwrap();
    fs::write(directory.join("7rjjxp5lmdykb3n16p9l03a8hn6ay4k1-never-registered"), "x").unwrap();
    let held = directory.join("tmp-held");
    fs::create_dir(&held).unwrap();
    let lock = fs::File::open(&held).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    fs::create_dir(directory.join("tmp-stale")).unwrap();
    store.collect_garbage(&options(GcAction::DeleteDead)).unwrap();
    assert_eq!(test.leftovers(), ["tmp-held"]);
}

#[test]
fn roots_of_every_kind_are_found() {
    let test = TestStore::new();
    let store = test.open();
    let paths: Vec<StorePath> =
        ["direct", "profile", "indirect", "named", "inside"].map(|name| text(&store, name, &[])).into();
    let roots_dir = store.config().roots_dir();
    let full = |index: usize| store.display(&paths[index]);
    fs::create_dir_all(roots_dir.join("deep/er")).unwrap();
    symlink(full(0), roots_dir.join("deep/er/direct")).unwrap();
    symlink(full(1), store.config().profiles_dir().join("p-1-link")).unwrap();
    let link = test.dir().join("indirect");
    symlink(full(2), &link).unwrap();
    store.add_indirect_root(&link).unwrap();
    fs::write(roots_dir.join(paths[3].as_str()), "").unwrap();
    symlink(format!("{}/bin/x", full(4)), roots_dir.join("inside")).unwrap();
    // None of these is one, and none may disturb.
    symlink("/nowhere", roots_dir.join("dangling")).unwrap();
    symlink("/nix/store/7rjjxp5lmdykb3n16p9l03a8hn6ay4k1-invalid", roots_dir.join("invalid")).unwrap();
    symlink("loop", roots_dir.join("loop")).unwrap();
    fs::write(roots_dir.join("auto/stray"), "").unwrap();

    drop(store);
    let roots = test.open().find_roots().unwrap();
    let expected = [
        roots_dir.join("deep/er/direct"),
        test.config().profiles_dir().join("p-1-link"),
        link,
        roots_dir.join(paths[3].as_str()),
        roots_dir.join("inside"),
    ];
    for (path, link) in paths.iter().zip(expected) {
        assert_eq!(roots[path], [Root::Link(link)].into());
    }
    assert_eq!(roots.len(), 5);
}

#[test]
fn roots_do_not_overwrite_what_is_not_theirs() {
    let test = TestStore::new();
    let store = test.open();
    let path = text(&store, "text", &[]);
    let file = test.dir().join("file");
    fs::write(&file, "mine").unwrap();
    let link = test.dir().join("link");
    symlink("file", &link).unwrap();
    for place in [&file, &link, &store.config().real_store_dir.join("x")] {
        let error = store.add_permanent_root(&path, place).unwrap_err();
        assert!(matches!(error, StoreError::BadRoot { .. }), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn enough_is_enough() {
    let test = TestStore::new();
    {
        let store = test.open();
        for number in 0..10 {
            store.add_text(&format!("text-{number}"), &[b'x'; 1000], &[]).unwrap();
        }
    }
    let store = test.open();
    let result = store.collect_garbage(&GcOptions { max_freed: 2500, ..GcOptions::default() }).unwrap();
    assert_eq!((result.paths.len(), result.bytes_freed), (3, 3000));
    assert_eq!(store.query_all_valid_paths().unwrap().len(), 7);
    let result = store.collect_garbage(&GcOptions { max_freed: 0, ..GcOptions::default() }).unwrap();
    assert_eq!(result.paths.len(), 0);
}

#[test]
fn equal_files_become_one() {
    use std::os::unix::fs::MetadataExt as _;
    let test = TestStore::new();
    let store = test.open();
    let source = test.dir().join("source");
    fs::create_dir(&source).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(source.join(name), [b'x'; 1000]).unwrap();
    }
    let path = store
        .add_source(nival_store::Source {
            name: "tree",
            path: &source,
            method: nival_formats::ContentAddressMethod::NixArchive,
            algo: nival_formats::HashAlgo::Sha256,
            filter: None,
            expected: None,
        })
        .unwrap();
    let result = store.optimise().unwrap();
    assert_eq!((result.files_linked, result.bytes_freed), (2, 2000));
    let real = store.real_path(&path);
    let inodes: BTreeSet<u64> =
        ["a", "b", "c"].map(|name| fs::metadata(real.join(name)).unwrap().ino()).into();
    assert_eq!(inodes.len(), 1);
    let metadata = fs::metadata(&real).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o555, 1));
    assert!(store.verify(nival_store::VerifyDepth::Contents).unwrap().problems.is_empty());
    assert_eq!(store.optimise().unwrap().files_linked, 0);
    drop(store);
    let store = test.open();
    store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(fs::read_dir(store.config().links_dir()).unwrap().count(), 0);
}
