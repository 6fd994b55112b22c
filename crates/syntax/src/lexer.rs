//! From bytes to tokens: the rules of C++ Nix's `lexer.l` (2.34), longest match first.
//!
//! Strings and paths are cut into pieces here, with a stack of modes, so that tokens do not depend on the
//! parser.

use crate::ast::DocComment;
use crate::scan::{find, load};
use crate::symbol::Word;
use crate::{Code, Diagnostic, Source};

/// A kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Token {
    End,
    /// A byte that starts no token.
    Invalid,
    /// What [`Lexer::failure`] tells of. No rule has it.
    Failed,
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

/// An identifier in the text.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    word: Word,
    start: usize,
    end: usize,
}

impl Name {
    /// The name's bytes, by value if they are few.
    pub(crate) fn word(self) -> Result<Word, std::ops::Range<usize>> {
        if self.end - self.start <= Word::MAX { Ok(self.word) } else { Err(self.start..self.end) }
    }

    pub(crate) fn is_cur_pos(self) -> bool {
        self.word().is_ok_and(|word| word == CUR_POS)
    }
}

const CUR_POS: Word = Word::constant(b"__curPos");

pub(crate) struct Lexer<'s> {
    pub(crate) source: &'s Source,
    pub(crate) text: &'s [u8],
    /// The bytes of the token read last.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The identifier read last, if it is short enough.
    word: Word,
    /// Whether the string token read last is free of escapes and carriage returns.
    pub(crate) plain: bool,
    /// The value of the integer token read last.
    pub(crate) integer: i64,
    /// The value of the float token read last.
    pub(crate) float: f64,
    /// Where the reference puts an error about the end of the text.
    pub(crate) end_of_text: usize,
    /// What is wrong with the text where the lexer stopped.
    pub(crate) failure: Option<Box<Diagnostic>>,
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
/// What a name begins with.
const FIRST: u8 = 16;
/// What can make a path or a URL of an identifier before it.
const EXTENDS: u8 = 32;
/// What space and comments begin with.
const TRIVIA: u8 = 64;

static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        let mut class = 0;
        if c.is_ascii_alphabetic() || c == b'_' {
            class |= FIRST;
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
        if matches!(c, b' ' | b'\t' | b'\r' | b'\n' | b'#' | b'/') {
            class |= TRIVIA;
        }
        if class & PATH != 0 || matches!(c, b'/' | b':') {
            class |= EXTENDS;
        }
        table[byte] = class;
        byte += 1;
    }
    table
};

/// The tokens of those bytes that are one whatever comes after them.
static SINGLE: [Token; 256] = {
    let mut table = [Token::Invalid; 256];
    table[b'*' as usize] = Token::Star;
    table[b'?' as usize] = Token::Question;
    table[b':' as usize] = Token::Colon;
    table[b';' as usize] = Token::Semicolon;
    table[b'@' as usize] = Token::At;
    table[b',' as usize] = Token::Comma;
    table[b'(' as usize] = Token::ParenOpen;
    table[b')' as usize] = Token::ParenClose;
    table[b'[' as usize] = Token::BracketOpen;
    table[b']' as usize] = Token::BracketClose;
    table
};

fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

impl<'s> Lexer<'s> {
    /// Of a source and its text.
    pub(crate) fn new(source: &'s Source, text: &'s [u8], pipe_operators: bool) -> Lexer<'s> {
        Lexer {
            source,
            text,
            start: 0,
            end: 0,
            word: Word::EMPTY,
            plain: true,
            integer: 0,
            float: 0.0,
            end_of_text: text.len(),
            failure: None,
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

    /// The identifier read last.
    #[inline]
    pub(crate) fn name(&self) -> Name {
        Name { word: self.word, start: self.start, end: self.end }
    }

    /// Reads a token and sets `start` and `end`.
    #[inline]
    pub(crate) fn next(&mut self) -> Token {
        match self.mode {
            Mode::Bottom | Mode::Default => self.default(),
            Mode::String => self.string(),
            Mode::Indented => self.indented(),
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

    #[cold]
    fn fail(&mut self, code: Code, message: String) -> Token {
        let error = Diagnostic::error(message, self.source.pos(self.start)).with_code(code);
        self.failure = Some(Box::new(error));
        Token::Failed
    }

    fn token(&mut self, length: usize, token: Token) -> Token {
        self.end = self.start + length;
        token
    }

    #[inline(never)]
    fn long_trivia(&mut self, mut index: usize) -> usize {
        let mut doc = None;
        loop {
            index = find(self.text, index, |bytes| !bytes.space());
            match self.at(index) {
                b'#' => {
                    index = find(self.text, index + 1, |bytes| bytes.equal(b'\n') | bytes.equal(b'\r'));
                }
                b'/' if self.at(index + 1) == b'*' => {
                    let Some(end) = self.comment_end(index + 2) else { break };
                    if self.at(index + 2) == b'*' && !matches!(self.at(index + 3), b'*' | b'/') {
                        doc = Some((index, end));
                    }
                    index = end;
                }
                _ => break,
            }
        }
        if let Some((start, end)) = doc {
            let comment = DocComment { start: self.source.pos(start), end: self.source.pos(end) };
            self.docs.push((index, comment));
        }
        index
    }

    fn comment_end(&self, mut from: usize) -> Option<usize> {
        loop {
            let star = find(self.text, from, |bytes| bytes.equal(b'*'));
            match self.text.get(star + 1)? {
                b'/' => return Some(star + 2),
                _ => from = star + 1,
            }
        }
    }

    fn default(&mut self) -> Token {
        let text = self.text;
        let mut start = self.end + (!load(text, self.end).space()).first();
        let mut byte = text.get(start).copied().unwrap_or(0);
        if is(byte, TRIVIA) {
            start = self.long_trivia(start);
            byte = self.at(start);
        }
        self.start = start;
        if is(byte, FIRST) {
            let bytes = load(text, start);
            let length = (!bytes.identifier()).first();
            let end = start + length;
            self.word = Word::first(bytes, length);
            self.end = end;
            let next = text.get(end).copied().unwrap_or(0);
            if length == Word::MAX || is(next, EXTENDS) {
                return self.long_word();
            }
            return keyword(self.word);
        }
        let single = SINGLE[byte as usize];
        if single == Token::Invalid {
            return self.other(byte);
        }
        self.end = start + 1;
        single
    }

    /// Reads on in what began as an identifier, but may be long, a path or a URL.
    #[inline(never)]
    fn long_word(&mut self) -> Token {
        self.end = find(self.text, self.end, |bytes| !bytes.identifier());
        let next = self.at(self.end);
        if is(next, EXTENDS) && (next != b':' || is(self.at(self.end + 1), URI)) {
            // Runs are looked for once, not from each token in them: `a+b+c` is one run of path characters.
            if self.start >= self.path_run_end {
                self.path_run_end = find(self.text, self.start, |bytes| !bytes.path());
            }
            if matches!(self.at(self.path_run_end), b'/' | b':') {
                return self.other(self.at(self.start));
            }
        }
        keyword(self.word)
    }

    /// Reads what its first byte alone does not tell. An identifier that gets here may be a path or a URL.
    #[inline(never)]
    fn other(&mut self, byte: u8) -> Token {
        let start = self.start;
        if is(byte, PATH) || byte == b'/' {
            if start >= self.path_run_end {
                self.path_run_end = find(self.text, start, |bytes| !bytes.path());
            }
            let run = self.path_run_end.max(start);
            if self.at(run) == b'/' {
                let next = self.at(run + 1);
                if is(next, PATH) {
                    return self.path_start(Token::Path, run);
                }
                if next == b'$' && self.at(run + 2) == b'{' {
                    self.end = run + 1;
                    self.push(Mode::PathAfterSlash);
                    return Token::Path;
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
                        return Token::Uri;
                    }
                }
                self.end = self.run(start, IDENTIFIER);
                keyword(self.word)
            }
            b'0'..=b'9' => self.number(),
            b'.' if second.is_ascii_digit() => self.number(),
            b'.' if second == b'.' && self.at(start + 2) == b'.' => self.token(3, Token::Ellipsis),
            b'.' => self.token(1, Token::Dot),
            b'=' if second == b'=' => self.token(2, Token::Equal),
            b'=' => self.token(1, Token::Assign),
            b'!' if second == b'=' => self.token(2, Token::NotEqual),
            b'!' => self.token(1, Token::Not),
            b'<' => self.less(),
            b'>' if second == b'=' => self.token(2, Token::GreaterOrEqual),
            b'>' => self.token(1, Token::Greater),
            b'&' if second == b'&' => self.token(2, Token::And),
            b'|' if second == b'|' => self.token(2, Token::OrOr),
            b'|' if second == b'>' => self.pipe(Token::PipeInto),
            b'-' if second == b'>' => self.token(2, Token::Implies),
            b'-' => self.token(1, Token::Minus),
            b'+' if second == b'+' => self.token(2, Token::Concat),
            b'+' => self.token(1, Token::Plus),
            b'/' if second == b'/' => self.token(2, Token::Update),
            b'/' => self.token(1, Token::Slash),
            b'{' => {
                self.push(Mode::Default);
                self.token(1, Token::BraceOpen)
            }
            b'}' => {
                if self.mode != Mode::Bottom {
                    self.pop();
                }
                self.token(1, Token::BraceClose)
            }
            b'$' if second == b'{' => {
                self.push(Mode::Default);
                self.token(2, Token::DollarBrace)
            }
            b'"' => {
                self.push(Mode::String);
                self.token(1, Token::Quote)
            }
            b'\'' if second == b'\'' => {
                self.push(Mode::Indented);
                let mut end = start + 2;
                while self.at(end) == b' ' {
                    end += 1;
                }
                self.end = if self.at(end) == b'\n' { end + 1 } else { start + 2 };
                Token::IndentedOpen
            }
            b'~' if second == b'/' && is(self.at(start + 2), PATH) => {
                self.path_start(Token::HomePath, start + 1)
            }
            b'~' if second == b'/' && self.text[start + 2..].starts_with(b"${") => {
                self.push(Mode::PathAfterSlash);
                self.token(2, Token::HomePath)
            }
            0 if start == self.text.len() => self.token(0, Token::End),
            // A NUL ends the text for the reference's parser as well.
            0 => {
                self.end_of_text = start + 1;
                self.token(1, Token::End)
            }
            _ => self.token(1, Token::Invalid),
        }
    }

    fn pipe(&mut self, token: Token) -> Token {
        if self.pipe_operators {
            return self.token(2, token);
        }
        self.fail(
            Code::FEATURE,
            "experimental Nix feature 'pipe-operators' is disabled; add '--extra-experimental-features \
             pipe-operators' to enable it"
                .to_owned(),
        )
    }

    fn less(&mut self) -> Token {
        let mut end = self.run(self.start + 1, PATH);
        if end > self.start + 1 {
            while self.at(end) == b'/' && is(self.at(end + 1), PATH) {
                end = self.run(end + 1, PATH);
            }
            if self.at(end) == b'>' {
                return self.token(end + 1 - self.start, Token::SearchPath);
            }
        }
        match self.at(self.start + 1) {
            b'=' => self.token(2, Token::LessOrEqual),
            b'|' => self.pipe(Token::PipeFrom),
            _ => self.token(1, Token::Less),
        }
    }

    fn number(&mut self) -> Token {
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

    fn integer(&mut self) -> Token {
        let mut value = Some(0_i64);
        for digit in self.bytes() {
            value = value.and_then(|value| value.checked_mul(10)?.checked_add(i64::from(digit - b'0')));
        }
        let Some(value) = value else { return self.bad_number("integer") };
        self.integer = value;
        Token::Integer
    }

    /// Like `strtod`, refuses what is too large and what gets lost in being too small.
    fn float(&mut self) -> Token {
        let text = crate::raw_text(self.bytes());
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let is_zero = mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        self.float = match text.parse::<f64>() {
            Ok(value) if value.is_normal() || is_zero => value,
            _ => return self.bad_number("float"),
        };
        Token::Float
    }

    fn bad_number(&mut self, kind: &str) -> Token {
        let text = crate::raw_text(self.bytes());
        self.fail(Code::NUMBER, format!("invalid {kind} '{text}'"))
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
            let run = find(self.text, index + 1, |bytes| !bytes.path());
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

    fn path(&mut self) -> Token {
        let before = self.start;
        self.start = self.end;
        if self.text[self.start..].starts_with(b"${") {
            self.mode = Mode::Path;
            self.push(Mode::Default);
            return self.token(2, Token::DollarBrace);
        }
        let end = self.path_run(find(self.text, self.start, |bytes| !bytes.path()));
        if end > self.start {
            self.end = end;
            self.mode = self.path_mode();
            self.plain = true;
            self.piece_before = before;
            return Token::String;
        }
        // The reference's scanner does not move on at the end of the text, so that its messages stay at the
        // last piece.
        let at_end = self.start == self.text.len();
        if self.mode == Mode::PathAfterSlash {
            if at_end {
                self.start = before;
            }
            return self.fail(Code::PATH, "path has a trailing slash".to_owned());
        }
        if at_end {
            self.end_of_text = before;
        }
        self.start = if at_end { self.piece_before } else { before };
        self.pop();
        Token::PathEnd
    }

    fn string(&mut self) -> Token {
        self.start = self.end;
        let mut index = self.start;
        self.plain = true;
        loop {
            index = find(self.text, index, |bytes| {
                bytes.equal(b'"')
                    | bytes.equal(b'\\')
                    | bytes.equal(b'$')
                    | bytes.equal(b'\r')
                    | bytes.equal(0)
            });
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
        loop {
            index = find(self.text, index, |bytes| bytes.equal(b'$') | bytes.equal(b'\''));
            let Some(&second) = self.text.get(index + 1) else { break };
            match (self.text[index], second) {
                (b'$', b'{' | b'\'') | (b'\'', b'\'' | b'$') => break,
                _ => index += 2,
            }
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

/// The keywords, each where [`keyword_place`] sends it.
static KEYWORDS: [(Word, Token); 16] = {
    let words: [(&[u8], Token); 10] = [
        (b"if", Token::If),
        (b"then", Token::Then),
        (b"else", Token::Else),
        (b"assert", Token::Assert),
        (b"with", Token::With),
        (b"let", Token::Let),
        (b"in", Token::In),
        (b"rec", Token::Rec),
        (b"inherit", Token::Inherit),
        (b"or", Token::Or),
    ];
    let mut table = [(Word::EMPTY, Token::Identifier); 16];
    let mut index = 0;
    while index < words.len() {
        let (text, token) = words[index];
        let word = Word::constant(text);
        let place = &mut table[keyword_place(word)];
        assert!(matches!(place.1, Token::Identifier), "no two keywords have one place");
        *place = (word, token);
        index += 1;
    }
    table
};

const fn keyword_place(word: Word) -> usize {
    (word.start().wrapping_mul(KEYWORD_FACTOR) >> 60) as usize
}

/// Sends each keyword to a place of its own; found by trying.
const KEYWORD_FACTOR: u64 = 0xcd61_3e30_d8f1_6adf;

#[inline]
fn keyword(word: Word) -> Token {
    let (known, token) = KEYWORDS[keyword_place(word)];
    // Keywords have less than eight bytes, and identifiers no zeros.
    if known.start() == word.start() { token } else { Token::Identifier }
}
