//! The threads that have values, and how all but one of them come to wait.
//!
//! A thread that allocates, waits for others or has nothing to do looks whether it is to wait, and then does so
//! with its registers on its stack. One that is busy with something else, or waits for a lock that another holds,
//! does not come to that: then the collection is put off.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::stack;

/// So long the others have to stop.
const PATIENCE: Duration = Duration::from_millis(50);

struct World {
    /// How many threads have values.
    members: usize,
    /// What those that wait have on their stacks.
    waiting: Vec<Stack>,
}

/// The stack of a thread that does nothing.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stack {
    /// The part in use, with the registers.
    pub(super) used: Range<usize>,
    pub(super) whole: Range<usize>,
}

static WORLD: Mutex<World> = Mutex::new(World { members: 0, waiting: Vec::new() });
static CHANGED: Condvar = Condvar::new();
static STOPPING: AtomicBool = AtomicBool::new(false);

struct Member {
    stack: Range<usize>,
}

thread_local! {
    static MEMBER: Member = Member::new();
}

impl Member {
    fn new() -> Member {
        let mut world = lock();
        while is_stopping() {
            world = CHANGED.wait(world).unwrap_or_else(PoisonError::into_inner);
        }
        world.members += 1;
        Member { stack: stack::bounds().unwrap_or_default() }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        lock().members -= 1;
        CHANGED.notify_all();
    }
}

fn lock() -> MutexGuard<'static, World> {
    WORLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that this thread has values from now on.
pub(super) fn join() {
    // At its end a thread makes no more of them.
    let _ = MEMBER.try_with(|_| ());
}

/// Whether threads that have values are to wait.
#[inline(always)]
pub(super) fn is_stopping() -> bool {
    STOPPING.load(Ordering::Relaxed)
}

/// Waits as long as another thread wants to be alone.
pub(super) fn pause() {
    with_stack(|stack| {
        let world = lock();
        if is_stopping() {
            wait(world, stack);
        }
    });
}

/// Does something while all other threads that have values wait, if they come to that. It gets the stacks of
/// all.
pub(super) fn alone<R>(work: impl FnOnce(&[Stack]) -> R) -> Option<R> {
    with_stack(|stack| {
        let mut world = lock();
        if is_stopping() {
            wait(world, stack);
            return None;
        }
        STOPPING.store(true, Ordering::Relaxed);
        let start = Instant::now();
        while world.waiting.len() + 1 < world.members {
            let Some(left) = PATIENCE.checked_sub(start.elapsed()) else { break };
            world = CHANGED.wait_timeout(world, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        // A thread whose stack is not known is one that is ending.
        let result = (world.waiting.len() + 1 >= world.members && !stack.used.is_empty()).then(|| {
            let mut stacks = world.waiting.clone();
            stacks.push(stack);
            work(&stacks)
        });
        STOPPING.store(false, Ordering::Relaxed);
        CHANGED.notify_all();
        drop(world);
        result
    })
}

fn wait(mut world: MutexGuard<'_, World>, stack: Stack) {
    world.waiting.push(stack.clone());
    CHANGED.notify_all();
    while is_stopping() {
        world = CHANGED.wait(world).unwrap_or_else(PoisonError::into_inner);
    }
    world.waiting.retain(|other| *other != stack);
}

/// Does something if no other thread has values.
pub(super) fn only<R>(work: impl FnOnce() -> R) -> Option<R> {
    let world = lock();
    let is_only = world.members == 1 && !is_stopping();
    is_only.then(work)
}

/// Calls something with all registers on the stack.
#[inline(never)]
fn with_stack<R>(work: impl FnOnce(Stack) -> R) -> R {
    // Not all of it is written below, and what was there before must not be taken for references.
    let mut registers = MaybeUninit::<libc::ucontext_t>::zeroed();
    // SAFETY: there is room for the registers.
    unsafe { libc::getcontext(registers.as_mut_ptr()) };
    let start = std::hint::black_box(&raw mut registers).addr();
    let whole = MEMBER.try_with(|member| member.stack.clone()).unwrap_or_default();
    let result = work(Stack { used: start..whole.end.max(start), whole });
    // They stay where they are until the end.
    std::hint::black_box(&registers);
    result
}
