//! Writes a tree of files as a NAR.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nival_formats::nar::{Mode, Writer};
use nival_formats::{Hash, HashAlgo, Hasher};
use rustix::fs::OFlags;

use crate::error::{IoContext as _, Result, StoreError};
use crate::metadata::unsupported_kind;

/// Decides which files of a source go into the store; gets the path and the type as Nix names it: `regular`,
/// `directory`, `symlink` or `unknown`. It isn't asked about the source itself.
pub type Filter<'a> =
    &'a mut dyn FnMut(&Path, &'static str) -> Result<bool, Box<dyn std::error::Error + Send + Sync>>;

/// Writes the tree at `path` to `out` as a NAR.
pub fn dump_path<W: Write>(path: &Path, filter: Option<Filter<'_>>, out: W) -> Result<W> {
    let mut filter = filter;
    let mut nar = Writer::new(out);
    dump_node(path, &mut filter, &mut nar)?;
    nar.finish().at("archive", path)
}

/// The hash and the size of the NAR of the tree at `path`.
pub fn hash_path(path: &Path, algo: HashAlgo) -> Result<(Hash, u64)> {
    let hasher = dump_path(path, None, Hasher::new(algo))?;
    let size = hasher.written();
    Ok((hasher.finish(), size))
}

fn dump_node<W: Write>(path: &Path, filter: &mut Option<Filter<'_>>, nar: &mut Writer<W>) -> Result<()> {
    let metadata = fs::symlink_metadata(path).at("examine", path)?;
    if metadata.is_symlink() {
        let target = fs::read_link(path).at("read the link", path)?;
        return nar.symlink(target.as_os_str().as_bytes()).at("archive", path);
    }
    if metadata.is_file() {
        // Opened before its size is taken, so that both are of one file.
        let mut file = open_regular(path)?;
        let metadata = file.metadata().at("examine", path)?;
        let mode = if metadata.mode() & 0o100 != 0 { Mode::Executable } else { Mode::Plain };
        return nar.file(mode, metadata.len(), &mut file).at("read", path);
    }
    if let Some(kind) = unsupported_kind(&metadata) {
        return Err(StoreError::UnsupportedFile { path: path.to_owned(), kind });
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).at("read the directory", path)? {
        let entry = entry.at("read the directory", path)?;
        let file_type = entry.file_type().at("examine", &entry.path())?;
        entries.push((entry.file_name().into_vec(), file_type));
    }
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    nar.directory().at("archive", path)?;
    for (name, file_type) in entries {
        let child = path.join(std::ffi::OsStr::from_bytes(&name));
        if let Some(filter) = filter
            && !filter(&child, type_name(file_type)).map_err(StoreError::Filter)?
        {
            continue;
        }
        nar.entry(&name).at("archive", &child)?;
        dump_node(&child, filter, nar)?;
    }
    nar.end_directory().at("archive", path)
}

/// Opens a file that must not have become a link or a pipe since it was looked at.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, rustix::fs::Mode::empty()).at("open", path)?);
    if !file.metadata().at("examine", path)?.is_file() {
        return Err(io::Error::other("it changed while it was read")).at("open", path);
    }
    Ok(file)
}

fn type_name(file_type: fs::FileType) -> &'static str {
    if file_type.is_file() {
        "regular"
    } else if file_type.is_dir() {
        "directory"
    } else if file_type.is_symlink() {
        "symlink"
    } else {
        "unknown"
    }
}
