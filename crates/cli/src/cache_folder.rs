//! A folder of answers: one file for each question, replaced as a whole, the longest unused ones deleted first.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use rustix::mm::MapFlags;

use crate::mapped::mapped;

/// Bounds of the whole folder.
const MOST_FILES: usize = 1024;
const MOST_BYTES: u64 = 512 << 20;
/// To look at all files takes longer than to write one: one in so many is followed by that, and each from this size on.
const TRIM_EVERY: u8 = 16;
const LARGE: usize = 1 << 20;
/// A larger answer is not kept.
const LARGEST_FILE: usize = 128 << 20;
/// Age at which a temporary file was left behind by a process that died.
const ABANDONED: Duration = Duration::from_hours(1);
/// A file's time of last use is noted again after this long.
const USE_NOTED_EVERY: Duration = Duration::from_hours(1);

pub(crate) struct Folder {
    path: PathBuf,
    uid: u32,
}

impl Folder {
    pub(crate) fn new(path: PathBuf, uid: u32) -> Self {
        Self { path, uid }
    }

    fn file(&self, key: &[u8; 32]) -> PathBuf {
        let mut name = String::with_capacity(64);
        for byte in key {
            name.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
            name.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        }
        self.path.join(name)
    }

    /// The file of a key. One that another user wrote is none: with `sudo` and a kept `$HOME` it could be anybody's.
    pub(crate) fn read(&self, key: &[u8; 32]) -> Option<Cow<'static, [u8]>> {
        let mut file = File::open(self.file(key)).ok()?;
        if let Some((bytes, _)) = mapped(&file, self.uid, LARGEST_FILE as u64, MapFlags::POPULATE) {
            return Some(Cow::Borrowed(bytes));
        }
        let metadata = file.metadata().ok()?;
        if metadata.uid() != self.uid || metadata.len() > LARGEST_FILE as u64 {
            return None;
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        file.read_to_end(&mut bytes).ok()?;
        Some(Cow::Owned(bytes))
    }

    /// Notes that a file was of use, so that others are deleted before it.
    pub(crate) fn mark_used(&self, key: &[u8; 32]) {
        let Ok(file) = File::open(self.file(key)) else { return };
        let now = SystemTime::now();
        let noted = file.metadata().and_then(|metadata| metadata.modified());
        if noted.is_ok_and(|noted| now.duration_since(noted).is_ok_and(|age| age < USE_NOTED_EVERY)) {
            return;
        }
        // Nothing depends on it.
        let _ = file.set_modified(now);
    }

    /// Puts a file in its place, whole or not at all. What cannot be written is not kept, and nobody is told: the
    /// command has its answer already.
    pub(crate) fn write(&self, key: &[u8; 32], bytes: &[u8]) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if bytes.len() > LARGEST_FILE {
            return;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = self.path.join(format!("tmp-{}-{number}", std::process::id()));
        let write = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            fs::rename(&temporary, self.file(key))
        };
        if write().is_err() {
            let _ = fs::remove_file(&temporary);
            return;
        }
        // A key is a hash.
        if bytes.len() >= LARGE || key[0].is_multiple_of(TRIM_EVERY) {
            self.trim();
        }
    }

    /// Deletes the longest unused files until the rest is within bounds.
    fn trim(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        let now = SystemTime::now();
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let Ok(used) = metadata.modified() else { continue };
            if entry.file_name().as_encoded_bytes().starts_with(b"tmp-") {
                if now.duration_since(used).is_ok_and(|age| age > ABANDONED) {
                    let _ = fs::remove_file(entry.path());
                }
            } else {
                files.push((used, metadata.len(), entry.path()));
            }
        }
        for path in surplus(files, MOST_FILES, MOST_BYTES) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Those of the files, by last use and size, that are too many or too large together.
pub(crate) fn surplus(
    mut files: Vec<(SystemTime, u64, PathBuf)>,
    most_files: usize,
    most_bytes: u64,
) -> impl Iterator<Item = PathBuf> {
    files.sort_unstable_by_key(|(used, ..)| std::cmp::Reverse(*used));
    let mut count = 0;
    let mut bytes = 0;
    files.into_iter().filter_map(move |(_, size, path)| {
        count += 1;
        bytes += size;
        (count > most_files || bytes > most_bytes).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_cannot_be_mapped_is_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().into(), rustix::process::geteuid().as_raw());
        let key = [7; 32];
        assert_eq!(folder.read(&key), None);
        folder.write(&key, b"answer");
        assert_eq!(folder.read(&key).as_deref(), Some(&b"answer"[..]));
        fs::set_permissions(folder.file(&key), fs::Permissions::from_mode(0o660)).unwrap();
        assert!(matches!(folder.read(&key), Some(Cow::Owned(bytes)) if bytes == b"answer"));
        let others = Folder::new(place.path().into(), folder.uid + 1);
        assert_eq!(others.read(&key), None);
    }

    #[test]
    fn is_trimmed_from_time_to_time() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().into(), rustix::process::geteuid().as_raw());
        let key = |start: u8, number: usize| {
            let mut key = [start; 32];
            key[24..].copy_from_slice(&number.to_le_bytes());
            key
        };
        let files = || fs::read_dir(place.path()).unwrap().count();
        for number in 0..MOST_FILES + 9 {
            folder.write(&key(1, number), b"");
        }
        assert_eq!(files(), MOST_FILES + 9);
        folder.write(&key(0, 0), b"");
        assert_eq!(files(), MOST_FILES);
        folder.write(&key(1, MOST_FILES), &vec![0; LARGE]);
        assert_eq!(files(), MOST_FILES);
    }

    #[test]
    fn the_longest_unused_go_first() {
        let file =
            |age, size| (SystemTime::now() - Duration::from_secs(age), size, PathBuf::from(age.to_string()));
        let gone: Vec<_> = surplus(vec![file(3, 4), file(1, 4), file(2, 4)], 9, 11).collect();
        assert_eq!(gone, [PathBuf::from("3")]);
        let many = (0..7).map(|age| file(age * 10, 1)).collect();
        assert_eq!(surplus(many, 5, 11).count(), 2);
        assert_eq!(surplus(Vec::new(), 5, 11).count(), 0);
    }
}
