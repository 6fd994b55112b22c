//! Jobs: evaluations of one value after the other, as those of several systems, where each needs as much memory as the one
//! before and leaves nothing but a text.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use nival_syntax::Pos;

use super::{Evaluator, FREE_OWNERS, NEXT_OWNER};
use crate::error::Result;
use crate::value::{Thunk, Value};

impl Evaluator {
    /// As [`Evaluator::force`], for one of many values that are evaluated to be shown. If that has made a lot and comes to a text,
    /// a number or the like, what was made is used again as far as nothing refers to it.
    pub(crate) fn force_job(&self, value: Value, pos: Pos) -> Result<Value> {
        if Thunk::of(value).is_none_or(|thunk| thunk.result().is_some()) || !self.knows_all_roots() {
            return self.force(value, pos);
        }
        let before = self.heap.moment();
        let result = self.force(value, pos)?;
        if result.is_text() && self.knows_all_roots() {
            let is_done = self.heap.free_since(&before, |see| {
                see(result.to_bits());
                self.each_root(see);
            });
            if is_done {
                self.shared.made.stay();
            }
        }
        Ok(result)
    }

    /// Whether no other evaluator and no debugger or profiler can have got values.
    fn knows_all_roots(&self) -> bool {
        let is_only = || {
            let free = FREE_OWNERS.lock().unwrap_or_else(PoisonError::into_inner).len();
            // The first one has the number one.
            NEXT_OWNER.load(Ordering::Relaxed) as usize == 1 + free + 1
        };
        self.is_alone.get() && self.observer.is_none() && is_only()
    }

    /// Shows the values that the evaluator has by itself, outside of objects.
    fn each_root(&self, see: &mut dyn FnMut(u64)) {
        for chunk in self.name_strings.borrow().iter().flatten() {
            chunk.iter().flatten().for_each(|string| see(string.to_bits()));
        }
        self.pieces.borrow().iter().for_each(|string| see(Value::from(*string).to_bits()));
        let shared = &self.shared;
        shared.files.each_root(see);
        shared.made.each_root(see);
        if let Some(globals) = shared.globals.get() {
            globals.each_root(see);
        }
    }
}
