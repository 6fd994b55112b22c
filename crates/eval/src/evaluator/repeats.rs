//! Strings that are made again and again: of those in a package set two thirds are (the shell text of builders, lists of
//! flags, store paths), so a long one that is like another made lately is not kept.

use std::hash::Hasher as _;

use super::Evaluator;
use crate::context::Context;
use crate::hash::WordHasher;
use crate::lately::Lately;
use crate::memory::Sighted;
use crate::value::Str;

/// Strings lately made, by the hash of what is in them.
pub(super) type MadeStrings = Lately<u64, Sighted, { 1 << 12 }>;

/// Shorter strings cost more to look for than they take.
const SHORTEST: usize = 64;
/// Of long strings so many words make the hash.
const HASHED: usize = 16;

pub(super) fn no_made_strings() -> MadeStrings {
    MadeStrings::new(0, Sighted::NOTHING)
}

impl Evaluator {
    /// A string of `length` bytes (zero at first) that `fill` writes, or one that is the same.
    pub(crate) fn make_string(&self, length: usize, context: Context, fill: impl FnOnce(&mut [u8])) -> Str {
        let string = Str::build(&self.heap, length, context, fill);
        if length >= SHORTEST { self.made_before(string) } else { string }
    }

    fn made_before(&self, string: Str) -> Str {
        let hash = hash(string.words());
        if let Some(address) = self.made_strings.get(hash).and_then(Sighted::address) {
            // SAFETY: only strings are stored below, and nothing was freed since.
            let before = unsafe { Str::at_address(address) };
            if before.words() == string.words() && string.give_way_to(&self.heap, before) {
                return before;
            }
        }
        self.made_strings.set(hash, string.sighted());
        string
    }
}

fn hash(words: &[u64]) -> u64 {
    let mut hasher = WordHasher::default();
    hasher.write_usize(words.len());
    words.iter().step_by(words.len().div_ceil(HASHED)).for_each(|word| hasher.write_u64(*word));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::memory_host::MemoryHost;
    use crate::{Settings, View};

    const TWICE: &str = "what is made twice is as long as a line of text, or longer than that";

    fn evaluator() -> Evaluator {
        Evaluator::new(Arc::new(MemoryHost::with_files([])), Settings::default())
    }

    #[test]
    fn what_is_made_again_is_one() {
        let ev = evaluator();
        let text = |text: &str| ev.text(text, Context::EMPTY);
        let first = text(TWICE);
        let second = text("what comes between");
        assert!(std::ptr::eq(text(TWICE).words(), first.words()));
        // It has left nothing behind.
        let third = text("what comes afterwards");
        assert_eq!(third.words().as_ptr_range().start, second.words().as_ptr_range().end);
        assert_eq!(third.bytes(), b"what comes afterwards");
    }

    #[test]
    fn what_refers_to_something_else_is_another() {
        let ev = evaluator();
        let path = "g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-x".parse().expect("a store path");
        let with = ev.text(TWICE, Context::of(crate::context::ContextElement::Path(path)));
        let _between = ev.text("what comes between", Context::EMPTY);
        let without = ev.text(TWICE, Context::EMPTY);
        assert!(!std::ptr::eq(with.words(), without.words()));
        assert!(without.context().is_empty() && !with.context().is_empty());
    }

    /// It may become longer in its place.
    #[test]
    fn what_came_last_is_nobody_elses() {
        let ev = evaluator();
        let first = ev.text(TWICE, Context::EMPTY);
        let again = ev.text(TWICE, Context::EMPTY);
        assert!(!std::ptr::eq(first.words(), again.words()));
        let text = r#"
            let
              twice = a: b: [ ("${a}-${b}" + "-longer") "${a}-${b}" ("${a}-${b}" + "-longer") (a + "-" + b + "-longer") ];
            in builtins.concatStringsSep " " (builtins.concatMap (twice "TEXT") [ "b" "b" "c" ])
        "#;
        let value = ev.eval_str(&text.replace("TEXT", TWICE), "/").expect("a string");
        let View::String(string) = value.view() else { panic!("a string was expected") };
        let of = |end: &str| {
            format!("{TWICE}-{end}-longer {TWICE}-{end} {TWICE}-{end}-longer {TWICE}-{end}-longer")
        };
        assert_eq!(string.to_text(), [of("b"), of("b"), of("c")].join(" "));
    }
}
