//! Files and folders in as few calls as can be.

use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::path::Path;

use nival_eval::host::{FileType, Listing};
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, Stat};

/// What is in a file, links followed, and what it was when it was opened.
pub(crate) fn read(path: &Path) -> io::Result<(Vec<u8>, Stat)> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    Ok((read_open(file.into(), &stat)?, stat))
}

/// The same of what is itself a plain file; nothing for all else, and for what can't be read.
pub(crate) fn read_plain(path: &Path) -> Option<(Vec<u8>, Stat)> {
    // Pipes must not be waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return None;
    }
    Some((read_open(file.into(), &stat).ok()?, stat))
}

/// A read that ends before the room for it does has come to the end, if the file is as large as it says.
fn read_open(mut file: std::fs::File, stat: &Stat) -> io::Result<Vec<u8>> {
    let size = usize::try_from(stat.st_size).unwrap_or(0);
    let mut contents = Vec::new();
    contents.try_reserve_exact(size.saturating_add(1))?;
    rustix::io::retry_on_intr(|| rustix::io::read(&file, rustix::buffer::spare_capacity(&mut contents)))?;
    if contents.len() != size || size == 0 {
        file.read_to_end(&mut contents)?;
    }
    Ok(contents)
}

/// What is in a folder, and what the folder was when it was opened.
pub(crate) fn read_dir(path: &Path) -> io::Result<(Listing, Stat)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&folder)?;
    let mut room = [MaybeUninit::uninit(); 16 << 10];
    let mut listing = RawDir::new(&folder, &mut room);
    let mut entries = Vec::new();
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems don't say.
            rustix::fs::FileType::Unknown => {
                let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                rustix::fs::FileType::from_raw_mode(stat.st_mode)
            }
            kind => kind,
        };
        entries.push((name.to_bytes().to_vec().into(), file_type(kind)));
    }
    Ok((entries, stat))
}

fn file_type(kind: rustix::fs::FileType) -> FileType {
    match kind {
        rustix::fs::FileType::RegularFile => FileType::Regular,
        rustix::fs::FileType::Directory => FileType::Directory,
        rustix::fs::FileType::Symlink => FileType::Symlink,
        _ => FileType::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use super::*;

    #[test]
    fn plain_files_and_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, size) in [("empty", 0), ("one", 1), ("large", 1 << 20)] {
            std::fs::write(path(name), vec![b'x'; size]).unwrap();
            let (contents, stat) = read_plain(&path(name)).unwrap();
            assert_eq!((contents.len(), stat.st_size), (size, size as i64), "{name}");
            assert_eq!(read(&path(name)).unwrap().0, contents);
        }
        std::os::unix::fs::symlink("one", path("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            rustix::fs::makedev(0, 0),
        )
        .unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        for name in ["link", "pipe", "folder", "missing", "one/below"] {
            assert!(read_plain(&path(name)).is_none(), "{name}");
        }
        assert_eq!(read(&path("link")).unwrap().0, b"x");
        let mut entries = read_dir(folder.path()).unwrap().0;
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let expected = [
            ("empty", FileType::Regular),
            ("folder", FileType::Directory),
            ("large", FileType::Regular),
            ("link", FileType::Symlink),
            ("one", FileType::Regular),
            ("pipe", FileType::Unknown),
        ];
        assert_eq!(entries, expected.map(|(name, kind)| (name.as_bytes().into(), kind)));
        assert_eq!(read_dir(&path("one")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(read_dir(&path("missing")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(read(&path("folder")).is_err());
    }

    /// Files of the kernel say that they are empty.
    #[test]
    fn sizes_that_are_made_up() {
        let (contents, stat) = read_plain(Path::new("/proc/self/status")).unwrap();
        assert_eq!(stat.st_size, 0);
        assert!(contents.len() > 100);
    }
}
