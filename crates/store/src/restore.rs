//! Unpacks a NAR into a tree of files.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::Path;

use nival_formats::nar::{Event, Mode, NarError, Reader};

use crate::error::{IoContext as _, Result, StoreError};

/// Unpacks the NAR that `source` gives at `path`, where nothing may be yet, and reads no further than its end.
///
/// The reader checks names and nesting, and every file is created anew below directories that were created here,
/// so nothing outside of `path` can be reached.
pub fn restore_nar(source: impl BufRead, path: &Path) -> Result<()> {
    let mut nar = Reader::new(source);
    let mut current = path.to_owned();
    let mut depth = 0_usize;
    while let Some(event) = nar.next_event().map_err(|error| nar_error(error, &current))? {
        match event {
            Event::Directory => {
                fs::create_dir(&current).at("create the directory", &current)?;
                continue;
            }
            Event::Entry(name) => {
                current.push(OsStr::from_bytes(&name));
                depth += 1;
                continue;
            }
            Event::EndDirectory => {}
            Event::File { mode, size } => restore_file(&mut nar, &current, mode, size)?,
            Event::Symlink(target) => {
                symlink(OsStr::from_bytes(&target), &current).at("create the link", &current)?;
            }
        }
        if depth > 0 {
            current.pop();
            depth -= 1;
        }
    }
    Ok(())
}

fn restore_file<R: BufRead>(nar: &mut Reader<R>, path: &Path, mode: Mode, size: u64) -> Result<()> {
    let permissions = if mode == Mode::Executable { 0o777 } else { 0o666 };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(permissions).open(path).at("create", path)?;
    let copied = nar.copy_contents(&mut file).map_err(|error| nar_error(error, path))?;
    debug_assert_eq!(copied, size, "the reader gives as many bytes as it announced");
    Ok(())
}

pub(crate) fn nar_error(error: NarError, path: &Path) -> StoreError {
    match error {
        NarError::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            StoreError::Io { action: "unpack", path: path.to_owned(), source }
        }
        other => StoreError::BadNar { path: path.to_owned(), detail: other.to_string() },
    }
}

/// Writes every file below `path` to the disk itself, and then the directories.
pub(crate) fn sync_tree(path: &Path) -> Result<()> {
    let metadata = fs::symlink_metadata(path).at("examine", path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path).at("read the directory", path)? {
            sync_tree(&entry.at("read the directory", path)?.path())?;
        }
    }
    if !metadata.is_symlink() {
        fs::File::open(path).and_then(|file| file.sync_all()).at("synchronise", path)?;
    }
    Ok(())
}
