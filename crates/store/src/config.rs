use std::path::PathBuf;
use std::sync::Arc;

use nival_formats::StoreDir;

use crate::event::Reporter;

/// Where a local store is and how it is used.
///
/// Nothing here is read from the environment: the caller decides.
#[derive(Clone)]
pub struct StoreConfig {
    /// The logical store directory, which is part of every store path's hash; nearly always `/nix/store`.
    pub store_dir: StoreDir,
    /// Where the files of the store are on this machine.
    pub real_store_dir: PathBuf,
    /// Database, roots, profiles and locks, such as `/nix/var/nix`.
    pub state_dir: PathBuf,
    /// Build logs, such as `/nix/var/log/nix`.
    pub log_dir: PathBuf,
    /// Query only: take no lock, create nothing, open the database as immutable.
    pub read_only: bool,
    /// Let SQLite call `fsync` at its checkpoints (setting `fsync-metadata`).
    pub fsync_metadata: bool,
    /// Call `fsync` on every store file before it is registered (setting `fsync-store-paths`).
    pub fsync_store_paths: bool,
    /// Keep the database in WAL mode (setting `use-sqlite-wal`).
    pub use_sqlite_wal: bool,
    /// Bytes kept aside so that a full disk can still be garbage collected (setting `gc-reserved-space`).
    pub reserved_space: u64,
    /// Accept a store directory that is reached through a symlink (setting `allow-symlinked-store`).
    pub allow_symlinked_store: bool,
    /// Replace equal files by hard links as they are added (setting `auto-optimise-store`).
    pub auto_optimise: bool,
    /// Extended attributes that stay on store files (setting `ignored-acls`).
    pub ignored_acls: Vec<String>,
    /// NARs up to this many bytes are kept in memory while they are added (setting `nar-buffer-size`).
    pub nar_buffer_size: u64,
    /// Told about waits, deletions and stale roots.
    pub reporter: Reporter,
}

impl StoreConfig {
    /// The machine's store: `/nix/store` with its state in `/nix/var`.
    pub fn system() -> Self {
        Self::from_parts("/nix/store", "/nix/var/nix", "/nix/var/log/nix")
    }

    /// A store below `root`, whose paths still read `/nix/store/…` (C++ Nix: `--store <root>`).
    pub fn chroot(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self::from_parts(root.join("nix/store"), root.join("nix/var/nix"), root.join("nix/var/log/nix"))
    }

    /// A store with logical directory `/nix/store` and the given physical places.
    pub fn from_parts(
        real_store_dir: impl Into<PathBuf>,
        state_dir: impl Into<PathBuf>,
        log_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            store_dir: StoreDir::default(),
            real_store_dir: real_store_dir.into(),
            state_dir: state_dir.into(),
            log_dir: log_dir.into(),
            read_only: false,
            fsync_metadata: true,
            fsync_store_paths: false,
            use_sqlite_wal: true,
            reserved_space: 8 * 1024 * 1024,
            allow_symlinked_store: false,
            auto_optimise: false,
            ignored_acls: ["security.csm", "security.selinux", "system.nfs4_acl"].map(str::to_owned).into(),
            nar_buffer_size: 32 * 1024 * 1024,
            reporter: Arc::new(|_| {}),
        }
    }

    /// The directory of the database.
    pub fn db_dir(&self) -> PathBuf {
        self.state_dir.join("db")
    }

    /// The directory of the permanent garbage collector roots.
    pub fn roots_dir(&self) -> PathBuf {
        self.state_dir.join("gcroots")
    }

    /// The directory of the profiles that belong to this store.
    pub fn profiles_dir(&self) -> PathBuf {
        self.state_dir.join("profiles")
    }

    /// The directory with one hard link for each distinct file.
    pub fn links_dir(&self) -> PathBuf {
        self.real_store_dir.join(".links")
    }
}
