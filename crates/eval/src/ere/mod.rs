//! POSIX extended regular expressions, as `builtins.match` and `builtins.split` mean them.
//!
//! The reference hands its patterns to libstdc++'s `std::regex` with the `extended` flag, so what
//! a pattern means is what that engine does, byte by byte: alternatives in a search prefer the
//! longest match, repetitions are greedy and don't look further once they succeed, a repetition
//! may go round an empty iteration, and a group keeps what it matched in an earlier iteration.
//! Unlike it, this engine neither overflows the stack nor takes exponential time: every choice is
//! decided once for each place in the text.
//!
//! ```
//! use nival_eval::ere::Regex;
//! let regex = Regex::new(b"(a|ab)(c|bcd)(d*)")?;
//! let groups = regex.match_whole(b"abcd")?.expect("it matches");
//! assert_eq!(groups, [Some(0..1), Some(1..4), Some(4..4)]);
//! # Ok::<(), nival_eval::ere::RegexError>(())
//! ```

mod bracket;
mod linear;
mod matcher;
mod parse;
mod program;

use std::ops::Range;

use linear::Linear;
use matcher::{Goal, with_matcher};
use program::Program;

/// Why a pattern can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    /// The pattern isn't an extended regular expression.
    #[error("invalid regular expression")]
    Invalid,
    /// The pattern, or what has to be remembered while matching it, is too large.
    #[error("memory limit exceeded by regular expression")]
    TooLarge,
}

/// A capture group: the bytes it matched, if it took part.
pub type Group = Option<Range<usize>>;

/// A match found by [`Regex::search_all`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The bytes of the whole match.
    pub range: Range<usize>,
    /// The capture groups, without the whole.
    pub groups: Vec<Group>,
}

/// A compiled pattern.
#[derive(Debug)]
pub struct Regex {
    program: Program,
    linear: Option<Box<Linear>>,
}

impl Regex {
    /// Compiles a pattern.
    pub fn new(pattern: &[u8]) -> Result<Self, RegexError> {
        let program = parse::parse(pattern)?;
        Ok(Self { linear: Linear::of(&program), program })
    }

    /// Matches the whole of `text`; gives the capture groups.
    pub fn match_whole(&self, text: &[u8]) -> Result<Option<Vec<Group>>, RegexError> {
        if let Some(linear) = &self.linear {
            return Ok(linear.matches(text).then(Vec::new));
        }
        if let Some(first) = &self.program.first_bytes
            && !text.first().is_some_and(|byte| first.contains(*byte))
        {
            return Ok(None);
        }
        with_matcher(&self.program, text, Goal::Whole, |matcher| {
            Ok(matcher.match_at(0, false)?.map(|found| found.groups))
        })
    }

    /// All matches in `text` that don't overlap, from the left.
    pub fn search_all(&self, text: &[u8]) -> Result<Vec<Match>, RegexError> {
        with_matcher(&self.program, text, Goal::Longest, |matcher| {
            let mut found: Vec<Match> = Vec::new();
            let mut start = 0;
            loop {
                // After an empty match, a match that isn't empty may begin at the same place.
                if let Some(last) = found.last()
                    && last.range.is_empty()
                {
                    if start == text.len() {
                        break;
                    }
                    if let Some(next) = matcher.match_at(start, true)? {
                        start = next.range.end;
                        found.push(next);
                        continue;
                    }
                    start += 1;
                }
                let Some(next) = self.search_from(start, text, matcher)? else { break };
                start = next.range.end;
                found.push(next);
            }
            Ok(found)
        })
    }

    fn search_from(
        &self,
        mut start: usize,
        text: &[u8],
        matcher: &mut matcher::Matcher<'_>,
    ) -> Result<Option<Match>, RegexError> {
        while start <= text.len() {
            if let Some(first) = &self.program.first_bytes {
                match text[start..].iter().position(|&byte| first.contains(byte)) {
                    Some(skipped) => start += skipped,
                    None => return Ok(None),
                }
            }
            if let Some(found) = matcher.match_at(start, false)? {
                return Ok(Some(found));
            }
            start += 1;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
