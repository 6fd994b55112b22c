//! Runs an automaton over a text.
//!
//! What can be reached from a state at a place in the text doesn't depend on how one came there
//! (but for repetitions whose body may be empty, whose rounds at that place count), so each choice
//! is decided once and remembered. The groups are read off afterwards, by following the decisions.

use std::cell::RefCell;
use std::collections::HashMap;

use super::program::{Op, Program, StateId};
use super::{Group, Match, RegexError};

/// What counts as a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// The pattern has to take the whole text.
    Whole,
    /// Alternatives compete for the longest match.
    Longest,
}

/// Outcome of a state at a place: not known yet, no match, or a match with its end and whether
/// the choice was the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome(u32);

impl Outcome {
    const UNKNOWN: Self = Self(0);
    const FAILED: Self = Self(1);

    fn matched(end: usize) -> Self {
        Self((end as u32 + 1) << 1)
    }

    fn choosing(self, second: bool) -> Self {
        if self == Self::FAILED { self } else { Self(self.0 & !1 | u32::from(second)) }
    }

    fn end(self) -> Option<usize> {
        if self.0 > 1 { Some((self.0 >> 1) as usize - 1) } else { None }
    }

    fn is_second(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A text must be shorter than this, so that an [`Outcome`] can hold its length.
const TEXT_LIMIT: usize = 1 << 30;
/// Above this many outcomes they are kept in a map instead of a table.
const TABLE_LIMIT: usize = 1 << 22;
/// Above this many outcomes in the map the match is given up.
const MAP_LIMIT: usize = 1 << 24;

/// How often repetitions with an empty body have gone round at the present place: an index into
/// [`Scratch::rounds`]. Zero: none has.
type RoundsId = u32;
const NO_ROUNDS: RoundsId = 0;

#[derive(Debug, Clone, Copy)]
enum Stage {
    Left,
    Right { left: Outcome },
    Body,
    Exit,
    Run { at: usize },
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    state: StateId,
    at: usize,
    rounds: RoundsId,
    stage: Stage,
}

/// What is remembered while one text is matched; the memory is used again for the next.
#[derive(Default)]
struct Scratch {
    table: Vec<u32>,
    map: HashMap<(u32, usize, RoundsId), Outcome>,
    /// Outcomes at the place where an empty match isn't wanted.
    at_start: HashMap<(u32, RoundsId), Outcome>,
    stack: Vec<Frame>,
    rounds: Vec<Vec<(u32, u8)>>,
    rounds_ids: HashMap<Vec<(u32, u8)>, RoundsId>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A text being matched.
pub(super) struct Matcher<'a> {
    program: &'a Program,
    text: &'a [u8],
    goal: Goal,
    scratch: &'a mut Scratch,
    /// A match that is empty and ends here isn't wanted.
    refused_end: Option<usize>,
}

/// Runs `with` on a matcher for `text`.
pub(super) fn with_matcher<R>(
    program: &Program,
    text: &[u8],
    goal: Goal,
    with: impl FnOnce(&mut Matcher<'_>) -> Result<R, RegexError>,
) -> Result<R, RegexError> {
    if text.len() >= TEXT_LIMIT {
        return Err(RegexError::TooLarge);
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.table.clear();
        scratch.map.clear();
        let size = program.choices * (text.len() + 1);
        if size <= TABLE_LIMIT {
            scratch.table.resize(size, Outcome::UNKNOWN.0);
        }
        scratch.rounds.clear();
        scratch.rounds.push(Vec::new());
        scratch.rounds_ids.clear();
        with(&mut Matcher { program, text, goal, scratch, refused_end: None })
    })
}

impl Matcher<'_> {
    /// Matches from `start` on.
    pub(super) fn match_at(&mut self, start: usize, refuse_empty: bool) -> Result<Option<Match>, RegexError> {
        self.scratch.at_start.clear();
        self.refused_end = refuse_empty.then_some(start);
        let outcome = self.decide(start)?;
        Ok(outcome.end().map(|end| Match { range: start..end, groups: self.groups(start) }))
    }

    fn recall(&self, choice: u32, at: usize, rounds: RoundsId) -> Outcome {
        if self.refused_end == Some(at) {
            let known = self.scratch.at_start.get(&(choice, rounds));
            return known.copied().unwrap_or(Outcome::UNKNOWN);
        }
        if rounds == NO_ROUNDS && !self.scratch.table.is_empty() {
            return Outcome(self.scratch.table[self.index(choice, at)]);
        }
        self.scratch.map.get(&(choice, at, rounds)).copied().unwrap_or(Outcome::UNKNOWN)
    }

    fn remember(
        &mut self,
        choice: u32,
        at: usize,
        rounds: RoundsId,
        outcome: Outcome,
    ) -> Result<(), RegexError> {
        if self.refused_end == Some(at) {
            self.scratch.at_start.insert((choice, rounds), outcome);
        } else if rounds == NO_ROUNDS && !self.scratch.table.is_empty() {
            let index = self.index(choice, at);
            self.scratch.table[index] = outcome.0;
        } else {
            self.scratch.map.insert((choice, at, rounds), outcome);
        }
        if self.scratch.map.len() + self.scratch.at_start.len() > MAP_LIMIT {
            return Err(RegexError::TooLarge);
        }
        Ok(())
    }

    fn index(&self, choice: u32, at: usize) -> usize {
        choice as usize * (self.text.len() + 1) + at
    }

    /// Walks on from a state to the next choice that isn't decided, which is pushed on the stack,
    /// or to an outcome.
    fn walk(&mut self, mut id: StateId, mut at: usize, mut rounds: RoundsId) -> Result<Outcome, RegexError> {
        loop {
            let state = self.program.states[id as usize];
            let takes = match state.op {
                Op::Byte(byte) => Some(self.text.get(at) == Some(&byte)),
                Op::Set(set) => {
                    let set = &self.program.sets[set as usize];
                    Some(self.text.get(at).is_some_and(|&byte| set.contains(byte)))
                }
                _ => None,
            };
            match takes {
                Some(true) => {
                    (id, at, rounds) = (state.next, at + 1, NO_ROUNDS);
                    continue;
                }
                Some(false) => return Ok(Outcome::FAILED),
                None => {}
            }
            match state.op {
                Op::TextStart if at != 0 => return Ok(Outcome::FAILED),
                Op::TextEnd if at != self.text.len() => return Ok(Outcome::FAILED),
                Op::Accept => {
                    let wanted = match self.goal {
                        Goal::Whole => at == self.text.len(),
                        Goal::Longest => self.refused_end != Some(at),
                    };
                    return Ok(if wanted { Outcome::matched(at) } else { Outcome::FAILED });
                }
                Op::Alternative { .. } | Op::Repeat { .. } | Op::SetRepeat(_) => {}
                _ => {
                    id = state.next;
                    continue;
                }
            }
            let known = self.recall(state.choice, at, rounds);
            if known != Outcome::UNKNOWN {
                return Ok(known);
            }
            let frame = |stage| Frame { state: id, at, rounds, stage };
            match state.op {
                Op::Alternative { left } => {
                    self.scratch.stack.push(frame(Stage::Left));
                    id = left;
                }
                Op::Repeat { body, empty_body } => match self.go_round(id, rounds, empty_body) {
                    Some(next_rounds) => {
                        self.scratch.stack.push(frame(Stage::Body));
                        (id, rounds) = (body, next_rounds);
                    }
                    None => {
                        self.scratch.stack.push(frame(Stage::Exit));
                        id = state.next;
                    }
                },
                Op::SetRepeat(set) => {
                    let end = match self.run_end(state.choice, set, at) {
                        (end, Outcome::UNKNOWN) => end,
                        (end, Outcome::FAILED) => end - 1,
                        (end, known) => {
                            let outcome = known.choosing(false);
                            self.remember(state.choice, at, rounds, outcome)?;
                            for between in at + 1..end {
                                self.remember(state.choice, between, NO_ROUNDS, outcome)?;
                            }
                            return Ok(outcome);
                        }
                    };
                    self.scratch.stack.push(frame(Stage::Run { at: end }));
                    if end > at {
                        (at, rounds) = (end, NO_ROUNDS);
                    }
                    id = state.next;
                }
                _ => {}
            }
        }
    }

    /// How far a repetition of a set reaches from `at`: to the first byte that isn't in the set, or
    /// to a place from where its outcome is known already.
    fn run_end(&self, choice: u32, set: u32, at: usize) -> (usize, Outcome) {
        let set = &self.program.sets[set as usize];
        let mut end = at;
        while self.text.get(end).is_some_and(|&byte| set.contains(byte)) {
            end += 1;
            let known = self.recall(choice, end, NO_ROUNDS);
            if known != Outcome::UNKNOWN {
                return (end, known);
            }
        }
        (end, Outcome::UNKNOWN)
    }

    /// The rounds after another one of this repetition, if it may have one: two without taking a
    /// byte are allowed.
    fn go_round(&mut self, id: StateId, rounds: RoundsId, empty_body: bool) -> Option<RoundsId> {
        if !empty_body {
            return Some(rounds);
        }
        let mut counts = self.scratch.rounds[rounds as usize].clone();
        match counts.binary_search_by_key(&id, |(repeat, _)| *repeat) {
            Ok(index) if counts[index].1 >= 2 => return None,
            Ok(index) => counts[index].1 += 1,
            Err(index) => counts.insert(index, (id, 1)),
        }
        let scratch = &mut *self.scratch;
        Some(*scratch.rounds_ids.entry(counts).or_insert_with_key(|counts| {
            scratch.rounds.push(counts.clone());
            (scratch.rounds.len() - 1) as RoundsId
        }))
    }

    fn decide(&mut self, start: usize) -> Result<Outcome, RegexError> {
        self.scratch.stack.clear();
        let mut outcome = self.walk(self.program.start, start, NO_ROUNDS)?;
        while let Some(frame) = self.scratch.stack.pop() {
            let state = self.program.states[frame.state as usize];
            // What to try next, or else the outcome of this choice.
            let (next, at, stage) = match frame.stage {
                Stage::Left => {
                    if self.goal == Goal::Longest || outcome == Outcome::FAILED {
                        (state.next, frame.at, Stage::Right { left: outcome })
                    } else {
                        outcome = outcome.choosing(false);
                        self.remember(state.choice, frame.at, frame.rounds, outcome)?;
                        continue;
                    }
                }
                Stage::Right { left } => {
                    outcome = if left.end() >= outcome.end() {
                        left.choosing(false)
                    } else {
                        outcome.choosing(true)
                    };
                    self.remember(state.choice, frame.at, frame.rounds, outcome)?;
                    continue;
                }
                Stage::Body if outcome == Outcome::FAILED => (state.next, frame.at, Stage::Exit),
                Stage::Body | Stage::Exit => {
                    outcome = outcome.choosing(matches!(frame.stage, Stage::Exit));
                    self.remember(state.choice, frame.at, frame.rounds, outcome)?;
                    continue;
                }
                Stage::Run { at } => {
                    outcome = outcome.choosing(true);
                    let rounds = if at > frame.at { NO_ROUNDS } else { frame.rounds };
                    self.remember(state.choice, at, rounds, outcome)?;
                    if outcome == Outcome::FAILED && at > frame.at {
                        (state.next, at - 1, Stage::Run { at: at - 1 })
                    } else {
                        outcome = outcome.choosing(at == frame.at);
                        if at > frame.at {
                            self.remember(state.choice, frame.at, frame.rounds, outcome)?;
                        }
                        for between in frame.at + 1..at {
                            self.remember(state.choice, between, NO_ROUNDS, outcome)?;
                        }
                        continue;
                    }
                }
            };
            self.scratch.stack.push(Frame { stage, ..frame });
            let rounds = if at > frame.at { NO_ROUNDS } else { frame.rounds };
            outcome = self.walk(next, at, rounds)?;
        }
        Ok(outcome)
    }

    /// Follows the decisions of a match that begins at `start`.
    fn groups(&mut self, start: usize) -> Vec<Group> {
        let mut groups: Vec<Group> = vec![None; self.program.groups];
        if groups.is_empty() {
            return groups;
        }
        let mut starts = vec![0; self.program.groups];
        let (mut id, mut at, mut rounds) = (self.program.start, start, NO_ROUNDS);
        loop {
            let repeat = id;
            let state = self.program.states[id as usize];
            id = state.next;
            match state.op {
                Op::Byte(_) | Op::Set(_) => (at, rounds) = (at + 1, NO_ROUNDS),
                Op::Open(group) => starts[group as usize - 1] = at,
                Op::Close(group) => {
                    groups[group as usize - 1] = Some(starts[group as usize - 1]..at);
                }
                Op::Alternative { left } => {
                    if !self.recall(state.choice, at, rounds).is_second() {
                        id = left;
                    }
                }
                Op::Repeat { body, empty_body } => {
                    if !self.recall(state.choice, at, rounds).is_second() {
                        rounds = self.go_round(repeat, rounds, empty_body).unwrap_or(rounds);
                        id = body;
                    }
                }
                Op::SetRepeat(_) => {
                    while !self.recall(state.choice, at, rounds).is_second() {
                        (at, rounds) = (at + 1, NO_ROUNDS);
                    }
                }
                Op::TextStart | Op::TextEnd | Op::Join => {}
                Op::Accept => return groups,
            }
        }
    }
}
