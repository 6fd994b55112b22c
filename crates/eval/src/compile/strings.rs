//! Strings and paths with interpolation, and `+`.

use nival_syntax::ast::{ConcatKind, Expr, Part, Range};
use nival_syntax::{ExprId, Pos};

use super::expr::{constant_bytes, constant_text};
use super::operand::Operand;
use super::{Unit, expression};
use crate::code::{Op, Run};
use crate::context::{Context, Contexts};
use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::{Coercion, Env, Evaluator, describe_type};
use crate::value::{Str, Value, View};

const FRAME: &str = "while evaluating a path segment";

pub(super) fn compile(ev: &Evaluator, unit: &'static Unit, id: ExprId, kind: ConcatKind, parts: Range) -> Op {
    let pos = unit.pos(id);
    let mut parts = unit.ast.parts(parts);
    let piece = |part: Part| match constant_bytes(unit, part.expr) {
        Some(bytes) => Piece::Text(constant_text(ev, bytes), part.pos),
        None => Piece::Expr(Operand::compile(ev, unit, part.expr), part.pos),
    };
    if kind == ConcatKind::Plus
        && parts.len() == 2
        && let (Some(left), Some(right)) = (parts.next(), parts.next())
    {
        let positions = (left.pos, right.pos);
        let appends = makes_a_string(unit, left.expr);
        let left = Operand::compile(ev, unit, left.expr);
        let right = Operand::compile(ev, unit, right.expr);
        return Op::new(&ev.heap, Add { left, right, appends, positions, pos });
    }
    match kind {
        ConcatKind::Plus | ConcatKind::Path => {
            let parts = parts.map(|part| (expression(ev, unit, part.expr), part.pos)).collect();
            Op::new(&ev.heap, ConcatPath { parts, pos })
        }
        ConcatKind::String | ConcatKind::IndentedString => {
            Op::new(&ev.heap, Interpolate(parts.map(piece).collect()))
        }
    }
}

/// Whether the string that an expression evaluates to, if it is one, is always new.
fn makes_a_string(unit: &Unit, id: ExprId) -> bool {
    match unit.expr(id) {
        Expr::Concat { kind: ConcatKind::Plus, parts } => unit.ast.parts(parts).len() == 2,
        Expr::Concat { kind: ConcatKind::String | ConcatKind::IndentedString, parts } => {
            unit.ast.parts(parts).len() > 1
        }
        _ => false,
    }
}

enum Piece {
    Text(Str, Pos),
    Expr(Operand, Pos),
}

/// `"…${…}…"`
struct Interpolate(Box<[Piece]>);

impl Run for Interpolate {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let first = ev.pieces.borrow().len();
        for piece in &self.0 {
            let text = match piece {
                Piece::Text(text, pos) => ev.check_depth(*pos).map(|()| *text),
                Piece::Expr(op, pos) => op
                    .run(ev, env)
                    .and_then(|value| ev.coerce_to_string(value, Coercion::Interpolation, *pos, FRAME)),
            };
            let piece = match text {
                Ok(text) => text,
                Err(error) => {
                    ev.pieces.borrow_mut().truncate(first);
                    return Err(error);
                }
            };
            ev.pieces.borrow_mut().push(piece);
        }
        let mut pieces = ev.pieces.borrow_mut();
        let result = join(ev, &pieces[first..]);
        pieces.truncate(first);
        Ok(result.into())
    }
}

/// Strings in one, with all that they refer to.
pub(crate) fn join(ev: &Evaluator, pieces: &[Str]) -> Str {
    if let [only] = pieces {
        return *only;
    }
    let length = pieces.iter().map(|piece| piece.bytes().len()).sum();
    let mut contexts = Contexts::default();
    for piece in pieces {
        contexts.add(piece.context());
    }
    ev.make_string(length, contexts.union(), |to| {
        let mut start = 0;
        for piece in pieces {
            let bytes = piece.bytes();
            to[start..start + bytes.len()].copy_from_slice(bytes);
            start += bytes.len();
        }
    })
}

/// `left + right`
struct Add {
    left: Operand,
    right: Operand,
    /// Whether a string on the left is nobody else's.
    appends: bool,
    positions: (Pos, Pos),
    pos: Pos,
}

impl Run for Add {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let left = self.left.run(ev, env)?;
        match left.view() {
            View::Int(left) => {
                let right = self.right.run(ev, env)?;
                match right.view() {
                    View::Int(right) => left.checked_add(right).map(|sum| ev.int(sum)).ok_or_else(|| {
                        let message = format!("integer overflow in adding {left} + {right}");
                        EvalError::new(ErrorKind::Arithmetic, message).at(self.positions.1)
                    }),
                    View::Float(right) => Ok(ev.float(left as f64 + right)),
                    _ => Err(cannot_add(right, "an integer").at(self.positions.1)),
                }
            }
            View::Float(left) => {
                let right = self.right.run(ev, env)?;
                match right.view() {
                    View::Int(right) => Ok(ev.float(left + right as f64)),
                    View::Float(right) => Ok(ev.float(left + right)),
                    _ => Err(cannot_add(right, "a float").at(self.positions.1)),
                }
            }
            View::Path(path) => {
                ev.check_depth(self.positions.0)?;
                let right = self.right.run(ev, env)?;
                let right = ev.coerce_to_string(right, Coercion::Plain, self.positions.1, FRAME)?;
                append_to_path(ev, &[path.bytes(), right.bytes()], right.context(), self.pos)
            }
            first => {
                let how = match first {
                    View::String(_) => Coercion::Interpolation,
                    _ => Coercion::Plain,
                };
                let left = ev.coerce_to_string(left, how, self.positions.0, FRAME)?;
                let right = self.right.run(ev, env)?;
                let right = ev.coerce_to_string(right, how, self.positions.1, FRAME)?;
                if self.appends && how == Coercion::Interpolation {
                    let context = left.context().union(right.context());
                    // SAFETY: what is on the left has just made the string, or it is one that did not come last.
                    if let Some(both) = unsafe { left.followed_by(&ev.heap, right.bytes(), context) } {
                        return Ok(both.into());
                    }
                }
                Ok(join(ev, &[left, right]).into())
            }
        }
    }
}

#[cold]
fn cannot_add(value: Value, to: &str) -> EvalError {
    EvalError::other(format!("cannot add {} to {to}", describe_type(value)))
}

fn append_to_path(ev: &Evaluator, pieces: &[&[u8]], context: Context, pos: Pos) -> Result<Value> {
    if !context.is_empty() {
        let message = "a string that refers to a store path cannot be appended to a path";
        return Err(EvalError::new(ErrorKind::Context, message).at(pos));
    }
    Ok(ev.path_of(pieces))
}

/// `./a/${b}`: the first part is a path, and so is the whole.
struct ConcatPath {
    parts: Box<[(Op, Pos)]>,
    pos: Pos,
}

impl Run for ConcatPath {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let mut bytes = Vec::new();
        let mut context = Context::EMPTY;
        for (op, pos) in &self.parts {
            let value = op.run(ev, env)?;
            let text = ev.coerce_to_string(value, Coercion::Plain, *pos, FRAME)?;
            bytes.extend_from_slice(text.bytes());
            context = context.union(text.context());
        }
        append_to_path(ev, &[&bytes], context, self.pos)
    }
}
