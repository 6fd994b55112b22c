//! NAR: the archive format that store objects are hashed and sent in.
//!
//! [`Writer`] is driven by its caller, [`Reader`] gives events; both stream. The reader takes nothing that the
//! reference refuses: names must be sorted, unique and harmless, padding zero, nesting bounded.
//!
//! Source: C++ Nix 2.34 `libutil/archive.cc` and the manual page "Nix Archive (NAR) format".
//!
//! ```
//! use nival_formats::nar::{Event, Mode, Reader, Writer};
//!
//! let mut nar = Writer::new(Vec::new());
//! nar.directory()?;
//! nar.entry(b"hello")?;
//! nar.file_bytes(Mode::Executable, b"#!/bin/sh\necho hello\n")?;
//! nar.end_directory()?;
//! let bytes = nar.finish()?;
//!
//! let mut reader = Reader::new(&bytes[..]);
//! assert_eq!(reader.next_event()?, Some(Event::Directory));
//! assert_eq!(reader.next_event()?, Some(Event::Entry(b"hello".to_vec())));
//! assert_eq!(reader.next_event()?, Some(Event::File { mode: Mode::Executable, size: 21 }));
//! let mut contents = Vec::new();
//! reader.copy_contents(&mut contents)?;
//! assert_eq!(reader.next_event()?, Some(Event::EndDirectory));
//! assert_eq!(reader.next_event()?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod reader;
mod writer;

pub use reader::{Event, NarError, Reader};
pub use writer::{Writer, hash_plain_file};

/// What a NAR starts with.
pub const MAGIC: &[u8] = b"nix-archive-1";

/// Directories nested deeper than this are refused, by writer and reader, as in the reference.
pub const MAX_DEPTH: usize = 64;

/// The longest name of a directory entry.
pub const MAX_NAME: usize = 255;

/// The longest target of a symbolic link.
pub const MAX_TARGET: usize = 4095;

/// The one permission a NAR knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Not executable.
    Plain,
    /// Executable.
    Executable,
}

/// Zero bytes after `len` bytes.
const fn padding(len: u64) -> usize {
    (len.wrapping_neg() % 8) as usize
}

fn is_valid_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= MAX_NAME
        && !name.iter().any(|c| matches!(c, b'/' | 0))
}

fn is_valid_target(target: &[u8]) -> bool {
    !target.is_empty() && target.len() <= MAX_TARGET && !target.contains(&0)
}
