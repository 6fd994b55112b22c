//! Functions and how their arguments get into the frame.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use nival_syntax::ast::{Expr, LambdaId};
use nival_syntax::{ExprId, Pos, Symbol, suggestions};

use super::resolve::Place;
use super::{Frame, Lazy, Unit, lazy};
use crate::code::{Code, LambdaCode, Run};
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::evaluator::{Env, Evaluator};
use crate::value::{Attrs, Lambda, Value};

pub(super) fn lambda_code(
    ev: &Evaluator,
    unit: &'static Unit,
    expr: ExprId,
    id: LambdaId,
) -> &'static LambdaCode {
    let Place::OwnFrame(frame_size) = Place::of(unit, expr) else {
        unreachable!("what continues another function is made with it")
    };
    let mut functions = vec![(expr, 0, id)];
    while let (body, Some((id, start))) = function_in(unit, functions[functions.len() - 1].2) {
        functions.push((body, start, id));
    }
    let plain = functions.iter().all(|(_, _, id)| unit.ast.lambda(*id).formals.is_none());
    let last = unit.ast.lambda(functions[functions.len() - 1].2).body;
    let mut body = Some(match &ev.settings().debugging {
        Some(debugging) => crate::debug::body(ev, debugging, unit, (expr, id), last),
        None => crate::watch::body(ev, unit, &functions, frame_size, last),
    });
    let mut next: Option<&'static LambdaCode> = None;
    for (index, (expr, start, id)) in functions.into_iter().enumerate().rev() {
        let lambda = unit.ast.lambda(id);
        let has_formals = lambda.formals.is_some();
        let code = LambdaCode {
            unit,
            expr,
            id,
            name: lambda.name,
            pos: unit.pos(expr),
            frame_size,
            start,
            arity: next.map_or(1, |next| next.arity + 1),
            has_formals,
            continues: index > 0,
            is_plain: index == 0 && plain,
            next,
            body: body.take().unwrap_or_else(|| Code::new(unit, lambda.body)),
            binder: OnceLock::new(),
            seen: AtomicBool::new(false),
        };
        // SAFETY: what the heap keeps is never moved or freed.
        next = Some(unsafe { ev.heap.keep_function(code).as_ref() });
    }
    next.expect("there is one function at least")
}

/// The body of a function, and if it is a function in the same frame, which one and where it starts.
fn function_in(unit: &Unit, id: LambdaId) -> (ExprId, Option<(LambdaId, u32)>) {
    let body = unit.ast.lambda(id).body;
    let inner = match unit.expr(body) {
        Expr::Lambda(id) => match Place::of(unit, body) {
            Place::InFrame(start) => Some((id, start)),
            Place::OwnFrame(_) => None,
        },
        _ => None,
    };
    (body, inner)
}

pub(super) struct MakeLambda(pub(super) &'static LambdaCode);

impl Run for MakeLambda {
    #[inline(always)]
    fn run(&self, _: &Evaluator, env: Env) -> Result<Value> {
        self.0.see();
        env.escape();
        Ok(Lambda::new(self.0, env).into())
    }
}

/// How `{ a, b ? c, ... } @ x` is bound.
pub(crate) struct Binder {
    /// Whether the first place of the frame is for the whole argument.
    whole: bool,
    pub(crate) ellipsis: bool,
    /// Sorted by name's number.
    pub(crate) formals: Box<[BoundFormal]>,
}

pub(crate) struct BoundFormal {
    pub(crate) name: Symbol,
    pub(crate) pos: Pos,
    /// Its place in the frame.
    index: u32,
    pub(crate) default: Option<Lazy>,
}

pub(crate) fn binder(ev: &Evaluator, code: &LambdaCode) -> &'static Binder {
    let unit = code.unit;
    let lambda = unit.ast.lambda(code.id);
    let first = code.start + u32::from(lambda.argument.is_some());
    let formals = lambda.formals.into_iter().flat_map(|formals| unit.ast.formals(formals));
    let formals = (first..).zip(formals).map(|(index, formal)| BoundFormal {
        name: formal.name,
        pos: formal.pos,
        index,
        default: formal.default.map(|default| lazy(ev, unit, default, Frame::FilledTo(code.start))),
    });
    let mut formals: Box<[BoundFormal]> = formals.collect();
    formals.sort_unstable_by_key(|formal| formal.name);
    let binder = Binder {
        whole: lambda.argument.is_some(),
        ellipsis: lambda.formals.is_none_or(|formals| formals.ellipsis),
        formals,
    };
    // SAFETY: what the heap keeps is never moved or freed.
    unsafe { ev.heap.keep(binder).as_ref() }
}

impl BoundFormal {
    #[inline]
    fn default(&self, ev: &Evaluator, code: &LambdaCode, env: Env, pos: Pos) -> Result<()> {
        match &self.default {
            Some(default) => default.put_in_frame(env, env.slot(self.index)),
            None => return Err(missing(ev, code, env, self.name, pos)),
        }
        Ok(())
    }
}

impl Binder {
    /// Fills the frame of a call.
    pub(crate) fn bind(
        &self,
        ev: &Evaluator,
        code: &LambdaCode,
        env: Env,
        argument: Value,
        pos: Pos,
    ) -> Result<()> {
        let frame = "while evaluating the value passed for the lambda argument";
        let from_call_site = if pos.is_none() { "" } else { "from call site" };
        let attrs = ev.force_attrs(argument, code.pos, frame).frame(from_call_site, pos)?;
        if self.whole {
            env.set(code.start, argument);
        }
        let mut used = 0;
        match attrs.plain() {
            // Both are sorted: one walk over them is quicker unless the set is much the larger.
            Some(set) if set.len() <= self.formals.len() * 8 => {
                let keys = set.keys.names();
                let mut next = 0;
                for formal in &self.formals {
                    while next < keys.len() && keys[next] < formal.name {
                        next += 1;
                    }
                    if next < keys.len() && keys[next] == formal.name {
                        env.set(formal.index, set.value(next));
                        used += 1;
                    } else {
                        formal.default(ev, code, env, pos)?;
                    }
                }
            }
            _ => {
                for formal in &self.formals {
                    match attrs.get(formal.name) {
                        Some(value) => {
                            used += 1;
                            env.set(formal.index, value);
                        }
                        None => formal.default(ev, code, env, pos)?,
                    }
                }
            }
        }
        if !self.ellipsis && used != attrs.len() {
            crate::debug::unfit_argument(ev, code, env.outer(1));
            return Err(self.unexpected(code, attrs, pos));
        }
        Ok(())
    }

    #[cold]
    fn unexpected(&self, code: &LambdaCode, attrs: Attrs, pos: Pos) -> EvalError {
        let is_formal = |name| self.formals.binary_search_by_key(&name, |formal| formal.name).is_ok();
        let name = attrs.iter().find(|attr| !is_formal(attr.name)).map_or(Symbol::EMPTY, |attr| attr.name);
        let names = self.formals.iter().map(|formal| formal.name.as_bytes());
        let message = format!(
            "function '{}' called with unexpected argument '{}'",
            function_name(code),
            name.to_identifier()
        );
        EvalError::new(ErrorKind::UnexpectedArgument, message)
            .at(code.pos)
            .with_suggestions(suggestions(&name.to_text(), names))
            .with_frame("from call site", pos)
    }
}

#[cold]
fn missing(ev: &Evaluator, code: &LambdaCode, env: Env, name: Symbol, pos: Pos) -> EvalError {
    crate::debug::unfit_argument(ev, code, env.outer(1));
    let message = format!(
        "function '{}' called without required argument '{}'",
        function_name(code),
        name.to_identifier()
    );
    EvalError::new(ErrorKind::MissingArgument, message).at(code.pos).with_frame("from call site", pos)
}

fn function_name(code: &LambdaCode) -> String {
    code.name.map_or_else(|| "anonymous lambda".to_owned(), |name| name.to_text().into_owned())
}
