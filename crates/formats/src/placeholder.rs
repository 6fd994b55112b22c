//! Placeholders: texts that stand for store paths not known yet, replaced before or while building.
//!
//! Sources: C++ Nix 2.34 `libstore/derivations.cc` (`hashPlaceholder`), `libstore/downstream-placeholder.cc`.

use std::fmt;

use crate::{
    hash::Hash,
    nix32,
    store_path::{StorePath, StorePathError, name_bytes, output_path_name},
};

/// What `builtins.placeholder "out"` gives: stands for an output of the derivation it is in.
pub fn output_placeholder(output: &str) -> String {
    format!("/{}", Hash::sha256(&name_bytes(&format!("nix-output:{output}"))).to_nix32())
}

/// Stands for an output of another derivation whose path depends on what it will contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownstreamPlaceholder(Hash);

impl DownstreamPlaceholder {
    /// For an output of a content-addressed (or deferred) derivation.
    pub fn unknown_ca_output(derivation: &StorePath, output: &str) -> Result<Self, StorePathError> {
        let name = output_path_name(derivation.derivation_name()?, output);
        let text = format!("nix-upstream-output:{}:{name}", derivation.hash_part());
        Ok(Self(Hash::sha256(text.as_bytes())))
    }

    /// For an output of the derivation that `self` stands for (dynamic derivations).
    #[must_use]
    pub fn unknown_derivation(&self, output: &str) -> Self {
        let text = format!("nix-computed-output:{}:{output}", nix32::encode(&self.0.compress::<20>()));
        Self(Hash::sha256(text.as_bytes()))
    }
}

impl fmt::Display for DownstreamPlaceholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.to_nix32())
    }
}
