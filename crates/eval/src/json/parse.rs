//! Reads JSON. The messages and the places they name are those of nlohmann's parser.

use std::borrow::Cow;

/// Why a text can't be read as JSON into the language's values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It isn't JSON.
    #[error("{0}")]
    Syntax(String),
    /// An integer is too large.
    #[error("unsigned json number {0} outside of Nix integer range")]
    IntegerRange(u64),
    /// A string holds a NUL byte, which the language's strings can't.
    #[error("input string '{0}' cannot be represented as Nix string because it contains null bytes")]
    NulByte(String),
}

/// What is made of the parts of a JSON text.
pub trait JsonValue: Sized {
    /// What is needed to make values.
    type Maker;
    /// `null`
    fn null(maker: &Self::Maker) -> Self;
    /// `true` or `false`
    fn bool(maker: &Self::Maker, value: bool) -> Self;
    /// A number without fraction and exponent.
    fn int(maker: &Self::Maker, value: i64) -> Self;
    /// Any other number.
    fn float(maker: &Self::Maker, value: f64) -> Self;
    /// A string.
    fn string(maker: &Self::Maker, value: &[u8]) -> Self;
    /// A list.
    fn list(maker: &Self::Maker, values: Vec<Self>) -> Self;
    /// An object; where a key comes twice, the later one counts.
    fn object(maker: &Self::Maker, entries: Vec<(Vec<u8>, Self)>) -> Self;
}

/// Parses a whole text.
pub fn parse<V: JsonValue>(text: &[u8], maker: &V::Maker) -> Result<V, JsonError> {
    let mut lexer = Lexer::new(text);
    let mut open: Vec<Open<V>> = Vec::new();
    let mut token = lexer.next_token();
    loop {
        let mut value = match token {
            Token::BeginArray => {
                token = lexer.next_token();
                if !matches!(token, Token::EndArray) {
                    open.push(Open::Array(Vec::new()));
                    continue;
                }
                V::list(maker, Vec::new())
            }
            Token::BeginObject => {
                token = lexer.next_token();
                if !matches!(token, Token::EndObject) {
                    let key = lexer.object_key(token)?;
                    open.push(Open::Object(Vec::new(), key));
                    token = lexer.next_token();
                    continue;
                }
                V::object(maker, Vec::new())
            }
            Token::Null => V::null(maker),
            Token::Bool(value) => V::bool(maker, value),
            Token::Unsigned(value) => {
                V::int(maker, i64::try_from(value).map_err(|_| JsonError::IntegerRange(value))?)
            }
            Token::Integer(value) => V::int(maker, value),
            Token::Float(value) if value.is_finite() => V::float(maker, value),
            Token::Float(_) => return Err(lexer.overflow()),
            Token::String(text) => V::string(maker, &without_nul(text)?),
            Token::Error(_) => return Err(lexer.unexpected(&token, "value", None)),
            Token::End if lexer.is_empty_input() => return Err(lexer.empty()),
            _ => return Err(lexer.unexpected(&token, "value", Some("'[', '{', or a literal"))),
        };
        // The value may end what is open around it.
        loop {
            token = lexer.next_token();
            match open.pop() {
                None => {
                    if !matches!(token, Token::End) {
                        return Err(lexer.unexpected(&token, "value", Some("end of input")));
                    }
                    return Ok(value);
                }
                Some(Open::Array(mut values)) => {
                    values.push(value);
                    match token {
                        Token::Comma => {
                            token = lexer.next_token();
                            open.push(Open::Array(values));
                            break;
                        }
                        Token::EndArray => value = V::list(maker, values),
                        _ => return Err(lexer.unexpected(&token, "array", Some("']'"))),
                    }
                }
                Some(Open::Object(mut entries, key)) => {
                    entries.push((key, value));
                    match token {
                        Token::Comma => {
                            token = lexer.next_token();
                            let key = lexer.object_key(token)?;
                            token = lexer.next_token();
                            open.push(Open::Object(entries, key));
                            break;
                        }
                        Token::EndObject => value = V::object(maker, entries),
                        _ => return Err(lexer.unexpected(&token, "object", Some("'}'"))),
                    }
                }
            }
        }
    }
}

/// An array or object that isn't closed yet.
enum Open<V> {
    Array(Vec<V>),
    Object(Vec<(Vec<u8>, V)>, Vec<u8>),
}

fn without_nul(text: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, JsonError> {
    match text {
        Cow::Owned(text) if text.contains(&0) => {
            Err(JsonError::NulByte(nival_syntax::raw_text(&text).replace('\0', "␀")))
        }
        text => Ok(text),
    }
}

enum Token<'a> {
    BeginArray,
    EndArray,
    BeginObject,
    EndObject,
    Colon,
    Comma,
    Null,
    Bool(bool),
    Unsigned(u64),
    Integer(i64),
    Float(f64),
    /// As it is in the text if nothing in it is escaped.
    String(Cow<'a, [u8]>),
    End,
    Error(String),
}

impl Token<'_> {
    fn name(&self) -> &'static str {
        match self {
            Token::BeginArray => "'['",
            Token::EndArray => "']'",
            Token::BeginObject => "'{'",
            Token::EndObject => "'}'",
            Token::Colon => "':'",
            Token::Comma => "','",
            Token::Null => "null literal",
            Token::Bool(true) => "true literal",
            Token::Bool(false) => "false literal",
            Token::Unsigned(_) | Token::Integer(_) | Token::Float(_) => "number literal",
            Token::String(_) => "string literal",
            Token::End => "end of input",
            Token::Error(_) => "<parse error>",
        }
    }
}

/// Reads byte by byte and counts lines and columns like nlohmann's lexer, which may step back by
/// one byte, and counts the end of the input as a byte.
struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    current: Option<u8>,
    line: usize,
    column: usize,
    /// Where the text begins that an error message quotes.
    token_start: usize,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a [u8]) -> Self {
        Lexer { text, at: 0, current: None, line: 0, column: 0, token_start: 0 }
    }

    fn get(&mut self) -> Option<u8> {
        self.column += 1;
        self.current = self.text.get(self.at).copied();
        if let Some(byte) = self.current {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.column = 0;
            }
        }
        self.current
    }

    fn unget(&mut self) {
        if self.column == 0 {
            self.line = self.line.saturating_sub(1);
        } else {
            self.column -= 1;
        }
        if self.current.is_some() {
            self.at -= 1;
        }
    }

    fn begin_token(&mut self) {
        self.token_start = self.at - 1;
    }

    fn is_empty_input(&self) -> bool {
        self.text.is_empty()
    }

    fn next_token(&mut self) -> Token<'a> {
        if self.at == 0 && self.text.first() == Some(&0xef) {
            self.get();
            if self.get() != Some(0xbb) || self.get() != Some(0xbf) {
                return Token::Error("invalid BOM; must be 0xEF 0xBB 0xBF if given".to_owned());
            }
        }
        while matches!(self.get(), Some(b' ' | b'\t' | b'\n' | b'\r')) {}
        match self.current {
            None | Some(0) => Token::End,
            Some(b'[') => Token::BeginArray,
            Some(b']') => Token::EndArray,
            Some(b'{') => Token::BeginObject,
            Some(b'}') => Token::EndObject,
            Some(b':') => Token::Colon,
            Some(b',') => Token::Comma,
            Some(b't') => self.literal(b"true", Token::Bool(true)),
            Some(b'f') => self.literal(b"false", Token::Bool(false)),
            Some(b'n') => self.literal(b"null", Token::Null),
            Some(b'"') => {
                self.begin_token();
                self.string().map_or_else(Token::Error, Token::String)
            }
            Some(b'-' | b'0'..=b'9') => {
                self.begin_token();
                self.number().unwrap_or_else(|message| Token::Error(message.to_owned()))
            }
            Some(_) => Token::Error("invalid literal".to_owned()),
        }
    }

    /// What errors quote then begins with the number or string before, as in the reference (nlohmann's lexer).
    fn literal(&mut self, text: &[u8], token: Token<'a>) -> Token<'a> {
        for &byte in &text[1..] {
            if self.get() != Some(byte) {
                return Token::Error("invalid literal".to_owned());
            }
        }
        token
    }

    fn string(&mut self) -> Result<Cow<'a, [u8]>, String> {
        let plain = self.plain();
        if self.text.get(self.at) == Some(&b'"') {
            self.get();
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            text.extend_from_slice(self.plain());
            let Some(byte) = self.get() else {
                return Err("invalid string: missing closing quote".to_owned());
            };
            match byte {
                b'"' => return Ok(Cow::Owned(text)),
                b'\\' => self.escape(&mut text)?,
                0..=0x1f => return Err(control_character(byte)),
                lead => {
                    text.push(lead);
                    for range in continuations(lead).ok_or(ILL_FORMED)? {
                        match self.get() {
                            Some(byte) if range.contains(&byte) => text.push(byte),
                            _ => return Err(ILL_FORMED.to_owned()),
                        }
                    }
                }
            }
        }
    }

    /// What stands for itself in a string from here on.
    fn plain(&mut self) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let is_plain = |byte: &u8| matches!(byte, 0x20..=0x7f) && !matches!(byte, b'"' | b'\\');
        let plain = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
        self.at += plain;
        self.column += plain;
        &rest[..plain]
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), String> {
        text.push(match self.get() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let code = self.code_point()?;
                let mut buffer = [0; 4];
                text.extend_from_slice(code.encode_utf8(&mut buffer).as_bytes());
                return Ok(());
            }
            _ => return Err("invalid string: forbidden character after backslash".to_owned()),
        });
        Ok(())
    }

    fn code_point(&mut self) -> Result<char, String> {
        const HIGH_ALONE: &str =
            "invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF";
        let mut code = self.four_digits()?;
        if (0xd800..0xdc00).contains(&code) {
            if self.get() != Some(b'\\') || self.get() != Some(b'u') {
                return Err(HIGH_ALONE.to_owned());
            }
            let low = self.four_digits()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(HIGH_ALONE.to_owned());
            }
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        char::from_u32(code)
            .ok_or_else(|| "invalid string: surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF".to_owned())
    }

    fn four_digits(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self
                .get()
                .and_then(|byte| char::from(byte).to_digit(16))
                .ok_or_else(|| "invalid string: '\\u' must be followed by 4 hex digits".to_owned())?;
            code = code * 16 + digit;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Token<'a>, &'static str> {
        let negative = self.current == Some(b'-');
        if negative && !matches!(self.get(), Some(b'0'..=b'9')) {
            return Err("invalid number; expected digit after '-'");
        }
        if self.current == Some(b'0') {
            self.get();
        } else {
            self.digits();
        }
        let mut float = false;
        if self.current == Some(b'.') {
            float = true;
            if !matches!(self.get(), Some(b'0'..=b'9')) {
                return Err("invalid number; expected digit after '.'");
            }
            self.digits();
        }
        if matches!(self.current, Some(b'e' | b'E')) {
            float = true;
            match self.get() {
                Some(b'+' | b'-') => {
                    if !matches!(self.get(), Some(b'0'..=b'9')) {
                        return Err("invalid number; expected digit after exponent sign");
                    }
                }
                Some(b'0'..=b'9') => {}
                _ => return Err("invalid number; expected '+', '-', or digit after exponent"),
            }
            self.digits();
        }
        self.unget();
        let text = nival_syntax::raw_text(&self.text[self.token_start..self.at]);
        if !float {
            let integer = if negative {
                text.parse().ok().map(Token::Integer)
            } else {
                text.parse().ok().map(Token::Unsigned)
            };
            if let Some(integer) = integer {
                return Ok(integer);
            }
        }
        Ok(Token::Float(text.parse().expect("the grammar of JSON's numbers is within Rust's")))
    }

    /// Reads on to the first byte that is no digit.
    fn digits(&mut self) {
        while matches!(self.get(), Some(b'0'..=b'9')) {}
    }

    fn object_key(&mut self, token: Token<'_>) -> Result<Vec<u8>, JsonError> {
        let Token::String(key) = token else {
            return Err(self.unexpected(&token, "object key", Some("string literal")));
        };
        let key = without_nul(key)?.into_owned();
        match self.next_token() {
            Token::Colon => Ok(key),
            other => Err(self.unexpected(&other, "object separator", Some("':'"))),
        }
    }

    fn unexpected(&self, token: &Token<'_>, context: &str, expected: Option<&str>) -> JsonError {
        let found = match token {
            Token::Error(message) => format!("{message}; last read: '{}'", self.quoted()),
            other => format!("unexpected {}", other.name()),
        };
        let expected = expected.map_or_else(String::new, |what| format!("; expected {what}"));
        self.syntax(&format!("syntax error while parsing {context} - {found}{expected}"))
    }

    fn empty(&self) -> JsonError {
        self.syntax(
            "attempting to parse an empty input; check that your input string or stream contains the expected JSON",
        )
    }

    fn overflow(&self) -> JsonError {
        JsonError::Syntax(format!(
            "[json.exception.out_of_range.406] number overflow parsing '{}'",
            self.quoted()
        ))
    }

    fn syntax(&self, message: &str) -> JsonError {
        let (line, column) = (self.line + 1, self.column);
        JsonError::Syntax(format!(
            "[json.exception.parse_error.101] parse error at line {line}, column {column}: {message}"
        ))
    }

    fn quoted(&self) -> String {
        let mut quoted = Vec::new();
        for &byte in &self.text[self.token_start..self.at] {
            if byte < 0x20 {
                quoted.extend_from_slice(format!("<U+{byte:04X}>").as_bytes());
            } else {
                quoted.push(byte);
            }
        }
        nival_syntax::raw_text(&quoted).into_owned()
    }
}

const ILL_FORMED: &str = "invalid string: ill-formed UTF-8 byte";

/// The ranges that the bytes after a lead byte must lie in (Unicode 15, table 3-7).
fn continuations(lead: u8) -> Option<Vec<std::ops::RangeInclusive<u8>>> {
    const ANY: std::ops::RangeInclusive<u8> = 0x80..=0xbf;
    Some(match lead {
        0xc2..=0xdf => vec![ANY],
        0xe0 => vec![0xa0..=0xbf, ANY],
        0xe1..=0xec | 0xee | 0xef => vec![ANY, ANY],
        0xed => vec![0x80..=0x9f, ANY],
        0xf0 => vec![0x90..=0xbf, ANY, ANY],
        0xf1..=0xf3 => vec![ANY, ANY, ANY],
        0xf4 => vec![0x80..=0x8f, ANY, ANY],
        _ => return None,
    })
}

fn control_character(byte: u8) -> String {
    const NAMES: [&str; 32] = [
        "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR", "SO",
        "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS",
        "RS", "US",
    ];
    let short = match byte {
        0x08 => " or \\b",
        0x09 => " or \\t",
        0x0a => " or \\n",
        0x0c => " or \\f",
        0x0d => " or \\r",
        _ => "",
    };
    let name = NAMES[usize::from(byte)];
    format!("invalid string: control character U+{byte:04X} ({name}) must be escaped to \\u{byte:04X}{short}")
}
