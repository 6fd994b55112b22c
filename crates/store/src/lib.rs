//! The Nix store on disk, in the format of C++ Nix 2.34: files, database, locks, roots, profiles, garbage
//! collection.
//!
//! [`LocalStore`] is the store; [`StoreConfig`] says where it is, and [`placement`] helps to decide that. Both this
//! crate and C++ Nix may work on one store at the same time: the schema, the lock files and the order of steps are
//! the same. Nothing here evaluates, builds or fetches, and nothing is read from the environment.
//!
//! What is on disk counts only once it is registered in the database, so every change is made in this order: a
//! temporary name, the final name, the database.

mod add;
mod batch;
mod closure;
mod config;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod crash_tests;
mod database;
mod deferred;
mod directories;
mod dump;
mod error;
mod event;
mod fault;
mod gc;
mod gc_server;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod gc_server_tests;
mod lock;
mod metadata;
pub mod namespace;
mod optimise;
mod path_info;
pub mod placement;
pub mod profiles;
mod remove;
mod replace;
mod restore;
mod roots;
mod runtime_roots;
mod scan;
mod self_hash;
mod store;
mod temp_roots;
mod verify;

pub use add::{Existing, Source};
pub use closure::{ClosureOptions, Direction};
pub use config::StoreConfig;
pub use deferred::Deferred;
pub use dump::{Filter, Node, Tree, dump_path, hash_path};
pub use error::{Result, StoreError};
pub use event::{Reporter, StoreEvent};
pub use gc::{GcAction, GcOptions, GcResult};
pub use lock::{AfterUnlock, LockKind, PathLocks};
pub use metadata::{InodesSeen, Owner, STORE_MTIME, canonicalise};
pub use optimise::OptimiseResult;
pub use path_info::PathInfo;
pub use placement::{Decision, Placement, Surroundings};
pub use profiles::{Generation, GenerationNumber, Generations, Profile};
pub use remove::delete_tree;
pub use restore::restore_nar;
pub use roots::{Root, Roots};
pub use scan::{ReferenceScanner, Tee};
pub use self_hash::hash_path_modulo;
pub use store::LocalStore;
pub use verify::{Problem, VerifyDepth, VerifyReport};

/// A number of bytes for people: `1.5 MiB`.
pub fn format_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}
