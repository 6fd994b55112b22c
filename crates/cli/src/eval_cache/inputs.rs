//! What evaluation saw of the world, and whether it would see the same again.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nival_eval::host::FileType;
use nival_formats::{Hash as AnyHash, HashAlgo, Hasher};

use super::encoding::{Reader, Writer};
use super::fingerprint::Fingerprint;

pub(super) type Hash = [u8; 32];

/// Everything that was seen.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Inputs {
    /// By path, in the order of the paths.
    pub(super) files: Vec<(PathBuf, Seen)>,
    /// Environment variables; hashes of the values, since these may be secrets.
    pub(super) variables: BTreeMap<String, Option<Hash>>,
    /// Until when something fetched without a hash counts as fresh, in seconds since 1970.
    pub(super) expires: Option<u64>,
}

/// What was seen at one path.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// What is there itself, or that there is nothing.
    pub(super) kind: Option<Kind>,
    /// Where the link points.
    pub(super) link: Option<PathBuf>,
    /// The contents of the file, links followed.
    pub(super) contents: Option<Stamp>,
    /// The names in the folder, links followed.
    pub(super) listing: Option<Stamp>,
    /// Whether its owner may execute it.
    pub(super) executable: Option<bool>,
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

    fn of_file(kind: fs::FileType) -> Self {
        Kind::of(Some(crate::host::file_type(kind)))
    }
}

/// Tells whether a file or folder is as it was: at least one of the two is there.
#[derive(Debug, PartialEq)]
pub(super) struct Stamp {
    /// Missing while a change might not show in it.
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) hash: Option<Hash>,
}

pub(super) fn hash(bytes: &[u8]) -> Hash {
    AnyHash::of(HashAlgo::Blake3, bytes).as_bytes().try_into().expect("BLAKE3 has 32 bytes")
}

/// The hash of the names and types in a folder.
pub(super) fn hash_listing(entries: impl Iterator<Item = (Vec<u8>, Kind)>) -> Hash {
    let mut entries: Vec<_> = entries.map(|(name, kind)| (name, kind as u8)).collect();
    entries.sort_unstable();
    let mut hasher = Hasher::new(HashAlgo::Blake3);
    for (name, kind) in entries {
        hasher.update(&name);
        hasher.update(&[0, kind]);
    }
    hasher.finish().as_bytes().try_into().expect("BLAKE3 has 32 bytes")
}

fn read_listing(path: &Path) -> io::Result<Hash> {
    let entries: io::Result<Vec<_>> = fs::read_dir(path)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().into_vec(), Kind::of_file(entry.file_type()?)))
        })
        .collect();
    Ok(hash_listing(entries?.into_iter()))
}

/// Files of the kernel change without a trace in their times.
fn has_honest_times(path: &Path) -> bool {
    !["/proc", "/sys", "/dev"].iter().any(|folder| path.starts_with(folder))
}

/// The fingerprint of what was just looked at, if it may be relied on.
pub(super) fn reliable(path: &Path, metadata: &Metadata) -> Option<Fingerprint> {
    has_honest_times(path).then(|| Fingerprint::settled(metadata)).flatten()
}

impl Stamp {
    /// Of a file's contents; the fingerprint is from before they were read.
    pub(super) fn of_contents(before: Option<Fingerprint>, contents: &[u8]) -> Self {
        // A size that is made up means that the times may be, too.
        let fingerprint = before.filter(|stamp| stamp.size == contents.len() as u64);
        Self { fingerprint, hash: Some(hash(contents)) }
    }

    /// Of a file or folder that is read by somebody else: it is read here only if the fingerprint does not do.
    pub(super) fn unread(path: &Path, metadata: &Metadata) -> io::Result<Self> {
        if let Some(fingerprint) = reliable(path, metadata) {
            return Ok(Self { fingerprint: Some(fingerprint), hash: None });
        }
        let hash = if metadata.is_dir() { read_listing(path)? } else { hash(&fs::read(path)?) };
        Ok(Self { fingerprint: None, hash: Some(hash) })
    }

    /// Whether it is as it was, and if so, whether the stamp is better than before.
    fn check(&mut self, path: &Path, metadata: &Metadata) -> Option<bool> {
        if self.fingerprint == Some(Fingerprint::of(metadata)) {
            return Some(false);
        }
        let hash_before = self.hash?;
        let before = reliable(path, metadata);
        let now = if metadata.is_dir() {
            Self { fingerprint: before, hash: Some(read_listing(path).ok()?) }
        } else if metadata.is_file() {
            Self::of_contents(before, &fs::read(path).ok()?)
        } else {
            return None;
        };
        if now.hash != Some(hash_before) {
            return None;
        }
        *self = now;
        Some(self.fingerprint.is_some())
    }
}

impl Seen {
    /// As [`Stamp::check`], for all that was seen at a path.
    fn check(&mut self, path: &Path) -> Option<bool> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return (self.kind == Some(Kind::Absent)).then_some(false);
            }
            Err(_) => return None,
        };
        if self.kind.is_some_and(|kind| kind != Kind::of_file(metadata.file_type())) {
            return None;
        }
        if self.link.as_ref().is_some_and(|link| fs::read_link(path).ok().as_ref() != Some(link)) {
            return None;
        }
        if self.executable.is_some_and(|executable| executable != is_executable(&metadata)) {
            return None;
        }
        let followed = match (&self.contents, &self.listing) {
            (None, None) => return Some(false),
            _ if metadata.is_symlink() => fs::metadata(path).ok()?,
            _ => metadata,
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

impl Inputs {
    /// Nothing if something is not as it was; else whether the inputs should be written again, because a later
    /// check will be quicker.
    pub(super) fn check(&mut self, environment: &BTreeMap<String, String>) -> Option<bool> {
        if let Some(expires) = self.expires {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
            if now >= expires {
                return None;
            }
        }
        for (name, value) in &self.variables {
            if environment.get(name).map(|value| hash(value.as_bytes())) != *value {
                return None;
            }
        }
        let mut better = false;
        for (path, seen) in &mut self.files {
            better |= seen.check(path)?;
        }
        Some(better)
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.word(self.expires.unwrap_or(0));
        writer.number(self.variables.len() as u64);
        for (name, value) in &self.variables {
            writer.bytes(name.as_bytes());
            writer.0.push(u8::from(value.is_some()));
            if let Some(hash) = value {
                writer.hash(hash);
            }
        }
        writer.number(self.files.len() as u64);
        let mut before: &[u8] = b"";
        for (path, seen) in &self.files {
            // Neighbours have most of their path in common.
            let path = path.as_os_str().as_bytes();
            let common = path.iter().zip(before).take_while(|(a, b)| a == b).count();
            writer.number(common as u64);
            writer.bytes(&path[common..]);
            before = path;
            seen.encode(writer);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let expires = Some(reader.word()?).filter(|time| *time != 0);
        let mut variables = BTreeMap::new();
        for _ in 0..reader.count()? {
            let name = reader.text()?.to_owned();
            let value = if reader.byte()? == 0 { None } else { Some(reader.hash()?) };
            variables.insert(name, value);
        }
        let count = reader.count()?;
        let mut files: Vec<(PathBuf, Seen)> = Vec::with_capacity(count);
        for _ in 0..count {
            let common = usize::try_from(reader.number()?).ok()?;
            let rest = reader.bytes()?;
            let before =
                files.last().map_or(&b""[..], |(path, _)| path.as_os_str().as_bytes()).get(..common)?;
            let mut path = Vec::with_capacity(common + rest.len());
            path.extend_from_slice(before);
            path.extend_from_slice(rest);
            files.push((std::ffi::OsString::from_vec(path).into(), Seen::decode(reader)?));
        }
        Some(Self { files, variables, expires })
    }
}

impl Seen {
    fn encode(&self, writer: &mut Writer) {
        writer.0.push(self.kind.map_or(0, |kind| kind as u8));
        let flags = [
            self.link.is_some(),
            self.contents.is_some(),
            self.listing.is_some(),
            self.executable.is_some(),
            self.executable == Some(true),
        ];
        writer.0.push(flags.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag)));
        if let Some(link) = &self.link {
            writer.bytes(link.as_os_str().as_bytes());
        }
        for stamp in self.contents.iter().chain(&self.listing) {
            stamp.encode(writer);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let kind = match reader.byte()? {
            0 => None,
            1 => Some(Kind::Absent),
            2 => Some(Kind::Regular),
            3 => Some(Kind::Directory),
            4 => Some(Kind::Symlink),
            5 => Some(Kind::Unknown),
            _ => return None,
        };
        let flags = reader.byte()?;
        let has = |bit: u8| flags >> bit & 1 == 1;
        let link =
            if has(0) { Some(PathBuf::from(std::ffi::OsStr::from_bytes(reader.bytes()?))) } else { None };
        let contents = if has(1) { Some(Stamp::decode(reader)?) } else { None };
        let listing = if has(2) { Some(Stamp::decode(reader)?) } else { None };
        Some(Self { kind, link, contents, listing, executable: has(3).then_some(has(4)) })
    }
}

impl Stamp {
    fn encode(&self, writer: &mut Writer) {
        writer.0.push(u8::from(self.fingerprint.is_some()) | u8::from(self.hash.is_some()) << 1);
        if let Some(Fingerprint { device, inode, size, modified, changed }) = self.fingerprint {
            writer.number(device);
            writer.number(inode);
            writer.number(size);
            writer.word(modified.cast_unsigned());
            writer.word(changed.cast_unsigned());
        }
        if let Some(hash) = &self.hash {
            writer.hash(hash);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let flags = reader.byte()?;
        let fingerprint = if flags & 1 == 0 {
            None
        } else {
            Some(Fingerprint {
                device: reader.number()?,
                inode: reader.number()?,
                size: reader.number()?,
                modified: reader.word()?.cast_signed(),
                changed: reader.word()?.cast_signed(),
            })
        };
        let hash = if flags & 2 == 0 { None } else { Some(reader.hash()?) };
        Some(Self { fingerprint, hash })
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use super::*;

    pub(in crate::eval_cache) fn some_inputs() -> Inputs {
        let fingerprint =
            Fingerprint { device: 1, inode: u64::MAX, size: 300, modified: -5, changed: i64::MAX };
        let both = Stamp { fingerprint: Some(fingerprint), hash: Some([9; 32]) };
        let seen = |kind| Seen { kind, ..Seen::default() };
        Inputs {
            files: vec![
                ("/a".into(), seen(Some(Kind::Directory))),
                ("/a/b.nix".into(), Seen { contents: Some(both), ..seen(Some(Kind::Regular)) }),
                ("/a/b/c".into(), Seen { link: Some("../x".into()), ..seen(Some(Kind::Symlink)) }),
                (
                    "/a/bc".into(),
                    Seen {
                        listing: Some(Stamp { fingerprint: None, hash: Some([1; 32]) }),
                        executable: Some(true),
                        ..seen(None)
                    },
                ),
                ("/b".into(), Seen { executable: Some(false), ..seen(Some(Kind::Absent)) }),
                (
                    "/c".into(),
                    Seen {
                        contents: Some(Stamp { fingerprint: Some(fingerprint), hash: None }),
                        ..seen(Some(Kind::Unknown))
                    },
                ),
            ],
            variables: BTreeMap::from([("HOME".into(), Some([2; 32])), ("NONE".into(), None)]),
            expires: Some(77),
        }
    }

    fn contents_of(path: &Path) -> Seen {
        let before = reliable(path, &fs::metadata(path).unwrap());
        let stamp = Stamp::of_contents(before, &fs::read(path).unwrap());
        Seen { contents: Some(stamp), ..Seen::default() }
    }

    #[test]
    fn a_young_file_is_told_by_its_contents() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "one").unwrap();
        let mut seen = contents_of(&file);
        assert_eq!(seen.contents.as_ref().unwrap().fingerprint, None, "it was changed just now");
        assert_eq!(seen.check(&file), Some(false));
        // Same inode, same size, and perhaps the same tick of the clock.
        fs::write(&file, "two").unwrap();
        assert_eq!(seen.check(&file), None);
    }

    #[test]
    fn a_settled_file_is_told_by_its_fingerprint_and_else_by_its_contents() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "one").unwrap();
        let mut seen = contents_of(&file);
        seen.contents.as_mut().unwrap().fingerprint = Some(Fingerprint::of(&fs::metadata(&file).unwrap()));
        assert_eq!(seen.check(&file), Some(false));
        // Another inode of the same contents.
        fs::write(folder.path().join("g"), "one").unwrap();
        fs::rename(folder.path().join("g"), &file).unwrap();
        assert_eq!(seen.check(&file), Some(false));
        assert_eq!(seen.contents.as_ref().unwrap().fingerprint, None, "it is young again");
        fs::remove_file(&file).unwrap();
        assert_eq!(seen.check(&file), None);
    }

    #[test]
    fn what_the_kernel_makes_up_is_always_read() {
        let file = Path::new("/proc/self/status");
        let metadata = fs::metadata(file).unwrap();
        assert_eq!(reliable(file, &metadata), None);
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
        assert_eq!(seen.check(&file), None);
    }
}
