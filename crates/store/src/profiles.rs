//! Profiles: a link `profile` to the current one of the generations `profile-1-link`, `profile-2-link`, …, each a
//! root for a store path (C++ Nix: `src/libstore/profiles.cc`).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nival_formats::StorePath;

use crate::error::{IoContext as _, Result, StoreError};
use crate::event::{Reporter, StoreEvent};
use crate::lock::{AfterUnlock, PathLocks};
use crate::roots::replace_link;
use crate::store::LocalStore;

/// The number of a generation; the first is 1.
pub type GenerationNumber = u64;

/// One state of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: GenerationNumber,
    /// The link `<profile>-<number>-link`.
    pub link: PathBuf,
    /// When it was created, in seconds since the epoch.
    pub created: i64,
}

impl Generation {
    /// What the generation's link says, normally a path in the logical store.
    pub fn target(&self) -> Result<PathBuf> {
        fs::read_link(&self.link).at("read the generation", &self.link)
    }
}

/// The generations of a profile, oldest number first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generations {
    /// All there are.
    pub all: Vec<Generation>,
    /// The number that the profile's link names; the generation itself may have been deleted by hand.
    pub current: Option<GenerationNumber>,
}

impl Generations {
    /// The generation with this number.
    pub fn get(&self, number: GenerationNumber) -> Option<&Generation> {
        self.all.iter().find(|generation| generation.number == number)
    }

    /// The current generation.
    pub fn current(&self) -> Option<&Generation> {
        self.get(self.current?)
    }
}

/// What happened, or would happen, to the generations of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Apply,
    /// Only say what would be done.
    DryRun,
}

/// Which generations to delete; never the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delete {
    /// These; naming the current one is an error.
    Numbers(BTreeSet<GenerationNumber>),
    /// All others.
    Old,
    /// Those that weren't current any more at this time (seconds since the epoch): the one that was is kept.
    OlderThan(i64),
    /// All before the current one but the latest of them, so that this many are left, the current one included.
    KeepLatest(u64),
}

/// A profile, by the path of its link.
#[derive(Clone)]
pub struct Profile {
    link: PathBuf,
    reporter: Reporter,
}

impl Profile {
    /// The profile at `link`, which needn't exist. Waits and removals are told to `reporter`.
    pub fn new(link: impl Into<PathBuf>, reporter: Reporter) -> Self {
        Self { link: link.into(), reporter }
    }

    /// The profile's link.
    pub fn link(&self) -> &Path {
        &self.link
    }

    /// Locks the profile against other programs for more than one change.
    pub fn lock(&self) -> Result<PathLocks> {
        if let Some(directory) = self.link.parent() {
            crate::directories::create_dirs(directory)?;
        }
        let mut lock = PathLocks::acquire([&self.link], &self.reporter)?;
        lock.set_after_unlock(AfterUnlock::Delete);
        Ok(lock)
    }

    /// All generations, and which one is current. A profile that doesn't exist has none.
    pub fn generations(&self) -> Result<Generations> {
        let directory = self.link.parent().unwrap_or(Path::new("."));
        let name = self.link.file_name().unwrap_or_default();
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Generations::default()),
            result => result.at("read the directory", directory)?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry.at("read the directory", directory)?;
            if let Some(number) = parse_name(name, &entry.file_name()) {
                let link = entry.path();
                match fs::symlink_metadata(&link) {
                    // Deleted in between.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    result => {
                        let created = result.at("examine", &link)?.mtime();
                        all.push(Generation { number, link, created });
                    }
                }
            }
        }
        all.sort_by_key(|generation| generation.number);
        let current = match fs::read_link(&self.link) {
            Ok(target) => target.file_name().and_then(|target| parse_name(name, target)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
                None
            }
            Err(error) => return Err(error).at("read the profile", &self.link),
        };
        Ok(Generations { all, current })
    }

    /// Makes a generation for `path`, without switching to it; the latest one stands if it has the same path.
    ///
    /// `path` must be kept alive by the caller until this returns, by a temporary root.
    pub fn create_generation(&self, store: &LocalStore, path: &StorePath) -> Result<Generation> {
        let generations = self.generations()?;
        let number = match generations.all.last() {
            Some(last) if last.target()? == Path::new(&store.display(path)) => return Ok(last.clone()),
            Some(last) => last.number + 1,
            None => 1,
        };
        let link = self.generation_link(number);
        store.add_permanent_root(path, &link)?;
        let created = fs::symlink_metadata(&link).at("examine", &link)?.mtime();
        Ok(Generation { number, link, created })
    }

    /// Makes `path` the current state: a new generation unless the latest is the same, and a switch to it.
    pub fn set(&self, store: &LocalStore, path: &StorePath) -> Result<Generation> {
        let _lock = self.lock()?;
        let generation = self.create_generation(store, path)?;
        self.switch_link(&generation)?;
        Ok(generation)
    }

    /// Switches to a generation that exists.
    pub fn switch(&self, number: GenerationNumber, mode: Mode) -> Result<Generation> {
        let _lock = self.lock()?;
        let generations = self.generations()?;
        let generation = generations
            .get(number)
            .ok_or_else(|| StoreError::NoGeneration { profile: self.link.clone(), number })?;
        if mode == Mode::Apply {
            self.switch_link(generation)?;
        }
        Ok(generation.clone())
    }

    /// Switches to the latest generation before the current one.
    pub fn rollback(&self, mode: Mode) -> Result<Generation> {
        let _lock = self.lock()?;
        let generations = self.generations()?;
        let current = generations.current.unwrap_or(0);
        let generation = generations
            .all
            .iter()
            .rfind(|generation| generation.number < current)
            .ok_or_else(|| StoreError::NoOlderGeneration { profile: self.link.clone(), current })?;
        if mode == Mode::Apply {
            self.switch_link(generation)?;
        }
        Ok(generation.clone())
    }

    /// Deletes generations and returns their numbers. Their paths live on until the next garbage collection.
    pub fn delete(&self, which: &Delete, mode: Mode) -> Result<Vec<GenerationNumber>> {
        let _lock = self.lock()?;
        let generations = self.generations()?;
        if let (Delete::Numbers(numbers), Some(current)) = (which, generations.current)
            && numbers.contains(&current)
        {
            return Err(StoreError::CurrentGeneration { profile: self.link.clone(), number: current });
        }
        let mut deleted = Vec::new();
        for generation in doomed(&generations, which) {
            (self.reporter)(StoreEvent::RemovingGeneration {
                profile: &self.link,
                number: generation.number,
            });
            if mode == Mode::Apply {
                fs::remove_file(&generation.link).at("remove the generation", &generation.link)?;
            }
            deleted.push(generation.number);
        }
        Ok(deleted)
    }

    /// Deletes the profile with all its generations.
    pub fn remove(&self) -> Result<()> {
        let _lock = self.lock()?;
        match fs::remove_file(&self.link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).at("remove the profile", &self.link);
            }
            _ => {}
        }
        for generation in self.generations()?.all {
            fs::remove_file(&generation.link).at("remove the generation", &generation.link)?;
        }
        Ok(())
    }

    fn switch_link(&self, generation: &Generation) -> Result<()> {
        // Relative, so that the directory can be moved.
        replace_link(&self.link, Path::new(generation.link.file_name().unwrap_or_default()))
    }

    fn generation_link(&self, number: GenerationNumber) -> PathBuf {
        let mut link = self.link.as_os_str().to_owned();
        link.push(format!("-{number}-link"));
        link.into()
    }
}

fn doomed<'a>(generations: &'a Generations, which: &Delete) -> Vec<&'a Generation> {
    let old = generations.all.iter().filter(|generation| Some(generation.number) != generations.current);
    match which {
        Delete::Numbers(numbers) => old.filter(|generation| numbers.contains(&generation.number)).collect(),
        Delete::Old => old.collect(),
        Delete::OlderThan(time) => {
            let kept = generations.all.iter().rfind(|generation| generation.created < *time);
            old.filter(|generation| kept.is_some_and(|kept| generation.number < kept.number)).collect()
        }
        Delete::KeepLatest(count) => {
            let before: Vec<&Generation> = generations
                .all
                .iter()
                .filter(|generation| generations.current.is_some_and(|current| generation.number < current))
                .collect();
            let kept = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
            let end = before.len().saturating_sub(kept);
            before[..end].to_vec()
        }
    }
}

/// The number in `<profile>-<number>-link`.
fn parse_name(profile: &OsStr, name: &OsStr) -> Option<GenerationNumber> {
    let rest = name.as_bytes().strip_prefix(profile.as_bytes())?.strip_prefix(b"-")?;
    std::str::from_utf8(rest).ok()?.strip_suffix("-link")?.parse().ok()
}
