//! The `.drv` file of a derivation, with what a store registers of it.

use std::collections::BTreeMap;

use super::{
    Derivation, DerivationError, DerivationKind, DerivationOutput, Draft, HashModulo, HashModuloMemo,
    Outputs,
    aterm::Rest,
    modulo::{HashedInputs, hash_missing_inputs, is_floating},
};
use crate::{
    hash::{Hash, sha256_of, sha256_of_both},
    store_path::{StoreDir, StorePath},
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
    /// What it refers to: input sources and input derivations, but no outputs. Sorted.
    pub references: Vec<StorePath>,
    /// The paths of its outputs, as far as they are known without building.
    pub outputs: BTreeMap<String, StorePath>,
}

/// A draft that is printed as far as it can be without the paths of its outputs. See [`Draft::prepare`].
pub struct PreparedDraft {
    kind: DerivationKind,
    inputs: Option<HashedInputs>,
    rest: Rest,
    masked: Option<Hash>,
    is_plain: bool,
}

impl PreparedDraft {
    /// The hash that the paths of the outputs are made from, if only derivations that differ in nothing but their name and
    /// in which derivations make the same inputs have it.
    pub fn hash(&self) -> Option<&Hash> {
        self.masked.as_ref().filter(|_| self.is_plain)
    }
}

impl Derivation {
    /// The `.drv` file: its store path and its bytes.
    pub fn to_file(&self, store: &StoreDir) -> Result<(StorePath, Vec<u8>), DerivationError> {
        let file = self.file(store)?;
        Ok((file.path, file.contents))
    }

    /// The `.drv` file and what there is to know of it.
    pub fn file(&self, store: &StoreDir) -> Result<DerivationFile, DerivationError> {
        let draft = self.draft(store)?;
        let contents = draft.print(store)?;
        let hash = Hash::sha256(&contents);
        draft.file_of(store, contents, hash)
    }
}

impl Draft<'_> {
    fn file_of(
        &self,
        store: &StoreDir,
        contents: Vec<u8>,
        hash: Hash,
    ) -> Result<DerivationFile, DerivationError> {
        debug_assert!(self.input_derivations.is_sorted_by(|input, next| input.path < next.path));
        debug_assert!(self.input_sources.is_sorted_by(|source, next| source < next));
        let mut references = Vec::with_capacity(self.input_sources.len() + self.input_derivations.len());
        let mut sources = self.input_sources.iter().copied().peekable();
        for input in &self.input_derivations {
            while let Some(source) = sources.next_if(|source| *source < input.path) {
                references.push(source.clone());
            }
            sources.next_if_eq(&input.path);
            references.push(input.path.clone());
        }
        references.extend(sources.cloned());
        let path = store.path_of_text(&[self.name, ".drv"].concat(), &hash, &references)?;
        let outputs =
            self.outputs.iter().filter_map(|output| Some((output.name.into(), output.path.clone()?)));
        Ok(DerivationFile { path, contents, hash, references, outputs: outputs.collect() })
    }

    /// Begins to finish a derivation that was just put together: prints what doesn't need the paths of the outputs, and
    /// hashes it. `memo` learns the hashes of the inputs.
    pub fn prepare<E: From<DerivationError>>(
        &mut self,
        store: &StoreDir,
        memo: &HashModuloMemo,
        read: &mut dyn FnMut(&StorePath) -> Result<Derivation, E>,
    ) -> Result<PreparedDraft, E> {
        let kind = self.kind()?;
        let mut inputs = None;
        if kind != DerivationKind::Fixed {
            inputs = HashedInputs::print(store, self, memo)?;
            if inputs.is_none() {
                let paths = self.input_derivations.iter().map(|input| input.path);
                hash_missing_inputs(store, paths, memo, read)?;
                inputs = Some(HashedInputs::print_known(store, self, memo)?);
            }
        }
        let mut masked = None;
        let rest = match (&inputs, kind) {
            (Some(inputs), DerivationKind::Deferred) => {
                // Hashed with the variables there, though blank: else the hash would change once they are.
                for output in &self.outputs {
                    let name = output.name.as_bytes();
                    if let Err(place) = self.env.binary_search_by_key(&name, |(name, _)| *name) {
                        self.env.insert(place, (name, &[]));
                    }
                }
                let rest = self.print_rest(store, Outputs::Masked)?;
                if !inputs.is_deferred {
                    let head = self.print_outputs(store, Outputs::Masked);
                    masked = Some(sha256_of(&[&head, &inputs.text, rest.text()]));
                }
                rest
            }
            _ => self.print_rest(store, Outputs::Shown)?,
        };
        // What is printed as it is must not pass for something else.
        let is_plain = |text: &str| text.bytes().all(|byte| !matches!(byte, b'"' | b'\\'));
        let is_plain = is_plain(self.system) && self.outputs.iter().all(|output| is_plain(output.name));
        Ok(PreparedDraft { kind, inputs, rest, masked, is_plain })
    }

    /// Finishes it: computes the paths of deferred outputs that can be known, puts them into the variables of the same
    /// names, whatever these hold, and remembers in `memo` the hash that derivations further down see.
    ///
    /// The same as [`Derivation::fill_output_paths`], [`super::hash_derivation_modulo`] and [`Derivation::file`], but
    /// the bulk of the text is printed once for all three.
    pub fn finish(
        &mut self,
        store: &StoreDir,
        prepared: PreparedDraft,
        memo: &HashModuloMemo,
    ) -> Result<DerivationFile, DerivationError> {
        let PreparedDraft { kind, inputs, rest, masked, is_plain: _ } = prepared;
        if let Some(hash) = masked {
            self.set_output_paths(store, &hash)?;
        }
        let head = self.print_outputs(store, Outputs::Shown);
        let mut contents = Vec::with_capacity(
            head.len() + self.input_derivations.len() * 100 + rest.text().len() + self.outputs.len() * 80,
        );
        contents.extend_from_slice(&head);
        self.print_inputs(store, &mut contents);
        let start = contents.len();
        rest.print_filled(store, self, &mut contents);

        let (file_hash, hash) = match (self.fixed_hash(store, kind), &inputs) {
            (Some(hash), _) => (Hash::sha256(&contents), hash),
            (None, Some(inputs)) => sha256_of_both(&[&contents], &[&head, &inputs.text, &contents[start..]]),
            (None, None) => return Err(DerivationError::FixedOutputName),
        };
        let is_deferred = is_floating(kind) || inputs.is_some_and(|inputs| inputs.is_deferred);
        let file = self.file_of(store, contents, file_hash)?;
        memo.insert(file.path.clone(), HashModulo { hash, is_deferred, outputs: self.output_names() });
        Ok(file)
    }

    fn set_output_paths(&mut self, store: &StoreDir, hash: &Hash) -> Result<(), DerivationError> {
        for output in &mut self.outputs {
            let path = store.output_path(self.name, output.name, hash)?;
            output.path = Some(path.clone());
            output.output = DerivationOutput::InputAddressed(path);
        }
        Ok(())
    }
}
