//! Bracket expressions: `[^a-z[:space:]]`.

use super::RegexError;
use super::program::ByteSet;

/// What came before a place within brackets, which decides what a dash means there.
enum Before {
    Nothing,
    Byte(u8),
    Class,
}

enum Token<'a> {
    End,
    Dash,
    Byte(u8),
    CollatingSymbol(&'a [u8]),
    EquivalenceClass(&'a [u8]),
    Class(&'a [u8]),
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    first: bool,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Result<(Token<'a>, usize), RegexError> {
        let rest = &self.text[self.at..];
        let byte = *rest.first().ok_or(RegexError::Invalid)?;
        Ok(match byte {
            b'-' => (Token::Dash, 1),
            // A bracket that comes first is an ordinary character.
            b']' if !self.first => (Token::End, 1),
            b'[' => {
                let kind = *rest.get(1).ok_or(RegexError::Invalid)?;
                if !b".:=".contains(&kind) {
                    return Ok((Token::Byte(b'['), 1));
                }
                let name = &rest[2..];
                let length = name.iter().position(|&byte| byte == kind).ok_or(RegexError::Invalid)?;
                if name.get(length + 1) != Some(&b']') {
                    return Err(RegexError::Invalid);
                }
                let name = &name[..length];
                let token = match kind {
                    b'.' => Token::CollatingSymbol(name),
                    b'=' => Token::EquivalenceClass(name),
                    _ => Token::Class(name),
                };
                (token, length + 4)
            }
            other => (Token::Byte(other), 1),
        })
    }

    fn next(&mut self) -> Result<Token<'a>, RegexError> {
        let (token, length) = self.peek()?;
        self.at += length;
        self.first = false;
        Ok(token)
    }
}

/// Parses what follows `[`; gives the set and the length of the text, with its `]`.
pub(super) fn parse_bracket(text: &[u8]) -> Result<(ByteSet, usize), RegexError> {
    let negated = text.first() == Some(&b'^');
    let mut scanner = Scanner { text, at: usize::from(negated), first: true };
    let mut set = ByteSet::default();
    let mut before = Before::Nothing;
    // A dash that comes first is an ordinary character.
    if let (Token::Dash, _) = scanner.peek()? {
        scanner.next()?;
        before = Before::Byte(b'-');
    }
    loop {
        let token = scanner.next()?;
        // A byte is held back until it is known not to begin a range.
        if !matches!(token, Token::Dash)
            && let Before::Byte(byte) = before
        {
            set.insert(byte);
        }
        match token {
            Token::End => break,
            Token::Byte(byte) => before = Before::Byte(byte),
            Token::CollatingSymbol(name) => before = Before::Byte(collating_element(name)?),
            Token::EquivalenceClass(name) => {
                // Equal but for case, in the C locale.
                let element = collating_element(name)?;
                set.insert(element.to_ascii_lowercase());
                set.insert(element.to_ascii_uppercase());
                before = Before::Class;
            }
            Token::Class(name) => {
                set.union(&class(name)?);
                before = Before::Class;
            }
            Token::Dash => {
                let (token, length) = scanner.peek()?;
                let last = match (token, &before) {
                    (Token::End, _) => {
                        set.insert(b'-');
                        if let Before::Byte(byte) = before {
                            set.insert(byte);
                        }
                        scanner.at += length;
                        break;
                    }
                    (Token::Byte(byte), Before::Byte(_)) => byte,
                    (Token::Dash, Before::Byte(_)) => b'-',
                    _ => return Err(RegexError::Invalid),
                };
                scanner.at += length;
                if let Before::Byte(first) = before {
                    insert_range(&mut set, first, last)?;
                }
                before = Before::Nothing;
            }
        }
    }
    Ok((if negated { set.complement() } else { set }, scanner.at))
}

/// Bytes compare as signed characters, as in the reference on x86.
fn insert_range(set: &mut ByteSet, first: u8, last: u8) -> Result<(), RegexError> {
    let (first, last) = (first.cast_signed(), last.cast_signed());
    if first > last {
        return Err(RegexError::Invalid);
    }
    for byte in first..=last {
        set.insert(byte.cast_unsigned());
    }
    Ok(())
}

fn class(name: &[u8]) -> Result<ByteSet, RegexError> {
    let matches: fn(&u8) -> bool = match name.to_ascii_lowercase().as_slice() {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| b" \t".contains(byte),
        b"cntrl" => u8::is_ascii_control,
        b"d" | b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| byte.is_ascii_graphic() || *byte == b' ',
        b"punct" => u8::is_ascii_punctuation,
        b"s" | b"space" => |byte| b" \t\n\r\x0b\x0c".contains(byte),
        b"upper" => u8::is_ascii_uppercase,
        b"w" => |byte| byte.is_ascii_alphanumeric() || *byte == b'_',
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return Err(RegexError::Invalid),
    };
    let mut set = ByteSet::default();
    for byte in (0..=u8::MAX).filter(matches) {
        set.insert(byte);
    }
    Ok(set)
}

/// The characters of the POSIX portable character set by name, in ASCII order.
#[rustfmt::skip]
const COLLATING_NAMES: [&str; 128] = [
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "alert",
    "backspace", "tab", "newline", "vertical-tab", "form-feed", "carriage-return", "SO", "SI",
    "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB",
    "CAN", "EM", "SUB", "ESC", "IS4", "IS3", "IS2", "IS1",
    "space", "exclamation-mark", "quotation-mark", "number-sign",
    "dollar-sign", "percent-sign", "ampersand", "apostrophe",
    "left-parenthesis", "right-parenthesis", "asterisk", "plus-sign",
    "comma", "hyphen", "period", "slash",
    "zero", "one", "two", "three", "four", "five", "six", "seven",
    "eight", "nine", "colon", "semicolon",
    "less-than-sign", "equals-sign", "greater-than-sign", "question-mark",
    "commercial-at", "A", "B", "C", "D", "E", "F", "G",
    "H", "I", "J", "K", "L", "M", "N", "O",
    "P", "Q", "R", "S", "T", "U", "V", "W",
    "X", "Y", "Z", "left-square-bracket",
    "backslash", "right-square-bracket", "circumflex", "underscore",
    "grave-accent", "a", "b", "c", "d", "e", "f", "g",
    "h", "i", "j", "k", "l", "m", "n", "o",
    "p", "q", "r", "s", "t", "u", "v", "w",
    "x", "y", "z", "left-curly-bracket",
    "vertical-line", "right-curly-bracket", "tilde", "DEL",
];

fn collating_element(name: &[u8]) -> Result<u8, RegexError> {
    let found = COLLATING_NAMES.iter().position(|known| known.as_bytes() == name);
    found.map(|index| index as u8).ok_or(RegexError::Invalid)
}
