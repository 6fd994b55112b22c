//! Ctrl-C while an expression is evaluated: it ends the evaluation, not the program.

use std::sync::OnceLock;

use nival_eval::{Evaluator, Interrupt};

static EVALUATION: OnceLock<Interrupt> = OnceLock::new();

/// Lets SIGINT interrupt this evaluator from now on; a second one, before the first is heeded, ends the program as usual.
pub(super) fn watch(evaluator: &Evaluator) {
    if EVALUATION.set(evaluator.interrupt()).is_ok() {
        let handler: extern "C" fn(libc::c_int) = interrupted;
        // SAFETY: the handler only reads a cell that is set by now, writes an atomic, and calls what may be called there.
        unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
    }
}

extern "C" fn interrupted(signal: libc::c_int) {
    let is_first = EVALUATION.get().is_some_and(|evaluation| evaluation.ask());
    if !is_first {
        // SAFETY: both may be called in a signal handler.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}
