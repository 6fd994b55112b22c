//! A host that keeps its store in memory: for tests, and where a store must be neither read nor written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nival_formats::input::{AttrValue, InputKind};
use nival_formats::nar::{Mode, Writer};
use nival_formats::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationFile, DraftFile, Hash, HashAlgo, Hasher,
    Input, StoreDir, StorePath,
};

use crate::context::ContextElement;
use crate::host::{
    Download, Downloaded, FetchedInput, FileType, Filter, Host, HostError, KeptFile, Listing, MessageKind,
    Realised, Registries, SourceRequest,
};

/// A file, folder or link in memory.
#[derive(Clone, Debug)]
pub enum Node {
    /// A file.
    File {
        /// What is in it.
        contents: Vec<u8>,
        /// Whether it can be run.
        executable: bool,
    },
    /// A folder.
    Directory(BTreeMap<Vec<u8>, Node>),
    /// A symbolic link.
    Link(PathBuf),
}

impl Node {
    fn file_type(&self) -> FileType {
        match self {
            Node::File { .. } => FileType::Regular,
            Node::Directory(_) => FileType::Directory,
            Node::Link(_) => FileType::Symlink,
        }
    }
}

/// A host whose store is in memory, and whose other files are in memory too or on disk.
pub struct MemoryHost {
    store_dir: StoreDir,
    files: Option<Node>,
    env: HashMap<String, Vec<u8>>,
    store: Mutex<HashMap<StorePath, Stored>>,
    messages: Mutex<Vec<(MessageKind, Vec<u8>)>>,
    trees: Option<Arc<Trees>>,
}

/// Trees of files, kept from one host to the next.
#[derive(Default)]
pub struct Trees(Mutex<HashMap<PathBuf, &'static [u8]>>);

impl Trees {
    /// Keeps the tree of a file.
    pub fn put(&self, path: &Path, tree: &[u8]) {
        // Room for the bytes to begin at a multiple of 16; they stay until the process ends.
        let room: &'static mut [u8] = vec![0; tree.len() + 16].leak();
        let start = room.as_ptr().align_offset(16);
        room[start..][..tree.len()].copy_from_slice(tree);
        lock(&self.0).insert(path.to_path_buf(), &room[start..][..tree.len()]);
    }

    /// The trees, by the path of their file.
    pub fn all(&self) -> Vec<(PathBuf, &'static [u8])> {
        lock(&self.0).iter().map(|(path, tree)| (path.clone(), *tree)).collect()
    }
}

struct Stored {
    node: Node,
    references: BTreeSet<StorePath>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryHost {
    /// A host with these files, given by absolute path, and no others.
    pub fn with_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> MemoryHost {
        let mut root = Node::Directory(BTreeMap::new());
        for (path, contents) in files {
            let node = Node::File { contents: contents.as_bytes().to_vec(), executable: false };
            insert(&mut root, Path::new(path), node);
        }
        MemoryHost { files: Some(root), ..MemoryHost::on_disk() }
    }

    /// A host that reads the machine's files.
    pub fn on_disk() -> MemoryHost {
        MemoryHost {
            store_dir: StoreDir::default(),
            files: None,
            env: HashMap::new(),
            store: Mutex::default(),
            messages: Mutex::default(),
            trees: None,
        }
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> MemoryHost {
        self.env.insert(name.to_owned(), value.as_bytes().to_vec());
        self
    }

    /// The same with trees of files that are kept.
    #[must_use]
    pub fn with_trees(mut self, trees: Arc<Trees>) -> MemoryHost {
        self.trees = Some(trees);
        self
    }

    /// The same with a symbolic link among its files in memory.
    #[must_use]
    pub fn with_link(mut self, path: &str, target: &str) -> MemoryHost {
        if let Some(root) = &mut self.files {
            insert(root, Path::new(path), Node::Link(target.into()));
        }
        self
    }

    /// What was said since the last time.
    pub fn take_messages(&self) -> Vec<(MessageKind, Vec<u8>)> {
        std::mem::take(&mut *lock(&self.messages))
    }

    /// The derivations that were written, by path.
    pub fn derivations(&self) -> Vec<(StorePath, Derivation)> {
        let store = lock(&self.store);
        let mut derivations: Vec<_> = store
            .iter()
            .filter(|(path, _)| path.is_derivation())
            .filter_map(|(path, stored)| match &stored.node {
                Node::File { contents, .. } => Some((path.clone(), self.parse(path, contents).ok()?)),
                _ => None,
            })
            .collect();
        derivations.sort_by(|left, right| left.0.cmp(&right.0));
        derivations
    }

    fn parse(&self, path: &StorePath, contents: &[u8]) -> Result<Derivation, HostError> {
        let name = path.derivation_name().map_err(host_error)?;
        Derivation::parse(&self.store_dir, name, contents).map_err(host_error)
    }

    fn put(&self, path: &StorePath, stored: Stored) {
        lock(&self.store).entry(path.clone()).or_insert(stored);
    }

    /// Looks at what is at a path, after following links in the names of folders (all links, if asked).
    fn look<T>(&self, path: &Path, follow: Follow, see: impl FnOnce(&Node) -> T) -> io::Result<Option<T>> {
        let mut path = path.to_path_buf();
        for _ in 0..64 {
            match self.step(&path) {
                Found::Nothing => return Ok(None),
                Found::Link(target) => path = target,
                Found::Node(node) => match (&node, follow) {
                    (Node::Link(target), Follow::All) => {
                        path = normal(&path.parent().unwrap_or(Path::new("/")).join(target));
                    }
                    _ => return Ok(Some(see(&node))),
                },
                Found::OnDisk => return on_disk(&path, follow, see),
            }
        }
        Err(io::Error::other("too many symbolic links"))
    }

    fn step(&self, path: &Path) -> Found {
        if let Ok(rest) = path.strip_prefix(self.store_dir.as_str())
            && let Some(Component::Normal(name)) = rest.components().next()
        {
            let store = lock(&self.store);
            let stored = name.to_str().and_then(|name| name.parse().ok()).and_then(|path| store.get(&path));
            if let Some(stored) = stored {
                let root = Path::new(self.store_dir.as_str()).join(name);
                return walk(&stored.node, &root, path);
            }
        }
        match &self.files {
            Some(root) => walk(root, Path::new("/"), path),
            None => Found::OnDisk,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Follow {
    All,
    NotLast,
}

enum Found {
    Nothing,
    /// A link on the way: where the whole path leads instead.
    Link(PathBuf),
    Node(Node),
    OnDisk,
}

fn walk(root: &Node, root_path: &Path, path: &Path) -> Found {
    let Ok(rest) = path.strip_prefix(root_path) else { return Found::Nothing };
    let mut node = root;
    let mut done = root_path.to_path_buf();
    for (count, name) in rest.components().enumerate() {
        let next = match node {
            Node::Directory(entries) => entries.get(name.as_os_str().as_bytes()),
            Node::Link(target) => {
                let rest: PathBuf = rest.components().skip(count).collect();
                let parent = done.parent().unwrap_or(Path::new("/"));
                return Found::Link(normal(&parent.join(target).join(rest)));
            }
            Node::File { .. } => None,
        };
        let Some(next) = next else { return Found::Nothing };
        node = next;
        done.push(name);
    }
    Found::Node(node.clone())
}

fn normal(path: &Path) -> PathBuf {
    crate::path::to_path_buf(&crate::path::canonical(path.as_os_str().as_bytes()))
}

fn insert(root: &mut Node, path: &Path, node: Node) {
    let names: Vec<_> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.as_bytes().to_vec()),
            _ => None,
        })
        .collect();
    let mut place = root;
    for name in names {
        if !matches!(place, Node::Directory(_)) {
            *place = Node::Directory(BTreeMap::new());
        }
        let Node::Directory(entries) = place else { return };
        place = entries.entry(name).or_insert_with(|| Node::Directory(BTreeMap::new()));
    }
    *place = node;
}

fn on_disk<T>(path: &Path, follow: Follow, see: impl FnOnce(&Node) -> T) -> io::Result<Option<T>> {
    let metadata = match follow {
        Follow::All => std::fs::metadata(path),
        Follow::NotLast => std::fs::symlink_metadata(path),
    };
    let metadata = match metadata {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let node = if metadata.is_dir() {
        let mut entries = BTreeMap::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let node = if kind.is_dir() {
                Node::Directory(BTreeMap::new())
            } else if kind.is_symlink() {
                Node::Link(PathBuf::new())
            } else {
                Node::File { contents: Vec::new(), executable: false }
            };
            entries.insert(entry.file_name().as_bytes().to_vec(), node);
        }
        Node::Directory(entries)
    } else if metadata.is_symlink() {
        Node::Link(std::fs::read_link(path)?)
    } else {
        let executable = metadata.permissions().mode() & 0o100 != 0;
        Node::File { contents: std::fs::read(path)?, executable }
    };
    Ok(Some(see(&node)))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn absent() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Host for MemoryHost {
    fn kept_tree(&self, path: &Path) -> Option<&'static [u8]> {
        lock(&self.trees.as_ref()?.0).get(path).copied()
    }

    fn keep_tree(&self, path: &Path, parts: &[&[u8]]) -> Option<KeptFile> {
        self.trees.as_ref()?.put(path, &parts.concat());
        Some(KeptFile { tree: self.kept_tree(path)?, text: self.text_later(path) })
    }

    fn keeps_trees(&self) -> bool {
        self.trees.is_some()
    }

    fn text_later(&self, path: &Path) -> Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync> {
        let text = self.read_plain_file(path);
        Box::new(move || text.clone())
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Found::OnDisk = self.step(path) {
            return std::fs::read(path);
        }
        let contents = self.look(path, Follow::All, |node| match node {
            Node::File { contents, .. } => Ok(contents.clone()),
            _ => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        })?;
        contents.ok_or_else(absent)?
    }

    fn read_dir(&self, path: &Path) -> io::Result<Listing> {
        let entries = self.look(path, Follow::All, |node| match node {
            Node::Directory(entries) => {
                Ok(entries.iter().map(|(name, node)| (name.clone().into(), node.file_type())).collect())
            }
            _ => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        })?;
        entries.ok_or_else(absent)?
    }

    fn file_type(&self, path: &Path) -> io::Result<Option<FileType>> {
        if let Found::OnDisk = self.step(path) {
            return match std::fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_dir() => Ok(Some(FileType::Directory)),
                Ok(metadata) if metadata.is_symlink() => Ok(Some(FileType::Symlink)),
                Ok(metadata) if metadata.is_file() => Ok(Some(FileType::Regular)),
                Ok(_) => Ok(Some(FileType::Unknown)),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(error),
            };
        }
        self.look(path, Follow::NotLast, Node::file_type)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let target = self.look(path, Follow::NotLast, |node| match node {
            Node::Link(target) => Ok(target.clone()),
            _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        })?;
        target.ok_or_else(absent)?
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        self.env.get(name).cloned()
    }

    fn current_time(&self) -> i64 {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        elapsed.map_or(0, |elapsed| elapsed.as_secs() as i64)
    }

    fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    fn add_text(
        &self,
        name: &str,
        contents: &[u8],
        references: &[StorePath],
    ) -> Result<StorePath, HostError> {
        let references: BTreeSet<StorePath> = references.iter().cloned().collect();
        let path = self.store_dir.text_path(name, contents, references.clone()).map_err(host_error)?;
        let node = Node::File { contents: contents.to_vec(), executable: false };
        self.put(&path, Stored { node, references });
        Ok(path)
    }

    fn add_source(&self, source: SourceRequest<'_>) -> Result<StorePath, HostError> {
        let mut filter = source.filter;
        let node = self.copy(source.path, &mut filter)?;
        let hash = match source.method {
            ContentAddressMethod::NixArchive => hash_archive(&node)?,
            ContentAddressMethod::Flat => match &node {
                Node::File { contents, .. } => Hash::sha256(contents),
                _ => return Err(HostError::new(format!("'{}' is not a file", source.path.display()))),
            },
            other => return Err(HostError::new(format!("a source can't be added by method {other:?}"))),
        };
        if let Some(expected) = source.expected
            && *expected != hash
        {
            return Err(HostError::new(format!(
                "hash mismatch in '{}': expected {}, got {}",
                source.path.display(),
                expected.to_sri(),
                hash.to_sri()
            )));
        }
        let address = ContentAddress { method: source.method, hash };
        let path = self.store_dir.fixed_output_path(source.name, &address).map_err(host_error)?;
        self.put(&path, Stored { node, references: BTreeSet::new() });
        Ok(path)
    }

    fn write_derivation(&self, file: DraftFile<'_, '_>) -> Result<(), HostError> {
        let DerivationFile { path, contents, references, .. } = file.on_its_own();
        let references = references.into_iter().collect();
        self.put(&path, Stored { node: Node::File { contents, executable: false }, references });
        Ok(())
    }

    fn has_derivation(&self, path: &StorePath) -> bool {
        lock(&self.store).contains_key(path)
    }

    fn read_derivation(&self, path: &StorePath) -> Result<Derivation, HostError> {
        match lock(&self.store).get(path).map(|stored| &stored.node) {
            Some(Node::File { contents, .. }) => self.parse(path, contents),
            _ => {
                Err(HostError::new(format!("the derivation '{}' is not there", self.store_dir.display(path))))
            }
        }
    }

    fn realise(&self, elements: &[&ContextElement]) -> Result<Realised, HostError> {
        for element in elements {
            if matches!(element, ContextElement::Output { .. }) {
                let shown = element.display(&self.store_dir);
                return Err(HostError::new(format!(
                    "'{shown}' can't be built: this store is only in memory"
                )));
            }
        }
        Ok(Realised::default())
    }

    fn is_valid_path(&self, path: &StorePath) -> Result<bool, HostError> {
        self.ensure_path(path)
    }

    fn ensure_path(&self, path: &StorePath) -> Result<bool, HostError> {
        Ok(lock(&self.store).contains_key(path))
    }

    fn closure(&self, path: &StorePath) -> Result<Vec<StorePath>, HostError> {
        let store = lock(&self.store);
        let mut seen = BTreeSet::new();
        let mut left = vec![path.clone()];
        while let Some(path) = left.pop() {
            if let Some(stored) = store.get(&path)
                && seen.insert(path)
            {
                left.extend(stored.references.iter().cloned());
            }
        }
        Ok(seen.into_iter().collect())
    }

    fn is_content_addressed(&self, _: &StorePath) -> Result<bool, HostError> {
        Ok(true)
    }

    fn resolve_input(&self, input: &Input, _: Registries) -> Result<(Input, Option<String>), HostError> {
        let url = input.to_url().map_err(host_error)?;
        Err(HostError::new(format!("cannot find flake '{url}' in the flake registries")))
    }

    /// Only folders and files that are already there can be had.
    fn fetch_input(&self, input: &Input) -> Result<FetchedInput, HostError> {
        let path = match (input.kind(), input.text("path")) {
            (Some(InputKind::Path), Ok(Some(path))) if path.starts_with('/') => Path::new(path),
            _ => return Err(HostError::new("this host has no network")),
        };
        let node = self.copy(path, &mut None)?;
        let nar_hash = hash_archive(&node)?;
        let address = ContentAddress { method: ContentAddressMethod::NixArchive, hash: nar_hash };
        let path = self.store_dir.fixed_output_path("source", &address).map_err(host_error)?;
        self.put(&path, Stored { node, references: BTreeSet::new() });
        let mut input = input.clone();
        if !input.attrs.contains_key("lastModified") {
            input.attrs.insert("lastModified".to_owned(), AttrValue::Int(0));
        }
        Ok(FetchedInput::new(path, nar_hash, input))
    }

    fn download(&self, download: &Download<'_>) -> Result<Downloaded, HostError> {
        Err(HostError::new(format!("unable to download '{}': this host has no network", download.url)))
    }

    fn copy_closure(&self, from_store: &str, _: &StorePath) -> Result<(), HostError> {
        Err(HostError::new(format!("cannot open '{from_store}': this host has no network")))
    }

    fn resolve_search_entry(&self, value: &str) -> Result<PathBuf, HostError> {
        Err(HostError::new(format!("cannot find '{value}': this host has no network")))
    }

    fn message(&self, kind: MessageKind, text: &[u8]) {
        lock(&self.messages).push((kind, text.to_vec()));
    }
}

impl MemoryHost {
    fn copy(&self, path: &Path, filter: &mut Option<&mut Filter<'_>>) -> Result<Node, HostError> {
        let node = self.look(path, Follow::NotLast, Clone::clone)?;
        let node = node.ok_or_else(|| HostError::new(format!("path '{}' does not exist", path.display())))?;
        let Node::Directory(entries) = node else { return Ok(node) };
        let mut kept = BTreeMap::new();
        for (name, entry) in entries {
            let path = path.join(crate::path::to_path(&name));
            if let Some(filter) = filter
                && !filter(&path, entry.file_type())?
            {
                continue;
            }
            kept.insert(name, self.copy(&path, filter)?);
        }
        Ok(Node::Directory(kept))
    }
}

fn host_error(error: impl std::fmt::Display) -> HostError {
    HostError::new(error.to_string())
}

fn hash_archive(node: &Node) -> Result<Hash, HostError> {
    let mut writer = Writer::new(HashWriter(Hasher::new(HashAlgo::Sha256)));
    write_archive(node, &mut writer)?;
    Ok(writer.finish()?.0.finish())
}

struct HashWriter(Hasher);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_archive(node: &Node, writer: &mut Writer<HashWriter>) -> io::Result<()> {
    match node {
        Node::File { contents, executable } => {
            let mode = if *executable { Mode::Executable } else { Mode::Plain };
            writer.file_bytes(mode, contents)
        }
        Node::Link(target) => writer.symlink(target.as_os_str().as_bytes()),
        Node::Directory(entries) => {
            writer.directory()?;
            for (name, entry) in entries {
                writer.entry(name)?;
                write_archive(entry, writer)?;
            }
            writer.end_directory()
        }
    }
}
