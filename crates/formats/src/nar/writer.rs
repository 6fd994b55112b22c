//! Writing a NAR.

use std::io::{self, Read, Write};

use super::{MAGIC, MAX_DEPTH, Mode, is_valid_name, is_valid_target, padding};
use crate::hash::{Hash, HashAlgo, Hasher};

/// Bytes are handed on in pieces of this size.
const BUFFER: usize = 256 * 1024;

/// Writes a NAR as its caller walks a tree.
///
/// One node makes a whole archive: [`Writer::file`], [`Writer::symlink`], or [`Writer::directory`], then for each
/// entry in order of name [`Writer::entry`] and its node, then [`Writer::end_directory`]. Calls out of order and
/// entries out of order are errors of kind [`io::ErrorKind::InvalidInput`].
pub struct Writer<W: Write> {
    inner: W,
    buffer: Vec<u8>,
    flushed: u64,
    /// The last entry's name in each open directory.
    open: Vec<Vec<u8>>,
    expects: Expects,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    Node,
    Entry,
    Nothing,
}

impl<W: Write> Writer<W> {
    /// Starts an archive.
    pub fn new(inner: W) -> Self {
        let mut writer = Self {
            inner,
            buffer: Vec::with_capacity(BUFFER),
            flushed: 0,
            open: Vec::new(),
            expects: Expects::Node,
        };
        writer.string(MAGIC);
        writer
    }

    /// Bytes of the archive so far.
    pub fn written(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    /// Begins a directory.
    pub fn directory(&mut self) -> io::Result<()> {
        self.require(Expects::Node)?;
        if self.open.len() + 1 >= MAX_DEPTH {
            return Err(misuse(format!("exceeds maximum NAR directory depth of {MAX_DEPTH}")));
        }
        self.strings(&[b"(", b"type", b"directory"]);
        self.open.push(Vec::new());
        self.expects = Expects::Entry;
        self.flush_if_full()
    }

    /// Begins an entry of the open directory; its node follows.
    pub fn entry(&mut self, name: &[u8]) -> io::Result<()> {
        self.require(Expects::Entry)?;
        let shown = || String::from_utf8_lossy(name).into_owned();
        if !is_valid_name(name) {
            return Err(misuse(format!("invalid file name '{}' for a NAR", shown())));
        }
        let previous = self.open.last_mut().ok_or_else(|| misuse("entry outside of a directory".into()))?;
        if name <= previous.as_slice() {
            return Err(misuse(format!("NAR entry '{}' is out of order", shown())));
        }
        previous.clear();
        previous.extend_from_slice(name);
        self.strings(&[b"entry", b"(", b"name", name, b"node"]);
        self.expects = Expects::Node;
        Ok(())
    }

    /// Ends the open directory.
    pub fn end_directory(&mut self) -> io::Result<()> {
        self.require(Expects::Entry)?;
        self.open.pop();
        self.end_node()
    }

    /// Writes a file of `size` bytes read from `contents`; fewer are an error, more are left unread.
    pub fn file(&mut self, mode: Mode, size: u64, contents: &mut (impl Read + ?Sized)) -> io::Result<()> {
        self.begin_file(mode, size)?;
        let mut left = size;
        while left > 0 {
            // Straight into the buffer that is handed on: one copy of the bytes.
            let start = self.buffer.len();
            let end = start + left.min((BUFFER - start) as u64) as usize;
            self.buffer.resize(end, 0);
            let read = read_retrying(contents, &mut self.buffer[start..]);
            self.buffer.truncate(start + *read.as_ref().unwrap_or(&0));
            match read? {
                0 => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "file shrank while it was read",
                    ));
                }
                n => left -= n as u64,
            }
            if self.buffer.len() == BUFFER {
                self.flush_buffer()?;
            }
        }
        self.end_file(size)
    }

    /// Writes a file that is in memory.
    pub fn file_bytes(&mut self, mode: Mode, contents: &[u8]) -> io::Result<()> {
        self.begin_file(mode, contents.len() as u64)?;
        if contents.len() > BUFFER - self.buffer.len() {
            self.flush_buffer()?;
            self.inner.write_all(contents)?;
            self.flushed += contents.len() as u64;
        } else {
            self.buffer.extend_from_slice(contents);
        }
        self.end_file(contents.len() as u64)
    }

    /// Writes a symbolic link.
    pub fn symlink(&mut self, target: &[u8]) -> io::Result<()> {
        self.require(Expects::Node)?;
        if !is_valid_target(target) {
            let target = String::from_utf8_lossy(target);
            return Err(misuse(format!("invalid symlink target '{target}' for a NAR")));
        }
        self.strings(&[b"(", b"type", b"symlink", b"target", target]);
        self.end_node()
    }

    /// Ends the archive and gives the inner writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.require(Expects::Nothing)?;
        self.flush_buffer()?;
        Ok(self.inner)
    }

    fn begin_file(&mut self, mode: Mode, size: u64) -> io::Result<()> {
        self.require(Expects::Node)?;
        self.strings(&[b"(", b"type", b"regular"]);
        if mode == Mode::Executable {
            self.strings(&[b"executable", b""]);
        }
        self.string(b"contents");
        self.buffer.extend_from_slice(&size.to_le_bytes());
        self.flush_if_full()
    }

    fn end_file(&mut self, size: u64) -> io::Result<()> {
        self.buffer.extend_from_slice(&[0; 8][..padding(size)]);
        self.end_node()
    }

    fn end_node(&mut self) -> io::Result<()> {
        self.string(b")");
        self.expects = if self.open.is_empty() {
            Expects::Nothing
        } else {
            self.string(b")");
            Expects::Entry
        };
        self.flush_if_full()
    }

    fn require(&self, expects: Expects) -> io::Result<()> {
        if self.expects == expects {
            return Ok(());
        }
        Err(misuse(match self.expects {
            Expects::Node => "a NAR node was expected".into(),
            Expects::Entry => "a NAR entry or the end of the directory was expected".into(),
            Expects::Nothing => "the NAR is complete already".into(),
        }))
    }

    fn strings(&mut self, items: &[&[u8]]) {
        for item in items {
            self.string(item);
        }
    }

    fn string(&mut self, text: &[u8]) {
        push_string(&mut self.buffer, text);
    }

    /// Keeps room for file contents: names and targets between two calls fit well below a half.
    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER / 2 { self.flush_buffer() } else { Ok(()) }
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        self.inner.write_all(&self.buffer)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    let len = text.len() as u64;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(&[0; 8][..padding(len)]);
}

/// The SHA-256 and the size of the NAR of a plain file with these contents, which are not copied.
pub fn hash_plain_file(contents: &[u8]) -> (Hash, u64) {
    let mut frame = Vec::with_capacity(160);
    for text in [MAGIC, b"(", b"type", b"regular", b"contents"] {
        push_string(&mut frame, text);
    }
    let len = contents.len() as u64;
    frame.extend_from_slice(&len.to_le_bytes());
    let head = frame.len();
    frame.extend_from_slice(&[0; 8][..padding(len)]);
    push_string(&mut frame, b")");
    let mut hasher = Hasher::new(HashAlgo::Sha256);
    for part in [&frame[..head], contents, &frame[head..]] {
        hasher.update(part);
    }
    let size = hasher.written();
    (hasher.finish(), size)
}

fn read_retrying(source: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn misuse(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
