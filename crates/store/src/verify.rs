//! Compares the database with what is on disk (C++ Nix: `LocalStore::verifyStore`).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use nival_formats::{Hash, HashAlgo, StorePath};

use crate::dump::hash_path;
use crate::error::{IoContext as _, Result, StoreError};
use crate::lock::{LockKind, open_lock_file, wait_lock};
use crate::store::LocalStore;
use crate::temp_roots;

/// What to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyDepth {
    /// That what is registered is there.
    Existence,
    /// And that its contents have the registered hash, which reads the whole store.
    Contents,
}

/// Something that is wrong with a store.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The database file is damaged.
    Database(String),
    /// A registered path is gone, and others still refer to it.
    Missing {
        /// The path.
        path: StorePath,
        /// Valid paths that refer to it.
        referrers: BTreeSet<StorePath>,
    },
    /// The contents of a path were changed.
    Modified {
        /// The path.
        path: StorePath,
        /// The registered hash.
        expected: Hash,
        /// The hash of what is there.
        got: Hash,
    },
    /// A path can't be read.
    Unreadable {
        /// The path.
        path: StorePath,
        /// Why.
        error: StoreError,
    },
    /// A file in `.links` doesn't have the hash that it is named by.
    ModifiedLink {
        /// The file.
        link: PathBuf,
    },
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database(detail) => write!(f, "the database is damaged: {detail}"),
            Self::Missing { path, referrers } => {
                let referrers: Vec<String> = referrers.iter().map(|path| format!("`{path}`")).collect();
                write!(f, "the path `{path}` is gone, but still in use by {}", referrers.join(", "))
            }
            Self::Modified { path, expected, got } => {
                write!(f, "the path `{path}` was modified\n  expected: {expected}\n  got:      {got}")
            }
            Self::Unreadable { path, error } => write!(f, "the path `{path}` can't be checked: {error}"),
            Self::ModifiedLink { link } => write!(f, "the link `{}` was modified", link.display()),
        }
    }
}

/// What verification found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Paths that were gone, that nothing refers to and that are therefore no longer registered.
    pub forgotten: Vec<StorePath>,
    /// How many paths are in order.
    pub valid: usize,
}

impl LocalStore {
    /// Checks the store. Nothing is repaired, but paths that are gone without being missed are forgotten.
    pub fn verify(&self, depth: VerifyDepth) -> Result<VerifyReport> {
        // So that no collection runs meanwhile.
        let _lock = if self.config.read_only {
            None
        } else {
            let path = temp_roots::gc_lock_path(&self.config);
            let file = open_lock_file(&path)?;
            wait_lock(&file, LockKind::Shared, &path, &self.config.reporter)?;
            Some(file)
        };
        let mut report = VerifyReport::default();
        report.problems.extend(self.database.integrity_errors()?.into_iter().map(Problem::Database));

        let (mut present, mut missing) = (BTreeSet::new(), BTreeSet::new());
        for path in self.query_all_valid_paths()? {
            if fs::symlink_metadata(self.real_path(&path)).is_ok() {
                present.insert(path);
            } else {
                missing.insert(path);
            }
        }
        for path in self.referrers_first(&missing)? {
            let mut referrers = self.query_referrers(&path)?;
            referrers.remove(&path);
            if referrers.is_empty() && !self.config.read_only {
                self.database.invalidate(&path)?;
                report.forgotten.push(path);
            } else {
                report.problems.push(Problem::Missing { path, referrers });
            }
        }
        report.valid = present.len();
        if depth == VerifyDepth::Contents {
            self.verify_links(&mut report)?;
            for path in present {
                if let Some(problem) = self.verify_contents(path)? {
                    report.valid -= 1;
                    report.problems.push(problem);
                }
            }
        }
        Ok(report)
    }

    fn verify_contents(&self, path: StorePath) -> Result<Option<Problem>> {
        let Some(info) = self.try_path_info(&path)? else { return Ok(None) };
        Ok(match hash_path(&self.real_path(&path), info.nar_hash.algo()) {
            Ok((got, _)) if got == info.nar_hash => None,
            Ok((got, _)) => Some(Problem::Modified { path, expected: info.nar_hash, got }),
            Err(error) => Some(Problem::Unreadable { path, error }),
        })
    }

    fn verify_links(&self, report: &mut VerifyReport) -> Result<()> {
        let directory = self.config.links_dir();
        for entry in fs::read_dir(&directory).at("read the directory", &directory)? {
            let link = entry.at("read the directory", &directory)?.path();
            let is_right = hash_path(&link, HashAlgo::Sha256).is_ok_and(|(hash, _)| {
                link.file_name().is_some_and(|name| name == std::ffi::OsStr::new(&hash.to_nix32()))
            });
            if !is_right {
                report.problems.push(Problem::ModifiedLink { link });
            }
        }
        Ok(())
    }
}
