//! From an input, or a URL, to a path in the store.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nival_formats::input::{AttrValue, InputError, InputKind};
use nival_formats::url::{Strictness, Url};
use nival_formats::{ContentAddressMethod, Hash, HashAlgo, Input, StorePath};
use nival_store::{LocalStore, Source, StoreError};
use thiserror::Error;

use crate::git::{self, GitError, GitOptions};
use crate::tarball::{self, TarballError};

/// A source tree in the store.
#[derive(Debug, Clone)]
pub struct FetchedTree {
    /// Where it is.
    pub path: StorePath,
    /// The SHA-256 hash of its archive.
    pub nar_hash: Hash,
    /// What was asked for, with what was found out.
    pub input: Input,
    /// Where its files are said to be.
    pub shown: Shown,
    /// The files of this machine that decide what the tree is, also those that are not there; nothing for a tree that is
    /// decided by other things.
    pub read: Vec<PathBuf>,
}

/// Where messages say that the files of a tree are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// In the store.
    Store,
    /// At a URL.
    Url(String),
    /// In a work tree of Git: files that are not tracked are not in the store.
    WorkTree(PathBuf),
}

impl FetchedTree {
    fn in_store(path: StorePath, nar_hash: Hash, input: Input) -> FetchedTree {
        FetchedTree { path, nar_hash, input, shown: Shown::Store, read: Vec::new() }
    }
}

/// A downloaded file, or what was in an archive.
#[derive(Debug, Clone)]
pub struct FetchedFile {
    /// Where it is.
    pub path: StorePath,
    /// The SHA-256 hash of the file, or of the archive form of what was unpacked.
    pub hash: Hash,
}

/// Why something could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// A path that starts nowhere.
    #[error("cannot fetch input '{0}' because it uses a relative path")]
    RelativePath(String),
    /// A path that isn't there.
    #[error("path '{0}' does not exist")]
    Missing(String),
    /// A local file that cannot be read.
    #[error("unable to download '{url}': Could not read a file:// file (37) Could not open file {path}")]
    Unreadable {
        /// Its URL.
        url: String,
        /// Its path.
        path: String,
    },
    /// A URL that is not that of an archive.
    #[error("tarball {0}.")]
    NoTarball(String),
    /// A name that only a registry could tell more of.
    #[error("indirect input '{0}' cannot be fetched directly")]
    Indirect(String),
    /// What needs a transport that isn't there.
    #[error("{what} cannot be fetched yet")]
    NoTransport {
        /// The input or the URL.
        what: String,
    },
    /// A Git repository that cannot be used.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A submodule that cannot be fetched.
    #[error("{error}")]
    Submodule {
        /// The input that it is.
        url: String,
        /// What is wrong with it.
        error: Box<FetchError>,
    },
    /// An archive that cannot be unpacked.
    #[error(transparent)]
    Tarball(#[from] TarballError),
    /// An input whose attributes are wrong.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder that cannot be used.
    #[error("{path}: {error}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
}

impl FetchError {
    /// What is said of an input that would have to be fetched from elsewhere.
    pub(crate) fn no_transport(input: &Input) -> Result<FetchError, InputError> {
        Ok(FetchError::NoTransport { what: format!("'{}'", input.to_url()?) })
    }
}

/// Refuses an input that nothing here can fetch, whatever the store.
pub fn check_kind(input: &Input) -> Result<(), FetchError> {
    match input.kind() {
        Some(InputKind::Path | InputKind::File) => Ok(()),
        Some(InputKind::Git) if input.text("url")?.is_some_and(|url| url.starts_with("file:")) => Ok(()),
        Some(InputKind::Tarball) => local_archive(input.text("url")?.unwrap_or_default()).map(drop),
        Some(InputKind::Indirect) => Err(FetchError::Indirect(input.to_url()?.to_string())),
        _ => Err(FetchError::no_transport(input)?),
    }
}

/// Brings the source tree of an input into the store. What is dubious about it goes to `warnings`, also when it fails.
pub fn fetch_tree(
    store: &LocalStore,
    input: &Input,
    options: &GitOptions<'_>,
    warnings: &mut Vec<String>,
) -> Result<FetchedTree, FetchError> {
    check_kind(input)?;
    let url = || input.text("url").map(Option::unwrap_or_default);
    match input.kind() {
        Some(InputKind::File) => {
            // As the reference has it, the file is in the store twice: as it was downloaded, and as a tree.
            let file = fetch_file(store, url()?, input.name()?)?;
            let path = store.real_path(&file.path);
            let (path, nar_hash) = add_tree(store, input.name()?, &path, &mut 0)?;
            let mut input = input.clone();
            input.set("narHash", nar_hash.to_sri());
            Ok(FetchedTree::in_store(path, nar_hash, input))
        }
        Some(InputKind::Tarball) => {
            let (path, nar_hash, last_modified) = unpack_url(store, url()?, input.name()?)?;
            let mut input = input.clone();
            if !input.attrs.contains_key("lastModified") && last_modified > 0 {
                input.set("lastModified", AttrValue::Int(last_modified));
            }
            input.set("narHash", nar_hash.to_sri());
            Ok(FetchedTree::in_store(path, nar_hash, input))
        }
        Some(InputKind::Git) => git::fetch(store, input, options, warnings),
        _ => fetch_path(store, input),
    }
}

/// Brings a file into the store as it is.
pub fn fetch_file(store: &LocalStore, url: &str, name: &str) -> Result<FetchedFile, FetchError> {
    let file = local_file(url)?;
    let source = Source {
        name,
        path: &file,
        method: ContentAddressMethod::Flat,
        algo: HashAlgo::Sha256,
        filter: None,
        expected: None,
    };
    let path = store.add_source(source)?;
    let address = store.query_path_info(&path)?.content_address;
    let hash = address.expect("a source has a content address").hash;
    Ok(FetchedFile { path, hash })
}

/// Brings what is in an archive into the store.
pub fn fetch_archive(store: &LocalStore, url: &str, name: &str) -> Result<FetchedFile, FetchError> {
    let (path, hash, _) = unpack_url(store, url, name)?;
    Ok(FetchedFile { path, hash })
}

fn fetch_path(store: &LocalStore, input: &Input) -> Result<FetchedTree, FetchError> {
    let given = input.text("path")?.unwrap_or_default();
    if !given.starts_with('/') {
        return Err(FetchError::RelativePath(input.to_url()?.to_string()));
    }
    let canonical = canonical(given);
    let mut last_modified = 0;
    let present = store.parse(&canonical).ok().filter(|path| path.name() == "source");
    let present = match present {
        Some(path) if store.is_valid_path(&path)? => Some(path),
        _ => None,
    };
    let (path, nar_hash) = match present {
        Some(path) => {
            store.add_temp_root(&path)?;
            let hash = store.query_path_info(&path)?.nar_hash;
            (path, hash)
        }
        None => {
            let real = store.real_file(&canonical).unwrap_or_else(|_| PathBuf::from(&canonical));
            if real.symlink_metadata().is_err() {
                // The doubled slash is the reference's.
                return Err(FetchError::Missing(format!("/{canonical}")));
            }
            add_tree(store, "source", &real, &mut last_modified)?
        }
    };
    let mut input = input.clone();
    if !input.attrs.contains_key("lastModified") {
        input.set("lastModified", AttrValue::Int(last_modified));
    }
    Ok(FetchedTree::in_store(path, nar_hash, input))
}

/// Adds a file or folder, and finds the time of its latest change.
fn add_tree(
    store: &LocalStore,
    name: &str,
    from: &Path,
    last_modified: &mut u64,
) -> Result<(StorePath, Hash), FetchError> {
    let mut see = |path: &Path| {
        let seconds = path.symlink_metadata().map_or(0, |metadata| metadata.mtime());
        *last_modified = (*last_modified).max(u64::try_from(seconds).unwrap_or(0));
    };
    see(from);
    let mut filter = |path: &Path, _: &'static str| {
        see(path);
        Ok(true)
    };
    let path = store.add_source(Source {
        name,
        path: from,
        method: ContentAddressMethod::NixArchive,
        algo: HashAlgo::Sha256,
        filter: Some(&mut filter),
        expected: None,
    })?;
    let hash = store.query_path_info(&path)?.nar_hash;
    Ok((path, hash))
}

fn unpack_url(store: &LocalStore, url: &str, name: &str) -> Result<(StorePath, Hash, u64), FetchError> {
    let file = local_archive(url)?;
    let state = &store.config().state_dir;
    let at = |error| FetchError::Io { path: state.clone(), error };
    let folder = tempfile::Builder::new().prefix("unpack-").tempdir_in(state).map_err(at)?;
    let unreadable = |_| FetchError::Unreadable { url: url.to_owned(), path: file.display().to_string() };
    let archive = std::fs::File::open(&file).map_err(unreadable)?;
    let last_modified = tarball::unpack(archive, folder.path(), &|| false)?;
    let root = tarball::single_folder(folder.path()).map_err(at)?;
    let (path, hash) = add_tree(store, name, &root, &mut 0)?;
    Ok((path, hash, last_modified))
}

/// The archive of this machine that a URL names.
fn local_archive(url: &str) -> Result<PathBuf, FetchError> {
    let parsed = Url::parse(url, Strictness::Strict).map_err(InputError::from)?;
    if parsed.scheme != "file" {
        return Err(FetchError::NoTransport { what: format!("'{url}'") });
    }
    let path = PathBuf::from(parsed.file_path().map_err(InputError::from)?);
    let shown = path.display();
    Err(FetchError::NoTarball(if !path.is_absolute() {
        format!("'{parsed}' must use an absolute path. The 'file' scheme does not support relative paths")
    } else if !path.exists() {
        format!("\"{shown}\" does not exist")
    } else if path.join(".git").exists() {
        format!("\"{shown}\" is a git repository, not a tarball. Please use `git+file` as the scheme")
    } else if path.is_dir() {
        format!("\"{shown}\" is a directory, not a file")
    } else {
        return Ok(path);
    }))
}

/// The file of this machine that a URL names.
fn local_file(url: &str) -> Result<PathBuf, FetchError> {
    let parsed = Url::parse(url, Strictness::Strict).map_err(InputError::from)?;
    if parsed.scheme != "file" {
        return Err(FetchError::NoTransport { what: format!("'{url}'") });
    }
    let path = parsed.file_path().map_err(InputError::from)?;
    if Path::new(&path).is_file() {
        return Ok(path.into());
    }
    Err(FetchError::Unreadable { url: url.to_owned(), path })
}

/// An absolute path without `.`, `..` and doubled slashes.
fn canonical(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
