//! Why a derivation can't be read, printed or hashed.

use std::fmt;

use crate::{content_address::ContentAddressError, hash::HashError, store_path::StorePathError};

/// Why a derivation can't be read, printed or hashed. Texts follow the reference where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DerivationError {
    /// The `.drv` text is wrong.
    #[error("{problem} (at byte {offset} of the derivation)")]
    Syntax {
        /// What is wrong.
        problem: String,
        /// Where.
        offset: usize,
    },
    /// The JSON form is wrong.
    #[error("invalid derivation JSON: {problem}, in '{place}'")]
    Json {
        /// What is wrong.
        problem: String,
        /// The key it is in, as a path.
        place: String,
    },
    /// JSON holds Unicode alone.
    #[error("derivation '{name}' can't be shown as JSON: its {place} isn't UTF-8")]
    NotUtf8 {
        /// Name of the derivation.
        name: String,
        /// The field.
        place: String,
    },
    /// `__json` isn't what it should be.
    #[error("cannot process __json attribute: {0}")]
    StructuredAttrs(String),
    /// `__json` in the environment.
    #[error(
        "Cannot have an environment variable named '__json'. This key is reserved for encoding structured attrs"
    )]
    ReservedVariable,
    /// The outputs are of different kinds.
    #[error("can't mix derivation output types")]
    MixedOutputs,
    /// More than one fixed output.
    #[error("only one fixed output is allowed for now")]
    ManyFixedOutputs,
    /// The fixed output isn't `out`.
    #[error("single fixed output must be named \"out\"")]
    FixedOutputName,
    /// Floating outputs with different algorithms.
    #[error("all floating outputs must use the same hash algorithm")]
    MixedFloatingHashes,
    /// No outputs.
    #[error("must have at least one output")]
    NoOutputs,
    /// An input derivation lacks an output.
    #[error("no hash for output '{output}' of derivation '{derivation}'")]
    NoSuchOutput {
        /// The output.
        output: String,
        /// Store path of the input derivation.
        derivation: String,
    },
    /// Derivations need each other in a circle, which only forged files can do.
    #[error("derivation '{0}' depends on itself")]
    Cycle(String),
    /// An output path isn't what the derivation hashes to.
    #[error("derivation has incorrect output '{found}', should be {expected}")]
    WrongOutput {
        /// The path in the derivation.
        found: String,
        /// The right one in quotes, or `deferred`.
        expected: String,
    },
    /// An output's environment variable is missing.
    #[error(
        "derivation has missing environment variable '{variable}', should be '{expected}' but is not present"
    )]
    MissingVariable {
        /// The output's name.
        variable: String,
        /// Its path.
        expected: String,
    },
    /// An output's environment variable holds something else than its path.
    #[error(
        "derivation has incorrect environment variable '{variable}', should be '{expected}' but is actually '{found}'"
    )]
    WrongVariable {
        /// The output's name.
        variable: String,
        /// Its path.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A store path is wrong or can't be computed.
    #[error(transparent)]
    StorePath(#[from] StorePathError),
    /// A hash is wrong.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A content address is wrong.
    #[error(transparent)]
    ContentAddress(#[from] ContentAddressError),
}

impl DerivationError {
    pub(super) fn structured_attrs(problem: impl fmt::Display) -> Self {
        Self::StructuredAttrs(problem.to_string())
    }
}
