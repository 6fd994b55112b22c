//! The nodes that code is made of while somebody debugs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nival_syntax::ast::{Expr, LambdaId};
use nival_syntax::{ExprId, Pos, Symbol};

use super::Debugging;
use crate::code::{Code, Op, Run};
use crate::compile::{self, Lazy, Unit};
use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::{Env, Evaluator};
use crate::value::Value;

/// What is being evaluated.
#[derive(Clone)]
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
    /// Nothing: it only knows variables.
    Expression,
    Call,
    Selection,
    Let,
    Function(Option<Symbol>, Pos),
    File(PathBuf),
}

/// The code of an expression, which is on the stack while it runs.
pub(crate) fn expression(ev: &Evaluator, debugging: &Arc<Debugging>, unit: &'static Unit, id: ExprId) -> Op {
    let mut op = compile::plain_expression(ev, unit, id);
    let kind = match unit.ast.expr(id) {
        Expr::Int(_)
        | Expr::Float(_)
        | Expr::String(_)
        | Expr::Path(_)
        | Expr::Lambda(_)
        | Expr::List(_)
        | Expr::CurPos => return op,
        Expr::Call { function, arguments } => {
            let function = compile::expression(ev, unit, function);
            let arguments = unit.ast.list(arguments).iter();
            let arguments = arguments.map(|argument| compile::argument(ev, unit, *argument)).collect();
            op = Op::new(&ev.heap, Call { function, arguments, pos: unit.ast.pos(id) });
            Kind::Call
        }
        Expr::Select { .. } => Kind::Selection,
        Expr::Let { .. } => Kind::Let,
        _ => Kind::Expression,
    };
    Op::new(&ev.heap, Stacked { debugging: Arc::clone(debugging), place: place(unit, id, kind), op })
}

fn place(unit: &'static Unit, id: ExprId, kind: Kind) -> &'static Place {
    Box::leak(Box::new(Place { unit, id, kind }))
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
    let place = place(unit, body, kind);
    Code::native(Op::new(&ev.heap, StackedBody { debugging: Arc::clone(debugging), place, code }))
}

/// Evaluates a file, which is on the stack meanwhile.
pub(crate) fn in_file(
    ev: &Evaluator,
    path: &std::path::Path,
    unit: &'static Unit,
    evaluate: impl FnOnce() -> Result<Value>,
) -> Result<Value> {
    let Some(debugging) = &ev.settings().debugging else { return evaluate() };
    let place = place(unit, unit.ast.root(), Kind::File(path.to_owned()));
    on_stack(ev, debugging, Entry { place, env: Env::ROOT }, evaluate)
}

fn on_stack(
    ev: &Evaluator,
    debugging: &Debugging,
    entry: Entry,
    evaluate: impl FnOnce() -> Result<Value>,
) -> Result<Value> {
    let is_step = !matches!(entry.place.kind, Kind::Expression);
    debugging.stack().push(entry);
    let may_go_on = !is_step || !debugging.steps.load(Ordering::Relaxed) || debugging.stop(ev, None, false);
    let result =
        if may_go_on { evaluate() } else { Err(EvalError::new(ErrorKind::Other, "the debugger was left")) };
    if let Err(error) = &result {
        debugging.failed(ev, error);
    }
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

/// A call whose arguments are evaluated by the function alone, so that the stack shows who wants them.
struct Call {
    function: Op,
    arguments: Box<[Lazy]>,
    pos: Pos,
}

impl Run for Call {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let function = ev.force(self.function.run(ev, env)?, self.pos)?;
        let arguments: Vec<Value> = self.arguments.iter().map(|argument| argument.make(ev, env)).collect();
        ev.call(function, &arguments, self.pos)
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
