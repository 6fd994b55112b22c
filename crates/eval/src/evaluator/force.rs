//! From thunks to values.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nival_syntax::Pos;

use super::parallel::DeepOffer;
use super::{Env, Evaluator};
use crate::code::Code;
use crate::debug;
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::value::{Arguments, Element, Slot, State, Suspension, Thunk, Value, View, Work};
use crate::{memory, stack};

/// For each evaluator the one it waits for (0: none), to see cycles across threads.
static WAITING_FOR: [AtomicU32; super::MAX_EVALUATORS as usize] =
    [const { AtomicU32::new(0) }; super::MAX_EVALUATORS as usize];

/// What a thunk must have allocated before the stack is worth clearing after it, in bytes.
const LARGE: usize = 2 << 20;
/// So much of the stack is cleared: few evaluations go deeper.
const CLEARED: usize = 192 << 10;

/// From so many bytes on, shared by all threads, what the host can have again is put away, and then after each so many more.
pub(super) const PUT_AWAY_FROM: usize = 192 << 20;
const PUT_AWAY_EVERY: usize = 8 << 20;

const SPINS: u32 = 64;
/// In microseconds.
const SHORTEST_NAP: u32 = 5;
const LONGEST_NAP: u32 = 100;

enum Cycle {
    None,
    /// One of those who wait for each other would give up.
    WithOneAhead,
    OfNeeds,
}

impl Evaluator {
    /// Evaluates a value to its outermost form. The position is where it is needed.
    #[inline(always)]
    pub fn force(&self, value: Value, pos: Pos) -> Result<Value> {
        if value.is_forced() { Ok(value) } else { self.force_thunk(value, pos) }
    }

    /// Evaluates what is in a place. The place then has the result itself, so that it is found with one step.
    #[inline(always)]
    pub(crate) fn force_place(&self, place: &'static Slot, pos: Pos) -> Result<Value> {
        match place.known() {
            Some(value) => Ok(value),
            None => self.force_unknown(place, pos),
        }
    }

    #[inline(never)]
    fn force_unknown(&self, place: &'static Slot, pos: Pos) -> Result<Value> {
        let Some(thunk) = place.elsewhere() else { return self.compute(Thunk::at(place), pos) };
        let value = match thunk.result() {
            Some(value) => value,
            None => self.compute(thunk, pos)?,
        };
        place.set(value);
        Ok(value)
    }

    #[inline]
    fn force_thunk(&self, value: Value, pos: Pos) -> Result<Value> {
        let Some(thunk) = Thunk::of(value) else { return Ok(value) };
        match thunk.result() {
            Some(value) => Ok(value),
            None => self.compute(thunk, pos),
        }
    }

    #[inline(never)]
    fn compute(&self, thunk: Thunk, pos: Pos) -> Result<Value> {
        let Some(suspension) = thunk.claim(self.owner, self.is_alone.get()) else {
            return self.join(thunk, pos);
        };
        if let Err(error) = self.check_stack(pos) {
            return Err(self.fail(thunk, suspension, error));
        }
        let before = self.heap.handed_out();
        let result = match suspension.work(thunk) {
            Work::Code(code, env) => code.run(self, env),
            Work::Element(element) => self.compute_element(element, thunk, suspension, pos),
        };
        if self.heap.handed_out() - before >= LARGE {
            self.clear_stack();
            self.put_away();
        }
        match result {
            Ok(value) => Ok(thunk.finish(&self.heap, value)),
            Err(error) => Err(self.fail(thunk, suspension, error)),
        }
    }

    /// Overwrites what a large computation has left on the stack: it would look like references to what became garbage.
    #[cold]
    fn clear_stack(&self) {
        if !memory::keeps_clean() {
            return;
        }
        let (made, here) = (self.heap.handed_out(), stack::current_address());
        let (made_before, cleared_from) = self.cleared.replace((made, here));
        let is_little = made - made_before < LARGE / 4;
        let bytes = if is_little { here.abs_diff(cleared_from) + CLEARED / 4 } else { CLEARED };
        let free = here.saturating_sub(self.stack_limit.load(Ordering::Relaxed));
        stack::clear_below(bytes.min(CLEARED).min(free));
    }

    /// Lets the host put away what it can have again, whenever values and trees have taken so much more memory.
    #[cold]
    pub(super) fn put_away(&self) {
        let taken = self.heap.handed_out() + self.loaded.get();
        if taken >= self.put_away_at.get() {
            self.put_away_at.set(taken + PUT_AWAY_EVERY);
            self.shared.host.put_away();
        }
    }

    #[inline(never)]
    fn compute_element(
        &self,
        element: Element,
        thunk: Thunk,
        suspension: Suspension,
        pos: Pos,
    ) -> Result<Value> {
        if self.is_going_round() {
            thunk.restore(suspension);
        } else {
            thunk.mark_as_element(self.owner);
        }
        match self.apply_element(element, pos) {
            Err(error) if error.kind() == ErrorKind::Abandoned && self.going_round.get() == Some(thunk) => {
                self.go_round(element, thunk, suspension, pos)
            }
            result => result,
        }
    }

    /// An element that needs itself: the reference does not see that, and calls its function until there is no room.
    #[cold]
    fn go_round(&self, element: Element, thunk: Thunk, suspension: Suspension, pos: Pos) -> Result<Value> {
        thunk.restore(suspension);
        let result = self.apply_element(element, pos);
        self.going_round.set(None);
        result
    }

    /// Whether an element that needs itself is computed again and again.
    #[inline]
    pub(super) fn is_going_round(&self) -> bool {
        self.going_round.get().is_some()
    }

    fn apply_element(&self, element: Element, pos: Pos) -> Result<Value> {
        let (function, arguments) = element.call();
        match arguments {
            Arguments::Index(index) => self.call(function, &[self.int(index as i64)], pos),
            Arguments::Value(value) => self.call(function, &[value], pos),
            Arguments::NameAndValue(name, value) => {
                self.call_in_call(function, self.name_string(name), value, pos)
            }
        }
    }

    /// A thunk whose evaluation gave this error.
    #[cold]
    pub(crate) fn failed_thunk(&self, code: &'static Code, env: Env, error: EvalError) -> Value {
        env.escape();
        let value = Thunk::alone(&self.heap, Suspension::code(code, env));
        if let Some(thunk) = Thunk::of(value) {
            thunk.fail(&self.heap, error);
        }
        value
    }

    /// Someone else, or this evaluator itself, is at it or is done by now.
    #[cold]
    fn join(&self, thunk: Thunk, pos: Pos) -> Result<Value> {
        let waiting_for = &WAITING_FOR[self.owner as usize];
        let mut rounds = 0_u32;
        let result = loop {
            match thunk.state() {
                State::Done(value) => break Ok(value),
                State::Failed(error) => break Err(error.clone()),
                State::Suspended => break self.compute(thunk, pos),
                State::Claimed(owner) if owner == self.owner => {
                    if thunk.is_claimed_element() && !self.is_ahead() {
                        self.going_round.set(Some(thunk));
                        break Err(super::parallel::abandoned());
                    }
                    break Err(self.recursion(pos));
                }
                State::Claimed(owner) => {
                    waiting_for.store(owner, Ordering::SeqCst);
                    self.heap.pause();
                    rounds += 1;
                    if rounds < SPINS {
                        std::hint::spin_loop();
                        continue;
                    }
                    if let Err(error) = self.check_stack(pos) {
                        break Err(error);
                    }
                    match self.cycle() {
                        // Those who run ahead give way, so that who does not sees the cycle where it is.
                        Cycle::None | Cycle::WithOneAhead if !self.is_ahead() => {}
                        Cycle::None if !self.is_over() => {}
                        _ => break Err(self.recursion(pos)),
                    }
                    waiting_for.store(0, Ordering::SeqCst);
                    if self.make_a_detour() {
                        rounds = 0;
                    } else {
                        waiting_for.store(owner, Ordering::SeqCst);
                        let nap = (rounds - SPINS + 1) * SHORTEST_NAP;
                        std::thread::sleep(Duration::from_micros(u64::from(nap.min(LONGEST_NAP))));
                    }
                }
            }
        };
        waiting_for.store(0, Ordering::SeqCst);
        result
    }

    /// Whether this evaluator waits for itself by way of others.
    fn cycle(&self) -> Cycle {
        let mut owner = self.owner;
        let mut one_is_ahead = false;
        for _ in 0..super::MAX_EVALUATORS {
            one_is_ahead |= super::parallel::is_ahead(owner);
            owner = WAITING_FOR[owner as usize].load(Ordering::SeqCst);
            if owner == 0 {
                return Cycle::None;
            }
            if owner == self.owner {
                return if one_is_ahead { Cycle::WithOneAhead } else { Cycle::OfNeeds };
            }
        }
        Cycle::None
    }

    #[cold]
    fn recursion(&self, pos: Pos) -> EvalError {
        if self.is_ahead() {
            return super::parallel::abandoned();
        }
        EvalError::new(ErrorKind::InfiniteRecursion, "infinite recursion encountered").at(pos)
    }

    /// The thunk keeps the error, but for one that may not come again in other circumstances.
    #[cold]
    fn fail(&self, thunk: Thunk, suspension: Suspension, error: EvalError) -> EvalError {
        match error.kind() {
            _ if self.is_ahead() => thunk.restore(suspension),
            ErrorKind::StackOverflow | ErrorKind::Interrupted | ErrorKind::Host | ErrorKind::Abandoned => {
                thunk.restore(suspension);
            }
            _ => thunk.fail(&self.heap, error.share()),
        }
        error
    }

    /// Evaluates a value and all that is in it.
    pub fn force_deep(&self, value: Value) -> Result<Value> {
        self.force_deep_in(value, &mut HashSet::new())
    }

    fn force_deep_in(&self, value: Value, seen: &mut HashSet<u64>) -> Result<Value> {
        let pos = place(value);
        let _depth = self.enter(pos)?;
        let value = self.force_job(value, pos)?;
        match value.view() {
            View::Lambda(lambda) => lambda.code().see(),
            View::Attrs(attrs) if seen.insert(value.to_bits()) => {
                let mut offer = DeepOffer::default();
                for (index, attr) in attrs.iter().enumerate() {
                    offer.renew(self, || attrs.iter().skip(index).map(|attr| attr.value));
                    debug::in_attribute(self, attr, || self.force_deep_in(attr.value, seen))
                        .map_err(|error| error.with_frame(super::attribute_frame(attr.name), attr.pos()))?;
                }
            }
            View::List(list) if seen.insert(value.to_bits()) => {
                let mut offer = DeepOffer::default();
                for (index, element) in list.iter().enumerate() {
                    offer.renew(self, || list.iter().skip(index));
                    self.force_deep_in(element, seen).frame_with(
                        || format!("while evaluating list element at index {index}"),
                        Pos::NONE,
                    )?;
                }
            }
            _ => {}
        }
        Ok(value)
    }
}

/// Where a value comes from, as far as it shows without evaluation.
pub(crate) fn place(value: Value) -> Pos {
    match value.settled().view() {
        View::Lambda(lambda) if lambda.code().is_seen() => lambda.code().pos,
        View::Attrs(attrs) => attrs.braces(),
        View::Thunk => Thunk::of(value).and_then(Thunk::function).map_or(Pos::NONE, place),
        _ => Pos::NONE,
    }
}

/// The same, or else another place.
pub(crate) fn place_or(value: Value, other: Pos) -> Pos {
    let pos = place(value);
    if pos.is_none() { other } else { pos }
}
