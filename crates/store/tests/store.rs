//! Adding to a store and asking it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use nival_formats::{ContentAddressMethod, Hash, HashAlgo};
use nival_store::{ClosureOptions, Direction, Source, StoreError};
use support::TestStore;

#[test]
fn a_text_is_registered_with_its_references() {
    let test = TestStore::new();
    let store = test.open();
    let first = store.add_text("first", b"one\n", &[]).unwrap();
    let text = format!("{}\n", store.display(&first));
    let second = store.add_text("second", text.as_bytes(), std::slice::from_ref(&first)).unwrap();

    assert_eq!(fs::read_to_string(store.real_path(&second)).unwrap(), text);
    let metadata = fs::metadata(store.real_path(&second)).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o444, 1));
    let info = store.query_path_info(&second).unwrap();
    assert_eq!(info.references, [first.clone()].into());
    assert_eq!(info.content_address.unwrap().method, ContentAddressMethod::Text);
    assert_eq!(store.query_referrers(&first).unwrap(), [second.clone()].into());
    assert_eq!(store.query_path_from_hash_part(first.hash_part()).unwrap(), Some(first.clone()));
    let closure = store.closure([&second], ClosureOptions::default()).unwrap();
    assert_eq!(closure, [first.clone(), second.clone()].into());
    let back = ClosureOptions { direction: Direction::Referrers, ..ClosureOptions::default() };
    assert_eq!(store.closure([&first], back).unwrap(), [first, second].into());
    assert_eq!(test.leftovers(), Vec::<String>::new());
}

#[test]
fn a_text_with_an_unknown_reference_is_refused() {
    let test = TestStore::new();
    let store = test.open();
    let missing = "7rjjxp5lmdykb3n16p9l03a8hn6ay4k1-hello".parse().unwrap();
    let error = store.add_text("x", b"x", &[missing]).unwrap_err();
    assert!(matches!(error, StoreError::NotValid(_)), "{error}");
    assert_eq!(store.query_all_valid_paths().unwrap().len(), 0);
}

#[test]
fn a_tree_is_copied_with_links_and_executables() {
    let test = TestStore::new();
    let store = test.open();
    let source = test.dir().join("source");
    fs::create_dir_all(source.join("a/empty")).unwrap();
    fs::write(source.join("a/run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(source.join("a/run"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::write(source.join("skipped"), "x").unwrap();
    symlink("a/run", source.join("link")).unwrap();

    let mut asked = Vec::new();
    let mut filter = |path: &std::path::Path, kind: &'static str| {
        asked.push((path.file_name().unwrap().to_str().unwrap().to_owned(), kind));
        Ok(!path.ends_with("skipped"))
    };
    let path = store
        .add_source(Source {
            name: "tree",
            path: &source,
            method: ContentAddressMethod::NixArchive,
            algo: HashAlgo::Sha256,
            filter: Some(&mut filter),
            expected: None,
        })
        .unwrap();
    let expected = [
        ("a", "directory"),
        ("empty", "directory"),
        ("run", "regular"),
        ("link", "symlink"),
        ("skipped", "regular"),
    ];
    assert_eq!(asked, expected.map(|(name, kind)| (name.to_owned(), kind)));

    let real = store.real_path(&path);
    assert_eq!(fs::read_link(real.join("link")).unwrap().to_str(), Some("a/run"));
    let modes = ["", "a", "a/empty", "a/run"].map(|name| {
        let metadata = fs::metadata(real.join(name)).unwrap();
        (metadata.mode() & 0o7777, metadata.mtime())
    });
    assert_eq!(modes, [(0o555, 1); 4]);
    assert!(!real.join("skipped").exists());
    assert_eq!(test.leftovers(), Vec::<String>::new());
}

#[test]
fn a_wrong_hash_adds_nothing() {
    let test = TestStore::new();
    let store = test.open();
    let file = test.dir().join("file");
    fs::write(&file, "contents").unwrap();
    let error = store
        .add_source(Source {
            name: "file",
            path: &file,
            method: ContentAddressMethod::Flat,
            algo: HashAlgo::Sha256,
            filter: None,
            expected: Some(Hash::sha256(b"other")),
        })
        .unwrap_err();
    assert!(matches!(error, StoreError::HashMismatch { .. }), "{error}");
    assert!(store.query_all_valid_paths().unwrap().is_empty());
    assert_eq!(test.leftovers(), Vec::<String>::new());
}
