//! Tables of things that are made once and stay, for all threads. To look into them takes no lock.

use std::sync::atomic::{AtomicPtr, Ordering};

/// A place for a thing, of which there are many in a table. Things that share one are a tree: the bits of their hashes
/// lead down.
pub(super) struct Place<T: 'static>(AtomicPtr<T>);

/// What can be in a [`Place`].
pub(super) trait Node: Sized {
    /// Where those are that did not find its place empty.
    fn below(&self) -> &[Place<Self>; 2];
}

impl<T: Node> Place<T> {
    pub(super) const fn new() -> Place<T> {
        Place(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// What is looked for, if it is there. For the hash see below.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&'static T> {
        let (mut place, mut hash) = (self, hash);
        loop {
            // SAFETY: only what stays is stored.
            let found: &'static T = unsafe { place.0.load(Ordering::Acquire).as_ref() }?;
            if is_it(found) {
                return Some(found);
            }
            place = &found.below()[(hash >> 63) as usize];
            hash = hash.rotate_left(1);
        }
    }

    /// What is looked for, which is made if it isn't there. The highest bits of the hash must not be those by which the
    /// place was found.
    #[inline(always)]
    pub(super) fn find_or_make(
        &self,
        hash: u64,
        is_it: impl Fn(&T) -> bool,
        make: impl Fn() -> &'static T,
    ) -> &'static T {
        let (mut place, mut hash) = (self, hash);
        let mut made = None;
        loop {
            // SAFETY: only what stays is stored.
            if let Some(found) = unsafe { place.0.load(Ordering::Acquire).as_ref() } {
                if is_it(found) {
                    return found;
                }
                place = &found.below()[(hash >> 63) as usize];
                hash = hash.rotate_left(1);
                continue;
            }
            let new = *made.get_or_insert_with(&make);
            let (empty, full) = (std::ptr::null_mut(), std::ptr::from_ref(new).cast_mut());
            // Else another thread came first, perhaps with the same.
            if place.0.compare_exchange(empty, full, Ordering::Release, Ordering::Relaxed).is_ok() {
                return new;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(u64, [Place<Number>; 2]);

    impl Node for Number {
        fn below(&self) -> &[Place<Number>; 2] {
            &self.1
        }
    }

    #[test]
    fn each_thing_is_made_once() {
        static PLACE: Place<Number> = Place::new();
        // Half of them have the same hash.
        fn hash(number: u64) -> u64 {
            (number / 2) << 60
        }
        fn find(number: u64) -> usize {
            let make = || &*Box::leak(Box::new(Number(number, [const { Place::new() }; 2])));
            std::ptr::from_ref(PLACE.find_or_make(hash(number), |other| other.0 == number, make)).addr()
        }
        let known = |number| PLACE.find(hash(number), |other| other.0 == number).map(std::ptr::from_ref);
        assert!((0..100).all(|number| known(number).is_none()));
        let all = || (0..100).map(find).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(all)).collect();
        let expected = all();
        for thread in threads {
            assert_eq!(thread.join().ok(), Some(expected.clone()));
        }
        let known: Vec<_> = (0..100).filter_map(known).map(<*const Number>::addr).collect();
        assert_eq!(known, expected);
    }
}
