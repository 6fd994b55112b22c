//! The nodes that code is made of while somebody debugs.
//!
//! The stack has what C++ Nix 2.34 has on it, and in the same order (`eval.cc`, where it makes a `DebugTraceStacker`): calls,
//! the bodies of functions and of `let`, selections, files, and attributes that are evaluated deeply. All other expressions only
//! notice errors.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nival_syntax::ast::{Expr, LambdaId};
use nival_syntax::{ExprId, Pos, Symbol};

use super::{Debugging, fake};
use crate::code::{Code, Op, Run};
use crate::compile::{self, Lazy, Operand, Unit};
use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::{Env, Evaluator};
use crate::value::{Attr, Thunk, Value};

/// What is being evaluated.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) place: &'static Place,
    pub(super) env: Env,
}

/// An expression of a text.
pub(super) struct Place {
    pub(super) unit: &'static Unit,
    pub(super) id: ExprId,
    pub(super) kind: Kind,
}

/// What is said of it.
pub(super) enum Kind {
    Call,
    Selection,
    Let,
    Function(Option<Symbol>, Pos),
    File(PathBuf),
    Attribute(Symbol, Pos),
    /// It is where an error came up.
    Fake,
}

/// The code of an expression, which is on the stack while it runs, or notices errors.
pub(crate) fn expression(ev: &Evaluator, debugging: &Arc<Debugging>, unit: &'static Unit, id: ExprId) -> Op {
    let op = match unit.ast.expr(id) {
        Expr::Int(_)
        | Expr::Float(_)
        | Expr::String(_)
        | Expr::Path(_)
        | Expr::Lambda(_)
        | Expr::List(_)
        | Expr::CurPos => return compile::plain_expression(ev, unit, id),
        _ => noticing(ev, debugging, unit, id),
    };
    if debugging.endings(unit)[id.index()] {
        return op;
    }
    Op::new(&ev.heap, Settling { debugging: Arc::clone(debugging), op })
}

fn noticing(ev: &Evaluator, debugging: &Arc<Debugging>, unit: &'static Unit, id: ExprId) -> Op {
    let heap = &ev.heap;
    let debugging = Arc::clone(debugging);
    let call =
        |op| Stacked { debugging: Arc::clone(&debugging), place: Place::new(unit, id, Kind::Call), op };
    match unit.ast.expr(id) {
        Expr::Call { function, arguments } => {
            let function = compile::expression(ev, unit, function);
            let arguments = unit.ast.list(arguments).iter();
            let arguments = arguments.map(|argument| compile::argument(ev, unit, *argument)).collect();
            Op::new(heap, call(Op::new(heap, Call { function, arguments, pos: unit.ast.pos(id) })))
        }
        Expr::SearchPath(_) | Expr::Negate(_) => Op::new(heap, call(compile::plain_expression(ev, unit, id))),
        Expr::Binary { op, .. } if op.function().is_some() => {
            Op::new(heap, call(compile::plain_expression(ev, unit, id)))
        }
        Expr::Select { subject, path, default } => {
            let subject = compile::expression(ev, unit, subject);
            let known = Operand::Op(Op::new(heap, Subject(Arc::clone(&debugging))));
            let op = compile::select_from(ev, unit, id, known, path, default);
            let place = Place::new(unit, id, Kind::Selection);
            Op::new(heap, Selection { subject, stacked: Stacked { debugging, place, op } })
        }
        _ => {
            let op = compile::plain_expression(ev, unit, id);
            Op::new(heap, Noticing { debugging, unit, id, op })
        }
    }
}

/// What somebody needs the value of, which then is evaluated if `builtins.break` has left it.
struct Settling {
    debugging: Arc<Debugging>,
    op: Op,
}

impl Run for Settling {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        self.debugging.settle(ev, self.op.run(ev, env)?)
    }
}

impl Place {
    pub(super) fn new(unit: &'static Unit, id: ExprId, kind: Kind) -> &'static Place {
        Box::leak(Box::new(Place { unit, id, kind }))
    }
}

/// The body of a function, on the stack as a call of it.
pub(crate) fn body(
    ev: &Evaluator,
    debugging: &Arc<Debugging>,
    unit: &'static Unit,
    function: (ExprId, LambdaId),
    body: ExprId,
) -> Code {
    let kind = Kind::Function(unit.ast.lambda(function.1).name, unit.ast.pos(function.0));
    let code = Code::new(unit, body).keep(&ev.heap);
    let place = Place::new(unit, body, kind);
    Code::native(Op::new(&ev.heap, StackedBody { debugging: Arc::clone(debugging), place, code }))
}

/// The body of a `let`, which is on the stack once its variables are there.
pub(crate) fn in_let(
    ev: &Evaluator,
    debugging: &Arc<Debugging>,
    unit: &'static Unit,
    id: ExprId,
    body: Op,
) -> Op {
    let place = Place::new(unit, id, Kind::Let);
    Op::new(&ev.heap, Stacked { debugging: Arc::clone(debugging), place, op: body })
}

/// Evaluates a file, which is on the stack meanwhile.
pub(crate) fn in_file(
    ev: &Evaluator,
    path: &Path,
    unit: &'static Unit,
    evaluate: impl FnOnce() -> Result<Value>,
) -> Result<Value> {
    let Some(debugging) = &ev.settings().debugging else { return evaluate() };
    let place = Place::new(unit, unit.ast.root(), Kind::File(path.to_owned()));
    on_stack(ev, debugging, Entry { place, env: Env::ROOT }, evaluate)
}

/// Evaluates an attribute and all that is in it; it is on the stack meanwhile, if it is code that nobody ran yet.
pub(crate) fn in_attribute<T>(ev: &Evaluator, attr: Attr, evaluate: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(debugging) = &ev.settings().debugging else { return evaluate() };
    let code = Thunk::of(attr.value).and_then(Thunk::code);
    match code.and_then(|(code, env)| Some((code.place()?, env))) {
        Some(((unit, id), env)) => {
            let place = Place::new(unit, id, Kind::Attribute(attr.name, attr.pos()));
            on_stack(ev, debugging, Entry { place, env }, evaluate)
        }
        None => evaluate(),
    }
}

fn on_stack<T>(
    ev: &Evaluator,
    debugging: &Debugging,
    entry: Entry,
    evaluate: impl FnOnce() -> Result<T>,
) -> Result<T> {
    // Whoever looks at the variables may keep their places.
    entry.env.escape();
    debugging.stack().push(entry);
    let may_go_on = !debugging.steps.load(Ordering::Relaxed) || debugging.stop(ev, None, false);
    let result =
        if may_go_on { evaluate() } else { Err(EvalError::new(ErrorKind::Other, "the debugger was left")) };
    if let Err(error) = &result {
        let Place { unit, id, .. } = entry.place;
        debugging.failed(ev, error, || fake::origin(ev, unit, *id, entry.env, error));
    }
    // What was put there for an error stays in its place, as in the reference.
    debugging.stack().pop();
    result
}

struct Stacked {
    debugging: Arc<Debugging>,
    place: &'static Place,
    op: Op,
}

impl Run for Stacked {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let entry = Entry { place: self.place, env };
        on_stack(ev, &self.debugging, entry, || self.op.run(ev, env))
    }
}

/// A selection, which is on the stack once it is known what from.
struct Selection {
    subject: Op,
    stacked: Stacked,
}

impl Run for Selection {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let subject = self.subject.run(ev, env)?;
        self.stacked.debugging.subjects().push(subject);
        self.stacked.run(ev, env)
    }
}

/// What is selected from: the first thing that a selection asks for.
struct Subject(Arc<Debugging>);

impl Run for Subject {
    fn run(&self, _: &Evaluator, _: Env) -> Result<Value> {
        Ok(self.0.subjects().pop().unwrap_or(Value::NULL))
    }
}

/// Any other expression.
struct Noticing {
    debugging: Arc<Debugging>,
    unit: &'static Unit,
    id: ExprId,
    op: Op,
}

impl Run for Noticing {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let result = self.op.run(ev, env);
        if let Err(error) = &result {
            env.escape();
            self.debugging.failed(ev, error, || fake::origin(ev, self.unit, self.id, env, error));
        }
        result
    }
}

/// A call whose arguments are evaluated by the function alone, so that the stack shows who wants them.
struct Call {
    function: Op,
    arguments: Box<[Lazy]>,
    pos: Pos,
}

impl Run for Call {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let function = self.function.run(ev, env)?;
        let arguments: Vec<Value> = self.arguments.iter().map(|argument| argument.make(ev, env)).collect();
        ev.call_for_debugger(function, &arguments, self.pos)
    }
}

struct StackedBody {
    debugging: Arc<Debugging>,
    place: &'static Place,
    code: &'static Code,
}

impl Run for StackedBody {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let entry = Entry { place: self.place, env };
        on_stack(ev, &self.debugging, entry, || self.code.run(ev, env))
    }
}
