//! Finds the store paths that a stream of bytes refers to, by the hash parts of their names.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use nival_formats::store_path::DIGEST_LEN;
use nival_formats::{StorePath, nix32};

/// A writer that looks for the hash parts of given store paths in what is written to it.
///
/// It looks at one byte in 32: only a run of 32 base-32 digits can be a hash part, so a byte that is none rules
/// out all windows that hold it.
///
/// ```
/// use std::io::Write;
/// let path: nival_formats::StorePath = "7rjjxp5lmdykb3n16p9l03a8hn6ay4k1-hello".parse()?;
/// let mut scanner = nival_store::ReferenceScanner::new([path.clone()]);
/// scanner.write_all(b"#!/nix/store/7rjjxp5lmdykb3n1")?;
/// scanner.write_all(b"6p9l03a8hn6ay4k1-hello/bin/hello")?;
/// assert_eq!(scanner.finish().into_iter().collect::<Vec<_>>(), [path]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReferenceScanner {
    wanted: HashMap<[u8; DIGEST_LEN], StorePath>,
    found: BTreeSet<StorePath>,
    /// The end of what was written before, at most one byte short of a hash part.
    tail: Vec<u8>,
}

impl ReferenceScanner {
    /// A scanner for these paths.
    pub fn new(candidates: impl IntoIterator<Item = StorePath>) -> Self {
        let wanted = candidates
            .into_iter()
            .filter_map(|path| Some((<[u8; DIGEST_LEN]>::try_from(path.hash_part().as_bytes()).ok()?, path)))
            .collect();
        Self { wanted, found: BTreeSet::new(), tail: Vec::new() }
    }

    /// The paths that were found.
    pub fn finish(self) -> BTreeSet<StorePath> {
        self.found
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        let border = data.len().min(DIGEST_LEN - 1);
        let mut seam = std::mem::take(&mut self.tail);
        seam.extend_from_slice(&data[..border]);
        self.search(&seam);
        self.search(data);
        self.tail = if data.len() >= DIGEST_LEN - 1 {
            data[data.len() - (DIGEST_LEN - 1)..].to_vec()
        } else {
            seam.split_off(seam.len().saturating_sub(DIGEST_LEN - 1))
        };
    }

    fn search(&mut self, data: &[u8]) {
        let mut at = 0;
        while at + DIGEST_LEN <= data.len() && !self.wanted.is_empty() {
            let window = &data[at..at + DIGEST_LEN];
            if let Some(other) = window.iter().rposition(|byte| !nix32::is_digit(*byte)) {
                at += other + 1;
                continue;
            }
            if let Some(path) = self.wanted.remove(window) {
                self.found.insert(path);
            }
            at += 1;
        }
    }
}

impl Write for ReferenceScanner {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to two writers at once.
pub struct Tee<A, B>(pub A, pub B);

impl<A: Write, B: Write> Write for Tee<A, B> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write_all(data)?;
        self.1.write_all(data)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.1.flush()
    }
}
