//! The automaton that a pattern compiles to.

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(super) fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    pub(super) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }

    pub(super) fn union(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
    }

    pub(super) fn complement(&self) -> Self {
        Self(self.0.map(|word| !word))
    }

    pub(super) fn single(byte: u8) -> Self {
        let mut set = Self::default();
        set.insert(byte);
        set
    }

    /// What `.` matches: everything but NUL.
    pub(super) fn any() -> Self {
        Self::single(0).complement()
    }
}

/// Index of a [`State`].
pub(super) type StateId = u32;

/// A link that isn't set yet: the loose end of a fragment.
pub(super) const LOOSE: StateId = StateId::MAX;

/// What a state does before it goes on to `next`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    /// Takes this byte.
    Byte(u8),
    /// Takes a byte of this set (an index into [`Program::sets`]).
    Set(u32),
    /// Takes as many bytes of a set as lead to a match.
    SetRepeat(u32),
    /// Tries `left`, then `next`, and takes the longer.
    Alternative { left: StateId },
    /// Tries `body`, and only if that can't match, `next`.
    Repeat {
        body: StateId,
        /// The body may match nothing, so that rounds at one place must be counted.
        empty_body: bool,
    },
    /// A capture group begins.
    Open(u32),
    /// A capture group ends.
    Close(u32),
    /// Only at the start of the text.
    TextStart,
    /// Only at the end of the text.
    TextEnd,
    /// Nothing.
    Join,
    /// The end of the pattern.
    Accept,
}

/// A state of the automaton.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) op: Op,
    pub(super) next: StateId,
    /// The number of this state among those where there is a choice.
    pub(super) choice: u32,
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) states: Vec<State>,
    pub(super) sets: Vec<ByteSet>,
    pub(super) start: StateId,
    pub(super) groups: usize,
    pub(super) choices: usize,
    /// The bytes that a match may begin with, unless it may be empty.
    pub(super) first_bytes: Option<ByteSet>,
}

impl Program {
    /// Finishes the automaton: no state leads to a [`Op::Join`], repetitions of one byte or set
    /// are fused, choices are numbered.
    pub(super) fn new(mut states: Vec<State>, mut sets: Vec<ByteSet>, start: StateId, groups: usize) -> Self {
        let skip_joins = |states: &[State], mut id: StateId| {
            while let State { op: Op::Join, next, .. } = states[id as usize]
                && next != LOOSE
            {
                id = next;
            }
            id
        };
        for index in 0..states.len() {
            let mut state = states[index];
            if state.next != LOOSE {
                state.next = skip_joins(&states, state.next);
            }
            match &mut state.op {
                Op::Alternative { left: other } | Op::Repeat { body: other, .. } => {
                    *other = skip_joins(&states, *other);
                }
                _ => {}
            }
            states[index] = state;
        }
        let start = skip_joins(&states, start);
        let mut choices = 0;
        for index in 0..states.len() {
            let state = states[index];
            if let Op::Repeat { body, .. } = state.op
                && states[body as usize].next == index as StateId
            {
                let fused = match states[body as usize].op {
                    Op::Byte(byte) => Some(add_set(&mut sets, ByteSet::single(byte))),
                    Op::Set(set) => Some(set),
                    _ => None,
                };
                if let Some(set) = fused {
                    states[index].op = Op::SetRepeat(set);
                }
            }
            if matches!(states[index].op, Op::Alternative { .. } | Op::Repeat { .. } | Op::SetRepeat(_)) {
                states[index].choice = choices;
                choices += 1;
            }
        }
        let mut program = Self { states, sets, start, groups, choices: choices as usize, first_bytes: None };
        program.first_bytes = program.find_first_bytes();
        program
    }

    fn find_first_bytes(&self) -> Option<ByteSet> {
        let mut found = ByteSet::default();
        let mut seen = vec![false; self.states.len()];
        let mut pending = vec![self.start];
        while let Some(id) = pending.pop() {
            if std::mem::replace(&mut seen[id as usize], true) {
                continue;
            }
            let state = self.states[id as usize];
            match state.op {
                Op::Byte(byte) => found.insert(byte),
                Op::Set(set) => found.union(&self.sets[set as usize]),
                Op::SetRepeat(set) => {
                    found.union(&self.sets[set as usize]);
                    pending.push(state.next);
                }
                Op::Alternative { left: other } | Op::Repeat { body: other, .. } => {
                    pending.extend([other, state.next]);
                }
                Op::Open(_) | Op::Close(_) | Op::TextStart | Op::TextEnd | Op::Join => {
                    pending.push(state.next);
                }
                Op::Accept => return None,
            }
        }
        Some(found)
    }
}

/// The index of `set`, added if need be.
pub(super) fn add_set(sets: &mut Vec<ByteSet>, set: ByteSet) -> u32 {
    let index = sets.iter().position(|known| *known == set).unwrap_or_else(|| {
        sets.push(set);
        sets.len() - 1
    });
    index as u32
}
