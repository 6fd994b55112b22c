//! What Nival made in a home: the links, and the directories that it had to make for them.
//!
//! A link's text alone can't tell whose it is when it leads straight to a store file, and nothing about an
//! empty directory tells who made it, so both are written down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::context::StoreView;
use crate::error::{Error, Result};

/// What is Nival's in a home. Paths are relative to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The text of each link.
    pub links: BTreeMap<String, PathBuf>,
    /// The directories.
    pub directories: BTreeSet<String>,
}

impl Record {
    /// Reads the record kept in a state directory. There is none before the first switch; one that can't be
    /// understood is as none, which makes Nival more careful and never less.
    pub fn read(state: &Path) -> Result<Self> {
        let path = state.join("record.json");
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    pub(crate) fn write(&self, state: &Path) -> Result<()> {
        write_json(&state.join("record.json"), self)
    }
}

/// Whether a link text leads to `target` in some generation's tree, of Nival's or of Home Manager's.
pub(crate) fn leads_to_home_files(store: &StoreView, text: &Path, target: &str) -> bool {
    let Ok(rest) = text.strip_prefix(&store.logical).or_else(|_| text.strip_prefix(&store.physical)) else {
        return false;
    };
    let mut parts = rest.components();
    let tree = parts.next().map(|name| name.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    (tree.ends_with("-home-files") || tree.ends_with("-home-manager-files"))
        && parts.as_path() == Path::new(target)
}

/// Writes a file so that after a crash either the old content or the new one is there.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let temp = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = fs::File::create(&temp)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.sync_all()?;
        fs::rename(&temp, path)?;
        fs::File::open(directory)?.sync_all()
    };
    write().map_err(Error::io("write", path))
}
