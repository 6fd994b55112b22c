//! Texts in quotes: bytes that don't stand for themselves are looked for sixteen at a time.

const WIDTH: usize = 16;

/// What stands for a byte: up to seven bytes and, in the last place, how many they are.
pub(crate) type Escape = [u8; size_of::<u64>()];

/// What stands for a byte: these.
pub(crate) const fn escape(bytes: &[u8]) -> Escape {
    assert!(bytes.len() <= LENGTH);
    let mut escape = [0; size_of::<Escape>()];
    let mut index = 0;
    while index < bytes.len() {
        escape[index] = bytes[index];
        index += 1;
    }
    escape[LENGTH] = bytes.len() as u8;
    escape
}

/// What stands for each byte in a kind of text. Only control characters, quotes and backslashes may stand for
/// anything but themselves.
pub(crate) struct Escapes([Escape; 256]);

impl Escapes {
    /// All bytes stand for themselves.
    pub(crate) const fn none() -> Escapes {
        let mut escapes = [[0; size_of::<Escape>()]; 256];
        let mut byte = 0;
        while byte < escapes.len() {
            escapes[byte] = escape(&[byte as u8]);
            byte += 1;
        }
        Escapes(escapes)
    }

    /// The same, but that something else stands for this byte.
    pub(crate) const fn with(mut self, byte: u8, bytes: &[u8]) -> Escapes {
        assert!(is_special(byte));
        self.0[byte as usize] = escape(bytes);
        self
    }

    /// What stands for each byte where what stands for it here is escaped again.
    pub(crate) const fn escaped(&self, again: &Escapes) -> Escapes {
        let mut escapes = Escapes([[0; size_of::<Escape>()]; 256]);
        let mut byte = 0;
        while byte < self.0.len() {
            let (from, to) = (&self.0[byte], &mut escapes.0[byte]);
            let mut index = 0;
            while index < from[LENGTH] as usize {
                let escape = &again.0[from[index] as usize];
                let mut taken = 0;
                while taken < escape[LENGTH] {
                    assert!((to[LENGTH] as usize) < LENGTH, "there is room for seven bytes");
                    to[to[LENGTH] as usize] = escape[taken as usize];
                    to[LENGTH] += 1;
                    taken += 1;
                }
                index += 1;
            }
            byte += 1;
        }
        escapes
    }

    /// Appends a text, with what stands for each of its bytes, and something before it and behind it that is not escaped.
    /// Tells whether the text is ASCII.
    pub(crate) fn append_between(
        &self,
        out: &mut Vec<u8>,
        before: Escape,
        text: &[u8],
        behind: Escape,
    ) -> bool {
        let mut rest = text;
        let mut end = End::of(out, rest.len());
        end.append_escape(before);
        while let Some(chunk) = rest.first_chunk() {
            let clean = (end.specials(chunk) | 1 << WIDTH).trailing_zeros() as usize;
            end.append(chunk, clean);
            match rest.get(clean) {
                Some(special) if clean < WIDTH => {
                    rest = &rest[clean + 1..];
                    end.append_instead(self.0[usize::from(*special)], out, rest.len());
                }
                _ => rest = &rest[WIDTH..],
            }
        }
        if !end.append_clean::<8>(rest) && !end.append_clean::<4>(rest) {
            while let Some((byte, others)) = rest.split_first() {
                rest = others;
                end.beyond_ascii |= u32::from(byte & 0x80);
                end.append_instead(self.0[usize::from(*byte)], out, rest.len());
            }
        }
        end.append_escape(behind);
        end.finish(out);
        end.beyond_ascii == 0
    }
}

/// The end of a vector while a text is appended to it. Behind it there is room for what is left of the text, for [`BESIDE`]
/// bytes around it, and for `spare` bytes more.
#[derive(Clone, Copy)]
struct End {
    at: *mut u8,
    /// By how much what stands for the text may still be longer than it.
    spare: usize,
    /// Not zero if a byte was met that is not ASCII.
    beyond_ascii: u32,
}

/// Room for what is before a text and behind it, and for the bytes that are copied though they are too many.
const BESIDE: usize = 2 * WIDTH;

/// From this length on, texts get room for an escape at each byte: pages that nobody writes to cost nothing.
const LONG: usize = 64 << 10;

/// How much room a text gets for its escapes, beside what it takes without.
pub(crate) const fn spare_for(length: usize) -> usize {
    if length < LONG { WIDTH + length / 8 } else { length }
}

impl End {
    fn of(out: &mut Vec<u8>, rest: usize) -> End {
        if rest >= LONG {
            make_long_room(out, rest + spare_for(rest) + BESIDE);
        }
        let spare = spare_for(rest);
        out.reserve(rest + spare + BESIDE);
        End { at: out.spare_capacity_mut().as_mut_ptr().cast(), spare, beyond_ascii: 0 }
    }

    /// A bit for each byte that is special.
    #[inline]
    fn specials(&mut self, chunk: &[u8; WIDTH]) -> u32 {
        let (specials, beyond_ascii) = specials(chunk);
        self.beyond_ascii |= beyond_ascii;
        specials
    }

    #[cold]
    #[inline(never)]
    fn grown(self, out: &mut Vec<u8>, rest: usize) -> End {
        self.finish(out);
        End { beyond_ascii: self.beyond_ascii, ..End::of(out, rest) }
    }

    fn finish(self, out: &mut Vec<u8>) {
        let length = self.at.addr() - out.as_ptr().addr();
        // SAFETY: all bytes up to there have been written, within the capacity.
        unsafe { out.set_len(length) };
    }

    /// Appends the first bytes of some. All are copied, as that takes one instruction, and those that are too many are written
    /// over later.
    #[inline]
    fn append<const N: usize>(&mut self, bytes: &[u8; N], count: usize) {
        debug_assert!(count <= N);
        // SAFETY: there is room for `N` bytes: these are in what is left of the text, or no more than half of `BESIDE`.
        unsafe {
            self.at.cast::<[u8; N]>().write_unaligned(*bytes);
            self.at = self.at.add(count);
        }
    }

    #[inline]
    fn append_escape(&mut self, escape: Escape) {
        self.append(&escape, usize::from(escape[LENGTH]));
    }

    /// Appends what stands for a byte, before so many more bytes.
    #[inline]
    fn append_instead(&mut self, escape: Escape, out: &mut Vec<u8>, rest: usize) {
        match self.spare.checked_sub(usize::from(escape[LENGTH]).saturating_sub(1)) {
            Some(spare) => self.spare = spare,
            None => *self = self.grown(out, rest),
        }
        self.append_escape(escape);
    }

    /// Appends a text of `N` to `2 * N` bytes, if none of them is special: its first and its last bytes, which may overlap.
    #[inline]
    fn append_clean<const N: usize>(&mut self, text: &[u8]) -> bool {
        let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else {
            return false;
        };
        let Some(overlap) = (2 * N).checked_sub(text.len()) else { return false };
        let mut both = [b' '; WIDTH];
        both[..N].copy_from_slice(first);
        both[N..2 * N].copy_from_slice(last);
        if self.specials(&both) != 0 {
            return false;
        }
        self.append(first, N - overlap);
        self.append(last, N);
        true
    }
}

#[cold]
#[inline(never)]
fn make_long_room(out: &mut Vec<u8>, room: usize) {
    if out.capacity() - out.len() < room {
        // An allocator that makes room would also copy what is not written yet.
        let mut larger = Vec::with_capacity(out.len() + room);
        larger.extend_from_slice(out);
        *out = larger;
    }
}

/// Where an escape has its length.
const LENGTH: usize = size_of::<Escape>() - 1;

const fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// A bit for each byte that is special, and for each that is not ASCII.
#[inline]
#[cfg(target_arch = "x86_64")]
fn specials(chunk: &[u8; WIDTH]) -> (u32, u32) {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // SAFETY: each x86-64 processor has SSE2; the sixteen bytes need no alignment.
    unsafe {
        let bytes = _mm_loadu_si128(chunk.as_ptr().cast());
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
        let special = _mm_or_si128(control, _mm_or_si128(quote, backslash));
        (_mm_movemask_epi8(special).cast_unsigned(), _mm_movemask_epi8(bytes).cast_unsigned())
    }
}

/// A bit for each byte that is special, and for each that is not ASCII.
#[cfg(not(target_arch = "x86_64"))]
fn specials(chunk: &[u8; WIDTH]) -> (u32, u32) {
    let bits = |is: fn(u8) -> bool| (0..).zip(chunk).map(|(index, byte)| u32::from(is(*byte)) << index).sum();
    (bits(is_special), bits(|byte| !byte.is_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_what_looking_at_each_byte_appends() {
        let escapes = Escapes::none().with(b'"', b"<quote>").with(b'\n', b"").with(7, b"\\a");
        for length in [0, 1, 7, 8, 15, 16, 17, 33, 40] {
            for byte in 0..=u8::MAX {
                for at in 0..length {
                    let mut text = vec![b'x'; length];
                    text[at] = byte;
                    text[length / 2] = b'\n';
                    let mut appended = b"before".to_vec();
                    let is_ascii =
                        escapes.append_between(&mut appended, escape(b"(\""), &text, escape(b"\")"));
                    assert_eq!(is_ascii, text.is_ascii());
                    let mut expected = b"before(\"".to_vec();
                    for byte in text {
                        match byte {
                            b'"' => expected.extend(b"<quote>"),
                            b'\n' => {}
                            7 => expected.extend(b"\\a"),
                            other => expected.push(other),
                        }
                    }
                    expected.extend(b"\")");
                    assert_eq!(appended, expected);
                }
            }
        }
    }

    #[test]
    fn long_texts_have_room_for_their_escapes() {
        let escapes = Escapes::none().with(b'"', b"\\\"").with(7, b"\\u0007");
        for (byte, instead) in [(b'"', &b"\\\""[..]), (7, b"\\u0007")] {
            for length in [LONG - 1, LONG, 3 * LONG + 5] {
                let mut appended = b"before".to_vec();
                escapes.append_between(&mut appended, escape(b"("), &vec![byte; length], escape(b")"));
                assert_eq!(appended, [b"before(", &*instead.repeat(length), b")"].concat());
            }
        }
    }
}
