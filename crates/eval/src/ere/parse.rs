//! From a pattern's text to its automaton, in one pass and without recursion.

use super::RegexError;
use super::bracket::parse_bracket;
use super::program::{ByteSet, LOOSE, Op, Program, State, StateId, add_set};

/// The reference's limit, `_GLIBCXX_REGEX_STATE_LIMIT`.
const STATE_LIMIT: u64 = 100_000;

/// A piece of automaton with one way in and one way out. Its states are contiguous: all that were
/// added since it began, so a copy is a copied range.
#[derive(Clone, Copy)]
struct Fragment {
    first_state: usize,
    start: StateId,
    end: StateId,
    /// May match nothing.
    empty: bool,
    /// How many states the reference would have here.
    weight: u64,
}

/// An open group, or the whole pattern.
struct Level {
    first_state: usize,
    group: u32,
    alternatives: Vec<Fragment>,
    sequence: Option<Fragment>,
}

pub(super) fn parse(pattern: &[u8]) -> Result<Program, RegexError> {
    let mut parser = Parser { pattern, at: 0, states: Vec::new(), sets: Vec::new(), groups: 0, weight: 1 };
    let whole = parser.pattern()?;
    let accept = parser.add(Op::Accept);
    parser.link(whole.end, accept);
    Ok(Program::new(parser.states, parser.sets, whole.start, parser.groups as usize))
}

struct Parser<'a> {
    pattern: &'a [u8],
    at: usize,
    states: Vec<State>,
    sets: Vec<ByteSet>,
    groups: u32,
    /// How many states the reference would have made so far.
    weight: u64,
}

impl Parser<'_> {
    fn pattern(&mut self) -> Result<Fragment, RegexError> {
        let mut outer = Vec::new();
        let mut level = self.open_level(0)?;
        while let Some(byte) = self.take() {
            let fragment = match byte {
                b'(' => {
                    self.groups += 1;
                    let inner = self.open_level(self.groups)?;
                    outer.push(std::mem::replace(&mut level, inner));
                    continue;
                }
                b'|' => {
                    let sequence = self.end_sequence(&mut level)?;
                    level.alternatives.push(sequence);
                    continue;
                }
                b')' => {
                    let outside = outer.pop().ok_or(RegexError::Invalid)?;
                    let inside = std::mem::replace(&mut level, outside);
                    let group = self.close_group(inside)?;
                    self.quantifiers(group)?
                }
                b'^' => self.single(Op::TextStart, true)?,
                b'$' => self.single(Op::TextEnd, true)?,
                b'*' | b'+' | b'?' | b'{' => return Err(RegexError::Invalid),
                b'.' => {
                    let any = add_set(&mut self.sets, ByteSet::any());
                    self.atom(Op::Set(any))?
                }
                b'[' => {
                    let (set, length) = parse_bracket(&self.pattern[self.at..])?;
                    self.at += length;
                    let set = add_set(&mut self.sets, set);
                    self.atom(Op::Set(set))?
                }
                b'\\' => {
                    // Only special characters may be escaped.
                    let escaped = self.take().ok_or(RegexError::Invalid)?;
                    if !br".[\()*+?{|^$".contains(&escaped) {
                        return Err(RegexError::Invalid);
                    }
                    self.atom(Op::Byte(escaped))?
                }
                0 => return Err(RegexError::Invalid),
                other => self.atom(Op::Byte(other))?,
            };
            level.sequence = Some(match level.sequence {
                None => fragment,
                Some(before) => self.concat(before, fragment),
            });
        }
        if !outer.is_empty() {
            return Err(RegexError::Invalid);
        }
        self.grow(2)?;
        self.close_level(level)
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.pattern.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn take_if(&mut self, wanted: u8) -> bool {
        let found = self.pattern.get(self.at) == Some(&wanted);
        self.at += usize::from(found);
        found
    }

    fn grow(&mut self, weight: u64) -> Result<(), RegexError> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > STATE_LIMIT { Err(RegexError::TooLarge) } else { Ok(()) }
    }

    fn add(&mut self, op: Op) -> StateId {
        self.states.push(State { op, next: LOOSE, choice: 0 });
        (self.states.len() - 1) as StateId
    }

    fn link(&mut self, from: StateId, to: StateId) {
        self.states[from as usize].next = to;
    }

    fn open_level(&mut self, group: u32) -> Result<Level, RegexError> {
        let first_state = self.states.len();
        if group != 0 {
            self.grow(1)?;
            self.add(Op::Open(group));
        }
        Ok(Level { first_state, group, alternatives: Vec::new(), sequence: None })
    }

    fn end_sequence(&mut self, level: &mut Level) -> Result<Fragment, RegexError> {
        self.grow(1)?;
        Ok(if let Some(mut sequence) = level.sequence.take() {
            sequence.weight += 1;
            sequence
        } else {
            let first_state = self.states.len();
            let join = self.add(Op::Join);
            Fragment { first_state, start: join, end: join, empty: true, weight: 1 }
        })
    }

    fn close_level(&mut self, mut level: Level) -> Result<Fragment, RegexError> {
        let last = self.end_sequence(&mut level)?;
        if level.alternatives.is_empty() {
            return Ok(last);
        }
        level.alternatives.push(last);
        // `a|b|c` is `(a|b)|c`.
        let mut alternatives = level.alternatives.into_iter();
        let mut all = alternatives.next().expect("there are at least two");
        for right in alternatives {
            self.grow(2)?;
            let join = self.add(Op::Join);
            self.link(all.end, join);
            self.link(right.end, join);
            let fork = self.add(Op::Alternative { left: all.start });
            self.link(fork, right.start);
            all = Fragment {
                first_state: all.first_state,
                start: fork,
                end: join,
                empty: all.empty || right.empty,
                weight: all.weight + right.weight + 2,
            };
        }
        Ok(all)
    }

    fn close_group(&mut self, level: Level) -> Result<Fragment, RegexError> {
        let (first_state, group) = (level.first_state, level.group);
        let inside = self.close_level(level)?;
        self.grow(1)?;
        let open = first_state as StateId;
        self.link(open, inside.start);
        let close = self.add(Op::Close(group));
        self.link(inside.end, close);
        Ok(Fragment { first_state, start: open, end: close, empty: inside.empty, weight: inside.weight + 2 })
    }

    fn single(&mut self, op: Op, empty: bool) -> Result<Fragment, RegexError> {
        self.grow(1)?;
        let first_state = self.states.len();
        let state = self.add(op);
        Ok(Fragment { first_state, start: state, end: state, empty, weight: 1 })
    }

    fn atom(&mut self, op: Op) -> Result<Fragment, RegexError> {
        let fragment = self.single(op, false)?;
        self.quantifiers(fragment)
    }

    fn concat(&mut self, left: Fragment, right: Fragment) -> Fragment {
        self.link(left.end, right.start);
        Fragment {
            first_state: left.first_state,
            start: left.start,
            end: right.end,
            empty: left.empty && right.empty,
            weight: left.weight + right.weight,
        }
    }

    fn quantifiers(&mut self, mut fragment: Fragment) -> Result<Fragment, RegexError> {
        loop {
            fragment = match self.pattern.get(self.at) {
                Some(b'*') => self.star(fragment)?,
                Some(b'+') => {
                    let repeated = self.star(fragment)?;
                    Fragment { start: fragment.start, empty: fragment.empty, ..repeated }
                }
                Some(b'?') => {
                    self.grow(1)?;
                    let join = self.add(Op::Join);
                    let optional = self.optional(fragment, join)?;
                    self.link(optional.end, join);
                    Fragment { end: join, weight: optional.weight + 1, ..optional }
                }
                Some(b'{') => {
                    self.at += 1;
                    fragment = self.interval(fragment)?;
                    continue;
                }
                _ => return Ok(fragment),
            };
            self.at += 1;
        }
    }

    fn repeat(&mut self, body: Fragment) -> Result<StateId, RegexError> {
        self.grow(1)?;
        Ok(self.add(Op::Repeat { body: body.start, empty_body: body.empty }))
    }

    fn star(&mut self, body: Fragment) -> Result<Fragment, RegexError> {
        let repeat = self.repeat(body)?;
        self.link(body.end, repeat);
        Ok(Fragment { start: repeat, end: repeat, empty: true, weight: body.weight + 1, ..body })
    }

    /// `body` or nothing; nothing leads to `otherwise`, the loose end is that of `body`.
    fn optional(&mut self, body: Fragment, otherwise: StateId) -> Result<Fragment, RegexError> {
        let repeat = self.repeat(body)?;
        self.link(repeat, otherwise);
        Ok(Fragment { start: repeat, empty: true, weight: body.weight + 1, ..body })
    }

    fn interval(&mut self, body: Fragment) -> Result<Fragment, RegexError> {
        let least = self.count()?.ok_or(RegexError::Invalid)?;
        let most = if self.take_if(b',') { self.count()? } else { Some(least) };
        if !self.take_if(b'}') {
            return Err(RegexError::Invalid);
        }
        let optional = match most {
            Some(most) => Some(most.checked_sub(least).ok_or(RegexError::Invalid)?),
            None => None,
        };
        // Refused before anything is copied.
        let copies = u64::from(least) * body.weight;
        let rest = optional.map_or(body.weight, |count| u64::from(count) * (body.weight + 1));
        if self.weight + copies + rest > STATE_LIMIT {
            return Err(RegexError::TooLarge);
        }

        let template = self.states[body.first_state..].to_vec();
        self.grow(1)?;
        let start = self.add(Op::Join);
        let mut all = Fragment { first_state: body.first_state, start, end: start, empty: true, weight: 1 };
        for _ in 0..least {
            let copy = self.copy(body, &template)?;
            all = self.concat(all, copy);
        }
        match optional {
            None => {
                let copy = self.copy(body, &template)?;
                let star = self.star(copy)?;
                Ok(self.concat(all, star))
            }
            Some(count) => {
                self.grow(1)?;
                let end = self.add(Op::Join);
                for _ in 0..count {
                    let copy = self.copy(body, &template)?;
                    let optional = self.optional(copy, end)?;
                    all = self.concat(all, optional);
                }
                self.link(all.end, end);
                Ok(Fragment { end, weight: all.weight + 1, ..all })
            }
        }
    }

    fn count(&mut self) -> Result<Option<u32>, RegexError> {
        let digits = self.pattern[self.at..].iter().take_while(|byte| byte.is_ascii_digit());
        let mut length = 0;
        let mut count: i32 = 0;
        for digit in digits {
            length += 1;
            count = count
                .checked_mul(10)
                .and_then(|count| count.checked_add(i32::from(digit - b'0')))
                .ok_or(RegexError::Invalid)?;
        }
        self.at += length;
        Ok(if length == 0 { None } else { Some(count.unsigned_abs()) })
    }

    fn copy(&mut self, body: Fragment, template: &[State]) -> Result<Fragment, RegexError> {
        self.grow(body.weight)?;
        let first_state = self.states.len();
        let shift = (first_state - body.first_state) as StateId;
        let moved = |id: StateId| if id == LOOSE { LOOSE } else { id + shift };
        self.states.extend(template.iter().map(|state| State {
            op: match state.op {
                Op::Alternative { left } => Op::Alternative { left: moved(left) },
                Op::Repeat { body, empty_body } => Op::Repeat { body: moved(body), empty_body },
                other => other,
            },
            next: moved(state.next),
            choice: 0,
        }));
        Ok(Fragment { first_state, start: moved(body.start), end: moved(body.end), ..body })
    }
}
