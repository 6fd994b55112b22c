//! From the tree to executable code.
//!
//! A file is parsed and its variables are resolved at once, so that an undefined variable is found before
//! anything runs. Code is made of a function's body or of a thunk's expression only when it first runs, as
//! most of what is read never does.

mod attrs;
mod call;
mod expr;
mod kept;
mod lambda;
mod operand;
mod ops;
mod resolve;
mod select;
mod strings;
mod variable;

use std::path::Path;

use nival_syntax::ast::Expr;
use nival_syntax::{
    Ast, Diagnostic, ExprId, Level, Lint, LintKind, ParseOptions, Pos, Source, Symbol, render_reference,
};

pub(crate) use expr::{expression, plain_expression, position_value};
pub(crate) use lambda::{Binder, BoundFormal, binder};
pub(crate) use operand::Operand;
pub(crate) use ops::concat;
pub(crate) use resolve::{NamedScope, ResolverRoom, scopes_at};
pub(crate) use select::compile_from as select_from;

use crate::code::{Code, LambdaCode, Op};
use crate::error::{EvalError, Result};
use crate::evaluator::{Env, Evaluator, LintLevel};
use crate::host::MessageKind;
use crate::value::{Attrs, Lambda, Slot, Suspension, Thunk, Value};
use resolve::{Resolved, VarRef};

/// A parsed text with its variables resolved.
pub(crate) struct Unit {
    pub(crate) source: &'static Source,
    pub(crate) ast: Ast<'static>,
    resolved: Resolved,
    scope: Scope,
}

/// Variables that a text sees besides the built-in ones: their values are in the frame it runs in.
#[derive(Default, Clone)]
pub(crate) struct Scope {
    names: Option<Vec<Symbol>>,
}

impl Scope {
    /// The attributes of a set, in the set's order.
    pub(crate) fn of(attrs: Attrs) -> Scope {
        Scope::of_names(attrs.iter().map(|attr| attr.name))
    }

    /// Variables in the order in which they are in the frame.
    pub(crate) fn of_names(names: impl IntoIterator<Item = Symbol>) -> Scope {
        Scope { names: Some(names.into_iter().collect()) }
    }
}

impl Unit {
    /// Parses a text, of a file at a path if its tree may be kept.
    pub(crate) fn parse(
        ev: &Evaluator,
        source: &'static Source,
        base: &str,
        scope: &Scope,
        path: Option<&Path>,
    ) -> Result<&'static Unit> {
        let settings = ev.settings();
        let options = ParseOptions {
            base_path: base,
            home: settings.home.as_deref(),
            pipe_operators: settings.has_feature("pipe-operators"),
            max_depth: ev.max_nesting(),
        };
        let parse = || nival_syntax::parse_for_now(source, &options);
        let parsed = crate::watch::parsed(ev, source, parse, |parsed| parsed.ast().len())
            .map_err(|error| EvalError::syntax(*error))?;
        advise(ev, &parsed.ast())?;
        resolve::resolve(ev, &parsed.ast(), scope)?;
        if let Some(path) = path
            && let Some(unit) = Unit::keep(ev, source, &parsed, base, path)
        {
            return Ok(unit);
        }
        Ok(Unit::new(source, &parsed.keep(&ev.heap), Resolved::of_last(ev), scope))
    }

    /// Finds out what the variables of a text are.
    pub(crate) fn resolve(
        ev: &Evaluator,
        source: &'static Source,
        ast: &Ast<'static>,
        scope: &Scope,
    ) -> Result<&'static Unit> {
        advise(ev, ast)?;
        resolve::resolve(ev, ast, scope)?;
        Ok(Unit::new(source, ast, Resolved::of_last(ev), scope))
    }

    fn new(source: &'static Source, ast: &Ast<'static>, resolved: Resolved, scope: &Scope) -> &'static Unit {
        Box::leak(Box::new(Unit { source, ast: *ast, resolved, scope: scope.clone() }))
    }

    /// Evaluates the whole text.
    pub(crate) fn run(&'static self, ev: &Evaluator, env: Env) -> Result<Value> {
        expression(ev, self, self.ast.root()).run(ev, env)
    }

    #[inline]
    pub(crate) fn expr(&self, id: ExprId) -> Expr {
        self.ast.expr(id)
    }

    #[inline]
    pub(crate) fn pos(&self, id: ExprId) -> Pos {
        self.ast.pos(id)
    }

    fn var(&self, id: ExprId) -> VarRef {
        self.resolved.var(id)
    }
}

/// Warns of literals or refuses them, if the settings say so.
fn advise(ev: &Evaluator, ast: &Ast<'_>) -> Result<()> {
    ast.lints().try_for_each(|lint| advise_of(ev, lint))
}

fn advise_of(ev: &Evaluator, lint: Lint) -> Result<()> {
    let settings = ev.settings();
    let level = match lint.kind {
        LintKind::Url => settings.lint_url_literals,
        LintKind::AbsolutePath | LintKind::HomePath => settings.lint_absolute_path_literals,
        LintKind::ShortPath => settings.lint_short_path_literals,
        LintKind::Or => {
            return ev.say(MessageKind::Warning, lint.message(false).as_bytes());
        }
    };
    match level {
        LintLevel::Ignore => Ok(()),
        LintLevel::Warn => {
            let mut warning = Diagnostic::error(lint.message(false), lint.pos);
            warning.level = Level::Warning;
            let text = render_reference(&warning, false);
            let text = text.strip_prefix("warning: ").unwrap_or(&text);
            ev.say(MessageKind::Warning, text.as_bytes())?;
            Ok(())
        }
        LintLevel::Fatal => Err(EvalError::syntax(Diagnostic::error(lint.message(true), lint.pos))),
    }
}

/// How to get at a value that may not be needed.
#[derive(Clone, Copy)]
pub(crate) enum Lazy {
    /// It is known.
    Value(Value),
    /// A variable of the frame.
    Local(u32),
    /// A variable of a frame further out.
    Outer(u32, u32),
    /// A variable of the frame that is just being filled: it may not be set yet.
    Unfilled(u32, &'static Code),
    /// It must be computed.
    Thunk(&'static Code),
    /// A function.
    Lambda(&'static LambdaCode),
}

impl Lazy {
    /// Puts it into a place of an object that is being made: a thunk then needs no memory of its own.
    #[inline(always)]
    pub(crate) fn put(&self, env: Env, place: &Slot) {
        match *self {
            Lazy::Local(index) => place.set(env.slot(index).get().escape_from(env)),
            Lazy::Outer(depth, index) => place.set(env.outer(depth).slot(index).get().escape_from(env)),
            Lazy::Value(value) => place.set(value),
            _ => {
                env.escape();
                self.put_in_frame(env, place);
            }
        }
    }

    /// The same for a place in a frame that ends before the frame `env` does, or in that frame itself: see [`Env::leave`].
    #[inline(always)]
    pub(crate) fn put_in_frame(&self, env: Env, place: &Slot) {
        match *self {
            Lazy::Value(value) => place.set(value),
            Lazy::Local(index) => place.set(env.slot(index).get()),
            Lazy::Outer(depth, index) => place.set(env.outer(depth).slot(index).get()),
            Lazy::Unfilled(index, code) => match env.slot(index).get_if_set() {
                Some(value) => place.set(value),
                None => place.suspend(Suspension::code(code, env)),
            },
            Lazy::Thunk(code) => place.suspend(Suspension::code(code, env)),
            Lazy::Lambda(code) => place.set(Lambda::new(code, env).into()),
        }
    }

    #[inline(always)]
    pub(crate) fn make(&self, ev: &Evaluator, env: Env) -> Value {
        self.lend(ev, env).escape_from(env)
    }

    /// The same for who only borrows it: it does not escape. The place of a thunk can be taken back ([`Thunk::take_back`]).
    #[inline(always)]
    pub(crate) fn lend(&self, ev: &Evaluator, env: Env) -> Value {
        match *self {
            Lazy::Value(value) => value,
            Lazy::Local(index) => env.slot(index).get(),
            Lazy::Outer(depth, index) => env.outer(depth).slot(index).get(),
            Lazy::Unfilled(index, code) => env
                .slot(index)
                .get_if_set()
                .unwrap_or_else(|| Thunk::lent(&ev.heap, Suspension::code(code, env))),
            Lazy::Thunk(code) => Thunk::lent(&ev.heap, Suspension::code(code, env)),
            Lazy::Lambda(code) => Lambda::new(code, env).into(),
        }
    }

    /// As [`Lazy::make`], but what would be computed later is so now. If that fails, the value is a thunk that failed; where
    /// nobody may know of it, that is all.
    #[inline(always)]
    pub(crate) fn evaluate(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        match *self {
            Lazy::Thunk(code) => match code.run(ev, env) {
                Ok(value) => Ok(value.escape()),
                Err(error) if ev.is_ahead() => Err(error),
                Err(error) => Ok(ev.failed_thunk(code, env, error)),
            },
            _ => Ok(self.make(ev, env)),
        }
    }
}

/// What is put into an object.
struct Contents {
    lazies: Box<[Lazy]>,
    /// Whether the frame escapes in any case.
    have_closures: bool,
}

impl Contents {
    fn of(lazies: impl Iterator<Item = Lazy>) -> Contents {
        let lazies: Box<[Lazy]> = lazies.collect();
        let is_closure = |lazy: &Lazy| matches!(lazy, Lazy::Thunk(_) | Lazy::Lambda(_) | Lazy::Unfilled(..));
        Contents { have_closures: lazies.iter().any(is_closure), lazies }
    }

    #[inline(always)]
    fn put(&self, env: Env, places: &[Slot]) {
        if self.have_closures {
            env.escape();
            for (lazy, place) in self.lazies.iter().zip(places) {
                lazy.put_in_frame(env, place);
            }
        } else {
            for (lazy, place) in self.lazies.iter().zip(places) {
                lazy.put(env, place);
            }
        }
    }
}

/// How much of a frame is there when a lazy expression in it is made.
#[derive(Clone, Copy)]
enum Frame<'a> {
    /// All that the expression can name.
    Complete,
    /// What comes before this place; what follows only shows when it is made.
    FilledTo(u32),
    /// What comes before this place, and of what follows that which is marked.
    Filled(u32, &'a [bool]),
}

fn lazy(ev: &Evaluator, unit: &'static Unit, id: ExprId, frame: Frame<'_>) -> Lazy {
    match unit.expr(id) {
        Expr::Var(_) => match unit.var(id) {
            VarRef::Frame { depth: 0, index } => match frame {
                Frame::FilledTo(end) if index >= end => Lazy::Unfilled(index, thunk_code(ev, unit, id)),
                Frame::Filled(start, marks) if index >= start && !marks[(index - start) as usize] => {
                    Lazy::Thunk(thunk_code(ev, unit, id))
                }
                _ => Lazy::Local(index),
            },
            VarRef::Frame { depth, index } => Lazy::Outer(u32::from(depth), index),
            VarRef::Global(index) => Lazy::Value(unit.resolved.globals[index as usize]),
            _ => Lazy::Thunk(thunk_code(ev, unit, id)),
        },
        Expr::Lambda(lambda) => Lazy::Lambda(lambda::lambda_code(ev, unit, id, lambda)),
        _ => match expr::constant(ev, unit, id) {
            Some(value) => Lazy::Value(value),
            None => Lazy::Thunk(thunk_code(ev, unit, id)),
        },
    }
}

/// The argument of a call.
pub(crate) fn argument(ev: &Evaluator, unit: &'static Unit, id: ExprId) -> Lazy {
    lazy(ev, unit, id, Frame::Complete)
}

fn thunk_code(ev: &Evaluator, unit: &'static Unit, id: ExprId) -> &'static Code {
    Code::new(unit, id).keep(&ev.heap)
}

/// The function that an operator or `<…>` means: the built-in one but for strange scopes.
fn implicit(ev: &Evaluator, unit: &'static Unit, id: ExprId, name: Symbol) -> Option<Op> {
    let var = unit.resolved.implicit(id, name)?;
    Some(variable::from_ref(ev, unit, var, name, unit.pos(id)))
}
