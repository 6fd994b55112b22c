use std::collections::BTreeSet;

use nival_formats::{ContentAddress, Hash, References, StoreDir, StorePath};

/// What the store knows of a valid path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The path.
    pub path: StorePath,
    /// SHA-256 of its NAR.
    pub nar_hash: Hash,
    /// Bytes of its NAR; 0 if not known.
    pub nar_size: u64,
    /// The paths it refers to, possibly itself.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it.
    pub deriver: Option<StorePath>,
    /// When it was registered, in seconds since the epoch; 0 stands for now when registering.
    pub registration_time: i64,
    /// Whether it was built here, and so needs no signature.
    pub ultimate: bool,
    /// Signatures as `name:base64`.
    pub signatures: BTreeSet<String>,
    /// Set if the path follows from its contents.
    pub content_address: Option<ContentAddress>,
}

impl PathInfo {
    /// Info with what every path has; the rest is empty.
    pub fn new(path: StorePath, nar_hash: Hash, nar_size: u64) -> Self {
        Self {
            path,
            nar_hash,
            nar_size,
            references: BTreeSet::new(),
            deriver: None,
            registration_time: 0,
            ultimate: false,
            signatures: BTreeSet::new(),
            content_address: None,
        }
    }

    /// Whether the path follows from the content address and the references; true without a content address.
    pub fn content_address_holds(&self, store_dir: &StoreDir) -> bool {
        let Some(address) = &self.content_address else { return true };
        let mut others = self.references.clone();
        let itself = others.remove(&self.path);
        store_dir
            .content_addressed_path(self.path.name(), address, &References { others, itself })
            .is_ok_and(|path| path == self.path)
    }
}
