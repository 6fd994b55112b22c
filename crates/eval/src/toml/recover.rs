//! Going on after an error (`skip.hpp` of toml11 4.4): what is likely to belong to it is left out.

use super::Parser;

/// Nested brackets that are skipped as such.
const DEPTH_LIMIT: usize = 500;

impl Parser<'_> {
    /// Skips to one of these.
    pub(super) fn skip_to(&mut self, bytes: &[u8]) {
        let found = self.rest().iter().position(|byte| bytes.contains(byte));
        self.at += found.unwrap_or(self.rest().len());
    }

    /// Skips the rest of the line with its end.
    pub(super) fn line(&mut self) {
        self.at = (self.at + 1).min(self.text.len());
        self.skip_to(b"\n");
        self.at = (self.at + 1).min(self.text.len());
    }

    /// The rest of an entry, up to the line's end.
    pub(super) fn skip_entry(&mut self) {
        self.skip_to(b"=\n");
        if self.peek() == Some(b'=') {
            self.skip_value();
        }
    }

    pub(super) fn skip_value(&mut self) {
        match self.peek() {
            Some(b'"' | b'\'') => self.skip_string(),
            Some(b'[') => self.skip_array(0),
            Some(b'{') => self.skip_table(0),
            _ => self.skip_to(b"\n,]}"),
        }
    }

    /// To the line before the next header.
    pub(super) fn skip_until_header(&mut self) {
        while !self.at_end() {
            if self.peek() == Some(b'\n') {
                self.at += 1;
                let line = self.at;
                self.spaces();
                if self.is_header() {
                    self.at = line;
                    return;
                }
            }
            self.at = (self.at + 1).min(self.text.len());
        }
    }

    /// Whether a header begins here.
    fn is_header(&mut self) -> bool {
        let start = self.at;
        let found = [false, true].into_iter().any(|many| {
            self.at = start;
            self.peek() == Some(b'[') && self.header(many).is_ok()
        });
        self.at = start;
        found
    }

    fn skip_string(&mut self) {
        for quotes in [&b"\"\"\""[..], b"'''"] {
            if self.skip_if(quotes) {
                while !self.at_end() && !self.skip_if(quotes) {
                    self.at += 1;
                }
                return;
            }
        }
        let quote = self.peek().unwrap_or(b'"');
        self.at += 1;
        self.skip_to(&[quote, b'\n']);
        self.at = (self.at + 1).min(self.text.len());
    }

    fn skip_array(&mut self, depth: usize) {
        self.at += 1;
        while !self.at_end() {
            match self.peek() {
                Some(b'"' | b'\'') => self.skip_string(),
                Some(b'#') => self.line(),
                Some(b'{') if depth < DEPTH_LIMIT => self.skip_table(depth + 1),
                Some(b'[') if self.is_header() => return,
                Some(b'[') if depth < DEPTH_LIMIT => self.skip_array(depth + 1),
                Some(b'=') => {
                    // No array has that: what is missing is a bracket before this line.
                    let line = self.text[..self.at].iter().rposition(|&byte| byte == b'\n');
                    self.at = line.map_or(0, |line| line + 1);
                    return;
                }
                Some(b']') => return,
                _ => self.at += 1,
            }
        }
    }

    fn skip_table(&mut self, depth: usize) {
        self.at += 1;
        while !self.at_end() {
            match self.peek() {
                Some(b'\n' | b'}') => return,
                Some(b'"' | b'\'') => self.skip_string(),
                Some(b'#') => return self.line(),
                Some(b'[') if self.is_header() => return,
                Some(b'[') if depth < DEPTH_LIMIT => self.skip_array(depth + 1),
                Some(b'{') if depth < DEPTH_LIMIT => self.skip_table(depth + 1),
                _ => self.at += 1,
            }
        }
    }
}
