//! Reading a NAR.

use std::io::{self, BufRead, Read, Write};

use super::{MAGIC, MAX_DEPTH, MAX_NAME, MAX_TARGET, Mode, is_valid_name, is_valid_target, padding};

/// All keywords are shorter; the rest is room for messages about garbage.
const MAX_TAG: usize = 32;

/// A piece of a NAR, in the order of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A directory begins.
    Directory,
    /// An entry of the open directory begins; its node is the next event. The name is checked.
    Entry(Vec<u8>),
    /// The open directory ends.
    EndDirectory,
    /// A file; its contents wait in the reader, and are skipped when they aren't taken.
    File {
        /// Whether it is executable.
        mode: Mode,
        /// Bytes to come. Nothing has checked that they really do: don't allocate by it unbounded.
        size: u64,
    },
    /// A symbolic link; the target isn't empty and holds no NUL.
    Symlink(Vec<u8>),
}

/// Why bytes are no NAR.
#[derive(Debug, thiserror::Error)]
pub enum NarError {
    /// The archive doesn't start as one.
    #[error("input doesn't look like a Nix archive")]
    BadMagic,
    /// A keyword is wrong.
    #[error("bad archive: expected tag '{expected}', got '{found}'")]
    UnexpectedTag {
        /// What may stand there.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// No such type of node.
    #[error("bad archive: unknown file type '{0}'")]
    UnknownType(String),
    /// `executable` has a value.
    #[error("bad archive: executable marker has non-empty value")]
    BadExecutable,
    /// The name could escape from the directory, or can't exist.
    #[error("bad archive: NAR contains invalid file name '{0}'")]
    InvalidName(String),
    /// Names must ascend.
    #[error("bad archive: NAR directory is not sorted: '{found}' after '{previous}'")]
    NotSorted {
        /// The name before.
        previous: String,
        /// The name.
        found: String,
    },
    /// The target can't exist.
    #[error("bad archive: NAR contains invalid symlink target")]
    InvalidTarget,
    /// Nested too deeply.
    #[error("bad archive: NAR directory nesting exceeds maximum depth of {MAX_DEPTH}")]
    TooDeep,
    /// A length is beyond what its place allows.
    #[error("string is too long")]
    TooLong,
    /// Padding must be zero, so that each tree has one archive.
    #[error("non-zero padding")]
    BadPadding,
    /// Bytes after the archive.
    #[error("bad archive: unexpected data after the end")]
    TrailingData,
    /// The reader below failed, or ended early.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<NarError> for io::Error {
    fn from(error: NarError) -> Self {
        match error {
            NarError::Io(error) => error,
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// Reads a NAR as events, never further than its end.
pub struct Reader<R> {
    inner: R,
    state: State,
    /// The last entry's name in each open directory.
    open: Vec<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum State {
    Start,
    Node,
    Entries,
    Contents { left: u64, padding: usize },
    Done,
}

impl<R: BufRead> Reader<R> {
    /// A reader at the start of an archive. Give it a large buffer where the archive is large.
    pub fn new(inner: R) -> Self {
        Self { inner, state: State::Start, open: Vec::new() }
    }

    /// The next piece, or `None` at the end. After an error the reader is of no further use.
    pub fn next_event(&mut self) -> Result<Option<Event>, NarError> {
        if matches!(self.state, State::Contents { .. }) {
            self.copy_contents(&mut io::sink())?;
        }
        match self.state {
            State::Start => {
                if self.string(MAGIC.len()).map_err(not_magic)? != MAGIC {
                    return Err(NarError::BadMagic);
                }
                self.node().map(Some)
            }
            State::Node => self.node().map(Some),
            State::Entries => self.entry().map(Some),
            State::Contents { .. } | State::Done => Ok(None),
        }
    }

    /// Copies the rest of the current file's contents and returns how many bytes that were.
    pub fn copy_contents(&mut self, to: &mut (impl Write + ?Sized)) -> Result<u64, NarError> {
        let mut copied = 0;
        while let State::Contents { left, .. } = self.state {
            let chunk = match self.inner.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            if chunk.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let taken = left.min(chunk.len() as u64) as usize;
            to.write_all(&chunk[..taken])?;
            self.inner.consume(taken);
            copied += taken as u64;
            self.advance_contents(taken)?;
        }
        Ok(copied)
    }

    /// Ends reading at the end of the archive and gives the inner reader back, for what follows.
    pub fn into_inner(mut self) -> Result<R, NarError> {
        while self.next_event()?.is_some() {}
        Ok(self.inner)
    }

    /// Ends reading and checks that nothing follows the archive.
    pub fn expect_end(self) -> Result<(), NarError> {
        match self.into_inner()?.fill_buf()? {
            [] => Ok(()),
            _ => Err(NarError::TrailingData),
        }
    }

    fn node(&mut self) -> Result<Event, NarError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(NarError::TooDeep);
        }
        self.expect("(")?;
        self.expect("type")?;
        match &*self.string(MAX_TAG)? {
            b"regular" => {
                let mut tag = self.string(MAX_TAG)?;
                let mut mode = Mode::Plain;
                if tag == b"executable" {
                    if self.number()? != 0 {
                        return Err(NarError::BadExecutable);
                    }
                    mode = Mode::Executable;
                    tag = self.string(MAX_TAG)?;
                }
                if tag != b"contents" {
                    return Err(unexpected("contents", &tag));
                }
                let size = self.number()?;
                self.state = State::Contents { left: size, padding: padding(size) };
                self.advance_contents(0)?;
                Ok(Event::File { mode, size })
            }
            b"directory" => {
                self.open.push(Vec::new());
                self.state = State::Entries;
                Ok(Event::Directory)
            }
            b"symlink" => {
                self.expect("target")?;
                let target = self.string(MAX_TARGET)?;
                if !is_valid_target(&target) {
                    return Err(NarError::InvalidTarget);
                }
                self.end_node()?;
                Ok(Event::Symlink(target))
            }
            other => Err(NarError::UnknownType(lossy(other))),
        }
    }

    fn entry(&mut self) -> Result<Event, NarError> {
        match &*self.string(MAX_TAG)? {
            b")" => {
                self.open.pop();
                self.end_inside_node()?;
                return Ok(Event::EndDirectory);
            }
            b"entry" => {}
            other => return Err(unexpected("entry' or ')", other)),
        }
        self.expect("(")?;
        self.expect("name")?;
        let name = self.string(MAX_NAME)?;
        if !is_valid_name(&name) {
            return Err(NarError::InvalidName(lossy(&name)));
        }
        if let Some(previous) = self.open.last_mut() {
            if name <= *previous {
                return Err(NarError::NotSorted { previous: lossy(previous), found: lossy(&name) });
            }
            previous.clone_from(&name);
        }
        self.expect("node")?;
        self.state = State::Node;
        Ok(Event::Entry(name))
    }

    fn advance_contents(&mut self, taken: usize) -> Result<(), NarError> {
        if let State::Contents { left, padding } = &mut self.state {
            *left -= taken as u64;
            if *left == 0 {
                let padding = *padding;
                self.padding(padding)?;
                self.end_node()?;
            }
        }
        Ok(())
    }

    fn end_node(&mut self) -> Result<(), NarError> {
        self.expect(")")?;
        self.end_inside_node()
    }

    fn end_inside_node(&mut self) -> Result<(), NarError> {
        if self.open.is_empty() {
            self.state = State::Done;
        } else {
            self.expect(")")?;
            self.state = State::Entries;
        }
        Ok(())
    }

    fn expect(&mut self, tag: &'static str) -> Result<(), NarError> {
        let found = self.string(MAX_TAG)?;
        if found == tag.as_bytes() { Ok(()) } else { Err(unexpected(tag, &found)) }
    }

    fn number(&mut self) -> Result<u64, NarError> {
        let mut bytes = [0; 8];
        self.inner.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn string(&mut self, max: usize) -> Result<Vec<u8>, NarError> {
        let len = self.number()?;
        if len > max as u64 {
            return Err(NarError::TooLong);
        }
        let mut text = vec![0; len as usize];
        self.inner.read_exact(&mut text)?;
        self.padding(padding(len))?;
        Ok(text)
    }

    fn padding(&mut self, len: usize) -> Result<(), NarError> {
        let mut zeros = [0; 8];
        self.inner.read_exact(&mut zeros[..len])?;
        if zeros == [0; 8] { Ok(()) } else { Err(NarError::BadPadding) }
    }
}

/// The contents of the current file; ends where they end.
impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let State::Contents { left, .. } = self.state else { return Ok(0) };
        if buffer.is_empty() {
            return Ok(0);
        }
        let max = left.min(buffer.len() as u64) as usize;
        let read = self.inner.read(&mut buffer[..max])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.advance_contents(read)?;
        Ok(read)
    }
}

fn not_magic(error: NarError) -> NarError {
    match error {
        // Too short or too long a first string: not an archive, rather than a broken one.
        NarError::TooLong | NarError::BadPadding => NarError::BadMagic,
        NarError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => NarError::BadMagic,
        other => other,
    }
}

fn unexpected(expected: &'static str, found: &[u8]) -> NarError {
    NarError::UnexpectedTag { expected, found: lossy(found) }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
