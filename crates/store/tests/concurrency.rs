//! Many at once.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::Command;

use nival_formats::{ContentAddressMethod, HashAlgo};
use nival_store::{LocalStore, Source, StoreConfig, VerifyDepth};
use support::TestStore;

fn add(store: &LocalStore, source: &std::path::Path) -> String {
    let path = store
        .add_source(Source {
            name: "tree",
            path: source,
            method: ContentAddressMethod::NixArchive,
            algo: HashAlgo::Sha256,
            filter: None,
            expected: None,
        })
        .unwrap();
    store.display(&path)
}

/// What each process of the test below does; run by itself it uses a store of its own.
#[test]
fn child() {
    let own = TestStore::new();
    let dir =
        std::env::var_os("NIVAL_TEST_DIR").map_or_else(|| own.dir().to_owned(), std::path::PathBuf::from);
    let source = dir.join("source");
    if dir == own.dir() {
        std::fs::create_dir(&source).unwrap();
    }
    let store = LocalStore::open(StoreConfig::chroot(dir.join("root"))).unwrap();
    let tree = add(&store, &source);
    assert!(tree.ends_with("-tree"));
    for number in 0..20 {
        let text = store.add_text(&format!("text-{number}"), b"text", &[]).unwrap();
        assert!(store.is_valid_path(&text).unwrap());
    }
}

#[test]
fn processes_add_the_same_paths_at_once() {
    let test = TestStore::new();
    let source = test.dir().join("source");
    std::fs::create_dir(&source).unwrap();
    for number in 0..50 {
        std::fs::write(source.join(format!("file-{number}")), [b'x'; 5000]).unwrap();
    }
    let children: Vec<_> = (0..6)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child"])
                .env("NIVAL_TEST_DIR", test.dir())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let report = test.open().verify(VerifyDepth::Contents).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.valid, 21);
    assert_eq!(test.leftovers(), Vec::<String>::new());
}

#[test]
fn threads_share_one_store() {
    let test = TestStore::new();
    let store = test.open();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..30 {
                    let name = format!("text-{}", number % 10 + thread);
                    store.add_text(&name, name.as_bytes(), &[]).unwrap();
                }
            });
        }
    });
    assert_eq!(store.verify(VerifyDepth::Contents).unwrap().valid, 13);
}
