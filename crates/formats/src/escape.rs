//! Texts in quotes: which of their bytes don't stand for themselves, looked for sixteen bytes at a time.

const WIDTH: usize = 16;

/// Calls `found` with the index of each control character, quote and backslash.
#[inline]
pub(crate) fn each_special(text: &[u8], mut found: impl FnMut(usize)) {
    let mut show = |start: usize, mut bits: u32| {
        while bits != 0 {
            found(start + bits.trailing_zeros() as usize);
            bits &= bits - 1;
        }
    };
    let (chunks, rest) = text.as_chunks::<WIDTH>();
    for (index, chunk) in chunks.iter().enumerate() {
        show(index * WIDTH, specials(chunk));
    }
    if rest.is_empty() {
        return;
    }
    match text.last_chunk() {
        // The last sixteen bytes, without those that were looked at.
        Some(last) => {
            let known = WIDTH - rest.len();
            show(chunks.len() * WIDTH, specials(last) >> known);
        }
        None => {
            let mut last = [b' '; WIDTH];
            for (place, byte) in last.iter_mut().zip(rest) {
                *place = *byte;
            }
            show(0, specials(&last));
        }
    }
}

/// A bit for each byte that is special.
#[inline]
#[cfg(target_arch = "x86_64")]
fn specials(chunk: &[u8; WIDTH]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // SAFETY: each x86-64 processor has SSE2; the sixteen bytes need no alignment.
    unsafe {
        let bytes = _mm_loadu_si128(chunk.as_ptr().cast());
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
        _mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash))).cast_unsigned()
    }
}

/// A bit for each byte that is special.
#[cfg(not(target_arch = "x86_64"))]
fn specials(chunk: &[u8; WIDTH]) -> u32 {
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    (0..).zip(chunk).map(|(index, byte)| u32::from(is_special(*byte)) << index).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_looking_at_each_byte_finds() {
        for length in [0, 1, 15, 16, 17, 40] {
            for byte in 0..=u8::MAX {
                for at in 0..length {
                    let mut text = vec![b'x'; length];
                    text[at] = byte;
                    text[length / 2] = b'\n';
                    let mut found = Vec::new();
                    each_special(&text, |at| found.push(at));
                    let expected: Vec<usize> =
                        (0..length).filter(|at| matches!(text[*at], 0..=31 | b'"' | b'\\')).collect();
                    assert_eq!(found, expected);
                }
            }
        }
    }
}
