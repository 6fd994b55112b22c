//! What evaluation saw at one path, and whether it would see the same again.

use std::fs::{self, Metadata};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nival_eval::host::FileType;
use rustix::fs::{AtFlags, Stat, statat};
use rustix::io::Errno;

use super::encoding::{Reader, Writer};
use super::entries::Entries;
use crate::fingerprint::{Fingerprint, Hash, hash, hash_listing, reliable};
use crate::reading;

/// What was seen at one path. Most paths have one stamp, and there are many paths.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// What is there itself, or that there is nothing.
    pub(super) kind: Option<Kind>,
    /// Where the link points.
    pub(super) link: Option<PathBuf>,
    /// The contents of the file, links followed.
    pub(super) contents: Option<Box<Stamp>>,
    /// The names in the folder, links followed.
    pub(super) listing: Option<Box<Stamp>>,
    /// What some things in the folder are.
    pub(super) entries: Option<Box<Entries>>,
    /// Whether its owner may execute it.
    pub(super) executable: Option<bool>,
    /// What is there itself, which must be the very same: the times count as well.
    pub(super) identity: Option<Box<Fingerprint>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Absent = 1,
    Regular,
    Directory,
    Symlink,
    Unknown,
}

impl Kind {
    pub(super) fn of(kind: Option<FileType>) -> Self {
        match kind {
            None => Kind::Absent,
            Some(FileType::Regular) => Kind::Regular,
            Some(FileType::Directory) => Kind::Directory,
            Some(FileType::Symlink) => Kind::Symlink,
            Some(FileType::Unknown) => Kind::Unknown,
        }
    }

    fn of_mode(mode: u32) -> Self {
        match rustix::fs::FileType::from_raw_mode(mode) {
            rustix::fs::FileType::RegularFile => Kind::Regular,
            rustix::fs::FileType::Directory => Kind::Directory,
            rustix::fs::FileType::Symlink => Kind::Symlink,
            _ => Kind::Unknown,
        }
    }

    pub(super) fn of_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Kind::Absent,
            2 => Kind::Regular,
            3 => Kind::Directory,
            4 => Kind::Symlink,
            5 => Kind::Unknown,
            _ => return None,
        })
    }
}

/// Tells whether a file or folder is as it was: at least one of the two is there.
#[derive(Debug, PartialEq)]
pub(super) struct Stamp {
    /// Missing while a change might not show in it.
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) hash: Option<Hash>,
}

fn read_listing(path: &Path) -> io::Result<Hash> {
    Ok(hash_listing(&reading::read_dir(path)?.0))
}

impl Stamp {
    /// Of a file's contents; the fingerprint is from before they were read.
    pub(super) fn of_contents(before: Option<Fingerprint>, length: usize, hash: Hash) -> Self {
        // A size that is made up means that the times may be, too.
        let fingerprint = before.filter(|stamp| stamp.size == length as u64);
        Self { fingerprint, hash: Some(hash) }
    }

    /// Of a file or folder that is read by somebody else: it is read here only if the fingerprint does not do.
    pub(super) fn unread(path: &Path, metadata: &Metadata) -> io::Result<Self> {
        if let Some(fingerprint) = reliable(path, Fingerprint::of(metadata)) {
            return Ok(Self { fingerprint: Some(fingerprint), hash: None });
        }
        let hash = if metadata.is_dir() { read_listing(path)? } else { hash(&fs::read(path)?) };
        Ok(Self { fingerprint: None, hash: Some(hash) })
    }

    /// Whether it is as it was, and if so, whether the stamp is better than before.
    fn check(&mut self, path: &Path, stat: &Stat) -> Option<bool> {
        let fingerprint = Fingerprint::of_stat(stat);
        if self.fingerprint == Some(fingerprint) {
            return Some(false);
        }
        let hash_before = self.hash?;
        let before = reliable(path, fingerprint);
        let now = match Kind::of_mode(stat.st_mode) {
            Kind::Directory => Self { fingerprint: before, hash: Some(read_listing(path).ok()?) },
            Kind::Regular => {
                let contents = fs::read(path).ok()?;
                Self::of_contents(before, contents.len(), hash(&contents))
            }
            // A pipe would be waited for.
            _ => return None,
        };
        if now.hash != Some(hash_before) {
            return None;
        }
        *self = now;
        Some(self.fingerprint.is_some())
    }
}

impl Seen {
    /// What is there, if no more than that was seen.
    pub(super) fn only_kind(&self) -> Option<Kind> {
        self.kind.filter(|_| *self == Seen { kind: self.kind, ..Seen::default() })
    }

    /// As [`Stamp::check`], for all that was seen at a path, which is called `name` seen from `folder`.
    pub(super) fn check(&mut self, folder: BorrowedFd<'_>, name: &Path, path: &Path) -> Option<bool> {
        let stat = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::NOTDIR) => return (self.kind == Some(Kind::Absent)).then_some(false),
            Err(_) => return None,
        };
        let kind = Kind::of_mode(stat.st_mode);
        if self.kind.is_some_and(|before| before != kind)
            || self.identity.as_ref().is_some_and(|before| **before != Fingerprint::of_stat(&stat))
            || self.executable.is_some_and(|before| before != (stat.st_mode & 0o100 != 0))
            || self.entries.as_ref().is_some_and(|entries| !entries.check(path, &stat))
            || self.link.as_ref().is_some_and(|link| fs::read_link(path).ok().as_ref() != Some(link))
        {
            return None;
        }
        let followed = match (&self.contents, &self.listing) {
            (None, None) => return Some(false),
            _ if kind == Kind::Symlink => statat(folder, name, AtFlags::empty()).ok()?,
            _ => stat,
        };
        let mut better = false;
        for stamp in [&mut self.contents, &mut self.listing].into_iter().flatten() {
            better |= stamp.check(path, &followed)?;
        }
        Some(better)
    }
}

pub(super) fn is_executable(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o100 != 0
}

impl Seen {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.0.push(self.kind.map_or(0, |kind| kind as u8));
        let flags = [
            self.link.is_some(),
            self.contents.is_some(),
            self.listing.is_some(),
            self.executable.is_some(),
            self.executable == Some(true),
            self.identity.is_some(),
            self.entries.is_some(),
        ];
        writer.0.push(flags.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag)));
        if let Some(link) = &self.link {
            writer.bytes(link.as_os_str().as_bytes());
        }
        for stamp in self.contents.iter().chain(&self.listing) {
            stamp.encode(writer);
        }
        if let Some(identity) = &self.identity {
            identity.encode(writer);
        }
        if let Some(entries) = &self.entries {
            entries.encode(writer);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let kind = match reader.byte()? {
            0 => None,
            number => Some(Kind::of_number(number)?),
        };
        let flags = reader.byte()?;
        let has = |bit: u8| flags >> bit & 1 == 1;
        let link =
            if has(0) { Some(PathBuf::from(std::ffi::OsStr::from_bytes(reader.bytes()?))) } else { None };
        let contents = if has(1) { Some(Box::new(Stamp::decode(reader)?)) } else { None };
        let listing = if has(2) { Some(Box::new(Stamp::decode(reader)?)) } else { None };
        let identity = if has(5) { Some(Box::new(Fingerprint::decode(reader)?)) } else { None };
        let entries = if has(6) { Some(Box::new(Entries::decode(reader)?)) } else { None };
        Some(Self { kind, link, contents, listing, entries, executable: has(3).then_some(has(4)), identity })
    }
}

impl Fingerprint {
    pub(super) fn encode(&self, writer: &mut Writer) {
        let Self { device, inode, size, modified, changed } = *self;
        writer.number(device);
        writer.number(inode);
        writer.number(size);
        writer.word(modified.cast_unsigned());
        writer.word(changed.cast_unsigned());
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            device: reader.number()?,
            inode: reader.number()?,
            size: reader.number()?,
            modified: reader.word()?.cast_signed(),
            changed: reader.word()?.cast_signed(),
        })
    }
}

impl Stamp {
    fn encode(&self, writer: &mut Writer) {
        writer.0.push(u8::from(self.fingerprint.is_some()) | u8::from(self.hash.is_some()) << 1);
        if let Some(fingerprint) = &self.fingerprint {
            fingerprint.encode(writer);
        }
        if let Some(hash) = &self.hash {
            writer.hash(hash);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let flags = reader.byte()?;
        let fingerprint = if flags & 1 == 0 { None } else { Some(Fingerprint::decode(reader)?) };
        let hash = if flags & 2 == 0 { None } else { Some(reader.hash()?) };
        Some(Self { fingerprint, hash })
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use rustix::fs::CWD;

    use super::*;

    /// Of every kind.
    pub(in crate::eval_cache) fn some_files() -> Vec<(PathBuf, Seen)> {
        let fingerprint =
            Fingerprint { device: 1, inode: u64::MAX, size: 300, modified: -5, changed: i64::MAX };
        let entries =
            Entries { fingerprint, kinds: vec![("x".into(), Kind::Directory), ("y".into(), Kind::Absent)] };
        let both = Stamp { fingerprint: Some(fingerprint), hash: Some([9; 32]) };
        let seen = |kind| Seen { kind, ..Seen::default() };
        vec![
            ("/a".into(), Seen { entries: Some(entries.into()), ..seen(Some(Kind::Directory)) }),
            ("/a/b.nix".into(), Seen { contents: Some(both.into()), ..seen(Some(Kind::Regular)) }),
            ("/a/b/c".into(), Seen { link: Some("../x".into()), ..seen(Some(Kind::Symlink)) }),
            (
                "/a/bc".into(),
                Seen {
                    listing: Some(Stamp { fingerprint: None, hash: Some([1; 32]) }.into()),
                    executable: Some(true),
                    identity: Some(fingerprint.into()),
                    ..seen(None)
                },
            ),
            ("/b".into(), Seen { executable: Some(false), ..seen(Some(Kind::Absent)) }),
            (
                "/c".into(),
                Seen {
                    contents: Some(Stamp { fingerprint: Some(fingerprint), hash: None }.into()),
                    ..seen(Some(Kind::Unknown))
                },
            ),
        ]
    }

    #[test]
    fn comes_back_as_it_was() {
        for (_, seen) in some_files() {
            let mut writer = Writer::default();
            seen.encode(&mut writer);
            assert_eq!(Seen::decode(&mut Reader(&writer.0)), Some(seen));
        }
    }

    pub(in crate::eval_cache) fn contents_of(path: &Path) -> Seen {
        let before = reliable(path, Fingerprint::of(&fs::metadata(path).unwrap()));
        let contents = fs::read(path).unwrap();
        let stamp = Stamp::of_contents(before, contents.len(), hash(&contents));
        Seen { contents: Some(stamp.into()), ..Seen::default() }
    }

    #[test]
    fn a_young_file_is_told_by_its_contents() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "one").unwrap();
        let mut seen = contents_of(&file);
        assert_eq!(seen.contents.as_ref().unwrap().fingerprint, None, "it was changed just now");
        assert_eq!(seen.check(CWD, &file, &file), Some(false));
        // Same inode, same size, and perhaps the same tick of the clock.
        fs::write(&file, "two").unwrap();
        assert_eq!(seen.check(CWD, &file, &file), None);
    }

    #[test]
    fn a_settled_file_is_told_by_its_fingerprint_and_else_by_its_contents() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "one").unwrap();
        let mut seen = contents_of(&file);
        seen.contents.as_mut().unwrap().fingerprint = Some(Fingerprint::of(&fs::metadata(&file).unwrap()));
        assert_eq!(seen.check(CWD, &file, &file), Some(false));
        // Another inode of the same contents.
        fs::write(folder.path().join("g"), "one").unwrap();
        fs::rename(folder.path().join("g"), &file).unwrap();
        assert_eq!(seen.check(CWD, &file, &file), Some(false));
        assert_eq!(seen.contents.as_ref().unwrap().fingerprint, None, "it is young again");
        fs::remove_file(&file).unwrap();
        assert_eq!(seen.check(CWD, &file, &file), None);
    }

    #[test]
    fn what_the_kernel_makes_up_is_always_read() {
        let file = Path::new("/proc/self/status");
        let metadata = fs::metadata(file).unwrap();
        assert_eq!(reliable(file, Fingerprint::of(&metadata)), None);
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "one").unwrap();
        let mut seen = contents_of(&file);
        fs::remove_file(&file).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        assert_eq!(seen.check(CWD, &file, &file), None);
    }
}
