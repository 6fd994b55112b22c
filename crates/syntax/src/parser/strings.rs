//! Strings, indented strings and paths.

use super::{Failure, Parser, Result};
use crate::ast::{ConcatKind, ExprId, PartWords, Range, Spot, tag};
use crate::lexer::Token;
use crate::scan::find;
use crate::{Code, Diagnostic, LintKind, Pos};

/// A string as a name can use it.
pub(super) enum Text {
    Literal(Range),
    Interpolated(ExprId),
}

/// A piece of an indented string, before its indentation is taken off.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pos: Spot,
    kind: PieceKind,
}

#[derive(Clone, Copy)]
enum PieceKind {
    /// Bytes of the source.
    Run(usize, usize),
    /// An escape, which does not count as indentation.
    Escape(&'static [u8]),
    Escaped(u8),
    Expr(ExprId),
}

impl Parser<'_> {
    pub(super) fn string(&mut self) -> Result<ExprId> {
        Ok(match self.text()? {
            Text::Literal(range) => self.add_range(Spot::NONE, tag::STRING, range),
            Text::Interpolated(expr) => expr,
        })
    }

    /// A string from its `"` on.
    pub(super) fn text(&mut self) -> Result<Text> {
        self.advance();
        let base = self.room.parts.len();
        let start = self.start();
        if self.token == Token::String {
            let range = self.unescaped()?;
            self.advance();
            if self.token == Token::Quote {
                self.advance();
                return Ok(Text::Literal(range));
            }
            self.string_part(start, range);
        } else if self.token == Token::Quote {
            self.advance();
            return Ok(Text::Literal(Range { start: self.room.ast.text.len() as u32, len: 0 }));
        }
        self.interpolated(Token::Quote)?;
        let parts = self.take_parts(base);
        let kind = tag::concat(ConcatKind::String);
        Ok(Text::Interpolated(self.add_range(Spot::at(start), kind, parts)))
    }

    fn string_part(&mut self, start: usize, range: Range) {
        let expr = self.add_range(Spot::NONE, tag::STRING, range);
        self.room.parts.push(PartWords { pos: Spot::at(start), expr });
    }

    fn take_parts(&mut self, base: usize) -> Range {
        let range =
            Range { start: self.room.ast.parts.len() as u32, len: (self.room.parts.len() - base) as u32 };
        self.room.ast.parts.extend(self.room.parts.drain(base..));
        range
    }

    /// Parts beginning with an interpolation, up to and with the end.
    fn interpolated(&mut self, end: Token) -> Result<()> {
        if self.token != Token::DollarBrace {
            return Err(Failure::Syntax);
        }
        loop {
            let start = self.start();
            match self.token {
                Token::DollarBrace => {
                    let expr = self.interpolation()?;
                    self.room.parts.push(PartWords { pos: Spot::at(start), expr });
                }
                Token::String => {
                    let range = self.unescaped()?;
                    self.advance();
                    self.string_part(start, range);
                }
                _ => return self.expect(end),
            }
        }
    }

    fn interpolation(&mut self) -> Result<ExprId> {
        self.advance();
        let expr = self.expr()?;
        self.expect(Token::BraceClose)?;
        Ok(expr)
    }

    /// Keeps the current string token without its escapes.
    fn unescaped(&mut self) -> Result<Range> {
        let bytes = self.lexer.bytes();
        if self.lexer.plain {
            return Ok(self.keep(bytes));
        }
        let start = self.room.ast.text.len();
        let mut null = false;
        let mut rest = bytes.iter().copied().peekable();
        while let Some(byte) = rest.next() {
            let byte = match byte {
                b'\\' => escape(rest.next().unwrap_or(b'\\')),
                b'\r' => {
                    rest.next_if_eq(&b'\n');
                    b'\n'
                }
                byte => {
                    null |= byte == 0;
                    byte
                }
            };
            self.room.ast.text.push(byte);
        }
        if null {
            return Err(self.null_byte(&self.room.ast.text[start..]));
        }
        Ok(Range { start: start as u32, len: (self.room.ast.text.len() - start) as u32 })
    }

    fn null_byte(&self, bytes: &[u8]) -> Failure {
        let text = crate::raw_text(bytes).replace('\0', "␀");
        let message = format!(
            "input string '{text}' cannot be represented as Nix string because it contains null bytes"
        );
        Self::failure(Code::NULL_BYTE, message, self.pos_at(self.start()))
    }

    pub(super) fn indented_string(&mut self) -> Result<ExprId> {
        let pos = Spot::at(self.start());
        let base = self.room.pieces.len();
        self.advance();
        loop {
            let start = self.start();
            let kind = match self.token {
                Token::IndentedString => {
                    let kind = match self.lexer.bytes() {
                        _ if self.lexer.plain => PieceKind::Run(start, self.lexer.end),
                        b"''$" | b"$" => PieceKind::Escape(b"$"),
                        b"'''" => PieceKind::Escape(b"''"),
                        [b'\'', b'\'', b'\\', byte] => PieceKind::Escaped(escape(*byte)),
                        _ => PieceKind::Escape(b"'"),
                    };
                    if let PieceKind::Run(start, end) = kind {
                        let run = &self.lexer.text[start..end];
                        if run.contains(&0) {
                            return Err(self.null_byte(run));
                        }
                    }
                    self.advance();
                    kind
                }
                Token::DollarBrace => PieceKind::Expr(self.interpolation()?),
                _ => {
                    self.expect(Token::IndentedClose)?;
                    break;
                }
            };
            self.room.pieces.push(Piece { pos: Spot::at(start), kind });
        }
        let string = self.strip(pos, base);
        self.room.pieces.truncate(base);
        Ok(string)
    }

    /// Takes the common indentation off the pieces above `first` and makes the node.
    fn strip(&mut self, pos: Spot, first: usize) -> ExprId {
        let text = self.lexer.text;
        let count = self.room.pieces.len();
        let mut margin =
            Margin { indent: indentation(text, &self.room.pieces[first..]), dropped: 0, line_start: true };
        let base = self.room.parts.len();
        for index in first..count {
            let piece = self.room.pieces[index];
            let start = self.room.ast.text.len();
            match piece.kind {
                PieceKind::Run(from, to) => margin.strip(text, from, to, &mut self.room.ast.text),
                PieceKind::Escape(bytes) => margin.strip(bytes, 0, bytes.len(), &mut self.room.ast.text),
                PieceKind::Escaped(byte) => margin.strip(&[byte], 0, 1, &mut self.room.ast.text),
                PieceKind::Expr(expr) => {
                    margin.line_start = false;
                    margin.dropped = 0;
                    self.room.parts.push(PartWords { pos: piece.pos, expr });
                    continue;
                }
            }
            if index + 1 == count {
                let added = &self.room.ast.text[start..];
                if let Some(last) = added.iter().rposition(|byte| *byte == b'\n')
                    && added[last + 1..].iter().all(|byte| *byte == b' ')
                {
                    self.room.ast.text.truncate(start + last + 1);
                }
            }
            if self.room.ast.text.len() > start {
                let range = Range { start: start as u32, len: (self.room.ast.text.len() - start) as u32 };
                let expr = self.add_range(Spot::NONE, tag::STRING, range);
                self.room.parts.push(PartWords { pos: piece.pos, expr });
            }
        }
        if self.room.parts.len() == base {
            return self.add_range(Spot::NONE, tag::STRING, Range::default());
        }
        if let [PartWords { expr, .. }] = self.room.parts[base..]
            && self.node(expr).kind == tag::STRING
        {
            self.room.parts.truncate(base);
            return expr;
        }
        let parts = self.take_parts(base);
        self.add_range(pos, tag::concat(ConcatKind::IndentedString), parts)
    }

    pub(super) fn path(&mut self) -> Result<ExprId> {
        let start = self.start();
        let literal = self.lexer.bytes();
        let range = if self.token == Token::HomePath {
            let Some(home) = self.options.home else {
                let text = crate::raw_text(literal);
                let message = format!("the path '{text}' can not be resolved in pure mode");
                return Err(Failure::Other(Box::new(
                    Diagnostic::error(message, Pos::NONE)
                        .with_code(Code::PATH)
                        .with_label(self.pos_at(start), "this path"),
                )));
            };
            self.lint(LintKind::HomePath, start, literal.len());
            let path = [home.as_bytes(), &literal[1..]].concat();
            self.keep(&path)
        } else {
            match literal.first() {
                Some(b'/') => self.lint(LintKind::AbsolutePath, start, literal.len()),
                Some(b'.') | None => {}
                Some(_) => self.lint(LintKind::ShortPath, start, literal.len()),
            }
            let path = absolute(self.options.base_path.as_bytes(), literal);
            self.keep(&path)
        };
        self.advance();
        let path = self.add_range(Spot::NONE, tag::PATH, range);
        if self.token == Token::PathEnd {
            self.advance();
            return Ok(path);
        }
        let base = self.room.parts.len();
        self.room.parts.push(PartWords { pos: Spot::at(start), expr: path });
        if self.token == Token::String {
            let range = self.unescaped()?;
            let start = self.start();
            self.advance();
            self.string_part(start, range);
        }
        self.interpolated(Token::PathEnd)?;
        let parts = self.take_parts(base);
        Ok(self.add_range(Spot::at(start), tag::concat(ConcatKind::Path), parts))
    }
}

fn escape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        byte => byte,
    }
}

/// What is being taken off an indented string.
struct Margin {
    indent: usize,
    /// How many spaces the current line has lost.
    dropped: usize,
    /// Whether the current line has had only spaces so far.
    line_start: bool,
}

impl Margin {
    /// Adds what is left of the bytes from `at` to `end`.
    fn strip(&mut self, text: &[u8], mut at: usize, end: usize, out: &mut Vec<u8>) {
        while at < end {
            if self.line_start {
                let spaces = find(text, at, |bytes| !bytes.equal(b' ')).min(end) - at;
                let drop = spaces.min(self.indent.saturating_sub(self.dropped));
                at += drop;
                self.dropped += drop;
                if at == end {
                    return;
                }
                if spaces - drop == end - at {
                    self.dropped += spaces - drop;
                } else {
                    self.line_start = false;
                }
            }
            let next = line_end(text, at, end);
            out.extend_from_slice(&text[at..next]);
            if text[next - 1] == b'\n' {
                self.line_start = true;
                self.dropped = 0;
            } else if !self.line_start {
                self.dropped = 0;
            }
            at = next;
        }
    }
}

/// The index after the line break that ends a line, or `end`.
fn line_end(text: &[u8], at: usize, end: usize) -> usize {
    (find(text, at, |bytes| bytes.equal(b'\n')) + 1).min(end)
}

/// The least indentation of all lines that hold more than spaces.
fn indentation(text: &[u8], pieces: &[Piece]) -> usize {
    let mut least = 1_000_000;
    let mut line_start = true;
    let mut current = 0;
    for piece in pieces {
        let PieceKind::Run(mut at, end) = piece.kind else {
            if line_start {
                line_start = false;
                least = least.min(current);
            }
            continue;
        };
        while at < end {
            if line_start {
                let spaces = find(text, at, |bytes| !bytes.equal(b' ')).min(end) - at;
                current += spaces;
                at += spaces;
                if at == end {
                    break;
                }
                if text[at] != b'\n' {
                    line_start = false;
                    least = least.min(current);
                }
            }
            at = line_end(text, at, end);
            if text[at - 1] == b'\n' {
                line_start = true;
                current = 0;
            }
        }
    }
    least
}

/// A path literal as an absolute path without `.`, `..` and doubled slashes; a slash at its end stays.
fn absolute(base: &[u8], literal: &[u8]) -> Vec<u8> {
    let base = if literal.starts_with(b"/") { &b""[..] } else { base };
    let mut path = Vec::with_capacity(base.len() + literal.len() + 1);
    for component in base.split(|byte| *byte == b'/').chain(literal.split(|byte| *byte == b'/')) {
        match component {
            b"" | b"." => {}
            b".." => path.truncate(path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
            component => {
                path.push(b'/');
                path.extend_from_slice(component);
            }
        }
    }
    if path.is_empty() {
        path.push(b'/');
    }
    if literal.len() > 1 && literal.ends_with(b"/") {
        path.push(b'/');
    }
    path
}
