//! Bytes that are not UTF-8 inside of messages.
//!
//! Messages quote files and strings of the language, which may hold any bytes, and the reference prints these
//! as they are. So each byte that is no part of UTF-8 stands in a message as a private character, and becomes
//! itself again where the message is written.

use std::borrow::Cow;

/// Byte `b` is the character with this number plus `b`. None of them has a meaning in Unicode.
const FIRST: u32 = 0x10_ff00 - 0x80;
const RANGE: std::ops::RangeInclusive<u32> = FIRST + 0x80..=FIRST + 0xff;

/// Bytes as text, from which [`raw_bytes`] makes the same bytes again.
pub fn raw_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() || !text.chars().any(is_stand_in) => return Cow::Borrowed(text),
        _ => {}
    }
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_stand_in(character) {
                text.extend(character.encode_utf8(&mut [0; 4]).bytes().map(stand_in));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().copied().map(stand_in));
    }
    Cow::Owned(text)
}

/// The bytes that a text of [`raw_text`] stands for.
pub fn raw_bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.chars().any(is_stand_in) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        if is_stand_in(character) {
            bytes.push((u32::from(character) - FIRST) as u8);
        } else {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Cow::Owned(bytes)
}

fn is_stand_in(character: char) -> bool {
    RANGE.contains(&u32::from(character))
}

fn stand_in(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_back() {
        let cases: [&[u8]; 5] = [b"plain", "é😀".as_bytes(), b"a\xff\xc3(\x80", "\u{10ff05}".as_bytes(), b""];
        for bytes in cases {
            assert_eq!(*raw_bytes(&raw_text(bytes)), *bytes);
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(*raw_bytes(&raw_text(&all)), *all);
        assert!(raw_text("é".as_bytes()).chars().eq(['é']));
    }
}
