//! What evaluation does, counted and timed for people: `NIX_SHOW_STATS`, flamegraphs, profiles.
//!
//! Nothing of it is there while nobody watches: code is made of other nodes if there is a [`Watch`] in the settings,
//! so that evaluation without one runs no instruction more. The nodes are in `nodes`; they tell the watch of each
//! function that is entered and left. A watch follows one thread.

mod call;
mod clocks;
mod nodes;
mod stacks;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nival_syntax::{Pos, Symbol};

pub use clocks::{Kind, Spent};
pub(crate) use nodes::{body, code, expression, parsed};

use clocks::Clocks;
use stacks::Stacks;

/// What is to be watched besides the counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// How often each function is called.
    pub calls: bool,
    /// What is on the stack of calls: looked at as often, at a call; zero stands for every call.
    pub stacks: Option<Duration>,
    /// Where the time goes.
    pub times: bool,
    /// A message for each call that begins or ends.
    pub traces: bool,
}

/// Watches an evaluation.
#[derive(Debug)]
pub struct Watch {
    wanted: Wanted,
    counters: [AtomicU64; COUNTERS],
    functions: Mutex<Vec<&'static Function>>,
    builtin_calls: Mutex<BTreeMap<&'static str, u64>>,
    moving: Mutex<Moving>,
}

#[derive(Debug)]
struct Moving {
    stacks: Stacks,
    clocks: Clocks,
}

/// A function of a program.
#[derive(Debug)]
pub struct Function {
    /// What it was bound to.
    pub name: Option<Symbol>,
    /// Where it is.
    pub pos: Pos,
    calls: AtomicU64,
}

impl Function {
    /// How often it was called.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub enum Counter {
    /// Expressions that were read.
    Expressions,
    /// Frames of variables.
    Frames,
    /// Variables in them.
    FrameValues,
    /// Elements of lists as they are written.
    ListElements,
    /// `++`
    ListConcats,
    /// Sets as they are written, and results of `//`.
    Sets,
    /// Attributes of these.
    SetElements,
    /// `//`
    Updates,
    /// Attributes of the results.
    UpdateValues,
    /// Values whose evaluation was put off.
    Thunks,
    /// Values that were known, so that nothing had to be put off.
    Avoided,
    /// Attributes that were selected.
    Lookups,
    /// Calls of built-in functions.
    BuiltinCalls,
    /// Calls of other functions.
    FunctionCalls,
}

const COUNTERS: usize = Counter::FunctionCalls as usize + 1;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Watches from now on.
    pub fn new(wanted: Wanted) -> Watch {
        Watch {
            wanted,
            counters: [const { AtomicU64::new(0) }; COUNTERS],
            functions: Mutex::default(),
            builtin_calls: Mutex::default(),
            moving: Mutex::new(Moving { stacks: Stacks::new(), clocks: Clocks::new() }),
        }
    }

    /// A count so far.
    pub fn count(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// The functions that code was made of, with their calls.
    pub fn functions(&self) -> Vec<&'static Function> {
        lock(&self.functions).clone()
    }

    /// The calls of built-in functions, by name.
    pub fn builtin_calls(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.builtin_calls).clone()
    }

    /// The stacks that were seen, in the folded form of `flamegraph.pl`, and how often.
    pub fn folded_stacks(&self) -> Vec<(String, u64)> {
        lock(&self.moving).stacks.folded()
    }

    /// Where the time went: what took the longest by itself comes first.
    pub fn times(&self, kind: Kind) -> Vec<Spent> {
        lock(&self.moving).clocks.spent(kind)
    }

    fn add(&self, counter: Counter, number: usize) {
        self.counters[counter as usize].fetch_add(number as u64, Ordering::Relaxed);
    }
}
