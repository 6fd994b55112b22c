//! A store in a directory of its own.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::fs;
use std::path::Path;

use nival_store::{LocalStore, StoreConfig};

pub(crate) struct TestStore {
    dir: tempfile::TempDir,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn config(&self) -> StoreConfig {
        StoreConfig::chroot(self.dir.path().join("root"))
    }

    pub(crate) fn open(&self) -> LocalStore {
        LocalStore::open(self.config()).unwrap()
    }

    /// What is in the store directory without being valid.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let store = self.open();
        let mut names: Vec<String> = fs::read_dir(&store.config().real_store_dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".links")
            .filter(|name| !name.parse().is_ok_and(|path| store.is_valid_path(&path).unwrap()))
            .collect();
        names.sort();
        names
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        // Directories in the store are read-only, which `TempDir` doesn't overcome for an ordinary user.
        let _ = nival_store::delete_tree(self.dir.path());
    }
}
