//! `foldl'`: one call after the other, each with what the last one gave.
//!
//! What a call gives is not known before the one before it has ended, but mostly it first does something with its element.
//! So where the calls take long, the others call the function ahead, with something in the place of the result so far that
//! ends the attempt when it is needed. What was evaluated until then, a package that is an attribute of a set for example, is
//! there when the program comes to it. Up to there each of these calls does what the program will do anyway.

use std::time::{Duration, Instant};

use nival_syntax::Pos;

use super::{Env, Evaluator, Need};
use crate::code::Run;
use crate::error::Result;
use crate::value::{List, Thunk, Value, View};

/// So many calls show how long the others will take.
const TRIED: u32 = 4;
/// Shorter ones are not worth the attempt.
const WORTH_IT: Duration = Duration::from_micros(50);

/// Stands for what is not known.
struct Unknown;

impl Run for Unknown {
    fn run(&self, _: &Evaluator, _: Env) -> Result<Value> {
        Err(super::parallel::abandoned())
    }
}

impl Evaluator {
    /// Combines the elements of a list from the left.
    pub(crate) fn fold(&self, function: Value, start: Value, list: List, pos: Pos) -> Result<Value> {
        let mut current = start;
        let mut combine = |element| -> Result<()> {
            current = self.new_element(self.call(function, &[current, element], pos)?);
            Ok(())
        };
        let mut elements = list.iter();
        if self.has_company() && list.len() > TRIED as usize {
            let begun = Instant::now();
            elements.by_ref().take(TRIED as usize).try_for_each(&mut combine)?;
            if begun.elapsed() >= TRIED * WORTH_IT
                && let Some(attempts) = self.attempts(function, list, pos)
            {
                let later = || attempts.iter().skip(TRIED as usize);
                let _offer = self.offer(Need::Value, later());
                for (element, attempt) in elements.by_ref().zip(later()) {
                    self.forestall(attempt);
                    combine(element)?;
                }
            }
        }
        elements.try_for_each(combine)?;
        self.force(current, pos)
    }

    /// What the function makes of each element without knowing the result so far, if it is one that takes both at once.
    fn attempts(&self, function: Value, list: List, pos: Pos) -> Option<List> {
        let View::Lambda(lambda) = function.view() else { return None };
        if !lambda.code().takes_plainly(2) {
            return None;
        }
        let function = self.call(function, &[self.native_thunk(Unknown)], pos).ok()?;
        Some(List::mapped(&self.heap, function, list))
    }

    /// Keeps others from an attempt that comes too late.
    fn forestall(&self, attempt: Value) {
        if let Some(thunk) = Thunk::of(attempt)
            && thunk.claim(self.owner, self.is_alone.get()).is_some()
        {
            thunk.finish(&self.heap, Value::NULL);
        }
    }
}
