//! The four kinds of strings. Each is read to its end first, and its escapes are only then looked at.

use super::{Parsed, Parser, Problem};

impl Parser<'_> {
    /// `"…"`
    pub(super) fn basic_string(&mut self) -> Parsed<String> {
        self.at += 1;
        let start = self.at;
        while self.character_but(b'"') || self.escape() {}
        let end = self.at;
        if !self.skip_if(b"\"") {
            return Err(self.unread(
                start - 1,
                "toml::parse_basic_string: invalid string format",
                "expected \"",
            ));
        }
        unescape(&self.text[start..end])
    }

    /// `'…'`
    pub(super) fn literal_string(&mut self) -> Parsed<String> {
        self.at += 1;
        let start = self.at;
        while self.peek() != Some(b'\'') && self.character() {}
        let end = self.at;
        if !self.skip_if(b"'") {
            return Err(self.unread(
                start - 1,
                "toml::parse_literal_string: invalid string format",
                "expected '",
            ));
        }
        Ok(string(&self.text[start..end]))
    }

    /// `"""…"""`
    pub(super) fn multi_line_basic_string(&mut self) -> Parsed<String> {
        let first = self.at;
        self.at += 3;
        self.newline();
        let start = self.at;
        while self.character_but(b'"')
            || self.newline()
            || self.escape()
            || self.line_continuation()
            || self.inner_quotes(b'"')
        {}
        match self.closing_quotes(b'"') {
            Some(end) => unescape(&self.text[start..end]),
            None => {
                let title = "toml::parse_ml_basic_string: invalid string format";
                Err(self.unread(first, title, "expected \"\"\""))
            }
        }
    }

    /// `'''…'''`
    pub(super) fn multi_line_literal_string(&mut self) -> Parsed<String> {
        let first = self.at;
        self.at += 3;
        self.newline();
        let start = self.at;
        while self.peek() != Some(b'\'') && self.character() || self.newline() || self.inner_quotes(b'\'') {}
        match self.closing_quotes(b'\'') {
            Some(end) => Ok(string(&self.text[start..end])),
            None => {
                let title = "toml::parse_ml_literal_string: invalid string format";
                Err(self.unread(first, title, "expected '''"))
            }
        }
    }

    /// A problem here with a string that begins elsewhere, and of which nothing was taken.
    fn unread(&mut self, start: usize, title: &'static str, expected: &'static str) -> Box<Problem> {
        let problem = self.problem(title, expected);
        self.at = start;
        problem
    }

    fn character_but(&mut self, quote: u8) -> bool {
        self.peek().is_some_and(|byte| byte != quote && byte != b'\\') && self.character()
    }

    /// One or two quotes that don't close the string.
    fn inner_quotes(&mut self, quote: u8) -> bool {
        let count = self.rest().iter().take_while(|&&byte| byte == quote).count();
        let inner = matches!(count, 1 | 2);
        self.at += if inner { count } else { 0 };
        inner
    }

    /// Three quotes, before which up to two more may belong to the text: where this ends.
    fn closing_quotes(&mut self, quote: u8) -> Option<usize> {
        let count = self.rest().iter().take_while(|&&byte| byte == quote).count().min(5);
        if count < 3 {
            return None;
        }
        self.at += count;
        Some(self.at - 3)
    }

    /// A backslash with what it escapes.
    fn escape(&mut self) -> bool {
        let length = match self.rest() {
            [b'\\', b'b' | b't' | b'n' | b'f' | b'r' | b'"' | b'\\', ..] => 2,
            [b'\\', b'u', digits @ ..] if hexadecimal(digits, 4) => 6,
            [b'\\', b'U', digits @ ..] if hexadecimal(digits, 8) => 10,
            _ => return false,
        };
        self.at += length;
        true
    }

    /// A backslash at a line's end, with all space up to the next text.
    fn line_continuation(&mut self) -> bool {
        let length = continuation_length(self.rest());
        self.at += length;
        length > 0
    }
}

fn hexadecimal(text: &[u8], count: usize) -> bool {
    text.get(..count).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

fn continuation_length(text: &[u8]) -> usize {
    let [b'\\', rest @ ..] = text else { return 0 };
    let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    if !matches!(&rest[spaces..], [b'\n', ..] | [b'\r', b'\n', ..]) {
        return 0;
    }
    let mut length = 1 + spaces;
    loop {
        length += match &text[length..] {
            [b' ' | b'\t' | b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return length,
        };
    }
}

/// The text that a scanned string stands for.
fn unescape(text: &[u8]) -> Parsed<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, others)) = rest.split_first() {
        let continuation = continuation_length(rest);
        if first != b'\\' {
            out.push(first);
            rest = others;
        } else if continuation > 0 {
            rest = &rest[continuation..];
        } else {
            let (escaped, after) = others.split_first().expect("the string was scanned");
            let plain = match escaped {
                b'b' => 0x08,
                b't' => b'\t',
                b'n' => b'\n',
                b'f' => 0x0c,
                b'r' => b'\r',
                b'u' | b'U' => {
                    let count = if *escaped == b'u' { 4 } else { 8 };
                    let character = code_point(rest, count)?;
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = &after[count..];
                    continue;
                }
                plain => *plain,
            };
            out.push(plain);
            rest = after;
        }
    }
    Ok(string(&out))
}

/// The character that a backslash, a letter and so many digits stand for.
fn code_point(text: &[u8], count: usize) -> Parsed<char> {
    let digits = text[2..2 + count].iter();
    let code = digits.fold(0, |code: u32, &digit| {
        code.wrapping_mul(16) | char::from(digit).to_digit(16).unwrap_or_default()
    });
    char::from_u32(code).ok_or_else(|| {
        let place = 1..2 + count;
        Box::new(
            if code > 0x10_ffff {
                let title = "toml::parse_utf8_codepoint: input codepoint is too large.";
                Problem::new(title, place, "must be in range [0x00, 0x10FFFF]")
            } else {
                let title = "toml::parse_utf8_codepoint: [0xD800, 0xDFFF] is not a valid UTF-8";
                Problem::new(title, place, "here")
            }
            .within(text),
        )
    })
}

fn string(text: &[u8]) -> String {
    String::from_utf8(text.to_vec()).expect("characters were scanned whole, and escapes give characters")
}
