//! The files that an evaluation sees: most are met in nearly the order in which they are kept.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::seen::Seen;
use crate::path_hash::{PathHash, hash_of_path};

/// What was seen, by path.
#[derive(Default)]
pub(super) struct Files {
    seen: Vec<(PathBuf, Seen)>,
    /// Where each is, by the hash of its path, or by the next number that was free.
    places: HashMap<u64, u32, PathHash>,
}

impl Files {
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// The place of a path: with nothing in it, if the path is new.
    pub(super) fn at(&mut self, path: PathBuf) -> (&Path, &mut Seen) {
        self.at_hash(hash_of_path(path.as_os_str().as_bytes()), path)
    }

    fn at_hash(&mut self, mut hash: u64, path: PathBuf) -> (&Path, &mut Seen) {
        let place = loop {
            let place = *self.places.entry(hash).or_insert(self.seen.len() as u32) as usize;
            match self.seen.get(place) {
                Some((known, _)) if known.as_os_str() != path.as_os_str() => hash = hash.wrapping_add(1),
                Some(_) => break place,
                None => {
                    self.seen.push((path, Seen::default()));
                    break place;
                }
            }
        };
        let (path, seen) = &mut self.seen[place];
        (path, seen)
    }

    /// All of them in the order of their paths.
    pub(super) fn in_order(mut self) -> Vec<(PathBuf, Seen)> {
        // This kind of sort uses what order there is.
        self.seen.sort_by(|a, b| a.0.as_os_str().cmp(b.0.as_os_str()));
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::super::seen::Kind;
    use super::*;

    #[test]
    fn each_path_has_one_place() {
        let mut files = Files::default();
        assert!(files.is_empty());
        let paths = ["/b", "/a/c", "/a-b", "/a", "/", ""];
        for kind in [Kind::Regular, Kind::Directory] {
            for path in paths {
                // Even if the hashes are the same.
                let (known, seen) = files.at_hash(u64::MAX, path.into());
                assert_eq!(known, Path::new(path));
                assert_eq!(seen.kind, (kind == Kind::Directory).then_some(Kind::Regular));
                seen.kind = Some(kind);
            }
        }
        assert!(!files.is_empty());
        let files = files.in_order();
        assert_eq!(
            files.iter().map(|file| &*file.0).collect::<Vec<_>>(),
            ["", "/", "/a", "/a-b", "/a/c", "/b"].map(Path::new)
        );
        assert!(files.iter().all(|file| file.1.kind == Some(Kind::Directory)));
    }
}
