//! What an evaluation leaves in the store, against what C++ Nix 2.34.8 left there.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nival_store::{LocalStore, StoreConfig, VerifyDepth, delete_tree};
use serde::Deserialize;

struct Stage(tempfile::TempDir);

impl Stage {
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(stage.path("source/bin")).unwrap();
        fs::write(stage.path("source/a"), "hello\n").unwrap();
        fs::write(stage.path("source/bin/run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(stage.path("source/bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("a", stage.path("source/link")).unwrap();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn instantiate(&self, text: &str, flags: &[&str]) -> Command {
        let file = self.path("default.nix");
        // Those that run already may be about to read it.
        if fs::read_to_string(&file).ok().as_deref() != Some(text) {
            fs::write(&file, text).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_nival"));
        command.arg0("nix-instantiate").args(flags).arg(file);
        command.env_clear().env("HOME", self.path("")).env("NIX_REMOTE", self.path("root"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn open(&self) -> LocalStore {
        LocalStore::open(StoreConfig::chroot(self.path("root"))).unwrap()
    }

    fn check_store(&self, valid: usize) {
        let report = self.open().verify(VerifyDepth::Contents).unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!(report.valid, valid);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = delete_tree(self.0.path());
    }
}

fn success(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fact {
    path: String,
    nar_hash: String,
    nar_size: u64,
    ca: String,
    references: Vec<String>,
    outputs: BTreeMap<String, String>,
}

#[test]
fn the_store_is_as_the_reference_leaves_it() {
    let stage = Stage::new();
    let facts: Vec<Fact> = serde_json::from_str(include_str!("store_facts.json")).unwrap();
    let text = include_str!("store_facts.nix");
    // A second time nothing is left to do.
    for _ in 0..2 {
        let shown = success(stage.instantiate(text, &["--option", "eval-cache", "false"]).output().unwrap());
        assert_eq!(shown.trim(), facts.iter().find(|fact| fact.path.ends_with("-top.drv")).unwrap().path);
        stage.check_store(facts.len());
        let store = stage.open();
        for fact in &facts {
            check_fact(&store, fact);
        }
    }
    let mut names: Vec<_> = fs::read_dir(stage.path("root/nix/store"))
        .unwrap()
        .map(|entry| format!("/nix/store/{}", entry.unwrap().file_name().to_str().unwrap()))
        .filter(|name| !name.ends_with("/.links"))
        .collect();
    names.sort();
    assert_eq!(names, facts.iter().map(|fact| fact.path.clone()).collect::<Vec<_>>());
}

fn check_fact(store: &LocalStore, fact: &Fact) {
    let path = store.parse(&fact.path).unwrap();
    let info = store.query_path_info(&path).unwrap();
    assert_eq!(info.nar_hash.to_prefixed(nival_formats::HashFormat::Base16), fact.nar_hash, "{path}");
    assert_eq!(info.nar_size, fact.nar_size, "{path}");
    assert_eq!(info.content_address.unwrap().to_string(), fact.ca, "{path}");
    assert_eq!((info.deriver, info.ultimate, info.signatures.len()), (None, false, 0), "{path}");
    assert!(info.registration_time > 1_700_000_000, "{path}");
    let references: Vec<String> = info.references.iter().map(|path| store.display(path)).collect();
    assert_eq!(references, fact.references, "{path}");
    let outputs: BTreeMap<String, String> = store
        .query_derivation_outputs(&path)
        .unwrap()
        .into_iter()
        .map(|(name, path)| (name, store.display(&path)))
        .collect();
    assert_eq!(outputs, fact.outputs, "{path}");
    check_files(&store.real_path(&path));
}

fn check_files(path: &Path) {
    let metadata = fs::symlink_metadata(path).unwrap();
    assert_eq!(metadata.mtime(), 1, "{}", path.display());
    if metadata.is_symlink() {
        return;
    }
    let executable = metadata.is_dir() || path.ends_with("bin/run");
    assert_eq!(metadata.mode() & 0o7777, if executable { 0o555 } else { 0o444 }, "{}", path.display());
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            check_files(&entry.unwrap().path());
        }
    }
}

/// Nothing is written before there is much of it, but evaluation must not see that.
#[test]
fn what_was_added_can_be_read_at_once() {
    let stage = Stage::new();
    let text = r#"
      let
        inherit (builtins) readFile readDir toFile pathExists attrNames unsafeDiscardStringContext;
        plain = unsafeDiscardStringContext;
        drv = name: derivation { inherit name; system = "x"; builder = "b"; src = ./source; };
        file = toFile "text" "some text";
        starts = text: builtins.substring 0 7 text;
      in {
        a = readFile file;
        b = readFile (plain (toFile "other" "other text"));
        c = starts (readFile (drv "c").drvPath);
        d = starts (readFile (plain (drv "d").drvPath));
        e = attrNames (readDir "${./source}");
        f = attrNames (readDir (plain (builtins.path { name = "named"; path = ./source; })));
        g = import (toFile "number" "1 + 1");
        h = pathExists (plain (toFile "there" "x"));
        i = readFile (toFile "refers" "to ${file}") == "to ${file}";
        j = builtins.readFileType (plain "${./source}/bin");
        k = pathExists (plain (builtins.storePath (toFile "stored" "x")));
        l = pathExists (plain (derivation {
          name = "l"; system = "x"; builder = "b";
          deep = (drv "deep").drvPath;
        }).drvPath);
        m = builtins.readDir ./source ? a;
      }"#;
    let flags = ["--eval", "--strict", "--read-write-mode", "--json", "--option", "eval-cache", "false"];
    let shown = success(stage.instantiate(text, &flags).output().unwrap());
    let expected = serde_json::json!({
        "a": "some text", "b": "other text", "c": "Derive(", "d": "Derive(",
        "e": ["a", "bin", "link"], "f": ["a", "bin", "link"], "g": 2, "h": true, "i": true, "j": "directory",
        "k": true, "l": true, "m": true,
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), expected);
}

const MANY: &str = r#"
  let
    make = n: derivation {
      name = "step-${toString n}"; system = "x86_64-linux"; builder = "/bin/sh"; src = ./source;
      before = if n == 0 then null else builtins.elemAt steps (n - 1);
    };
    steps = builtins.genList make 300;
  in steps"#;

#[test]
fn many_instantiate_the_same_at_once() {
    let stage = Stage::new();
    let children: Vec<_> = (0..4)
        .map(|_| stage.instantiate(MANY, &["--option", "eval-cache", "false"]).spawn().unwrap())
        .collect();
    let shown: Vec<String> =
        children.into_iter().map(|child| success(child.wait_with_output().unwrap())).collect();
    assert_eq!(shown[0].lines().count(), 300);
    assert!(shown.iter().all(|other| *other == shown[0]));
    stage.check_store(301);
}

#[test]
fn killed_at_any_time_the_store_is_whole() {
    let stage = Stage::new();
    for delay in [5, 20, 40, 80, 160, 320] {
        let mut child = stage.instantiate(MANY, &["--option", "eval-cache", "false"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        let report = stage.open().verify(VerifyDepth::Contents).unwrap();
        assert!(report.problems.is_empty(), "after {delay} ms: {:?}", report.problems);
    }
    success(stage.instantiate(MANY, &["--option", "eval-cache", "false"]).output().unwrap());
    stage.check_store(301);
}

/// A file that can't grow stands for a full disk: that needs no rights.
#[test]
fn a_full_disk_is_told_and_the_store_is_whole() {
    let stage = Stage::new();
    success(stage.instantiate("{ }", &[]).output().unwrap());
    let text = r#"
      let big = builtins.concatStringsSep "" (builtins.genList (n: "0123456789") 30000); in
      map (n: derivation { name = "big-${toString n}"; system = "x"; builder = "b"; inherit big; }) [ 1 2 3 ]"#;
    let program = stage.instantiate(text, &["--option", "eval-cache", "false"]);
    let mut limited = Command::new("/bin/sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 400; exec \"$0\" \"$@\""]);
    // The name it is called by is lost in between, so it goes by a link.
    let link = stage.path("nix-instantiate");
    symlink(env!("CARGO_BIN_EXE_nival"), &link).unwrap();
    limited.arg(link).args(program.get_args());
    limited.env_clear().env("HOME", stage.path("")).env("NIX_REMOTE", stage.path("root"));
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("cannot write") && said.contains(".drv"), "{said}");
    stage.check_store(0);
    let left: Vec<_> = fs::read_dir(stage.path("root/nix/store"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != ".links")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// `--repair` looks at nothing and writes all that evaluation adds.
#[test]
fn a_repair_writes_anew_what_is_damaged() {
    let stage = Stage::new();
    let text =
        "derivation { name = \"x\"; system = \"s\"; builder = builtins.toFile \"b\" \"\"; src = ./source; }";
    let run = |flags: &[&str]| {
        let output = stage.instantiate(text, flags).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&[]);
    stage.check_store(3);
    let store = stage.open();
    for path in store.query_all_valid_paths().unwrap() {
        let mut file = store.real_path(&path);
        if file.is_dir() {
            file.push("a");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&file, "damaged").unwrap();
    }
    drop(store);
    let damaged = || stage.open().verify(VerifyDepth::Contents).unwrap().problems.len();
    run(&[]);
    assert_eq!(damaged(), 3);
    run(&["--dry-run", "--repair"]);
    assert_eq!(damaged(), 3, "nothing is written by a dry run");
    run(&["--repair"]);
    stage.check_store(3);
}
