//! Variables.

use nival_syntax::{ExprId, Pos, Symbol};

use super::Unit;
use super::operand::Operand;
use super::resolve::VarRef;
use super::select::{InlineCache, SelectOne};
use crate::code::{Op, Run};
use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::{Env, Evaluator};
use crate::value::{Attrs, Value};

pub(super) fn compile(ev: &Evaluator, unit: &'static Unit, id: ExprId, name: Symbol) -> Op {
    from_ref(ev, unit, unit.var(id), name, unit.pos(id))
}

pub(super) fn from_ref(ev: &Evaluator, unit: &'static Unit, var: VarRef, name: Symbol, pos: Pos) -> Op {
    let heap = &ev.heap;
    match var {
        VarRef::Frame { depth: 0, index } => Op::new(heap, Local { index, pos }),
        VarRef::Frame { depth: 1, index } => Op::new(heap, Outer1 { index, pos }),
        VarRef::Frame { depth, index } => Op::new(heap, Outer { depth: u32::from(depth), index, pos }),
        VarRef::Global(index) => Op::new(heap, Global { value: unit.resolved.globals[index as usize], pos }),
        VarRef::With(chain) => {
            let sets = unit.resolved.chain(chain).iter().map(|with| WithSet {
                distance: with.distance,
                index: with.index,
                pos: with.pos(unit),
                cache: InlineCache::default(),
            });
            Op::new(heap, FromWith { sets: sets.collect(), name, pos })
        }
        VarRef::InheritSlot(index) => Op::new(heap, SelectOne::new(Operand::Local { index, pos }, name, pos)),
        VarRef::InheritVar(from) => {
            Op::new(heap, SelectOne::new(Operand::compile(ev, unit, from), name, pos))
        }
        VarRef::None | VarRef::OwnFrame(_) | VarRef::InFrame(_) => {
            unreachable!("variables were resolved before")
        }
    }
}

struct Local {
    index: u32,
    pos: Pos,
}

impl Run for Local {
    #[inline(always)]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        ev.force_place(env.slot(self.index), self.pos)
    }
}

struct Outer1 {
    index: u32,
    pos: Pos,
}

impl Run for Outer1 {
    #[inline(always)]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        ev.force_place(env.outer(1).slot(self.index), self.pos)
    }
}

struct Outer {
    depth: u32,
    index: u32,
    pos: Pos,
}

impl Run for Outer {
    #[inline(always)]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        ev.force_place(env.outer(self.depth).slot(self.index), self.pos)
    }
}

struct Global {
    value: Value,
    pos: Pos,
}

impl Run for Global {
    #[inline(always)]
    fn run(&self, ev: &Evaluator, _: Env) -> Result<Value> {
        ev.force(self.value, self.pos)
    }
}

/// A variable that only the sets of the `with`s around can have.
struct FromWith {
    /// From the innermost outwards.
    sets: Box<[WithSet]>,
    name: Symbol,
    pos: Pos,
}

struct WithSet {
    /// How many frames further out than the one before.
    distance: u32,
    index: u32,
    pos: Pos,
    cache: InlineCache,
}

impl Run for FromWith {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let mut env = env;
        let mut outermost = None;
        for place in &self.sets {
            env = env.outer(place.distance);
            let frame = "while evaluating the first subexpression of a with expression";
            let attrs = ev.force_attrs(env.slot(place.index).get(), place.pos, frame)?;
            if let Some(found) = place.cache.find(attrs, self.name) {
                return ev.force_place(found, self.pos);
            }
            outermost = Some(attrs);
        }
        Err(self.undefined(ev, outermost))
    }
}

impl FromWith {
    /// The sets are asked for a hint, from the outermost inwards.
    #[cold]
    fn undefined(&self, ev: &Evaluator, outermost: Option<Attrs>) -> EvalError {
        let message = format!("undefined variable '{}'", self.name);
        let mut error = EvalError::new(ErrorKind::UndefinedVariable, message).at(self.pos);
        if let Some(attrs) = outermost
            && let Some(hint) = super::select::missing_hint(ev, attrs)
        {
            error = error.with_hint(hint);
        }
        error
    }
}
