//! What the digits of an alphabet are worth.

/// Instead of a value: the byte is no digit.
pub(crate) const INVALID: u8 = 0xff;

/// What each byte is worth as a digit.
pub(crate) const fn values(alphabet: &[u8]) -> [u8; 256] {
    let mut values = [INVALID; 256];
    let mut digit = 0;
    while digit < alphabet.len() {
        values[alphabet[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
}
