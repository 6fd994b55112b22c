//! SHA-256 of two texts at the same time.
//!
//! What bounds the processor's instructions for SHA-256 is that each waits for the one before, not how many there can
//! be at a time. Two texts hashed in turn, round by round, take hardly longer than one.

use super::{Hash, HashAlgo, Hasher};

/// The SHA-256 of two texts, each in parts that follow each other.
pub(crate) fn sha256_of_both(left: &[&[u8]], right: &[&[u8]]) -> (Hash, Hash) {
    #[cfg(target_arch = "x86_64")]
    if let Some(hashes) = x86::both(left, right) {
        return hashes;
    }
    (sha256_of(left), sha256_of(right))
}

/// The SHA-256 of a text in parts that follow each other.
pub(crate) fn sha256_of(parts: &[&[u8]]) -> Hash {
    let mut hasher = Hasher::new(HashAlgo::Sha256);
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_loadu_si128, _mm_set_epi64x,
        _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
        _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_storeu_si128,
    };

    use super::{Hash, HashAlgo};

    const BLOCK: usize = 64;

    /// FIPS 180-4, 4.2.2.
    #[rustfmt::skip]
    const K: [u32; 64] = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ];

    /// FIPS 180-4, 5.3.3.
    const START: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];

    /// Both hashes, if the processor has the instructions.
    pub(super) fn both(left: &[&[u8]], right: &[&[u8]]) -> Option<(Hash, Hash)> {
        let can = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("sse4.1")
            && is_x86_feature_detected!("ssse3");
        if !can {
            return None;
        }
        let mut texts = [Blocks::new(left), Blocks::new(right)];
        let mut states = [START; 2];
        let mut rooms = [[0; BLOCK]; 2];
        loop {
            let [left_text, right_text] = &mut texts;
            let [left_room, right_room] = &mut rooms;
            let blocks = (left_text.next(left_room), right_text.next(right_room));
            // SAFETY: the processor has what `compress` is made for.
            unsafe {
                match blocks {
                    (Some(left), Some(right)) => compress(&mut states, [left, right]),
                    (Some(left), None) => compress(states[..1].as_mut_array()?, [left]),
                    (None, Some(right)) => compress(states[1..].as_mut_array()?, [right]),
                    (None, None) => break,
                }
            }
        }
        Some((hash(states[0]), hash(states[1])))
    }

    fn hash(state: [u32; 8]) -> Hash {
        let mut bytes = [0; 64];
        for (place, word) in bytes.chunks_exact_mut(4).zip(state) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        Hash { algo: HashAlgo::Sha256, bytes }
    }

    /// A text and its padding, block by block.
    struct Blocks<'a> {
        parts: std::slice::Iter<'a, &'a [u8]>,
        part: &'a [u8],
        bits: u64,
        is_padded: bool,
        is_over: bool,
    }

    impl<'a> Blocks<'a> {
        fn new(parts: &'a [&'a [u8]]) -> Blocks<'a> {
            let bits = parts.iter().map(|part| part.len() as u64 * 8).sum();
            Blocks { parts: parts.iter(), part: &[], bits, is_padded: false, is_over: false }
        }

        /// The next block, put together in the room where it is not in one piece.
        #[inline]
        fn next<'r>(&mut self, room: &'r mut [u8; BLOCK]) -> Option<&'r [u8; BLOCK]>
        where
            'a: 'r,
        {
            if let Some((block, rest)) = self.part.split_first_chunk() {
                self.part = rest;
                return Some(block);
            }
            if self.is_over { None } else { Some(self.put_together(room)) }
        }

        fn put_together<'r>(&mut self, room: &'r mut [u8; BLOCK]) -> &'r [u8; BLOCK] {
            let mut filled = 0;
            loop {
                let taken = self.part.len().min(BLOCK - filled);
                let (now, rest) = self.part.split_at(taken);
                room[filled..filled + taken].copy_from_slice(now);
                self.part = rest;
                filled += taken;
                if filled == BLOCK {
                    return room;
                }
                let Some(next) = self.parts.next() else { break };
                self.part = next;
            }
            room[filled..].fill(0);
            if !self.is_padded {
                self.is_padded = true;
                room[filled] = 0x80;
                filled += 1;
            }
            if filled + 8 <= BLOCK {
                room[BLOCK - 8..].copy_from_slice(&self.bits.to_be_bytes());
                self.is_over = true;
            }
            room
        }
    }

    /// One block of each text. The order of the words in the registers is that of the instructions
    /// (Intel SDM, `SHA256RNDS2`).
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn compress<const N: usize>(states: &mut [[u32; 8]; N], blocks: [&[u8; BLOCK]; N]) {
        let byte_order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        let load = |words: &[u32]| -> __m128i {
            debug_assert!(words.len() >= 4);
            // SAFETY: there are four words, which need no alignment.
            unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
        };
        let mut abef = [_mm_setzero_si128(); N];
        let mut cdgh = abef;
        let mut words = [[_mm_setzero_si128(); 4]; N];
        for text in 0..N {
            let cdab = _mm_shuffle_epi32::<0xb1>(load(&states[text][..4]));
            let efgh = _mm_shuffle_epi32::<0x1b>(load(&states[text][4..]));
            abef[text] = _mm_alignr_epi8::<8>(cdab, efgh);
            cdgh[text] = _mm_blend_epi16::<0xf0>(efgh, cdab);
            for (word, bytes) in words[text].iter_mut().zip(blocks[text].as_chunks::<16>().0) {
                // SAFETY: there are sixteen bytes, which need no alignment.
                *word = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }, byte_order);
            }
        }
        let (first_abef, first_cdgh) = (abef, cdgh);
        for (four, constants) in K.as_chunks::<4>().0.iter().enumerate() {
            let constants = load(constants);
            for text in 0..N {
                if four >= 4 {
                    let [oldest, old, new, newest] = words[text];
                    let sum =
                        _mm_add_epi32(_mm_sha256msg1_epu32(oldest, old), _mm_alignr_epi8::<4>(newest, new));
                    words[text] = [old, new, newest, _mm_sha256msg2_epu32(sum, newest)];
                }
                let word = words[text][four.min(3)];
                let sum = _mm_add_epi32(word, constants);
                cdgh[text] = _mm_sha256rnds2_epu32(cdgh[text], abef[text], sum);
                abef[text] = _mm_sha256rnds2_epu32(abef[text], cdgh[text], _mm_shuffle_epi32::<0x0e>(sum));
            }
        }
        for text in 0..N {
            let feba = _mm_shuffle_epi32::<0x1b>(_mm_add_epi32(abef[text], first_abef[text]));
            let dchg = _mm_shuffle_epi32::<0xb1>(_mm_add_epi32(cdgh[text], first_cdgh[text]));
            let (low, high) = states[text].split_at_mut(4);
            // SAFETY: there are four words for each, which need no alignment.
            unsafe {
                _mm_storeu_si128(low.as_mut_ptr().cast(), _mm_blend_epi16::<0xf0>(feba, dchg));
                _mm_storeu_si128(high.as_mut_ptr().cast(), _mm_alignr_epi8::<8>(dchg, feba));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_what_each_is() {
        let text: Vec<u8> = (0..1000_u32).map(|index| (index * 7 + index / 256) as u8).collect();
        for left in (0..300).chain([639, 640, 641, 1000]) {
            for right in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 300, 1000] {
                let (start, end) = text[..left].split_at(left / 3);
                let both = sha256_of_both(&[start, &[], end], &[&text[..right]]);
                assert_eq!(
                    both,
                    (Hash::sha256(&text[..left]), Hash::sha256(&text[..right])),
                    "{left} {right}"
                );
            }
        }
        assert_eq!(sha256_of_both(&[], &[b"abc"]), (Hash::sha256(b""), Hash::sha256(b"abc")));
    }
}
