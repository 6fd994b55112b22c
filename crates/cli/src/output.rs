//! The two channels: standard output is data, standard error is talk.

use std::io::Write;

use nival_syntax::raw_bytes;

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// What ends the command, and what the user's own expressions say.
    Errors,
    /// Also warnings.
    Warnings,
    /// All that is worth to be known.
    Usual,
}

/// Where a command writes.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// How much is said (`--quiet`).
    pub loudness: Loudness,
    /// Whether colour may be used on standard error (a terminal, `NO_COLOR` unset).
    pub colour: bool,
}

impl Output {
    /// Writes data to standard output. A reader that went away ends the program quietly, as for any filter.
    pub fn data(&self, bytes: impl AsRef<[u8]>) {
        let mut stdout = std::io::stdout().lock();
        if stdout.write_all(bytes.as_ref()).and_then(|()| stdout.flush()).is_err() {
            std::process::exit(1);
        }
    }

    /// Writes data and a line end.
    pub fn line(&self, text: impl AsRef<[u8]>) {
        let mut bytes = text.as_ref().to_vec();
        bytes.push(b'\n');
        self.data(bytes);
    }

    /// Says something to the person in front of the terminal. Nobody listening is no error.
    pub fn say(&self, text: impl AsRef<str>) {
        if self.loudness >= Loudness::Usual {
            self.alert(text);
        }
    }

    /// Says that something is off, if that does not end the command.
    pub fn warn(&self, text: impl AsRef<str>) {
        if self.loudness >= Loudness::Warnings {
            self.alert(text);
        }
    }

    /// Says something however quiet the user wants it.
    pub fn alert(&self, text: impl AsRef<str>) {
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(&raw_bytes(text.as_ref())).and_then(|()| stderr.write_all(b"\n"));
    }
}
