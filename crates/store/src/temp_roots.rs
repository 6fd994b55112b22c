//! Temporary roots: what this process needs until it ends (C++ Nix: `LocalStore::addTempRoot` in
//! `src/libstore/gc.cc`).
//!
//! They are in `temproots/<pid>`, a file that its process keeps locked: a file that can be locked by somebody else
//! is stale. While a garbage collector runs it has read the files already, and is told of new roots over its
//! socket.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nival_formats::{StoreDir, StorePath};

use crate::config::StoreConfig;
use crate::error::{IoContext as _, Result};
use crate::event::StoreEvent;
use crate::gc_server::with_short_path;
use crate::lock::{LockKind, open_lock_file, try_lock, unlock};

/// The temporary roots of one open store.
pub(crate) struct TempRoots {
    directory: PathBuf,
    gc_lock: PathBuf,
    gc_socket: PathBuf,
    open: Option<OpenRoots>,
    collector: Option<UnixStream>,
}

struct OpenRoots {
    file: File,
    path: PathBuf,
    gc_lock: File,
    pid: u32,
    known: BTreeSet<StorePath>,
}

impl TempRoots {
    pub(crate) fn new(config: &StoreConfig) -> Self {
        Self {
            directory: config.state_dir.join("temproots"),
            gc_lock: gc_lock_path(config),
            gc_socket: gc_socket_path(config),
            open: None,
            collector: None,
        }
    }

    /// Keeps `paths` from being collected as long as this process lives.
    pub(crate) fn add(&mut self, store_dir: &StoreDir, paths: &[&StorePath]) -> Result<()> {
        // After a fork the file belongs to the parent.
        if self.open.as_ref().is_some_and(|open| open.pid != std::process::id()) {
            self.open = None;
            self.collector = None;
        }
        if self.open.is_none() {
            self.open = Some(self.create_file()?);
        }
        let open = self.open.as_mut().expect("it was created above");
        let new: Vec<&StorePath> =
            paths.iter().filter(|path| !open.known.contains(**path)).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = new.iter().map(|path| store_dir.display(path)).collect();
        loop {
            if try_lock(&open.gc_lock, LockKind::Shared, &self.gc_lock)? {
                append(open, &lines)?;
                unlock(&open.gc_lock, &self.gc_lock)?;
                break;
            }
            match tell_collector(&mut self.collector, &self.gc_socket, &lines) {
                Ok(()) => {
                    append(open, &lines)?;
                    break;
                }
                // It may have ended, or not have begun to listen; then the lock is soon to be had.
                Err(error) if is_gone(&error) => {
                    self.collector = None;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error).at("talk to the garbage collector at", &self.gc_socket),
            }
        }
        open.known.extend(new.into_iter().cloned());
        Ok(())
    }

    /// Keeps everybody else from taking temporary roots, as long as the answer lives, and tells which paths others
    /// have taken as theirs. Nothing if somebody else has the lock at the moment.
    pub(crate) fn be_alone(&mut self, config: &StoreConfig) -> Result<Option<Alone<'_>>> {
        let lock_path = &self.gc_lock;
        let Some(open) = &self.open else { return Ok(None) };
        if !try_lock(&open.gc_lock, LockKind::Exclusive, lock_path)? {
            return Ok(None);
        }
        let mut alone = Alone { gc_lock: &open.gc_lock, lock_path, others: HashSet::new() };
        for (path, _) in read_all(config, Some(&open.path))? {
            alone.others.insert(path);
        }
        Ok(Some(alone))
    }

    fn create_file(&self) -> Result<OpenRoots> {
        let pid = std::process::id();
        let gc_lock = open_lock_file(&self.gc_lock)?;
        let mut path = self.directory.join(pid.to_string());
        let mut taken = 0_u32;
        loop {
            let file = open_lock_file(&path)?;
            if !try_lock(&file, LockKind::Exclusive, &path)? {
                // Another store of this process, or a process of another PID namespace, has this name in use.
                // C++ Nix reads the number that a name begins with.
                taken += 1;
                path = self.directory.join(format!("{pid}-{taken}"));
                continue;
            }
            if file.metadata().at("examine", &path)?.len() == 0 && is_at(&file, &path) {
                return Ok(OpenRoots { file, path, gc_lock, pid, known: BTreeSet::new() });
            }
            // Left by a process that has ended, or removed by a collector in between.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).at("remove the stale temporary roots", &path);
                }
                _ => {}
            }
        }
    }
}

/// The right to add paths that nobody else is at work on.
pub(crate) struct Alone<'a> {
    gc_lock: &'a File,
    lock_path: &'a Path,
    others: HashSet<StorePath>,
}

impl Alone<'_> {
    /// Whether another process has a temporary root for this path.
    pub(crate) fn others_have(&self, path: &StorePath) -> bool {
        self.others.contains(path)
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // It ends with the process, should this fail.
        let _ = unlock(self.gc_lock, self.lock_path);
    }
}

impl Drop for TempRoots {
    fn drop(&mut self) {
        if let Some(open) = &self.open
            && open.pid == std::process::id()
            && is_at(&open.file, &open.path)
        {
            let _ = fs::remove_file(&open.path);
        }
    }
}

/// Whether `file` is the one that has the name `path` now.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

fn append(open: &mut OpenRoots, lines: &[String]) -> Result<()> {
    let mut text = Vec::new();
    for line in lines {
        text.extend_from_slice(line.as_bytes());
        text.push(0);
    }
    open.file.write_all(&text).at("write", &open.path)
}

fn tell_collector(connection: &mut Option<UnixStream>, socket: &Path, lines: &[String]) -> io::Result<()> {
    if connection.is_none() {
        *connection = Some(with_short_path(socket, |short| UnixStream::connect(short))?);
    }
    let stream = connection.as_mut().expect("it was connected above");
    for line in lines {
        stream.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = [0_u8];
        stream.read_exact(&mut answer)?;
    }
    Ok(())
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof};
    matches!(error.kind(), ConnectionRefused | NotFound | BrokenPipe | ConnectionReset | UnexpectedEof)
}

pub(crate) fn gc_lock_path(config: &StoreConfig) -> PathBuf {
    config.state_dir.join("gc.lock")
}

pub(crate) fn gc_socket_path(config: &StoreConfig) -> PathBuf {
    config.state_dir.join("gc-socket/socket")
}

/// The temporary roots of all running processes; files of processes that have ended are removed.
pub(crate) fn find(config: &StoreConfig) -> Result<BTreeMap<StorePath, BTreeSet<u32>>> {
    let mut roots: BTreeMap<StorePath, BTreeSet<u32>> = BTreeMap::new();
    for (path, pid) in read_all(config, None)? {
        roots.entry(path).or_default().insert(pid);
    }
    Ok(roots)
}

fn read_all(config: &StoreConfig, except: Option<&Path>) -> Result<Vec<(StorePath, u32)>> {
    let directory = config.state_dir.join("temproots");
    let mut roots = Vec::new();
    for entry in fs::read_dir(&directory).at("read the directory", &directory)? {
        let path = entry.at("read the directory", &directory)?.path();
        // Package managers put hidden files into empty directories to keep them.
        let Some(pid) = path.file_name().and_then(|name| leading_number(name.to_str()?)) else { continue };
        if except == Some(path.as_path()) {
            continue;
        }
        let mut file = match fs::OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            result => result.at("open", &path)?,
        };
        if try_lock(&file, LockKind::Exclusive, &path)? {
            (config.reporter)(StoreEvent::StaleTemporaryRoots(&path));
            let _ = fs::remove_file(&path);
            // Whoever waits for this file sees that it has gone.
            file.write_all_at(b"d", 0).at("write", &path)?;
            continue;
        }
        let mut contents = Vec::new();
        file.read_to_end(&mut contents).at("read", &path)?;
        roots.extend(contents.split(|byte| *byte == 0).filter_map(|line| {
            let line = std::str::from_utf8(line).ok()?;
            Some((config.store_dir.parse(line).ok()?, pid))
        }));
    }
    Ok(roots)
}

fn leading_number(name: &str) -> Option<u32> {
    name[..name.bytes().take_while(u8::is_ascii_digit).count()].parse().ok()
}
