//! Git repositories of this machine as inputs.
//!
//! What is taken and said is C++ Nix 2.34's `src/libfetchers/git.cc`. Where C++ Nix first copies a bare repository to its
//! cache, it is read here where it is.

mod attributes;
mod error;
mod repository;
mod signature;
mod submodules;
mod tree;
mod work_tree;

use std::path::PathBuf;
use std::rc::Rc;

use gix::ObjectId;
use gix::objs::tree::EntryKind;
use nival_formats::input::{AttrValue, InputAttrs, InputError};
use nival_formats::url::{Strictness, Url};
use nival_formats::{ContentAddress, ContentAddressMethod, Hash, HashAlgo, Hasher, Input, StorePath};
use nival_store::LocalStore;

pub use error::{GitError, Problem};

use crate::fetch::{FetchError, FetchedTree, Shown};
use attributes::ExportIgnore;
use repository::Repository;
use tree::Node;
use work_tree::WorkTree;

/// What decides how repositories are read, other than the input.
#[derive(Clone)]
pub struct GitOptions<'a> {
    /// Whether uncommitted changes may be used (`allow-dirty`).
    pub allow_dirty: bool,
    /// Whether that is said (`warn-dirty`).
    pub warn_dirty: bool,
    /// The configuration of Git that is not a repository's own, in the order in which it counts.
    pub config_files: Vec<PathBuf>,
    /// Where relative paths start.
    pub directory: PathBuf,
    /// What was found out before, if that may be used.
    pub memory: Option<&'a dyn Memory>,
}

/// Keeps what was found out, for the next time. It may forget it.
pub trait Memory {
    /// What was kept under a key.
    fn recall(&self, key: &[u8; 32]) -> Option<Vec<u8>>;
    /// Keeps something.
    fn keep(&self, key: &[u8; 32], value: &[u8]);
}

impl Default for GitOptions<'_> {
    fn default() -> Self {
        Self {
            allow_dirty: true,
            warn_dirty: true,
            config_files: Vec::new(),
            directory: PathBuf::from("/"),
            memory: None,
        }
    }
}

type Result<T> = std::result::Result<T, FetchError>;

/// Where a repository is.
enum Location {
    /// A folder with a work tree.
    Path(PathBuf),
    /// A bare repository, or what cannot be told from one.
    Bare { path: PathBuf, url: String },
}

impl Location {
    fn of(input: &Input, options: &GitOptions<'_>, warnings: &mut Vec<String>) -> Result<Location> {
        let mut url = Url::parse(input.text("url")?.unwrap_or_default(), Strictness::Strict)
            .map_err(InputError::from)?;
        if url.scheme != "file" {
            return Err(FetchError::no_transport(input)?);
        }
        let path = PathBuf::from(url.file_path().map_err(InputError::from)?);
        if !path.is_absolute() {
            warnings.push(format!(
                "Fetching Git repository '{url}', which uses a path relative to the current directory. This is not supported \
                 and will stop working in a future release. See https://github.com/NixOS/nix/issues/12281 for details."
            ));
        }
        let path = options.directory.join(path);
        if path.exists() && path.join(".git").symlink_metadata().is_err() {
            url.query.clear();
            return Ok(Location::Bare { path, url: url.to_string() });
        }
        Ok(Location::Path(path))
    }

    fn shown(&self) -> String {
        match self {
            Location::Path(path) => path.display().to_string(),
            Location::Bare { url, .. } => url.clone(),
        }
    }
}

/// The tree of an input before it is in the store.
struct Source {
    node: Node,
    input: Input,
    shown: Shown,
    /// The files that decide what the tree is.
    read: Vec<PathBuf>,
    is_dirty: bool,
}

/// Brings the tree of a repository into the store.
pub(crate) fn fetch(
    store: &LocalStore,
    input: &Input,
    options: &GitOptions<'_>,
    warnings: &mut Vec<String>,
) -> Result<FetchedTree> {
    let source = source(input, options, 0, warnings)?;
    let (path, nar_hash) = add(store, input.name()?, &source.node, options.memory)?;
    let Source { input, shown, mut read, .. } = source;
    if input.text("url")?.is_some_and(|url| !url.starts_with("file:/")) {
        // Elsewhere it would be another one.
        read.clear();
    }
    Ok(FetchedTree { path, nar_hash, input, shown, read })
}

/// Puts a tree into the store. One that was there before, and still is, is not read.
fn add(
    store: &LocalStore,
    name: &str,
    node: &Node,
    memory: Option<&dyn Memory>,
) -> Result<(StorePath, Hash)> {
    let memory = memory.and_then(|memory| Some((memory, node.key()?)));
    let known = memory.and_then(|(memory, key)| {
        let hash = Hash::parse_sri(std::str::from_utf8(&memory.recall(&key)?).ok()?).ok()?;
        let address = ContentAddress { method: ContentAddressMethod::NixArchive, hash };
        Some((store.store_dir().fixed_output_path(name, &address).ok()?, hash))
    });
    if let Some((path, hash)) = known {
        store.add_temp_root(&path)?;
        if store.is_valid_path(&path)? {
            return Ok((path, hash));
        }
    }
    let (path, hash) = store.add_written(name, |out| node.write(out).map_err(FetchError::from))?;
    if let Some((memory, key)) = memory {
        memory.keep(&key, hash.to_sri().as_bytes());
    }
    Ok((path, hash))
}

fn flag(input: &Input, name: &str) -> Result<bool> {
    Ok(input.bool(name)?.unwrap_or(false))
}

/// Submodules in submodules: their repositories may name each other.
const MAX_DEPTH: usize = 20;

fn source(
    input: &Input,
    options: &GitOptions<'_>,
    depth: usize,
    warnings: &mut Vec<String>,
) -> Result<Source> {
    if let Some(revision) = input.rev()?
        && !matches!(revision.algo(), HashAlgo::Sha1 | HashAlgo::Sha256)
    {
        let shown = revision.to_prefixed(nival_formats::HashFormat::Base16);
        return Err(GitError::HashKind(shown).into());
    }
    let location = Location::of(input, options, warnings)?;
    if depth > MAX_DEPTH {
        return Err(GitError::Depth(location.shown()).into());
    }
    let is_changeable = input.text("ref")?.is_none() && input.rev()?.is_none();
    let work_tree = match &location {
        Location::Path(path) if is_changeable => {
            let repository = Rc::new(Repository::open(path, &options.config_files)?);
            let work_tree = WorkTree::read(&repository)?;
            Some((repository, work_tree))
        }
        _ => None,
    };
    if flag(input, "exportIgnore")? && flag(input, "submodules")? {
        return Err(GitError::ExportIgnoreWithSubmodules.into());
    }
    let fetch = Fetch { input, options, location, depth, warnings };
    match work_tree {
        Some((repository, work_tree)) => fetch.work_tree(repository, work_tree),
        None => fetch.commit(),
    }
}

struct Fetch<'a> {
    input: &'a Input,
    options: &'a GitOptions<'a>,
    location: Location,
    depth: usize,
    /// What is dubious.
    warnings: &'a mut Vec<String>,
}

impl Fetch<'_> {
    fn ignored(&self, repository: &Repository, is_commit: bool) -> Result<ExportIgnore> {
        let is_on = flag(self.input, "exportIgnore")?;
        Ok(if is_on { ExportIgnore::new(repository, is_commit) } else { ExportIgnore::Off })
    }

    /// The number of commits that lead to a revision. All of them are looked at once.
    fn revision_count(&self, repository: &Repository, revision: ObjectId) -> Result<u64> {
        let is_whole = !repository.git.is_shallow().unwrap_or(true);
        let mut key = Hasher::new(HashAlgo::Blake3);
        key.update(b"number of commits 1");
        key.update(revision.as_slice());
        let key: [u8; 32] = key.finish().as_bytes().try_into().expect("BLAKE3 has 32 bytes");
        let memory = self.options.memory.filter(|_| is_whole);
        let known = memory.and_then(|memory| String::from_utf8(memory.recall(&key)?).ok()?.parse().ok());
        if let Some(count) = known {
            return Ok(count);
        }
        let count = repository.revision_count(revision)?;
        if let Some(memory) = memory {
            memory.keep(&key, count.to_string().as_bytes());
        }
        Ok(count)
    }

    /// Verifies the signature of a commit, if that is wanted; changes that are not committed have none.
    fn check_signature(&self, repository: &Repository, revision: Option<ObjectId>) -> Result<()> {
        let keys = self.input.public_keys()?;
        if !self.input.bool("verifyCommit")?.unwrap_or(!keys.is_empty()) {
            return Ok(());
        }
        match revision {
            Some(revision) => signature::verify(repository, revision, &keys)?,
            None => return Err(GitError::UnverifiedDirty(self.input.to_url()?.to_string()).into()),
        }
        Ok(())
    }

    fn commit(mut self) -> Result<Source> {
        let mut input = self.input.clone();
        let (path, is_bare) = match &self.location {
            Location::Path(path) => (path.as_path(), false),
            Location::Bare { path, .. } => (path.as_path(), true),
        };
        let repository = match Repository::open(path, &self.options.config_files) {
            // Git says of those that they are none.
            Err(GitError::Open { problem: Problem::NoRepository(_), .. }) if is_bare => {
                return Err(GitError::Fetch(self.location.shown()).into());
            }
            repository => Rc::new(repository?),
        };
        let mut read = repository.files_of_references();
        let reference = match input.text("ref")? {
            Some(reference) => reference.to_owned(),
            None => repository.head_name()?.unwrap_or_else(|| {
                if is_bare {
                    // `git ls-remote` says what the name of a commit is: the name itself.
                    return "HEAD".to_owned();
                }
                self.warnings.push(format!(
                    "could not read HEAD ref from repo at '{}', using 'master'",
                    self.location.shown()
                ));
                "master".to_owned()
            }),
        };
        input.set("ref", reference.as_str());
        let revision = match input.rev()? {
            Some(revision) => {
                let revision = object_id(&revision);
                if is_bare && !repository.git.has_object(revision) {
                    let url = self.location.shown();
                    return Err(GitError::NoRevision { revision, reference, url }.into());
                }
                revision
            }
            None => {
                let is_full = reference.starts_with("refs/") || reference == "HEAD";
                let name = if is_bare && !is_full { format!("refs/heads/{reference}") } else { reference };
                read.extend(repository.files_of_reference(&name));
                match repository.resolve(&name) {
                    Err(GitError::Read { problem: Problem::NoReference(_), .. }) if is_bare => {
                        return Err(GitError::Fetch(self.location.shown()).into());
                    }
                    revision => revision?,
                }
            }
        };
        input.set("rev", revision.to_string());
        let is_shallow = flag(&input, "shallow")?;
        if repository.git.is_shallow().unwrap_or(false) && !is_shallow {
            return Err(GitError::Shallow(self.location.shown()).into());
        }
        input.set("lastModified", AttrValue::Int(repository.last_modified(revision)?));
        if !is_shallow {
            input.set("revCount", AttrValue::Int(self.revision_count(&repository, revision)?));
        }
        self.check_signature(&repository, Some(revision))?;
        let mut ignored = self.ignored(&repository, true)?;
        if ignored.is_wanted() {
            read.extend(repository.files_of_attributes());
        }
        let tree = repository.tree_of(revision)?;
        let mut node = Node::of_tree(&repository, tree, &mut ignored)?;
        if flag(&input, "submodules")? {
            let reference = input.text("ref")?.unwrap_or_default().to_owned();
            self.mount_submodules(&mut node, &repository, tree, &reference)?;
        }
        let shown = Shown::Url(input.to_url()?.to_string());
        Ok(Source { node, input, shown, read, is_dirty: false })
    }

    /// Fetches the submodules of a commit to their places.
    fn mount_submodules(
        &mut self,
        node: &mut Node,
        repository: &Repository,
        tree: ObjectId,
        reference: &str,
    ) -> Result<()> {
        let Some((EntryKind::Blob | EntryKind::BlobExecutable, id)) =
            tree::find(repository, tree, b".gitmodules")?
        else {
            return Ok(());
        };
        let base = match &self.location {
            Location::Bare { url, .. } => Some(url.clone()),
            Location::Path(_) => None,
        };
        for submodule in submodules::parse(&repository.blob(id)?)? {
            let path = submodule.path.as_bytes();
            let Some((EntryKind::Commit, revision)) = tree::find(repository, tree, path)? else { continue };
            let url = submodules::resolve_url(repository, base.as_deref(), &submodule.url)?;
            let mut attrs = self.submodule_attrs(url)?;
            match submodule.branch.as_str() {
                "" => {}
                "." => drop(attrs.insert("ref".into(), reference.into())),
                branch => drop(attrs.insert("ref".into(), branch.into())),
            }
            attrs.insert("rev".into(), revision.to_string().into());
            attrs.insert("lfs".into(), AttrValue::Bool(flag(self.input, "lfs")?));
            attrs.insert("allRefs".into(), AttrValue::Bool(true));
            node.mount(path, self.submodule(attrs)?.node);
        }
        Ok(())
    }

    fn submodule_attrs(&self, url: String) -> Result<InputAttrs> {
        let export_ignore = flag(self.input, "exportIgnore")?;
        Ok(InputAttrs::from([
            ("type".to_owned(), "git".into()),
            ("url".to_owned(), url.into()),
            ("exportIgnore".to_owned(), AttrValue::Bool(export_ignore)),
            ("submodules".to_owned(), AttrValue::Bool(true)),
        ]))
    }

    fn submodule(&mut self, attrs: InputAttrs) -> Result<Source> {
        let input = Input::from_attrs(attrs, &|_| true)?;
        source(&input, self.options, self.depth + 1, self.warnings).map_err(|error| FetchError::Submodule {
            url: input.to_url().map_or_else(|error| error.to_string(), |url| url.to_string()),
            error: Box::new(error),
        })
    }

    fn work_tree(mut self, repository: Rc<Repository>, work_tree: WorkTree) -> Result<Source> {
        let mut input = self.input.clone();
        let mut ignored = self.ignored(&repository, false)?;
        let mut node = work_tree.tree(&repository, &mut ignored)?;
        let mut read = Vec::new();
        let mut is_dirty = work_tree.is_dirty;
        let modules = work_tree.root.join(".gitmodules");
        if flag(&input, "submodules")? && modules.exists() {
            let text = std::fs::read(&modules);
            let text = text.map_err(|error| FetchError::Io { path: modules.clone(), error })?;
            for submodule in submodules::parse(&text)? {
                let place = work_tree.root.join(&submodule.path);
                let source = self.submodule(self.submodule_attrs(place.display().to_string())?)?;
                is_dirty |= source.is_dirty;
                read.extend(source.read);
                node.mount(submodule.path.as_bytes(), source.node);
            }
        }
        read.push(modules);
        if is_dirty {
            let shown = self.location.shown();
            if !self.options.allow_dirty {
                return Err(GitError::Dirty(shown).into());
            }
            if self.options.warn_dirty {
                self.warnings.push(format!("Git tree '{shown}' is dirty"));
            }
            if let Some(head) = work_tree.head {
                let head = head.to_string();
                input.set("dirtyRev", format!("{head}-dirty"));
                input.set("dirtyShortRev", format!("{}-dirty", &head[..7]));
            }
            self.check_signature(&repository, None)?;
        } else {
            if let Some(reference) = repository.head_name()? {
                input.set("ref", reference);
            }
            let revision = work_tree.head.unwrap_or_else(|| ObjectId::null(gix::hash::Kind::Sha1));
            input.set("rev", revision.to_string());
            self.check_signature(&repository, Some(revision))?;
            if !flag(&input, "shallow")? {
                let count = work_tree.head.map_or(Ok(0), |head| self.revision_count(&repository, head))?;
                input.set("revCount", AttrValue::Int(count));
            }
        }
        let last_modified = work_tree.head.map_or(Ok(0), |head| repository.last_modified(head))?;
        input.set("lastModified", AttrValue::Int(last_modified));
        read.extend(repository.files_of_references());
        read.extend(repository.files_of_reference("HEAD"));
        read.extend(repository.files_of_attributes());
        read.extend(work_tree.paths());
        let shown = Shown::WorkTree(work_tree.root);
        Ok(Source { node, input, shown, read, is_dirty })
    }
}

fn object_id(revision: &Hash) -> ObjectId {
    ObjectId::try_from(revision.as_bytes()).unwrap_or_else(|_| ObjectId::null(gix::hash::Kind::Sha1))
}
