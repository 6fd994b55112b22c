//! Where errors come up that the reference gives a frame of their own on the debugger's stack, a "fake" one (`withFrame` in
//! `eval.cc` of C++ Nix 2.34).

use nival_syntax::ast::{BinaryOp, Expr};
use nival_syntax::{Ast, ExprId, Pos};

use super::nodes::{Entry, Kind, Place};
use crate::code::LambdaCode;
use crate::compile::{self, Unit};
use crate::error::{ErrorKind, EvalError};
use crate::evaluator::{Env, Evaluator};

/// That frame for an error which the expression gave before anybody else noticed it.
pub(super) fn origin(
    ev: &Evaluator,
    unit: &'static Unit,
    id: ExprId,
    env: Env,
    error: &EvalError,
) -> Option<Entry> {
    let message = error.message();
    let is_no_bool = message.starts_with("expected a Boolean but found ");
    let is_no_set = message.starts_with("expected a set but found ");
    let of_sides = |left, right| if error.frame_says("in the left operand") { left } else { right };
    let origin = match unit.ast.expr(id) {
        Expr::Assert { .. } if message.starts_with("assertion '") => id,
        Expr::Assert { condition, .. } | Expr::If { condition, .. } if is_no_bool => condition,
        Expr::Not(operand) if is_no_bool => operand,
        Expr::Binary { op: BinaryOp::And | BinaryOp::Or | BinaryOp::Implies, left, right } if is_no_bool => {
            of_sides(left, right)
        }
        Expr::Binary { op: BinaryOp::Update, left, right } if is_no_set => of_sides(left, right),
        Expr::Select { .. } if error.kind() == ErrorKind::MissingAttribute => id,
        Expr::Concat { .. } if message.starts_with("cannot add ") || error.kind() == ErrorKind::Context => id,
        Expr::Set(_) if message.starts_with("dynamic attribute '") => id,
        Expr::Var(_) if error.kind() == ErrorKind::UndefinedVariable => {
            let steps = steps_to_outermost_with(ev, unit, id) as u32;
            return Some(Entry { place: Place::new(unit, id, Kind::Fake), env: env.outer(steps) });
        }
        _ => return None,
    };
    Some(Entry { place: Place::new(unit, origin, Kind::Fake), env })
}

/// Puts it on the stack for a function that does not take the argument it was given.
#[cold]
pub(crate) fn unfit_argument(ev: &Evaluator, code: &LambdaCode, env: Env) {
    if let Some(debugging) = &ev.settings().debugging {
        let place = Place::new(code.unit, code.expr, Kind::Fake);
        debugging.stack().push(Entry { place, env });
    }
}

/// By how many frames of variables the frame of an entry is further out than what is in scope at its expression: the reference
/// takes one for the other where a body or an attribute is a `let`, and for a variable that no `with` has.
pub(super) fn steps_out(ev: &Evaluator, entry: &Entry) -> usize {
    let Place { unit, id, kind } = entry.place;
    match unit.ast.expr(*id) {
        Expr::Let { .. } if !matches!(kind, Kind::Let) => 1,
        Expr::Var(_) if matches!(kind, Kind::Fake) => steps_to_outermost_with(ev, unit, *id),
        _ => 0,
    }
}

fn steps_to_outermost_with(ev: &Evaluator, unit: &Unit, id: ExprId) -> usize {
    let scopes = compile::scopes_at(ev, unit, id);
    let outermost = scopes.iter().position(|scope| scope.with.is_some());
    outermost.map_or(0, |outermost| scopes.len() - 1 - outermost)
}

/// Where an expression is for the reference, which does not know it of all.
pub(super) fn position(ast: &Ast<'_>, id: ExprId) -> Pos {
    match ast.expr(id) {
        Expr::Int(_) | Expr::Float(_) | Expr::String(_) | Expr::Path(_) | Expr::Let { .. } => Pos::NONE,
        Expr::Not(inner) | Expr::HasAttr { subject: inner, .. } => position(ast, inner),
        Expr::List(elements) => ast.list(elements).first().map_or(Pos::NONE, |first| position(ast, *first)),
        _ => ast.pos(id),
    }
}

/// What the reference says of an error when it comes up, before it goes anywhere (`EvalErrorBuilder` in `eval-error.hh`).
pub(super) struct Birth {
    /// Where it is, if it is said where.
    pub(super) place: BirthPlace,
    /// Whether its innermost frame was there from the beginning.
    pub(super) has_frame: bool,
}

pub(super) enum BirthPlace {
    Own,
    /// Nowhere, as it was made at a place that is none.
    Nowhere,
    /// Where the expression is.
    Around,
}

impl Birth {
    pub(super) fn of(error: &EvalError) -> Birth {
        let message = error.message();
        let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| message.starts_with(beginning));
        let is_update = error.innermost_frame().is_some_and(|text| text.contains("operand of the update"));
        let is_forced = begins(&["expected a set but ", "expected a list but "]) && !is_update;
        let has_frame = is_forced
            || begins(&["cannot coerce ", "the string '", "function '"])
            || begins(&["string '", "path '"])
            || begins(&["attribute '"]) && error.pos().is_none();
        let is_said_later = has_frame
            || is_update
            || matches!(error.kind(), ErrorKind::Throw | ErrorKind::Abort | ErrorKind::Assertion)
            || begins(&["cannot compare ", "file names ", "invalid derivation name", "argument '"]);
        let place = match error.kind() {
            ErrorKind::InfiniteRecursion => BirthPlace::Nowhere,
            _ if !error.pos().is_none() => BirthPlace::Own,
            _ if is_said_later => BirthPlace::Around,
            _ => BirthPlace::Nowhere,
        };
        Birth { place, has_frame }
    }
}

/// Whether the reference stops for an error: not for those that come from outside of the evaluator.
pub(super) fn stops(error: &EvalError) -> bool {
    let is_forbidden = error.kind() == ErrorKind::Impure && error.message().starts_with("access to ");
    let is_from_outside = matches!(
        error.kind(),
        ErrorKind::MissingFile
            | ErrorKind::Host
            | ErrorKind::Syntax
            | ErrorKind::Interrupted
            | ErrorKind::HashMismatch
            | ErrorKind::Usage
            | ErrorKind::Abandoned
            | ErrorKind::OutOfMemory
    );
    !is_forbidden && !is_from_outside
}
