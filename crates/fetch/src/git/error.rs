//! What can be wrong with a Git repository, in the words of C++ Nix 2.34's `src/libfetchers/git*.cc`.

use std::path::PathBuf;

use gix::ObjectId;
use thiserror::Error;

/// Why nothing came out of a Git repository.
#[derive(Debug, Error)]
pub enum GitError {
    /// There is nothing at the path.
    #[error("Git repository \"{}\" does not exist.", .0.display())]
    Missing(PathBuf),
    /// It cannot be opened.
    #[error("opening Git repository \"{}\": {problem} (libgit2 error code = {})", path.display(), problem.code())]
    Open {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        problem: Problem,
    },
    /// What was done when something of the repository turned out to be missing or damaged.
    #[error("{doing}: {problem} (libgit2 error code = {})", problem.code())]
    Read {
        /// What was done.
        doing: String,
        /// What is wrong.
        problem: Problem,
    },
    /// Uncommitted changes, where the settings do not allow them.
    #[error("Git tree '{0}' is dirty")]
    Dirty(String),
    /// A history that ends before its beginning.
    #[error(
        "'{0}' is a shallow Git repository, but shallow repositories are only allowed when `shallow = true;` is specified"
    )]
    Shallow(String),
    /// A bare repository without what is asked for.
    #[error("Failed to fetch git repository '{0}'")]
    Fetch(String),
    /// A bare repository without the revision.
    #[error(
        "Cannot find Git revision '{revision}' in ref '{reference}' of repository '{url}'! Please make sure that the rev exists \
         on the ref you've specified or add allRefs = true; to fetchGit."
    )]
    NoRevision {
        /// The revision.
        revision: ObjectId,
        /// Where it was looked for.
        reference: String,
        /// The repository.
        url: String,
    },
    /// Two wishes that nobody can meet together.
    #[error("exportIgnore and submodules are not supported together yet")]
    ExportIgnoreWithSubmodules,
    /// A hash that no revision can have.
    #[error("Hash '{0}' is not supported by Git. Supported types are sha1 and sha256.")]
    HashKind(String),
    /// Signatures of changes that are not committed.
    #[error("commit verification is required for Git repository '{0}', but it's dirty")]
    UnverifiedDirty(String),
    /// A signature that is missing or wrong.
    #[error("Commit signature verification on commit {revision} failed: {output}")]
    Unverified {
        /// The commit.
        revision: ObjectId,
        /// What `git verify-commit` said.
        output: String,
    },
    /// A key of a kind that signs nothing.
    #[error("Invalid SSH key type '{0}' in publicKeys.\nPlease use one of:\n{1}")]
    KeyKind(String, String),
    /// A key that is none.
    #[error("public key '{0}' is no Base64 text")]
    BadKey(String),
    /// The program that verifies signatures is missing.
    #[error("executing 'git', which verifies the signatures of commits: {0}")]
    Program(String),
    /// A relative URL with nothing to start from.
    #[error("resolving Git submodule URL '{0}'")]
    SubmoduleUrl(String),
    /// Submodules within submodules, without end.
    #[error("the submodules of '{0}' are nested too deeply")]
    Depth(String),
    /// A tree that no file system holds.
    #[error("the Git tree '{id}' {problem}")]
    Tree {
        /// The tree.
        id: ObjectId,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file of the work tree, or of the repository, cannot be read.
    #[error("cannot read '{}': {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// What is handed on to the store.
    #[error("cannot write the files of a Git repository to the store: {0}")]
    Write(#[from] std::io::Error),
}

/// What is wrong with something in a repository: libgit2's messages, with the number that C++ Nix shows of their class.
#[derive(Debug, Error)]
pub enum Problem {
    /// No repository at all.
    #[error("could not find repository at '{0}'")]
    NoRepository(String),
    /// Another user's.
    #[error("repository path '{0}' is not owned by current user")]
    Owner(String),
    /// A name that stands for nothing.
    #[error("revspec '{0}' not found")]
    NoReference(String),
    /// A file of `refs` with something else in it.
    #[error("corrupted loose reference file: {0}")]
    BadReference(String),
    /// A revision that is not there.
    #[error("object not found - no match for id ({0})")]
    NoObject(ObjectId),
    /// An object of another kind, or damaged.
    #[error("{0}")]
    BadObject(String),
    /// A damaged index.
    #[error("failed to read index: {0}")]
    BadIndex(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Problem {
    fn code(&self) -> u8 {
        match self {
            Problem::Other(_) => 3,
            Problem::NoReference(_) | Problem::BadReference(_) => 4,
            Problem::NoRepository(_) => 6,
            Problem::Owner(_) => 7,
            Problem::NoObject(_) | Problem::BadObject(_) => 9,
            Problem::BadIndex(_) => 10,
        }
    }
}

pub(super) type Result<T, E = GitError> = std::result::Result<T, E>;
