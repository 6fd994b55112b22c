//! Sources: flake references of the command line, and how inputs come into the store.
//!
//! What is here needs no network: folders, files and archives of this machine. Transports and registries get their room
//! here too.

mod fetch;
mod flake_ref;
mod tarball;

pub use fetch::{FetchError, FetchedFile, FetchedTree, check_kind, fetch_archive, fetch_file, fetch_tree};
pub use flake_ref::{FlakeRef, FlakeRefError};
pub use tarball::{TarballError, unpack};
