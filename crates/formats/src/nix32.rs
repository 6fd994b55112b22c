//! Nix's own base 32: no `e`, `o`, `t`, `u`, and the last byte comes first.
//!
//! Source: C++ Nix 2.34 `libutil/base-nix-32.cc`.

use crate::digits::{INVALID, values};

/// The digits in order of value. The order is also that of ASCII, so encoded strings sort as numbers.
pub const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

const VALUES: [u8; 256] = values(ALPHABET);

/// A character that is no nix32 digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid character in Nix32 (Nix's Base32 variation) string: '{}'", char::from(*.0))]
pub struct InvalidCharacter(pub u8);

/// How many digits `bytes` bytes take.
pub const fn encoded_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Whether `c` is a nix32 digit.
pub const fn is_digit(c: u8) -> bool {
    VALUES[c as usize] != INVALID
}

/// Encodes bytes, last byte first.
pub fn encode(bytes: &[u8]) -> String {
    if let Ok(digest) = bytes.try_into() {
        return encode_digest(digest).map(char::from).iter().collect();
    }
    let mut out = String::with_capacity(encoded_len(bytes.len()));
    for n in (0..encoded_len(bytes.len())).rev() {
        let (i, j) = (n * 5 / 8, n * 5 % 8);
        let high = bytes.get(i + 1).map_or(0, |b| u16::from(*b) << 8);
        let digit = ((high | u16::from(bytes[i])) >> j) & 0x1f;
        out.push(char::from(ALPHABET[usize::from(digit)]));
    }
    out
}

/// Encodes the digest of a store path.
pub fn encode_digest(digest: &[u8; 20]) -> [u8; 32] {
    // Each five bytes are eight digits; the last come first.
    let mut out = [0; 32];
    for (bytes, digits) in digest.as_chunks::<5>().0.iter().zip(out.as_chunks_mut::<8>().0.iter_mut().rev()) {
        let mut bits = bytes.iter().rev().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[(bits & 0x1f) as usize];
            bits >>= 5;
        }
    }
    out
}

/// Decodes digits.
///
/// As in the reference, bits that don't fit the whole number of bytes make the result one byte longer; whoever
/// knows the expected length must compare it.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, InvalidCharacter> {
    let mut out = vec![0; text.len() * 5 / 8];
    for (n, c) in text.iter().rev().enumerate() {
        let digit = VALUES[usize::from(*c)];
        if digit == INVALID {
            return Err(InvalidCharacter(*c));
        }
        let (i, j) = (n * 5 / 8, n * 5 % 8);
        let bits = u16::from(digit) << j;
        for (index, byte) in [(i, bits as u8), (i + 1, (bits >> 8) as u8)] {
            if index < out.len() {
                out[index] |= byte;
            } else if byte != 0 {
                out.resize(index + 1, 0);
                out[index] |= byte;
            }
        }
    }
    Ok(out)
}
