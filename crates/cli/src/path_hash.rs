//! A quick hash of paths and the like, for tables that compare what they find.

use std::hash::{BuildHasherDefault, Hasher};

/// A quick hash; nothing is lost if two are equal, since paths are compared.
pub(crate) fn hash_of_path(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain(std::iter::once(&last));
    words.fold(bytes.len() as u64, |hash, word| fold(hash ^ u64::from_le_bytes(*word), 0x9e37_79b9_7f4a_7c15))
}

/// The same hash for tables of paths, of their hashes, and of small numbers.
pub(crate) type PathHash = BuildHasherDefault<PathHasher>;

#[derive(Default)]
pub(crate) struct PathHasher(u64);

impl Hasher for PathHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = fold(self.0, hash_of_path(bytes));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 ^= hash;
    }

    /// A length, which is in the hash of what follows.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x2545_f491_4f6c_dd1d) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
