//! Interrupting an evaluation from outside, such as from a signal handler.
//!
//! What recurses looks at how much native stack is left anyway: an interrupted evaluator is told that there is none, which
//! costs nothing as long as nobody interrupts.

use std::sync::atomic::{AtomicUsize, Ordering};

use nival_syntax::Pos;

use super::Evaluator;
use crate::error::{ErrorKind, EvalError};
use crate::stack;

/// The limit of an evaluator that is to stop: no address is above it.
const INTERRUPTED: usize = usize::MAX;

/// Interrupts one evaluator.
#[derive(Clone, Copy, Debug)]
pub struct Interrupt(&'static AtomicUsize);

impl Interrupt {
    /// Asks the evaluator to stop soon. `false` if it was asked before and has not come to it yet. May be called in a signal
    /// handler.
    pub fn ask(self) -> bool {
        self.0.swap(INTERRUPTED, Ordering::Relaxed) != INTERRUPTED
    }
}

impl Evaluator {
    /// What interrupts this evaluator.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(self.stack_limit)
    }

    /// Forgets that it was interrupted; to be called on the thread that evaluates.
    pub fn begin_anew(&self) {
        self.stack_limit.store(stack::current_limit(), Ordering::Relaxed);
    }

    /// Why evaluation stops where the native stack seems to be at its end.
    #[cold]
    pub(super) fn stack_end(&self, pos: Pos) -> EvalError {
        if self.stack_limit.load(Ordering::Relaxed) == INTERRUPTED {
            return EvalError::new(ErrorKind::Interrupted, "interrupted by the user");
        }
        EvalError::new(ErrorKind::StackOverflow, "stack overflow; max-call-depth exceeded").at(pos)
    }
}
