//! Many small things, added together.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;
use std::sync::Arc;

use nival_formats::{
    ContentAddressMethod, Derivation, DerivationFile, DerivationOutput, HashAlgo, HashModuloMemo, StorePath,
};
use nival_store::{Deferred, Existing, LocalStore, Source, StoreConfig, StoreError, VerifyDepth};
use support::TestStore;

/// A chain of derivations.
fn chain(store: &LocalStore, length: usize) -> Vec<DerivationFile> {
    let memo = HashModuloMemo::default();
    let mut files: Vec<DerivationFile> = Vec::new();
    for number in 0..length {
        let mut derivation = Derivation {
            name: format!("step-{number}"),
            system: "builtin".into(),
            builder: b"builtin:nival-text".to_vec(),
            outputs: [("out".into(), DerivationOutput::Deferred)].into(),
            env: [(b"text".to_vec(), b"line\n\"quoted\"".to_vec())].into(),
            ..Derivation::default()
        };
        if let Some(before) = files.last() {
            let inputs = &mut derivation.input_derivations;
            inputs.entry(before.path.clone()).or_default().outputs.insert("out".into());
        }
        let mut read = |_: &StorePath| -> Result<Derivation, StoreError> { unreachable!("all are known") };
        let mut draft = derivation.draft(store.store_dir()).unwrap();
        let prepared = draft.prepare(store.store_dir(), &memo, &mut read).unwrap();
        files.push(draft.finish(store.store_dir(), prepared, &memo).unwrap().on_its_own());
    }
    files
}

fn check(test: &TestStore, files: &[DerivationFile]) {
    let store = test.open();
    let report = store.verify(VerifyDepth::Contents).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.valid, files.len());
    for file in files {
        let info = store.query_path_info(&file.path).unwrap();
        assert!(info.references.iter().eq(&file.references));
        assert_eq!(store.query_derivation_outputs(&file.path).unwrap(), file.outputs);
        let metadata = fs::metadata(store.real_path(&file.path)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o444);
        assert_eq!((metadata.mtime(), metadata.nlink()), (1, 1));
        assert_eq!(fs::read(store.real_path(&file.path)).unwrap(), file.contents);
    }
    drop(store);
    assert_eq!(test.leftovers(), Vec::<String>::new());
}

#[test]
fn more_than_one_batch_goes_to_the_writer() {
    let test = TestStore::new();
    let deferred = Deferred::new(Arc::new(test.open()), Existing::Keep);
    let files = chain(deferred.store(), 4500);
    for file in &files {
        deferred.add_derivation(file.clone()).unwrap();
    }
    // Twice is once.
    deferred.add_derivation(files[4400].clone()).unwrap();
    deferred.flush().unwrap();
    deferred.flush().unwrap();
    drop(deferred);
    check(&test, &files);
    // All are there already.
    test.open().add_derivations(files.clone()).unwrap();
    check(&test, &files);
}

#[test]
fn threads_add_and_flush_at_once() {
    let test = TestStore::new();
    let deferred = Deferred::new(Arc::new(test.open()), Existing::Keep);
    let files = chain(deferred.store(), 400);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (deferred, files) = (&deferred, &files);
            scope.spawn(move || {
                // Each adds all: one needs what it refers to, whoever adds it.
                for (number, file) in files.iter().enumerate() {
                    deferred.add_derivation(file.clone()).unwrap();
                    if number % 50 == thread * 10 {
                        deferred.flush().unwrap();
                        assert!(deferred.store().is_valid_path(&file.path).unwrap());
                    }
                }
            });
        }
    });
    deferred.flush().unwrap();
    drop(deferred);
    check(&test, &files);
}

#[test]
fn sources_and_texts_are_there_when_they_are_referred_to() {
    let test = TestStore::new();
    let deferred = Deferred::new(Arc::new(test.open()), Existing::Keep);
    let folder = test.dir().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("small"), "small").unwrap();
    let source = |name, path| Source {
        name,
        path,
        method: ContentAddressMethod::NixArchive,
        algo: HashAlgo::Sha256,
        filter: None,
        expected: None,
    };
    let small = deferred.add_source(source("small", &folder)).unwrap();
    assert!(deferred.is_pending(&small));
    fs::write(folder.join("large"), vec![b'x'; 2 << 20]).unwrap();
    let large = deferred.add_source(source("large", &folder)).unwrap();
    assert!(!deferred.is_pending(&large), "too large to be kept in memory");
    assert!(deferred.store().is_valid_path(&large).unwrap());
    let text = deferred.add_text("text", b"text", &[small.clone(), large.clone()]).unwrap();
    deferred.flush().unwrap();

    let store = deferred.store();
    assert_eq!(store.query_references(&text).unwrap(), [small.clone(), large].into());
    assert_eq!(fs::read(store.real_path(&small).join("small")).unwrap(), b"small");
    assert!(!store.real_path(&small).join("large").exists(), "the source was read when it was added");
    assert!(store.verify(VerifyDepth::Contents).unwrap().problems.is_empty());
}

/// What could not be written is not forgotten, and said to whoever comes next.
#[test]
fn an_error_is_told_and_the_batch_kept() {
    let test = TestStore::new();
    let deferred = Deferred::new(Arc::new(test.open()), Existing::Keep);
    let files = chain(deferred.store(), 2);
    deferred.add_derivation(files[1].clone()).unwrap();
    let error = deferred.flush().unwrap_err();
    assert!(matches!(&error, StoreError::NotValid(path) if path.ends_with("-step-0.drv")), "{error}");
    assert!(deferred.is_pending(&files[1].path));
    assert!(!deferred.store().is_valid_path(&files[1].path).unwrap());
    deferred.store().add_derivations([files[0].clone()]).unwrap();
    deferred.flush().unwrap();
    drop(deferred);
    check(&test, &files);
}

/// While another process may be at work on one of the paths, lock files are taken, and removed afterwards.
#[test]
fn with_others_at_work_the_lock_files_are_taken() {
    let test = TestStore::new();
    let store = test.open();
    let files = chain(&store, 450);
    // To the batch another store is another process.
    let other = test.open();
    other.add_temp_root(&files[7].path).unwrap();
    let lock = store.lock_paths([&files[300].path]).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| test.open().add_derivations(files.clone()).unwrap());
        let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
        while !store.is_valid_path(&files[199].path).unwrap() {
            assert!(std::time::Instant::now() < until, "what isn't locked is written");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(!store.is_valid_path(&files[300].path).unwrap());
        drop(lock);
        writer.join().unwrap();
    });
    check(&test, &files);
}

/// So that the garbage collector is not waited for, which has this lock for as long as it runs.
#[test]
fn somebody_else_has_the_lock_of_the_collector() {
    let test = TestStore::new();
    let store = test.open();
    let files = chain(&store, 3);
    let lock = store.config().state_dir.join("gc.lock");
    let lock = File::options().create(true).truncate(false).write(true).open(lock).unwrap();
    lock.lock_shared().unwrap();
    store.add_derivations(files.clone()).unwrap();
    check(&test, &files);
}

#[test]
fn what_a_path_has_in_its_place_is_replaced() {
    let test = TestStore::new();
    let store = test.open();
    let files = chain(&store, 2);
    fs::create_dir_all(store.real_path(&files[0].path).join("folder")).unwrap();
    fs::write(store.real_path(&files[1].path), "half of").unwrap();
    store.add_derivations(files.clone()).unwrap();
    check(&test, &files);
}

#[test]
fn damaged_paths_are_replaced() {
    let test = TestStore::new();
    let config = StoreConfig { auto_optimise: true, ..test.config() };
    let open = |existing| Deferred::new(Arc::new(LocalStore::open(config.clone()).unwrap()), existing);
    let folder = test.dir().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), "right").unwrap();
    let source = || Source {
        name: "source",
        path: &folder,
        method: ContentAddressMethod::NixArchive,
        algo: HashAlgo::Sha256,
        filter: None,
        expected: None,
    };
    let add = |deferred: &Deferred| {
        let files = chain(deferred.store(), 2);
        for file in files.clone() {
            deferred.add_derivation(file).unwrap();
        }
        let paths =
            [deferred.add_source(source()).unwrap(), deferred.add_text("text", b"right", &[]).unwrap()];
        deferred.flush().unwrap();
        paths
    };
    let deferred = open(Existing::Keep);
    let [tree, text] = add(&deferred);
    let store = deferred.store();
    let derivation = chain(store, 1).remove(0).path;
    let spoil = |path: &std::path::Path| {
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(path, "wrong").unwrap();
    };
    spoil(&store.real_path(&tree).join("file"));
    spoil(&store.real_path(&derivation));
    let problems = || store.verify(VerifyDepth::Contents).unwrap().problems.len();
    // The text is the same file as that in the tree; and there are the links that the optimisation keeps.
    assert_eq!(problems(), 5);

    add(&open(Existing::Keep));
    assert_eq!(problems(), 5, "what is valid is not looked at");
    add(&open(Existing::Replace));
    assert_eq!(problems(), 0);
    assert_eq!(fs::read(store.real_path(&tree).join("file")).unwrap(), b"right");
    assert_eq!(fs::read(store.real_path(&text)).unwrap(), b"right");
    drop(deferred);
    assert!(test.leftovers().is_empty());
}

/// What each process of the test below does; run by itself it uses a store of its own.
#[test]
fn child() {
    let own = TestStore::new();
    let dir =
        std::env::var_os("NIVAL_TEST_DIR").map_or_else(|| own.dir().to_owned(), std::path::PathBuf::from);
    let deferred = Deferred::new(
        Arc::new(LocalStore::open(StoreConfig::chroot(dir.join("root"))).unwrap()),
        Existing::Keep,
    );
    for (number, file) in chain(deferred.store(), 600).into_iter().enumerate() {
        deferred.add_derivation(file).unwrap();
        if number % 150 == 0 {
            deferred.flush().unwrap();
        }
    }
    deferred.flush().unwrap();
}

#[test]
fn processes_with_any_mask_add_the_same_derivations_at_once() {
    let test = TestStore::new();
    let children: Vec<_> = ["000", "022", "077"]
        .map(|mask| {
            Command::new("/bin/sh")
                .args(["-c", &format!("umask {mask}; exec \"$0\" \"$@\"")])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "child"])
                .env("NIVAL_TEST_DIR", test.dir())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .into();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let files = chain(&test.open(), 600);
    check(&test, &files);
}
