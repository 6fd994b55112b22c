//! Git repositories that are damaged, hostile, somebody else's or in the way: a message each, and never a panic.
//!
//! What comes out of sound ones is tested against recorded answers of C++ Nix, by `nix_git.rs` of the program.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nival_fetch::{FetchedTree, GitOptions, fetch_tree};
use nival_formats::{Input, InputAttrs};
use nival_store::{LocalStore, StoreConfig};

/// A store beside a repository of two commits.
struct Stage {
    dir: tempfile::TempDir,
    store: LocalStore,
    options: GitOptions<'static>,
}

impl Stage {
    fn new() -> Stage {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::open(StoreConfig::chroot(dir.path().join("root"))).unwrap();
        let stage = Stage { dir, store, options: GitOptions::default() };
        fs::create_dir_all(stage.path("repo/folder")).unwrap();
        stage.git(&["init", "-q"]);
        stage.git(&["symbolic-ref", "HEAD", "refs/heads/main"]);
        for (name, text) in [("a", "one\n"), ("folder/b", "two\n"), (".gitattributes", "b export-ignore\n")] {
            fs::write(stage.path("repo").join(name), text).unwrap();
        }
        symlink("a", stage.path("repo/link")).unwrap();
        stage.git(&["add", "-A"]);
        stage.git(&["commit", "-q", "-m", "one"]);
        fs::write(stage.path("repo/a"), "one and more\n".repeat(100)).unwrap();
        stage.git(&["commit", "-q", "-a", "-m", "two"]);
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(words).current_dir(self.path("repo")).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "Ann")
                .env(format!("GIT_{role}_EMAIL"), "ann@example.org");
            command.env(format!("GIT_{role}_DATE"), "1000000000 +0000");
        }
        command
    }

    fn git(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Puts an object into the repository, whatever it is.
    fn object(&self, kind: &str, contents: &[u8]) -> String {
        let mut command = self.command(&["hash-object", "-t", kind, "-w", "--literally", "--stdin"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(contents).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn fetch(&self, attrs: &[(&str, &str)]) -> Result<FetchedTree, String> {
        let url = format!("file://{}", self.path("repo").display());
        let mut all = InputAttrs::from([("type".to_owned(), "git".into()), ("url".to_owned(), url.into())]);
        for (name, value) in attrs {
            let value = match *value {
                "true" => nival_formats::input::AttrValue::Bool(true),
                text => text.into(),
            };
            all.insert((*name).to_owned(), value);
        }
        let input = Input::from_attrs(all, &|_| true).unwrap();
        fetch_tree(&self.store, &input, &self.options, &mut Vec::new()).map_err(|error| error.to_string())
    }

    fn fails(&self, attrs: &[(&str, &str)], message: &str) {
        let error = self.fetch(attrs).unwrap_err();
        assert!(error.contains(message), "{error}\nis not\n{message}");
    }

    /// A commit of a tree object that Git itself would not make.
    fn commit_of(&self, tree: &str) -> String {
        let text = format!(
            "tree {tree}\nauthor Ann <ann@example.org> 1000000000 +0000\ncommitter Ann <ann@example.org> 1000000000 \
             +0000\n\nhostile\n"
        );
        self.object("commit", text.as_bytes())
    }
}

fn entry(mode: &str, name: &str, id: &str) -> Vec<u8> {
    let mut entry = format!("{mode} {name}\0").into_bytes();
    entry.extend((0..40).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()));
    entry
}

#[test]
fn trees_that_no_file_system_holds() {
    let stage = Stage::new();
    let blob = stage.git(&["rev-parse", "HEAD:a"]);
    for name in ["..", ".", "a/b", ""] {
        let tree = stage.object("tree", &entry("100644", name, &blob));
        let commit = stage.commit_of(&tree);
        assert!(stage.fetch(&[("rev", &commit)]).is_err(), "{name:?}");
    }
    // Twice the same name, and one that is not in order, are what the last of them is.
    let twice =
        [entry("100644", "b", &blob), entry("120000", "b", &blob), entry("100755", "a", &blob)].concat();
    let commit = stage.commit_of(&stage.object("tree", &twice));
    stage.fetch(&[("rev", &commit)]).unwrap();
    let mut deep = stage.object("tree", &entry("100644", "a", &blob));
    for _ in 0..100 {
        deep = stage.object("tree", &entry("40000", "d", &deep));
    }
    stage.fails(&[("rev", &stage.commit_of(&deep))], "has folders in folders without end");
    // A folder that is a file, and a file that is a folder.
    let tree = stage.git(&["rev-parse", "HEAD^{tree}"]);
    for (mode, id) in [("40000", &blob), ("100644", &tree), ("120000", &tree)] {
        let commit = stage.commit_of(&stage.object("tree", &entry(mode, "x", id)));
        assert!(stage.fetch(&[("rev", &commit)]).is_err(), "{mode}");
    }
    let commit = stage.commit_of(&stage.object("tree", b"100644 no end"));
    assert!(stage.fetch(&[("rev", &commit)]).is_err());
    // Revisions that are no commits.
    stage.fails(&[("rev", &blob)], "can not be successfully peeled into a commit");
    let circle = stage.object("tag", format!("object {blob}\ntype blob\ntag t\n\nx\n").as_bytes());
    stage.git(&["update-ref", "refs/tags/t", &circle]);
    stage.fails(&[("ref", "t")], "can not be successfully peeled into a commit");
}

#[test]
fn references_in_circles_and_with_odd_names() {
    let stage = Stage::new();
    fs::write(stage.path("repo/.git/refs/heads/x"), "ref: refs/heads/y\n").unwrap();
    fs::write(stage.path("repo/.git/refs/heads/y"), "ref: refs/heads/x\n").unwrap();
    assert!(stage.fetch(&[("ref", "x")]).is_err());
    fs::write(stage.path("repo/.git/HEAD"), "ref: refs/heads/x\n").unwrap();
    assert!(stage.fetch(&[]).is_err());
    for name in ["config", "objects", "refs", "refs/heads", "index", "FETCH_HEAD", "0000000"] {
        assert!(stage.fetch(&[("ref", name)]).is_err(), "{name}");
    }
}

#[test]
fn an_index_that_leads_out_of_the_work_tree() {
    let stage = Stage::new();
    fs::write(stage.path("secret"), "secret").unwrap();
    let blob = stage.git(&["rev-parse", "HEAD:a"]);
    let index = stage.path("repo/.git/index");
    let sound = fs::read(&index).unwrap();
    // Of the same length, so that only the checksum at the end has to follow.
    for (name, hostile) in [("folder/b", "../secre"), ("folder/b", ".git/x/y"), ("link", "/etc")] {
        let at = sound.windows(name.len()).position(|window| window == name.as_bytes()).unwrap();
        let mut bytes = sound.clone();
        bytes[at..at + name.len()].copy_from_slice(hostile.as_bytes());
        let end = bytes.len() - 20;
        // No checksum at all is one that Git takes.
        bytes[end..].fill(0);
        fs::write(&index, &bytes).unwrap();
        if let Ok(tree) = stage.fetch(&[]) {
            assert!(!stage.store.real_path(&tree.path).join("secret").exists(), "{hostile}");
        }
    }
    assert!(!blob.is_empty());
}

#[test]
fn damaged_files() {
    let stage = Stage::new();
    stage.git(&["tag", "-a", "-m", "t", "v"]);
    stage.git(&["gc", "-q"]);
    stage.git(&["commit-graph", "write"]);
    fs::write(stage.path("repo/a"), "changed\n").unwrap();
    stage.git(&["update-ref", "refs/heads/loose", "HEAD~1"]);
    let mut files = Vec::new();
    find_files(&stage.path("repo/.git"), &mut files);
    let wants: [&[(&str, &str)]; 3] = [&[("exportIgnore", "true")], &[("ref", "main")], &[("ref", "v")]];
    let sound = wants.map(|want| stage.fetch(want).unwrap().nar_hash);
    for file in files.iter().filter(|file| !file.to_string_lossy().contains("/hooks/")) {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        let bytes = fs::read(file).unwrap();
        let step = (bytes.len() / 12).max(1);
        let mut damaged: Vec<Vec<u8>> = vec![Vec::new(), vec![0xff; bytes.len()], b"\0".repeat(bytes.len())];
        for at in (0..bytes.len()).step_by(step) {
            damaged.push(bytes[..at].to_vec());
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x41;
            damaged.push(flipped);
            let mut large = bytes.clone();
            let end = (at + 4).min(large.len());
            large[at..end].fill(0xff);
            damaged.push(large);
        }
        for bytes in damaged {
            fs::write(file, bytes).unwrap();
            for want in wants {
                // An error or a tree: whatever it is, nobody falls over it.
                let _ = stage.fetch(want);
            }
        }
        fs::write(file, &bytes).unwrap();
    }
    assert_eq!(wants.map(|want| stage.fetch(want).unwrap().nar_hash), sound);
}

fn find_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_files(&path, files);
        } else {
            files.push(path);
        }
    }
}

#[test]
fn programs_of_a_repository_are_not_run() {
    let stage = Stage::new();
    let trap = stage.path("trap");
    let program = format!("touch {}", trap.display());
    for key in ["filter.x.clean", "filter.x.smudge", "filter.x.process", "core.fsmonitor", "diff.external"] {
        stage.git(&["config", key, &program]);
    }
    fs::write(stage.path("repo/.gitattributes"), "* filter=x\n").unwrap();
    // Of the same size, so that the contents are looked at.
    fs::write(stage.path("repo/folder/b"), "owt\n").unwrap();
    let tree = stage.fetch(&[]).unwrap();
    assert!(tree.input.text("dirtyRev").unwrap().is_some());
    assert!(!trap.exists());
}

#[test]
fn settings_of_the_caller() {
    let mut stage = Stage::new();
    fs::write(stage.path("repo/a"), "changed\n").unwrap();
    stage.options.allow_dirty = false;
    stage.fails(&[], "is dirty");
    stage.fetch(&[("ref", "main")]).unwrap();
}

/// The text of a key, and the name that OpenSSH gives it.
const KEY: [&str; 2] = [
    "AAAAC3NzaC1lZDI1NTE5AAAAID1lZjRDeOkB0vCquSVBN+6IVEE4xK9UJqlY4S+AtiIa",
    "SHA256:xXMbIl4WjfMG+DHXgUuXqEcPhQ9FqBNiRb0dGejX5zM",
];
const OTHER_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIIWeo5s+ZXammKgvwlIJX0ZjrPOzEcWa+VG/gsCgGgJk";

#[test]
fn signatures() {
    let stage = Stage::new();
    let failed = "Commit signature verification on commit";
    stage.fails(&[("verifyCommit", "true")], failed);
    stage.fails(&[("publicKey", KEY[0]), ("ref", "main")], failed);
    stage.fails(&[("publicKey", "AAAA"), ("keytype", "none")], "Invalid SSH key type 'none' in publicKeys.");
    stage.fails(&[("publicKey", "!!")], "public key '!!' is no Base64 text");
    stage.fails(&[("publicKey", "AAAA\n* ssh-ed25519 AAAA")], "is no Base64 text");
    // In the place of `ssh-keygen`, which is not on every machine: finds every signature good, by one key.
    let program = stage.path("keygen");
    let script = format!(
        "#!/bin/sh\ncase $2 in\nfind-principals) echo '*' ;;\nverify) cat >/dev/null; echo 'Good \"git\" signature for * with \
         ED25519 key {}' ;;\nesac\n",
        KEY[1]
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    stage.git(&["config", "gpg.ssh.program", program.to_str().unwrap()]);
    let tree = stage.git(&["rev-parse", "HEAD^{tree}"]);
    let signed = format!(
        "tree {tree}\nauthor Ann <ann@example.org> 1000000000 +0000\ncommitter Ann <ann@example.org> 1000000000 +0000\n\
         gpgsig -----BEGIN SSH SIGNATURE-----\n U1NIU0lHAAAA\n -----END SSH SIGNATURE-----\n\nsigned\n"
    );
    let signed = stage.object("commit", signed.as_bytes());
    stage.fetch(&[("rev", &signed), ("publicKey", KEY[0])]).unwrap();
    stage.fails(&[("rev", &signed), ("publicKey", OTHER_KEY)], failed);
    stage.fails(&[("rev", &signed), ("verifyCommit", "true")], failed);
    stage.fails(&[("publicKey", KEY[0])], failed);
    stage.git(&["reset", "-q", "--hard", &signed]);
    stage.fetch(&[("publicKey", KEY[0])]).unwrap();
    fs::write(stage.path("repo/a"), "changed\n").unwrap();
    stage.fails(&[("publicKey", KEY[0])], "it's dirty");
}

#[test]
fn somebody_elses_repository() {
    let mut stage = Stage::new();
    // Only root can give files away.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    std::os::unix::fs::chown(stage.path("repo/.git"), Some(12_345), None).unwrap();
    let owner =
        format!("repository path '{}' is not owned by current user", stage.path("repo/.git").display());
    stage.fails(&[], &owner);
    stage.fails(&[("ref", "main")], &owner);
    let config = stage.path("gitconfig");
    stage.options.config_files = vec![stage.path("none"), config.clone()];
    let place = stage.path("repo").display().to_string();
    for (text, is_safe) in [
        (format!("[safe]\n directory = {place}\n"), true),
        ("[safe]\n directory = /elsewhere\n".to_owned(), false),
        ("[safe]\n directory = *\n".to_owned(), true),
        (format!("[safe]\n directory = {place}/\n directory =\n"), false),
        ("[safe\n".to_owned(), false),
    ] {
        fs::write(&config, &text).unwrap();
        assert_eq!(stage.fetch(&[]).is_ok(), is_safe, "{text}");
    }
}

#[test]
fn files_that_are_in_the_way() {
    let stage = Stage::new();
    // A pipe in the place of a file would be waited for.
    fs::remove_file(stage.path("repo/a")).unwrap();
    let pipe = stage.path("repo/a");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    let tree = stage.fetch(&[]).unwrap();
    assert!(!stage.store.real_path(&tree.path).join("a").exists());
    // Submodules that name each other.
    fs::write(stage.path("repo/.gitmodules"), "[submodule \"x\"]\n path = folder/..\n url = .\n").unwrap();
    stage.git(&["add", ".gitmodules"]);
    assert!(stage.fetch(&[("submodules", "true")]).is_ok());
    fs::write(stage.path("repo/.gitmodules"), "[submodule \"x\"]\n path = loop\n url = .\n").unwrap();
    symlink(".", stage.path("repo/loop")).unwrap();
    stage.fails(&[("submodules", "true")], "nested too deeply");
}
