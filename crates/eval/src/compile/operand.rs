//! What an operation works on: most often a variable or a constant, which then need no node of their own.

use nival_syntax::ast::Expr;
use nival_syntax::{ExprId, Pos};

use super::resolve::VarRef;
use super::{Unit, expr, expression};
use crate::code::{Op, Run};
use crate::error::Result;
use crate::evaluator::{Env, Evaluator};
use crate::value::Value;

#[derive(Clone, Copy)]
pub(crate) enum Operand {
    /// A variable of the frame.
    Local { index: u32, pos: Pos },
    /// A variable of a frame further out.
    Outer { depth: u16, index: u32, pos: Pos },
    /// It is known.
    Value(Value),
    /// Anything else.
    Op(Op),
}

const _: () = assert!(size_of::<Operand>() == 16);

impl Operand {
    pub(super) fn compile(ev: &Evaluator, unit: &'static Unit, id: ExprId) -> Operand {
        let pos = unit.pos(id);
        match (unit.expr(id), unit.var(id)) {
            (Expr::Var(_), VarRef::Frame { depth: 0, index }) => Operand::Local { index, pos },
            (Expr::Var(_), VarRef::Frame { depth, index }) => Operand::Outer { depth, index, pos },
            (Expr::Var(_), VarRef::Global(index)) if unit.resolved.globals[index as usize].is_forced() => {
                Operand::Value(unit.resolved.globals[index as usize])
            }
            _ => match expr::constant(ev, unit, id) {
                Some(value) => Operand::Value(value),
                None => Operand::Op(expression(ev, unit, id)),
            },
        }
    }
}

impl Operand {
    /// As [`Run::run`], for the argument of an operator that is a call of a built-in function: what has to be evaluated is so
    /// inside of that call, for which there is room.
    #[inline(always)]
    pub(super) fn run_inside(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let (place, pos) = match *self {
            Operand::Local { index, pos } => (env.slot(index), pos),
            Operand::Outer { depth, index, pos } => (env.outer(u32::from(depth)).slot(index), pos),
            Operand::Value(value) => return Ok(value),
            Operand::Op(op) => return ev.deeper(|| op.run(ev, env)),
        };
        match place.known() {
            Some(value) => Ok(value),
            None => ev.deeper(|| ev.force_place(place, pos)),
        }
    }
}

impl Run for Operand {
    #[inline(always)]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        match *self {
            Operand::Local { index, pos } => ev.force_place(env.slot(index), pos),
            Operand::Outer { depth, index, pos } => {
                ev.force_place(env.outer(u32::from(depth)).slot(index), pos)
            }
            Operand::Value(value) => Ok(value),
            Operand::Op(op) => op.run(ev, env),
        }
    }
}
