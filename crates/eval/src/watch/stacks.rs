//! The stack of calls, looked at now and then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nival_syntax::{Pos, Symbol};

/// A call, as a flamegraph names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Frame {
    /// Where it is called (where it is, if that isn't known), and what it was bound to.
    Function(Pos, Option<Symbol>),
    Builtin(Pos, &'static str),
    /// A set with `__functor`.
    Functor(Pos),
    /// What is no function, or not known to be one yet.
    Other(Pos),
    /// The call that makes a derivation, with its name.
    Derivation(Pos, String),
}

impl Frame {
    /// As C++ Nix 2.34 has it (`eval-profiler.cc`).
    fn show(&self) -> String {
        let at = |pos: &Pos| if pos.is_none() { String::new() } else { format!("{}:", pos.display()) };
        match self {
            Frame::Function(pos, None) | Frame::Other(pos) => pos.display(),
            Frame::Functor(pos) => format!("{}:functor", pos.display()),
            Frame::Function(pos, Some(name)) => format!("{}:{name}", pos.display()),
            Frame::Builtin(pos, name) => format!("{}primop {name}", at(pos)),
            Frame::Derivation(pos, name) => format!("{}primop derivationStrict:{name}", at(pos)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Stacks {
    ids: HashMap<Frame, u32>,
    frames: Vec<Frame>,
    stack: Vec<u32>,
    seen: HashMap<Box<[u32]>, u64>,
    last: Instant,
}

impl Stacks {
    pub(super) fn new() -> Self {
        Self {
            ids: HashMap::new(),
            frames: Vec::new(),
            stack: Vec::new(),
            seen: HashMap::new(),
            last: Instant::now(),
        }
    }

    /// A call begins; the stack is looked at if the last time is as long ago as `period`.
    pub(super) fn enter(&mut self, frame: Frame, period: Duration) {
        let id = match self.ids.get(&frame) {
            Some(id) => *id,
            None => {
                let id = self.frames.len() as u32;
                self.frames.push(frame.clone());
                self.ids.insert(frame, id);
                id
            }
        };
        self.stack.push(id);
        if period.is_zero() {
            self.look();
            return;
        }
        let now = Instant::now();
        if now - self.last > period {
            self.last = now;
            self.look();
        }
    }

    fn look(&mut self) {
        match self.seen.get_mut(self.stack.as_slice()) {
            Some(times) => *times += 1,
            None => {
                self.seen.insert(self.stack.as_slice().into(), 1);
            }
        }
    }

    pub(super) fn leave(&mut self) {
        self.stack.pop();
    }

    pub(super) fn folded(&self) -> Vec<(String, u64)> {
        let names: Vec<String> = self.frames.iter().map(Frame::show).collect();
        let line = |stack: &[u32]| {
            let shown: Vec<&str> = stack.iter().map(|id| names[*id as usize].as_str()).collect();
            shown.join(";")
        };
        let mut folded: Vec<_> = self.seen.iter().map(|(stack, times)| (line(stack), *times)).collect();
        folded.sort();
        folded
    }
}
