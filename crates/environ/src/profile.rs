//! The profile: a link to the running generation among numbered links, each a root for the garbage collector.
//!
//! Names as in C++ Nix 2.34 (`src/libstore/profiles.cc`): `<profile>-<number>-link`, with the profile itself
//! a relative link to one of them.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A numbered generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// The store path.
    pub path: PathBuf,
    /// When its link was made.
    pub created: jiff::Timestamp,
}

/// What this crate asks of a profile.
pub trait Profile {
    /// The profile's own link.
    fn link(&self) -> &Path;
    /// All generations, by number.
    fn generations(&self) -> Result<Vec<Generation>>;
    /// The number of the running generation.
    fn current(&self) -> Result<Option<u64>>;
    /// Makes a numbered link and root for a store path, without switching to it. The newest generation is
    /// used again when it has the same path; a number whose link exists is never given twice.
    fn add(&self, path: &Path) -> Result<u64>;
    /// Points the profile to a generation, or to none.
    fn activate(&self, number: Option<u64>) -> Result<()>;
    /// Removes a generation's link. One that isn't there is no error.
    fn remove(&self, number: u64) -> Result<()>;

    /// The running generation.
    fn running(&self) -> Result<Option<Generation>> {
        let Some(number) = self.current()? else { return Ok(None) };
        Ok(self.generations()?.into_iter().find(|generation| generation.number == number))
    }
}

/// Makes a link known to the store as a root for the garbage collector.
pub type AddRoot<'a> = dyn Fn(&Path) -> Result<(), String> + 'a;

/// A profile of links in a directory.
pub struct LinkProfile<'a> {
    link: PathBuf,
    add_root: Box<AddRoot<'a>>,
}

impl<'a> LinkProfile<'a> {
    /// The profile at `link`; `add_root` makes a generation's link a root of the store.
    pub fn new(link: PathBuf, add_root: impl Fn(&Path) -> Result<(), String> + 'a) -> Self {
        Self { link, add_root: Box::new(add_root) }
    }

    fn directory(&self) -> &Path {
        self.link.parent().unwrap_or(Path::new("/"))
    }

    fn link_name(&self, number: u64) -> String {
        let name = self.link.file_name().unwrap_or_default().to_string_lossy();
        format!("{name}-{number}-link")
    }

    fn number_in(&self, name: &str) -> Option<u64> {
        let base = self.link.file_name()?.to_str()?;
        name.strip_prefix(base)?.strip_prefix('-')?.strip_suffix("-link")?.parse().ok()
    }

    /// Puts a link at `place`, in one step.
    fn put(&self, place: &Path, text: &Path) -> Result<()> {
        let temp = self
            .directory()
            .join(format!(".{}.new", place.file_name().unwrap_or_default().to_string_lossy()));
        match fs::remove_file(&temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &temp)(error));
            }
            _ => {}
        }
        symlink(text, &temp).map_err(Error::io("make the link", &temp))?;
        fs::rename(&temp, place).map_err(Error::io("put in place the link", place))
    }
}

impl Profile for LinkProfile<'_> {
    fn link(&self) -> &Path {
        &self.link
    }

    fn generations(&self) -> Result<Vec<Generation>> {
        let entries = match fs::read_dir(self.directory()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("list", self.directory()))?,
        };
        let mut generations = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("list", self.directory()))?;
            let Some(number) = entry.file_name().to_str().and_then(|name| self.number_in(name)) else {
                continue;
            };
            let link = entry.path();
            let path = fs::read_link(&link).map_err(Error::io("read the link", &link))?;
            let changed =
                entry.metadata().and_then(|data| data.modified()).map_err(Error::io("look at", &link))?;
            let created = jiff::Timestamp::try_from(changed).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            generations.push(Generation { number, path, created });
        }
        generations.sort_by_key(|generation| generation.number);
        Ok(generations)
    }

    fn current(&self) -> Result<Option<u64>> {
        match fs::read_link(&self.link) {
            Ok(text) => Ok(text.file_name().and_then(|name| self.number_in(name.to_str()?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read the profile", &self.link)(error)),
        }
    }

    fn add(&self, path: &Path) -> Result<u64> {
        fs::create_dir_all(self.directory()).map_err(Error::io("make the directory", self.directory()))?;
        let newest = self.generations()?.pop();
        let number = match newest {
            Some(newest) if newest.path == path => return Ok(newest.number),
            newest => newest.map_or(1, |newest| newest.number + 1),
        };
        let link = self.directory().join(self.link_name(number));
        self.put(&link, path)?;
        (self.add_root)(&link).map_err(|problem| Error::Profile {
            doing: "add a generation to",
            profile: self.link.clone(),
            problem,
        })?;
        Ok(number)
    }

    fn activate(&self, number: Option<u64>) -> Result<()> {
        match number {
            Some(number) => self.put(&self.link, Path::new(&self.link_name(number))),
            None => remove_link(&self.link),
        }
    }

    fn remove(&self, number: u64) -> Result<()> {
        remove_link(&self.directory().join(self.link_name(number)))
    }
}

fn remove_link(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
