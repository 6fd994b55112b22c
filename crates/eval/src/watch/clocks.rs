//! Time by what it was spent for.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What time is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    /// An option of the module system.
    Option,
    /// The file of a module whose definitions are evaluated.
    Module,
    /// The name of a derivation.
    Package,
    /// The file that the running code is in.
    File,
}

const KINDS: usize = Kind::File as usize + 1;

/// The time of one option, module, package or file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// What it is.
    pub name: String,
    /// Time in it that was not in another of its kind.
    pub own: Duration,
    /// Time from entering it to leaving it.
    pub total: Duration,
    /// How often it was entered.
    pub times: u64,
}

/// One clock for each kind: each tells its time by the innermost one of its kind.
#[derive(Debug)]
pub(super) struct Clocks([Clock; KINDS]);

#[derive(Debug)]
struct Clock {
    entries: Vec<Entry>,
    ids: HashMap<String, usize>,
    stack: Vec<usize>,
    last: Instant,
}

#[derive(Debug)]
struct Entry {
    spent: Spent,
    /// How many times it is on the stack.
    depth: u32,
    entered: Instant,
}

impl Clocks {
    pub(super) fn new() -> Self {
        let clock =
            || Clock { entries: Vec::new(), ids: HashMap::new(), stack: Vec::new(), last: Instant::now() };
        Self(std::array::from_fn(|_| clock()))
    }

    /// The number of something, for [`Clocks::enter`].
    pub(super) fn id(&mut self, kind: Kind, name: &str) -> usize {
        let clock = &mut self.0[kind as usize];
        if let Some(id) = clock.ids.get(name) {
            return *id;
        }
        let id = clock.entries.len();
        let spent = Spent { name: name.to_owned(), own: Duration::ZERO, total: Duration::ZERO, times: 0 };
        clock.entries.push(Entry { spent, depth: 0, entered: clock.last });
        clock.ids.insert(name.to_owned(), id);
        id
    }

    pub(super) fn enter(&mut self, kind: Kind, id: usize) {
        let clock = &mut self.0[kind as usize];
        clock.entries[id].spent.times += 1;
        // From one file into itself: most of all calls.
        if clock.stack.last() != Some(&id) {
            let now = clock.tick();
            let entry = &mut clock.entries[id];
            if entry.depth == 0 {
                entry.entered = now;
            }
        }
        clock.entries[id].depth += 1;
        clock.stack.push(id);
    }

    pub(super) fn leave(&mut self, kind: Kind) {
        let clock = &mut self.0[kind as usize];
        let Some(id) = clock.stack.last().copied() else { return };
        if clock.stack.iter().rev().nth(1) != Some(&id) {
            let now = clock.tick();
            let entry = &mut clock.entries[id];
            if entry.depth == 1 {
                entry.spent.total += now - entry.entered;
            }
        }
        clock.entries[id].depth -= 1;
        clock.stack.pop();
    }

    pub(super) fn spent(&self, kind: Kind) -> Vec<Spent> {
        let mut spent: Vec<Spent> =
            self.0[kind as usize].entries.iter().map(|entry| entry.spent.clone()).collect();
        spent.sort_by(|a, b| b.own.cmp(&a.own).then_with(|| a.name.cmp(&b.name)));
        spent
    }
}

impl Clock {
    /// Gives the time since the last tick to the innermost.
    fn tick(&mut self) -> Instant {
        let now = Instant::now();
        if let Some(id) = self.stack.last() {
            self.entries[*id].spent.own += now - self.last;
        }
        self.last = now;
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_time_is_the_innermosts_and_total_counts_once() {
        let mut clocks = Clocks::new();
        let wait = || std::thread::sleep(Duration::from_millis(5));
        let [a, b] = ["a", "b"].map(|name| clocks.id(Kind::File, name));
        assert_eq!(clocks.id(Kind::File, "a"), a);
        for id in [a, b, b, a] {
            clocks.enter(Kind::File, id);
            wait();
        }
        for _ in 0..4 {
            clocks.leave(Kind::File);
        }
        clocks.leave(Kind::File);
        let spent = clocks.spent(Kind::File);
        let of = |name: &str| spent.iter().find(|spent| spent.name == name).expect("it was entered").clone();
        let (a, b) = (of("a"), of("b"));
        assert_eq!((a.times, b.times), (2, 2));
        assert_eq!(a.total, a.own + b.own, "a is around all");
        assert!(b.total > b.own, "the inner a is in b's total");
        assert!(a.own >= Duration::from_millis(10) && b.own >= Duration::from_millis(10), "{a:?} {b:?}");
        assert_eq!(clocks.spent(Kind::Option), []);
    }
}
