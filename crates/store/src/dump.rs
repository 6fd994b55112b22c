//! Writes a tree of files as a NAR.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nival_formats::nar::{Mode, Writer};
use nival_formats::{Hash, HashAlgo, Hasher};
use rustix::fs::OFlags;

use crate::error::{IoContext as _, Result, StoreError};
use crate::metadata::unsupported_kind;

/// Decides which files of a source go into the store; gets the path and the type as Nix names it: `regular`,
/// `directory`, `symlink` or `unknown`. It isn't asked about the source itself.
pub type Filter<'a> =
    &'a mut dyn FnMut(&Path, &'static str) -> Result<bool, Box<dyn std::error::Error + Send + Sync>>;

/// Writes the tree at `path` to `out` as a NAR.
pub fn dump_path<W: Write>(path: &Path, filter: Option<Filter<'_>>, out: W) -> Result<W> {
    Tree::look(path, filter)?.dump(out)
}

/// What is in a tree of files, before any of them is read.
pub struct Tree {
    path: PathBuf,
    node: Node,
}

/// A file, folder or link of a [`Tree`].
pub enum Node {
    /// A file.
    File(Metadata),
    /// A symbolic link, and where it points.
    Symlink(OsString),
    /// A folder: names, in the order of their bytes, and what they are.
    Directory(Vec<(OsString, Node)>),
}

impl Tree {
    /// Looks at the tree at `path`, without what the filter leaves out.
    pub fn look(path: &Path, mut filter: Option<Filter<'_>>) -> Result<Tree> {
        Ok(Tree { path: path.to_owned(), node: look(path, &mut filter)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is there.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Writes it to `out` as a NAR.
    pub fn dump<W: Write>(&self, out: W) -> Result<W> {
        let mut nar = Writer::new(out);
        dump_node(&self.path, &self.node, &mut nar)?;
        nar.finish().at("archive", &self.path)
    }
}

/// The hash and the size of the NAR of the tree at `path`.
pub fn hash_path(path: &Path, algo: HashAlgo) -> Result<(Hash, u64)> {
    let hasher = dump_path(path, None, Hasher::new(algo))?;
    let size = hasher.written();
    Ok((hasher.finish(), size))
}

fn look(path: &Path, filter: &mut Option<Filter<'_>>) -> Result<Node> {
    let metadata = fs::symlink_metadata(path).at("examine", path)?;
    if metadata.is_symlink() {
        return Ok(Node::Symlink(fs::read_link(path).at("read the link", path)?.into_os_string()));
    }
    if metadata.is_file() {
        return Ok(Node::File(metadata));
    }
    if let Some(kind) = unsupported_kind(&metadata) {
        return Err(StoreError::UnsupportedFile { path: path.to_owned(), kind });
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).at("read the directory", path)? {
        let entry = entry.at("read the directory", path)?;
        let file_type = entry.file_type().at("examine", &entry.path())?;
        entries.push((entry.file_name(), file_type));
    }
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut nodes = Vec::with_capacity(entries.len());
    for (name, file_type) in entries {
        let child = path.join(&name);
        if let Some(filter) = filter
            && !filter(&child, type_name(file_type)).map_err(StoreError::Filter)?
        {
            continue;
        }
        nodes.push((name, look(&child, filter)?));
    }
    Ok(Node::Directory(nodes))
}

fn dump_node<W: Write>(path: &Path, node: &Node, nar: &mut Writer<W>) -> Result<()> {
    match node {
        Node::Symlink(target) => nar.symlink(target.as_bytes()).at("archive", path),
        Node::File(_) => {
            // Opened before its size is taken, so that both are of one file.
            let mut file = open_regular(path)?;
            let metadata = file.metadata().at("examine", path)?;
            let mode = if metadata.mode() & 0o100 != 0 { Mode::Executable } else { Mode::Plain };
            nar.file(mode, metadata.len(), &mut file).at("read", path)
        }
        Node::Directory(entries) => {
            nar.directory().at("archive", path)?;
            for (name, node) in entries {
                let child = path.join(name);
                nar.entry(name.as_bytes()).at("archive", &child)?;
                dump_node(&child, node, nar)?;
            }
            nar.end_directory().at("archive", path)
        }
    }
}

/// Opens a file that must not have become a link or a pipe since it was looked at.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, rustix::fs::Mode::empty()).at("open", path)?);
    if !file.metadata().at("examine", path)?.is_file() {
        return Err(io::Error::other("it changed while it was read")).at("open", path);
    }
    Ok(file)
}

fn type_name(file_type: fs::FileType) -> &'static str {
    if file_type.is_file() {
        "regular"
    } else if file_type.is_dir() {
        "directory"
    } else if file_type.is_symlink() {
        "symlink"
    } else {
        "unknown"
    }
}
