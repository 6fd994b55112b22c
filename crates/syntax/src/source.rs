//! Where text came from: each source takes a range of one process-wide number space, so that a position is
//! a single `u32` which [`resolve`](Pos::resolve) turns back into file, line and column.

mod lines;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use self::lines::Lines;

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
        ((self.0 - source.base) as usize <= source.length as usize).then_some(source)
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
    text: Mutex<Text>,
    length: u32,
    base: u32,
    /// Worked out when first asked for.
    lines: OnceLock<Lines>,
}

#[derive(Debug)]
enum Text {
    Here(Arc<Vec<u8>>),
    /// A text that is read when it is to be shown.
    Elsewhere {
        lengths: &'static [u8],
        read: ReadText,
    },
}

/// How a text is read again: nothing, if it is gone.
pub struct ReadText(pub Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync>);

impl fmt::Debug for ReadText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadText")
    }
}

/// All of the position numbers are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than 4 GiB of source text were read; positions can't be numbered beyond that")]
pub struct TooMuchText;

static SOURCES: RwLock<Vec<&'static Source>> = RwLock::new(Vec::new());

impl Source {
    /// Takes a range of positions for `text` and keeps it.
    pub fn add(origin: Origin, text: impl Into<Vec<u8>>) -> Result<&'static Source, TooMuchText> {
        let text = text.into();
        let length = u32::try_from(text.len()).map_err(|_| TooMuchText)?;
        Source::add_text(origin, Text::Here(Arc::new(text)), length)
    }

    /// The same for a text of a known length, with lines whose lengths [`Source::line_lengths`] gave.
    pub(crate) fn add_unread(
        origin: Origin,
        length: u32,
        lengths: &'static [u8],
        read: ReadText,
    ) -> Result<&'static Source, TooMuchText> {
        Source::add_text(origin, Text::Elsewhere { lengths, read }, length)
    }

    fn add_text(origin: Origin, text: Text, length: u32) -> Result<&'static Source, TooMuchText> {
        let mut sources = SOURCES.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // One position past the last byte is the end of the file, which is a place too.
        let base = sources.last().map_or(1, |last| u64::from(last.base) + u64::from(last.length) + 1);
        let end = base + u64::from(length) + 1;
        if end > u64::from(u32::MAX) {
            return Err(TooMuchText);
        }
        let (text, lines) = (Mutex::new(text), OnceLock::new());
        let source = Box::leak(Box::new(Source { origin, text, length, base: base as u32, lines }));
        sources.push(source);
        Ok(source)
    }

    /// The same source with more text at its end, for which there are no positions.
    pub(crate) fn followed_by(&self, more: &[u8]) -> Source {
        let text = [&**self.text(), more].concat();
        let (origin, length) = (self.origin.clone(), text.len() as u32);
        let text = Mutex::new(Text::Here(Arc::new(text)));
        Source { origin, text, length, base: self.base, lines: OnceLock::new() }
    }

    /// Forgets the text, whose tree was kept: it is read again when it is to be shown.
    pub(crate) fn forget_text(&self, lengths: &'static [u8], read: ReadText) {
        *self.lock_text() = Text::Elsewhere { lengths, read };
    }

    fn lock_text(&self) -> std::sync::MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the text was found.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The text. Of a tree that was kept it is read now, and empty if it is not there or not the same any more.
    pub fn text(&self) -> Arc<Vec<u8>> {
        let mut known = self.lock_text();
        let (lengths, read) = match &*known {
            Text::Here(text) => return Arc::clone(text),
            Text::Elsewhere { lengths, read } => (*lengths, read),
        };
        let text = (read.0)().unwrap_or_default();
        let is_same = text.len() == self.len() && lines::lengths(&text) == lengths;
        let text = Arc::new(if is_same { text } else { Vec::new() });
        // The lines of a text that is gone could not be counted later.
        self.lines.get_or_init(|| Lines::of_lengths(lengths.into()));
        *known = Text::Here(Arc::clone(&text));
        text
    }

    /// The text, or one of empty lines of the same lengths if it is gone.
    pub(crate) fn text_or_blanks(&self) -> Arc<Vec<u8>> {
        let text = self.text();
        if text.len() == self.len() { text } else { Arc::new(self.lines().blanks(self.len())) }
    }

    /// The position of a byte of this text, or of its end.
    pub fn pos(&self, offset: usize) -> Pos {
        debug_assert!(offset <= self.len());
        Pos(self.base + offset as u32)
    }

    /// The offset of a position that lies in this source.
    pub fn offset(&self, pos: Pos) -> Option<usize> {
        let offset = pos.0.checked_sub(self.base)? as usize;
        (offset <= self.len()).then_some(offset)
    }

    /// Line `number`, counted from one, without its line ending; of a text that is gone there are no lines.
    pub fn line(&self, number: u32) -> Option<Vec<u8>> {
        let start = self.lines().start(number.checked_sub(1)?)?;
        let end = self.lines().start(number).unwrap_or(self.len());
        let text = self.text();
        let line = text.get(start..end).filter(|_| text.len() == self.len())?;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Some(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
    }

    /// The lengths of the lines, for a tree that is kept.
    pub(crate) fn line_lengths(&self) -> Vec<u8> {
        lines::lengths(&self.text())
    }

    fn place(&'static self, offset: usize) -> Place {
        let (before, start) = self.lines().line_at(offset);
        Place { source: self, line: before + 1, column: (offset - start) as u32 + 1 }
    }

    fn lines(&self) -> &Lines {
        if let Some(lines) = self.lines.get() {
            return lines;
        }
        // Nobody waits for the text while others wait for the lines.
        let lines = match &*self.lock_text() {
            Text::Here(text) => Lines::of_text(text),
            Text::Elsewhere { lengths, .. } => Lines::of_lengths((*lengths).into()),
        };
        self.lines.get_or_init(|| lines)
    }
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
        assert_eq!(source.line(2).as_deref(), Some(&b"bc"[..]));
        assert_eq!(source.line(3).as_deref(), Some(&b"d"[..]));
        assert_eq!(source.line(0), None);
        assert_eq!(source.line(5), None);
    }

    fn is_line_end(text: &[u8], index: usize) -> bool {
        text[index] == b'\n' || text[index] == b'\r' && text.get(index + 1) != Some(&b'\n')
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
                if offset < end && is_line_end(&text[..end], offset) {
                    (line, column) = (line + 1, 1);
                }
            }
            assert!(source.line(line).is_some());
            assert_eq!(source.line(line + 1), None);
            let kept = text[..end].to_vec();
            let read = ReadText(Box::new(move || Some(kept.clone())));
            let lengths = source.line_lengths().leak();
            let later = Source::add_unread(Origin::String, end as u32, lengths, read).expect("room");
            for offset in 0..=end {
                let places = [source, later].map(|source| source.pos(offset).resolve().expect("a place"));
                assert_eq!((places[0].line, places[0].column), (places[1].line, places[1].column));
            }
            assert!((0..=line + 1).all(|line| source.line(line) == later.line(line)));
        }
    }

    #[test]
    fn a_text_that_changed_is_not_shown() {
        let source = Source::add(Origin::String, "one\ntwo\n").expect("room");
        for (now, shown) in [
            (Some("one\ntwo\n"), Some(&b"two"[..])),
            (Some("six\nten\n"), Some(b"ten")),
            (Some("one two\n"), None),
            (Some("one\ntwo\nthree\n"), None),
            (Some(""), None),
            (None, None),
        ] {
            let read = ReadText(Box::new(move || now.map(|now| now.as_bytes().to_vec())));
            let lengths = source.line_lengths().leak();
            let later = Source::add_unread(Origin::String, 8, lengths, read).expect("room");
            assert_eq!(later.pos(5).display(), "«string»:2:2");
            assert_eq!(later.line(2).as_deref(), shown, "{now:?}");
            assert_eq!(later.text_or_blanks().len(), 8);
            if shown.is_none() {
                assert_eq!(**later.text_or_blanks(), b"   \n   \n"[..]);
            }
            assert_eq!(later.pos(5).display(), "«string»:2:2");
        }
    }

    #[test]
    fn a_text_that_is_forgotten_is_read_again() {
        for (now, shown) in [(Some("one\ntwo\n"), Some(&b"two"[..])), (None, None)] {
            let source = Source::add(Origin::String, "one\ntwo\n").expect("room");
            let held = source.text();
            source.forget_text(source.line_lengths().leak(), ReadText(Box::new(move || now.map(Into::into))));
            assert_eq!(source.pos(5).display(), "«string»:2:2");
            assert_eq!(source.line(2).as_deref(), shown);
            assert_eq!(**held, b"one\ntwo\n"[..]);
        }
    }

    #[test]
    fn damaged_lines_have_some_place() {
        for lengths in [&[][..], &[0], &[0, 0, 0], &[255], &[255; 1000], &[9; 1000], &[1; 1000]] {
            let read = ReadText(Box::new(|| None));
            let source = Source::add_unread(Origin::String, 8, lengths, read).expect("room");
            for offset in 0..=8 {
                assert!(source.pos(offset).resolve().is_some());
            }
            assert!((0..2000).all(|line| source.line(line).is_none()));
            assert_eq!(source.text_or_blanks().len(), 8);
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
