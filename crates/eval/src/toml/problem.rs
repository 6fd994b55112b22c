//! What is wrong with a document, shown as toml11 shows it: that is the parser of the reference, and its
//! messages are a part of what `fromTOML` says (`source_location`, `region` and `error_info` of toml11 4.4).

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

/// So much of a long line is shown on either side of the place.
const SIDE: usize = 30;

/// One thing that is wrong, with the places that have to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    title: Cow<'static, str>,
    places: Vec<(Range<usize>, Cow<'static, str>)>,
    /// What is said below the places.
    suffix: &'static str,
    /// The text, where it is not the document itself.
    excerpt: Option<Vec<u8>>,
}

impl Problem {
    pub(super) fn new(
        title: impl Into<Cow<'static, str>>,
        place: Range<usize>,
        remark: impl Into<Cow<'static, str>>,
    ) -> Problem {
        Problem { title: title.into(), places: vec![(place, remark.into())], suffix: "", excerpt: None }
    }

    pub(super) fn and(mut self, place: Range<usize>, remark: &'static str) -> Problem {
        self.places.push((place, remark.into()));
        self
    }

    pub(super) fn with_suffix(mut self, suffix: &'static str) -> Problem {
        self.suffix = suffix;
        self
    }

    /// The places are in this text and not in the document.
    pub(super) fn within(mut self, text: &[u8]) -> Problem {
        self.excerpt = Some(text.to_vec());
        self
    }

    pub(super) fn show(&self, document: &[u8]) -> String {
        let text = self.excerpt.as_deref().unwrap_or(document);
        let name = if self.excerpt.is_some() { "internal temporary" } else { "fromTOML" };
        let places: Vec<Place> = self.places.iter().map(|(range, _)| Place::new(text, range)).collect();
        let width = places.iter().map(|place| place.last_line.to_string().len()).max().unwrap_or(1);
        let margin = " ".repeat(width + 1);
        let mut out = format!("[error] {}\n", self.title);
        for (index, (place, (_, remark))) in places.iter().zip(&self.places).enumerate() {
            if index == 0 {
                _ = writeln!(out, " --> {name}\n{margin} |");
            } else {
                _ = writeln!(out, "{margin} | ...\n{margin} |");
            }
            place.show(&mut out, width, remark);
        }
        out + self.suffix
    }
}

/// A place with the lines it is in, and where in these it begins and ends.
struct Place {
    first_line: usize,
    last_line: usize,
    length: usize,
    lines: Vec<Vec<u8>>,
    /// Column in the first shown line, from one.
    first_column: usize,
    /// Column in the last shown line, from one.
    last_column: usize,
}

impl Place {
    /// The empty place at the text's end is taken for the line end before it and the line after.
    fn new(text: &[u8], range: &Range<usize>) -> Place {
        let at_end = range.is_empty() && range.end == text.len();
        let range = &if at_end { range.start.saturating_sub(1)..range.end } else { range.clone() };
        let line_of = |offset: usize| text[..offset].split(|&byte| byte == b'\n').count();
        let (first_line, last_line) = (line_of(range.start), line_of(range.end));
        let last = range.end.saturating_sub(1).max(range.start);
        let mut place = Place {
            first_line,
            last_line,
            length: range.len(),
            lines: Vec::new(),
            first_column: 1,
            last_column: 1,
        };
        if range.is_empty() {
            place.lines.push(Vec::new());
            return place;
        }
        // A character that is a line's end counts as a part of that line.
        if first_line == last_line || range.len() == 1 && !at_end {
            place.last_line = first_line;
            let (line, before) = take_line(text, range.start, last);
            place.lines.push(line);
            (place.first_column, place.last_column) = (before + 1, before + 1);
            return place;
        }
        let near_end = if text.len() - range.start > 60 { range.start + 50 } else { text.len() };
        let near_start = if last > 60 { last - 50 } else { 0 };
        let first_end = find_line_end(text, range.start, near_end);
        let last_start = find_line_end(text, near_start.min(last), last);
        let (first, before) = take_line(text, range.start, first_end);
        place.first_column = before + 1;
        place.lines.push(first);
        if last_line > first_line + 1 {
            place.lines.push(b"...".to_vec());
        }
        let (line, before) = take_line(text, last_start, last);
        place.last_column = before + 1;
        place.lines.push(line);
        place
    }

    fn show(&self, out: &mut String, width: usize, remark: &str) {
        let margin = " ".repeat(width + 1);
        let mut underline = |number: usize, line: &[u8], column: usize, length: usize, remark: &str| {
            _ = write!(out, " {number:>width$} | ");
            show_line(out, line);
            let (spaces, marks) = (" ".repeat(column - 1), "^".repeat(length));
            _ = writeln!(out, "\n{margin} | {spaces}{marks}-- {remark}");
        };
        let first = &self.lines[0];
        let to_end = (first.len() + 1).saturating_sub(self.first_column);
        let [_, .., last] = &*self.lines else {
            let limit = if first.len() < self.first_column { 1 } else { to_end };
            return underline(self.first_line, first, self.first_column, limit.min(self.length), remark);
        };
        if let [_, middle, _] = &*self.lines {
            underline(self.first_line, first, self.first_column, to_end, "and");
            underline(self.first_line + 1, middle, 1, middle.len(), "and");
        } else {
            underline(self.first_line, first, self.first_column, to_end, "");
        }
        underline(self.last_line, last, 1, self.last_column, remark);
    }
}

/// The line that holds what is between two offsets, shortened to what is near, and where in it the first is.
fn take_line(text: &[u8], first: usize, last: usize) -> (Vec<u8>, usize) {
    let near_start = first.saturating_sub(SIDE);
    let near_end = if text.len() - last <= SIDE { text.len() } else { last + SIDE };
    let start = text[near_start..first].iter().rposition(|&byte| byte == b'\n').map(|at| near_start + at + 1);
    let start = start.unwrap_or(near_start);
    let end = find_line_end(text, last, near_end);
    let mut line = text[start..end].to_vec();
    let mut before = first - start;
    if start > 0 && text[start - 1] != b'\n' {
        line.splice(0..0, *b"... ");
        before += 4;
    }
    if text.get(end).is_some_and(|&byte| byte != b'\n') {
        line.extend_from_slice(b" ...");
    }
    (line, before)
}

fn find_line_end(text: &[u8], from: usize, to: usize) -> usize {
    text[from..to].iter().position(|&byte| byte == b'\n').map_or(to, |at| from + at)
}

fn show_line(out: &mut String, line: &[u8]) {
    for &byte in line {
        match byte {
            b' ' | 0x21..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&character(byte)),
        }
    }
}

/// A character that can't be shown, as its number and name.
pub(super) fn character(byte: u8) -> String {
    let name = match byte {
        0 => "(NUL)",
        b'\n' => "(LINE FEED)",
        b'\r' => "(CARRIAGE RETURN)",
        b'\t' => "(TAB)",
        0x0b => "(VERTICAL TAB)",
        0x0c => "(FORM FEED)",
        0x1b => "(ESCAPE)",
        _ => "",
    };
    format!("0x{byte:02x}{name}")
}
