//! Bytes looked at sixteen at a time: how far a run of some kind goes.
#![expect(
    clippy::inline_always,
    reason = "each is an instruction or few, in the innermost loops of the lexer"
)]

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use plain::{Bytes, Set};
#[cfg(target_arch = "x86_64")]
pub(crate) use sse::{Bytes, Set};

/// How many bytes are looked at together.
pub(crate) const WIDTH: usize = 16;

/// Sixteen bytes of a text from `index` on, with zeros for those behind its end.
#[inline(always)]
pub(crate) fn load(text: &[u8], index: usize) -> Bytes {
    match text.get(index..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => Bytes::new(bytes),
        None => Bytes::new(&last_chunk(text, index)),
    }
}

#[cold]
#[inline(never)]
fn last_chunk(text: &[u8], index: usize) -> [u8; WIDTH] {
    let mut chunk = [0; WIDTH];
    let rest = text.get(index..).unwrap_or_default();
    chunk[..rest.len()].copy_from_slice(rest);
    chunk
}

/// The index of the first byte from `index` on that is in the set, or the end of the text.
#[inline(always)]
pub(crate) fn find(text: &[u8], mut index: usize, set: impl Fn(Bytes) -> Set) -> usize {
    loop {
        let found = set(load(text, index)).first();
        if found < WIDTH {
            // Zeros behind the end can be in the set as well.
            return (index + found).min(text.len());
        }
        index += WIDTH;
        if index >= text.len() {
            return text.len();
        }
    }
}

impl Set {
    /// The number of the first byte that is in, or sixteen.
    #[inline(always)]
    pub(crate) fn first(self) -> usize {
        (self.bits() | 1 << WIDTH).trailing_zeros() as usize
    }
}

impl Bytes {
    /// The bytes that names go on with.
    #[inline(always)]
    pub(crate) fn identifier(self) -> Set {
        let letter = self.lower_case().between(b'a', b'z');
        letter | self.between(b'0', b'9') | self.equal(b'_') | self.equal(b'-') | self.equal(b'\'')
    }

    /// The bytes of paths, but for slashes.
    #[inline(always)]
    pub(crate) fn path(self) -> Set {
        let letter = self.lower_case().between(b'a', b'z');
        letter | self.between(b'-', b'.') | self.between(b'0', b'9') | self.equal(b'_') | self.equal(b'+')
    }

    #[inline(always)]
    pub(crate) fn space(self) -> Set {
        self.equal(b' ') | self.equal(b'\n') | self.equal(b'\t') | self.equal(b'\r')
    }
}

#[cfg(target_arch = "x86_64")]
mod sse {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cvtsi128_si64, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8,
        _mm_or_si128, _mm_set1_epi8, _mm_sub_epi8, _mm_unpackhi_epi64, _mm_xor_si128,
    };
    use std::ops::{BitOr, Not};

    #[derive(Clone, Copy)]
    pub(crate) struct Bytes(__m128i);

    /// Some of the sixteen bytes.
    #[derive(Clone, Copy)]
    pub(crate) struct Set(__m128i);

    #[inline(always)]
    fn splat(byte: u8) -> __m128i {
        // SAFETY: each x86-64 processor has SSE2.
        unsafe { _mm_set1_epi8(byte.cast_signed()) }
    }

    impl Bytes {
        #[inline(always)]
        pub(crate) fn new(bytes: &[u8; super::WIDTH]) -> Bytes {
            // SAFETY: each x86-64 processor has SSE2; the sixteen bytes need no alignment.
            Bytes(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
        }

        /// The first eight bytes as a number, the least first, and the others.
        #[inline(always)]
        pub(crate) fn halves(self) -> [u64; 2] {
            // SAFETY: each x86-64 processor has SSE2.
            let halves =
                unsafe { [_mm_cvtsi128_si64(self.0), _mm_cvtsi128_si64(_mm_unpackhi_epi64(self.0, self.0))] };
            halves.map(i64::cast_unsigned)
        }

        #[inline(always)]
        pub(crate) fn equal(self, byte: u8) -> Set {
            // SAFETY: each x86-64 processor has SSE2.
            Set(unsafe { _mm_cmpeq_epi8(self.0, splat(byte)) })
        }

        #[inline(always)]
        pub(crate) fn between(self, first: u8, last: u8) -> Set {
            // SAFETY: each x86-64 processor has SSE2.
            unsafe {
                let distance = _mm_sub_epi8(self.0, splat(first));
                Set(_mm_cmpeq_epi8(_mm_min_epu8(distance, splat(last - first)), distance))
            }
        }

        /// Letters in lower case; other bytes become something that is no letter.
        #[inline(always)]
        pub(crate) fn lower_case(self) -> Bytes {
            // SAFETY: each x86-64 processor has SSE2.
            Bytes(unsafe { _mm_or_si128(self.0, splat(0x20)) })
        }
    }

    impl Set {
        /// A bit for each byte.
        #[inline(always)]
        pub(crate) fn bits(self) -> u32 {
            // SAFETY: each x86-64 processor has SSE2.
            unsafe { _mm_movemask_epi8(self.0) }.cast_unsigned()
        }
    }

    impl BitOr for Set {
        type Output = Set;

        #[inline(always)]
        fn bitor(self, other: Set) -> Set {
            // SAFETY: each x86-64 processor has SSE2.
            Set(unsafe { _mm_or_si128(self.0, other.0) })
        }
    }

    impl Not for Set {
        type Output = Set;

        #[inline(always)]
        fn not(self) -> Set {
            // SAFETY: each x86-64 processor has SSE2.
            Set(unsafe { _mm_xor_si128(self.0, splat(0xff)) })
        }
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use std::ops::{BitOr, Not};

    #[derive(Clone, Copy)]
    pub(crate) struct Bytes([u8; super::WIDTH]);

    /// Some of the sixteen bytes, a bit for each.
    #[derive(Clone, Copy)]
    pub(crate) struct Set(u32);

    impl Bytes {
        pub(crate) fn new(bytes: &[u8; super::WIDTH]) -> Bytes {
            Bytes(*bytes)
        }

        pub(crate) fn halves(self) -> [u64; 2] {
            let value = u128::from_le_bytes(self.0);
            [value as u64, (value >> 64) as u64]
        }

        fn filter(self, is_in: impl Fn(u8) -> bool) -> Set {
            let bits = self.0.iter().enumerate().map(|(index, byte)| u32::from(is_in(*byte)) << index);
            Set(bits.sum())
        }

        pub(crate) fn equal(self, byte: u8) -> Set {
            self.filter(|other| other == byte)
        }

        pub(crate) fn between(self, first: u8, last: u8) -> Set {
            self.filter(|byte| (first..=last).contains(&byte))
        }

        pub(crate) fn lower_case(self) -> Bytes {
            Bytes(self.0.map(|byte| byte | 0x20))
        }
    }

    impl Set {
        pub(crate) fn bits(self) -> u32 {
            self.0
        }
    }

    impl BitOr for Set {
        type Output = Set;

        fn bitor(self, other: Set) -> Set {
            Set(self.0 | other.0)
        }
    }

    impl Not for Set {
        type Output = Set;

        fn not(self) -> Set {
            Set(!self.0 & 0xffff)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, WIDTH, find, plain};

    #[test]
    fn runs_end_where_they_should() {
        let text = b"abc-d_e'f0123456789ABCXYZ+ \t\r\n#";
        let name = find(text, 0, |bytes| !bytes.identifier());
        assert_eq!(text[name], b'+');
        assert_eq!(text[find(text, name + 1, |bytes| !bytes.space())], b'#');
        assert_eq!(find(text, 0, |bytes| bytes.equal(b'?')), text.len());
        assert_eq!(find(text, text.len(), |bytes| bytes.equal(0)), text.len());
        assert_eq!(find(b"a\0b", 0, |bytes| bytes.equal(0)), 1);
    }

    #[test]
    fn each_byte_is_classed_as_without_wide_registers() {
        for byte in 0..=u8::MAX {
            for place in [0, 7, 15] {
                let mut bytes = [b'a'; WIDTH];
                bytes[place] = byte;
                let wide = Bytes::new(&bytes);
                let plain = plain::Bytes::new(&bytes);
                assert_eq!(wide.halves(), plain.halves());
                assert_eq!(wide.equal(byte).bits(), plain.equal(byte).bits());
                assert_eq!((!wide.equal(b'a')).bits(), (!plain.equal(b'a')).bits());
                assert_eq!((!wide.between(b'a', b'z')).bits(), (!plain.between(b'a', b'z')).bits());
                assert_eq!(
                    (!wide.lower_case().between(b'0', b'z')).bits(),
                    (!plain.lower_case().between(b'0', b'z')).bits()
                );
                let goes_on = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'\'');
                assert_eq!((!wide.identifier()).first(), if goes_on { WIDTH } else { place });
                let is_path = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+');
                assert_eq!((!wide.path()).first(), if is_path { WIDTH } else { place });
                let is_space = matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
                assert_eq!(wide.space().first(), if is_space { place } else { WIDTH });
            }
        }
    }
}
