//! Calls.

use nival_syntax::ast::{Expr, Range};
use nival_syntax::{ExprId, Pos};

use super::operand::Operand;
use super::resolve::VarRef;
use super::{Frame, Lazy, Unit, lazy};
use crate::builtins::{LastUsage, Usage};
use crate::code::{Op, Run};
use crate::error::Result;
use crate::evaluator::{Env, Evaluator};
use crate::value::{Builtin, Thunk, Value, View};

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
        let usage = Usage::of(builtin);
        match *lazies {
            [a] => return Op::new(&ev.heap, CallBuiltin { builtin, usage, arguments: [a], pos }),
            [a, b] => return Op::new(&ev.heap, CallBuiltin { builtin, usage, arguments: [a, b], pos }),
            [a, b, c] => return Op::new(&ev.heap, CallBuiltin { builtin, usage, arguments: [a, b, c], pos }),
            _ => {}
        }
    }
    call_any(ev, unit, function, lazies, pos)
}

fn call_any(ev: &Evaluator, unit: &'static Unit, function: ExprId, lazies: Vec<Lazy>, pos: Pos) -> Op {
    let function = Operand::compile(ev, unit, function);
    let usage = LastUsage::default();
    match *lazies {
        [a] => Op::new(&ev.heap, Call { function, usage, arguments: [a], pos }),
        [a, b] => Op::new(&ev.heap, Call { function, usage, arguments: [a, b], pos }),
        [a, b, c] => Op::new(&ev.heap, Call { function, usage, arguments: [a, b, c], pos }),
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
    function: Operand,
    /// Where the function is a built-in one.
    usage: LastUsage,
    arguments: [Lazy; N],
    pos: Pos,
}

impl<const N: usize> Run for Call<N> {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let function = self.function.run(ev, env)?;
        let arguments = &self.arguments;
        match function.view() {
            View::Lambda(lambda) if lambda.code().takes_plainly(N) => {
                let _depth = ev.enter(self.pos)?;
                lambda.code().see();
                let code = lambda.code();
                let frame = Env::local(&ev.heap, lambda.env(), code.frame_size);
                for (index, lazy) in (0..).zip(arguments) {
                    lazy.put_in_frame(env, frame.slot(index));
                }
                let result = ev.run_body(code, frame, self.pos);
                frame.leave(&ev.heap, code.frame_size, &result, env);
                result
            }
            View::Builtin(builtin) if builtin.arity() == N => {
                call_builtin(ev, env, builtin, self.usage.of(builtin), arguments, self.pos)
            }
            _ => {
                let mut values = [Value::NULL; N];
                for (index, (value, lazy)) in values.iter_mut().zip(arguments).enumerate() {
                    *value = match (index, lazy) {
                        (0, Lazy::Thunk(_)) if takes_a_set(function) && ev.check_depth(self.pos).is_ok() => {
                            ev.new_element(ev.deeper(|| lazy.evaluate(ev, env))?)
                        }
                        _ => lazy.make(ev, env),
                    };
                }
                ev.call(function, &values, self.pos)
            }
        }
    }
}

/// Whether it is a function that evaluates what it is called with before it does anything else, since that must be a set.
#[inline(always)]
fn takes_a_set(function: Value) -> bool {
    matches!(function.view(), View::Lambda(lambda) if lambda.code().has_formals)
}

/// Calls a built-in function with all of its arguments, the one that it evaluates first being evaluated.
#[inline(always)]
fn call_builtin<const N: usize>(
    ev: &Evaluator,
    env: Env,
    builtin: &'static Builtin,
    usage: Usage,
    arguments: &[Lazy; N],
    pos: Pos,
) -> Result<Value> {
    let _depth = ev.enter(pos)?;
    let mut values = [Value::NULL; N];
    // A bit for each thunk whose place comes back.
    let mut lent = 0_u32;
    for (index, (value, lazy)) in values.iter_mut().zip(arguments).enumerate() {
        let is_first = usage.is_first(index) && matches!(lazy, Lazy::Thunk(_));
        if is_first && !usage.is_first_deeper() {
            *value = lazy.evaluate(ev, env)?;
        } else if is_first && ev.check_depth(pos).is_ok() {
            *value = ev.deeper(|| lazy.evaluate(ev, env))?;
        } else {
            *value = lazy.lend(ev, env);
            if !usage.borrows(index) {
                value.escape_from(env);
            } else if matches!(lazy, Lazy::Thunk(_)) {
                lent |= 1 << index;
            }
        }
    }
    let result = ev.call_builtin(builtin, &values, pos);
    if lent != 0 && result.is_ok() {
        for (index, value) in values.into_iter().enumerate() {
            if lent >> index & 1 == 1
                && let Some(thunk) = Thunk::of(value)
            {
                thunk.take_back(&ev.heap);
            }
        }
    }
    result
}

struct CallMany {
    function: Operand,
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
    usage: Usage,
    arguments: [Lazy; N],
    pos: Pos,
}

impl<const N: usize> Run for CallBuiltin<N> {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        call_builtin(ev, env, self.builtin, self.usage, &self.arguments, self.pos)
    }
}
