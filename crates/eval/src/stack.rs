//! The native stack: evaluation recurses, so it runs on a big one and checks how much is left.

use std::ops::Range;
use std::thread;

/// What is kept free for code that does not check: formatting, hosts, sorting.
const RESERVE: usize = 512 << 10;

/// What parsing and compiling take for each level of a text, at most.
pub(crate) const EACH_LEVEL: usize = if cfg!(debug_assertions) { 16 << 10 } else { 4 << 10 };

/// Runs `work` on a thread with a stack as large as can be had. Only what is used of it takes memory.
pub fn with_big_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut work = Some(work);
    for gibibytes_log in [4, 2, 0] {
        let size = (1_usize << 30) << gibibytes_log;
        let taken = &mut work;
        let done = thread::scope(|scope| {
            let run = move || taken.take().map(|work| work());
            let builder = thread::Builder::new().name("evaluator".to_owned()).stack_size(size);
            builder.spawn_scoped(scope, run).ok().map(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        });
        if let Some(Some(result)) = done {
            return result;
        }
    }
    let work = work.expect("what could not be started was not taken");
    work()
}

/// The lowest address that the current thread's stack may reach.
pub(crate) fn current_limit() -> usize {
    bounds().map_or_else(approximate_limit, |bounds| bounds.start + RESERVE.min(bounds.len() / 4))
}

/// Where the current thread's stack is.
pub(crate) fn bounds() -> Option<Range<usize>> {
    // SAFETY: the attributes are initialised by `pthread_getattr_np` before they are read and destroyed
    // after; all pointers are to locals.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) != 0 {
            return None;
        }
        let mut address = std::ptr::null_mut();
        let mut size = 0;
        let failed = libc::pthread_attr_getstack(&raw const attributes, &raw mut address, &raw mut size);
        libc::pthread_attr_destroy(&raw mut attributes);
        (failed == 0).then(|| address.addr()..address.addr() + size)
    }
}

fn approximate_limit() -> usize {
    current_address().saturating_sub(1 << 20)
}

/// An address in the current stack frame.
#[inline(always)]
pub(crate) fn current_address() -> usize {
    let local = 0_u8;
    std::ptr::from_ref(&local).addr()
}

/// So much of the stack is cleared by one frame.
const CLEARED_AT_ONCE: usize = 16 << 10;

/// Overwrites so much of the stack below the current frame, or a little more.
#[inline(never)]
pub(crate) fn clear_below(bytes: usize) {
    let mut words = [0_u64; CLEARED_AT_ONCE / 8];
    std::hint::black_box(&mut words);
    if bytes > CLEARED_AT_ONCE {
        clear_below(bytes - CLEARED_AT_ONCE);
    }
    // The frame lasts until here, so that frames come to lie one after the other.
    std::hint::black_box(&mut words);
}
