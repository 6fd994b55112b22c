//! Takes new temporary roots from other processes while garbage is collected.
//!
//! The protocol is that of C++ Nix (`src/libstore/gc.cc`): over the socket `gc-socket/socket` a client sends one
//! full store path a line, and gets the byte `1` for each once it is safe.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nival_formats::StoreDir;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::directories::create_dirs;
use crate::error::{IoContext as _, Result};

/// A line longer than this is no store path.
const MAX_LINE: usize = 4096;

/// What the collector and its server both look at. Roots are known by their hash part, which covers lock files and
/// the like as well.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Default)]
struct State {
    roots: HashSet<String>,
    /// What the collector may be deleting at this moment.
    claimed: HashSet<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_root(&self, hash_part: &str) {
        self.lock().roots.insert(hash_part.to_owned());
    }

    /// Announces that a path may be deleted, unless it is a root.
    pub(crate) fn claim(&self, hash_part: &str) -> bool {
        let mut state = self.lock();
        if state.roots.contains(hash_part) {
            return false;
        }
        state.claimed.insert(hash_part.to_owned());
        true
    }

    /// Whatever was claimed is deleted, or left alone.
    pub(crate) fn release(&self) {
        self.lock().claimed.clear();
        self.released.notify_all();
    }

    /// Adds a root; if it is being deleted, comes back when that is done.
    fn add_root_and_wait(&self, hash_part: &str) {
        let mut state = self.lock();
        state.roots.insert(hash_part.to_owned());
        while state.claimed.contains(hash_part) {
            state = self.released.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

pub(crate) struct GcServer {
    listener: UnixListener,
    store_dir: StoreDir,
    stop_reader: OwnedFd,
    stop_writer: OwnedFd,
}

impl GcServer {
    pub(crate) fn bind(socket: &Path, store_dir: &StoreDir) -> Result<Self> {
        let directory = socket.parent().unwrap_or(socket);
        create_dirs(directory)?;
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at("remove", socket),
            _ => {}
        }
        let listener = with_short_path(socket, |short| UnixListener::bind(short)).at("listen at", socket)?;
        // Any user of the store has roots to tell.
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).at("change the mode of", socket)?;
        listener.set_nonblocking(true).at("listen at", socket)?;
        let (stop_reader, stop_writer) = pipe_with(PipeFlags::CLOEXEC).at("make a pipe for", socket)?;
        Ok(Self { listener, store_dir: store_dir.clone(), stop_reader, stop_writer })
    }

    /// Serves as long as `work` runs.
    pub(crate) fn while_serving<T>(&self, shared: &Shared, work: impl FnOnce() -> T) -> T {
        struct Stop<'a>(&'a GcServer, &'a Shared);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.1.release();
                // The pipe is empty and open, so that one byte always fits.
                let _ = rustix::io::write(&self.0.stop_writer, b"x");
            }
        }
        std::thread::scope(|scope| {
            scope.spawn(|| self.serve(shared));
            // Also when `work` panics: the scope waits for the server.
            let _stop = Stop(self, shared);
            work()
        })
    }

    fn serve(&self, shared: &Shared) {
        let mut clients: Vec<Client> = Vec::new();
        loop {
            let ready: Vec<bool> = {
                let mut waiting = vec![
                    PollFd::new(&self.stop_reader, PollFlags::IN),
                    PollFd::new(&self.listener, PollFlags::IN),
                ];
                waiting.extend(clients.iter().map(|client| PollFd::new(&client.stream, PollFlags::IN)));
                match poll(&mut waiting, None) {
                    Ok(_) => {}
                    Err(Errno::INTR) => continue,
                    // Clients see the connection close and wait for the lock instead.
                    Err(_) => return,
                }
                waiting.iter().map(|one| !one.revents().is_empty()).collect()
            };
            if ready[0] {
                return;
            }
            let mut index = 2;
            clients.retain_mut(|client| {
                let keep = !ready[index] || client.serve(&self.store_dir, shared).is_ok();
                index += 1;
                keep
            });
            if ready[1]
                && let Ok((stream, _)) = self.listener.accept()
                && stream.set_nonblocking(false).is_ok()
            {
                clients.push(Client { stream, line: Vec::new() });
            }
        }
    }
}

struct Client {
    stream: UnixStream,
    line: Vec<u8>,
}

impl Client {
    fn serve(&mut self, store_dir: &StoreDir, shared: &Shared) -> io::Result<()> {
        let mut buffer = [0_u8; 1024];
        let read = self.stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for byte in &buffer[..read] {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            // The reference answers garbage too.
            if let Some(path) =
                std::str::from_utf8(&self.line).ok().and_then(|line| store_dir.parse(line).ok())
            {
                shared.add_root_and_wait(path.hash_part());
            }
            self.line.clear();
            self.stream.write_all(b"1")?;
        }
        if self.line.len() > MAX_LINE { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) }
    }
}

/// Socket addresses hold 107 bytes: longer paths are reached through a descriptor of their directory.
pub(crate) fn with_short_path<T>(socket: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if socket.as_os_str().len() <= 107 {
        return work(socket);
    }
    let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = File::open(directory)?;
    work(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name))
}
