//! The hash of a tree that contains its own store path.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use nival_formats::{Hash, HashAlgo, Hasher};

use crate::dump::dump_path;
use crate::error::Result;

/// Hashes the NAR of `path` with every occurrence of `own`, a hash part, taken for zero bytes; their positions are
/// hashed behind the NAR as `|position` (C++ Nix: `HashModuloSink` in `src/libstore/references.cc`).
pub fn hash_path_modulo(path: &Path, algo: HashAlgo, own: Option<&str>) -> Result<Hash> {
    let Some(own) = own else {
        return Ok(dump_path(path, None, Hasher::new(algo))?.finish());
    };
    let hasher = ModuloHasher {
        hasher: Hasher::new(algo),
        own: own.as_bytes().to_vec(),
        pending: Vec::new(),
        position: 0,
        found: Vec::new(),
    };
    Ok(dump_path(path, None, hasher)?.finish())
}

struct ModuloHasher {
    hasher: Hasher,
    own: Vec<u8>,
    /// Bytes that could be the beginning of an occurrence.
    pending: Vec<u8>,
    /// Where in the stream `pending` begins.
    position: u64,
    found: Vec<u64>,
}

impl ModuloHasher {
    fn finish(mut self) -> Hash {
        self.hasher.update(&self.pending);
        let mut positions = String::new();
        for position in &self.found {
            write!(positions, "|{position}").expect("writing to a string can't fail");
        }
        self.hasher.update(positions.as_bytes());
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
                self.found.push(self.position + at as u64);
                at += width;
            } else {
                at += 1;
            }
        }
        let settled = at.min(self.pending.len());
        self.hasher.update(&self.pending[..settled]);
        self.pending.drain(..settled);
        self.position += settled as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
