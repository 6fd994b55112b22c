//! Derivations: what to build, from what, and where the outputs go.
//!
//! Source: C++ Nix 2.34 `libstore/derivations.cc`, here split by concern: the `.drv` text in `aterm`, the JSON of
//! `nix derivation show` in `show`, hashes and output paths in `modulo`.

mod aterm;
mod draft;
mod error;
mod file;
mod modulo;
mod show;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub(crate) use aterm::ESCAPES;
pub use draft::{Draft, DraftAttrs, DraftInput, DraftOutput};
pub use error::DerivationError;
pub use file::{DerivationFile, DraftFile, PreparedDraft};
pub use modulo::{HashModulo, HashModuloMemo, Outputs, hash_derivation_modulo};
pub use show::JSON_VERSION;

use crate::{
    content_address::{ContentAddress, ContentAddressMethod},
    hash::HashAlgo,
    json,
    store_path::{StoreDir, StorePath, StorePathError, output_path_name},
};

/// A build step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derivation {
    /// The name; its file in the store is called `name.drv`.
    pub name: String,
    /// What it makes, by output name.
    pub outputs: BTreeMap<String, DerivationOutput>,
    /// The derivations it needs, and which of their outputs.
    pub input_derivations: BTreeMap<StorePath, InputOutputs>,
    /// The store paths it needs that no derivation makes.
    pub input_sources: BTreeSet<StorePath>,
    /// Where it can run: `x86_64-linux`, `builtin`.
    pub system: String,
    /// The program to run, or `builtin:…`.
    pub builder: Vec<u8>,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
    /// Its environment, without `__json`: that is in `structured_attrs`.
    pub env: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The attributes of a derivation with `__structuredAttrs`.
    pub structured_attrs: Option<StructuredAttrs>,
}

/// How the path of an output is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DerivationOutput {
    /// By the derivation.
    InputAddressed(StorePath),
    /// By a hash known beforehand.
    CaFixed(ContentAddress),
    /// By the contents, once built.
    CaFloating(ContentAddressMethod, HashAlgo),
    /// By the derivation once its own content-addressed inputs are known; also "not yet computed".
    Deferred,
    /// By the contents, and anew with every build.
    Impure(ContentAddressMethod, HashAlgo),
}

impl DerivationOutput {
    /// The path, where it is known before the build.
    pub fn path(
        &self,
        store: &StoreDir,
        derivation_name: &str,
        output: &str,
    ) -> Result<Option<StorePath>, StorePathError> {
        match self {
            Self::InputAddressed(path) => Ok(Some(path.clone())),
            Self::CaFixed(address) => {
                store.fixed_output_path(&output_path_name(derivation_name, output), address).map(Some)
            }
            Self::CaFloating(..) | Self::Deferred | Self::Impure(..) => Ok(None),
        }
    }
}

/// Which outputs of a derivation are needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputOutputs {
    /// Outputs needed as they are.
    pub outputs: BTreeSet<String>,
    /// Outputs that are derivations themselves, and what is needed of those (experimental in the reference,
    /// `dynamic-derivations`).
    pub dynamic: BTreeMap<String, InputOutputs>,
}

/// The attributes of a derivation as canonical JSON: an object with keys sorted and no white space.
///
/// Kept as text because that is what is hashed and written; see [`StructuredAttrs::to_map`] for the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructuredAttrs(String);

/// The environment variable that holds structured attributes in a `.drv` file.
pub const STRUCTURED_ATTRS_VARIABLE: &str = "__json";

impl StructuredAttrs {
    /// Reads any JSON object and makes it canonical.
    pub fn parse(text: &[u8]) -> Result<Self, DerivationError> {
        let value = serde_json::from_slice(text).map_err(DerivationError::structured_attrs)?;
        Self::from_value(&value)
    }

    /// Prints a JSON object.
    pub fn from_value(value: &Value) -> Result<Self, DerivationError> {
        if value.is_object() {
            Ok(Self(json::print(value)))
        } else {
            Err(DerivationError::structured_attrs("it isn't a JSON object"))
        }
    }

    /// Takes text that is canonical already, such as the evaluator's `toJSON` prints. It isn't checked.
    pub fn from_canonical(text: String) -> Self {
        Self(text)
    }

    /// The JSON text, as `__json` holds it in the `.drv` file.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The attributes as values.
    pub fn to_map(&self) -> Result<serde_json::Map<String, Value>, DerivationError> {
        serde_json::from_str(&self.0).map_err(DerivationError::structured_attrs)
    }
}

/// What decides the output paths of a derivation as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DerivationKind {
    /// Paths come from the derivation and are known.
    InputAddressed,
    /// Paths come from the derivation, once its inputs are built.
    Deferred,
    /// One output whose hash is known; it may use the network.
    Fixed,
    /// Paths come from the contents.
    Floating,
    /// As floating, never cached, unsandboxed.
    Impure,
}

impl Derivation {
    /// Whether the builder is part of Nix.
    pub fn is_builtin(&self) -> bool {
        self.builder.starts_with(b"builtin:")
    }

    /// The kind all outputs share; an error where they don't.
    pub fn kind(&self) -> Result<DerivationKind, DerivationError> {
        kind_of(self.outputs.iter().map(|(name, output)| (name.as_str(), output)))
    }
}

fn kind_of<'a>(
    outputs: impl Iterator<Item = (&'a str, &'a DerivationOutput)>,
) -> Result<DerivationKind, DerivationError> {
    let mut found = None;
    let mut floating_algo = None;
    for (name, output) in outputs {
        let kind = match output {
            DerivationOutput::InputAddressed(_) => DerivationKind::InputAddressed,
            DerivationOutput::Deferred => DerivationKind::Deferred,
            DerivationOutput::CaFixed(_) => DerivationKind::Fixed,
            DerivationOutput::CaFloating(..) => DerivationKind::Floating,
            DerivationOutput::Impure(..) => DerivationKind::Impure,
        };
        match found {
            Some(other) if other != kind => return Err(DerivationError::MixedOutputs),
            Some(DerivationKind::Fixed) => return Err(DerivationError::ManyFixedOutputs),
            _ => found = Some(kind),
        }
        match output {
            DerivationOutput::CaFixed(_) if name != "out" => {
                return Err(DerivationError::FixedOutputName);
            }
            DerivationOutput::CaFloating(_, algo) if *floating_algo.get_or_insert(*algo) != *algo => {
                return Err(DerivationError::MixedFloatingHashes);
            }
            _ => {}
        }
    }
    found.ok_or(DerivationError::NoOutputs)
}
