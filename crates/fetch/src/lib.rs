//! Sources: how inputs come into the store.
//!
//! What is here needs no network: folders, files, archives and Git repositories of this machine. Transports and registries get their room
//! here too.

mod fetch;
mod git;
mod tarball;

pub use fetch::{
    FetchError, FetchedFile, FetchedTree, Shown, check_kind, fetch_archive, fetch_file, fetch_tree,
};
pub use git::{GitError, GitOptions, Memory, Problem};
pub use tarball::{TarballError, unpack};
