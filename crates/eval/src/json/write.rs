//! Strings in JSON.

use nival_formats::json::StringForm;

/// A string that isn't UTF-8 can't be written as JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Utf8Error {
    /// A byte that can't be where it is.
    #[error("[json.exception.type_error.316] invalid UTF-8 byte at index {index}: 0x{byte:02X}")]
    Invalid {
        /// Where it is in the string.
        index: usize,
        /// The byte.
        byte: u8,
    },
    /// The string ends within a character.
    #[error("[json.exception.type_error.316] incomplete UTF-8 string; last byte: 0x{last:02X}")]
    Incomplete {
        /// The string's last byte.
        last: u8,
    },
}

/// Appends `text` in quotes, with what must be escaped escaped; also where it is an error.
#[inline]
pub fn write_string(out: &mut Vec<u8>, form: &StringForm, text: &[u8]) -> Result<(), Utf8Error> {
    if form.write(out, text) { Ok(()) } else { check_utf8(text) }
}

fn check_utf8(text: &[u8]) -> Result<(), Utf8Error> {
    let Err(error) = std::str::from_utf8(text) else { return Ok(()) };
    let start = error.valid_up_to();
    Err(match error.error_len() {
        None => Utf8Error::Incomplete { last: text[text.len() - 1] },
        Some(length) => {
            // The byte at fault is the first one that can't follow those before it.
            let lead_is_good = matches!(text[start], 0xc2..=0xf4);
            let index = if lead_is_good { start + length } else { start };
            Utf8Error::Invalid { index, byte: text[index] }
        }
    })
}
