//! The nodes that code is made of while somebody watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nival_syntax::ast::{AttrKind, BinaryOp, Expr, LambdaId, SetId};
use nival_syntax::{ExprId, Pos, Source};

use super::clocks::Kind;
use super::{Counter, Function, Watch, lock};
use crate::code::{Code, Op, Run};
use crate::compile::{self, Lazy, Unit};
use crate::error::Result;
use crate::evaluator::{Env, Evaluator};
use crate::value::{Value, View};

/// The code of an expression, which tells of itself.
pub(crate) fn expression(ev: &Evaluator, watch: &Arc<Watch>, unit: &'static Unit, id: ExprId) -> Op {
    let ast = &unit.ast;
    let counts = match unit.expr(id) {
        Expr::Call { function, arguments } => {
            let lazies: Box<[Lazy]> =
                ast.list(arguments).iter().map(|argument| compile::argument(ev, unit, *argument)).collect();
            let function = compile::expression(ev, unit, function);
            let counts = put_off(unit, ast.list(arguments).iter().copied()).into();
            let call =
                Call { watch: Arc::clone(watch), function, arguments: lazies, pos: unit.pos(id), counts };
            return Op::new(&ev.heap, Boxed(Box::new(call)));
        }
        Expr::Binary { op: BinaryOp::Update, .. } => {
            let op = compile::plain_expression(ev, unit, id);
            return Op::new(&ev.heap, Update { watch: Arc::clone(watch), op });
        }
        Expr::Binary { op: BinaryOp::ConcatLists, .. } => vec![(Counter::ListConcats, 1)],
        Expr::Binary { op, left, right } if op.function().is_some() => put_off(unit, [left, right]),
        Expr::Negate(operand) => put_off(unit, [operand]),
        Expr::Select { path, .. } => vec![(Counter::Lookups, ast.path(path).len())],
        Expr::List(elements) => {
            let mut counts = put_off(unit, ast.list(elements).iter().copied());
            counts.push((Counter::ListElements, elements.len()));
            counts
        }
        Expr::Set(set) => {
            let mut counts = attributes(unit, set);
            let count = ast.attrs(set).count() + ast.dynamic_attrs(set).count();
            counts.extend([(Counter::Sets, 1), (Counter::SetElements, count)]);
            if ast.set(set).recursive {
                counts.extend([(Counter::Frames, 1), (Counter::FrameValues, ast.attrs(set).count())]);
            }
            counts
        }
        Expr::Let { bindings, .. } => {
            let mut counts = attributes(unit, bindings);
            counts.extend([(Counter::Frames, 1), (Counter::FrameValues, ast.attrs(bindings).count())]);
            counts
        }
        Expr::With { scope, .. } => {
            let mut counts = put_off(unit, [scope]);
            counts.extend([(Counter::Frames, 1), (Counter::FrameValues, 1)]);
            counts
        }
        _ => return compile::plain_expression(ev, unit, id),
    };
    let op = compile::plain_expression(ev, unit, id);
    let node = Counted { watch: Arc::clone(watch), op, counts: counts.into() };
    Op::new(&ev.heap, node)
}

/// How many of these values are put off, and how many need not be.
fn put_off(unit: &Unit, values: impl IntoIterator<Item = ExprId>) -> Vec<(Counter, usize)> {
    let (mut thunks, mut avoided) = (0, 0);
    for value in values {
        match unit.expr(value) {
            Expr::Int(_)
            | Expr::Float(_)
            | Expr::String(_)
            | Expr::Path(_)
            | Expr::Var(_)
            | Expr::Lambda(_) => {
                avoided += 1;
            }
            _ => thunks += 1,
        }
    }
    vec![(Counter::Thunks, thunks), (Counter::Avoided, avoided)]
}

fn attributes(unit: &Unit, set: SetId) -> Vec<(Counter, usize)> {
    let attrs = unit.ast.attrs(set);
    put_off(unit, attrs.filter(|attr| attr.kind == AttrKind::Plain).map(|attr| attr.value))
}

/// The code of a thunk or of a function's body.
pub(crate) fn code(ev: &Evaluator, unit: &'static Unit, id: ExprId) -> Op {
    let op = compile::expression(ev, unit, id);
    match &ev.settings().watch {
        Some(watch) if watch.wanted.times => {
            let file = file_of(watch, unit.source);
            Op::new(&ev.heap, InFile { watch: Arc::clone(watch), op, file })
        }
        _ => op,
    }
}

fn file_of(watch: &Watch, source: &Source) -> usize {
    let name = source.origin().path().unwrap_or("«command line»");
    lock(&watch.moving).clocks.id(Kind::File, name)
}

/// The body of functions in one frame, which tells when it runs.
pub(crate) fn body(
    ev: &Evaluator,
    unit: &'static Unit,
    functions: &[(ExprId, u32, LambdaId)],
    frame_size: u32,
    body: ExprId,
) -> Code {
    let plain = Code::new(unit, body);
    let Some(watch) = &ev.settings().watch else { return plain };
    let functions: Box<[&'static Function]> = functions
        .iter()
        .map(|(expr, _, id)| {
            let (name, pos) = (unit.ast.lambda(*id).name, unit.pos(*expr));
            &*Box::leak(Box::new(Function { name, pos, calls: AtomicU64::new(0) }))
        })
        .collect();
    lock(&watch.functions).extend(&functions);
    let inner = plain.keep(&ev.heap);
    Code::native(Op::new(&ev.heap, Body { watch: Arc::clone(watch), inner, functions, frame_size }))
}

/// Parses a file, whose time it is.
pub(crate) fn parsed<T, E>(
    ev: &Evaluator,
    source: &'static Source,
    parse: impl FnOnce() -> std::result::Result<T, E>,
    nodes: impl FnOnce(&T) -> usize,
) -> std::result::Result<T, E> {
    let Some(watch) = &ev.settings().watch else { return parse() };
    if watch.wanted.times {
        let file = file_of(watch, source);
        lock(&watch.moving).clocks.enter(Kind::File, file);
    }
    let parsed = parse();
    if watch.wanted.times {
        lock(&watch.moving).clocks.leave(Kind::File);
    }
    if let Ok(parsed) = &parsed {
        watch.add(Counter::Expressions, nodes(parsed));
    }
    parsed
}

/// A node of many words: nodes on the heap are never dropped, and neither is this.
struct Boxed<T>(Box<T>);

impl<T: Run> Run for Boxed<T> {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        self.0.run(ev, env)
    }
}

struct Counted {
    watch: Arc<Watch>,
    op: Op,
    counts: Box<[(Counter, usize)]>,
}

impl Run for Counted {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        for (counter, number) in &self.counts {
            self.watch.add(*counter, *number);
        }
        self.op.run(ev, env)
    }
}

struct Update {
    watch: Arc<Watch>,
    op: Op,
}

impl Run for Update {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let result = self.op.run(ev, env)?;
        if let View::Attrs(attrs) = result.view() {
            self.watch.add(Counter::Updates, 1);
            self.watch.add(Counter::Sets, 1);
            self.watch.add(Counter::SetElements, attrs.len());
            self.watch.add(Counter::UpdateValues, attrs.len());
        }
        Ok(result)
    }
}

struct InFile {
    watch: Arc<Watch>,
    op: Op,
    file: usize,
}

impl Run for InFile {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        lock(&self.watch.moving).clocks.enter(Kind::File, self.file);
        let result = self.op.run(ev, env);
        lock(&self.watch.moving).clocks.leave(Kind::File);
        result
    }
}

struct Body {
    watch: Arc<Watch>,
    inner: &'static Code,
    /// From the outermost to the one with the body: never empty.
    functions: Box<[&'static Function]>,
    frame_size: u32,
}

impl Run for Body {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let watch = &*self.watch;
        watch.add(Counter::FunctionCalls, self.functions.len());
        watch.add(Counter::Frames, 1);
        watch.add(Counter::FrameValues, self.frame_size as usize);
        for function in &self.functions {
            function.calls.fetch_add(1, Ordering::Relaxed);
        }
        self.inner.run(ev, env)
    }
}

/// Stands for every call that a program writes.
struct Call {
    watch: Arc<Watch>,
    function: Op,
    arguments: Box<[Lazy]>,
    pos: Pos,
    counts: Box<[(Counter, usize)]>,
}

impl Run for Call {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        for (counter, number) in &self.counts {
            self.watch.add(*counter, *number);
        }
        let function = self.function.run(ev, env)?;
        if let View::Lambda(lambda) = function.view() {
            lambda.code().see();
        }
        let arguments: Vec<Value> = self.arguments.iter().map(|argument| argument.make(ev, env)).collect();
        ev.call(function, &arguments, self.pos)
    }
}
