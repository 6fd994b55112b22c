//! The four kinds of strings.

use super::{Parsed, Parser};

impl Parser<'_> {
    /// `"…"`
    pub(super) fn basic_string(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut text)?,
                _ => self.character(&mut text)?,
            }
        }
        self.at += 1;
        Ok(into_string(text))
    }

    /// `'…'`
    pub(super) fn literal_string(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut text = Vec::new();
        while self.peek() != Some(b'\'') {
            self.character(&mut text)?;
        }
        self.at += 1;
        Ok(into_string(text))
    }

    /// `"""…"""`
    pub(super) fn multi_line_basic_string(&mut self) -> Parsed<String> {
        self.at += 3;
        self.newline();
        let mut text = Vec::new();
        while !self.closing_quotes(b'"', &mut text) {
            if self.peek() != Some(b'\\') {
                self.character_or_newline(&mut text)?;
            } else if !self.line_continuation() {
                self.escape(&mut text)?;
            }
        }
        Ok(into_string(text))
    }

    /// `'''…'''`
    pub(super) fn multi_line_literal_string(&mut self) -> Parsed<String> {
        self.at += 3;
        self.newline();
        let mut text = Vec::new();
        while !self.closing_quotes(b'\'', &mut text) {
            self.character_or_newline(&mut text)?;
        }
        Ok(into_string(text))
    }

    /// Three quotes, before which up to two more may belong to the text.
    fn closing_quotes(&mut self, quote: u8, text: &mut Vec<u8>) -> bool {
        let count = self.rest().iter().take_while(|&&byte| byte == quote).count().min(5);
        if count < 3 {
            return false;
        }
        text.resize(text.len() + count - 3, quote);
        self.at += count;
        true
    }

    /// A backslash at a line's end, with all space up to the next text.
    fn line_continuation(&mut self) -> bool {
        let spaces = self.rest()[1..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let after = &self.rest()[1 + spaces..];
        if !after.starts_with(b"\n") && !after.starts_with(b"\r\n") {
            return false;
        }
        self.at += 1 + spaces;
        while self.newline() || self.skip_if(b" ") || self.skip_if(b"\t") {}
        true
    }

    fn character_or_newline(&mut self, text: &mut Vec<u8>) -> Parsed<()> {
        let start = self.at;
        if self.newline() {
            text.extend_from_slice(&self.text[start..self.at]);
            return Ok(());
        }
        self.character(text)
    }

    fn character(&mut self, text: &mut Vec<u8>) -> Parsed<()> {
        match self.peek() {
            Some(byte @ (b'\t' | 0x20..=0x7e | 0x80..)) => {
                text.push(byte);
                self.at += 1;
                Ok(())
            }
            None | Some(b'\n' | b'\r') => Err("the string isn't closed".to_owned()),
            Some(_) => Err("a control character must be escaped".to_owned()),
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Parsed<()> {
        let escaped = match self.rest().get(1) {
            Some(b'b') => 0x08,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'f') => 0x0c,
            Some(b'r') => b'\r',
            Some(byte @ (b'"' | b'\\')) => *byte,
            Some(b'u') => return self.code_point(4, text),
            Some(b'U') => return self.code_point(8, text),
            _ => return Err("unknown escape in a string".to_owned()),
        };
        text.push(escaped);
        self.at += 2;
        Ok(())
    }

    fn code_point(&mut self, digits: usize, text: &mut Vec<u8>) -> Parsed<()> {
        let code = self.rest().get(2..2 + digits).and_then(|hex| {
            hex.iter()
                .try_fold(0_u32, |code, &digit| Some(code.checked_mul(16)? + char::from(digit).to_digit(16)?))
        });
        let Some(character) = code.and_then(char::from_u32) else {
            return Err(format!("expected {digits} hexadecimal digits of a character"));
        };
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += 2 + digits;
        Ok(())
    }
}

fn into_string(text: Vec<u8>) -> String {
    String::from_utf8(text).expect("the document was checked, and escapes give characters")
}
