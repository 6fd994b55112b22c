//! TOML 1.0 for `builtins.fromTOML`.
//!
//! Written here because the parsers at hand read TOML 1.1, which the reference refuses: an
//! expression that evaluates here must evaluate there.

mod number;
mod string;
mod table;
mod timestamp;

use std::collections::BTreeMap;

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
#[error("line {line}, column {column}: {message}")]
pub struct TomlError {
    /// The line, from one.
    pub line: usize,
    /// The byte in the line, from one.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Arrays and inline tables within each other may be this deep.
const DEPTH_LIMIT: usize = 500;

/// Parses a document.
pub fn parse(text: &[u8]) -> Result<BTreeMap<String, Toml>, TomlError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let result = match std::str::from_utf8(text) {
        Ok(_) => parser.document(),
        Err(error) => {
            parser.at = error.valid_up_to();
            Err("this is not UTF-8".to_owned())
        }
    };
    result.map(Table::into_toml).map_err(|message| {
        let before = &text[..parser.at.min(text.len())];
        let lines = before.split(|&byte| byte == b'\n');
        let last_line = lines.clone().next_back().unwrap_or_default();
        TomlError { line: lines.count(), column: last_line.len() + 1, message }
    })
}

/// A failure has only a message: the place is where the parser stands.
type Parsed<T> = Result<T, String>;

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    fn skip_if(&mut self, expected: &[u8]) -> bool {
        let found = self.rest().starts_with(expected);
        self.at += if found { expected.len() } else { 0 };
        found
    }

    fn expect(&mut self, expected: &str) -> Parsed<()> {
        if self.skip_if(expected.as_bytes()) { Ok(()) } else { Err(format!("expected `{expected}`")) }
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn newline(&mut self) -> bool {
        self.skip_if(b"\n") || self.skip_if(b"\r\n")
    }

    fn comment(&mut self) -> Parsed<()> {
        if self.peek() != Some(b'#') {
            return Ok(());
        }
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => break,
                b'\r' if self.rest().starts_with(b"\r\n") => break,
                b'\t' | 0x20..=0x7e | 0x80.. => self.at += 1,
                _ => return Err("a comment must not hold control characters".to_owned()),
            }
        }
        Ok(())
    }

    /// The end of a line, with a comment perhaps.
    fn line_end(&mut self) -> Parsed<()> {
        self.spaces();
        self.comment()?;
        if self.newline() || self.peek().is_none() {
            Ok(())
        } else {
            Err("expected the end of the line".to_owned())
        }
    }

    fn document(&mut self) -> Parsed<Table> {
        let mut root = Table::new(Kind::Header);
        let mut section = Vec::new();
        loop {
            self.spaces();
            match self.peek() {
                None => return Ok(root),
                Some(b'#' | b'\n' | b'\r') => {}
                Some(b'[') => {
                    let start = self.at;
                    self.at += 1;
                    let many = self.skip_if(b"[");
                    section = self.key()?;
                    self.expect(if many { "]]" } else { "]" })?;
                    let opened = if many { root.add_to_array(&section) } else { root.open_header(&section) };
                    if opened.is_err() {
                        self.at = start;
                    }
                    opened?;
                }
                Some(_) => {
                    let table = root.section(&section);
                    self.entry(table)?;
                }
            }
            self.line_end()?;
        }
    }

    /// `key = value`
    fn entry(&mut self, table: &mut Table) -> Parsed<()> {
        let start = self.at;
        let key = self.key()?;
        self.expect("=")?;
        self.spaces();
        let value = self.value()?;
        let inserted = table.insert(&key, value);
        if inserted.is_err() {
            self.at = start;
        }
        inserted
    }

    /// A key with its dots, and the spaces around it.
    fn key(&mut self) -> Parsed<Vec<String>> {
        let mut parts = Vec::new();
        loop {
            self.spaces();
            parts.push(match self.peek() {
                Some(b'"') => self.basic_string()?,
                Some(b'\'') => self.literal_string()?,
                _ => self.bare_key()?,
            });
            self.spaces();
            if !self.skip_if(b".") {
                return Ok(parts);
            }
        }
    }

    fn bare_key(&mut self) -> Parsed<String> {
        let is_bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let length = self.rest().iter().take_while(|byte| is_bare(byte)).count();
        if length == 0 {
            return Err("expected a key: letters, digits, `_` and `-`, or a string".to_owned());
        }
        let key = self.rest()[..length].iter().map(|&byte| char::from(byte)).collect();
        self.at += length;
        Ok(key)
    }

    fn value(&mut self) -> Parsed<Node> {
        let value = match self.peek() {
            Some(b'"') if self.rest().starts_with(b"\"\"\"") => Toml::String(self.multi_line_basic_string()?),
            Some(b'"') => Toml::String(self.basic_string()?),
            Some(b'\'') if self.rest().starts_with(b"'''") => Toml::String(self.multi_line_literal_string()?),
            Some(b'\'') => Toml::String(self.literal_string()?),
            Some(b'[') => self.nested(Self::array)?,
            Some(b'{') => self.nested(Self::inline_table)?,
            Some(b't') if self.skip_if(b"true") => Toml::Bool(true),
            Some(b'f') if self.skip_if(b"false") => Toml::Bool(false),
            Some(b'0'..=b'9') if self.is_timestamp() => Toml::Timestamp(self.timestamp()?),
            _ => self.number()?,
        };
        Ok(Node::Value(value))
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Parsed<Toml>) -> Parsed<Toml> {
        if self.depth == DEPTH_LIMIT {
            return Err("arrays and tables are nested too deeply".to_owned());
        }
        self.depth += 1;
        self.at += 1;
        let value = parse(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Parsed<Toml> {
        let mut values = Vec::new();
        loop {
            self.lines()?;
            if self.skip_if(b"]") {
                return Ok(Toml::Array(values));
            }
            values.push(self.value()?.into_toml());
            self.lines()?;
            if !self.skip_if(b",") {
                self.expect("]")?;
                return Ok(Toml::Array(values));
            }
        }
    }

    /// Spaces, line ends and comments.
    fn lines(&mut self) -> Parsed<()> {
        loop {
            self.spaces();
            self.comment()?;
            if !self.newline() {
                return Ok(());
            }
        }
    }

    fn inline_table(&mut self) -> Parsed<Toml> {
        let mut table = Table::new(Kind::Header);
        self.spaces();
        if self.skip_if(b"}") {
            return Ok(Toml::Table(table.into_toml()));
        }
        loop {
            self.entry(&mut table)?;
            self.spaces();
            if !self.skip_if(b",") {
                self.expect("}")?;
                return Ok(Toml::Table(table.into_toml()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
