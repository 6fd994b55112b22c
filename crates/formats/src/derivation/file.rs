//! The `.drv` file of a derivation, with what a store registers of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Derivation, DerivationError, DerivationKind, DerivationOutput, HashModulo, HashModuloMemo, Outputs,
    modulo::{HashedInputs, fixed_hash, hash_missing_inputs, is_floating, sha256_of},
};
use crate::{
    content_address::{ContentAddress, ContentAddressMethod},
    hash::Hash,
    store_path::{References, StoreDir, StorePath},
};

/// A `.drv` file and what a store registers of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivationFile {
    /// Where it is in the store.
    pub path: StorePath,
    /// Its bytes.
    pub contents: Vec<u8>,
    /// The hash of the bytes, which is its content address.
    pub hash: Hash,
    /// What it refers to: input sources and input derivations, but no outputs.
    pub references: BTreeSet<StorePath>,
    /// The paths of its outputs, as far as they are known without building.
    pub outputs: BTreeMap<String, StorePath>,
}

impl Derivation {
    /// The `.drv` file: its store path and its bytes.
    pub fn to_file(&self, store: &StoreDir) -> Result<(StorePath, Vec<u8>), DerivationError> {
        let file = self.file(store)?;
        Ok((file.path, file.contents))
    }

    /// The `.drv` file and what there is to know of it.
    pub fn file(&self, store: &StoreDir) -> Result<DerivationFile, DerivationError> {
        self.file_of(store, self.print(store)?)
    }

    fn file_of(&self, store: &StoreDir, contents: Vec<u8>) -> Result<DerivationFile, DerivationError> {
        let address = ContentAddress { method: ContentAddressMethod::Text, hash: Hash::sha256(&contents) };
        let references = References { others: self.references(), itself: false };
        let path = store.content_addressed_path(&format!("{}.drv", self.name), &address, &references)?;
        let mut outputs = BTreeMap::new();
        for (name, output) in &self.outputs {
            let known = output.path(store, &self.name, name)?;
            outputs.extend(known.map(|path| (name.clone(), path)));
        }
        Ok(DerivationFile { path, contents, hash: address.hash, references: references.others, outputs })
    }

    /// Finishes a derivation that was just put together: computes the paths of deferred outputs that can be known,
    /// puts them into the outputs and the variables of the same names, whatever these hold, and remembers in `memo`
    /// the hash that derivations further down see.
    ///
    /// The same as [`Derivation::fill_output_paths`], [`super::hash_derivation_modulo`] and [`Derivation::file`], but
    /// the bulk of the text is printed once for all three.
    pub fn complete<E: From<DerivationError>>(
        &mut self,
        store: &StoreDir,
        memo: &HashModuloMemo,
        read: &mut dyn FnMut(&StorePath) -> Result<Self, E>,
    ) -> Result<DerivationFile, E> {
        let kind = self.kind()?;
        if kind != DerivationKind::Fixed {
            hash_missing_inputs(store, self, memo, read)?;
        }
        Ok(self.complete_with_known_inputs(store, kind, memo)?)
    }

    fn complete_with_known_inputs(
        &mut self,
        store: &StoreDir,
        kind: DerivationKind,
        memo: &HashModuloMemo,
    ) -> Result<DerivationFile, DerivationError> {
        let inputs = match kind {
            DerivationKind::Fixed => None,
            _ => Some(HashedInputs::print(store, self, memo)?),
        };
        let rest = match (&inputs, kind) {
            (Some(inputs), DerivationKind::Deferred) => {
                // Hashed with the variables there, though blank: else the hash would change once they are.
                for name in self.outputs.keys() {
                    self.env.insert(name.clone().into_bytes(), Vec::new());
                }
                let rest = self.print_rest(store, Outputs::Masked)?;
                if !inputs.is_deferred {
                    let head = self.print_outputs(store, Outputs::Masked)?;
                    self.set_output_paths(store, &sha256_of([&head, &inputs.text, rest.text()]))?;
                }
                rest
            }
            _ => self.print_rest(store, Outputs::Shown)?,
        };

        let head = self.print_outputs(store, Outputs::Shown)?;
        let mut contents = Vec::with_capacity(
            head.len() + self.input_derivations.len() * 100 + rest.text().len() + self.outputs.len() * 80,
        );
        contents.extend_from_slice(&head);
        self.print_inputs(store, &mut contents);
        let start = contents.len();
        rest.print_filled(self, &mut contents);

        let hash = match (fixed_hash(store, self, kind)?, &inputs) {
            (Some(hash), _) => hash,
            (None, Some(inputs)) => sha256_of([&head, &inputs.text, &contents[start..]]),
            (None, None) => return Err(DerivationError::FixedOutputName),
        };
        let is_deferred = is_floating(kind) || inputs.is_some_and(|inputs| inputs.is_deferred);
        let file = self.file_of(store, contents)?;
        let outputs = self.outputs.keys().cloned().collect();
        memo.insert(file.path.clone(), HashModulo { hash, is_deferred, outputs });
        Ok(file)
    }

    fn set_output_paths(&mut self, store: &StoreDir, hash: &Hash) -> Result<(), DerivationError> {
        for (name, output) in &mut self.outputs {
            let path = store.output_path(&self.name, name, hash)?;
            self.env.insert(name.clone().into_bytes(), store.display(&path).into_bytes());
            *output = DerivationOutput::InputAddressed(path);
        }
        Ok(())
    }
}
