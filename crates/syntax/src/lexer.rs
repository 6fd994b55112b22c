//! From bytes to tokens: the rules of C++ Nix's `lexer.l` (2.34), longest match first.
//!
//! Strings and paths are cut into pieces here, with a stack of modes, so that tokens do not depend on the
//! parser.

use crate::ast::DocComment;
use crate::{Code, Diagnostic, Source};

/// A kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Token {
    End,
    /// A byte that starts no token.
    Invalid,
    Identifier,
    String,
    IndentedString,
    Integer,
    Float,
    Path,
    HomePath,
    SearchPath,
    PathEnd,
    Uri,
    If,
    Then,
    Else,
    Assert,
    With,
    Let,
    In,
    Rec,
    Inherit,
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    Update,
    Concat,
    And,
    OrOr,
    Implies,
    Or,
    PipeFrom,
    PipeInto,
    DollarBrace,
    IndentedOpen,
    IndentedClose,
    Ellipsis,
    Less,
    Greater,
    Not,
    Plus,
    Minus,
    Star,
    Slash,
    Question,
    Colon,
    Semicolon,
    At,
    Dot,
    Comma,
    Assign,
    Quote,
    BraceOpen,
    BraceClose,
    ParenOpen,
    ParenClose,
    BracketOpen,
    BracketClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Below everything: a stray `}` leaves it in place.
    Bottom,
    Default,
    String,
    Indented,
    Path,
    PathAfterSlash,
}

pub(crate) struct Lexer<'s> {
    pub(crate) source: &'s Source,
    pub(crate) text: &'s [u8],
    /// The bytes of the token read last.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Whether the string token read last is free of escapes and carriage returns.
    pub(crate) plain: bool,
    /// The value of the integer token read last.
    pub(crate) integer: i64,
    /// The value of the float token read last.
    pub(crate) float: f64,
    /// Where the reference puts an error about the end of the text.
    pub(crate) end_of_text: usize,
    /// Documentation comments by the token that follows them.
    pub(crate) docs: Vec<(usize, DocComment)>,
    /// The token before the last piece of a path.
    piece_before: usize,
    path_run_end: usize,
    scheme_end: usize,
    pipe_operators: bool,
    mode: Mode,
    modes: Vec<Mode>,
}

const IDENTIFIER: u8 = 1;
const PATH: u8 = 2;
const SCHEME: u8 = 4;
const URI: u8 = 8;
const SPACE: u8 = 16;
const LETTER: u8 = 32;
const STRING_STOP: u8 = 64;
/// What can make a path or a URL of an identifier before it.
const EXTENDS: u8 = 128;

static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        let mut class = 0;
        if c.is_ascii_alphabetic() {
            class |= LETTER;
        }
        if c.is_ascii_alphanumeric() {
            class |= IDENTIFIER | PATH | SCHEME | URI;
        }
        if matches!(c, b'_' | b'\'' | b'-') {
            class |= IDENTIFIER;
        }
        if matches!(c, b'.' | b'_' | b'-' | b'+') {
            class |= PATH;
        }
        if matches!(c, b'+' | b'-' | b'.') {
            class |= SCHEME;
        }
        if matches!(
            c,
            b'%' | b'/'
                | b'?'
                | b':'
                | b'@'
                | b'&'
                | b'='
                | b'+'
                | b'$'
                | b','
                | b'-'
                | b'_'
                | b'.'
                | b'!'
                | b'~'
                | b'*'
                | b'\''
        ) {
            class |= URI;
        }
        if matches!(c, b' ' | b'\t' | b'\r' | b'\n') {
            class |= SPACE;
        }
        if matches!(c, b'"' | b'\\' | b'$' | b'\r' | 0) {
            class |= STRING_STOP;
        }
        if class & PATH != 0 || matches!(c, b'/' | b':') {
            class |= EXTENDS;
        }
        table[byte] = class;
        byte += 1;
    }
    table
};

fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

impl<'s> Lexer<'s> {
    pub(crate) fn new(source: &'s Source, pipe_operators: bool) -> Lexer<'s> {
        let text = source.text();
        Lexer {
            source,
            text,
            start: 0,
            end: 0,
            plain: true,
            integer: 0,
            float: 0.0,
            end_of_text: text.len(),
            docs: Vec::new(),
            piece_before: 0,
            path_run_end: 0,
            scheme_end: 0,
            pipe_operators,
            mode: Mode::Bottom,
            modes: Vec::new(),
        }
    }

    /// The bytes of the token read last.
    pub(crate) fn bytes(&self) -> &'s [u8] {
        &self.text[self.start..self.end]
    }

    /// Reads a token and sets `start` and `end`.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Token, Box<Diagnostic>> {
        match self.mode {
            Mode::Bottom | Mode::Default => self.default(),
            Mode::String => Ok(self.string()),
            Mode::Indented => Ok(self.indented()),
            Mode::Path | Mode::PathAfterSlash => self.path(),
        }
    }

    #[inline]
    fn at(&self, index: usize) -> u8 {
        // NUL stands for the end: no rule but those of strings can tell them apart.
        self.text.get(index).copied().unwrap_or(0)
    }

    fn run(&self, mut index: usize, class: u8) -> usize {
        while index < self.text.len() && is(self.text[index], class) {
            index += 1;
        }
        index
    }

    fn push(&mut self, mode: Mode) {
        self.modes.push(self.mode);
        self.mode = mode;
    }

    fn pop(&mut self) {
        self.mode = self.modes.pop().unwrap_or(Mode::Bottom);
    }

    fn error(&self, code: Code, message: String) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(message, self.source.pos(self.start)).with_code(code))
    }

    fn token(&mut self, length: usize, token: Token) -> Token {
        self.end = self.start + length;
        token
    }

    /// Skips space and comments; whatever comment stands unclosed is left for the parser to stumble on.
    fn trivia(&mut self) {
        let mut doc = None;
        let mut index = self.end;
        while let Some(&byte) = self.text.get(index) {
            if is(byte, SPACE) {
                index += 1;
            } else if byte == b'#' {
                index += 1;
                while index < self.text.len() && !matches!(self.text[index], b'\n' | b'\r') {
                    index += 1;
                }
            } else if byte == b'/' && self.at(index + 1) == b'*' {
                let Some(end) = self.comment_end(index + 2) else { break };
                if self.at(index + 2) == b'*' && !matches!(self.at(index + 3), b'*' | b'/') {
                    doc = Some((index, end));
                }
                index = end;
            } else {
                break;
            }
        }
        self.start = index;
        if let Some((start, end)) = doc {
            let comment = DocComment { start: self.source.pos(start), end: self.source.pos(end) };
            self.docs.push((index, comment));
        }
    }

    fn comment_end(&self, from: usize) -> Option<usize> {
        self.text[from..].windows(2).position(|pair| pair == b"*/").map(|offset| from + offset + 2)
    }

    fn default(&mut self) -> Result<Token, Box<Diagnostic>> {
        self.trivia();
        let start = self.start;
        let Some(&byte) = self.text.get(start) else {
            self.end = start;
            return Ok(Token::End);
        };
        if is(byte, LETTER) || byte == b'_' {
            let end = self.run(start, IDENTIFIER);
            if !is(self.at(end), EXTENDS) {
                self.end = end;
                return Ok(keyword(self.bytes()));
            }
        }
        if is(byte, PATH) || byte == b'/' {
            // Runs are looked for once, not from each token in them: `a+b+c` is one run of path characters.
            if start >= self.path_run_end {
                self.path_run_end = self.run(start, PATH);
            }
            let run = self.path_run_end.max(start);
            if self.at(run) == b'/' {
                let next = self.at(run + 1);
                if is(next, PATH) {
                    return Ok(self.path_start(Token::Path, run));
                }
                if next == b'$' && self.at(run + 2) == b'{' {
                    self.end = run + 1;
                    self.push(Mode::PathAfterSlash);
                    return Ok(Token::Path);
                }
            }
        }
        let second = self.at(start + 1);
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                if byte != b'_' {
                    if start >= self.scheme_end {
                        self.scheme_end = self.run(start, SCHEME);
                    }
                    let scheme = self.scheme_end;
                    if self.at(scheme) == b':' && is(self.at(scheme + 1), URI) {
                        self.end = self.run(scheme + 1, URI);
                        return Ok(Token::Uri);
                    }
                }
                self.end = self.run(start, IDENTIFIER);
                Ok(keyword(self.bytes()))
            }
            b'0'..=b'9' => self.number(),
            b'.' if second.is_ascii_digit() => self.number(),
            b'.' if second == b'.' && self.at(start + 2) == b'.' => Ok(self.token(3, Token::Ellipsis)),
            b'.' => Ok(self.token(1, Token::Dot)),
            b'=' if second == b'=' => Ok(self.token(2, Token::Equal)),
            b'=' => Ok(self.token(1, Token::Assign)),
            b'!' if second == b'=' => Ok(self.token(2, Token::NotEqual)),
            b'!' => Ok(self.token(1, Token::Not)),
            b'<' => self.less(),
            b'>' if second == b'=' => Ok(self.token(2, Token::GreaterOrEqual)),
            b'>' => Ok(self.token(1, Token::Greater)),
            b'&' if second == b'&' => Ok(self.token(2, Token::And)),
            b'|' if second == b'|' => Ok(self.token(2, Token::OrOr)),
            b'|' if second == b'>' => self.pipe(Token::PipeInto),
            b'-' if second == b'>' => Ok(self.token(2, Token::Implies)),
            b'-' => Ok(self.token(1, Token::Minus)),
            b'+' if second == b'+' => Ok(self.token(2, Token::Concat)),
            b'+' => Ok(self.token(1, Token::Plus)),
            b'/' if second == b'/' => Ok(self.token(2, Token::Update)),
            b'/' => Ok(self.token(1, Token::Slash)),
            b'*' => Ok(self.token(1, Token::Star)),
            b'?' => Ok(self.token(1, Token::Question)),
            b':' => Ok(self.token(1, Token::Colon)),
            b';' => Ok(self.token(1, Token::Semicolon)),
            b'@' => Ok(self.token(1, Token::At)),
            b',' => Ok(self.token(1, Token::Comma)),
            b'(' => Ok(self.token(1, Token::ParenOpen)),
            b')' => Ok(self.token(1, Token::ParenClose)),
            b'[' => Ok(self.token(1, Token::BracketOpen)),
            b']' => Ok(self.token(1, Token::BracketClose)),
            b'{' => {
                self.push(Mode::Default);
                Ok(self.token(1, Token::BraceOpen))
            }
            b'}' => {
                if self.mode != Mode::Bottom {
                    self.pop();
                }
                Ok(self.token(1, Token::BraceClose))
            }
            b'$' if second == b'{' => {
                self.push(Mode::Default);
                Ok(self.token(2, Token::DollarBrace))
            }
            b'"' => {
                self.push(Mode::String);
                Ok(self.token(1, Token::Quote))
            }
            b'\'' if second == b'\'' => {
                self.push(Mode::Indented);
                let mut end = start + 2;
                while self.at(end) == b' ' {
                    end += 1;
                }
                self.end = if self.at(end) == b'\n' { end + 1 } else { start + 2 };
                Ok(Token::IndentedOpen)
            }
            b'~' if second == b'/' && is(self.at(start + 2), PATH) => {
                Ok(self.path_start(Token::HomePath, start + 1))
            }
            b'~' if second == b'/' && self.text[start + 2..].starts_with(b"${") => {
                self.push(Mode::PathAfterSlash);
                Ok(self.token(2, Token::HomePath))
            }
            // A NUL ends the text for the reference's parser as well.
            0 => {
                self.end_of_text = start + 1;
                Ok(self.token(1, Token::End))
            }
            _ => Ok(self.token(1, Token::Invalid)),
        }
    }

    fn pipe(&mut self, token: Token) -> Result<Token, Box<Diagnostic>> {
        if self.pipe_operators {
            return Ok(self.token(2, token));
        }
        Err(self.error(
            Code::FEATURE,
            "experimental Nix feature 'pipe-operators' is disabled; add '--extra-experimental-features \
             pipe-operators' to enable it"
                .to_owned(),
        ))
    }

    fn less(&mut self) -> Result<Token, Box<Diagnostic>> {
        let mut end = self.run(self.start + 1, PATH);
        if end > self.start + 1 {
            while self.at(end) == b'/' && is(self.at(end + 1), PATH) {
                end = self.run(end + 1, PATH);
            }
            if self.at(end) == b'>' {
                return Ok(self.token(end + 1 - self.start, Token::SearchPath));
            }
        }
        match self.at(self.start + 1) {
            b'=' => Ok(self.token(2, Token::LessOrEqual)),
            b'|' => self.pipe(Token::PipeFrom),
            _ => Ok(self.token(1, Token::Less)),
        }
    }

    fn number(&mut self) -> Result<Token, Box<Diagnostic>> {
        let whole = self.digits(self.start);
        self.end = whole;
        let first = self.at(self.start);
        let dot = self.at(whole) == b'.';
        let fraction = self.digits(whole + 1);
        let zero = whole == self.start || whole == self.start + 1 && first == b'0';
        if !dot || !(first.is_ascii_digit() && first != b'0' || zero && fraction > whole + 1) {
            return self.integer();
        }
        self.end = fraction;
        if matches!(self.at(fraction), b'e' | b'E') {
            let sign = usize::from(matches!(self.at(fraction + 1), b'+' | b'-'));
            let exponent = self.digits(fraction + 1 + sign);
            if exponent > fraction + 1 + sign {
                self.end = exponent;
            }
        }
        self.float()
    }

    fn integer(&mut self) -> Result<Token, Box<Diagnostic>> {
        let mut value = Some(0_i64);
        for digit in self.bytes() {
            value = value.and_then(|value| value.checked_mul(10)?.checked_add(i64::from(digit - b'0')));
        }
        self.integer = value.ok_or_else(|| self.bad_number("integer"))?;
        Ok(Token::Integer)
    }

    /// Like `strtod`, refuses what is too large and what gets lost in being too small.
    fn float(&mut self) -> Result<Token, Box<Diagnostic>> {
        let text = String::from_utf8_lossy(self.bytes());
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let is_zero = mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        self.float = match text.parse::<f64>() {
            Ok(value) if value.is_normal() || is_zero => value,
            _ => return Err(self.bad_number("float")),
        };
        Ok(Token::Float)
    }

    fn bad_number(&self, kind: &str) -> Box<Diagnostic> {
        let text = String::from_utf8_lossy(self.bytes());
        self.error(Code::NUMBER, format!("invalid {kind} '{text}'"))
    }

    fn digits(&self, mut index: usize) -> usize {
        while self.at(index).is_ascii_digit() {
            index += 1;
        }
        index
    }

    /// Reads on from a slash that a path character follows.
    fn path_start(&mut self, token: Token, slash: usize) -> Token {
        self.end = self.path_run(slash);
        self.push(self.path_mode());
        token
    }

    fn path_run(&self, mut index: usize) -> usize {
        while self.at(index) == b'/' {
            let run = self.run(index + 1, PATH);
            if run == index + 1 {
                return run;
            }
            index = run;
        }
        index
    }

    fn path_mode(&self) -> Mode {
        if self.at(self.end - 1) == b'/' { Mode::PathAfterSlash } else { Mode::Path }
    }

    fn path(&mut self) -> Result<Token, Box<Diagnostic>> {
        let before = self.start;
        self.start = self.end;
        if self.text[self.start..].starts_with(b"${") {
            self.mode = Mode::Path;
            self.push(Mode::Default);
            return Ok(self.token(2, Token::DollarBrace));
        }
        let end = self.path_run(self.run(self.start, PATH));
        if end > self.start {
            self.end = end;
            self.mode = self.path_mode();
            self.plain = true;
            self.piece_before = before;
            return Ok(Token::String);
        }
        // The reference's scanner does not move on at the end of the text, so that its messages stay at the
        // last piece.
        let at_end = self.start == self.text.len();
        if self.mode == Mode::PathAfterSlash {
            if at_end {
                self.start = before;
            }
            return Err(self.error(Code::PATH, "path has a trailing slash".to_owned()));
        }
        if at_end {
            self.end_of_text = before;
        }
        self.start = if at_end { self.piece_before } else { before };
        self.pop();
        Ok(Token::PathEnd)
    }

    fn string(&mut self) -> Token {
        self.start = self.end;
        let mut index = self.start;
        self.plain = true;
        loop {
            while index < self.text.len() && !is(self.text[index], STRING_STOP) {
                index += 1;
            }
            let left = self.text.len() - index;
            if left == 0 {
                break;
            }
            let second = self.at(index + 1);
            match self.text[index] {
                b'"' => break,
                b'\\' => {
                    if left < 2 {
                        break;
                    }
                    self.plain = false;
                    index += 2;
                }
                b'$' => {
                    if left < 2 || second == b'{' {
                        break;
                    }
                    if second == b'"' {
                        index += 1;
                        break;
                    }
                    if second == b'\\' {
                        if left < 3 {
                            break;
                        }
                        self.plain = false;
                        index += 3;
                    } else {
                        self.plain &= !matches!(second, b'\r' | 0);
                        index += 2;
                    }
                }
                _ => {
                    self.plain = false;
                    index += 1;
                }
            }
        }
        self.end = index;
        if index > self.start {
            return Token::String;
        }
        match self.at(index) {
            b'"' if index < self.text.len() => {
                self.pop();
                self.end += 1;
                Token::Quote
            }
            b'$' if self.at(index + 1) == b'{' => {
                self.push(Mode::Default);
                self.end += 2;
                Token::DollarBrace
            }
            _ => {
                self.start = self.text.len();
                self.end = self.start;
                Token::End
            }
        }
    }

    /// An indented string is read in runs of ordinary text (`plain`), and in escapes (not `plain`).
    fn indented(&mut self) -> Token {
        self.start = self.end;
        let mut index = self.start;
        self.plain = true;
        while let Some(&byte) = self.text.get(index) {
            let Some(&second) = self.text.get(index + 1) else {
                if !matches!(byte, b'$' | b'\'') {
                    index += 1;
                }
                break;
            };
            index += match byte {
                b'$' if matches!(second, b'{' | b'\'') => break,
                b'\'' if matches!(second, b'\'' | b'$') => break,
                b'$' | b'\'' => 2,
                _ => 1,
            };
        }
        self.end = index;
        if index > self.start {
            return Token::IndentedString;
        }
        let rest = &self.text[index..];
        if rest.is_empty() {
            return Token::End;
        }
        self.plain = false;
        let (length, token) = match rest {
            [b'\'', b'\'', b'$' | b'\'', ..] => (3, Token::IndentedString),
            [b'\'', b'\'', b'\\', _, ..] => (4, Token::IndentedString),
            [b'\'', b'\'', ..] => (2, Token::IndentedClose),
            [b'$', b'{', ..] => (2, Token::DollarBrace),
            _ => (1, Token::IndentedString),
        };
        match token {
            Token::IndentedClose => self.pop(),
            Token::DollarBrace => self.push(Mode::Default),
            _ => {}
        }
        self.end += length;
        token
    }
}

fn keyword(word: &[u8]) -> Token {
    match word {
        b"if" => Token::If,
        b"then" => Token::Then,
        b"else" => Token::Else,
        b"assert" => Token::Assert,
        b"with" => Token::With,
        b"let" => Token::Let,
        b"in" => Token::In,
        b"rec" => Token::Rec,
        b"inherit" => Token::Inherit,
        b"or" => Token::Or,
        _ => Token::Identifier,
    }
}
