//! What evaluation saw of the world, and whether it would see the same again.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nival_eval::host::FileType;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, open, statat};
use rustix::io::Errno;

use super::encoding::{Reader, Writer};
use crate::fingerprint::{Fingerprint, Hash, hash, hash_listing, reliable};
use crate::reading;

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
    /// As [`Stamp::check`], for all that was seen at a path, which is called `name` seen from `folder`.
    fn check(&mut self, folder: BorrowedFd<'_>, name: &Path, path: &Path) -> Option<bool> {
        let stat = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::NOTDIR) => return (self.kind == Some(Kind::Absent)).then_some(false),
            Err(_) => return None,
        };
        let kind = Kind::of_mode(stat.st_mode);
        if self.kind.is_some_and(|before| before != kind)
            || self.identity.as_ref().is_some_and(|before| **before != Fingerprint::of_stat(&stat))
            || self.executable.is_some_and(|before| before != (stat.st_mode & 0o100 != 0))
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

/// How many neighbours are looked at from the folder that they have in common: that folder's own path is then walked once
/// for all of them.
const NEIGHBOURS: usize = 32;

/// How many bytes two texts begin with that are the same.
fn common_length(a: &[u8], b: &[u8]) -> usize {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let equal = 8 * words.take_while(|(a, b)| a == b).count();
    equal + a[equal..].iter().zip(&b[equal..]).take_while(|(a, b)| a == b).count()
}

/// The length of what all of the paths, which are in the order of their bytes, have in common, up to the last `/`.
fn common_folder(files: &[(PathBuf, Seen)]) -> usize {
    let [(first, _), .., (last, _)] = files else { return 0 };
    let (first, last) = (first.as_os_str().as_bytes(), last.as_os_str().as_bytes());
    let common = common_length(first, last);
    first[..common].iter().rposition(|byte| *byte == b'/').unwrap_or(0)
}

/// From so many files on, several threads look at them: each look waits for memory most of its time.
const MANY: usize = 1024;
const THREADS: usize = 4;

fn check_files(files: &mut [(PathBuf, Seen)]) -> Option<bool> {
    let mut better = false;
    for neighbours in files.chunks_mut(NEIGHBOURS) {
        better |= check_neighbours(neighbours)?;
    }
    Some(better)
}

fn check_neighbours(files: &mut [(PathBuf, Seen)]) -> Option<bool> {
    let length = common_folder(files);
    let folder = (length > 0).then(|| {
        let folder = Path::new(std::ffi::OsStr::from_bytes(&files[0].0.as_os_str().as_bytes()[..length]));
        open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    });
    let mut better = false;
    for (path, seen) in files {
        better |= match &folder {
            Some(Ok(folder)) => {
                let name = Path::new(std::ffi::OsStr::from_bytes(&path.as_os_str().as_bytes()[length + 1..]));
                seen.check(folder.as_fd(), name, path)?
            }
            _ => seen.check(CWD, path, path)?,
        };
    }
    Some(better)
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
        if self.files.len() < MANY {
            return check_files(&mut self.files);
        }
        let part = self.files.len().div_ceil(THREADS);
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                self.files.chunks_mut(part).map(|files| scope.spawn(|| check_files(files))).collect();
            let mut better = false;
            for thread in threads {
                better |= thread.join().ok()??;
            }
            Some(better)
        })
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
            let common = common_length(path, before);
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
            self.identity.is_some(),
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
        let contents = if has(1) { Some(Box::new(Stamp::decode(reader)?)) } else { None };
        let listing = if has(2) { Some(Box::new(Stamp::decode(reader)?)) } else { None };
        let identity = if has(5) { Some(Box::new(Fingerprint::decode(reader)?)) } else { None };
        Some(Self { kind, link, contents, listing, executable: has(3).then_some(has(4)), identity })
    }
}

impl Fingerprint {
    fn encode(&self, writer: &mut Writer) {
        let Self { device, inode, size, modified, changed } = *self;
        writer.number(device);
        writer.number(inode);
        writer.number(size);
        writer.word(modified.cast_unsigned());
        writer.word(changed.cast_unsigned());
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
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

    use super::*;

    pub(in crate::eval_cache) fn some_inputs() -> Inputs {
        let fingerprint =
            Fingerprint { device: 1, inode: u64::MAX, size: 300, modified: -5, changed: i64::MAX };
        let both = Stamp { fingerprint: Some(fingerprint), hash: Some([9; 32]) };
        let seen = |kind| Seen { kind, ..Seen::default() };
        Inputs {
            files: vec![
                ("/a".into(), seen(Some(Kind::Directory))),
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
            ],
            variables: BTreeMap::from([("HOME".into(), Some([2; 32])), ("NONE".into(), None)]),
            expires: Some(77),
        }
    }

    fn contents_of(path: &Path) -> Seen {
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
    fn neighbours_are_looked_at_from_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        for name in ["a/b/1", "a/b/2", "a/c", "a-file"] {
            fs::write(at(name), name).unwrap();
        }
        let inputs = || {
            let mut files: Vec<(PathBuf, Seen)> = ["a/b/1", "a/b/2", "a/c", "a-file"]
                .into_iter()
                .map(|name| (at(name), contents_of(&at(name))))
                .collect();
            files.push((at("none/x"), Seen { kind: Some(Kind::Absent), ..Seen::default() }));
            files.push((at("a"), Seen { kind: Some(Kind::Directory), ..Seen::default() }));
            files.sort_by(|a, b| a.0.as_os_str().cmp(b.0.as_os_str()));
            Inputs { files, ..Inputs::default() }
        };
        assert_eq!(common_folder(&inputs().files), folder.path().as_os_str().len());
        assert_eq!(common_folder(&inputs().files[..1]), 0);
        let mut before = inputs();
        assert_eq!(before.check(&BTreeMap::new()), Some(false));
        fs::create_dir(at("none")).unwrap();
        fs::write(at("none/x"), "").unwrap();
        assert_eq!(before.check(&BTreeMap::new()), None);
        fs::remove_file(at("none/x")).unwrap();
        assert_eq!(before.check(&BTreeMap::new()), Some(false));
        fs::remove_dir_all(at("a")).unwrap();
        assert_eq!(before.check(&BTreeMap::new()), None);
    }

    #[test]
    fn many_files_by_several_threads() {
        let folder = tempfile::tempdir().unwrap();
        let at = |number: usize| folder.path().join(format!("{number:05}"));
        let mut inputs = Inputs::default();
        for number in 0..=2 * MANY {
            fs::write(at(number), number.to_string()).unwrap();
            inputs.files.push((at(number), contents_of(&at(number))));
        }
        // Where it takes long enough, the times of the files have come to do.
        assert!(inputs.check(&BTreeMap::new()).is_some());
        for number in [0, MANY, 2 * MANY] {
            fs::write(at(number), "other").unwrap();
            assert_eq!(inputs.check(&BTreeMap::new()), None, "{number}");
            fs::write(at(number), number.to_string()).unwrap();
            assert!(inputs.check(&BTreeMap::new()).is_some());
        }
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
