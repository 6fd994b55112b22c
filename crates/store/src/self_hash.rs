//! The hash of a tree that contains its own store path.

use std::io::{self, Write};
use std::path::Path;

use nival_formats::{Hash, HashAlgo, Hasher};

use crate::dump::dump_path;
use crate::error::Result;

/// Hashes the NAR of `path` with every occurrence of `own`, a hash part, taken for zero bytes (C++ Nix:
/// `HashModuloSink` in `src/libstore/references.cc`).
///
/// C++ Nix means to hash the positions of the occurrences too, but 2.34 collects none, so that they don't count.
pub fn hash_path_modulo(path: &Path, algo: HashAlgo, own: Option<&str>) -> Result<Hash> {
    let Some(own) = own else {
        return Ok(dump_path(path, None, Hasher::new(algo))?.finish());
    };
    let hasher =
        ModuloHasher { hasher: Hasher::new(algo), own: own.as_bytes().to_vec(), pending: Vec::new() };
    Ok(dump_path(path, None, hasher)?.finish())
}

struct ModuloHasher {
    hasher: Hasher,
    own: Vec<u8>,
    /// Bytes that could be the beginning of an occurrence.
    pending: Vec<u8>,
}

impl ModuloHasher {
    fn finish(mut self) -> Hash {
        self.hasher.update(&self.pending);
        self.hasher.finish()
    }
}

impl Write for ModuloHasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(data);
        let width = self.own.len();
        let mut at = 0;
        while at + width <= self.pending.len() {
            if self.pending[at..at + width] == self.own {
                self.pending[at..at + width].fill(0);
                at += width;
            } else {
                at += 1;
            }
        }
        self.hasher.update(&self.pending[..at]);
        self.pending.drain(..at);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
