//! Files of which the paths are neighbours: they are kept, looked at and handed to threads together.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, open};

use super::encoding::{Reader, Writer};
use super::seen::Seen;

/// How many neighbours are together.
pub(super) const TOGETHER: usize = 32;

/// What was seen of some files, as it is on disk: the folder that they have in common, and of each its name seen from
/// there and what was [`Seen`]. Most are looked at once and never again, so that nothing is made of more than one.
#[derive(Debug, PartialEq)]
pub(super) struct Neighbours<'a>(Cow<'a, [u8]>);

/// All files, which are in the order of their paths.
pub(super) fn in_groups(files: &[(PathBuf, Seen)]) -> Vec<Neighbours<'static>> {
    let group = |files: &[(PathBuf, Seen)]| {
        let length = common_folder(files);
        let folder = &files[0].0.as_os_str().as_bytes()[..length];
        Neighbours::encode(
            folder,
            files.iter().map(|(path, seen)| (&path.as_os_str().as_bytes()[length..], seen)),
        )
    };
    files.chunks(TOGETHER).map(group).collect()
}

/// The length of what all of the paths, which are in the order of their bytes, have in common, up to the last `/`.
fn common_folder(files: &[(PathBuf, Seen)]) -> usize {
    let [(first, _), .., (last, _)] = files else { return 0 };
    let (first, last) = (first.as_os_str().as_bytes(), last.as_os_str().as_bytes());
    let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    first[..common].iter().rposition(|byte| *byte == b'/').map_or(0, |place| place + 1)
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl<'a> Neighbours<'a> {
    fn encode<'f>(folder: &[u8], files: impl Iterator<Item = (&'f [u8], &'f Seen)>) -> Neighbours<'static> {
        let mut writer = Writer::default();
        writer.bytes(folder);
        for (name, seen) in files {
            writer.bytes(name);
            seen.encode(&mut writer);
        }
        Neighbours(writer.0.into())
    }

    pub(super) fn of_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes.into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As [`Seen::check`], for all of them: the path of their folder is walked once.
    pub(super) fn check(&mut self) -> Option<bool> {
        let mut reader = Reader(&self.0);
        let folder = reader.bytes()?;
        let opened = open(path(folder), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let mut whole = folder.to_vec();
        let mut better = false;
        let mut files = Vec::with_capacity(TOGETHER);
        while !reader.0.is_empty() {
            let name = reader.bytes()?;
            let mut seen = Seen::decode(&mut reader)?;
            whole.truncate(folder.len());
            whole.extend_from_slice(name);
            better |= match &opened {
                Ok(folder) if !name.is_empty() => seen.check(folder.as_fd(), path(name), path(&whole))?,
                // The folder is not there any more, or it is the root and looked at itself.
                _ => seen.check(CWD, path(&whole), path(&whole))?,
            };
            files.push((name, seen));
        }
        if better {
            *self = Neighbours::encode(folder, files.iter().map(|(name, seen)| (*name, seen)));
        }
        Some(better)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use std::fs;

    use super::super::seen::Kind;
    use super::super::seen::tests::contents_of;
    use super::*;

    #[test]
    fn neighbours_are_looked_at_from_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        for name in ["a/b/1", "a/b/2", "a/c", "a-file"] {
            fs::write(at(name), name).unwrap();
        }
        let neighbours = || {
            let mut files: Vec<(PathBuf, Seen)> = ["a/b/1", "a/b/2", "a/c", "a-file"]
                .into_iter()
                .map(|name| (at(name), contents_of(&at(name))))
                .collect();
            files.push((at("none/x"), Seen { kind: Some(Kind::Absent), ..Seen::default() }));
            files.push((at("a"), Seen { kind: Some(Kind::Directory), ..Seen::default() }));
            files.sort_by(|a, b| a.0.as_os_str().cmp(b.0.as_os_str()));
            files
        };
        assert_eq!(common_folder(&neighbours()), folder.path().as_os_str().len() + 1);
        assert_eq!(common_folder(&neighbours()[..1]), 0);
        let mut before = in_groups(&neighbours());
        assert_eq!(before.len(), 1);
        let mut check = || before[0].check();
        assert_eq!(check(), Some(false));
        fs::create_dir(at("none")).unwrap();
        fs::write(at("none/x"), "").unwrap();
        assert_eq!(check(), None);
        fs::remove_file(at("none/x")).unwrap();
        assert_eq!(check(), Some(false));
        fs::remove_dir_all(at("a")).unwrap();
        assert_eq!(check(), None);
    }
}
