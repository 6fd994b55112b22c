//! The Nix library that is part of the binary: functions, the module system,
//! the embedded package set and the home modules.
//!
//! It is text alone; the evaluator's host serves it under `/__nival__/`, so that
//! `<nival>` and the flake input `nival` need neither network nor installation.
//!
//! ```
//! let module_system = nival_library::get("lib/modules.nix").expect("part of the library");
//! assert!(module_system.starts_with(b"#"));
//! ```

use include_dir::{Dir, DirEntry, include_dir};

static LIBRARY: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/nix");

/// What an entry of a folder of the library is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Directory,
}

/// Every file of the library: its path relative to the library's root, with its contents.
pub fn files() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let mut folders = vec![&LIBRARY];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        files.extend(folder.files().filter_map(|file| Some((file.path().to_str()?, file.contents()))));
    }
    files.sort_unstable_by_key(|(path, _)| *path);
    files.into_iter()
}

/// The contents of the file at `path`, relative to the library's root.
pub fn get(path: &str) -> Option<&'static [u8]> {
    LIBRARY.get_file(path).map(include_dir::File::contents)
}

/// What is at `path`; the empty path is the library's root.
pub fn kind(path: &str) -> Option<EntryKind> {
    if path.is_empty() {
        return Some(EntryKind::Directory);
    }
    LIBRARY.get_entry(path).map(kind_of)
}

/// The names in the folder at `path` (the empty path is the root), sorted.
pub fn read_dir(path: &str) -> Option<Vec<(&'static str, EntryKind)>> {
    let folder = if path.is_empty() { &LIBRARY } else { LIBRARY.get_dir(path)? };
    let mut entries: Vec<_> = folder
        .entries()
        .iter()
        .filter_map(|entry| Some((entry.path().file_name()?.to_str()?, kind_of(entry))))
        .collect();
    entries.sort_unstable_by_key(|(name, _)| *name);
    Some(entries)
}

fn kind_of(entry: &DirEntry<'static>) -> EntryKind {
    match entry {
        DirEntry::Dir(_) => EntryKind::Directory,
        DirEntry::File(_) => EntryKind::File,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_by_its_path() {
        assert!(files().count() > 30);
        for (path, contents) in files() {
            assert_eq!(get(path), Some(contents), "{path}");
            assert_eq!(kind(path), Some(EntryKind::File), "{path}");
        }
    }

    #[test]
    fn folders_list_files_and_folders() {
        let root = read_dir("").expect("the root is a folder");
        assert!(root.contains(&("default.nix", EntryKind::File)));
        assert!(root.contains(&("lib", EntryKind::Directory)));
        assert_eq!(kind("lib"), Some(EntryKind::Directory));
    }

    #[test]
    fn what_is_not_there_is_none() {
        assert_eq!(get("lib"), None);
        assert_eq!(get("no/such.nix"), None);
        assert_eq!(read_dir("default.nix"), None);
        assert_eq!(kind("../Cargo.toml"), None);
    }
}
