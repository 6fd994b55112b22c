//! A tree of files that is to be put into the store: from a commit, from a work tree, or from both and their submodules.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use gix::ObjectId;
use gix::objs::tree::EntryKind;
use nival_formats::nar::{MAX_DEPTH, Mode, Writer};
use nival_formats::{HashAlgo, Hasher};

use super::attributes::ExportIgnore;
use super::error::{GitError, Problem, Result};
use super::repository::Repository;

/// How old a change must be for the next one to have another time: file systems have clocks of up to two seconds.
const SETTLED: Duration = Duration::from_secs(3);
/// nixpkgs has 60,000 files. A tree of few objects can have any number of them.
const MAX_FILES: usize = 20_000_000;

/// A file, a folder or a link.
pub(super) enum Node {
    Folder(BTreeMap<Vec<u8>, Node>),
    /// The object has a file's contents, or the target of a link.
    Object {
        repository: Rc<Repository>,
        id: ObjectId,
        kind: EntryKind,
    },
    /// A file or a link of this machine, whatever it is when it is read.
    OnDisk(PathBuf),
}

impl Node {
    /// The tree of a revision; submodules are empty folders.
    pub(super) fn of_tree(
        repository: &Rc<Repository>,
        id: ObjectId,
        ignored: &mut ExportIgnore,
    ) -> Result<Node> {
        let mut walk = Walk { repository, ignored, path: Vec::new(), files: 0 };
        walk.folder(id, 0)
    }

    /// Puts another node in the place of one, with folders on the way to it.
    pub(super) fn mount(&mut self, path: &[u8], node: Node) {
        let Node::Folder(entries) = self else { return };
        let (name, rest) = match path.iter().position(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (path, &b""[..]),
        };
        if rest.is_empty() {
            entries.insert(name.to_vec(), node);
        } else {
            let folder = entries.entry(name.to_vec()).or_insert_with(|| Node::Folder(BTreeMap::new()));
            folder.mount(rest, node);
        }
    }

    /// What tells whether this is the same tree as another: names, objects, and of files of this machine all that changes when
    /// they do. Nothing if one was changed just now, so that another change might not show.
    pub(super) fn key(&self) -> Option<[u8; 32]> {
        let mut key = Hasher::new(HashAlgo::Blake3);
        key.update(b"tree of files 1");
        self.add_to_key(&mut key)?;
        key.finish().as_bytes().try_into().ok()
    }

    fn add_to_key(&self, key: &mut Hasher) -> Option<()> {
        match self {
            Node::Folder(entries) => {
                key.update(b"(");
                for (name, node) in entries {
                    key.update(&(name.len() as u64).to_le_bytes());
                    key.update(name);
                    node.add_to_key(key)?;
                }
                key.update(b")");
            }
            Node::Object { id, kind, .. } => {
                key.update(&[b'o', *kind as u8, id.as_slice().len() as u8]);
                key.update(id.as_slice());
            }
            Node::OnDisk(path) => {
                let file = path.symlink_metadata().ok()?;
                let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(file.ctime()).ok()?);
                if changed.elapsed().ok()? < SETTLED {
                    return None;
                }
                key.update(b"f");
                let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
                for time in times {
                    key.update(&time.to_le_bytes());
                }
                for number in [file.dev(), file.ino(), file.size(), u64::from(file.mode())] {
                    key.update(&number.to_le_bytes());
                }
            }
        }
        Some(())
    }

    /// Writes all of it as a NAR.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<()> {
        let mut nar = Writer::new(out);
        self.write_node(&mut nar)?;
        nar.finish()?;
        Ok(())
    }

    fn write_node(&self, nar: &mut Writer<&mut dyn Write>) -> Result<()> {
        match self {
            Node::Folder(entries) => {
                nar.directory()?;
                for (name, node) in entries {
                    nar.entry(name)?;
                    node.write_node(nar)?;
                }
                nar.end_directory()?;
            }
            Node::Object { repository, id, kind: EntryKind::Link } => nar.symlink(&repository.blob(*id)?)?,
            Node::Object { repository, id, kind } => {
                let mode = if *kind == EntryKind::BlobExecutable { Mode::Executable } else { Mode::Plain };
                nar.file_bytes(mode, &repository.blob(*id)?)?;
            }
            Node::OnDisk(path) => {
                let at = |error| GitError::Io { path: path.clone(), error };
                let metadata = path.symlink_metadata().map_err(at)?;
                if metadata.is_symlink() {
                    nar.symlink(std::fs::read_link(path).map_err(at)?.as_os_str().as_bytes())?;
                } else {
                    let (mut file, metadata) = open_regular(path)?;
                    nar.file(mode_of(&metadata), metadata.len(), &mut file)?;
                }
            }
        }
        Ok(())
    }
}

fn mode_of(metadata: &std::fs::Metadata) -> Mode {
    if metadata.mode() & 0o100 != 0 { Mode::Executable } else { Mode::Plain }
}

/// Opens a file that must not have become a link or a pipe since it was looked at.
pub(super) fn open_regular(path: &std::path::Path) -> Result<(std::fs::File, std::fs::Metadata)> {
    use rustix::fs::{Mode as FileMode, OFlags, open};
    let at = |error| GitError::Io { path: path.to_owned(), error };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(open(path, flags, FileMode::empty()).map_err(|error| at(error.into()))?);
    let metadata = file.metadata().map_err(at)?;
    if !metadata.is_file() {
        return Err(at(std::io::Error::other("it changed while it was read")));
    }
    Ok((file, metadata))
}

struct Walk<'a> {
    repository: &'a Rc<Repository>,
    ignored: &'a mut ExportIgnore,
    /// Where it is, with slashes between the names.
    path: Vec<u8>,
    files: usize,
}

impl Walk<'_> {
    fn folder(&mut self, id: ObjectId, depth: usize) -> Result<Node> {
        if depth > MAX_DEPTH {
            return Err(GitError::Tree { id, problem: "has folders in folders without end" });
        }
        let data = std::mem::take(&mut self.repository.get(id)?.data);
        let listed: Vec<_> = entries(id, &data)?;
        let attributes = listed.iter().find(|entry| entry.name == b".gitattributes" && entry.kind.is_blob());
        let attributes = match attributes {
            Some(entry) if self.ignored.is_wanted() => Some(self.repository.blob(entry.id)?),
            _ => None,
        };
        self.ignored.enter(self.repository, &self.path, attributes.as_deref())?;
        let mut folder = BTreeMap::new();
        for Entry { name, id, kind } in listed {
            self.files += 1;
            if self.files > MAX_FILES {
                return Err(GitError::Tree { id, problem: "has too many files" });
            }
            let length = self.path.len();
            if length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            let is_folder = matches!(kind, EntryKind::Tree | EntryKind::Commit);
            if !self.ignored.has(&self.path, is_folder) {
                let node = match kind {
                    EntryKind::Tree => self.folder(id, depth + 1)?,
                    EntryKind::Commit => Node::Folder(BTreeMap::new()),
                    kind => Node::Object { repository: Rc::clone(self.repository), id, kind },
                };
                folder.insert(name.to_vec(), node);
            }
            self.path.truncate(length);
        }
        self.ignored.leave();
        Ok(Node::Folder(folder))
    }
}

/// An entry of a tree object.
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) id: ObjectId,
    pub(super) kind: EntryKind,
}

trait IsBlob {
    fn is_blob(&self) -> bool;
}

impl IsBlob for EntryKind {
    fn is_blob(&self) -> bool {
        matches!(self, EntryKind::Blob | EntryKind::BlobExecutable)
    }
}

/// What is at a path within a tree.
pub(super) fn find(
    repository: &Repository,
    tree: ObjectId,
    path: &[u8],
) -> Result<Option<(EntryKind, ObjectId)>> {
    let mut here = (EntryKind::Tree, tree);
    for name in path.split(|byte| *byte == b'/') {
        if here.0 != EntryKind::Tree {
            return Ok(None);
        }
        let data = std::mem::take(&mut repository.get(here.1)?.data);
        match entries(here.1, &data)?.into_iter().find(|entry| entry.name == name) {
            Some(entry) => here = (entry.kind, entry.id),
            None => return Ok(None),
        }
    }
    Ok(Some(here))
}

/// What is in a tree object.
pub(super) fn entries(id: ObjectId, data: &[u8]) -> Result<Vec<Entry<'_>>> {
    let damaged = |problem: String| GitError::Read {
        doing: format!("getting Git object '{id}'"),
        problem: Problem::BadObject(problem),
    };
    let mut listed = Vec::new();
    for entry in gix::objs::TreeRefIter::from_bytes(data, id.kind()) {
        let entry = entry.map_err(|error| damaged(format!("object '{id}' is damaged: {error}")))?;
        let name: &[u8] = entry.filename;
        if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
            return Err(GitError::Tree { id, problem: "has a name that no file can have" });
        }
        listed.push(Entry { name, id: entry.oid.to_owned(), kind: entry.mode.kind() });
    }
    Ok(listed)
}
