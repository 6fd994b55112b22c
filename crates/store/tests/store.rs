//! Adding to a store and asking it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use nival_formats::nar::{Mode, Writer};
use nival_formats::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationOutput, Hash, HashAlgo, HashModuloMemo,
    InputOutputs, StorePath,
};
use nival_store::{
    ClosureOptions, Direction, LocalStore, PathInfo, ReferenceScanner, Source, StoreConfig, StoreError,
    VerifyDepth,
};
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

fn derivation(store: &LocalStore, name: &str, inputs: &[&Derivation]) -> Derivation {
    let mut derivation = Derivation {
        name: name.into(),
        system: "builtin".into(),
        builder: b"builtin:nival-text".to_vec(),
        outputs: [("out".into(), DerivationOutput::Deferred)].into(),
        env: [(b"out".to_vec(), Vec::new())].into(),
        ..Derivation::default()
    };
    let by_path: BTreeMap<StorePath, &Derivation> =
        inputs.iter().map(|input| (input.to_file(store.store_dir()).unwrap().0, *input)).collect();
    for path in by_path.keys() {
        let outputs = InputOutputs { outputs: ["out".into()].into(), ..InputOutputs::default() };
        derivation.input_derivations.insert(path.clone(), outputs);
    }
    let mut read = |path: &StorePath| {
        by_path.get(path).map_or_else(|| store.read_derivation(path), |drv| Ok((*drv).clone()))
    };
    derivation.fill_output_paths(store.store_dir(), &HashModuloMemo::default(), &mut read).unwrap();
    derivation
}

#[test]
fn derivations_are_written_in_any_order_with_their_outputs() {
    let test = TestStore::new();
    let store = test.open();
    let leaves: Vec<Derivation> = (0..300).map(|n| derivation(&store, &format!("leaf-{n}"), &[])).collect();
    let top = derivation(&store, "top", &leaves.iter().collect::<Vec<_>>());
    let paths = store.write_derivations(std::iter::once(&top).chain(&leaves)).unwrap();

    assert_eq!(paths.len(), 301);
    assert_eq!(store.query_references(&paths[0]).unwrap(), paths[1..].iter().cloned().collect());
    assert_eq!(store.read_derivation(&paths[0]).unwrap(), top);
    let output = top.outputs["out"].path(store.store_dir(), "top", "out").unwrap().unwrap();
    assert_eq!(store.query_derivation_outputs(&paths[0]).unwrap(), [("out".into(), output.clone())].into());
    assert_eq!(store.query_valid_derivers(&output).unwrap(), [paths[0].clone()].into());
    assert_eq!(store.write_derivation(&top).unwrap(), paths[0]);
    assert!(store.verify(VerifyDepth::Contents).unwrap().problems.is_empty());
    assert_eq!(test.leftovers(), Vec::<String>::new());
}

#[test]
fn a_foreign_derivation_with_wrong_outputs_is_refused() {
    let test = TestStore::new();
    let store = test.open();
    let mut wrong = derivation(&store, "x", &[]);
    let other: StorePath = "7rjjxp5lmdykb3n16p9l03a8hn6ay4k1-x".parse().unwrap();
    wrong.env.insert(b"out".to_vec(), store.display(&other).into_bytes());
    wrong.outputs.insert("out".into(), DerivationOutput::InputAddressed(other));
    let (path, text) = wrong.to_file(store.store_dir()).unwrap();
    let mut nar = Writer::new(Vec::new());
    nar.file_bytes(Mode::Plain, &text).unwrap();
    let nar = nar.finish().unwrap();
    let info = PathInfo::new(path.clone(), Hash::sha256(&nar), nar.len() as u64);
    let error = store.add_nar(&info, &mut &nar[..]).unwrap_err();
    assert!(matches!(error, StoreError::Derivation(_)), "{error}");
    assert!(!store.is_valid_path(&path).unwrap());
}

#[test]
fn a_large_source_goes_through_a_file() {
    let test = TestStore::new();
    let store = LocalStore::open(StoreConfig { nar_buffer_size: 1000, ..test.config() }).unwrap();
    let file = test.dir().join("file");
    fs::write(&file, vec![b'x'; 100_000]).unwrap();
    for method in [ContentAddressMethod::Flat, ContentAddressMethod::NixArchive] {
        let source = || Source {
            name: "file",
            path: &file,
            method,
            algo: HashAlgo::Sha512,
            filter: None,
            expected: None,
        };
        let (expected, _) = store.hash_source(source()).unwrap();
        let path = store.add_source(source()).unwrap();
        assert_eq!(path, expected);
        assert_eq!(fs::read(store.real_path(&path)).unwrap().len(), 100_000);
    }
    assert!(store.verify(VerifyDepth::Contents).unwrap().problems.is_empty());
    assert_eq!(test.leftovers(), Vec::<String>::new());
}

/// The paths are those that `nix-store --add` and `--add-fixed` of C++ Nix 2.34.8 print for the same files.
#[test]
fn paths_are_those_of_the_reference() {
    let test = TestStore::new();
    let store = test.open();
    let tree = test.dir().join("golden");
    fs::create_dir_all(tree.join("bin")).unwrap();
    fs::write(tree.join("bin/run"), "#!/bin/sh\necho run\n").unwrap();
    fs::set_permissions(tree.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(tree.join("text"), "text\n").unwrap();
    symlink("bin/run", tree.join("link")).unwrap();
    let add = |path: &std::path::Path, method, algo| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let source = Source { name, path, method, algo, filter: None, expected: None };
        store.display(&store.add_source(source).unwrap())
    };
    use ContentAddressMethod::{Flat, NixArchive};
    let got = [
        add(&tree, NixArchive, HashAlgo::Sha256),
        add(&tree, NixArchive, HashAlgo::Sha512),
        add(&tree.join("text"), Flat, HashAlgo::Sha256),
        add(&tree.join("link"), NixArchive, HashAlgo::Sha256),
    ];
    assert_eq!(got, GOLDEN);
}

const GOLDEN: [&str; 4] = [
    "/nix/store/nqz1aw54d3xm927an0zzvgv26gjg4lzs-golden",
    "/nix/store/68w2bwkw4m4ciq8lk31r083rsjdfkx2v-golden",
    "/nix/store/mb9p53qvk565zx029l97pjddmxzgipvc-text",
    "/nix/store/5sb46wpfrlhvaxlf6872654b8b89431l-link",
];

/// The path is what `nix store make-content-addressed` of C++ Nix 2.34.8 makes of this text.
#[test]
fn a_path_that_contains_itself_is_checked_as_the_reference_does() {
    let test = TestStore::new();
    let store = test.open();
    let path: StorePath = "b501qynljlskafmlnl9bdh6rqlwwpxd0-selfref".parse().unwrap();
    let full = store.display(&path);
    let mut nar = Writer::new(Vec::new());
    nar.file_bytes(Mode::Plain, format!("{full}\nagain {full} {full}\n").as_bytes()).unwrap();
    let nar = nar.finish().unwrap();
    let mut info = PathInfo::new(path.clone(), Hash::sha256(&nar), nar.len() as u64);
    info.references.insert(path.clone());
    let wrong = ContentAddress { method: ContentAddressMethod::NixArchive, hash: Hash::sha256(&nar) };
    info.content_address = Some(wrong);
    assert!(matches!(store.add_nar(&info, &mut &nar[..]), Err(StoreError::HashMismatch { .. })));
    info.content_address =
        Some("fixed:r:sha256:1vz7q8hwxb74ddw26c3f1y70il2ynha0zxagll9d2bvkx5fqd0a3".parse().unwrap());
    store.add_nar(&info, &mut &nar[..]).unwrap();
    assert!(store.is_valid_path(&path).unwrap());
}

#[test]
fn references_are_found_across_writes() {
    let path: StorePath = "7rjjxp5lmdykb3n16p9l03a8hn6ay4k1-hello".parse().unwrap();
    let absent: StorePath = "8rjjxp5lmdykb3n16p9l03a8hn6ay4k1-other".parse().unwrap();
    let text = [&[b'0'; 50][..], path.as_str().as_bytes(), &[b'x'; 50]].concat();
    for size in 1..text.len() {
        let mut scanner = ReferenceScanner::new([path.clone(), absent.clone()]);
        for chunk in text.chunks(size) {
            scanner.update(chunk);
        }
        assert_eq!(scanner.finish(), [path.clone()].into(), "in pieces of {size}");
    }
    let mut scanner = ReferenceScanner::new([path]);
    scanner.update(&text[..50 + 31]);
    assert!(scanner.finish().is_empty());
}
