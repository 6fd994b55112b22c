//! Decides where the store is.
//!
//! In `/nix` where the user may write there; else in a store of the user's own, which [`crate::namespace`] lets
//! appear at `/nix`, so that its paths are the same as everybody's.

use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::config::StoreConfig;

/// What the decision depends on. The caller reads it from the environment, once.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Whether the effective user is root.
    pub is_root: bool,
    /// A root directory that was asked for (`--store DIR`).
    pub explicit_root: Option<PathBuf>,
    /// Where the user's data goes: `$XDG_DATA_HOME`, or `~/.local/share`.
    pub data_home: Option<PathBuf>,
    /// The directory of the machine's store and its state, `/nix`.
    pub nix_dir: PathBuf,
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// In `/nix`.
    System,
    /// Below a directory that was asked for.
    Chroot {
        /// The directory; the store is `<root>/nix/store`.
        root: PathBuf,
    },
    /// Below the user's data directory.
    Own {
        /// The directory; the store is `<root>/nix/store`.
        root: PathBuf,
    },
}

/// A decision and its reason, for the user to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Where the store is.
    pub placement: Placement,
    /// Why, as the end of a sentence: "since …".
    pub reason: String,
}

/// There is no place for a store.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no place for a store: `{nix_dir}` can't be written, and there is no directory for user data"
)]
pub struct NoPlace {
    nix_dir: PathBuf,
}

impl NoPlace {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        "set `XDG_DATA_HOME` or `HOME`, or name a directory with `--store DIR`".into()
    }
}

impl Placement {
    /// Decides where the store is.
    pub fn decide(surroundings: &Surroundings) -> Result<Decision, NoPlace> {
        let Surroundings { is_root, explicit_root, data_home, nix_dir } = surroundings;
        if let Some(root) = explicit_root {
            return Ok(Decision {
                placement: Self::Chroot { root: root.clone() },
                reason: "it was asked for".into(),
            });
        }
        let system = |reason: String| Ok(Decision { placement: Self::System, reason });
        let shown = nix_dir.display();
        let why_not = match usable(nix_dir) {
            Usable::Yes => return system(format!("`{shown}` can be written")),
            Usable::Creatable => return system(format!("`{shown}` can be created")),
            Usable::No if *is_root => format!("`{shown}` can't be written, even by root"),
            Usable::No => format!("`{shown}` belongs to somebody else"),
            Usable::Absent => format!("`{shown}` doesn't exist and can't be created"),
        };
        match data_home {
            Some(data_home) => {
                Ok(Decision { placement: Self::Own { root: data_home.join("nival/root") }, reason: why_not })
            }
            None => Err(NoPlace { nix_dir: nix_dir.clone() }),
        }
    }

    /// How to open the store, seen from outside of any namespace.
    pub fn config(&self) -> StoreConfig {
        match self.root() {
            None => StoreConfig::system(),
            Some(root) => StoreConfig::chroot(root),
        }
    }

    /// The directory that [`crate::namespace::enter`] takes, for running programs of the store; none where the
    /// store already is where its paths say.
    pub fn root(&self) -> Option<&Path> {
        match self {
            Self::System => None,
            Self::Chroot { root } | Self::Own { root } => Some(root),
        }
    }
}

enum Usable {
    Yes,
    Creatable,
    No,
    Absent,
}

fn usable(nix_dir: &Path) -> Usable {
    let writable = |path: &Path| rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    let parts = [nix_dir.join("store"), nix_dir.join("var/nix/db")];
    let mut created = false;
    for part in &parts {
        // What isn't there yet can be made where its nearest existing parent can be written.
        let Some(existing) = part.ancestors().find(|path| path.exists()) else { return Usable::Absent };
        if !writable(existing) {
            return if existing.starts_with(nix_dir) { Usable::No } else { Usable::Absent };
        }
        created |= existing != part;
    }
    if created { Usable::Creatable } else { Usable::Yes }
}
