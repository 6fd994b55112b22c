//! Text as the reference writes it to standard error (`filterANSIEscapes` in `terminal.cc`, 2.34): what would
//! command a terminal is taken out.

use std::borrow::Cow;

/// The text without escape sequences, carriage returns and bells, and with spaces for tabs. These reach to
/// stops counted from the text's beginning, as line ends are no characters here.
pub fn filter_escapes(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, 0x1b | b'\t' | b'\r' | 0x07)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut width = 0;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if character == '\u{1b}' {
            rest = after_escape(&rest[1..]);
            continue;
        }
        rest = &rest[character.len_utf8()..];
        match character {
            '\t' => {
                let spaces = 8 - width % 8;
                out.extend(std::iter::repeat_n(' ', spaces));
                width += spaces;
            }
            '\r' | '\u{7}' => {}
            _ => {
                out.push(character);
                width += columns(character);
            }
        }
    }
    Cow::Owned(out)
}

/// What follows an escape sequence, whose first byte has been read.
fn after_escape(text: &str) -> &str {
    let (first, rest) = (text.bytes().next(), text.get(1..).unwrap_or_default());
    match first {
        Some(b'[') => {
            let rest = rest.trim_start_matches(|c| matches!(c, '0'..='?'));
            let rest = rest.trim_start_matches(|c| matches!(c, ' '..='/'));
            if rest.starts_with(|c| matches!(c, '@'..='~')) { &rest[1..] } else { rest }
        }
        Some(b']') => {
            let end = rest.find(['\u{1b}', '\u{7}']).unwrap_or(rest.len());
            let rest = &rest[end..];
            rest.strip_prefix("\u{1b}\\").unwrap_or_else(|| rest.get(1..).unwrap_or_default())
        }
        Some(b'@'..=b'_') => rest,
        _ => text,
    }
}

/// How many columns a character takes, roughly as `wcwidth` has it.
fn columns(character: char) -> usize {
    match u32::from(character) {
        0..0x20 | 0x7f..0xa0 | 0x300..0x370 | 0x200b..0x2010 | 0xfe00..0xfe10 => 0,
        0x1100..0x1160
        | 0x2e80..0xa4d0
        | 0xac00..0xd7a4
        | 0xf900..0xfb00
        | 0xfe30..0xfe70
        | 0xff00..0xff61
        | 0xffe0..0xffe7
        | 0x1f300..0x1f650
        | 0x1f900..0x1fa00
        | 0x2_0000..0x3_fffe => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::filter_escapes;

    /// Checked against C++ Nix 2.34.8.
    #[test]
    fn only_text_is_left() {
        let cases = [
            ("plain é", "plain é"),
            ("a\u{1b}[31mb\u{1b}[0mc", "abc"),
            ("a\u{1b}]8;;http://x\u{1b}\\b\u{1b}]8;;\u{7}c", "abc"),
            ("\u{1b}Ma\u{1b}", "a"),
            ("a\r\u{7}b", "ab"),
            ("\ta\tb", "        a       b"),
            ("error: \tx", "error:  x"),
            ("é\tx", "é       x"),
        ];
        for (text, expected) in cases {
            assert_eq!(filter_escapes(text), expected, "{text:?}");
        }
    }
}
