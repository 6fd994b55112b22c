//! Patterns without groups and alternatives, such as `[[:alnum:]]+` and `.*:.*`: whether one matches a text is found out in
//! one pass, with a bit for each place in the pattern that the text may have come to.

use super::program::{ByteSet, Op, Program};

/// A pattern that is some bytes, one after the other, each of which may be repeated.
#[derive(Debug)]
pub(super) struct Linear {
    /// For each byte, the places that take it.
    takes: [u64; 256],
    /// The places that may take any number of bytes, also none.
    repeats: u64,
    /// After how many places the pattern ends.
    length: u32,
}

impl Linear {
    pub(super) fn of(program: &Program) -> Option<Box<Linear>> {
        let mut linear = Box::new(Linear { takes: [0; 256], repeats: 0, length: 0 });
        if program.groups > 0 {
            return None;
        }
        let mut id = program.start;
        loop {
            let state = program.states[id as usize];
            let set = match state.op {
                Op::Byte(byte) => ByteSet::single(byte),
                Op::Set(set) => program.sets[set as usize],
                Op::SetRepeat(set) => {
                    linear.repeats |= 1 << linear.length;
                    program.sets[set as usize]
                }
                Op::Accept => return Some(linear),
                _ => return None,
            };
            for byte in (0..=u8::MAX).filter(|byte| set.contains(*byte)) {
                linear.takes[usize::from(byte)] |= 1 << linear.length;
            }
            linear.length += 1;
            if linear.length == u64::BITS {
                return None;
            }
            id = state.next;
        }
    }

    /// Whether the pattern takes the whole text.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let mut reached = self.with_skipped(1);
        for byte in text {
            let taken = reached & self.takes[usize::from(*byte)];
            reached = self.with_skipped(taken & self.repeats | (taken & !self.repeats) << 1);
            if reached == 0 {
                return false;
            }
        }
        reached >> self.length & 1 != 0
    }

    /// With the places that are reached when repetitions take nothing.
    #[inline]
    fn with_skipped(&self, reached: u64) -> u64 {
        let mut all = reached;
        loop {
            let more = all | (all & self.repeats) << 1;
            if more == all {
                return all;
            }
            all = more;
        }
    }
}
