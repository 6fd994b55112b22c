//! An open local store and what can be asked of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use nival_formats::{Derivation, HashModuloMemo, StoreDir, StorePath};

use crate::config::StoreConfig;
use crate::database::{Database, DatabaseOptions, OpenMode, SCHEMA_VERSION};
use crate::directories;
use crate::error::{IoContext as _, Result, StoreError, not_valid};
use crate::lock::PathLocks;
use crate::path_info::PathInfo;
use crate::temp_roots::TempRoots;

/// A store on this machine, in the format of C++ Nix 2.34.
///
/// It may be used by several threads and by several programs at once.
pub struct LocalStore {
    pub(crate) config: StoreConfig,
    pub(crate) database: Database,
    pub(crate) temp_roots: Mutex<TempRoots>,
    /// Held while paths are added under their locks; alone by who adds without them.
    pub(crate) adding: RwLock<()>,
    /// Hashes of derivations whose output paths were checked.
    pub(crate) memo: HashModuloMemo,
    /// Shared as long as the store is open, so that nobody changes the schema meanwhile.
    _big_lock: Option<File>,
}

impl LocalStore {
    /// Opens the store, and makes it if it doesn't exist and may be written.
    pub fn open(config: StoreConfig) -> Result<Self> {
        let big_lock = if config.read_only { None } else { Some(directories::prepare(&config)?) };
        if !config.allow_symlinked_store {
            directories::refuse_symlinks(&config.real_store_dir)?;
        }
        let schema = config.db_dir().join("schema");
        let mode = match read_schema_version(&schema)? {
            Some(SCHEMA_VERSION) if config.read_only => OpenMode::Immutable,
            Some(SCHEMA_VERSION) => OpenMode::Existing,
            Some(found) => {
                return Err(StoreError::UnsupportedSchema { path: schema, found, supported: SCHEMA_VERSION });
            }
            None if config.read_only => return Err(StoreError::NoStore { path: schema }),
            None => OpenMode::Create,
        };
        let database = Database::open(DatabaseOptions {
            store_dir: &config.store_dir,
            file: config.db_dir().join("db.sqlite"),
            mode,
            use_wal: config.use_sqlite_wal,
            sync: config.fsync_metadata,
            reporter: config.reporter.clone(),
        })?;
        if mode == OpenMode::Create {
            write_schema_version(&schema)?;
        }
        Ok(Self {
            temp_roots: Mutex::new(TempRoots::new(&config)),
            adding: RwLock::new(()),
            config,
            database,
            memo: HashModuloMemo::default(),
            _big_lock: big_lock,
        })
    }

    /// How the store was opened.
    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// The logical store directory.
    pub fn store_dir(&self) -> &StoreDir {
        &self.config.store_dir
    }

    /// Where the files of `path` are on this machine.
    pub fn real_path(&self, path: &StorePath) -> PathBuf {
        self.config.real_store_dir.join(path.as_str())
    }

    /// Where a file in the store is on this machine, given as it is named in the store (`/nix/store/…/bin/x`).
    pub fn real_file(&self, file: &str) -> Result<PathBuf> {
        let (path, rest) = self.config.store_dir.split(file).map_err(|_| StoreError::NotInStore {
            path: file.to_owned(),
            store_dir: self.config.store_dir.to_string(),
        })?;
        Ok(self.real_path(&path).join(rest.trim_start_matches('/')))
    }

    /// The full logical path as text.
    pub fn display(&self, path: &StorePath) -> String {
        self.config.store_dir.display(path)
    }

    /// Parses a full logical path.
    pub fn parse(&self, path: &str) -> Result<StorePath> {
        self.config.store_dir.parse(path).map_err(|_| StoreError::NotInStore {
            path: path.to_owned(),
            store_dir: self.config.store_dir.to_string(),
        })
    }

    /// Whether the path is registered.
    pub fn is_valid_path(&self, path: &StorePath) -> Result<bool> {
        self.database.is_valid(path)
    }

    /// Those of `paths` that are registered.
    pub fn query_valid_paths<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a StorePath, IntoIter: Clone>,
    ) -> Result<BTreeSet<StorePath>> {
        self.database.filter_valid(paths.into_iter())
    }

    /// All registered paths.
    pub fn query_all_valid_paths(&self) -> Result<BTreeSet<StorePath>> {
        self.database.all_valid()
    }

    /// What is known of a path; an error if it isn't valid.
    pub fn query_path_info(&self, path: &StorePath) -> Result<PathInfo> {
        self.database.path_info(path)?.ok_or_else(|| not_valid(self.store_dir(), path))
    }

    /// What is known of a path, if it is valid.
    pub fn try_path_info(&self, path: &StorePath) -> Result<Option<PathInfo>> {
        self.database.path_info(path)
    }

    /// What a valid path refers to.
    pub fn query_references(&self, path: &StorePath) -> Result<BTreeSet<StorePath>> {
        self.database.references(path)?.ok_or_else(|| not_valid(self.store_dir(), path))
    }

    /// The valid paths that refer to a path, itself included if it does.
    pub fn query_referrers(&self, path: &StorePath) -> Result<BTreeSet<StorePath>> {
        self.database.referrers(path)
    }

    /// The valid derivations that have the path as an output.
    pub fn query_valid_derivers(&self, path: &StorePath) -> Result<BTreeSet<StorePath>> {
        self.database.valid_derivers(path)
    }

    /// The output paths of a valid derivation, as far as they are known without building.
    pub fn query_derivation_outputs(&self, drv: &StorePath) -> Result<BTreeMap<String, StorePath>> {
        self.database.derivation_outputs(drv)?.ok_or_else(|| not_valid(self.store_dir(), drv))
    }

    /// The valid path with this hash part.
    pub fn query_path_from_hash_part(&self, hash_part: &str) -> Result<Option<StorePath>> {
        self.database.path_from_hash_part(hash_part)
    }

    /// Reads a `.drv` file, whether it is registered or not.
    pub fn read_derivation(&self, drv: &StorePath) -> Result<Derivation> {
        let file = self.real_path(drv);
        let text = fs::read(&file).at("read the derivation", &file)?;
        drv.derivation_name().map_err(|error| self.bad_derivation(drv, &error)).and_then(|name| {
            Derivation::parse(self.store_dir(), name, &text).map_err(|error| self.bad_derivation(drv, &error))
        })
    }

    pub(crate) fn bad_derivation(&self, drv: &StorePath, error: &dyn std::fmt::Display) -> StoreError {
        StoreError::BadDerivation { path: self.display(drv), detail: error.to_string() }
    }

    /// Adds signatures to a valid path.
    pub fn add_signatures(&self, path: &StorePath, signatures: &BTreeSet<String>) -> Result<()> {
        self.require_writable("sign a path")?;
        self.database.add_signatures(path, signatures)
    }

    /// Locks the files of store paths against other programs that would make them. Waits where it must.
    pub fn lock_paths<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<PathLocks> {
        self.require_writable("lock store paths")?;
        PathLocks::acquire(paths.into_iter().map(|path| self.real_path(path)), &self.config.reporter)
    }

    /// As [`Self::lock_paths`], but answers with nothing where it would have to wait.
    pub fn try_lock_paths<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a StorePath>,
    ) -> Result<Option<PathLocks>> {
        self.require_writable("lock store paths")?;
        PathLocks::try_acquire(paths.into_iter().map(|path| self.real_path(path)))
    }

    /// Keeps a path from being collected as long as this process lives, whether it is valid yet or not.
    pub fn add_temp_root(&self, path: &StorePath) -> Result<()> {
        self.add_temp_roots(&[path])
    }

    /// As [`Self::add_temp_root`], for many at once.
    pub fn add_temp_roots(&self, paths: &[&StorePath]) -> Result<()> {
        if self.config.read_only {
            // Nothing can be deleted either.
            return Ok(());
        }
        let mut temp_roots = self.temp_roots.lock().unwrap_or_else(PoisonError::into_inner);
        temp_roots.add(&self.config.store_dir, paths)
    }

    pub(crate) fn require_writable(&self, action: &'static str) -> Result<()> {
        if self.config.read_only {
            return Err(StoreError::ReadOnly { action, path: self.config.real_store_dir.clone() });
        }
        Ok(())
    }
}

fn read_schema_version(file: &Path) -> Result<Option<u32>> {
    let text = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.at("read", file)?,
    };
    let version = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    version.map(Some).ok_or_else(|| StoreError::CorruptDatabase {
        path: file.to_owned(),
        detail: "it should hold a version number".into(),
    })
}

fn write_schema_version(file: &Path) -> Result<()> {
    let temporary = file.with_extension(format!("tmp-{}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut out = File::create(&temporary)?;
        write!(out, "{SCHEMA_VERSION}")?;
        out.sync_all()?;
        fs::rename(&temporary, file)
    };
    write().at("write", file)
}
