//! Damaged, hostile and impossible things.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use nival_formats::nar::{Mode, Writer};
use nival_formats::{ContentAddressMethod, Hash, HashAlgo, StorePath};
use nival_store::{LocalStore, PathInfo, Problem, Source, StoreConfig, StoreError, VerifyDepth};
use support::TestStore;

fn source(path: &std::path::Path) -> Source<'_> {
    Source {
        name: "source",
        path,
        method: ContentAddressMethod::NixArchive,
        algo: HashAlgo::Sha256,
        filter: None,
        expected: None,
    }
}

#[test]
fn a_corrupt_database_is_an_error_and_stays_as_it_is() {
    let garbage: Vec<u8> = b"this is no database ".repeat(1000);
    let mut truncated = b"SQLite format 3\0".to_vec();
    truncated.extend([0xff; 4096]);
    for (name, contents) in [("garbage", garbage), ("header", truncated), ("empty", Vec::new())] {
        let test = TestStore::new();
        drop(test.open());
        let db = test.config().db_dir();
        for file in ["db.sqlite-wal", "db.sqlite-shm"] {
            fs::remove_file(db.join(file)).unwrap();
        }
        fs::write(db.join("db.sqlite"), &contents).unwrap();
        let Err(error) = LocalStore::open(test.config()) else { panic!("{name} was opened") };
        assert!(matches!(error, StoreError::CorruptDatabase { .. }), "{name}: {error}");
        assert!(error.to_string().contains("db.sqlite"), "{name}: {error}");
        assert!(error.hint().unwrap().contains("nothing was changed"), "{name}");
        let left = fs::read(db.join("db.sqlite")).unwrap();
        assert!(left == contents || name == "empty", "{name}: the file was changed");
    }
}

#[test]
fn a_database_with_damaged_rows_is_an_error() {
    for (column, value) in [
        ("hash", "'sha256:zz'"),
        ("path", "'/nix/store/oops'"),
        ("deriver", "'/elsewhere'"),
        ("ca", "'fixed:md5'"),
        ("registrationTime", "'soon'"),
    ] {
        let test = TestStore::new();
        let path = test.open().add_text("text", b"text", &[]).unwrap();
        let connection = rusqlite::Connection::open(test.config().db_dir().join("db.sqlite")).unwrap();
        connection.execute_batch(&format!("update ValidPaths set {column} = {value}")).unwrap();
        drop(connection);
        let store = test.open();
        let error = match column {
            "path" => store.query_all_valid_paths().unwrap_err(),
            _ => store.query_path_info(&path).unwrap_err(),
        };
        assert!(matches!(error, StoreError::CorruptDatabase { .. }), "{column}: {error}");
    }
}

#[test]
fn other_schema_versions_are_refused() {
    for (version, kind) in [("11", "newer"), ("7", "older"), ("ten", "corrupt"), ("", "corrupt")] {
        let test = TestStore::new();
        drop(test.open());
        fs::write(test.config().db_dir().join("schema"), version).unwrap();
        let Err(error) = LocalStore::open(test.config()) else { panic!("version {version} was opened") };
        match kind {
            "corrupt" => assert!(matches!(error, StoreError::CorruptDatabase { .. }), "{error}"),
            _ => assert!(matches!(error, StoreError::UnsupportedSchema { supported: 10, .. }), "{error}"),
        }
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_creation_that_was_cut_off_is_completed() {
    let test = TestStore::new();
    drop(test.open());
    fs::remove_file(test.config().db_dir().join("schema")).unwrap();
    let path = test.open().add_text("text", b"text", &[]).unwrap();
    assert!(test.open().is_valid_path(&path).unwrap());
}

#[test]
fn a_store_behind_a_symlink_is_refused() {
    let test = TestStore::new();
    fs::create_dir(test.dir().join("real")).unwrap();
    symlink("real", test.dir().join("link")).unwrap();
    let Err(error) = LocalStore::open(StoreConfig::chroot(test.dir().join("link"))) else {
        panic!("it was opened")
    };
    assert!(matches!(error, StoreError::SymlinkedStore { .. }), "{error}");
}

#[test]
fn files_that_cannot_be_stored_are_named() {
    let test = TestStore::new();
    let store = test.open();
    let tree = test.dir().join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    let _socket = UnixListener::bind(tree.join("sub/socket")).unwrap();
    let error = store.add_source(source(&tree)).unwrap_err();
    assert!(error.to_string().contains("sub/socket` is a socket"), "{error}");
    fs::remove_file(tree.join("sub/socket")).unwrap();

    assert!(Command::new("mkfifo").arg(tree.join("pipe")).status().unwrap().success());
    let error = store.add_source(source(&tree)).unwrap_err();
    assert!(error.to_string().contains("pipe` is a named pipe"), "{error}");
    let flat = Source { method: ContentAddressMethod::Flat, ..source(&tree) };
    assert!(matches!(store.add_source(flat).unwrap_err(), StoreError::NotRegular { .. }));
    fs::remove_file(tree.join("pipe")).unwrap();

    let missing = test.dir().join("missing");
    let error = store.add_source(source(&missing)).unwrap_err();
    assert!(error.to_string().contains("missing`"), "{error}");

    fs::write(tree.join("secret"), "x").unwrap();
    fs::set_permissions(tree.join("secret"), fs::Permissions::from_mode(0o0)).unwrap();
    match store.add_source(source(&tree)) {
        // Root reads everything.
        Ok(_) => assert!(rustix::process::geteuid().is_root()),
        Err(error) => assert!(error.to_string().contains("secret`"), "{error}"),
    }
    assert_eq!(test.leftovers(), Vec::<String>::new());
}

#[test]
fn names_that_make_no_store_path_are_refused() {
    let test = TestStore::new();
    let store = test.open();
    for name in ["", "..", "a/b", ".-x", "ü", &"x".repeat(212)] {
        let error = store.add_text(name, b"x", &[]).unwrap_err();
        assert!(matches!(error, StoreError::BadName { .. }), "{name}: {error}");
    }
    // The longest name there is must leave room for what is added while it is written.
    store.add_text(&"x".repeat(211), b"x", &[]).unwrap();
    assert_eq!(test.leftovers(), Vec::<String>::new());
}

fn nar_of(contents: &[u8]) -> Vec<u8> {
    let mut nar = Writer::new(Vec::new());
    nar.file_bytes(Mode::Plain, contents).unwrap();
    nar.finish().unwrap()
}

#[test]
fn hostile_archives_leave_nothing() {
    let good = nar_of(b"hello");
    let string = |text: &[u8]| {
        let mut out = (text.len() as u64).to_le_bytes().to_vec();
        out.extend_from_slice(text);
        out.resize(out.len().next_multiple_of(8), 0);
        out
    };
    let tree = |names: &[&[u8]]| {
        let mut out = Vec::new();
        for tag in [&b"nix-archive-1"[..], b"(", b"type", b"directory"] {
            out.extend(string(tag));
        }
        for name in names {
            for tag in [b"entry", &b"("[..], b"name", name, b"node", b"(", b"type", b"regular", b")", b")"] {
                out.extend(string(tag));
            }
        }
        out.extend(string(b")"));
        out
    };
    let huge = {
        let mut out = good[..good.len() - 40].to_vec();
        let at = out.len() - 8;
        out[at..].copy_from_slice(&u64::MAX.to_le_bytes());
        out
    };
    let cases: [(&str, Vec<u8>); 10] = [
        ("empty", Vec::new()),
        ("cut off", good[..good.len() - 9].to_vec()),
        ("no archive", b"hello, world, this is not an archive".to_vec()),
        ("parent", tree(&[b".."])),
        ("slash", tree(&[b"a/../../b"])),
        ("absolute", tree(&[b"/etc/passwd"])),
        ("unsorted", tree(&[b"b", b"a"])),
        ("twice", tree(&[b"a", b"a"])),
        ("nul", tree(&[b"a\0b"])),
        ("huge", huge),
    ];
    for (name, bytes) in cases {
        let test = TestStore::new();
        let store = test.open();
        let path: StorePath = "7rjjxp5lmdykb3n16p9l03a8hn6ay4k1-hello".parse().unwrap();
        let info = PathInfo::new(path.clone(), Hash::sha256(&bytes), bytes.len() as u64);
        let error = store.add_nar(&info, &mut &bytes[..]).unwrap_err();
        assert!(matches!(error, StoreError::BadNar { .. }), "{name}: {error}");
        assert!(!store.is_valid_path(&path).unwrap(), "{name}");
        let left: Vec<_> = test.leftovers().into_iter().filter(|name| !name.ends_with(".lock")).collect();
        assert_eq!(left, Vec::<String>::new(), "{name}");
        assert!(!test.dir().join("root/nix/b").exists());
    }
}

#[test]
fn archives_are_what_was_promised_or_are_refused() {
    let test = TestStore::new();
    let store = test.open();
    let nar = nar_of(b"hello");
    let path: StorePath = "7rjjxp5lmdykb3n16p9l03a8hn6ay4k1-hello".parse().unwrap();
    let right = PathInfo::new(path.clone(), Hash::sha256(&nar), nar.len() as u64);

    let hash = PathInfo { nar_hash: Hash::sha256(b"other"), ..right.clone() };
    let size = PathInfo { nar_size: 1, ..right.clone() };
    let address = nival_formats::ContentAddress {
        method: ContentAddressMethod::Flat,
        hash: Hash::sha256(b"something else"),
    };
    let claimed = PathInfo { content_address: Some(address), ..right.clone() };
    let moved = PathInfo {
        content_address: Some(nival_formats::ContentAddress {
            method: ContentAddressMethod::Flat,
            hash: Hash::sha256(b"hello"),
        }),
        ..right.clone()
    };
    for (info, expected) in [
        (hash, "hash mismatch"),
        (size, "size mismatch"),
        (claimed, "hash mismatch"),
        (moved, "claims to be content-addressed"),
    ] {
        let error = store.add_nar(&info, &mut &nar[..]).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!store.is_valid_path(&path).unwrap());
    }
    // Exactly the archive is read, also when the path is there already.
    let mut stream = &[&nar[..], b"rest"].concat()[..];
    store.add_nar(&right, &mut stream).unwrap();
    assert_eq!(stream, b"rest");
    assert_eq!(fs::read(store.real_path(&path)).unwrap(), b"hello");
}

#[test]
fn cycles_are_refused_but_not_references_to_oneself() {
    let test = TestStore::new();
    let store = test.open();
    let nar = nar_of(b"");
    let mut infos: Vec<PathInfo> = ["a", "b", "c"]
        .map(|name| {
            let path = format!("7rjjxp5lmdykb3n16p9l03a8hn6ay4k1-{name}").parse().unwrap();
            PathInfo::new(path, Hash::sha256(&nar), nar.len() as u64)
        })
        .into();
    let paths: Vec<StorePath> = infos.iter().map(|info| info.path.clone()).collect();
    for (from, to) in [(0, 1), (1, 2), (2, 2)] {
        infos[from].references.insert(paths[to].clone());
    }
    store.register_valid_paths(&infos).unwrap();
    infos[2].references.insert(paths[0].clone());
    let error = store.register_valid_paths(&infos).unwrap_err();
    assert!(matches!(error, StoreError::ReferenceCycle { .. }), "{error}");
}

#[test]
fn verification_finds_what_was_changed_by_hand() {
    let test = TestStore::new();
    let store = test.open();
    let text =
        |name: &str, references: &[StorePath]| store.add_text(name, name.as_bytes(), references).unwrap();
    let (changed, gone, needed) = (text("changed", &[]), text("gone", &[]), text("needed", &[]));
    let user = text("user", std::slice::from_ref(&needed));
    text("fine", &[]);
    let file = store.real_path(&changed);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "something else").unwrap();
    fs::remove_file(store.real_path(&gone)).unwrap();
    fs::remove_file(store.real_path(&needed)).unwrap();

    let report = store.verify(VerifyDepth::Contents).unwrap();
    assert_eq!(report.forgotten, [gone]);
    assert_eq!(report.valid, 2);
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(matches!(&report.problems[0], Problem::Missing { path, referrers }
        if *path == needed && *referrers == [user].into()));
    assert!(matches!(&report.problems[1], Problem::Modified { path, .. } if *path == changed));
    assert_eq!(store.verify(VerifyDepth::Existence).unwrap().problems.len(), 1);
}

#[test]
fn a_store_opened_for_queries_is_not_changed() {
    let test = TestStore::new();
    let config = StoreConfig { read_only: true, ..test.config() };
    assert!(matches!(LocalStore::open(config.clone()), Err(StoreError::NoStore { .. })));
    assert!(!config.state_dir.exists());

    let path = test.open().add_text("text", b"text", &[]).unwrap();
    let store = LocalStore::open(config).unwrap();
    assert!(store.is_valid_path(&path).unwrap());
    store.add_temp_root(&path).unwrap();
    let results = [
        store.add_text("other", b"other", &[]).map(drop),
        store.collect_garbage(&nival_store::GcOptions::default()).map(drop),
        store.add_permanent_root(&path, &test.dir().join("root-link")),
        store.add_source(source(test.dir())).map(drop),
    ];
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    }
}

#[test]
fn a_directory_without_write_permission_is_named() {
    if rustix::process::geteuid().is_root() {
        // Permissions don't stop root; what does is no directory at all.
        let test = TestStore::new();
        fs::write(test.dir().join("root"), "a file").unwrap();
        let Err(error) = LocalStore::open(test.config()) else { panic!("it was opened") };
        assert!(error.to_string().contains("root/nix/store`"), "{error}");
        return;
    }
    let test = TestStore::new();
    fs::create_dir(test.dir().join("root")).unwrap();
    fs::set_permissions(test.dir().join("root"), fs::Permissions::from_mode(0o555)).unwrap();
    let Err(error) = LocalStore::open(test.config()) else { panic!("it was opened") };
    assert!(error.is_io(std::io::ErrorKind::PermissionDenied), "{error}");
    assert!(error.hint().unwrap().contains("--store DIR"));
}
