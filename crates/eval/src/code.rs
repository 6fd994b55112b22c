//! Executable code: nodes that hold their own function, and the code of thunks and lambdas, which is
//! compiled from the tree when it first runs.

use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use nival_syntax::ast::LambdaId;
use nival_syntax::{ExprId, Pos, Symbol};

use crate::Result;
use crate::compile::{self, Binder, Unit};
use crate::evaluator::{Env, Evaluator};
use crate::memory::Heap;
use crate::value::Value;

/// Something that can be run in a frame and then is an evaluated value.
pub(crate) trait Run: Send + Sync + 'static {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value>;
}

type RunFn = unsafe fn(NonNull<Header>, &Evaluator, Env) -> Result<Value>;

#[repr(C)]
struct Header {
    run: RunFn,
}

#[repr(C)]
struct Node<T> {
    header: Header,
    node: T,
}

/// A compiled node: a thin pointer, so that nodes hold their children in one word each and a call needs one
/// load.
#[derive(Clone, Copy)]
pub(crate) struct Op(NonNull<Header>);

// SAFETY: nodes are `Send + Sync` (a supertrait of `Run`), never written after they were made, never freed.
unsafe impl Send for Op {}
// SAFETY: as above.
unsafe impl Sync for Op {}

impl Op {
    pub(crate) fn new<T: Run>(heap: &Heap, node: T) -> Op {
        Op(heap.keep(Node { header: Header { run: run_node::<T> }, node }).cast())
    }

    #[inline(always)]
    pub(crate) fn run(self, ev: &Evaluator, env: Env) -> Result<Value> {
        // SAFETY: the header belongs to a node of the type that its function expects.
        unsafe { (self.0.as_ref().run)(self.0, ev, env) }
    }
}

impl Run for Op {
    #[inline(always)]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        Op::run(*self, ev, env)
    }
}

/// # Safety
/// `header` must be that of a `Node<T>`.
unsafe fn run_node<T: Run>(header: NonNull<Header>, ev: &Evaluator, env: Env) -> Result<Value> {
    // SAFETY: `Op::new` pairs this function with a node of this type, which is never freed.
    let node: &'static Node<T> = unsafe { header.cast::<Node<T>>().as_ref() };
    node.node.run(ev, env)
}

/// The code of a thunk or of a function's body.
pub(crate) struct Code {
    op: AtomicPtr<Header>,
    /// What it is compiled from; native code has none.
    source: Option<&'static Unit>,
    expr: ExprId,
}

impl Code {
    pub(crate) const fn new(unit: &'static Unit, expr: ExprId) -> Code {
        Code { op: AtomicPtr::new(std::ptr::null_mut()), source: Some(unit), expr }
    }

    /// Code that needs no compiling.
    pub(crate) fn native(op: Op) -> Code {
        Code { op: AtomicPtr::new(op.0.as_ptr()), source: None, expr: ExprId::default() }
    }

    /// The expression that it is made of.
    pub(crate) fn place(&self) -> Option<(&'static Unit, ExprId)> {
        Some((self.source?, self.expr))
    }

    pub(crate) fn keep(self, heap: &Heap) -> &'static Code {
        // SAFETY: what the heap keeps is never moved or freed.
        unsafe { heap.keep_code(self).as_ref() }
    }

    #[inline(always)]
    pub(crate) fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        match NonNull::new(self.op.load(Ordering::Acquire)) {
            Some(op) => Op(op).run(ev, env),
            None => self.compile(ev).run(ev, env),
        }
    }

    #[cold]
    #[inline(never)]
    fn compile(&self, ev: &Evaluator) -> Op {
        // Two threads may do it at once: either result will do.
        let unit = self.source.expect("native code was given its node");
        let op = crate::watch::code(ev, unit, self.expr);
        self.op.store(op.0.as_ptr(), Ordering::Release);
        op
    }
}

/// The code of a function. One whose body is a function again has a frame for the arguments of both: called
/// with all of them at once, nothing is made in between.
pub(crate) struct LambdaCode {
    pub(crate) unit: &'static Unit,
    pub(crate) expr: ExprId,
    pub(crate) id: LambdaId,
    /// What it was bound to, for messages.
    pub(crate) name: Option<Symbol>,
    pub(crate) pos: Pos,
    /// How many values the frame has in the end.
    pub(crate) frame_size: u32,
    /// Where in the frame the arguments of this function start; before are those of functions around it.
    pub(crate) start: u32,
    /// How many arguments it and the functions that are its body take.
    pub(crate) arity: u32,
    pub(crate) has_formals: bool,
    /// Whether the frame is that of a function around it.
    pub(crate) continues: bool,
    /// Whether its frame is new, and none of the functions that it consists of has formal arguments.
    pub(crate) is_plain: bool,
    /// The function that is its body.
    pub(crate) next: Option<&'static LambdaCode>,
    /// The body, if it is no function.
    pub(crate) body: Code,
    pub(crate) binder: OnceLock<&'static Binder>,
    /// Whether such a function was called or looked at.
    ///
    /// A function that stands for itself is never a thunk here, but one in the reference until it is looked at,
    /// and that shows where values are printed without evaluation. This tells most of them apart.
    pub(crate) seen: AtomicBool,
}

impl LambdaCode {
    #[inline(always)]
    pub(crate) fn see(&self) {
        if !self.is_seen() {
            self.seen.store(true, Ordering::Relaxed);
        }
    }

    #[inline(always)]
    pub(crate) fn is_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// How formal arguments are bound: worked out at the first call.
    #[inline(always)]
    pub(crate) fn binder(&self, ev: &Evaluator) -> &Binder {
        self.binder.get_or_init(|| compile::binder(ev, self))
    }

    /// Whether so many arguments are all that it takes, and can be put into a new frame as they are.
    #[inline(always)]
    pub(crate) fn takes_plainly(&self, count: usize) -> bool {
        self.is_plain && self.arity as usize == count
    }

    /// What is left of it after so many arguments.
    pub(crate) fn after(&'static self, count: usize) -> &'static LambdaCode {
        (0..count).fold(self, |code, _| code.next.unwrap_or(code))
    }

    /// The innermost of the functions that it consists of: the one with a body.
    #[inline(always)]
    pub(crate) fn last(&'static self) -> &'static LambdaCode {
        let mut code = self;
        while let Some(next) = code.next {
            code = next;
        }
        code
    }

    /// `'f'`, or `anonymous lambda`.
    pub(crate) fn display_name(&self) -> String {
        self.name.map_or_else(|| "anonymous lambda".to_owned(), |name| format!("'{}'", name.to_text()))
    }
}
