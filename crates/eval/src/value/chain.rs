//! Tables of things that are made once and stay, for all threads. To look into them takes no lock.

use std::iter::successors;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The things in one place of a table: the one that came last, which knows the one before it.
pub(super) struct Chain<T: 'static>(AtomicPtr<T>);

/// What can be in a [`Chain`].
pub(super) trait Link {
    /// The one before.
    fn before(&self) -> Option<&'static Self>;
}

impl<T: Link> Chain<T> {
    pub(super) const fn new() -> Chain<T> {
        Chain(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// What is looked for. If it isn't there it is made, to come after the one that is given.
    #[inline(always)]
    pub(super) fn find_or_make(
        &self,
        is_it: impl Fn(&T) -> bool,
        make: impl Fn(Option<&'static T>) -> &'static T,
    ) -> &'static T {
        loop {
            let last = self.0.load(Ordering::Acquire);
            // SAFETY: only what stays is stored.
            let before = unsafe { last.as_ref() };
            if let Some(found) = successors(before, |thing| thing.before()).find(|thing| is_it(thing)) {
                return found;
            }
            let made = make(before);
            let place = std::ptr::from_ref(made).cast_mut();
            // Else another thread came first, perhaps with the same.
            if self.0.compare_exchange(last, place, Ordering::Release, Ordering::Relaxed).is_ok() {
                return made;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(u64, Option<&'static Number>);

    impl Link for Number {
        fn before(&self) -> Option<&'static Number> {
            self.1
        }
    }

    #[test]
    fn each_thing_is_made_once() {
        static CHAIN: Chain<Number> = Chain::new();
        fn find(number: u64) -> usize {
            let make = |before| &*Box::leak(Box::new(Number(number, before)));
            std::ptr::from_ref(CHAIN.find_or_make(|other| other.0 == number, make)).addr()
        }
        let all = || (0..100).map(find).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(all)).collect();
        let expected = all();
        for thread in threads {
            assert_eq!(thread.join().ok(), Some(expected.clone()));
        }
    }
}
