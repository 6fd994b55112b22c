//! The `.drv` file of a derivation, with what a store registers of it.

use std::{cell::Cell, cmp::Ordering, collections::BTreeMap, iter};

use super::{
    Derivation, DerivationError, DerivationKind, DerivationOutput, Draft, HashModulo, HashModuloMemo,
    Outputs,
    aterm::Blanks,
    modulo::{hash_missing_inputs, is_floating},
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

/// The `.drv` file of a draft, which tells what a store registers of it.
///
/// It is in the pieces that were hashed: many stores have the file already, or keep none.
pub struct DraftFile<'a, 'd> {
    /// Where it is in the store.
    pub path: StorePath,
    hash: Hash,
    text: FileText,
    draft: &'a Draft<'d>,
}

impl DraftFile<'_, '_> {
    /// See [`DerivationFile::references`].
    pub fn references(&self) -> impl Iterator<Item = &StorePath> {
        self.draft.references()
    }

    /// The file by itself.
    pub fn on_its_own(self) -> DerivationFile {
        let Self { path, hash, text, draft } = self;
        draft.file(path, text.pieces(text.shown_inputs()).concat(), hash)
    }
}

/// The text of a `.drv` file, most of which is what was prepared.
struct FileText {
    prepared: PreparedDraft,
    /// The outputs, the inputs, and what fills the blanks.
    printed: Vec<u8>,
    end_of_outputs: usize,
    end_of_inputs: usize,
    /// Where each filling ends.
    fillings: Vec<usize>,
}

impl FileText {
    fn shown_inputs(&self) -> &[u8] {
        &self.printed[self.end_of_outputs..self.end_of_inputs]
    }

    /// The inputs by their hashes: what derivations further down see.
    fn hashed_inputs(&self) -> &[u8] {
        &self.prepared.text[self.prepared.inputs..self.prepared.rest]
    }

    /// The text with these inputs.
    fn pieces<'a>(&'a self, inputs: &'a [u8]) -> Vec<&'a [u8]> {
        let PreparedDraft { text, rest, blanks, .. } = &self.prepared;
        let mut pieces = Vec::with_capacity(3 + 2 * blanks.len());
        pieces.extend([&self.printed[..self.end_of_outputs], inputs]);
        let (mut start, mut filling) = (*rest, self.end_of_inputs);
        for ((at, _), end) in blanks.iter().zip(&self.fillings) {
            pieces.extend([&text[start..*at], &self.printed[filling..*end]]);
            (start, filling) = (*at, *end);
        }
        pieces.push(&text[start..]);
        pieces
    }
}

/// A draft that is printed as far as it can be without the paths of its outputs. See [`Draft::prepare`].
pub struct PreparedDraft {
    kind: DerivationKind,
    /// The text that is hashed, from the input derivations on, behind the outputs if these were printed, too.
    text: Vec<u8>,
    /// Where the input derivations begin.
    inputs: usize,
    /// Where the rest begins.
    rest: usize,
    blanks: Blanks,
    /// Whether an input isn't known before it is built.
    has_deferred_input: bool,
    masked: Option<Hash>,
    is_plain: bool,
}

thread_local! {
    /// The room of the last text, for the next one.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Drop for PreparedDraft {
    fn drop(&mut self) {
        ROOM.set(std::mem::take(&mut self.text));
    }
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
        Ok(draft.file(draft.file_path(store, &hash)?, contents, hash))
    }
}

impl<'d> Draft<'d> {
    fn file_path(&self, store: &StoreDir, hash: &Hash) -> Result<StorePath, DerivationError> {
        Ok(store.path_of_text(&[self.name, ".drv"].concat(), hash, self.references())?)
    }

    fn file(&self, path: StorePath, contents: Vec<u8>, hash: Hash) -> DerivationFile {
        let references = self.references().cloned().collect();
        let outputs = self.outputs.iter();
        let outputs = outputs.filter_map(|output| Some((output.name.into(), output.path.clone()?))).collect();
        DerivationFile { path, contents, hash, references, outputs }
    }

    /// Input sources and input derivations, sorted.
    fn references(&self) -> impl Iterator<Item = &StorePath> {
        debug_assert!(self.input_derivations.is_sorted_by(|input, next| input.path < next.path));
        debug_assert!(self.input_sources.is_sorted_by(|source, next| source < next));
        let mut sources = self.input_sources.iter().copied().peekable();
        let mut inputs = self.input_derivations.iter().map(|input| input.path).peekable();
        iter::from_fn(move || {
            let order = match (sources.peek(), inputs.peek()) {
                (Some(source), Some(input)) => source.cmp(input),
                (None, Some(_)) => Ordering::Greater,
                (_, None) => Ordering::Less,
            };
            let input = if order.is_ge() { inputs.next() } else { None };
            if order.is_le() { sources.next() } else { input }
        })
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
        let mut text = ROOM.take();
        text.clear();
        if kind == DerivationKind::Deferred {
            self.print_outputs(store, Outputs::Masked, &mut text);
        }
        let inputs = text.len();
        let mut has_deferred_input = false;
        if kind != DerivationKind::Fixed {
            has_deferred_input = match self.print_hashed_inputs(store, memo, &mut text)? {
                Some(is_deferred) => is_deferred,
                None => {
                    let paths = self.input_derivations.iter().map(|input| input.path);
                    hash_missing_inputs(store, paths, memo, read)?;
                    self.print_known_inputs(store, memo, &mut text)?
                }
            };
        }
        let rest = text.len();
        let mut masked = None;
        let blanks = if kind == DerivationKind::Deferred {
            // Hashed with the variables there, though blank: else the hash would change once they are.
            for output in &self.outputs {
                let name = output.name.as_bytes();
                if let Err(place) = self.env.binary_search_by_key(&name, |(name, _)| *name) {
                    self.env.insert(place, (name, &[]));
                }
            }
            let blanks = self.print_rest(store, Outputs::Masked, &mut text)?;
            masked = (!has_deferred_input).then(|| Hash::sha256(&text));
            blanks
        } else {
            self.print_rest(store, Outputs::Shown, &mut text)?
        };
        // What is printed as it is must not pass for something else.
        let is_plain = |text: &str| text.bytes().all(|byte| !matches!(byte, b'"' | b'\\'));
        let is_plain = is_plain(self.system) && self.outputs.iter().all(|output| is_plain(output.name));
        Ok(PreparedDraft { kind, text, inputs, rest, blanks, has_deferred_input, masked, is_plain })
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
    ) -> Result<DraftFile<'_, 'd>, DerivationError> {
        if let Some(hash) = prepared.masked {
            self.set_output_paths(store, &hash)?;
        }
        let kind = prepared.kind;
        let is_deferred = is_floating(kind) || prepared.has_deferred_input;
        let paths = self.input_derivations.len() + self.outputs.len() + prepared.blanks.len();
        let mut printed = Vec::with_capacity(512 + paths * 100);
        self.print_outputs(store, Outputs::Shown, &mut printed);
        let end_of_outputs = printed.len();
        self.print_inputs(store, &mut printed);
        let end_of_inputs = printed.len();
        let fillings = self.print_fillings(store, &prepared.blanks, &mut printed);
        let text = FileText { prepared, printed, end_of_outputs, end_of_inputs, fillings };

        let pieces = text.pieces(text.shown_inputs());
        let (file_hash, hash) = match self.fixed_hash(store, kind) {
            Some(hash) => (sha256_of(&pieces), hash),
            None if kind == DerivationKind::Fixed => return Err(DerivationError::FixedOutputName),
            None => sha256_of_both(&pieces, &text.pieces(text.hashed_inputs())),
        };
        let path = self.file_path(store, &file_hash)?;
        memo.insert(path.clone(), HashModulo { hash, is_deferred, outputs: self.output_names() });
        Ok(DraftFile { path, hash: file_hash, text, draft: self })
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
