use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::{GenerationNumber, format_size};

/// What the store has to say while it works; the caller decides whether and how to show it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum StoreEvent<'a> {
    /// Another process holds this lock.
    WaitingForLock(&'a Path),
    /// SQLite is kept busy by another process.
    DatabaseBusy(&'a Path),
    /// The garbage collector deletes this.
    Deleting(&'a Path),
    /// The garbage collector has freed as much as was asked for.
    FreedEnough(u64),
    /// An indirect root whose link is gone was removed.
    StaleRoot {
        /// The root.
        link: &'a Path,
        /// The link that is gone.
        target: &'a Path,
    },
    /// A root leads to a path that isn't valid.
    InvalidRoot {
        /// The root.
        link: &'a Path,
        /// Where it leads.
        target: &'a Path,
    },
    /// The temporary roots of a process that has ended were removed.
    StaleTemporaryRoots(&'a Path),
    /// A place where roots may be can't be read.
    UnreadableRoot(&'a Path),
    /// A generation is removed from its profile.
    RemovingGeneration {
        /// The profile.
        profile: &'a Path,
        /// The generation.
        number: GenerationNumber,
    },
    /// A store file that somebody made writable is left alone by the optimiser.
    SuspiciousWritableFile(&'a Path),
    /// An entry of `.links` doesn't hold what its name says; it was removed.
    CorruptLink(&'a Path),
}

/// Takes the store's events; must be cheap.
pub type Reporter = Arc<dyn Fn(StoreEvent<'_>) + Send + Sync>;

impl fmt::Display for StoreEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WaitingForLock(path) => write!(f, "waiting for the lock `{}`", path.display()),
            Self::DatabaseBusy(path) => write!(f, "the database `{}` is busy", path.display()),
            Self::Deleting(path) => write!(f, "deleting `{}`", path.display()),
            Self::FreedEnough(bytes) => write!(f, "freed {}, which is enough", format_size(*bytes)),
            Self::StaleRoot { link, target } => {
                write!(f, "removing the stale root `{}` to `{}`", link.display(), target.display())
            }
            Self::InvalidRoot { link, target } => {
                write!(f, "skipping the root `{}`: `{}` isn't valid", link.display(), target.display())
            }
            Self::StaleTemporaryRoots(path) => {
                write!(f, "removing the stale temporary roots `{}`", path.display())
            }
            Self::UnreadableRoot(path) => write!(f, "can't read the possible root `{}`", path.display()),
            Self::RemovingGeneration { profile, number } => {
                write!(f, "removing generation {number} of `{}`", profile.display())
            }
            Self::SuspiciousWritableFile(path) => {
                write!(f, "skipping the suspicious writable file `{}`", path.display())
            }
            Self::CorruptLink(path) => write!(f, "removing the corrupt link `{}`", path.display()),
        }
    }
}
