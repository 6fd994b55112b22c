//! Hashes of derivations, and the output paths made from them.
//!
//! The hash of a derivation "modulo" fixed-output derivations replaces each input derivation by its own hash, and a
//! fixed-output one by the hash of what it makes: how something is fetched doesn't change what depends on it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

pub use super::aterm::Outputs;
use super::{
    Derivation, DerivationError, DerivationKind, DerivationOutput, Draft, DraftOutput,
    aterm::{HashedInput, print_hashed_inputs},
};
use crate::{
    hash::Hash,
    store_path::{DigestHash, StoreDir, StorePath},
};

/// The hash of a derivation modulo fixed outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashModulo {
    /// The hash, the same for every output.
    pub hash: Hash,
    /// Whether it covers outputs known only after a build, so that no output path can be made from it.
    pub is_deferred: bool,
    /// The outputs of the derivation.
    pub outputs: Arc<[String]>,
}

/// Hashes found so far, by path of the `.drv` file. Shared between threads.
#[derive(Debug, Default)]
pub struct HashModuloMemo(RwLock<HashMap<StorePath, HashModulo, DigestHash>>);

impl HashModuloMemo {
    /// The hash of a derivation, where it is known.
    pub fn get(&self, derivation: &StorePath) -> Option<HashModulo> {
        // A map of finished entries is whole even if a thread died holding the lock.
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(derivation).cloned()
    }

    fn lacks(&self, derivation: &StorePath) -> bool {
        !self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(derivation)
    }

    /// Remembers the hash of a derivation: the one with [`Outputs::Shown`].
    pub fn insert(&self, derivation: StorePath, hash: HashModulo) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(derivation, hash);
    }
}

/// Hashes a derivation.
///
/// Input derivations that `memo` doesn't know are read with `read`, and theirs in turn; `memo` keeps them all.
/// The hash of `derivation` itself is for the caller to keep, who knows its path.
pub fn hash_derivation_modulo<E: From<DerivationError>>(
    store: &StoreDir,
    derivation: &Derivation,
    outputs: Outputs,
    memo: &HashModuloMemo,
    read: &mut dyn FnMut(&StorePath) -> Result<Derivation, E>,
) -> Result<HashModulo, E> {
    if derivation.kind()? != DerivationKind::Fixed {
        hash_missing_inputs(store, derivation.input_derivations.keys(), memo, read)?;
    }
    Ok(hash_with_known_inputs(store, derivation, outputs, memo)?)
}

/// Makes `memo` know all of these derivations.
pub(super) fn hash_missing_inputs<'a, E: From<DerivationError>>(
    store: &StoreDir,
    inputs: impl Iterator<Item = &'a StorePath>,
    memo: &HashModuloMemo,
    read: &mut dyn FnMut(&StorePath) -> Result<Derivation, E>,
) -> Result<(), E> {
    // An explicit stack: forged files may nest deeper than ours.
    let mut stack: Vec<(StorePath, Derivation)> = Vec::new();
    let mut open = BTreeSet::new();
    for input in inputs {
        let mut missing = memo.lacks(input).then(|| input.clone());
        loop {
            if let Some(path) = missing {
                if !open.insert(path.clone()) {
                    return Err(DerivationError::Cycle(store.display(&path)).into());
                }
                let input = read(&path)?;
                stack.push((path, input));
            }
            let Some((_, current)) = stack.last() else { break };
            // A fixed output hides its inputs.
            let needs_inputs = current.kind()? != DerivationKind::Fixed;
            missing = current.input_derivations.keys().find(|path| needs_inputs && memo.lacks(path)).cloned();
            if missing.is_none()
                && let Some((path, current)) = stack.pop()
            {
                memo.insert(path, hash_with_known_inputs(store, &current, Outputs::Shown, memo)?);
            }
        }
    }
    Ok(())
}

fn hash_with_known_inputs(
    store: &StoreDir,
    derivation: &Derivation,
    outputs: Outputs,
    memo: &HashModuloMemo,
) -> Result<HashModulo, DerivationError> {
    let kind = derivation.kind()?;
    let draft = derivation.draft(store)?;
    if let Some(hash) = draft.fixed_hash(store, kind) {
        return Ok(HashModulo { hash, is_deferred: false, outputs: draft.output_names() });
    }
    let mut text = Vec::new();
    draft.print_outputs(store, outputs, &mut text);
    let has_deferred_input = draft.print_known_inputs(store, memo, &mut text)?;
    draft.print_rest(store, outputs, &mut text)?;
    let is_deferred = has_deferred_input || is_floating(kind);
    Ok(HashModulo { hash: Hash::sha256(&text), is_deferred, outputs: draft.output_names() })
}

impl Draft<'_> {
    /// The hash of a derivation whose output is fixed: that of its result.
    pub(super) fn fixed_hash(&self, store: &StoreDir, kind: DerivationKind) -> Option<Hash> {
        let [DraftOutput { output: DerivationOutput::CaFixed(address), path: Some(path), .. }] =
            &*self.outputs
        else {
            return None;
        };
        if kind != DerivationKind::Fixed {
            return None;
        }
        let mut text = address.fixed_text();
        for piece in [store.as_str(), "/", path.as_str()] {
            text.extend_from_slice(piece.as_bytes());
        }
        Some(Hash::sha256(&text))
    }

    /// Most have one output, whose name is shared.
    pub(super) fn output_names(&self) -> Arc<[String]> {
        static OUT: LazyLock<Arc<[String]>> = LazyLock::new(|| ["out".to_owned()].into());
        match &*self.outputs {
            [output] if output.name == "out" => OUT.clone(),
            outputs => outputs.iter().map(|output| output.name.to_owned()).collect(),
        }
    }

    /// Prints the input derivations as they are hashed, all of which `memo` must know.
    pub(super) fn print_known_inputs(
        &self,
        store: &StoreDir,
        memo: &HashModuloMemo,
        out: &mut Vec<u8>,
    ) -> Result<bool, DerivationError> {
        self.print_hashed_inputs(store, memo, out)?.ok_or_else(|| DerivationError::NoSuchOutput {
            output: "out".into(),
            derivation: format!("an input of {}", self.name),
        })
    }

    /// Prints the input derivations as they are hashed, if `memo` knows all of them, and tells whether one of them isn't
    /// known before it is built.
    pub(super) fn print_hashed_inputs(
        &self,
        store: &StoreDir,
        memo: &HashModuloMemo,
        out: &mut Vec<u8>,
    ) -> Result<Option<bool>, DerivationError> {
        let memo = memo.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut is_deferred = false;
        let mut inputs: Vec<HashedInput<'_>> = Vec::with_capacity(self.input_derivations.len());
        for input in &self.input_derivations {
            let Some(known) = memo.get(input.path) else { return Ok(None) };
            is_deferred |= known.is_deferred;
            let is_unknown = |output: &&&str| known.outputs.iter().all(|known| known != **output);
            if let Some(output) = input.outputs.iter().find(is_unknown) {
                let (output, derivation) = ((*output).to_owned(), store.display(input.path));
                return Err(DerivationError::NoSuchOutput { output, derivation });
            }
            if !input.outputs.is_empty() {
                inputs.push(HashedInput::new(&known.hash, &input.outputs));
            }
        }
        inputs.sort_unstable_by(HashedInput::order);
        // Different derivations have one hash where they make the same fixed output.
        inputs.dedup_by(|next, kept| {
            let same = next.order(kept).is_eq();
            if same {
                let outputs = kept.outputs.to_mut();
                outputs.extend_from_slice(&next.outputs);
                outputs.sort_unstable();
                outputs.dedup();
            }
            same
        });
        print_hashed_inputs(&inputs, out);
        Ok(Some(is_deferred))
    }
}

pub(super) fn is_floating(kind: DerivationKind) -> bool {
    matches!(kind, DerivationKind::Floating | DerivationKind::Impure)
}

impl Derivation {
    /// Computes the paths of deferred outputs that can be known, puts them into the outputs and, where it is
    /// missing or empty, into the environment variable of the output; checks those that are there already.
    pub fn fill_output_paths<E: From<DerivationError>>(
        &mut self,
        store: &StoreDir,
        memo: &HashModuloMemo,
        read: &mut dyn FnMut(&StorePath) -> Result<Self, E>,
    ) -> Result<(), E> {
        // Hashed with its variables there, though blank: else the hash would change once they are.
        for (name, output) in &self.outputs {
            if *output == DerivationOutput::Deferred {
                self.env.entry(name.clone().into_bytes()).or_default();
            }
        }
        for (name, path) in self.compute_output_paths(store, memo, read)? {
            let text = store.display(&path).into_bytes();
            let variable = self.env.entry(name.clone().into_bytes()).or_default();
            if variable.is_empty() {
                *variable = text;
            }
            self.check_variable(store, &name, &path)?;
            if let Some(output @ DerivationOutput::Deferred) = self.outputs.get_mut(&name) {
                *output = DerivationOutput::InputAddressed(path);
            }
        }
        Ok(())
    }

    /// Checks that output paths and their environment variables are what the derivation hashes to. A deferred
    /// output that could be known passes, as in the reference, which only warns.
    pub fn check_output_paths<E: From<DerivationError>>(
        &self,
        store: &StoreDir,
        memo: &HashModuloMemo,
        read: &mut dyn FnMut(&StorePath) -> Result<Self, E>,
    ) -> Result<(), E> {
        for (name, path) in self.compute_output_paths(store, memo, read)? {
            if self.outputs.get(&name) != Some(&DerivationOutput::Deferred) {
                self.check_variable(store, &name, &path)?;
            }
        }
        Ok(())
    }

    /// The outputs whose environment variable must hold their path, with that path.
    fn compute_output_paths<E: From<DerivationError>>(
        &self,
        store: &StoreDir,
        memo: &HashModuloMemo,
        read: &mut dyn FnMut(&StorePath) -> Result<Self, E>,
    ) -> Result<Vec<(String, StorePath)>, E> {
        let fail = DerivationError::from;
        let mut paths = Vec::new();
        match self.kind()? {
            DerivationKind::Floating | DerivationKind::Impure => {}
            DerivationKind::Fixed => {
                for (name, output) in &self.outputs {
                    let path = output.path(store, &self.name, name).map_err(fail)?;
                    paths.extend(path.map(|path| (name.clone(), path)));
                }
            }
            DerivationKind::InputAddressed | DerivationKind::Deferred => {
                let modulo = hash_derivation_modulo(store, self, Outputs::Masked, memo, read)?;
                for (name, output) in &self.outputs {
                    let path = store.output_path(&self.name, name, &modulo.hash).map_err(fail)?;
                    match output {
                        DerivationOutput::InputAddressed(found) if modulo.is_deferred || *found != path => {
                            let expected = if modulo.is_deferred {
                                "deferred".into()
                            } else {
                                format!("'{}'", store.display(&path))
                            };
                            let found = store.display(found);
                            return Err(DerivationError::WrongOutput { found, expected }.into());
                        }
                        // The reference leaves the variable of an output that is right unchecked.
                        DerivationOutput::InputAddressed(_) => {}
                        _ if modulo.is_deferred => {}
                        _ => paths.push((name.clone(), path)),
                    }
                }
            }
        }
        Ok(paths)
    }

    fn check_variable(&self, store: &StoreDir, name: &str, path: &StorePath) -> Result<(), DerivationError> {
        let expected = store.display(path);
        match self.env.get(name.as_bytes()) {
            None => Err(DerivationError::MissingVariable { variable: name.into(), expected }),
            Some(found) if found != expected.as_bytes() => Err(DerivationError::WrongVariable {
                variable: name.into(),
                expected,
                found: String::from_utf8_lossy(found).into_owned(),
            }),
            Some(_) => Ok(()),
        }
    }
}
