//! Derivations by reference: what is printed and hashed, without a copy of the parts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Derivation, DerivationError, DerivationKind, DerivationOutput, InputOutputs, kind_of};
use crate::store_path::{StoreDir, StorePath, StorePathError};

/// A derivation made of parts that someone else has. See [`Derivation`] for what they are.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// The name.
    pub name: &'a str,
    /// Sorted by name.
    pub outputs: Vec<DraftOutput<'a>>,
    /// The derivations it needs, sorted by path.
    pub input_derivations: Vec<DraftInput<'a>>,
    /// The store paths it needs that no derivation makes, sorted.
    pub input_sources: Vec<&'a StorePath>,
    /// Where it can run.
    pub system: &'a str,
    /// The program to run.
    pub builder: &'a [u8],
    /// Its arguments.
    pub args: Vec<&'a [u8]>,
    /// Names and values of its environment, sorted by name, without `__json`.
    pub env: Vec<(&'a [u8], &'a [u8])>,
    /// Structured attributes.
    pub structured_attrs: Option<DraftAttrs<'a>>,
}

/// Structured attributes as canonical JSON.
#[derive(Debug, Clone, Copy)]
pub enum DraftAttrs<'a> {
    /// As it is.
    Json(&'a str),
    /// As it is in the file, with strings written as [`StringForm::IN_DERIVATION`](crate::json::StringForm::IN_DERIVATION) says.
    Escaped(&'a [u8]),
}

/// A derivation that is needed. See [`InputOutputs`].
#[derive(Debug, Clone)]
pub struct DraftInput<'a> {
    /// The path of its file.
    pub path: &'a StorePath,
    /// Names of the outputs needed as they are, sorted.
    pub outputs: Cow<'a, [&'a str]>,
    /// Outputs that are derivations themselves.
    pub dynamic: Option<&'a BTreeMap<String, InputOutputs>>,
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

impl<'a> DraftInput<'a> {
    fn of((path, node): (&'a StorePath, &'a InputOutputs)) -> Self {
        let outputs = node.outputs.iter().map(String::as_str).collect();
        Self { path, outputs, dynamic: Some(&node.dynamic).filter(|dynamic| !dynamic.is_empty()) }
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
            input_derivations: self.input_derivations.iter().map(DraftInput::of).collect(),
            input_sources: self.input_sources.iter().collect(),
            system: &self.system,
            builder: &self.builder,
            args: self.args.iter().map(Vec::as_slice).collect(),
            env: self.env.iter().map(|(name, value)| (&**name, &**value)).collect(),
            structured_attrs: self.structured_attrs.as_ref().map(|attrs| DraftAttrs::Json(attrs.as_str())),
        })
    }
}
