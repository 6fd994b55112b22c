//! Folders, files and archives of this machine as inputs, with the paths and hashes that C++ Nix 2.34 gives them.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::io::Write as _;
use std::path::Path;

use nival_fetch::{GitOptions, fetch_archive, fetch_file, fetch_tree};
use nival_formats::flake_ref::{FlakeRef, Paths};
use nival_formats::input::Wanted;
use nival_formats::{Input, InputAttrs};
use nival_store::{LocalStore, StoreConfig};

const TREE: &str = "32p53f1va83lj979840yziiivz6j1byk-source";
const TREE_HASH: &str = "sha256-NJLq7qWOpezsaMBnWVMiBnBdLKX1J1hQ4GT9u4lhCFg=";
const FLAKE: &[u8] = b"{ outputs = { self }: { name = \"sub\"; }; }\n";

/// A store beside `tree/flake.nix`, `tree.tar.gz` with that folder, and `text`.
struct Stage {
    dir: tempfile::TempDir,
    store: LocalStore,
}

impl Stage {
    fn new() -> Stage {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("tree")).unwrap();
        fs::write(at("tree/flake.nix"), FLAKE).unwrap();
        fs::write(at("text"), "hello\n").unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_path("top/flake.nix").unwrap();
        header.set_size(FLAKE.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(86_400);
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, FLAKE).unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&archive.into_inner().unwrap()).unwrap();
        fs::write(at("tree.tar.gz"), packed.finish().unwrap()).unwrap();
        let store = LocalStore::open(StoreConfig::chroot(at("root"))).unwrap();
        Stage { dir, store }
    }

    fn url(&self, scheme: &str, name: &str) -> String {
        format!("{scheme}{}", self.dir.path().join(name).display())
    }

    fn fetch(&self, url: &str) -> Result<(String, Input), String> {
        let input = FlakeRef::parse(url, Paths::Absolute, Wanted::Tree, &|_| true).unwrap().flake.input;
        let tree = fetch_tree(&self.store, &input, &GitOptions::default(), &mut Vec::new())
            .map_err(|error| error.to_string())?;
        assert!(self.store.is_valid_path(&tree.path).unwrap());
        assert_eq!(self.store.query_path_info(&tree.path).unwrap().nar_hash, tree.nar_hash);
        Ok((tree.path.to_string(), tree.input))
    }
}

#[test]
fn folders() {
    let stage = Stage::new();
    let (path, input) = stage.fetch(&stage.url("path:", "tree")).unwrap();
    assert_eq!(path, TREE);
    assert!(input.int("lastModified").unwrap().unwrap() > 0);
    // A source in the store is taken as it is, and what is known of it is believed.
    let (again, input) = stage.fetch(&format!("path:/nix/store/{path}?lastModified=7")).unwrap();
    assert_eq!((again, input.int("lastModified")), (path, Ok(Some(7))));
}

#[test]
fn files_and_archives() {
    let stage = Stage::new();
    let (path, input) = stage.fetch(&stage.url("tarball+file://", "tree.tar.gz")).unwrap();
    assert_eq!((path.as_str(), input.text("narHash")), (TREE, Ok(Some(TREE_HASH))));
    assert_eq!(input.int("lastModified"), Ok(Some(86_400)));
    let (path, _) = stage.fetch(&stage.url("file+file://", "text")).unwrap();
    assert_eq!(path, "h10qymscvggrb1icws0vbss5xnx8sd0k-source");
    let file = fetch_file(&stage.store, &stage.url("file://", "text"), "text").unwrap();
    assert_eq!(file.hash.to_sri(), "sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=");
    let unpacked = fetch_archive(&stage.store, &stage.url("file://", "tree.tar.gz"), "source").unwrap();
    assert_eq!((unpacked.path.to_string().as_str(), unpacked.hash.to_sri().as_str()), (TREE, TREE_HASH));
    let leftovers = fs::read_dir(&stage.store.config().state_dir).unwrap();
    let leftovers = leftovers
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("unpack-"));
    assert_eq!(leftovers.count(), 0);
}

#[test]
fn what_cannot_be_fetched() {
    let stage = Stage::new();
    let nowhere = stage.dir.path().join("nowhere").display().to_string();
    for (url, error) in [
        (format!("path:{nowhere}"), format!("path '/{nowhere}' does not exist")),
        (format!("tarball+file://{nowhere}"), format!("tarball \"{nowhere}\" does not exist.")),
        (stage.url("tarball+file://", "text"), "Failed to open archive (Unrecognized archive format)".into()),
        (stage.url("tarball+file://", "tree"), format!("tarball \"{}\" is a directory, not a file.", stage.dir.path().join("tree").display())),
        ("file:./x.tar.gz".into(), "tarball 'file:./x.tar.gz' must use an absolute path. The 'file' scheme does not support relative paths.".into()),
        ("path:tree".into(), "cannot fetch input 'path:tree' because it uses a relative path".into()),
        ("flake:tree".into(), "indirect input 'flake:tree' cannot be fetched directly".into()),
        ("github:a/b".into(), "'github:a/b' cannot be fetched yet".into()),
        (
            "https://example.org/x.tar.gz".into(),
            "'https://example.org/x.tar.gz' cannot be fetched yet".into(),
        ),
    ] {
        assert_eq!(stage.fetch(&url).unwrap_err(), error);
    }
    assert!(!Path::new(&nowhere).exists());
    let unknown =
        Input::from_attrs(InputAttrs::from([("type".to_owned(), "other".into())]), &|_| true).unwrap();
    assert!(fetch_tree(&stage.store, &unknown, &GitOptions::default(), &mut Vec::new()).is_err());
}
