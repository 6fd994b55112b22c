//! Answers that were found lately, for those who ask the same again and again.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash};

use crate::hash::WordHash;

/// A table for one thread, of a power of two of answers. A question has one place in it, which the next one with the same
/// place takes over.
///
/// It lies on the heap: what is thread-local itself is cleared for every thread that starts, whether it asks or not.
pub(crate) struct Lately<Q, A, const PLACES: usize>(Box<[Cell<(Q, A)>; PLACES]>);

impl<Q: Copy + Eq + Hash, A: Copy, const PLACES: usize> Lately<Q, A, PLACES> {
    /// A table that only has the answer to a question which nobody asks.
    pub(crate) fn new(question: Q, answer: A) -> Self {
        const { assert!(PLACES.is_power_of_two()) };
        let places = vec![Cell::new((question, answer)); PLACES];
        Lately(places.try_into().ok().expect("there are as many"))
    }

    #[inline(always)]
    fn place(&self, question: Q) -> &Cell<(Q, A)> {
        let mixed = WordHash::new().hash_one(question);
        &self.0[mixed as usize % PLACES]
    }

    #[inline(always)]
    pub(crate) fn get(&self, question: Q) -> Option<A> {
        let (asked, answer) = self.place(question).get();
        (asked == question).then_some(answer)
    }

    #[inline(always)]
    pub(crate) fn set(&self, question: Q, answer: A) {
        self.place(question).set((question, answer));
    }

    /// The answer, which is looked for if it isn't there.
    #[inline(always)]
    pub(crate) fn get_or(&self, question: Q, find: impl FnOnce() -> A) -> A {
        let place = self.place(question);
        let (asked, answer) = place.get();
        if asked == question {
            return answer;
        }
        let answer = find();
        place.set((question, answer));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_last_in_a_place_is_known() {
        let table: Lately<u32, u32, 4> = Lately::new(u32::MAX, 0);
        for question in [1, 2, 1, 7, 300, 2] {
            assert_eq!(table.get_or(question, || question * 10), question * 10);
            assert_eq!(table.get(question), Some(question * 10));
            table.set(question, 5);
            assert_eq!(table.get_or(question, || unreachable!("it is known")), 5);
            table.set(question, question * 10);
        }
        let known = (0..1000).filter(|question| table.get(*question).is_some());
        assert!(known.count() <= 4);
    }
}
