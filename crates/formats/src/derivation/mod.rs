//! Derivations: what to build, from what, and where the outputs go.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    content_address::{ContentAddress, ContentAddressMethod},
    hash::HashAlgo,
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

/// The attributes of a derivation as canonical JSON: keys sorted, no white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructuredAttrs {
    json: String,
}

impl StructuredAttrs {
    /// The JSON text, as `__json` holds it in the `.drv` file.
    pub fn as_str(&self) -> &str {
        &self.json
    }
}

impl Derivation {
    /// Whether the builder is part of Nix.
    pub fn is_builtin(&self) -> bool {
        self.builder.starts_with(b"builtin:")
    }
}
