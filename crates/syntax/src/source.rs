//! Where text came from: each source takes a range of one process-wide number space, so that a position is
//! a single `u32` which [`resolve`](Pos::resolve) turns back into file, line and column.

use std::fmt;
use std::ops::Range;
use std::sync::{OnceLock, RwLock};

/// A byte in some source, or no place at all ([`Pos::NONE`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pos(u32);

impl Pos {
    /// No known position.
    pub const NONE: Pos = Pos(0);

    /// Whether this is [`Pos::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The number behind the position; zero for none.
    pub const fn id(self) -> u32 {
        self.0
    }

    /// The position of a number that [`Pos::id`] gave.
    pub const fn from_id(id: u32) -> Pos {
        Pos(id)
    }

    /// File, line and column; `None` for [`Pos::NONE`] and numbers that no source has taken.
    pub fn resolve(self) -> Option<Place> {
        let source = self.source()?;
        Some(source.place((self.0 - source.base) as usize))
    }

    /// The source this position lies in.
    pub fn source(self) -> Option<&'static Source> {
        if self.is_none() {
            return None;
        }
        let sources = SOURCES.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let source = sources[..sources.partition_point(|source| source.base <= self.0)].last()?;
        ((self.0 - source.base) as usize <= source.text.len()).then_some(source)
    }

    /// The position as the reference prints it: `/file.nix:1:2`, or `«none»:0` where there is none.
    pub fn display(self) -> String {
        self.resolve().map_or_else(|| "«none»:0".to_owned(), |place| place.to_string())
    }
}

impl fmt::Debug for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display())
    }
}

/// Where a source's text was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A file, by the absolute path that messages show.
    File(String),
    /// A file of a source tree, which messages show where the tree comes from.
    Fetched {
        /// Its absolute path.
        path: String,
        /// What messages show.
        shown: String,
    },
    /// An expression given as a string, on the command line for example.
    String,
    /// Standard input.
    Stdin,
}

impl Origin {
    /// The path of the file, if it is one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Origin::File(path) | Origin::Fetched { path, .. } => Some(path),
            Origin::String | Origin::Stdin => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) | Origin::Fetched { shown: path, .. } => f.write_str(path),
            Origin::String => f.write_str("«string»"),
            Origin::Stdin => f.write_str("«stdin»"),
        }
    }
}

/// A text with its range of positions. Sources are kept until the process ends.
#[derive(Debug)]
pub struct Source {
    origin: Origin,
    text: Vec<u8>,
    base: u32,
    /// How many lines end before each block of [`BLOCK`] bytes, counted when first asked for.
    lines: OnceLock<Vec<u32>>,
}

const BLOCK: usize = 512;

/// All of the position numbers are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than 4 GiB of source text were read; positions can't be numbered beyond that")]
pub struct TooMuchText;

static SOURCES: RwLock<Vec<&'static Source>> = RwLock::new(Vec::new());

impl Source {
    /// Takes a range of positions for `text` and keeps it.
    pub fn add(origin: Origin, text: impl Into<Vec<u8>>) -> Result<&'static Source, TooMuchText> {
        let text = text.into();
        let mut sources = SOURCES.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // One position past the last byte is the end of the file, which is a place too.
        let base = sources.last().map_or(1, |last| u64::from(last.base) + last.text.len() as u64 + 1);
        let end = base + text.len() as u64 + 1;
        if end > u64::from(u32::MAX) {
            return Err(TooMuchText);
        }
        let source = Box::leak(Box::new(Source { origin, text, base: base as u32, lines: OnceLock::new() }));
        sources.push(source);
        Ok(source)
    }

    /// The same source with more text at its end, for which there are no positions.
    pub(crate) fn followed_by(&self, more: &[u8]) -> Source {
        let text = [&self.text, more].concat();
        Source { origin: self.origin.clone(), text, base: self.base, lines: OnceLock::new() }
    }

    /// Where the text was found.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The position of a byte of this text, or of its end.
    pub fn pos(&self, offset: usize) -> Pos {
        debug_assert!(offset <= self.text.len());
        Pos(self.base + offset as u32)
    }

    /// The offset of a position that lies in this source.
    pub fn offset(&self, pos: Pos) -> Option<usize> {
        let offset = pos.0.checked_sub(self.base)? as usize;
        (offset <= self.text.len()).then_some(offset)
    }

    /// Line `number`, counted from one, without its line ending.
    pub fn line(&self, number: u32) -> Option<&[u8]> {
        let start = self.line_start(number.checked_sub(1)?)?;
        let end = self.line_start(number).unwrap_or(self.text.len());
        let line = &self.text[start..end];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn place(&'static self, offset: usize) -> Place {
        let block = offset / BLOCK;
        let before = self.lines_before_blocks()[block] as usize + self.line_ends(block * BLOCK..offset);
        let start = self.line_start(before as u32).unwrap_or(0);
        Place { source: self, line: before as u32 + 1, column: (offset - start) as u32 + 1 }
    }

    /// Where the line begins that so many come before.
    fn line_start(&self, before: u32) -> Option<usize> {
        let Some(skipped) = before.checked_sub(1) else { return Some(0) };
        let blocks = self.lines_before_blocks();
        let block = blocks.partition_point(|lines| *lines < before) - 1;
        let skipped = skipped - blocks[block];
        let mut ends = (block * BLOCK..self.text.len()).filter(|index| self.is_line_end(*index));
        Some(ends.nth(skipped as usize)? + 1)
    }

    /// Lines end with `\n`, `\r\n` or a lone `\r`, as in C++ Nix (position.cc).
    fn is_line_end(&self, index: usize) -> bool {
        let next = self.text.get(index + 1).copied().unwrap_or(0);
        is_line_end(self.text[index], next)
    }

    fn line_ends(&self, range: Range<usize>) -> usize {
        let next = self.text.get(range.start + 1..).unwrap_or_default();
        let pairs = self.text[range.clone()].iter().zip(next);
        let last = !range.is_empty() && range.end == self.text.len() && self.is_line_end(range.end - 1);
        pairs.filter(|(byte, next)| is_line_end(**byte, **next)).count() + usize::from(last)
    }

    /// How many lines end before each block, and before the end.
    fn lines_before_blocks(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let starts = (0..=self.text.len()).step_by(BLOCK);
            let mut lines = 0;
            let mut before = Vec::with_capacity(self.text.len() / BLOCK + 1);
            for start in starts {
                before.push(lines);
                lines += self.line_ends(start..self.text.len().min(start + BLOCK)) as u32;
            }
            before
        })
    }
}

fn is_line_end(byte: u8, next: u8) -> bool {
    byte == b'\n' || byte == b'\r' && next != b'\n'
}

/// A resolved position. Displays as `origin:line:column`.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The source.
    pub source: &'static Source,
    /// The line, counted from one.
    pub line: u32,
    /// The byte in the line, counted from one.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.origin, self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_resolve_to_lines_and_columns() {
        let text = "a\nbc\r\nd\re";
        let source = Source::add(Origin::File("/x.nix".to_owned()), text).expect("room");
        for (offset, expected) in
            [(0, "1:1"), (1, "1:2"), (2, "2:1"), (3, "2:2"), (6, "3:1"), (8, "4:1"), (9, "4:2")]
        {
            assert_eq!(source.pos(offset).display(), format!("/x.nix:{expected}"), "offset {offset}");
        }
        assert_eq!(source.line(2), Some(&b"bc"[..]));
        assert_eq!(source.line(3), Some(&b"d"[..]));
        assert_eq!(source.line(0), None);
        assert_eq!(source.line(5), None);
    }

    #[test]
    fn lines_of_long_texts() {
        let pieces = ["\n", "\r\n", "\r", "a", "some words", "", " = \r", "\n\n", "\r\r\n"];
        let mut text = Vec::new();
        let mut state = 1_u32;
        for _ in 0..700 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend_from_slice(pieces[state as usize >> 8 & 7].as_bytes());
            text.resize(text.len() + usize::from(state >> 24 == 7) * 1500, b'x');
        }
        for end in [0, 1, 511, 512, 513, 1024, text.len()] {
            let source = Source::add(Origin::String, &text[..end]).expect("room");
            let (mut line, mut column) = (1, 1);
            for offset in 0..=end {
                let place = source.pos(offset).resolve().expect("a place");
                assert_eq!((place.line, place.column), (line, column), "offset {offset} of {end}");
                column += 1;
                if offset < end && source.is_line_end(offset) {
                    (line, column) = (line + 1, 1);
                }
            }
            assert!(source.line(line).is_some());
            assert_eq!(source.line(line + 1), None);
        }
    }

    #[test]
    fn no_position_resolves_to_nothing() {
        assert!(Pos::NONE.resolve().is_none());
        assert!(Pos::from_id(u32::MAX).resolve().is_none());
        assert_eq!(Pos::NONE.display(), "«none»:0");
    }

    #[test]
    fn sources_do_not_overlap() {
        let first = Source::add(Origin::String, "").expect("room");
        let second = Source::add(Origin::Stdin, "x").expect("room");
        assert_eq!(first.pos(0).display(), "«string»:1:1");
        assert_eq!(second.pos(1).display(), "«stdin»:1:2");
        assert_eq!(second.offset(first.pos(0)), None);
    }
}
