//! Trees of files that are copied to the store time and again: none of them is read if none of them changed.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nival_formats::{HashAlgo, Hasher};
use nival_store::{Node, Tree};

use super::ParseCache;
use super::pack::{Entry, Kind, Proof, Stamp};
use crate::file_systems::Telling;
use crate::fingerprint::{Fingerprint, Hash, reliable};

impl ParseCache {
    /// What tells the tree from all others and from what it was before a change, if anything can.
    pub(crate) fn key_of_source(&self, tree: &Tree) -> Option<Hash> {
        let mut key = Hasher::new(HashAlgo::Blake3);
        self.describe(tree.path(), tree.node(), &mut key)?;
        key.finish().as_bytes().try_into().ok()
    }

    fn describe(&self, path: &Path, node: &Node, key: &mut Hasher) -> Option<()> {
        match node {
            Node::File(metadata) => {
                let fingerprint = reliable(path, Fingerprint::of(metadata))?;
                if self.file_systems.telling(fingerprint.device, path) < Telling::Files {
                    return None;
                }
                let Fingerprint { device, inode, size, modified, changed } = fingerprint;
                key.update(b"f");
                for number in [device, inode, size, modified.cast_unsigned(), changed.cast_unsigned()] {
                    key.update(&number.to_le_bytes());
                }
            }
            Node::Symlink(target) => {
                key.update(b"l");
                describe_bytes(target.as_bytes(), key);
            }
            Node::Directory(entries) => {
                key.update(b"d");
                key.update(&(entries.len() as u64).to_le_bytes());
                for (name, node) in entries {
                    describe_bytes(name.as_bytes(), key);
                    self.describe(&path.join(name), node, key)?;
                }
            }
        }
        Some(())
    }

    /// The SHA-256 of the NAR of the tree with this key.
    pub(crate) fn hash_of_source(&self, key: &Hash) -> Option<Hash> {
        let (mapped, kept) =
            self.candidates(Kind::Source, Path::new(std::ffi::OsStr::from_bytes(key))).next()?;
        mapped.note_use();
        kept.stamp.hash
    }

    pub(crate) fn keep_hash_of_source(&self, key: Hash, hash: Hash) {
        // The key has the fingerprints of all of it.
        let fingerprint = Fingerprint { device: 0, inode: 0, size: 0, modified: 0, changed: 0 };
        let stamp = Stamp { proof: Proof::Contents, fingerprint, hash: Some(hash) };
        self.add(&Entry { kind: Kind::Source, path: &key, stamp, parts: &[] });
    }
}

fn describe_bytes(bytes: &[u8], key: &mut Hasher) {
    key.update(&(bytes.len() as u64).to_le_bytes());
    key.update(bytes);
}
