//! Store paths that running processes use, as far as `/proc` shows them (C++ Nix: `src/libstore/local-gc.cc`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use nival_formats::{StoreDir, StorePath};

/// The store paths in use, and the files below `/proc` that show it. What can't be read, such as a process of
/// somebody else or one that has just ended, is passed over.
pub(crate) fn find(store_dir: &StoreDir) -> BTreeMap<StorePath, BTreeSet<PathBuf>> {
    let mut found = Found { store_dir, roots: BTreeMap::new() };
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if process.file_name().as_bytes().iter().all(u8::is_ascii_digit) {
            found.process(&process.path());
        }
    }
    for name in ["modprobe", "fbsplash", "poweroff_cmd"] {
        let file = Path::new("/proc/sys/kernel").join(name);
        if let Ok(text) = fs::read(&file) {
            found.path(&text, &file);
        }
    }
    found.roots
}

struct Found<'a> {
    store_dir: &'a StoreDir,
    roots: BTreeMap<StorePath, BTreeSet<PathBuf>>,
}

impl Found<'_> {
    fn process(&mut self, process: &Path) {
        for name in ["exe", "cwd"] {
            self.link(&process.join(name));
        }
        for descriptor in fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
            self.link(&descriptor.path());
        }
        let maps = process.join("maps");
        if let Ok(text) = fs::read(&maps) {
            for line in text.split(|byte| *byte == b'\n') {
                if let Some(start) = line.iter().position(|byte| *byte == b'/') {
                    self.path(&line[start..], &maps);
                }
            }
        }
        let environ = process.join("environ");
        if let Ok(text) = fs::read(&environ) {
            self.anywhere(&text, &environ);
        }
    }

    fn link(&mut self, file: &Path) {
        if let Ok(target) = fs::read_link(file) {
            self.path(&target.into_os_string().into_vec(), file);
        }
    }

    /// `text` is the name of a file in the store, or isn't.
    fn path(&mut self, text: &[u8], file: &Path) {
        if text.starts_with(self.store_dir.as_str().as_bytes()) {
            self.anywhere(text, file);
        }
    }

    /// `text` holds names of files in the store.
    fn anywhere(&mut self, text: &[u8], file: &Path) {
        let prefix = format!("{}/", self.store_dir);
        let prefix = prefix.as_bytes();
        let mut at = 0;
        while at + prefix.len() < text.len() {
            let Some(start) = text[at..].windows(prefix.len()).position(|window| window == prefix) else {
                break;
            };
            let start = at + start + prefix.len();
            let length = text[start..].iter().take_while(|byte| is_name_byte(**byte)).count();
            if let Some(path) =
                std::str::from_utf8(&text[start..start + length]).ok().and_then(|name| name.parse().ok())
            {
                self.roots.entry(path).or_default().insert(file.to_owned());
            }
            at = start + length;
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte)
}
