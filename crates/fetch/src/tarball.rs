//! Unpacking of tarballs.
//!
//! They are foreign bytes: every path is checked, nothing is written through a link, and both the number of entries and
//! their size are bounded.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use tar::EntryType;
use thiserror::Error;

/// nixpkgs has 60,000 files of 300 MB.
const MAX_ENTRIES: usize = 4_000_000;
const MAX_BYTES: u64 = 32 << 30;

/// Why a tarball was not unpacked.
#[derive(Debug, Error)]
pub enum TarballError {
    /// It is none, or of a kind that cannot be read.
    #[error("Failed to open archive (Unrecognized archive format)")]
    Unrecognised,
    /// It is damaged.
    #[error("the archive is damaged: {0}")]
    Damaged(io::Error),
    /// It has more than fits.
    #[error("the archive is too large")]
    TooLarge,
    /// An entry that must not be written.
    #[error("'{path}' in the archive {problem}")]
    Entry {
        /// The entry.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that could not be written.
    #[error("cannot {action} '{path}': {error}")]
    Write {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// It was asked to stop.
    #[error("interrupted")]
    Cancelled,
}

type Result<T, E = TarballError> = std::result::Result<T, E>;

/// Unpacks a tarball of any known compression into a folder, and returns when its latest entry was changed.
pub fn unpack(archive: impl Read + 'static, out: &Path, is_cancelled: &dyn Fn() -> bool) -> Result<u64> {
    let stream = decompress(BufReader::new(archive)).map_err(TarballError::Damaged)?;
    let mut archive = tar::Archive::new(stream);
    let (mut count, mut bytes, mut last_modified) = (0, 0u64, 0);
    for entry in archive.entries().map_err(TarballError::Damaged)? {
        if is_cancelled() {
            return Err(TarballError::Cancelled);
        }
        let is_first = count == 0;
        let mut entry = entry.map_err(|error| {
            if is_first { TarballError::Unrecognised } else { TarballError::Damaged(error) }
        })?;
        count += 1;
        bytes = bytes.saturating_add(entry.size());
        if count > MAX_ENTRIES || bytes > MAX_BYTES {
            return Err(TarballError::TooLarge);
        }
        if entry.header().entry_type() == EntryType::XGlobalHeader {
            continue;
        }
        last_modified = entry.header().mtime().unwrap_or(0).max(last_modified);
        unpack_entry(&mut entry, out)?;
    }
    Ok(last_modified)
}

/// The only folder in a folder, or else the folder itself.
pub(crate) fn single_folder(folder: &Path) -> io::Result<PathBuf> {
    let mut entries = fs::read_dir(folder)?;
    let (first, second) = (entries.next().transpose()?, entries.next());
    match first {
        Some(entry) if second.is_none() && entry.file_type()?.is_dir() => Ok(entry.path()),
        _ => Ok(folder.to_owned()),
    }
}

/// The plain stream, by the first bytes.
fn decompress<R: Read + 'static>(mut archive: BufReader<R>) -> io::Result<Box<dyn Read>> {
    let start = archive.fill_buf()?;
    Ok(if start.starts_with(b"\x1f\x8b") {
        Box::new(flate2::bufread::MultiGzDecoder::new(archive))
    } else if start.starts_with(b"\xfd7zXZ\0") {
        Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(archive))
    } else if start.starts_with(b"BZh") {
        Box::new(bzip2::bufread::MultiBzDecoder::new(archive))
    } else {
        Box::new(archive)
    })
}

fn unpack_entry(entry: &mut tar::Entry<'_, Box<dyn Read>>, out: &Path) -> Result<()> {
    let damaged = TarballError::Damaged;
    let kind = entry.header().entry_type();
    let path = entry.path().map_err(damaged)?.into_owned();
    let wrong = |problem: String| TarballError::Entry { path: path.clone(), problem };
    let below = harmless(&path).ok_or_else(|| wrong("is outside of itself".into()))?;
    if below.as_os_str().is_empty() {
        return Ok(());
    }
    let to = make_parents(out, &below)?;
    match fs::symlink_metadata(&to).map(|there| there.is_dir()) {
        Ok(true) if kind == EntryType::Directory => return Ok(()),
        Ok(true) => return Err(wrong("is twice in it".into())),
        // As `tar` does, a later entry replaces an earlier one.
        Ok(false) => fs::remove_file(&to).at("remove", &to)?,
        Err(_) => {}
    }
    match kind {
        EntryType::Directory => fs::create_dir(&to).at("create the directory", &to),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let mut file = File::create_new(&to).at("create", &to)?;
            io::copy(entry, &mut file).map_err(damaged)?;
            let executable = entry.header().mode().map_err(damaged)? & 0o100 != 0;
            let mode = if executable { 0o755 } else { 0o644 };
            file.set_permissions(Permissions::from_mode(mode)).at("change the mode of", &to)
        }
        EntryType::Symlink => {
            let target = entry.link_name().map_err(damaged)?.unwrap_or_default().into_owned();
            symlink(target, &to).at("create the link", &to)
        }
        EntryType::Link => {
            let target = entry.link_name().map_err(damaged)?.unwrap_or_default().into_owned();
            let first = harmless(&target).map(|below| make_parents(out, &below)).transpose()?;
            let is_file = |first: &PathBuf| fs::symlink_metadata(first).is_ok_and(|there| there.is_file());
            match first.filter(is_file) {
                Some(first) => fs::hard_link(first, &to).at("link", &to),
                None => Err(wrong(format!("links to '{}', which isn't a file of it", target.display()))),
            }
        }
        other => Err(wrong(format!("is a special file ({other:?})"))),
    }
}

/// The path without its `./`, if it stays below the top.
fn harmless(path: &Path) -> Option<PathBuf> {
    let mut below = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => below.push(name),
            _ => return None,
        }
    }
    Some(below)
}

/// Makes the directories above a path without going through links; returns the whole path.
fn make_parents(out: &Path, below: &Path) -> Result<PathBuf> {
    let mut at = out.to_owned();
    for part in below.parent().into_iter().flat_map(Path::components) {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => {
                let problem = "leads through a link or a file".to_owned();
                return Err(TarballError::Entry { path: below.to_owned(), problem });
            }
            Err(_) => fs::create_dir(&at).at("create the directory", &at)?,
        }
    }
    Ok(out.join(below))
}

/// Says what was tried when writing failed.
trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| TarballError::Write { action, path: path.to_owned(), error })
    }
}
