//! The packs of one build of the program: found, mapped, written, merged and deleted again.
//!
//! A pack is put in its place whole and never changed. Its name says when it was written and in which boot of the machine:
//! within that one it needs no check, since what a process wrote every other one reads. After the next start it is
//! compared with its checksum once, and renamed to say so: a loss of power may have left it half written.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, OsStr};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::mm::{Advice, MapFlags};

use super::new_pack::NewPack;
use super::pack::{Kept, Kind, Pack};
use crate::cache_folder::surplus;
use crate::file_systems::{Telling, telling_at};
use crate::mapped::mapped;

/// Bounds of one pack, of all packs of all builds, and of their number.
pub(super) const LARGEST_PACK: u64 = 512 << 20;
const MOST_BYTES: u64 = 1 << 30;
const MOST_PACKS: usize = 12;
/// More than there should be: the newest are enough.
const MOST_READ: usize = 64;
/// Packs that were of no use for so long are deleted.
const UNUSED: Duration = Duration::from_hours(30 * 24);
/// A pack's time of last use is noted again after this long.
const USE_NOTED_EVERY: Duration = Duration::from_hours(1);
/// Age at which a temporary file was left behind by a process that died.
const ABANDONED: Duration = Duration::from_hours(1);

const CHECKED: &str = "checked";
const TEMPORARY: &str = "tmp-";

/// Where packs are.
#[derive(Clone)]
pub(super) struct Folder {
    /// Of all builds of the program.
    root: PathBuf,
    /// Of this one.
    path: PathBuf,
    uid: u32,
    boot: String,
}

/// A pack that is mapped until the process ends.
pub(super) struct Mapped {
    name: String,
    pack: Pack<'static>,
    bytes: &'static [u8],
    used: SystemTime,
    was_of_use: AtomicBool,
}

impl Mapped {
    pub(super) fn find(&self, kind: Kind, path: &[u8]) -> Option<Kept<'static>> {
        self.pack.find(kind, path)
    }

    pub(super) fn note_use(&self) {
        self.was_of_use.store(true, Ordering::Relaxed);
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Has the system take the pages of the file out of the process's memory. What is looked at again comes back.
    pub(super) fn put_away(&self) {
        let start = self.bytes.as_ptr().cast_mut().cast();
        // SAFETY: the bytes are a mapping of their own, of a file, which was never written to: they stay what they are. If
        // the advice is refused, they stay where they are as well.
        let _ = unsafe { rustix::mm::madvise(start, self.bytes.len(), Advice::LinuxDontNeed) };
    }
}

impl Folder {
    pub(super) fn new(root: PathBuf, program: &str, uid: u32) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = boot.chars().filter(char::is_ascii_hexdigit).take(32).collect();
        Self { path: root.join(program), root, uid, boot }
    }

    /// All packs, the newest first. What is no pack of ours is none.
    pub(super) fn open(&self) -> Vec<Mapped> {
        let mut packs = HashMap::new();
        // Another process may rename or merge packs between the look at the folder and that at them.
        for _ in 0..3 {
            if self.open_listed(&mut packs).is_ok() {
                break;
            }
        }
        let mut packs: Vec<Mapped> = packs.into_values().collect();
        packs.sort_unstable_by(|a, b| b.name.cmp(&a.name));
        packs
    }

    /// An error if one that was listed is there no more.
    fn open_listed(&self, packs: &mut HashMap<String, Mapped>) -> io::Result<()> {
        let Some(folder) = self.folder() else { return Ok(()) };
        let mut names: Vec<String> = names(&folder).filter(|name| stem(name).is_some()).collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        names.truncate(MOST_READ);
        let stems: HashSet<&str> = names.iter().filter_map(|name| stem(name)).collect();
        packs.retain(|known, _| stems.contains(known.as_str()));
        for name in &names {
            let stem = stem(name).unwrap_or_default();
            if packs.contains_key(stem) {
                continue;
            }
            if let Some(mapped) = self.open_pack(&folder, name)? {
                packs.insert(stem.to_owned(), mapped);
            }
        }
        Ok(())
    }

    /// The folder, if it is the user's own and nobody else writes to it, on this machine.
    fn folder(&self) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&self.path, flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&folder).ok()?;
        // What is mapped from another machine may be gone when it is looked at.
        let is_local = telling_at(&folder) >= Telling::Files;
        (is_local && stat.st_uid == self.uid && stat.st_mode & 0o022 == 0).then_some(folder)
    }

    fn open_pack(&self, folder: &OwnedFd, name: &str) -> io::Result<Option<Mapped>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Err(rustix::io::Errno::NOENT.into()),
            Err(_) => return Ok(None),
        };
        let Some((bytes, stat)) = mapped(&file, self.uid, LARGEST_PACK * 2, MapFlags::empty()) else {
            return Ok(None);
        };
        let mut name = name.to_owned();
        let pack = Pack::new(bytes);
        let state = name.split_once('.').map_or("", |(_, state)| state);
        let is_known = !state.is_empty() && (state == self.boot || state == CHECKED);
        let pack = pack.filter(|pack| is_known || pack.is_sound());
        let Some(pack) = pack else {
            // A damaged one never gets better.
            let _ = rustix::fs::unlinkat(folder, &name, AtFlags::empty());
            return Ok(None);
        };
        if !is_known {
            name = mark_checked(folder, &file, name);
        }
        let used = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
        Ok(Some(Mapped { name, pack, bytes, used: UNIX_EPOCH + used, was_of_use: AtomicBool::new(false) }))
    }

    /// Puts a new pack in its place, with those of older ones that are small beside it. What cannot be written is not kept.
    pub(super) fn put(&self, new: NewPack, packs: &[Mapped]) {
        let Some(size) = new.size() else { return };
        let merged = to_merge(size, packs);
        if new.finish(merged.iter().map(|mapped| mapped.pack)).and_then(|file| self.put_file(file)).is_err() {
            return;
        }
        for mapped in &merged {
            let _ = fs::remove_file(self.path.join(&mapped.name));
        }
        self.trim();
    }

    /// A file for a new pack.
    pub(super) fn create(&self) -> io::Result<NewFile> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        self.folder().ok_or(io::ErrorKind::PermissionDenied)?;
        // Without a name, if there are such files: what a process that dies has written is gone with it.
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        if let Ok(file) = rustix::fs::open(&self.path, flags, Mode::RUSR | Mode::WUSR) {
            return Ok(NewFile { file: file.into(), name: None });
        }
        let name = self.path.join(format!("{TEMPORARY}{}", unique()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&name)?;
        Ok(NewFile { file, name: Some(name) })
    }

    fn put_file(&self, mut file: NewFile) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let boot = if self.boot.is_empty() { "unknown" } else { &self.boot };
        let place = self.path.join(format!("{now:024x}-{}.{boot}", unique()));
        if let Some(name) = &file.name {
            fs::rename(name, place)?;
            file.name = None;
            return Ok(());
        }
        let open = format!("/proc/self/fd/{}", file.file.as_raw_fd());
        Ok(rustix::fs::linkat(CWD, open, CWD, place, AtFlags::SYMLINK_FOLLOW)?)
    }

    /// Notes which packs were of use, so that others are deleted before them.
    pub(super) fn note_uses(&self, packs: &[Mapped]) {
        let now = SystemTime::now();
        for mapped in packs {
            let is_noted = now.duration_since(mapped.used).is_ok_and(|age| age < USE_NOTED_EVERY);
            if is_noted || !mapped.was_of_use.load(Ordering::Relaxed) {
                continue;
            }
            // Nothing depends on it.
            let _ = File::open(self.path.join(&mapped.name)).and_then(|file| file.set_modified(now));
        }
    }

    /// Deletes the longest unused packs of all builds until the rest is within bounds.
    fn trim(&self) {
        let Ok(programs) = fs::read_dir(&self.root) else { return };
        let now = SystemTime::now();
        let mut files = Vec::new();
        for program in programs.flatten() {
            let Ok(entries) = fs::read_dir(program.path()) else { continue };
            let mut is_empty = true;
            for entry in entries.flatten() {
                is_empty = false;
                let Ok(metadata) = entry.metadata() else { continue };
                let Ok(used) = metadata.modified() else { continue };
                let age = now.duration_since(used).unwrap_or_default();
                let is_temporary = entry.file_name().as_bytes().starts_with(TEMPORARY.as_bytes());
                if metadata.uid() != self.uid {
                    continue;
                }
                if age > if is_temporary { ABANDONED } else { UNUSED } {
                    let _ = fs::remove_file(entry.path());
                } else if !is_temporary {
                    files.push((used, metadata.len(), entry.path()));
                }
            }
            if is_empty && program.path() != self.path {
                let _ = fs::remove_dir(program.path());
            }
        }
        for path in surplus(files, usize::MAX, MOST_BYTES) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Notes that a pack needs no check any more. Gives its name afterwards.
fn mark_checked(folder: &OwnedFd, file: &OwnedFd, name: String) -> String {
    // What was checked may have been in memory only, if two boots cannot be told apart.
    if rustix::fs::fdatasync(file).is_err() {
        return name;
    }
    let new = format!("{}.{CHECKED}", stem(&name).unwrap_or_default());
    match rustix::fs::renameat(folder, &name, folder, &new) {
        Ok(()) => new,
        Err(_) => name,
    }
}

/// What a name says before its state; nothing if it is not that of a pack.
fn stem(name: &str) -> Option<&str> {
    let (stem, _) = name.split_once('.')?;
    (stem.len() > 24 && stem.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')).then_some(stem)
}

fn names(folder: &OwnedFd) -> impl Iterator<Item = String> {
    let name = |name: &CStr| Some(OsStr::from_bytes(name.to_bytes()).to_str()?.to_owned());
    let entries = rustix::fs::Dir::read_from(folder.as_fd()).into_iter().flatten();
    entries.filter_map(move |entry| name(entry.ok()?.file_name()))
}

/// Those packs that go into a new one of this size: each less than twice as large as what is to be written, so that an
/// entry is copied a few times in its life and there are few packs.
fn to_merge(mut size: u64, packs: &[Mapped]) -> Vec<&Mapped> {
    let mut smallest_first: Vec<&Mapped> = packs.iter().collect();
    smallest_first.sort_unstable_by_key(|mapped| mapped.size());
    let surplus = packs.len().saturating_sub(MOST_PACKS);
    let mut merged = 0;
    for mapped in &smallest_first {
        let is_small = mapped.size() < 2 * size || merged < surplus;
        if !is_small || size + mapped.size() > LARGEST_PACK {
            break;
        }
        size += mapped.size();
        merged += 1;
    }
    smallest_first.truncate(merged);
    smallest_first.sort_unstable_by(|a, b| b.name.cmp(&a.name));
    smallest_first
}

/// Says which process and which of its files.
fn unique() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{:x}-{:x}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The file of a pack that is not in its place yet.
pub(super) struct NewFile {
    pub(super) file: File,
    /// Where it is meanwhile, if it is anywhere.
    name: Option<PathBuf>,
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = fs::remove_file(name);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tempfile::TempDir;

    use super::super::pack::{Entry, Proof, Stamp};
    use super::*;
    use crate::fingerprint::Fingerprint;

    fn folder(place: &TempDir, boot: &str) -> Folder {
        let uid = rustix::process::geteuid().as_raw();
        let mut folder = Folder::new(place.path().join("parse"), "program", uid);
        boot.clone_into(&mut folder.boot);
        folder
    }

    impl Folder {
        fn write(&self, new: &[(&str, &[u8])], packs: &[Mapped]) {
            let mut pack = NewPack::default();
            for (path, kept) in new {
                let fingerprint = Fingerprint { device: 1, inode: 2, size: 3, modified: 4, changed: 5 };
                let stamp = Stamp { proof: Proof::Itself, fingerprint, hash: Some([6; 32]) };
                let entry = Entry { kind: Kind::Tree, path: path.as_bytes(), stamp, parts: &[kept] };
                let added = pack.add(self, &entry).ok().flatten();
                assert!(added.is_none_or(|added| added.kept == *kept));
            }
            self.put(pack, packs);
        }
    }

    fn found(packs: &[Mapped], path: &str) -> Option<Vec<u8>> {
        packs.iter().find_map(|mapped| Some(mapped.find(Kind::Tree, path.as_bytes())?.bytes.to_vec()))
    }

    fn files(folder: &Folder) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&folder.path) else { return Vec::new() };
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Many bytes, so that packs with them are not merged with those without.
    fn large(text: &str) -> &'static [u8] {
        text.repeat(10_000).into_bytes().leak()
    }

    #[test]
    fn the_newest_pack_is_asked_first() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place, "aa");
        assert!(folder.open().is_empty());
        folder.write(&[("/a", large("first")), ("/b", b"b")], &[]);
        folder.write(&[("/a", b"second")], &folder.open());
        let packs = folder.open();
        assert_eq!(packs.len(), 2);
        assert_eq!(found(&packs, "/a").unwrap(), b"second");
        assert_eq!(found(&packs, "/b").unwrap(), b"b");
        // A large one takes the small ones in, and what was read before stays readable.
        folder.write(&[("/c", large("longer"))], &packs);
        let merged = folder.open();
        assert_eq!(merged.len(), 1);
        for packs in [&packs, &merged] {
            assert_eq!(found(packs, "/a").unwrap(), b"second");
            assert_eq!(found(packs, "/b").unwrap(), b"b");
        }
        assert_eq!(found(&merged, "/c").unwrap(), large("longer"));
    }

    #[test]
    fn many_small_writes_leave_few_packs() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place, "aa");
        for number in 0..200 {
            folder.write(&[(&format!("/{number}"), b"small"), ("/same", b"x")], &folder.open());
            assert!(files(&folder).len() <= MOST_PACKS, "{:?}", files(&folder));
        }
        let packs = folder.open();
        for number in 0..200 {
            assert_eq!(found(&packs, &format!("/{number}")).unwrap(), b"small");
        }
        let total: u64 = packs.iter().map(Mapped::size).sum();
        assert!(total < 200 * 256, "superseded entries are dropped: {total}");
    }

    #[test]
    fn what_is_put_away_comes_back() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place, "aa");
        folder.write(&[("/a", large("kept")), ("/b", b"b")], &[]);
        let packs = folder.open();
        let before = packs[0].find(Kind::Tree, b"/a").unwrap().bytes;
        // It does whether the file still has its name or not.
        fs::remove_file(&files(&folder)[0]).unwrap();
        packs[0].put_away();
        assert_eq!(before, large("kept"));
        assert_eq!(found(&packs, "/b").unwrap(), b"b");
    }

    #[test]
    fn packs_of_another_boot_are_checked_once() {
        let place = tempfile::tempdir().unwrap();
        folder(&place, "aa").write(&[("/a", b"kept by the first")], &[]);
        let [file] = files(&folder(&place, "aa")).try_into().unwrap();
        let whole = fs::read(&file).unwrap();
        let mut damaged = whole.clone();
        let position = whole.windows(4).position(|window| window == b"kept").unwrap();
        damaged[position] ^= 1;
        fs::write(&file, &damaged).unwrap();
        assert_eq!(folder(&place, "aa").open().len(), 1, "within a boot only the form is looked at");
        for damaged in [&damaged[..], &whole[..whole.len() - 16], &[], &vec![0; whole.len()]] {
            fs::write(&file, damaged).unwrap();
            let other = folder(&place, "bb");
            assert!(other.open().is_empty());
            assert!(damaged.is_empty() || files(&other).is_empty(), "it was deleted");
        }
        fs::write(&file, &whole).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        for boot in ["bb", "cc", ""] {
            let other = folder(&place, boot);
            assert_eq!(found(&other.open(), "/a").unwrap(), b"kept by the first");
            let [name] = files(&other).try_into().unwrap();
            assert_eq!(name.extension().unwrap(), CHECKED);
        }
    }

    /// What others could write is not read, and not deleted.
    #[test]
    fn what_is_not_ours() {
        let place = tempfile::tempdir().unwrap();
        let ours = folder(&place, "aa");
        ours.write(&[("/a", b"x")], &[]);
        let [file] = files(&ours).try_into().unwrap();
        let mode =
            |path: &PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&ours.path).unwrap().mode() & 0o777, 0o700);
        for (path, wrong, right) in
            [(&file, 0o620, 0o600), (&ours.path, 0o777, 0o700), (&ours.path, 0o720, 0o700)]
        {
            mode(path, wrong);
            assert!(ours.open().is_empty(), "{wrong:o}");
            mode(path, right);
            assert_eq!(ours.open().len(), 1);
        }
        let mut others = folder(&place, "aa");
        others.uid += 1;
        assert!(others.open().is_empty());
        others.write(&[("/a", b"x")], &[]);
        assert_eq!(files(&ours), std::slice::from_ref(&file));
        // Neither links nor folders nor pipes are packs, whatever their names are.
        let moved = place.path().join("moved");
        fs::rename(&file, &moved).unwrap();
        symlink(&moved, &file).unwrap();
        assert!(ours.open().is_empty());
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(ours.open().is_empty());
        fs::remove_dir(&file).unwrap();
        let kind = rustix::fs::FileType::Fifo;
        let device = rustix::fs::makedev(0, 0);
        rustix::fs::mknodat(rustix::fs::CWD, &file, kind, Mode::RUSR | Mode::WUSR, device).unwrap();
        assert!(ours.open().is_empty());
        fs::remove_file(&file).unwrap();
        fs::rename(&ours.path, place.path().join("parse/real")).unwrap();
        symlink("real", &ours.path).unwrap();
        ours.write(&[("/a", b"x")], &[]);
        assert!(ours.open().is_empty() && files(&ours).is_empty());
    }

    #[test]
    fn a_place_that_cannot_be_written() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("parse"), "a file").unwrap();
        let folder = folder(&place, "aa");
        folder.write(&[("/a", b"x")], &folder.open());
        assert!(folder.open().is_empty());
        for root in ["/proc/nowhere", "/dev/full", "/dev/null/x"] {
            let folder = Folder::new(root.into(), "program", folder.uid);
            folder.write(&[("/a", b"x")], &folder.open());
            assert!(folder.open().is_empty());
        }
    }

    #[test]
    fn writers_and_readers_at_once() {
        let place = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let place = &place;
                scope.spawn(move || {
                    for number in 0..40 {
                        let folder = folder(place, if number % 3 == 0 { "aa" } else { "bb" });
                        let packs = folder.open();
                        for mapped in &packs {
                            let images: Vec<_> = mapped.pack.images().collect();
                            assert!(!images.is_empty() && mapped.pack.is_sound());
                        }
                        folder.write(&[(&format!("/{thread}/{number}"), b"x")], &packs);
                    }
                });
            }
        });
        let folder = folder(&place, "aa");
        let packs = folder.open();
        for thread in 0..4 {
            assert!(found(&packs, &format!("/{thread}/39")).is_some());
        }
        assert!(files(&folder).iter().all(|file| !file.to_str().unwrap().contains(TEMPORARY)));
    }

    #[test]
    fn what_was_left_behind_is_deleted() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place, "aa");
        folder.write(&[("/a", large("a"))], &[]);
        let [old] = files(&folder).try_into().unwrap();
        let aged = |path: &PathBuf, age: Duration| {
            File::open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
        };
        let temporary = [folder.path.join("tmp-1-0"), folder.path.join("tmp-2-0")];
        let before = folder.root.join("an-earlier-build");
        fs::create_dir(&before).unwrap();
        for path in [&temporary[0], &temporary[1], &before.join("pack")] {
            fs::write(path, "x").unwrap();
        }
        aged(&temporary[0], ABANDONED * 2);
        aged(&before.join("pack"), UNUSED + ABANDONED);
        aged(&old, UNUSED + ABANDONED);
        let packs = folder.open();
        packs[0].note_use();
        folder.note_uses(&packs);
        folder.write(&[("/b", b"b")], &packs);
        assert!(!temporary[0].exists() && temporary[1].exists());
        assert!(!before.join("pack").exists() && old.exists());
        folder.write(&[("/b", b"b")], &folder.open());
        assert!(!before.exists());
    }

    #[test]
    fn names_of_packs() {
        let right = "000018a1b2c3d4e5f6071829-1f-0.0123456789abcdef";
        assert_eq!(stem(right), Some("000018a1b2c3d4e5f6071829-1f-0"));
        for wrong in ["", ".", "tmp-1-0", "000018a1b2c3d4e5f6071829-1f-0", "x.checked", "a.b"] {
            assert_eq!(stem(wrong), None, "{wrong}");
        }
    }
}
