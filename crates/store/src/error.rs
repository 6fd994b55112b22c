use std::io;
use std::path::{Path, PathBuf};

use nival_formats::{Hash, StorePath};

/// What can go wrong with a store on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A system call failed.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried, as in "cannot …".
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("the database `{path}` failed: {source}")]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The database or its schema file can't be what Nix or Nival wrote.
    #[error("the store database `{path}` is corrupt: {detail}")]
    CorruptDatabase {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The store was made by a later Nix, or by one older than 2012.
    #[error("the store `{path}` has schema version {found}, and only version {supported} is supported")]
    UnsupportedSchema {
        /// The schema file.
        path: PathBuf,
        /// The version in it.
        found: u32,
        /// The version of this program.
        supported: u32,
    },
    /// There is no store, and it must not be created.
    #[error("there is no store at `{path}`, and it can't be created in read-only mode")]
    NoStore {
        /// Where the schema file should be.
        path: PathBuf,
    },
    /// A change was asked of a store that is opened for queries only.
    #[error("cannot {action}: the store `{path}` is opened read-only")]
    ReadOnly {
        /// What was tried.
        action: &'static str,
        /// The real store directory.
        path: PathBuf,
    },
    /// The store directory or a parent is a symlink.
    #[error("`{path}` is a symlink, which isn't allowed for the store and its parents")]
    SymlinkedStore {
        /// The symlink.
        path: PathBuf,
    },
    /// A path isn't registered in this store.
    #[error("the path `{0}` is not valid in this store")]
    NotValid(String),
    /// Neither a store path nor something below one.
    #[error("`{path}` is not in the store `{store_dir}`")]
    NotInStore {
        /// What was given.
        path: String,
        /// The logical store directory.
        store_dir: String,
    },
    /// A file that can't be in a store: a socket, a device, …
    #[error("`{path}` is a {kind}, which can't be added to the store")]
    UnsupportedFile {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A file name that the NAR format or this system can't carry.
    #[error("`{path}` has an unsupported file name")]
    UnsupportedName {
        /// The file.
        path: PathBuf,
    },
    /// A directory or a link was given where the method hashes one file.
    #[error("`{path}` is not a regular file, as flat hashing needs")]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// The contents aren't those that were promised.
    #[error("hash mismatch for `{path}`\n  specified: {specified}\n  got:       {got}")]
    HashMismatch {
        /// What was being added.
        path: String,
        /// The promised hash.
        specified: Box<Hash>,
        /// The hash of what came.
        got: Box<Hash>,
    },
    /// The NAR has another size than promised.
    #[error("size mismatch for `{path}`: {specified} bytes were specified, got {got}")]
    SizeMismatch {
        /// What was being added.
        path: String,
        /// The promised size.
        specified: u64,
        /// The size of what came.
        got: u64,
    },
    /// A path claims a content address that its contents don't have.
    #[error("`{0}` claims to be content-addressed, but its path doesn't follow from its content address")]
    NotContentAddressed(String),
    /// References among the registered paths form a cycle.
    #[error("the references of `{from}` and `{to}` form a cycle")]
    ReferenceCycle {
        /// A path of the cycle.
        from: String,
        /// Another one.
        to: String,
    },
    /// The path is still referred to.
    #[error("cannot delete `{path}`: it is in use by {}", list(referrers))]
    InUse {
        /// The path.
        path: String,
        /// The valid paths that refer to it.
        referrers: Vec<String>,
    },
    /// The path is reachable from a root.
    #[error("cannot delete `{path}`: it is still alive")]
    Alive {
        /// The path.
        path: String,
    },
    /// A derivation's recorded outputs don't follow from its contents.
    #[error("the derivation `{path}` is wrong: {detail}")]
    BadDerivation {
        /// The .drv path.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// A derivation can't be hashed, or its outputs don't follow from it.
    #[error(transparent)]
    Derivation(#[from] nival_formats::derivation::DerivationError),
    /// Files can't be hashed in this way.
    #[error("`{path}` is addressed by the method `{method}`, which is not supported")]
    UnsupportedMethod {
        /// The path.
        path: String,
        /// The method.
        method: &'static str,
    },
    /// A NAR that doesn't follow the format.
    #[error("bad NAR for `{path}`: {detail}")]
    BadNar {
        /// Where it was being unpacked.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The name can't be part of a store path, or the path can't be computed.
    #[error("cannot make a store path named `{name}`: {detail}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong.
        detail: String,
    },
    /// A root can't be put where a file already is, or in the store.
    #[error("cannot create the root `{path}`: {reason}")]
    BadRoot {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The profile has no such generation.
    #[error("generation {number} of the profile `{profile}` does not exist")]
    NoGeneration {
        /// The profile.
        profile: PathBuf,
        /// What was asked for.
        number: u64,
    },
    /// Nothing to roll back to.
    #[error("the profile `{profile}` has no generation older than the current one ({current})")]
    NoOlderGeneration {
        /// The profile.
        profile: PathBuf,
        /// The current generation, 0 if there is none.
        current: u64,
    },
    /// The current generation must stay.
    #[error("cannot delete generation {number} of the profile `{profile}`: it is the current one")]
    CurrentGeneration {
        /// The profile.
        profile: PathBuf,
        /// The current generation.
        number: u64,
    },
    /// The caller's own filter failed while a source was added.
    #[error(transparent)]
    Filter(Box<dyn std::error::Error + Send + Sync>),
}

/// The store's results.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    /// What the user can do about it, if that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, path, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space, for instance with `nival gc`, and run this again".into())
                }
                io::ErrorKind::ReadOnlyFilesystem => {
                    Some("the file system is mounted read-only; name another store with `--store DIR`".into())
                }
                io::ErrorKind::PermissionDenied => Some(format!(
                    "check who owns `{}`; `--store DIR` uses a store of your own",
                    path.parent().unwrap_or(path).display()
                )),
                _ => None,
            },
            Self::Database { path, source } => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DiskFull) => {
                    Some("free some space, for instance with `nival gc`, and run this again".into())
                }
                Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => {
                    Some(format!("check that you may write to `{}` and its directory", path.display()))
                }
                _ => None,
            },
            Self::CorruptDatabase { path, .. } => {
                let dir = path.parent().unwrap_or(path).display();
                Some(format!(
                    "nothing was changed; keep a copy of `{dir}`, then restore it from a backup, \
                     or try `sqlite3 {} .recover`",
                    path.display()
                ))
            }
            Self::UnsupportedSchema { found, supported, .. } if found > supported => {
                Some("the store was upgraded by a newer program; use that one, or another store".into())
            }
            Self::UnsupportedSchema { .. } => {
                Some("open the store once with C++ Nix 2.x, which upgrades it".into())
            }
            Self::SymlinkedStore { .. } => {
                Some("set `allow-symlinked-store = true` if you know what follows from it".into())
            }
            Self::HashMismatch { .. } => {
                Some("if the new contents are what you want, put the hash that was got in place".into())
            }
            Self::Alive { path } => Some(format!("`nix-store --query --roots {path}` shows what keeps it")),
            Self::NoGeneration { profile, .. } | Self::NoOlderGeneration { profile, .. } => {
                Some(format!("`ls -l {}-*-link` shows the generations there are", profile.display()))
            }
            Self::CurrentGeneration { .. } => Some("switch to another generation first".into()),
            Self::UnsupportedFile { .. } => {
                Some("leave it out with a filter, or move it out of the directory".into())
            }
            _ => None,
        }
    }

    /// Whether this is an I/O error of the given kind.
    pub fn is_io(&self, kind: io::ErrorKind) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == kind)
    }
}

/// Gives an I/O result its place.
pub(crate) trait IoContext<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> IoContext<T> for std::result::Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| StoreError::Io { action, path: path.to_owned(), source: error.into() })
    }
}

fn list(paths: &[String]) -> String {
    paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
}

/// Keeps the type of the path in messages out of the way of callers that have a parsed one.
pub(crate) fn not_valid(store_dir: &nival_formats::StoreDir, path: &StorePath) -> StoreError {
    StoreError::NotValid(store_dir.display(path))
}
