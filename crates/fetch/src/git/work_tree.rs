//! The files of a work tree that Git tracks, and whether they are those of the last commit.
//!
//! What counts as changed is what libgit2's `git_status_foreach_ext` says, which C++ Nix 2.34 asks
//! (`src/libfetchers/git-utils.cc`, `getWorkdirInfo`): untracked files are not looked at.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice as _};
use gix::filter::plumbing::pipeline::convert::ToGitOutcome;
use gix::index::entry::{Flags, Mode, Stage};
use gix::objs::tree::EntryKind;

use nival_formats::nar::MAX_DEPTH;

use super::attributes::ExportIgnore;
use super::error::{GitError, Problem, Result};
use super::repository::Repository;
use super::tree::{self, Node};

/// What is known of a work tree.
pub(super) struct WorkTree {
    /// Where it is.
    pub(super) root: PathBuf,
    /// The last commit.
    pub(super) head: Option<ObjectId>,
    /// The files that are tracked and there, in the order of their paths.
    pub(super) files: Vec<Vec<u8>>,
    /// The files that are tracked and not there.
    missing: Vec<Vec<u8>>,
    /// The folders on the way to them.
    folders: Vec<Vec<u8>>,
    /// Whether anything differs from the last commit.
    pub(super) is_dirty: bool,
}

impl WorkTree {
    pub(super) fn read(repository: &Repository) -> Result<WorkTree> {
        let head = repository.head()?;
        let failed = |problem| GitError::Read { doing: "getting working directory status".into(), problem };
        let index = repository.git.index_path();
        let index = if index.exists() {
            repository.git.open_index().map_err(|error| failed(Problem::BadIndex(error.to_string())))?
        } else {
            let state = gix::index::State::new(repository.git.object_hash());
            gix::index::File::from_state(state, index)
        };
        if index.is_sparse() {
            return Err(failed(Problem::BadIndex("unsupported mandatory extension: 'sdir'".into())));
        }
        let mut work_tree = WorkTree {
            root: repository.work_tree().to_owned(),
            head,
            files: Vec::new(),
            missing: Vec::new(),
            folders: Vec::new(),
            is_dirty: differs(repository, head, &index)?,
        };
        work_tree.compare(repository, &index)?;
        Ok(work_tree)
    }

    /// Compares the files with the index.
    fn compare(&mut self, repository: &Repository, index: &gix::index::File) -> Result<()> {
        let mut comparison = Comparison {
            repository,
            index,
            trusts_modes: repository.git.config_snapshot().boolean("core.fileMode").unwrap_or(true),
            folders: HashMap::new(),
            filters: None,
        };
        for entry in index.entries() {
            let path = entry.path(index);
            if path.split(|byte| *byte == b'/').count() > MAX_DEPTH {
                return Err(GitError::Read {
                    doing: "getting working directory status".into(),
                    problem: Problem::BadIndex("a path has folders in folders without end".into()),
                });
            }
            if entry.mode == Mode::COMMIT || self.files.last().is_some_and(|last| *last == **path) {
                continue;
            }
            match comparison.compare(&self.root, path, entry)? {
                None => {
                    self.is_dirty = true;
                    self.missing.push(path.to_vec());
                }
                Some(is_same) => {
                    self.is_dirty |= !is_same;
                    self.files.push(path.to_vec());
                }
            }
        }
        self.folders = comparison.folders.into_keys().collect();
        Ok(())
    }

    /// Where the tracked files are, or were.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let paths = self.files.iter().chain(&self.missing).chain(&self.folders);
        paths.map(|path| self.root.join(std::ffi::OsStr::from_bytes(path)))
    }

    /// The tracked files as a tree.
    pub(super) fn tree(&self, repository: &Repository, ignored: &mut ExportIgnore) -> Result<Node> {
        let mut root = Node::Folder(BTreeMap::new());
        for path in &self.files {
            let names = path.split(|byte| *byte == b'/');
            if names.into_iter().any(|name| matches!(name, b"" | b"." | b".." | b".git")) {
                return Err(GitError::Read {
                    doing: "getting working directory status".into(),
                    problem: Problem::BadIndex(format!("invalid path: '{}'", path.as_bstr())),
                });
            }
            root.mount(path, Node::OnDisk(self.root.join(std::ffi::OsStr::from_bytes(path))));
        }
        if ignored.is_wanted() {
            prune(&mut root, repository, ignored, &mut Vec::new())?;
        }
        Ok(root)
    }
}

/// Takes out what `export-ignore` says.
fn prune(
    node: &mut Node,
    repository: &Repository,
    ignored: &mut ExportIgnore,
    path: &mut Vec<u8>,
) -> Result<()> {
    let Node::Folder(entries) = node else { return Ok(()) };
    ignored.enter(repository, path, None)?;
    let mut kept = BTreeMap::new();
    for (name, mut node) in std::mem::take(entries) {
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        if !ignored.has(path, matches!(node, Node::Folder(_))) {
            prune(&mut node, repository, ignored, path)?;
            kept.insert(name, node);
        }
        path.truncate(length);
    }
    ignored.leave();
    *entries = kept;
    Ok(())
}

/// Whether the index differs from the last commit.
fn differs(repository: &Repository, head: Option<ObjectId>, index: &gix::index::File) -> Result<bool> {
    let Some(head) = head else { return Ok(!index.entries().is_empty()) };
    let tree = repository.tree_of(head)?;
    let is_special = |entry: &gix::index::Entry| {
        entry.flags.contains(Flags::INTENT_TO_ADD) || entry.stage() != Stage::Unconflicted
    };
    if index.entries().iter().any(is_special) {
        return Ok(true);
    }
    // The index says which tree it was read from, or written to, as long as nothing was added since.
    if index.tree().is_some_and(|root| root.id == tree && root.num_entries.is_some()) {
        return Ok(false);
    }
    let mut entries = index.entries().iter().map(|entry| (entry.path(index), entry));
    let same = same_tree(repository, tree, &mut Vec::new(), 0, &mut |path, kind, id| {
        entries.next().is_some_and(|(other, entry)| {
            let mode = match kind {
                EntryKind::Tree => return false,
                EntryKind::Blob => Mode::FILE,
                EntryKind::BlobExecutable => Mode::FILE_EXECUTABLE,
                EntryKind::Link => Mode::SYMLINK,
                EntryKind::Commit => Mode::COMMIT,
            };
            other == path && (mode == Mode::COMMIT || entry.id == id) && entry.mode == mode
        })
    })?;
    Ok(!same || entries.next().is_some())
}

/// Whether `same` holds for all files of a tree, which it is asked about in the order of the index.
fn same_tree(
    repository: &Repository,
    id: ObjectId,
    path: &mut Vec<u8>,
    depth: usize,
    same: &mut dyn FnMut(&BStr, EntryKind, ObjectId) -> bool,
) -> Result<bool> {
    if depth > MAX_DEPTH {
        return Err(GitError::Tree { id, problem: "has folders in folders without end" });
    }
    let data = std::mem::take(&mut repository.get(id)?.data);
    for entry in tree::entries(id, &data)? {
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(entry.name);
        let is_same = match entry.kind {
            EntryKind::Tree => same_tree(repository, entry.id, path, depth + 1, same)?,
            kind => same(path.as_bstr(), kind, entry.id),
        };
        path.truncate(length);
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The comparison of files with an index.
struct Comparison<'a> {
    repository: &'a Repository,
    index: &'a gix::index::File,
    trusts_modes: bool,
    /// Folders, and whether they are any: what is behind a link is not tracked.
    folders: HashMap<Vec<u8>, bool>,
    /// What files go through before they are hashed.
    filters: Option<(gix::filter::plumbing::Pipeline, gix::worktree::Stack)>,
}

impl Comparison<'_> {
    /// Nothing if the file is not there; else whether it is as the index has it.
    fn compare(&mut self, root: &Path, path: &BStr, entry: &gix::index::Entry) -> Result<Option<bool>> {
        let file = root.join(std::ffi::OsStr::from_bytes(path));
        let (true, Ok(metadata)) = (self.has_folder(root, path), file.symlink_metadata()) else {
            return Ok(None);
        };
        if !metadata.is_file() && !metadata.is_symlink() {
            return Ok(None);
        }
        if entry.flags.intersects(Flags::ASSUME_VALID | Flags::SKIP_WORKTREE) {
            return Ok(Some(true));
        }
        if entry.stage() != Stage::Unconflicted {
            return Ok(Some(false));
        }
        let mode = if metadata.is_symlink() {
            Mode::SYMLINK
        } else if !self.trusts_modes {
            entry.mode
        } else if metadata.mode() & 0o100 != 0 {
            Mode::FILE_EXECUTABLE
        } else {
            Mode::FILE
        };
        let stat = &entry.stat;
        let (size, old_size) = (metadata.size() as u32, stat.size);
        if mode != entry.mode || size != old_size && old_size != 0 {
            return Ok(Some(false));
        }
        let is_time = |time: gix::index::entry::stat::Time, seconds: i64, rest: i64| {
            (time.secs, time.nsecs) == (seconds as u32, rest as u32)
        };
        let is_same = size == old_size
            && is_time(stat.mtime, metadata.mtime(), metadata.mtime_nsec())
            && is_time(stat.ctime, metadata.ctime(), metadata.ctime_nsec())
            && (stat.ino, stat.uid, stat.gid) == (metadata.ino() as u32, metadata.uid(), metadata.gid());
        if is_same && !self.is_racy(metadata.mtime(), metadata.mtime_nsec()) {
            return Ok(Some(true));
        }
        let contents = if metadata.is_symlink() {
            let at = |error| GitError::Io { path: file.clone(), error };
            std::fs::read_link(&file).map_err(at)?.as_os_str().as_bytes().to_vec()
        } else {
            self.filtered(&file, path)?
        };
        let id = gix::objs::compute_hash(entry.id.kind(), gix::objs::Kind::Blob, &contents);
        Ok(Some(id.is_ok_and(|id| id == entry.id)))
    }

    /// Whether a file may have changed after the index was written without a trace in its times.
    fn is_racy(&self, seconds: i64, nanoseconds: i64) -> bool {
        let written = self.index.timestamp();
        (seconds, nanoseconds) >= (written.unix_seconds(), i64::from(written.nanoseconds()))
    }

    /// Whether the folder of a path is one, and not behind a link.
    fn has_folder(&mut self, root: &Path, path: &BStr) -> bool {
        let Some(slash) = path.rfind_byte(b'/') else { return true };
        let folder = &path[..slash];
        if let Some(known) = self.folders.get(folder) {
            return *known;
        }
        let is_folder = self.has_folder(root, folder.as_bstr())
            && root
                .join(std::ffi::OsStr::from_bytes(folder))
                .symlink_metadata()
                .is_ok_and(|there| there.is_dir());
        self.folders.insert(folder.to_vec(), is_folder);
        is_folder
    }

    /// The contents of a file as they would be committed: with its line ends made Git's, for one.
    fn filtered(&mut self, file: &Path, path: &BStr) -> Result<Vec<u8>> {
        let failed = |error: gix::Error| GitError::Read {
            doing: "getting working directory status".into(),
            problem: Problem::Other(error.to_string()),
        };
        let git = &self.repository.git;
        if self.filters.is_none() {
            let (mut filters, attributes) = git.filter_pipeline(None).map_err(failed)?.0.into_parts();
            // Programs that the repository names are not run, as libgit2 does not run them.
            filters.options_mut().drivers.clear();
            self.filters = Some((filters, attributes));
        }
        let (filters, attributes) = self.filters.as_mut().expect("it was set above");
        let relative = Path::new(std::ffi::OsStr::from_bytes(path));
        let rules = attributes.at_path(relative, None, &git.objects).map_err(|error| GitError::Io {
            path: file.to_owned(),
            error: std::io::Error::other(error.to_string()),
        })?;
        let (opened, _) = tree::open_regular(file)?;
        let outcome = filters
            .convert_to_git(
                opened,
                relative,
                &mut |_, found| {
                    rules.matching_attributes(found);
                },
                &mut |buffer| {
                    let Some(entry) = self.index.entry_by_path(path) else { return Ok(None) };
                    buffer.clear();
                    buffer.extend_from_slice(&git.find_blob(entry.id)?.data);
                    Ok(Some(()))
                },
            )
            .map_err(failed)?;
        let mut contents = Vec::new();
        let at = |error| GitError::Io { path: file.to_owned(), error };
        match outcome {
            ToGitOutcome::Unchanged(mut file) => drop(file.read_to_end(&mut contents).map_err(at)?),
            ToGitOutcome::Buffer(buffer) => contents.extend_from_slice(buffer),
            ToGitOutcome::Process(mut process) => drop(process.read_to_end(&mut contents).map_err(at)?),
        }
        Ok(contents)
    }
}
