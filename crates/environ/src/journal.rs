//! The journal of a switch that is under way: what was there before, and how to get back to it.
//!
//! It is written before each step with all that the step is going to change, and removed at the end. So a
//! journal that a command finds, while it holds the lock, is that of a switch that was cut short.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::record::{Record, write_json};
use crate::units::UnitAction;

/// A journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The running generation before the switch.
    pub from: Option<u64>,
    /// The store path that is switched to; none when the home is uninstalled.
    pub to: Option<PathBuf>,
    /// The generations there were.
    pub generations: Vec<u64>,
    /// The step that is under way.
    pub step: String,
    /// All changes to the home so far, and those of this step.
    pub operations: Vec<Operation>,
    /// The requests to the unit manager so far, and those of this step.
    pub units: Vec<UnitAction>,
    /// The scripts that were started. They can't be undone.
    pub scripts: Vec<String>,
    /// Set when every step is done: from here the switch is finished and no longer led back.
    pub finished: Option<Finish>,
}

/// What remains to be done when every step of a switch is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// What is Nival's from now on.
    pub record: Record,
    /// Files that were replaced, as the user asked, and kept until now.
    pub replaced: Vec<PathBuf>,
}

impl Journal {
    /// The journal in a state directory, if there is one.
    pub fn read(state: &Path) -> Result<Option<Self>> {
        let path = path(state);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| Error::Journal { path, problem: error.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    pub(crate) fn write(&self, state: &Path) -> Result<()> {
        write_json(&path(state), self)
    }

    pub(crate) fn remove(state: &Path) -> Result<()> {
        let path = path(state);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}

fn path(state: &Path) -> PathBuf {
    state.join("journal.json")
}
