//! Names of realisations: what a content-addressed derivation's output turned out to be is recorded under these.
//!
//! Source: C++ Nix 2.34 `libstore/realisation.cc`.

use std::{fmt, str::FromStr};

use crate::hash::{Hash, HashError, HashFormat};

/// An output of a derivation, named by the derivation's hash modulo fixed outputs. Prints as `sha256:…!out`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealisationId {
    /// The hash, with output paths masked.
    pub derivation_hash: Hash,
    /// The output.
    pub output: String,
}

/// Why a text names no realisation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RealisationIdError {
    /// No `!`.
    #[error("Invalid derivation output id {0}")]
    NoOutput(String),
    /// The hash is wrong.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl fmt::Display for RealisationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}!{}", self.derivation_hash.to_prefixed(HashFormat::Base16), self.output)
    }
}

impl FromStr for RealisationId {
    type Err = RealisationIdError;

    fn from_str(text: &str) -> Result<Self, RealisationIdError> {
        let (hash, output) = text.split_once('!').ok_or_else(|| RealisationIdError::NoOutput(text.into()))?;
        Ok(Self { derivation_hash: Hash::parse_prefixed(hash)?, output: output.into() })
    }
}
