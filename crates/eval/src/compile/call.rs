//! Calls.

use nival_syntax::ast::{Expr, Range};
use nival_syntax::{ExprId, Pos};

use super::resolve::VarRef;
use super::{Frame, Lazy, Unit, expression, lazy};
use crate::code::{Op, Run};
use crate::error::Result;
use crate::evaluator::{Env, Evaluator};
use crate::value::{Builtin, Value, View};

pub(super) fn compile(
    ev: &Evaluator,
    unit: &'static Unit,
    id: ExprId,
    function: ExprId,
    arguments: Range,
) -> Op {
    let pos = unit.pos(id);
    let arguments = unit.ast.list(arguments);
    let lazies: Vec<Lazy> = arguments.iter().map(|id| lazy(ev, unit, *id, Frame::Complete)).collect();
    if let Some(builtin) = known_builtin(unit, function)
        && builtin.arity() == lazies.len()
    {
        return match *lazies {
            [first] => Op::new(&ev.heap, CallBuiltin { builtin, arguments: [first], pos }),
            [first, second] => Op::new(&ev.heap, CallBuiltin { builtin, arguments: [first, second], pos }),
            _ => call_any(ev, unit, function, lazies, pos),
        };
    }
    call_any(ev, unit, function, lazies, pos)
}

fn call_any(ev: &Evaluator, unit: &'static Unit, function: ExprId, lazies: Vec<Lazy>, pos: Pos) -> Op {
    let function = expression(ev, unit, function);
    match *lazies {
        [a] => Op::new(&ev.heap, Call { function, arguments: [a], pos }),
        [a, b] => Op::new(&ev.heap, Call { function, arguments: [a, b], pos }),
        [a, b, c] => Op::new(&ev.heap, Call { function, arguments: [a, b, c], pos }),
        _ => Op::new(&ev.heap, CallMany { function, arguments: lazies.into(), pos }),
    }
}

/// The built-in function that an expression names, if it is certain: a global variable.
fn known_builtin(unit: &'static Unit, id: ExprId) -> Option<&'static Builtin> {
    let Expr::Var(_) = unit.expr(id) else { return None };
    let VarRef::Global(index) = unit.var(id) else { return None };
    match unit.resolved.globals[index as usize].view() {
        View::Builtin(builtin) => Some(builtin),
        _ => None,
    }
}

struct Call<const N: usize> {
    function: Op,
    arguments: [Lazy; N],
    pos: Pos,
}

impl<const N: usize> Run for Call<N> {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let function = self.function.run(ev, env)?;
        let arguments: [Value; N] = std::array::from_fn(|index| self.arguments[index].make(ev, env));
        ev.call(function, &arguments, self.pos)
    }
}

struct CallMany {
    function: Op,
    arguments: Box<[Lazy]>,
    pos: Pos,
}

impl Run for CallMany {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let function = self.function.run(ev, env)?;
        let arguments: Vec<Value> = self.arguments.iter().map(|argument| argument.make(ev, env)).collect();
        ev.call(function, &arguments, self.pos)
    }
}

struct CallBuiltin<const N: usize> {
    builtin: &'static Builtin,
    arguments: [Lazy; N],
    pos: Pos,
}

impl<const N: usize> Run for CallBuiltin<N> {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let _depth = ev.enter(self.pos)?;
        let arguments: [Value; N] = std::array::from_fn(|index| self.arguments[index].make(ev, env));
        ev.call_builtin(self.builtin, &arguments, self.pos)
    }
}
