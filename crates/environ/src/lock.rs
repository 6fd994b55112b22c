//! The lock that keeps two switches of one home apart.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::context::Context;
use crate::error::{Error, Result};

/// What to do when another switch is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenBusy {
    /// Stop with [`Error::Busy`].
    #[default]
    Fail,
    /// Wait for its end.
    Wait,
}

/// A held lock. The system lets go of it when the process ends, however that happens.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would do, were it not for a child that is just being forked and has the file open as well.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl Lock {
    /// Takes the lock of this home.
    pub fn take(context: &Context<'_>, when_busy: WhenBusy) -> Result<Self> {
        let state = context.state_dir();
        make_state_dir(context, &state)?;
        let path = state.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| no_state(context, "open", &path, error))?;
        let operation = match when_busy {
            WhenBusy::Fail => FlockOperation::NonBlockingLockExclusive,
            WhenBusy::Wait => FlockOperation::LockExclusive,
        };
        loop {
            match flock(&file, operation) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    let mut holder = String::new();
                    // The name of the holder is only for the message.
                    let _ = file.read_to_string(&mut holder);
                    return Err(Error::Busy { holder: holder.trim().to_owned() });
                }
                Err(error) => return Err(Error::io("lock", &path)(error.into())),
            }
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "process {} of {}, since {}", context.pid, context.user, context.now)
        };
        write(&mut file).map_err(Error::io("write", &path))?;
        Ok(Self { file })
    }
}

fn make_state_dir(context: &Context<'_>, state: &Path) -> Result<()> {
    if !context.home.is_dir() {
        return Err(Error::HomeMissing(context.home.clone()));
    }
    std::fs::create_dir_all(state).map_err(|error| no_state(context, "make the directory", state, error))
}

fn no_state(context: &Context<'_>, doing: &'static str, path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            if path.starts_with(&context.home) =>
        {
            Error::HomeReadOnly { home: context.home.clone(), source: error }
        }
        _ => Error::io(doing, path)(error),
    }
}
