//! A host that notes what it is asked.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use nival_eval::ContextElement;
use nival_eval::host::{
    Download, Downloaded, EMBEDDED, FetchedInput, FileType, Host, HostError, KeptFile, Listing, MessageKind,
    Realised, Registries, SourceRequest,
};
use nival_formats::input::InputKind;
use nival_formats::store_path::DigestHash;
use nival_formats::{Derivation, DraftFile, Input, StoreDir, StorePath};
use rustix::fs::Stat;

use super::entries::to_their_folders;
use super::entry::{Entry, Said};
use super::files::Files;
use super::inputs::Inputs;
use super::neighbours::in_groups;
use super::seen::{Kind, Seen, Stamp, is_executable};
use crate::fingerprint::{self, Fingerprint, Hash, hash, hash_listing, is_below, reliable};
use crate::host::WorldHost;
use crate::lock::lock;
use crate::parse_cache::{Asked, Listed, Tree};
use crate::reading;
use crate::world::World;

/// For how long something fetched without a hash counts as fresh: the default of `tarball-ttl` (C++ Nix manual,
/// `nix.conf`).
const FRESH_FOR: u64 = 3600;

/// How much earlier than it was the system may say that a file was changed, in nanoseconds.
const CLOCK_TICK: i64 = 20_000_000;

/// Passes everything on to another host and notes it.
pub(crate) struct Recorder {
    inner: WorldHost,
    began: SystemTime,
    store: Option<StoreFolder>,
    /// Nothing once something was seen that cannot be looked at again.
    record: Mutex<Option<Record>>,
}

/// Where the store's files are.
struct StoreFolder {
    logical: PathBuf,
    real: PathBuf,
    /// The same with all links followed.
    canonical: PathBuf,
}

type StorePaths = HashSet<StorePath, DigestHash>;

#[derive(Default)]
struct Record {
    files: Files,
    variables: BTreeMap<String, Option<Hash>>,
    /// Until when what was fetched counts as fresh.
    expires: Option<u64>,
    /// Store paths that were asked for, or are the result of a fetch.
    asked: StorePaths,
    /// Store paths that were asked for and were not there.
    absent: StorePaths,
    /// What was put into the store.
    added: StorePaths,
    /// What of it others of it refer to, if it stays there: valid whenever these are.
    referenced: StorePaths,
    said: Vec<Said>,
    /// Folders of the store, and whether links lead out of the store from there.
    folders: HashMap<OsString, bool>,
}

/// How a path is noted.
enum Place {
    /// It is in the binary.
    Embedded,
    /// It is in a store path, which does not change: this is where that really is.
    Store(PathBuf),
    /// This is where it really is.
    Elsewhere(PathBuf),
}

impl Recorder {
    pub(crate) fn new(inner: WorldHost) -> Self {
        let store = inner.0.store_config().map(|config| StoreFolder {
            logical: PathBuf::from(config.store_dir.as_str()),
            real: config.real_store_dir.clone(),
            canonical: config.real_store_dir.canonicalize().unwrap_or_else(|_| config.real_store_dir.clone()),
        });
        Self { inner, began: SystemTime::now(), store, record: Mutex::new(Some(Record::default())) }
    }

    /// Notes a part of the command's answer.
    pub(crate) fn say(&self, bytes: &[u8]) {
        self.note(|record| record.said.push(Said::Data(bytes.to_vec())));
    }

    /// All that was noted, if the answer can be kept.
    pub(super) fn finish(&self, world: &World) -> Option<Entry<'static>> {
        let record = lock(&self.record).take()?;
        if record.absent.iter().any(|path| !record.asked.contains(path) && !record.added.contains(path)) {
            // It was not fetched either, so that somebody else may put it there.
            return None;
        }
        if record.files.is_empty() && record.added.is_empty() && record.asked.is_empty() {
            // Nothing was read: to evaluate again is as quick as to look it up.
            return None;
        }
        let mut paths: StorePaths = record.asked.difference(&record.added).cloned().collect();
        if world.keeps_what_is_added() {
            paths.extend(record.added.difference(&record.referenced).cloned());
        }
        let mut paths: Vec<_> = paths.into_iter().collect();
        paths.sort_unstable();
        let seen = to_their_folders(record.files.in_order(), |folder| self.unchanged(folder));
        let files = in_groups(&seen);
        // The process ends soon. To free what was seen of each file takes longer.
        std::mem::forget(seen);
        Some(Entry {
            inputs: Inputs { files, variables: record.variables, expires: record.expires },
            paths,
            said: record.said,
        })
    }

    /// The fingerprint of a folder that has not changed since the recording began, if it tells what is in the folder.
    fn unchanged(&self, folder: &Path) -> Option<Fingerprint> {
        let metadata = std::fs::symlink_metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
        let fingerprint = reliable(folder, Fingerprint::of(&metadata))?.settled_by(self.began)?;
        self.inner.0.parse_cache()?.tells_of_folders(fingerprint, folder).then_some(fingerprint)
    }

    /// Notes what is put into the store, and what it refers to.
    fn note_added<'a>(&self, path: &StorePath, references: impl IntoIterator<Item = &'a StorePath>) {
        self.note(|record| {
            if record.added.insert(path.clone()) && self.inner.0.keeps_what_is_added() {
                record.referenced.extend(references.into_iter().cloned());
            }
        });
    }

    fn note(&self, write: impl FnOnce(&mut Record)) {
        if let Some(record) = lock(&self.record).as_mut() {
            write(record);
        }
    }

    /// The answer depends on something that cannot be looked at again.
    fn give_up(&self) {
        lock(&self.record).take();
    }

    fn gave_up(&self) -> bool {
        lock(&self.record).is_none()
    }

    /// Notes what `look` says of a path; an error ends the recording.
    fn see(&self, path: PathBuf, look: impl FnOnce(&Path, &mut Seen) -> io::Result<()>) {
        let mut record = lock(&self.record);
        let Some(files) = record.as_mut().map(|record| &mut record.files) else { return };
        let (path, seen) = files.at(path);
        if look(path, seen).is_err() {
            *record = None;
        }
    }

    /// Where a path is noted. `follows`: what the link at its end points to is looked at, not the link.
    fn place(&self, path: &Path, follows: bool) -> Place {
        if is_below(path, EMBEDDED.trim_end_matches('/')) {
            return Place::Embedded;
        }
        let Some(store) = &self.store else { return Place::Elsewhere(path.to_owned()) };
        let Ok(inside) = path.strip_prefix(&store.logical) else {
            return Place::Elsewhere(path.to_owned());
        };
        // Should it fail, it fails again where the host is asked.
        let _ = self.inner.settle(inside);
        let real = store.real.join(inside);
        let mut parts = inside.components();
        let Some(name) = parts.next() else { return Place::Elsewhere(real) };
        let root = store.real.join(name);
        let is_root = parts.next().is_none();
        let leaves = if is_root { false } else { self.leaves_store(store, real.parent().unwrap_or(&root)) };
        let is_link = follows && std::fs::symlink_metadata(&real).is_ok_and(|metadata| metadata.is_symlink());
        if leaves || is_link { Place::Elsewhere(real) } else { Place::Store(root) }
    }

    /// Whether a folder of the store is really somewhere else, through links.
    fn leaves_store(&self, store: &StoreFolder, folder: &Path) -> bool {
        let mut record = lock(&self.record);
        let Some(record) = record.as_mut() else { return true };
        if let Some(known) = record.folders.get(folder.as_os_str()) {
            return *known;
        }
        let leaves = !folder.canonicalize().is_ok_and(|real| real.starts_with(&store.canonical));
        record.folders.insert(folder.into(), leaves);
        leaves
    }

    /// Notes that a store path was looked into.
    fn see_root(&self, root: PathBuf) {
        self.see(root, |root, seen| {
            if seen.kind.is_some() {
                return Ok(());
            }
            let metadata = match std::fs::symlink_metadata(root) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    seen.kind = Some(Kind::Absent);
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let kind = crate::host::file_type(metadata.file_type());
            seen.kind = Some(Kind::of(Some(kind)));
            match kind {
                FileType::Symlink => seen.link = Some(std::fs::read_link(root)?),
                // What is in it does not change: the same inode will do.
                _ => seen.identity = Some(Fingerprint::of(&metadata).into()),
            }
            Ok(())
        });
    }

    /// Notes one file, folder or link of a tree that is copied into the store.
    fn see_source(&self, path: &Path) {
        let path = match self.place(path, false) {
            Place::Embedded => return,
            Place::Store(root) => return self.see_root(root),
            Place::Elsewhere(path) => path,
        };
        self.see(path, |path, seen| {
            let metadata = std::fs::symlink_metadata(path)?;
            let kind = crate::host::file_type(metadata.file_type());
            seen.kind = Some(Kind::of(Some(kind)));
            match kind {
                FileType::Symlink => seen.link = Some(std::fs::read_link(path)?),
                FileType::Directory if seen.listing.is_none() => {
                    seen.listing = Some(Stamp::unread(path, &metadata)?.into());
                }
                FileType::Regular => {
                    seen.executable = Some(is_executable(&metadata));
                    if seen.contents.is_none() {
                        seen.contents = Some(Stamp::unread(path, &metadata)?.into());
                    }
                }
                _ => {}
            }
            Ok(())
        });
    }

    /// Notes what was in a file that was such when it was opened: what changes later changes the fingerprint.
    fn see_contents(&self, path: PathBuf, contents: &[u8], stat: &Stat) {
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
            return self.give_up();
        }
        let stamp =
            Stamp::of_contents(reliable(&path, Fingerprint::of_stat(stat)), contents.len(), hash(contents));
        self.see_stamp(path, None, stamp);
    }

    /// Notes what a file was. `kind` is what is there itself, if that is known.
    fn see_stamp(&self, path: PathBuf, kind: Option<Kind>, stamp: Stamp) {
        self.see(path, |_, seen| {
            seen.kind = seen.kind.or(kind);
            if seen.contents.as_ref().is_none_or(|stamp| stamp.hash.is_none()) {
                seen.contents = Some(stamp.into());
            }
            Ok(())
        });
    }

    /// Notes whether a path was valid when it was asked for.
    fn note_validity(&self, path: &StorePath, valid: bool) {
        self.note(|record| {
            let answered = if valid { &mut record.asked } else { &mut record.absent };
            answered.insert(path.clone());
        });
    }

    /// Passes an error on, after which nothing is recorded any more: it might not come again.
    fn watched<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        result.inspect_err(|_| self.give_up())
    }
}

impl Host for Recorder {
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.gave_up() {
            return self.inner.read_file(path);
        }
        let real = match self.place(path, true) {
            Place::Embedded => return self.inner.read_file(path),
            Place::Store(root) => {
                self.see_root(root);
                return self.watched(self.inner.read_file(path));
            }
            Place::Elsewhere(real) => real,
        };
        let (contents, stat) = self.watched(reading::read(&real))?;
        self.see_contents(real, &contents, &stat);
        Ok(contents)
    }

    fn read_plain_file(&self, path: &Path) -> Option<Vec<u8>> {
        if self.gave_up() {
            return self.inner.read_plain_file(path);
        }
        match self.place(path, false) {
            Place::Embedded => self.inner.read_plain_file(path),
            Place::Store(root) => {
                let contents = self.inner.read_plain_file(path)?;
                self.see_root(root);
                Some(contents)
            }
            Place::Elsewhere(real) => {
                let (contents, stat) = reading::read_plain(&real)?;
                let cache = self.inner.0.parse_cache();
                let noted = cache
                    .and_then(|cache| cache.note_read(path, &real, &contents, &stat, Asked::ContentsAndHash));
                let hash = noted.unwrap_or_else(|| hash(&contents));
                let fingerprint = reliable(&real, Fingerprint::of_stat(&stat));
                let stamp = Stamp::of_contents(fingerprint, contents.len(), hash);
                self.see_stamp(real, Some(Kind::Regular), stamp);
                Some(contents)
            }
        }
    }

    fn kept_tree(&self, path: &Path) -> Option<&'static [u8]> {
        if self.gave_up() {
            return self.inner.kept_tree(path);
        }
        match self.place(path, false) {
            Place::Embedded => None,
            Place::Store(root) => {
                let kept = self.inner.kept_tree(path)?;
                self.see_root(root);
                Some(kept)
            }
            Place::Elsewhere(real) => {
                let cache = self.inner.0.parse_cache()?;
                let Tree { bytes, fingerprint, hash } = cache.tree(path, &real, Asked::ContentsAndHash)?;
                let hash = match hash {
                    Some(hash) => hash,
                    // A file of the store by where that really is.
                    None => fingerprint::hash(&reading::read_plain(&real)?.0),
                };
                let stamp = Stamp { fingerprint, hash: Some(hash) };
                self.see_stamp(real, Some(Kind::Regular), stamp);
                Some(bytes)
            }
        }
    }

    fn text_later(&self, path: &Path) -> Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync> {
        self.inner.text_later(path)
    }

    fn keep_tree(&self, path: &Path, parts: &[&[u8]]) -> Option<KeptFile> {
        self.inner.keep_tree(path, parts)
    }

    fn keeps_trees(&self) -> bool {
        self.inner.keeps_trees()
    }

    fn put_away(&self) {
        self.inner.put_away();
    }

    fn give_back(&self) {
        self.inner.give_back();
    }

    fn read_dir(&self, path: &Path) -> io::Result<Listing> {
        let real = match self.place(path, true) {
            Place::Embedded => return self.inner.read_dir(path),
            Place::Store(root) => {
                self.see_root(root);
                return self.watched(self.inner.read_dir(path));
            }
            Place::Elsewhere(real) => real,
        };
        let listed = self.inner.list(path, &real, Asked::ContentsAndHash);
        let Listed { entries, fingerprint, hash } = self.watched(listed)?;
        self.see(real, |_, seen| {
            if seen.listing.as_ref().is_none_or(|stamp| stamp.hash.is_none()) {
                let hash = Some(hash.unwrap_or_else(|| hash_listing(&entries)));
                seen.listing = Some(Stamp { fingerprint, hash }.into());
            }
            Ok(())
        });
        Ok(entries)
    }

    fn file_type(&self, path: &Path) -> io::Result<Option<FileType>> {
        let kind = self.watched(self.inner.file_type(path))?;
        match self.place(path, false) {
            Place::Embedded => {}
            Place::Store(root) => self.see_root(root),
            Place::Elsewhere(real) => self.see(real, |_, seen| {
                seen.kind = Some(Kind::of(kind));
                Ok(())
            }),
        }
        Ok(kind)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let target = self.watched(self.inner.read_link(path))?;
        match self.place(path, false) {
            Place::Embedded => {}
            Place::Store(root) => self.see_root(root),
            Place::Elsewhere(real) => self.see(real, |_, seen| {
                seen.kind = Some(Kind::Symlink);
                seen.link = Some(target.clone());
                Ok(())
            }),
        }
        Ok(target)
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        let value = self.inner.env(name);
        self.note(|record| {
            record.variables.insert(name.to_owned(), value.as_deref().map(hash));
        });
        value
    }

    fn current_time(&self) -> i64 {
        self.give_up();
        self.inner.current_time()
    }

    fn store_dir(&self) -> &StoreDir {
        self.inner.store_dir()
    }

    fn add_text(
        &self,
        name: &str,
        contents: &[u8],
        references: &[StorePath],
    ) -> Result<StorePath, HostError> {
        let path = self.watched(self.inner.add_text(name, contents, references))?;
        self.note_added(&path, references);
        Ok(path)
    }

    fn add_source(&self, source: SourceRequest<'_>) -> Result<StorePath, HostError> {
        if self.gave_up() {
            return self.inner.add_source(source);
        }
        let SourceRequest { name, path, method, mut filter, expected } = source;
        self.see_source(path);
        let mut noting = |path: &Path, kind: FileType| {
            let wanted = match filter.as_mut() {
                Some(filter) => filter(path, kind)?,
                None => true,
            };
            if wanted {
                self.see_source(path);
            }
            Ok(wanted)
        };
        let request = SourceRequest { name, path, method, filter: Some(&mut noting), expected };
        let added = self.watched(self.inner.add_source(request))?;
        self.note_added(&added, &[]);
        Ok(added)
    }

    fn write_derivation(&self, file: DraftFile<'_, '_>) -> Result<(), HostError> {
        self.note_added(&file.path, file.references());
        self.watched(self.inner.write_derivation(file))
    }

    fn has_derivation(&self, path: &StorePath) -> bool {
        let is_noted = lock(&self.record).as_ref().is_none_or(|record| record.added.contains(path));
        is_noted && self.inner.has_derivation(path)
    }

    fn read_derivation(&self, path: &StorePath) -> Result<Derivation, HostError> {
        self.ask(path);
        self.watched(self.inner.read_derivation(path))
    }

    fn realise(&self, elements: &[&ContextElement]) -> Result<Realised, HostError> {
        let realised = self.watched(self.inner.realise(elements))?;
        if !realised.replacements.is_empty() {
            // Where these outputs are is known to the store alone.
            self.give_up();
        }
        Ok(realised)
    }

    fn is_valid_path(&self, path: &StorePath) -> Result<bool, HostError> {
        let valid = self.watched(self.inner.is_valid_path(path))?;
        self.note_validity(path, valid);
        Ok(valid)
    }

    fn is_read_only(&self) -> bool {
        self.inner.is_read_only()
    }

    fn ensure_path(&self, path: &StorePath) -> Result<bool, HostError> {
        let valid = self.watched(self.inner.ensure_path(path))?;
        self.note_validity(path, valid);
        Ok(valid)
    }

    fn closure(&self, path: &StorePath) -> Result<Vec<StorePath>, HostError> {
        self.ask(path);
        self.watched(self.inner.closure(path))
    }

    fn is_content_addressed(&self, path: &StorePath) -> Result<bool, HostError> {
        self.ask(path);
        self.watched(self.inner.is_content_addressed(path))
    }

    fn embedded_flake(&self, input: &Input) -> Option<PathBuf> {
        self.inner.embedded_flake(input)
    }

    fn resolve_input(
        &self,
        input: &Input,
        registries: Registries,
    ) -> Result<(Input, Option<String>), HostError> {
        let resolved = self.watched(self.inner.resolve_input(input, registries))?;
        self.expire();
        Ok(resolved)
    }

    fn fetch_input(&self, input: &Input) -> Result<FetchedInput, HostError> {
        let path = input.text("path").ok().flatten().filter(|_| input.kind() == Some(InputKind::Path));
        let is_open = !input.is_locked().unwrap_or(false);
        if let Some(path) = path.filter(|_| is_open) {
            self.see_tree(Path::new(path));
        }
        let started = SystemTime::now();
        let fetched = self.watched(self.inner.fetch_input(input))?;
        self.ask(&fetched.path);
        for file in &fetched.read {
            self.see_since(file, started);
        }
        if is_open && path.is_none() && fetched.read.is_empty() {
            self.age(input.text("url").ok().flatten().unwrap_or_default());
        }
        Ok(fetched)
    }

    fn download(&self, download: &Download<'_>) -> Result<Downloaded, HostError> {
        let downloaded = self.watched(self.inner.download(download))?;
        self.ask(&downloaded.path);
        self.age(download.url);
        Ok(downloaded)
    }

    fn copy_closure(&self, from_store: &str, path: &StorePath) -> Result<(), HostError> {
        self.ask(path);
        self.watched(self.inner.copy_closure(from_store, path))
    }

    fn resolve_search_entry(&self, value: &str) -> Result<PathBuf, HostError> {
        let resolved = self.watched(self.inner.resolve_search_entry(value))?;
        if value.contains(':') {
            self.expire();
        }
        Ok(resolved)
    }

    fn message(&self, kind: MessageKind, text: &[u8]) {
        self.note(|record| record.said.push(Said::Message(kind, text.to_vec())));
        self.inner.message(kind, text);
    }
}

impl Recorder {
    fn ask(&self, path: &StorePath) {
        self.note(|record| {
            record.asked.insert(path.clone());
        });
    }

    /// Something was fetched that may be another thing tomorrow.
    fn expire(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        self.note(|record| {
            let until = now + FRESH_FOR;
            record.expires = Some(record.expires.map_or(until, |before| before.min(until)));
        });
    }

    /// Something was fetched that is not locked: what is on this machine may change at any time.
    fn age(&self, url: &str) {
        let remote = ["http://", "https://", "ssh://", "git://", "s3://"];
        if remote.iter().any(|scheme| url.contains(scheme)) { self.expire() } else { self.give_up() }
    }

    /// Notes a file that was read since a moment: it must not have changed since then. Of folders only that they are
    /// there counts.
    fn see_since(&self, path: &Path, started: SystemTime) {
        let path = match self.place(path, false) {
            Place::Embedded => return,
            Place::Store(root) => return self.see_root(root),
            Place::Elsewhere(path) => path,
        };
        let metadata = std::fs::symlink_metadata(&path);
        let started = started.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as i64);
        let is_new = |metadata: &std::fs::Metadata| Fingerprint::of(metadata).changed >= started - CLOCK_TICK;
        match metadata {
            Ok(metadata) if metadata.is_dir() => self.see(path, |_, seen| {
                seen.kind = Some(Kind::Directory);
                Ok(())
            }),
            Ok(metadata) if is_new(&metadata) => self.give_up(),
            Ok(_) => self.see_source(&path),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                self.see(path, |_, seen| {
                    seen.kind = Some(Kind::Absent);
                    Ok(())
                });
            }
            Err(_) => self.give_up(),
        }
    }

    /// Notes a tree of which the times count as well: one that was changed just now is not noted.
    fn see_tree(&self, path: &Path) {
        let real = match self.place(path, false) {
            Place::Embedded => return,
            Place::Store(root) => return self.see_root(root),
            Place::Elsewhere(real) => real,
        };
        let mut folders = vec![real];
        while let Some(path) = folders.pop() {
            let mut is_folder = false;
            self.see(path.clone(), |path, seen| {
                let metadata = std::fs::symlink_metadata(path)?;
                is_folder = metadata.is_dir();
                let identity = reliable(path, Fingerprint::of(&metadata));
                seen.identity = Some(identity.ok_or(io::ErrorKind::ResourceBusy)?.into());
                Ok(())
            });
            if self.gave_up() || !is_folder {
                continue;
            }
            match std::fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
                Ok(entries) => folders.extend(entries.into_iter().map(|entry| entry.path())),
                Err(_) => self.give_up(),
            }
        }
    }
}
