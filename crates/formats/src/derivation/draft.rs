//! Derivations by reference: what is printed and hashed, without a copy of the parts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{Derivation, DerivationError, DerivationKind, DerivationOutput, InputOutputs, kind_of};
use crate::store_path::{StoreDir, StorePath, StorePathError};

/// A derivation made of parts that someone else has. See [`Derivation`] for what they are.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// The name.
    pub name: &'a str,
    /// Sorted by name.
    pub outputs: Vec<DraftOutput<'a>>,
    /// The derivations it needs.
    pub input_derivations: Cow<'a, BTreeMap<StorePath, InputOutputs>>,
    /// The store paths it needs that no derivation makes.
    pub input_sources: Cow<'a, BTreeSet<StorePath>>,
    /// Where it can run.
    pub system: &'a str,
    /// The program to run.
    pub builder: &'a [u8],
    /// Its arguments.
    pub args: Vec<&'a [u8]>,
    /// Names and values of its environment, sorted by name, without `__json`.
    pub env: Vec<(&'a [u8], &'a [u8])>,
    /// Structured attributes as canonical JSON.
    pub structured_attrs: Option<&'a str>,
}

/// An output, and its path where that is known.
#[derive(Debug, Clone)]
pub struct DraftOutput<'a> {
    /// The output's name.
    pub name: &'a str,
    pub(super) output: DerivationOutput,
    pub(super) path: Option<StorePath>,
}

impl<'a> DraftOutput<'a> {
    /// An output of the derivation with this name.
    pub fn new(
        store: &StoreDir,
        derivation_name: &str,
        name: &'a str,
        output: DerivationOutput,
    ) -> Result<Self, StorePathError> {
        let path = output.path(store, derivation_name, name)?;
        Ok(Self { name, output, path })
    }

    /// The path, where it is known before the build.
    pub fn path(&self) -> Option<&StorePath> {
        self.path.as_ref()
    }
}

impl Draft<'_> {
    /// The kind all outputs share; an error where they don't.
    pub fn kind(&self) -> Result<DerivationKind, DerivationError> {
        kind_of(self.outputs.iter().map(|output| (output.name, &output.output)))
    }
}

impl Derivation {
    /// The same derivation, by reference.
    pub fn draft(&self, store: &StoreDir) -> Result<Draft<'_>, DerivationError> {
        let outputs = self.outputs.iter();
        Ok(Draft {
            name: &self.name,
            outputs: outputs
                .map(|(name, output)| DraftOutput::new(store, &self.name, name, output.clone()))
                .collect::<Result<_, _>>()?,
            input_derivations: Cow::Borrowed(&self.input_derivations),
            input_sources: Cow::Borrowed(&self.input_sources),
            system: &self.system,
            builder: &self.builder,
            args: self.args.iter().map(Vec::as_slice).collect(),
            env: self.env.iter().map(|(name, value)| (&**name, &**value)).collect(),
            structured_attrs: self.structured_attrs.as_ref().map(super::StructuredAttrs::as_str),
        })
    }
}
