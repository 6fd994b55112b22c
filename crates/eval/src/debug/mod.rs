//! Stopping where an error comes up, or at `builtins.break`, so that somebody can look around.
//!
//! Nothing of it is there while nobody debugs: code is made of other nodes if there is a [`Debugging`] in the settings.
//! They are in `nodes` and keep a stack of what is being evaluated, with the frames of variables. What the variables
//! of a frame are called is found out only when somebody asks, from the tree. Debugging follows one thread.

mod fake;
mod nodes;
mod stop;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use fake::unfit_argument;
pub(crate) use nodes::{body, expression, in_attribute, in_file, in_let};
pub use stop::{Resume, ScopeNames, Scopes, StackFrame, Stop};

use nival_syntax::Pos;
use nival_syntax::ast::Expr;

use crate::compile::Unit;
use crate::error::{ErrorKind, EvalError, FrameText, Result};
use crate::evaluator::Evaluator;
use crate::value::Value;
use nodes::Entry;

/// Who is called when evaluation stops.
pub trait Debugger: Send + Sync {
    /// Looks around, and says how it goes on.
    fn stop(&self, evaluator: &Evaluator, stop: &Stop<'_>) -> Resume;
}

/// When to stop besides at errors and `builtins.break`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StopAt {
    /// Not at errors within `tryEval` (`ignore-try`).
    pub no_tries: bool,
    /// At `builtins.trace` (`debugger-on-trace`).
    pub traces: bool,
    /// At `builtins.warn` (`debugger-on-warn`).
    pub warnings: bool,
}

/// A debugger and what it needs to know.
pub struct Debugging {
    debugger: Box<dyn Debugger>,
    pub(crate) at: StopAt,
    stack: Mutex<Vec<Entry>>,
    /// What selections that are about to begin select from.
    subjects: Mutex<Vec<Value>>,
    /// What `builtins.break` gave back, to be evaluated by who needs it.
    deferred: Mutex<Option<Value>>,
    /// For each text, by its address, which expressions end with one around them.
    endings: Mutex<HashMap<usize, Arc<[bool]>>>,
    /// Whether to stop at the next step.
    steps: AtomicBool,
    /// Whether somebody is looking around, or will not any more.
    is_quiet: AtomicBool,
    /// Whether somebody will not look around any more.
    has_left: AtomicBool,
    /// How many `tryEval` there are around.
    tries: AtomicU32,
}

impl std::fmt::Debug for Debugging {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Debugging").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Debugging {
    /// Calls `debugger` whenever evaluation stops.
    pub fn new(debugger: Box<dyn Debugger>, at: StopAt) -> Arc<Debugging> {
        Arc::new(Debugging {
            debugger,
            at,
            stack: Mutex::default(),
            subjects: Mutex::default(),
            deferred: Mutex::default(),
            endings: Mutex::default(),
            steps: AtomicBool::new(false),
            is_quiet: AtomicBool::new(false),
            has_left: AtomicBool::new(false),
            tries: AtomicU32::new(0),
        })
    }

    fn stack(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subjects(&self) -> MutexGuard<'_, Vec<Value>> {
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is something that `builtins.break` gave back.
    pub(crate) fn has_deferred(&self) -> bool {
        self.deferred().is_some()
    }

    /// The value, or what `builtins.break` gave back in its place.
    pub(crate) fn settle(&self, ev: &Evaluator, value: Value) -> Result<Value> {
        let deferred = self.deferred().take();
        deferred.map_or(Ok(value), |deferred| ev.force(deferred, Pos::NONE))
    }

    fn deferred(&self) -> MutexGuard<'_, Option<Value>> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which expressions of a text are the last thing that one around them evaluates, so that it gives back what they do.
    fn endings(&self, unit: &'static Unit) -> Arc<[bool]> {
        let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        let address = std::ptr::from_ref(unit).addr();
        Arc::clone(endings.entry(address).or_insert_with(|| {
            let ast = &unit.ast;
            let mut is_ending = vec![false; ast.len()];
            for id in ast.ids() {
                let ending = match ast.expr(id) {
                    Expr::Let { body, .. } | Expr::With { body, .. } | Expr::Assert { body, .. } => [body; 2],
                    Expr::If { then, otherwise, .. } => [then, otherwise],
                    Expr::Select { default: Some(default), .. } => [default; 2],
                    Expr::Lambda(lambda) => [ast.lambda(lambda).body; 2],
                    _ => continue,
                };
                for id in ending {
                    is_ending[id.index()] = true;
                }
            }
            is_ending.into()
        }))
    }

    /// Stops, unless somebody has stopped already. Says whether evaluation may go on.
    fn stop(&self, ev: &Evaluator, error: Option<&EvalError>, is_breakpoint: bool) -> bool {
        if self.stack().is_empty() || self.is_quiet.swap(true, Ordering::Relaxed) {
            return true;
        }
        let entries = self.stack().clone();
        let in_try = self.tries.load(Ordering::Relaxed) > 0 && !is_breakpoint;
        let mut stop = Stop::new(&entries, error, is_breakpoint, in_try);
        let mut resume = Resume::Step;
        if self.steps.load(Ordering::Relaxed) && stop.frames.len() > entries.len() {
            // That the error comes onto the stack is a step of its own in the reference.
            stop.error = None;
            resume = self.debugger.stop(ev, &stop);
            stop.error = error;
        }
        if resume != Resume::Quit {
            resume = self.debugger.stop(ev, &stop);
        }
        self.steps.store(resume == Resume::Step, Ordering::Relaxed);
        self.is_quiet.store(resume == Resume::Quit, Ordering::Relaxed);
        self.has_left.store(resume == Resume::Quit, Ordering::Relaxed);
        resume != Resume::Quit
    }

    /// Something failed: stops where it did first, after that place was put on the stack, if it belongs there.
    fn failed(&self, ev: &Evaluator, error: &EvalError, origin: impl FnOnce() -> Option<Entry>) {
        if !error.is_new_to_debugger() || !fake::stops(error) {
            return;
        }
        self.stack().extend(origin());
        let is_ignored = self.at.no_tries && self.tries.load(Ordering::Relaxed) > 0;
        if !is_ignored {
            self.stop(ev, Some(error), false);
        }
    }
}

/// `builtins.break`: an error if the user wants to leave.
pub(crate) fn breakpoint(ev: &Evaluator) -> Result<()> {
    let Some(debugging) = &ev.settings().debugging else { return Ok(()) };
    let reached = EvalError::new(ErrorKind::Other, "breakpoint reached");
    if debugging.stop(ev, Some(&reached), true) {
        return Ok(());
    }
    let call = debugging.stack().last().map_or(Pos::NONE, |entry| entry.place.unit.ast.pos(entry.place.id));
    Err(reached.with_frame(FrameText::Builtin("break"), call))
}

/// Leaves the evaluation of what `builtins.break` gives back to who needs it, as the reference does: by then what ends with
/// the call is off the stack.
pub(crate) fn defer(ev: &Evaluator, value: Value) -> bool {
    let Some(debugging) = &ev.settings().debugging else { return false };
    *debugging.deferred() = Some(value);
    true
}

/// Stops for an error, and says whether the user wants to leave. The reference then throws one of no special kind, which who
/// looks for a failed assertion does not see.
pub(crate) fn leaves_at(ev: &Evaluator, error: &EvalError) -> bool {
    let Some(debugging) = &ev.settings().debugging else { return false };
    debugging.failed(ev, error, || None);
    debugging.has_left.load(Ordering::Relaxed)
}

/// Stops after a message, if that is wanted.
pub(crate) fn after_message(ev: &Evaluator, wanted: impl FnOnce(&StopAt) -> bool) -> Result<()> {
    match &ev.settings().debugging {
        Some(debugging) if wanted(&debugging.at) && !debugging.stop(ev, None, false) => {
            Err(EvalError::new(ErrorKind::Other, "the debugger was left"))
        }
        _ => Ok(()),
    }
}

/// Evaluates what `tryEval` is given.
pub(crate) fn within_try<T>(ev: &Evaluator, evaluate: impl FnOnce() -> T) -> T {
    let Some(debugging) = &ev.settings().debugging else { return evaluate() };
    debugging.tries.fetch_add(1, Ordering::Relaxed);
    let result = evaluate();
    debugging.tries.fetch_sub(1, Ordering::Relaxed);
    result
}
