//! Derivations that were made before. Sets of packages that differ somewhere make most of theirs again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use nival_formats::{Hash, StorePath};

use crate::context::ContextElement;
use crate::hash::WordHash;
use crate::memory;
use crate::value::Value;

/// What `derivationStrict` gave, by the hash that the paths of outputs are made from. With the name and the inputs, that
/// says all of a derivation.
#[derive(Default)]
pub(crate) struct Made(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// The number of collections before: nothing is kept over the next, unless that asks for it.
    collections: u64,
    known: HashMap<[u8; 32], Known, WordHash>,
}

struct Known {
    path: StorePath,
    inputs: Box<[&'static ContextElement]>,
    result: Value,
}

impl Made {
    /// The path and the result of a derivation that was made from the same.
    pub(crate) fn find(
        &self,
        name: &str,
        hash: &Hash,
        inputs: &[&'static ContextElement],
    ) -> Option<(StorePath, Value)> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            table.known.get(&hash.compress()).filter(|_| table.collections == memory::collections())?;
        // There is each element once.
        let same_inputs = known
            .inputs
            .iter()
            .map(|input| &raw const **input)
            .eq(inputs.iter().map(|input| &raw const **input));
        (same_inputs && known.path.derivation_name() == Ok(name)).then(|| (known.path.clone(), known.result))
    }

    /// Shows what is to be kept over a collection, while that is at work.
    pub(super) fn each_root(&self, see: &mut dyn FnMut(u64)) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.renew();
        table.known.values().for_each(|known| see(known.result.to_bits()));
        table.collections += 1;
    }

    /// Remembers one.
    pub(crate) fn keep(
        &self,
        path: StorePath,
        hash: &Hash,
        inputs: Vec<&'static ContextElement>,
        result: Value,
    ) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.renew();
        table.known.insert(hash.compress(), Known { path, inputs: inputs.into(), result });
    }
}

impl Table {
    /// Forgets what a collection has not asked for.
    fn renew(&mut self) {
        let collections = memory::collections();
        if self.collections != collections {
            self.collections = collections;
            self.known.clear();
        }
    }
}
