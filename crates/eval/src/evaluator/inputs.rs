//! Source trees that evaluation asks for: fetched once, checked, and allowed to be read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use nival_formats::input::{AttrValue, attrs_to_json, check_locks};
use nival_formats::{ContentAddress, ContentAddressMethod, Input, StorePath};

use super::Evaluator;
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::host::FetchedInput;

/// What was fetched so far, by what was asked for.
#[derive(Default)]
pub(crate) struct Inputs(Mutex<HashMap<String, FetchedInput>>);

/// A source tree in the store.
#[derive(Clone)]
pub(crate) struct Tree {
    pub(crate) path: StorePath,
    /// What is known of it.
    pub(crate) input: Input,
}

impl Evaluator {
    /// Brings a source tree into the store, if it isn't there.
    pub(crate) fn fetch_tree(&self, asked: &Input) -> Result<Tree> {
        self.must_not_be_ahead()?;
        let key = attrs_to_json(&asked.attrs);
        let known = self.shared.inputs.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let fetched = match known {
            Some(known) => known,
            None => {
                let fetched =
                    self.fetch_input(asked).frame_with(|| fetching(asked), nival_syntax::Pos::NONE)?;
                let mut inputs = self.shared.inputs.0.lock().unwrap_or_else(PoisonError::into_inner);
                inputs.entry(key).or_insert(fetched).clone()
            }
        };
        self.allow_store_path(&fetched.path);
        let FetchedInput { path, nar_hash, mut input } = fetched;
        input.set("narHash", nar_hash.to_sri());
        if let Some(expected) = asked.nar_hash()?
            && expected != nar_hash
        {
            let message = format!(
                "NAR hash mismatch in input '{}', expected '{}' but got '{}'",
                asked.to_url()?,
                nar_hash.to_sri(),
                expected.to_sri()
            );
            return Err(EvalError::new(ErrorKind::HashMismatch, message));
        }
        Ok(Tree { path, input })
    }

    fn fetch_input(&self, asked: &Input) -> Result<FetchedInput> {
        if let Some(present) = self.locked_tree(asked)? {
            return Ok(present);
        }
        if asked.kind().is_none() {
            let message = format!("cannot fetch unsupported input '{}'", attrs_to_json(&asked.attrs));
            return Err(EvalError::other(message));
        }
        let mut fetched = self.host().fetch_input(asked)?;
        fetched.input.set("__final", AttrValue::Bool(true));
        check_locks(asked, &mut fetched.input)?;
        Ok(fetched)
    }

    /// The tree of a lock file's entry, if the store has it.
    fn locked_tree(&self, asked: &Input) -> Result<Option<FetchedInput>> {
        let (true, Some(hash)) = (asked.is_final()?, asked.nar_hash()?) else { return Ok(None) };
        let address = ContentAddress { method: ContentAddressMethod::NixArchive, hash };
        let path = self
            .host()
            .store_dir()
            .fixed_output_path(asked.name()?, &address)
            .map_err(|error| EvalError::other(error.to_string()))?;
        let is_there = self.host().ensure_path(&path)?;
        Ok(is_there.then(|| FetchedInput { path, nar_hash: hash, input: asked.clone() }))
    }
}

fn fetching(asked: &Input) -> String {
    match asked.to_url() {
        Ok(url) => format!("while fetching the input '{url}'"),
        Err(_) => "while fetching an input".to_owned(),
    }
}
