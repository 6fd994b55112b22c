//! Jobs: evaluations of one value after the other, as those of several systems, where each needs as much memory as the one
//! before and leaves nothing but a text.
//!
//! Threads that help are at work on a part of the job, as nothing else is offered (see [`super::parallel`]). They are
//! ended after it and started again in the next: so they have no values when what was made is looked through.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nival_syntax::Pos;

use super::{Evaluator, Settings};
use crate::error::Result;
use crate::memory;
use crate::value::{Thunk, Value};

/// So many values in a row may be small. Those that come then are no jobs: the moment before each would cost as much as
/// it does.
const MOST_SMALL: u32 = 1 << 12;

/// How many evaluators the process has.
pub(super) static LIVING: AtomicUsize = AtomicUsize::new(0);

/// How many more values may turn out to be small.
pub(super) struct Jobs(Cell<u32>);

impl Jobs {
    pub(super) fn of(settings: &Settings) -> Jobs {
        Jobs(Cell::new(if settings.collection.jobs_from == usize::MAX { 0 } else { MOST_SMALL }))
    }

    /// Counts one that has made so many bytes, and says whether it was large.
    fn count(&self, made: usize) -> bool {
        let is_large = made >= memory::jobs_from();
        self.0.set(if is_large { MOST_SMALL } else { self.0.get().saturating_sub(1) });
        is_large
    }
}

impl Evaluator {
    /// Whether a value that is evaluated to be shown may be a job.
    #[inline]
    pub(super) fn expects_jobs(&self) -> bool {
        self.jobs.0.get() > 0 && self.observer.is_none() && !self.is_ahead()
    }

    /// As [`Evaluator::force`], for one of many values that are evaluated to be shown. If that has made a lot and comes to a
    /// text, a number or the like, what was made is used again as far as nothing refers to it.
    pub(crate) fn force_job(&self, value: Value, pos: Pos) -> Result<Value> {
        let is_done = Thunk::of(value).is_none_or(|thunk| thunk.result().is_some());
        if is_done || !self.expects_jobs() || self.has_offered() {
            return self.force(value, pos);
        }
        let before = self.heap.moment();
        let result = self.force(value, pos)?;
        let is_large = self.jobs.count(before.made_since());
        if is_large && result.is_text() && before.is_worth_it() && self.is_left_alone() {
            self.heap.free_since(&before, |see| {
                see(result.to_bits());
                self.each_root(see);
            });
        }
        Ok(result)
    }

    /// Ends the helpers. Whether nobody else can have got values then.
    fn is_left_alone(&self) -> bool {
        self.end_helpers();
        let is_alone = Arc::strong_count(&self.shared) == 1;
        self.is_alone.set(is_alone);
        is_alone && LIVING.load(Ordering::Relaxed) == 1
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
