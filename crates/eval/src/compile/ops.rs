//! Operators.

use nival_syntax::ast::{BinaryOp, Expr};
use nival_syntax::{ExprId, Pos, Symbol};

use super::expr::{Constant, run_bool};
use super::operand::Operand;
use super::{Frame, Lazy, Unit, implicit, lazy};
use crate::code::{Op, Run};
use crate::error::{EvalError, FrameText, InFrame, Result};
use crate::evaluator::{Env, Evaluator};
use crate::value::{LastMerge, List, ListBuilder, Tag, Value, View};

pub(super) fn compile(
    ev: &Evaluator,
    unit: &'static Unit,
    id: ExprId,
    op: BinaryOp,
    left: ExprId,
    right: ExprId,
) -> Op {
    let heap = &ev.heap;
    let pos = unit.pos(id);
    if let Some(name) = op.function() {
        // `>` and `<=` are `<` with the sides changed; `<=` and `>=` negate.
        let (first, second) = match op {
            BinaryOp::Greater | BinaryOp::LessOrEqual => (right, left),
            _ => (left, right),
        };
        let negate = matches!(op, BinaryOp::LessOrEqual | BinaryOp::GreaterOrEqual);
        if let Some(function) = function_to_call(ev, unit, id, name) {
            let arguments = [first, second].map(|id| lazy(ev, unit, id, Frame::Complete));
            return Op::new(heap, CallOperator { function, arguments, negate, pos });
        }
        let sides = |left, right| Sides {
            left: Operand::compile(ev, unit, left),
            right: Operand::compile(ev, unit, right),
            pos,
        };
        return match op {
            BinaryOp::Subtract => Op::new(heap, Arithmetic::<SUBTRACT>(sides(left, right))),
            BinaryOp::Multiply => Op::new(heap, Arithmetic::<MULTIPLY>(sides(left, right))),
            BinaryOp::Divide => Op::new(heap, Arithmetic::<DIVIDE>(sides(left, right))),
            _ => Op::new(heap, Less { sides: sides(first, second), negate }),
        };
    }
    let sides =
        Sides { left: Operand::compile(ev, unit, left), right: Operand::compile(ev, unit, right), pos };
    match op {
        BinaryOp::Equal => Op::new(heap, Equal { sides, negate: false }),
        BinaryOp::NotEqual => Op::new(heap, Equal { sides, negate: true }),
        BinaryOp::And => Op::new(heap, And(sides)),
        BinaryOp::Or => Op::new(heap, Or(sides)),
        BinaryOp::Implies => Op::new(heap, Implies(sides)),
        BinaryOp::Update => {
            // Of several in a row, the reference tells only the innermost.
            let side = |operand, id, frame| {
                let is_update = matches!(unit.expr(id), Expr::Binary { op: BinaryOp::Update, .. });
                Side { operand, pos: unit.pos(id), frame: if is_update { "" } else { frame } }
            };
            let left = side(sides.left, left, "in the left operand of the update (//) operator");
            let right = side(sides.right, right, "in the right operand of the update (//) operator");
            Op::new(heap, Update { left, right, last: LastMerge::default() })
        }
        _ => Op::new(heap, ConcatLists(sides)),
    }
}

pub(super) fn compile_negate(ev: &Evaluator, unit: &'static Unit, id: ExprId, operand: ExprId) -> Op {
    let pos = unit.pos(id);
    let zero = ev.int(0);
    if let Some(function) = function_to_call(ev, unit, id, Symbol::SUB) {
        let arguments = [Lazy::Value(zero), lazy(ev, unit, operand, Frame::Complete)];
        return Op::new(&ev.heap, CallOperator { function, arguments, negate: false, pos });
    }
    let sides = Sides { left: Operand::Value(zero), right: Operand::compile(ev, unit, operand), pos };
    Op::new(&ev.heap, Arithmetic::<SUBTRACT>(sides))
}

/// The function of an operator, if it has to be called: it is another one than the built-in one, or somebody wants to see
/// the call.
fn function_to_call(ev: &Evaluator, unit: &'static Unit, id: ExprId, name: Symbol) -> Option<Op> {
    let built_in = || Some(Op::new(&ev.heap, Constant(ev.global(name).ok()?)));
    implicit(ev, unit, id, name).or_else(|| if ev.is_observed() { built_in() } else { None })
}

struct Sides {
    left: Operand,
    right: Operand,
    pos: Pos,
}

pub(super) struct Not {
    pub(super) operand: Operand,
    pub(super) pos: Pos,
}

impl Run for Not {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let value = run_bool(self.operand, ev, env, self.pos, "in the argument of the not operator")?;
        Ok(Value::bool(!value))
    }
}

struct And(Sides);

impl Run for And {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let Sides { left, right, pos } = self.0;
        let value = run_bool(left, ev, env, pos, "in the left operand of the AND (&&) operator")?
            && run_bool(right, ev, env, pos, "in the right operand of the AND (&&) operator")?;
        Ok(Value::bool(value))
    }
}

struct Or(Sides);

impl Run for Or {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let Sides { left, right, pos } = self.0;
        let value = run_bool(left, ev, env, pos, "in the left operand of the OR (||) operator")?
            || run_bool(right, ev, env, pos, "in the right operand of the OR (||) operator")?;
        Ok(Value::bool(value))
    }
}

struct Implies(Sides);

impl Run for Implies {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let Sides { left, right, pos } = self.0;
        let value = !run_bool(left, ev, env, pos, "in the left operand of the IMPL (->) operator")?
            || run_bool(right, ev, env, pos, "in the right operand of the IMPL (->) operator")?;
        Ok(Value::bool(value))
    }
}

struct Equal {
    sides: Sides,
    negate: bool,
}

impl Run for Equal {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let left = self.sides.left.run(ev, env)?;
        let right = self.sides.right.run(ev, env)?;
        let equal = match (left.tag(), right.tag()) {
            // `null`, `true`, `false` and small integers are what their word says.
            (Tag::Immediate, _) | (_, Tag::Immediate) | (Tag::Int, Tag::Int) => {
                ev.check_depth(self.sides.pos)?;
                left == right
            }
            _ => ev.equal(left, right, self.sides.pos)?,
        };
        Ok(Value::bool(equal != self.negate))
    }
}

/// An operator that is called as the function that it is.
struct CallOperator {
    function: Op,
    arguments: [Lazy; 2],
    negate: bool,
    pos: Pos,
}

impl Run for CallOperator {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let function = self.function.run(ev, env)?;
        if let View::Lambda(lambda) = function.view() {
            lambda.code().see();
        }
        let arguments = [self.arguments[0].make(ev, env), self.arguments[1].make(ev, env)];
        let result = ev.call(function, &arguments, self.pos);
        if !self.negate {
            return result;
        }
        let frame = "in the argument of the not operator";
        let holds = ev.force_bool(result.frame(frame, self.pos)?, self.pos, frame)?;
        Ok(Value::bool(!holds))
    }
}

/// `<` and the others that are made of it.
struct Less {
    sides: Sides,
    negate: bool,
}

impl Run for Less {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let Sides { left, right, pos } = self.sides;
        let compare = || {
            let left = left.run_inside(ev, env)?;
            let right = right.run_inside(ev, env)?;
            match (left.view(), right.view()) {
                (View::Int(left), View::Int(right)) => Ok(left < right),
                _ => ev.deeper(|| ev.less_than(left, right, Pos::NONE, "")),
            }
        };
        let in_call = |error: EvalError| error.with_frame(FrameText::Builtin("lessThan"), pos);
        let less = ev.check_depth(pos).and_then(|()| compare().map_err(in_call));
        match less {
            Ok(less) => Ok(Value::bool(less != self.negate)),
            Err(error) if self.negate => Err(error.with_frame("in the argument of the not operator", pos)),
            Err(error) => Err(error),
        }
    }
}

const SUBTRACT: u8 = 0;
const MULTIPLY: u8 = 1;
const DIVIDE: u8 = 2;

/// `-`, `*` and `/`: small cases here, all others in the built-in function.
struct Arithmetic<const OPERATION: u8>(Sides);

impl<const OPERATION: u8> Run for Arithmetic<OPERATION> {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let Sides { left, right, pos } = self.0;
        let (symbol, name) = match OPERATION {
            SUBTRACT => (Symbol::SUB, "sub"),
            MULTIPLY => (Symbol::MUL, "mul"),
            _ => (Symbol::DIV, "div"),
        };
        ev.check_depth(pos)?;
        let operands = left.run_inside(ev, env).and_then(|left| Ok((left, right.run_inside(ev, env)?)));
        let (left, right) = operands.map_err(|error| error.with_frame(FrameText::Builtin(name), pos))?;
        if let (View::Int(left), View::Int(right)) = (left.view(), right.view()) {
            let result = match OPERATION {
                SUBTRACT => left.checked_sub(right),
                MULTIPLY => left.checked_mul(right),
                _ => left.checked_div(right),
            };
            if let Some(result) = result {
                return Ok(ev.int(result));
            }
        }
        ev.call(ev.global(symbol)?, &[left, right], pos)
    }
}

struct Update {
    left: Side,
    right: Side,
    last: LastMerge,
}

struct Side {
    operand: Operand,
    pos: Pos,
    frame: &'static str,
}

impl Run for Update {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let attrs = |side: &Side| match side.operand.run(ev, env) {
            Ok(value) => {
                value.as_attrs().ok_or_else(|| ev.expected("a set", value).with_frame(side.frame, side.pos))
            }
            Err(error) => Err(error.with_frame(side.frame, side.pos)),
        };
        // The right side first, as the reference does.
        let right = attrs(&self.right)?;
        let left = attrs(&self.left)?;
        Ok(left.update_as_last(&ev.heap, right, &self.last).into())
    }
}

struct ConcatLists(Sides);

impl Run for ConcatLists {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let left = self.0.left.run(ev, env)?;
        let right = self.0.right.run(ev, env)?;
        let frame = "while evaluating one of the elements to concatenate";
        let left = ev.force_list(left, self.0.pos, frame)?;
        let right = ev.force_list(right, self.0.pos, frame)?;
        Ok(concat(ev, &[left, right]).into())
    }
}

/// Several lists in one; one of them itself if the others are empty.
pub(crate) fn concat(ev: &Evaluator, lists: &[List]) -> List {
    let length = lists.iter().map(|list| list.len()).sum();
    if let Some(only) = lists.iter().find(|list| list.len() == length) {
        return *only;
    }
    let mut result = ListBuilder::new(&ev.heap, length);
    for value in lists.iter().flat_map(|list| list.iter()) {
        result.push(value);
    }
    result.finish()
}
