//! Not parsed again: trees of files and listings of folders that did not change, from packs that earlier processes wrote.
//!
//! Packs are below `$XDG_CACHE_HOME/nival/parse`, in a folder for each build of the program, and mapped whole when the
//! first file is asked for. What is kept of a path counts as long as its stamp holds: the fingerprint of the file or
//! folder, or that of the store path it is in, or else the hash of its contents. A process that meets new files
//! writes one more pack, and uses what is in it as if it had found it. As with the evaluation cache, nothing of it is
//! ever a reason to fail: what cannot be read is a miss, what cannot be written is left out.

mod listing;
mod new_pack;
mod pack;
mod packs;
mod source;

use std::cell::LazyCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use nival_eval::host::Listing;
use rustix::fs::{FileType, Stat};

use crate::context::Context;
use crate::file_systems::{FileSystems, Telling};
use crate::fingerprint::{Fingerprint, Hash, hash, hash_listing, reliable};
use crate::lock::lock;
use crate::path_hash::PathHash;
use crate::reading;
use new_pack::NewPack;
use pack::{Added, Entry, Kept, Kind, Proof, Stamp};
use packs::{Folder, LARGEST_PACK, Mapped};

/// The time of last change that all files of valid store paths have (C++ Nix, `mtimeStore`).
const STORE_TIME: i64 = 1_000_000_000;

/// The packs of this program, and what will be in the next one.
pub(crate) struct ParseCache {
    folder: Folder,
    packs: OnceLock<Vec<Mapped>>,
    /// Whether what is in the packs counts: it does not with `--refresh`.
    counts: bool,
    store: Option<Store>,
    file_systems: FileSystems,
    /// Files that were read and may be kept, by path.
    read: Mutex<HashMap<Box<[u8]>, Stamp, PathHash>>,
    new: Mutex<NewPack>,
    new_bytes: AtomicU64,
}

/// A tree that was kept.
pub(crate) struct Tree {
    pub(crate) bytes: &'static [u8],
    /// Of the file, if it may be relied on; that of a file in a store path is not known.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Of the text, unless it is in a store path.
    pub(crate) hash: Option<Hash>,
}

/// What is in a folder.
pub(crate) struct Listed {
    pub(crate) entries: Listing,
    /// Of the folder, if it may be relied on.
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) hash: Option<Hash>,
}

/// What is asked of a file or folder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Contents,
    /// The evaluation cache keeps a hash of them.
    ContentsAndHash,
}

impl ParseCache {
    /// Opens the user's packs, which count or are only added to; `store` is the folder of store paths. Nothing if the
    /// program's file cannot be told from another.
    pub(crate) fn new(context: &Context, store: Option<PathBuf>, counts: bool) -> Option<Self> {
        // A program is what its file is: no two builds share a form of trees.
        let program = Fingerprint::of(&std::fs::metadata(&context.program).ok()?);
        let program = hash(format!("{} {program:?}", env!("CARGO_PKG_VERSION")).as_bytes());
        let program = format!("{:016x}", u64::from_le_bytes(*program.first_chunk()?));
        let root = context.xdg("XDG_CACHE_HOME", ".cache").join("nival/parse");
        Some(Self {
            folder: Folder::new(root, &program, context.uid),
            packs: OnceLock::new(),
            counts,
            store: store.map(Store::new),
            file_systems: FileSystems::default(),
            read: Mutex::default(),
            new: Mutex::default(),
            new_bytes: AtomicU64::new(0),
        })
    }

    fn packs(&self) -> &[Mapped] {
        self.packs.get_or_init(|| self.folder.open())
    }

    /// What is kept of a path, the newest first.
    fn candidates(&self, kind: Kind, path: &Path) -> impl Iterator<Item = (&Mapped, Kept<'static>)> {
        let packs = if self.counts { self.packs() } else { &[] };
        let path = path.as_os_str().as_bytes();
        packs.iter().filter_map(move |mapped| Some((mapped, mapped.find(kind, path)?)))
    }

    /// The tree of the file `path`, which really is at `real`, if that still is the plain file that it was made of.
    pub(crate) fn tree(&self, path: &Path, real: &Path, asked: Asked) -> Option<Tree> {
        let stat = LazyCell::new(|| rustix::fs::lstat(real).ok());
        let mut others = Vec::new();
        for (mapped, kept) in self.candidates(Kind::Tree, path) {
            if self.tells(&kept.stamp, real, || *stat, Telling::Files)? {
                mapped.note_use();
                let Stamp { proof, fingerprint, hash } = kept.stamp;
                if proof == Proof::StorePath {
                    return Some(Tree { bytes: kept.bytes, fingerprint: None, hash });
                }
                let hash = match hash {
                    None if asked == Asked::ContentsAndHash => Some(self.add_hash(path, real, &kept)?),
                    hash => hash,
                };
                return Some(Tree { bytes: kept.bytes, fingerprint: Some(fingerprint), hash });
            }
            others.push((mapped, kept));
        }
        if others.is_empty() { None } else { self.tree_by_contents(path, real, others) }
    }

    /// Whether a stamp tells that what really is at `real` is as it was, by the word of a file system that tells at least so
    /// much; nothing if there is nothing any more.
    fn tells(
        &self,
        stamp: &Stamp,
        real: &Path,
        stat: impl FnOnce() -> Option<Stat>,
        least: Telling,
    ) -> Option<bool> {
        Some(match stamp.proof {
            Proof::Contents => false,
            Proof::StorePath => self.store_path(real) == Some(stamp.fingerprint),
            Proof::Itself => {
                Fingerprint::of_stat(&stat()?) == stamp.fingerprint
                    && self.file_systems.telling(stamp.fingerprint.device, real) >= least
            }
        })
    }

    /// The hash of a text of which nobody asked for it when its tree was kept, if that still is the text. It is kept from
    /// now on.
    fn add_hash(&self, path: &Path, real: &Path, kept: &Kept<'static>) -> Option<Hash> {
        let (contents, stat) = reading::read_plain(real)?;
        let stamp = Stamp { hash: Some(hash(&contents)), ..kept.stamp };
        if Fingerprint::of_stat(&stat) != stamp.fingerprint {
            return None;
        }
        let path = path.as_os_str().as_bytes();
        self.add(&Entry { kind: Kind::Tree, path, stamp, parts: &[kept.bytes] });
        stamp.hash
    }

    /// Has the system take packs out of the process's memory. What is looked at again comes back.
    pub(crate) fn put_away(&self) {
        self.packs.get().into_iter().flatten().for_each(Mapped::put_away);
        lock(&self.new).put_away();
    }

    /// The same where the contents have to tell, as of a fresh clone.
    fn tree_by_contents(
        &self,
        path: &Path,
        real: &Path,
        mut kept: Vec<(&Mapped, Kept<'static>)>,
    ) -> Option<Tree> {
        let stat = rustix::fs::lstat(real).ok()?;
        kept.retain(|(_, kept)| {
            kept.stamp.hash.is_some() && kept.stamp.fingerprint.size == stat.st_size as u64
        });
        if kept.is_empty() || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let (contents, stat) = reading::read_plain(real)?;
        let stamp = self.stamp(real, &contents, &stat, Asked::ContentsAndHash)?;
        let hash = stamp.hash.unwrap_or_else(|| hash(&contents));
        let (mapped, kept) = kept.into_iter().find(|(_, kept)| kept.stamp.hash == Some(hash))?;
        mapped.note_use();
        if stamp.proof != Proof::Contents && kept.stamp != stamp {
            let path = path.as_os_str().as_bytes();
            self.add(&Entry { kind: Kind::Tree, path, stamp, parts: &[kept.bytes] });
        }
        let fingerprint = reliable(real, Fingerprint::of_stat(&stat));
        Some(Tree { bytes: kept.bytes, fingerprint, hash: Some(hash) })
    }

    /// Whether trees are kept of files that are read from now on.
    pub(crate) fn has_room(&self) -> bool {
        self.new_bytes.load(Ordering::Relaxed) < LARGEST_PACK / 2
    }

    /// Notes that a file was read of which a tree may be kept, if there is room. `stat` is from before. Gives the hash of the
    /// contents if it was asked for or needed, which it is not in a store path.
    pub(crate) fn note_read(
        &self,
        path: &Path,
        real: &Path,
        contents: &[u8],
        stat: &Stat,
        asked: Asked,
    ) -> Option<Hash> {
        if !self.has_room() {
            return None;
        }
        let stamp = self.stamp(real, contents, stat, asked)?;
        lock(&self.read).insert(path.as_os_str().as_bytes().into(), stamp);
        stamp.hash
    }

    /// Keeps the tree of a file that was noted. Gives where it is from now on.
    pub(crate) fn keep_tree(&self, path: &Path, parts: &[&[u8]]) -> Option<Added> {
        let path = path.as_os_str().as_bytes();
        let stamp = lock(&self.read).remove(path)?;
        self.add(&Entry { kind: Kind::Tree, path, stamp, parts })
    }

    /// What is in the folder `path`, which really is at `real`.
    pub(crate) fn list(&self, path: &Path, real: &Path, asked: Asked) -> std::io::Result<Listed> {
        if let Some(listed) = self.listing(path, real) {
            return Ok(listed);
        }
        let (entries, stat) = reading::read_dir(real)?;
        let fingerprint = Fingerprint::of_stat(&stat);
        let store_path = self.store_path(real).filter(|_| self.is_straight(real));
        let settled = || reliable(real, fingerprint).filter(|_| self.tells_of_folders(fingerprint, real));
        let proof = match (store_path, settled()) {
            (Some(store_path), _) => Some((Proof::StorePath, store_path)),
            (None, Some(fingerprint)) => Some((Proof::Itself, fingerprint)),
            (None, None) => None,
        };
        let mut hash = None;
        if let (Some((proof, fingerprint)), Some(bytes)) = (proof, listing::encode(&entries)) {
            let is_hashed = proof == Proof::Itself && asked == Asked::ContentsAndHash;
            hash = is_hashed.then(|| hash_listing(&entries));
            let path = path.as_os_str().as_bytes();
            let stamp = Stamp { proof, fingerprint, hash };
            self.add(&Entry { kind: Kind::Listing, path, stamp, parts: &[&bytes] });
        }
        Ok(Listed { entries, fingerprint: reliable(real, fingerprint), hash })
    }

    /// Whether the fingerprint of a folder changes with the names in it.
    pub(crate) fn tells_of_folders(&self, fingerprint: Fingerprint, real: &Path) -> bool {
        self.file_systems.telling(fingerprint.device, real) >= Telling::Folders
    }

    fn listing(&self, path: &Path, real: &Path) -> Option<Listed> {
        let stat = LazyCell::new(|| rustix::fs::stat(real).ok());
        for (mapped, kept) in self.candidates(Kind::Listing, path) {
            if self.tells(&kept.stamp, real, || *stat, Telling::Folders)?
                && let Some(entries) = listing::decode(kept.bytes)
            {
                mapped.note_use();
                let Stamp { proof, fingerprint, hash } = kept.stamp;
                let fingerprint = (proof == Proof::Itself).then_some(fingerprint);
                return Some(Listed { entries, fingerprint, hash });
            }
        }
        None
    }

    /// Gives where what is kept is from now on.
    fn add(&self, entry: &Entry<'_>) -> Option<Added> {
        if self.new_bytes.fetch_add(entry.size(), Ordering::Relaxed) >= LARGEST_PACK {
            return None;
        }
        let added = lock(&self.new).add(&self.folder, entry);
        if added.is_err() {
            // Nothing can be kept from now on.
            self.new_bytes.store(LARGEST_PACK, Ordering::Relaxed);
        }
        added.ok().flatten()
    }

    /// What will tell that a file is as it was when it was read, if anything can.
    fn stamp(&self, real: &Path, contents: &[u8], stat: &Stat, asked: Asked) -> Option<Stamp> {
        let fingerprint = Fingerprint::of_stat(stat);
        // A size that is made up means that the times may be, too.
        if fingerprint.size != contents.len() as u64 {
            return None;
        }
        let folder = real.parent()?;
        if let Some(fingerprint) = self.store_path(real)
            && (self.store.as_ref().is_some_and(|store| folder == store.path) || self.is_straight(folder))
        {
            return Some(Stamp { proof: Proof::StorePath, fingerprint, hash: None });
        }
        let tells = || self.file_systems.telling(fingerprint.device, real) >= Telling::Files;
        let proof = match reliable(real, fingerprint).filter(|_| tells()) {
            Some(_) => Proof::Itself,
            None => Proof::Contents,
        };
        let is_hashed = proof == Proof::Contents || asked == Asked::ContentsAndHash;
        Some(Stamp { proof, fingerprint, hash: is_hashed.then(|| hash(contents)) })
    }

    /// The fingerprint of the store path that a file is in, if no file in that changes.
    fn store_path(&self, real: &Path) -> Option<Fingerprint> {
        let store = self.store.as_ref()?;
        store.root_of(real, |root, device| self.file_systems.telling(device, root) >= Telling::Files)
    }

    fn is_straight(&self, folder: &Path) -> bool {
        self.store.as_ref().is_some_and(|store| store.is_straight(folder))
    }

    /// Writes what is new.
    fn finish(&self) {
        let new = std::mem::take(&mut *lock(&self.new));
        if new.size().is_some() {
            self.folder.put(new, self.packs());
        }
        if let Some(packs) = self.packs.get() {
            self.folder.note_uses(packs);
        }
    }
}

/// At the end of the command, when everything was said.
impl Drop for ParseCache {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The folder of store paths: what is in a valid one does not change.
struct Store {
    path: PathBuf,
    /// The same with all links followed.
    canonical: OnceLock<Option<PathBuf>>,
    /// The fingerprints of store paths that are as valid ones are.
    roots: Mutex<HashMap<OsString, Option<Fingerprint>>>,
    /// Folders, and whether no links lead to somewhere else on the way to them.
    straight: Mutex<HashMap<PathBuf, bool>>,
}

impl Store {
    fn new(path: PathBuf) -> Self {
        Self { path, canonical: OnceLock::new(), roots: Mutex::default(), straight: Mutex::default() }
    }

    fn root_of(&self, real: &Path, tells: impl FnOnce(&Path, u64) -> bool) -> Option<Fingerprint> {
        let name = real.strip_prefix(&self.path).ok()?.components().next()?;
        let mut roots = lock(&self.roots);
        if let Some(known) = roots.get(name.as_os_str()) {
            return *known;
        }
        let root = self.path.join(name);
        let fingerprint = std::fs::symlink_metadata(&root).ok().and_then(|metadata| {
            // As C++ Nix and we leave them when they become valid: from then on only the whole is replaced.
            let is_valid = (metadata.is_dir() || metadata.is_file())
                && metadata.mode() & 0o222 == 0
                && Fingerprint::of(&metadata).modified == STORE_TIME;
            Fingerprint::of(&metadata).settled().filter(|_| is_valid && tells(&root, metadata.dev()))
        });
        roots.insert(name.as_os_str().to_owned(), fingerprint);
        fingerprint
    }

    fn is_straight(&self, folder: &Path) -> bool {
        let canonical = self.canonical.get_or_init(|| self.path.canonicalize().ok());
        let (Some(canonical), Ok(inside)) = (canonical, folder.strip_prefix(&self.path)) else {
            return false;
        };
        let mut straight = lock(&self.straight);
        if let Some(known) = straight.get(folder) {
            return *known;
        }
        let is_straight = folder.canonicalize().is_ok_and(|real| real == canonical.join(inside));
        straight.insert(folder.to_owned(), is_straight);
        is_straight
    }
}
