//! The single changes to a home, each of which can be undone.
//!
//! An operation is written to the journal before it is done. Its undo therefore looks at what is there: it
//! must be right for an operation that was done, for one that wasn't, and for one that was already undone.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A change of one directory entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase")]
pub enum Operation {
    /// Makes a directory where nothing is.
    MakeDirectory {
        /// Its path.
        path: PathBuf,
    },
    /// Removes an empty directory.
    RemoveDirectory {
        /// Its path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Removes a link.
    RemoveLink {
        /// Its path.
        path: PathBuf,
        /// Its text.
        was: PathBuf,
    },
    /// Gives a file another name in the same directory.
    MoveAside {
        /// Its path.
        from: PathBuf,
        /// The free name.
        to: PathBuf,
    },
    /// Makes a link, in place of nothing or of another link.
    PutLink {
        /// Its path.
        path: PathBuf,
        /// Its text.
        link: PathBuf,
        /// The text of the link it replaces.
        was: Option<PathBuf>,
        /// A name beside it that is used on the way.
        temp: PathBuf,
    },
}

impl Operation {
    /// Does it. `checkpoint` is called between the parts of a change that has several.
    pub(crate) fn apply(&self, checkpoint: &dyn Fn(&str) -> Result<()>) -> Result<()> {
        match self {
            Self::MakeDirectory { path } => {
                fs::create_dir(path).map_err(Error::io("make the directory", path))
            }
            Self::RemoveDirectory { path, .. } => match fs::remove_dir(path) {
                // Something was put into it since the plan was made: then it is not ours to remove.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                other => other.map_err(Error::io("remove the directory", path)),
            },
            Self::RemoveLink { path, was } => match read_link(path)? {
                Some(text) if text == *was => fs::remove_file(path).map_err(Error::io("remove", path)),
                Some(_) => Err(changed(path)),
                None => Ok(()),
            },
            Self::MoveAside { from, to } => rename_to_free(from, to).map_err(Error::io("move aside", from)),
            Self::PutLink { path, link, was: None, .. } => {
                symlink(link, path).map_err(Error::io("make the link", path))
            }
            Self::PutLink { path, link, was: Some(was), temp } => {
                if read_link(path)?.as_ref() != Some(was) {
                    return Err(changed(path));
                }
                replace_link(path, link, temp, checkpoint)
            }
        }
    }

    /// Takes it back, as far as it was done. What somebody else changed meanwhile is left and told in `notes`.
    pub(crate) fn undo(&self, notes: &mut Vec<String>) -> Result<()> {
        match self {
            Self::MakeDirectory { path } => match fs::remove_dir(path) {
                Err(error)
                    if !matches!(
                        error.kind(),
                        io::ErrorKind::NotFound
                            | io::ErrorKind::DirectoryNotEmpty
                            | io::ErrorKind::NotADirectory
                    ) =>
                {
                    Err(Error::io("remove the directory", path)(error))
                }
                _ => Ok(()),
            },
            Self::RemoveDirectory { path, mode } => match fs::DirBuilder::new().mode(*mode).create(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    Err(Error::io("make the directory", path)(error))
                }
                _ => Ok(()),
            },
            Self::RemoveLink { path, was } => match symlink(was, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if read_link(path)?.as_ref() != Some(was) {
                        notes.push(left(path));
                    }
                    Ok(())
                }
                other => other.map_err(Error::io("make the link", path)),
            },
            Self::MoveAside { from, to } => {
                if fs::symlink_metadata(to).is_err() {
                    return Ok(());
                }
                if fs::symlink_metadata(from).is_ok() {
                    notes.push(format!(
                        "`{}` and `{}` are both there and were left",
                        from.display(),
                        to.display()
                    ));
                    return Ok(());
                }
                rename_to_free(to, from).map_err(Error::io("move back", to))
            }
            Self::PutLink { path, link, was, temp } => {
                if read_link(temp)?.as_ref() == Some(link) {
                    fs::remove_file(temp).map_err(Error::io("remove", temp))?;
                }
                let Some(text) = read_link(path)? else {
                    if fs::symlink_metadata(path).is_ok() {
                        notes.push(left(path));
                    }
                    return Ok(());
                };
                match was {
                    _ if text != *link => {
                        if was.as_ref() != Some(&text) {
                            notes.push(left(path));
                        }
                        Ok(())
                    }
                    None => fs::remove_file(path).map_err(Error::io("remove", path)),
                    Some(was) => replace_link(path, was, temp, &|_| Ok(())),
                }
            }
        }
    }

    /// The entry that it changes.
    pub fn path(&self) -> &Path {
        match self {
            Self::MakeDirectory { path }
            | Self::RemoveDirectory { path, .. }
            | Self::RemoveLink { path, .. }
            | Self::PutLink { path, .. } => path,
            Self::MoveAside { from, .. } => from,
        }
    }
}

fn left(path: &Path) -> String {
    format!("`{}` was changed by somebody else and was left", path.display())
}

fn changed(path: &Path) -> Error {
    Error::io("change", path)(io::Error::other("it was changed while the switch was under way"))
}

/// The text of a link; nothing for what is no link.
pub(crate) fn read_link(path: &Path) -> Result<Option<PathBuf>> {
    match fs::read_link(path) {
        Ok(text) => Ok(Some(text)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidInput | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(Error::io("read the link", path)(error)),
    }
}

fn replace_link(
    path: &Path,
    link: &Path,
    temp: &Path,
    checkpoint: &dyn Fn(&str) -> Result<()>,
) -> Result<()> {
    symlink(link, temp).map_err(Error::io("make the link", temp))?;
    checkpoint("putting the link in place")
        .and_then(|()| fs::rename(temp, path).map_err(Error::io("put in place the link", path)))
}

fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows the flag.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        other => Ok(other?),
    }
}
