//! The store at `/nix`, where the machine allows it, and a disk that is full.
//!
//! A program of its own without the usual test harness, since that starts threads.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::print_stdout, reason = "there is no harness that reports")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use nival_store::{GcOptions, LocalStore, StoreConfig, namespace};
use rustix::mount::{MountFlags, mount};
use support::TestStore;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["enter", first, second] => child(Path::new(first), Path::new(second)),
        _ => parent(),
    }
}

fn parent() {
    let test = TestStore::new();
    let roots = ["one", "two"].map(|name| {
        let root = test.dir().join(name);
        fs::create_dir_all(root.join("nix/store")).unwrap();
        fs::write(root.join("nix/store/which"), name).unwrap();
        root
    });
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("enter")
        .args(&roots)
        .current_dir(test.dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    if text.starts_with("entered") {
        // The store is one and the same, seen from both sides.
        assert!(roots[1].join("nix/store/new").exists());
    } else {
        assert!(text.contains("hint: "), "a refusal comes with a hint");
    }
}

fn child(first: &Path, second: &Path) {
    let cwd = std::env::current_dir().unwrap();
    let user = rustix::process::geteuid();
    if let Err(error) = namespace::enter(first) {
        println!("{error}\nhint: {}", error.hint().unwrap());
        return;
    }
    assert_eq!(std::env::current_dir().unwrap(), cwd);
    assert_eq!(rustix::process::geteuid(), user);
    assert_eq!(fs::read_to_string("/nix/store/which").unwrap(), "one");
    // Now that there is a `/nix`, another is mounted over it.
    namespace::enter(second).unwrap();
    assert_eq!(fs::read_to_string("/nix/store/which").unwrap(), "two");
    fs::write("/nix/store/new", "").unwrap();
    assert_eq!(std::env::current_dir().unwrap(), cwd);
    assert!(Path::new("/proc/self").exists() && Path::new("/usr").exists());
    full_disk();
    println!("entered");
}

/// A store on a disk of half a megabyte; `/nix` will do, nobody else sees it.
fn full_disk() {
    mount("small", "/nix", "tmpfs", MountFlags::empty(), Some(c"size=600k")).unwrap();
    let config = StoreConfig { reserved_space: 100 * 1024, ..StoreConfig::system() };
    let store = LocalStore::open(config.clone()).unwrap();
    let kept = store.add_text("kept", b"kept", &[]).unwrap();
    let error = store.add_text("large", &vec![b'x'; 600_000], &[]).unwrap_err();
    assert!(error.is_io(std::io::ErrorKind::StorageFull), "{error}");
    assert!(error.hint().unwrap().contains("free some space"));
    assert_eq!(store.query_all_valid_paths().unwrap(), [kept].into());
    drop(store);
    // Filled up to the last byte, it can still be cleared.
    let filler = vec![b'x'; 600_000];
    fs::write("/nix/filler", filler).unwrap_err();
    let store = LocalStore::open(config).unwrap();
    let result = store.collect_garbage(&GcOptions::default()).unwrap();
    assert!(result.paths.iter().any(|path| path.to_string_lossy().ends_with("-kept")), "{result:?}");
}
