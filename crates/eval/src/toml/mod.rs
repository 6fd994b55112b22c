//! TOML 1.0 for `builtins.fromTOML`.
//!
//! Written here because the parsers at hand read TOML 1.1, which the reference refuses: an expression that
//! evaluates here must evaluate there. What is refused, where, and in which words, is toml11's choice (4.4, the
//! parser of the reference); like it, this one goes on after an error and tells of the next ones too.

#![expect(
    clippy::unnecessary_box_returns,
    reason = "problems are rare and large, and always boxed in results"
)]

mod number;
mod problem;
mod recover;
mod string;
mod table;
mod timestamp;

use std::collections::BTreeMap;
use std::ops::Range;

use problem::Problem;
use table::{Kind, Node, Table};

/// A value in a TOML document.
#[derive(Debug, Clone, PartialEq)]
pub enum Toml {
    /// A string.
    String(String),
    /// An integer.
    Integer(i64),
    /// A number with a fraction or exponent.
    Float(f64),
    /// `true` or `false`
    Bool(bool),
    /// A date, a time or both, in its canonical form.
    Timestamp(String),
    /// An array.
    Array(Vec<Toml>),
    /// A table.
    Table(BTreeMap<String, Toml>),
}

/// Why a text isn't TOML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TomlError(String);

/// Arrays and inline tables within each other may be this deep.
const DEPTH_LIMIT: usize = 500;

/// Parses a document.
pub fn parse(text: &[u8]) -> Result<BTreeMap<String, Toml>, TomlError> {
    let mut text = text.to_vec();
    if !matches!(text.last(), None | Some(b'\n' | b'\r')) {
        text.push(b'\n');
    }
    let mut parser = Parser { text: &text, at: 0, depth: 0, problems: Vec::new(), too_deep: None };
    parser.skip_if(b"\xef\xbb\xbf");
    let root = parser.document();
    if let Some(problem) = parser.too_deep {
        return Err(TomlError(problem.show(&text)));
    }
    if parser.problems.is_empty() {
        return Ok(root.into_toml());
    }
    let shown = parser.problems.iter().map(|problem| problem.show(&text));
    Err(TomlError(shown.collect()))
}

type Parsed<T> = Result<T, Box<Problem>>;

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    problems: Vec<Problem>,
    /// Ends everything, and is then the only problem told of.
    too_deep: Option<Problem>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    fn at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    fn skip_if(&mut self, expected: &[u8]) -> bool {
        let found = self.rest().starts_with(expected);
        self.at += if found { expected.len() } else { 0 };
        found
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn newline(&mut self) -> bool {
        self.skip_if(b"\n") || self.skip_if(b"\r\n")
    }

    /// The character at an offset, if it is not the end.
    fn place(&self, at: usize) -> Range<usize> {
        at..(at + 1).min(self.text.len())
    }

    /// A problem with the current character.
    fn problem(
        &self,
        title: impl Into<std::borrow::Cow<'static, str>>,
        remark: &'static str,
    ) -> Box<Problem> {
        Box::new(Problem::new(title, self.place(self.at), remark))
    }

    /// The last problem since there were so many, taken off so that the caller can report it.
    fn since(&mut self, count: usize) -> Parsed<()> {
        if self.problems.len() <= count {
            return Ok(());
        }
        self.problems.pop().map_or(Ok(()), |problem| Err(Box::new(problem)))
    }

    /// A comment, if there is one, up to the line's end or to what can't be in it.
    fn comment(&mut self) -> bool {
        if self.peek() != Some(b'#') {
            return false;
        }
        self.at += 1;
        while self.character() {}
        true
    }

    /// One character that may be in a comment or string, but for quotes and backslashes.
    fn character(&mut self) -> bool {
        let Some(first) = self.peek() else { return false };
        let length = match first {
            b'\t' | 0x20..=0x7e => 1,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return false,
        };
        let found = self.rest().get(..length).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok());
        self.at += if found { length } else { 0 };
        found
    }

    /// Spaces and a comment, which must end with its line. Says whether there was one.
    fn comment_line(&mut self) -> Parsed<bool> {
        let start = self.at;
        self.spaces();
        if !self.comment() {
            self.at = start;
            return Ok(false);
        }
        if self.at_end() || self.newline() {
            return Ok(true);
        }
        self.line();
        let title = "toml::parse_comment_line: newline (LF / CRLF) or EOF is expected";
        let hint = "Hint: most of the control characters are not allowed in comments";
        let problem = Problem::new(title, self.place(self.at), "but got this");
        Err(Box::new(problem.with_suffix(hint)))
    }

    /// Spaces, line ends and comments. Says whether there was a line end.
    fn lines(&mut self) -> bool {
        let mut found = false;
        loop {
            self.spaces();
            let start = self.at;
            if self.newline() || self.comment() && self.newline() {
                found = true;
            } else {
                self.at = start;
                return found;
            }
        }
    }

    fn document(&mut self) -> Table {
        let mut root = Table::new(Kind::Header, 0..0);
        self.report_comment();
        self.section(&mut root);
        while !self.at_end() {
            self.lines();
            if !self.at_end() {
                self.headed(&mut root);
            }
        }
        root
    }

    fn report_comment(&mut self) -> bool {
        let comment = self.comment_line();
        comment.map_err(|problem| self.problems.push(*problem)).is_err()
    }

    /// The entries up to the next header; after an error, all is skipped that far.
    fn section(&mut self, table: &mut Table) {
        if let Err(problem) = self.entries(table) {
            self.problems.push(*problem);
            self.skip_until_header();
        }
    }

    /// `[a]` or `[[a]]` and what is below.
    fn headed(&mut self, root: &mut Table) {
        let start = self.at;
        let many = self.rest().starts_with(b"[[");
        let path = match self.header(many) {
            Ok(path) => path,
            Err(problem) => {
                self.problems.push(*problem);
                self.at = start;
                return self.skip_until_header();
            }
        };
        let place = start..self.at;
        match self.comment_line() {
            Ok(true) => {}
            Ok(false) => {
                self.spaces();
                if !self.at_end() && !self.newline() {
                    let problem = self.problem(
                        "toml::parse_file: newline (or EOF) expected",
                        "expected 0x0a(LINE FEED) or \r\n",
                    );
                    self.problems.push(*problem);
                    return self.skip_until_header();
                }
            }
            Err(problem) => {
                self.problems.push(*problem);
                return self.skip_until_header();
            }
        }
        let opened = if many { root.add_to_array(&path, place) } else { root.open_header(&path, place) };
        match opened {
            Ok(table) => self.section(table),
            Err(problem) => {
                self.problems.push(*problem);
                self.section(&mut Table::new(Kind::Header, 0..0));
            }
        }
    }

    /// The path in brackets.
    fn header(&mut self, many: bool) -> Parsed<Vec<String>> {
        let (title, close, expected) = if many {
            ("toml::parse_file: invalid array-table key", &b"]]"[..], "expected ]]")
        } else {
            ("toml::parse_file: invalid table key", &b"]"[..], "expected ]")
        };
        self.at += close.len();
        self.spaces();
        let mut path = Vec::new();
        loop {
            let before = self.at;
            if !path.is_empty() {
                self.spaces();
                if !self.skip_if(b".") {
                    break;
                }
                self.spaces();
            }
            match self.simple_key() {
                Ok(key) => path.push(key),
                Err(_) => {
                    self.at = before;
                    break;
                }
            }
        }
        if path.is_empty() {
            return Err(self.problem(title, "expected basic key([a-zA-Z0-9_-]) or quoted key(\" or ')"));
        }
        self.spaces();
        if self.skip_if(close) { Ok(path) } else { Err(self.problem(title, expected)) }
    }

    /// `key = value` on lines of their own.
    fn entries(&mut self, table: &mut Table) -> Parsed<()> {
        let problems = self.problems.len();
        let mut on_new_line = true;
        while !self.at_end() {
            let start = self.at;
            on_new_line |= self.lines();
            if self.at_end() {
                break;
            }
            if self.peek() == Some(b'[') {
                self.at = start;
                break;
            }
            if !on_new_line {
                return Err(self.problem("toml::parse_table: newline (LF / CRLF) or EOF is expected", "here"));
            }
            on_new_line = false;
            match self.entry() {
                Ok((path, place, value)) => {
                    match self.comment_line() {
                        Ok(comment) => on_new_line = comment,
                        Err(problem) => self.problems.push(*problem),
                    }
                    if let Err(problem) = table.insert(&path, place, value) {
                        self.problems.push(*problem);
                    }
                }
                Err(problem) => {
                    self.problems.push(*problem);
                    self.skip_entry();
                }
            }
        }
        self.since(problems)
    }

    /// `key = value`, with the place of the key.
    fn entry(&mut self) -> Parsed<(Vec<String>, Range<usize>, Node)> {
        let start = self.at;
        let key = self.key().inspect_err(|_| self.at = start)?;
        let place = start..self.at;
        self.spaces();
        if !self.skip_if(b"=") {
            let title = "toml::parse_key_value_pair: invalid key value separator `=`";
            let problem = self.problem(title, "expected =");
            self.at = start;
            return Err(problem);
        }
        self.spaces();
        Ok((key, place, self.value()?))
    }

    /// A key with its dots.
    fn key(&mut self) -> Parsed<Vec<String>> {
        let mut parts = vec![self.simple_key()?];
        loop {
            let end = self.at;
            self.spaces();
            if !self.skip_if(b".") {
                self.at = end;
                return Ok(parts);
            }
            self.spaces();
            parts.push(self.simple_key()?);
        }
    }

    fn simple_key(&mut self) -> Parsed<String> {
        match self.peek() {
            Some(b'"') => self.basic_string(),
            Some(b'\'') => self.literal_string(),
            _ => self.bare_key(),
        }
    }

    fn bare_key(&mut self) -> Parsed<String> {
        let is_bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let length = self.rest().iter().take_while(|byte| is_bare(byte)).count();
        if length == 0 {
            let title =
                "toml::parse_simple_key: invalid key: key must be \"quoted\", 'quoted-literal', or bare key.";
            let problem =
                Problem::new(title, self.place(self.at), "expected alpha [a-zA-Z], digit [0-9], -, or _");
            let hint = "Hint: non-ASCII scripts are allowed in toml v1.1.0, but not in v1.0.0.\n";
            return Err(Box::new(problem.with_suffix(hint)));
        }
        let key = self.rest()[..length].iter().map(|&byte| char::from(byte)).collect();
        self.at += length;
        Ok(key)
    }

    fn value(&mut self) -> Parsed<Node> {
        let start = self.at;
        let value = match self.peek() {
            Some(b'"') if self.rest().starts_with(b"\"\"\"") => Toml::String(self.multi_line_basic_string()?),
            Some(b'"') => Toml::String(self.basic_string()?),
            Some(b'\'') if self.rest().starts_with(b"'''") => Toml::String(self.multi_line_literal_string()?),
            Some(b'\'') => Toml::String(self.literal_string()?),
            Some(b'[') => self.nested(Self::array)?,
            Some(b'{') => self.nested(Self::inline_table)?,
            Some(b't' | b'f') => self.boolean()?,
            Some(b'T') => return Err(self.badly_spelt("true")),
            Some(b'F') => return Err(self.badly_spelt("false")),
            Some(b'I') => return Err(self.badly_spelt("inf")),
            Some(b'N') => return Err(self.badly_spelt("nan")),
            _ => self.number()?,
        };
        Ok(Node::Value(value, start..self.at))
    }

    fn boolean(&mut self) -> Parsed<Toml> {
        if self.skip_if(b"true") {
            return Ok(Toml::Bool(true));
        }
        if self.skip_if(b"false") {
            return Ok(Toml::Bool(false));
        }
        let title = "toml::parse_boolean: invalid boolean: boolean must be `true` or `false`, in lowercase. \
                     string must be surrounded by `\"`";
        Err(self.problem(title, "expected true or false"))
    }

    fn badly_spelt(&self, word: &str) -> Box<Problem> {
        let remark =
            if matches!(word, "true" | "false") { "expected true or false" } else { number::EXPECTED_FLOAT };
        let title = format!(
            "toml::parse_value: `{word}` must be in lowercase. A string must be surrounded by quotes."
        );
        self.problem(title, remark)
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Parsed<Toml>) -> Parsed<Toml> {
        if self.depth == DEPTH_LIMIT {
            let problem = self.problem("arrays and tables are nested too deeply", "here");
            self.too_deep.get_or_insert_with(|| (*problem).clone());
            self.at = self.text.len();
            return Err(problem);
        }
        self.depth += 1;
        let value = parse(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Parsed<Toml> {
        let problems = self.problems.len();
        self.at += 1;
        let mut values = Vec::new();
        self.lines();
        let mut comma = true;
        while !self.at_end() && self.peek() != Some(b']') {
            if !comma {
                let title = "toml::parse_array: expected value-separator `,` or closing `]`";
                return Err(self.problem(title, "here"));
            }
            match self.value() {
                Ok(value) => {
                    values.push(value.into_toml());
                    self.lines();
                    comma = self.skip_if(b",");
                    self.report_comment();
                    if comma {
                        self.lines();
                    }
                }
                Err(problem) => {
                    self.problems.push(*problem);
                    let before = self.at;
                    self.skip_value();
                    if before == self.at {
                        break;
                    }
                }
            }
        }
        if !self.skip_if(b"]") {
            let title = "toml::parse_array: missing closing bracket `]`";
            return Err(self.problem(title, "expected `]`, reached EOF"));
        }
        // The last one is told of twice.
        if self.problems.len() == problems {
            return Ok(Toml::Array(values));
        }
        self.problems.last().map_or(Ok(Toml::Array(values)), |problem| Err(Box::new(problem.clone())))
    }

    fn inline_table(&mut self) -> Parsed<Toml> {
        let problems = self.problems.len();
        self.at += 1;
        let mut table = Table::new(Kind::Inline, 0..0);
        self.spaces();
        let (mut empty, mut comma) = (true, false);
        while !self.at_end() {
            if self.peek() == Some(b'}') {
                if comma {
                    let title = "toml::parse_inline_table: trailing comma is not allowed in TOML-v1.0.0)";
                    return Err(self.problem(title, "here"));
                }
                break;
            }
            if !comma && !empty {
                let title = "toml::parse_inline_table: expected value-separator `,` or closing `}`";
                return Err(self.problem(title, "here"));
            }
            empty = false;
            match self.entry() {
                Ok((path, place, value)) => {
                    if let Err(problem) = table.insert(&path, place, value) {
                        self.problems.push(*problem);
                        self.skip_to(b",\n}");
                        comma = self.peek() == Some(b',');
                        continue;
                    }
                    self.spaces();
                    comma = self.skip_if(b",");
                    self.spaces();
                }
                Err(problem) => {
                    self.problems.push(*problem);
                    self.skip_to(b"\n}");
                    break;
                }
            }
        }
        if !self.skip_if(b"}") {
            let title = "toml::parse_inline_table: missing closing bracket `}`";
            return Err(self.problem(title, "expected `}`, reached line end"));
        }
        self.since(problems)?;
        Ok(Toml::Table(table.into_toml()))
    }
}

#[cfg(test)]
mod tests;
