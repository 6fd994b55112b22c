//! Entries of folders of which evaluation saw no more than what they are.
//!
//! To look at a path, evaluation looks at each folder above it. So of many things only the kind was seen, and that
//! cannot change while the folder that they are in does not.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Stat};

use super::encoding::{Reader, Writer};
use super::seen::{Kind, Seen};
use crate::fingerprint::Fingerprint;

/// What is in a folder, as far as only the kind was seen.
#[derive(Debug, PartialEq)]
pub(super) struct Entries {
    /// Of the folder, from before they were seen.
    pub(super) fingerprint: Fingerprint,
    pub(super) kinds: Vec<(OsString, Kind)>,
}

impl Entries {
    /// Whether they are as they were. The fingerprint stays: folders like `/tmp` change all the time.
    pub(super) fn check(&self, folder: &Path, stat: &Stat) -> bool {
        let is_same = |(name, kind): &(OsString, Kind)| {
            let path = folder.join(name);
            Seen { kind: Some(*kind), ..Seen::default() }.check(CWD, &path, &path).is_some()
        };
        self.fingerprint == Fingerprint::of_stat(stat) || self.kinds.iter().all(is_same)
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        self.fingerprint.encode(writer);
        writer.number(self.kinds.len() as u64);
        for (name, kind) in &self.kinds {
            writer.bytes(name.as_bytes());
            writer.0.push(*kind as u8);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let fingerprint = Fingerprint::decode(reader)?;
        let kind = |reader: &mut Reader<'_>| {
            let name = OsStr::from_bytes(reader.bytes()?).to_owned();
            Some((name, Kind::of_number(reader.byte()?)?))
        };
        let kinds = (0..reader.count()?).map(|_| kind(reader)).collect::<Option<_>>()?;
        Some(Self { fingerprint, kinds })
    }
}

/// Puts that of which only the kind was seen to the folder that it is in, if that was seen as well and has a fingerprint:
/// one look at the folder then does for all. What was seen is in the order of the bytes of the paths.
pub(super) fn to_their_folders(
    seen: Vec<(PathBuf, Seen)>,
    fingerprint: impl Fn(&Path) -> Option<Fingerprint>,
) -> Vec<(PathBuf, Seen)> {
    let place_of = |path: &Path| seen.binary_search_by(|(at, _)| at.as_os_str().cmp(path.as_os_str())).ok();
    let mut folders = HashMap::new();
    for (path, _) in seen.iter().filter(|(_, seen)| seen.only_kind().is_some()) {
        if let Some(folder) = path.parent()
            && let Some(place) = place_of(folder)
        {
            folders.entry(place).or_insert_with(|| fingerprint(folder));
        }
    }
    let mut rest: Vec<(PathBuf, Seen)> = Vec::with_capacity(seen.len());
    let mut kept = HashMap::new();
    for (place, (path, mut seen)) in seen.into_iter().enumerate() {
        if let Some(Some(fingerprint)) = folders.get(&place) {
            seen.kind = Some(Kind::Directory);
            seen.entries = Some(Entries { fingerprint: *fingerprint, kinds: Vec::new() }.into());
            kept.insert(path.clone(), rest.len());
        } else if let Some(kind) = seen.only_kind()
            && let Some(folder) = path.parent().and_then(|folder| kept.get(folder))
            && let Some(entries) = &mut rest[*folder].1.entries
            && let Some(name) = path.file_name()
        {
            entries.kinds.push((name.to_owned(), kind));
            continue;
        }
        rest.push((path, seen));
    }
    rest
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const FINGERPRINT: Fingerprint = Fingerprint { device: 1, inode: 2, size: 3, modified: 4, changed: 5 };

    fn only(kind: Kind) -> Seen {
        Seen { kind: Some(kind), ..Seen::default() }
    }

    #[test]
    fn kinds_go_to_their_folders() {
        let executable = || Seen { executable: Some(true), ..only(Kind::Regular) };
        let seen = vec![
            ("/".into(), only(Kind::Directory)),
            ("/a".into(), only(Kind::Directory)),
            ("/a-b".into(), only(Kind::Absent)),
            ("/a/b".into(), only(Kind::Directory)),
            ("/a/b/c".into(), executable()),
            ("/a/d".into(), only(Kind::Absent)),
            ("/a/e/f".into(), only(Kind::Regular)),
            ("/young".into(), Seen::default()),
            ("/young/g".into(), only(Kind::Symlink)),
        ];
        let told = |path: &Path| (path != Path::new("/young")).then_some(FINGERPRINT);
        let of = |kinds: &[(&str, Kind)]| Seen {
            entries: Some(
                Entries {
                    fingerprint: FINGERPRINT,
                    kinds: kinds.iter().map(|(name, kind)| (name.into(), *kind)).collect(),
                }
                .into(),
            ),
            ..only(Kind::Directory)
        };
        let expected: Vec<(PathBuf, Seen)> = vec![
            // What others are in stays where it is.
            ("/".into(), of(&[("a-b", Kind::Absent)])),
            ("/a".into(), of(&[("b", Kind::Directory), ("d", Kind::Absent)])),
            ("/a/b/c".into(), executable()),
            ("/a/e/f".into(), only(Kind::Regular)),
            ("/young".into(), Seen::default()),
            ("/young/g".into(), only(Kind::Symlink)),
        ];
        assert_eq!(to_their_folders(seen, told), expected);
    }

    #[test]
    fn are_as_they_were_while_their_folder_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "").unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink("file", at("link")).unwrap();
        let kinds = [
            ("file", Kind::Regular),
            ("folder", Kind::Directory),
            ("link", Kind::Symlink),
            ("none", Kind::Absent),
        ];
        let fingerprint = Fingerprint::of(&fs::metadata(folder.path()).unwrap());
        let entries = Entries { fingerprint, kinds: kinds.map(|(name, kind)| (name.into(), kind)).to_vec() };
        let check = || entries.check(folder.path(), &rustix::fs::stat(folder.path()).unwrap());
        assert!(check());
        // From now on they are looked at themselves.
        fs::write(at("other"), "").unwrap();
        assert!(check());
        fs::write(at("none"), "").unwrap();
        assert!(!check());
        fs::remove_file(at("none")).unwrap();
        assert!(check());
        fs::remove_file(at("link")).unwrap();
        fs::create_dir(at("link")).unwrap();
        assert!(!check());
    }
}
