//! Any expression, and the small ones: constants, lists, `with`, `if`, `assert`.

use std::sync::OnceLock;

use nival_syntax::ast::{BinaryOp, Expr};
use nival_syntax::{ExprId, Pos, Symbol, print};

use super::operand::Operand;
use super::resolve::Place;
use super::{
    Contents, Frame, Lazy, Unit, attrs, call, implicit, lambda, lazy, ops, select, strings, variable,
};
use crate::code::{Code, Op, Run};
use crate::context::Context;
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::evaluator::{Env, Evaluator};
use crate::value::{AttrsBuilder, List, Str, Suspension, Thunk, Value, View};

/// Makes code of an expression.
pub(crate) fn expression(ev: &Evaluator, unit: &'static Unit, id: ExprId) -> Op {
    if ev.check_stack(Pos::NONE).is_err() {
        return Op::new(&ev.heap, NestedTooDeeply(unit.pos(id)));
    }
    if let Some(debugging) = &ev.settings().debugging {
        return crate::debug::expression(ev, debugging, unit, id);
    }
    match &ev.settings().watch {
        None => plain_expression(ev, unit, id),
        Some(watch) => crate::watch::expression(ev, watch, unit, id),
    }
}

/// What there was no stack left to compile.
struct NestedTooDeeply(Pos);

impl Run for NestedTooDeeply {
    fn run(&self, ev: &Evaluator, _: Env) -> Result<Value> {
        ev.check_stack(self.0)?;
        Err(EvalError::new(ErrorKind::StackOverflow, "stack overflow (possible infinite recursion)")
            .at(self.0))
    }
}

/// Code of an expression that tells nobody of itself.
pub(crate) fn plain_expression(ev: &Evaluator, unit: &'static Unit, id: ExprId) -> Op {
    let heap = &ev.heap;
    let compile = |id| expression(ev, unit, id);
    let pos = unit.pos(id);
    let literal = || Op::new(heap, Constant(constant(ev, unit, id).expect("literals are constants")));
    match unit.expr(id) {
        Expr::Int(_) | Expr::Float(_) | Expr::String(_) | Expr::Path(_) => literal(),
        Expr::SearchPath(name) => {
            let name = kept(ev, ev.string(unit.ast.bytes(name)));
            let find = implicit(ev, unit, id, Symbol::FIND_FILE);
            let entries = implicit(ev, unit, id, Symbol::NIX_PATH);
            Op::new(heap, SearchPath { find, entries, name, pos })
        }
        Expr::CurPos => Op::new(heap, CurrentPosition(pos)),
        Expr::Var(name) => variable::compile(ev, unit, id, name),
        Expr::Select { subject, path, default } => select::compile(ev, unit, id, subject, path, default),
        Expr::HasAttr { subject, path } => select::compile_has(ev, unit, id, subject, path),
        Expr::Call { function, arguments } => call::compile(ev, unit, id, function, arguments),
        Expr::Lambda(id_of_lambda) => {
            Op::new(heap, lambda::MakeLambda(lambda::lambda_code(ev, unit, id, id_of_lambda)))
        }
        Expr::Set(set) => attrs::compile_set(ev, unit, id, set),
        Expr::Let { bindings, body } => attrs::compile_let(ev, unit, id, bindings, body),
        Expr::List(range) if range.is_empty() => literal(),
        Expr::List(range) => {
            let elements = unit.ast.list(range).iter().map(|id| lazy(ev, unit, *id, Frame::Complete));
            Op::new(heap, MakeList(Contents::of(elements)))
        }
        Expr::With { scope, body } => {
            let (scope, body) = (lazy(ev, unit, scope, Frame::Complete), compile(body));
            match Place::of(unit, id) {
                Place::OwnFrame(size) => Op::new(heap, With { scope, size, body }),
                Place::InFrame(index) => Op::new(heap, WithInFrame { scope, index, body }),
            }
        }
        Expr::If { condition, then, otherwise } => Op::new(
            heap,
            If {
                condition: Operand::compile(ev, unit, condition),
                then: Operand::compile(ev, unit, then),
                otherwise: Operand::compile(ev, unit, otherwise),
                pos,
            },
        ),
        Expr::Assert { condition, body } => {
            let equality = match unit.expr(condition) {
                Expr::Binary { op: BinaryOp::Equal, left, right } => Some((compile(left), compile(right))),
                _ => None,
            };
            let node = Assert { condition: compile(condition), body: compile(body), pos, unit, equality };
            Op::new(heap, AssertOf { node, condition_id: condition })
        }
        Expr::Not(operand) => Op::new(heap, ops::Not { operand: Operand::compile(ev, unit, operand), pos }),
        Expr::Negate(operand) => ops::compile_negate(ev, unit, id, operand),
        Expr::Binary { op, left, right } => ops::compile(ev, unit, id, op, left, right),
        Expr::Concat { kind, parts } => strings::compile(ev, unit, id, kind, parts),
    }
}

/// The value of an expression that needs no evaluation.
pub(super) fn constant(ev: &Evaluator, unit: &Unit, id: ExprId) -> Option<Value> {
    let value = match unit.expr(id) {
        Expr::Int(value) => ev.int(value),
        Expr::Float(value) => ev.float(value),
        Expr::String(range) => ev.string(unit.ast.bytes(range)),
        Expr::Path(range) => ev.path(unit.ast.bytes(range)),
        Expr::List(range) if range.is_empty() => List::new(&ev.heap, &[]).into(),
        _ => return None,
    };
    Some(kept(ev, value))
}

/// The same value, which stays as long as the code that holds it.
pub(super) fn kept(ev: &Evaluator, value: Value) -> Value {
    if value.is_object() {
        ev.heap.root(value.to_bits());
    }
    value
}

/// `__curPos` and `unsafeGetAttrPos`: a set of file, line and column, or `null`.
///
/// Line and column are only counted when they are asked for, as in the reference, which calls functions of its own for them.
pub(crate) fn position_value(ev: &Evaluator, pos: Pos) -> Value {
    let Some(source) = pos.source() else { return Value::NULL };
    let Some(file) = source.origin().path() else { return Value::NULL };
    // A file that is no file of this machine is shown as the root of its own tree.
    let path = file.strip_prefix("«nix-internal»").unwrap_or(file);
    let [line, column] = *COUNTING.get_or_init(|| {
        let line = Op::new(&ev.heap, CountWithin(|place| place.line));
        let column = Op::new(&ev.heap, CountWithin(|place| place.column));
        [line, column].map(|op| Code::native(op).keep(&ev.heap))
    });
    let frame = Env::escaped(&ev.heap, Env::ROOT, 1);
    frame.set(0, ev.int(i64::from(pos.id())));
    let mut attrs = AttrsBuilder::with_capacity(3);
    attrs.add(Symbol::FILE, ev.string(path));
    attrs.add(Symbol::LINE, Thunk::alone(&ev.heap, Suspension::code(line, frame)));
    attrs.add(Symbol::COLUMN, Thunk::alone(&ev.heap, Suspension::code(column, frame)));
    ev.attrs(attrs)
}

/// `__curPos`
struct CurrentPosition(Pos);

impl Run for CurrentPosition {
    fn run(&self, ev: &Evaluator, _: Env) -> Result<Value> {
        Ok(position_value(ev, self.0))
    }
}

/// The code for lines and for columns.
static COUNTING: OnceLock<[&'static Code; 2]> = OnceLock::new();

/// One of the numbers of the place whose position is in the frame.
struct CountWithin(fn(nival_syntax::Place) -> u32);

impl Run for CountWithin {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let _depth = ev.enter(Pos::NONE)?;
        let View::Int(id) = env.slot(0).get().view() else {
            unreachable!("`position_value` puts a number there")
        };
        let place = Pos::from_id(id as u32).resolve();
        Ok(ev.int(place.map_or(0, |place| i64::from((self.0)(place)))))
    }
}

pub(super) struct Constant(pub(super) Value);

impl Run for Constant {
    #[inline(always)]
    fn run(&self, _: &Evaluator, _: Env) -> Result<Value> {
        Ok(self.0)
    }
}

struct MakeList(Contents);

impl Run for MakeList {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let list = List::unfilled(&ev.heap, self.0.lazies.len());
        self.0.put(env, list.slots());
        Ok(list.into())
    }
}

struct With {
    scope: Lazy,
    size: u32,
    body: Op,
}

impl Run for With {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let inner = Env::local(&ev.heap, env, self.size);
        self.scope.put_in_frame(env, inner.slot(0));
        let result = self.body.run(ev, inner);
        inner.leave(&ev.heap, self.size, &result, env);
        result
    }
}

/// A `with` whose frame is the one around.
struct WithInFrame {
    scope: Lazy,
    index: u32,
    body: Op,
}

impl Run for WithInFrame {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        self.scope.put_in_frame(env, env.slot(self.index));
        self.body.run(ev, env)
    }
}

/// Evaluates a condition; any error gets the frame.
#[inline(always)]
pub(super) fn run_bool(
    op: impl Run,
    ev: &Evaluator,
    env: Env,
    pos: Pos,
    frame: &'static str,
) -> Result<bool> {
    match op.run(ev, env) {
        Ok(Value::TRUE) => Ok(true),
        Ok(Value::FALSE) => Ok(false),
        Ok(value) => Err(ev.expected("a Boolean", value).at(pos).with_frame(frame, pos)),
        Err(error) => Err(error.with_frame(frame, pos)),
    }
}

struct If {
    condition: Operand,
    then: Operand,
    otherwise: Operand,
    pos: Pos,
}

impl Run for If {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let holds = run_bool(self.condition, ev, env, self.pos, "while evaluating a branch condition")?;
        if holds { self.then.run(ev, env) } else { self.otherwise.run(ev, env) }
    }
}

struct Assert {
    condition: Op,
    body: Op,
    pos: Pos,
    unit: &'static Unit,
    /// Both sides, if the condition is `left == right`.
    equality: Option<(Op, Op)>,
}

struct AssertOf {
    node: Assert,
    condition_id: ExprId,
}

impl Run for AssertOf {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let node = &self.node;
        let frame = "in the condition of the assert statement";
        if run_bool(node.condition, ev, env, node.pos, frame)? {
            return node.body.run(ev, env);
        }
        let condition = print::expression(&node.unit.ast, self.condition_id);
        let condition = nival_syntax::raw_text(&condition);
        if let Some((left, right)) = node.equality {
            let left = left.run(ev, env)?;
            let right = right.run(ev, env)?;
            let pos = node.unit.pos(self.condition_id);
            ev.explain_inequality(left, right, pos).map_err(|error| match error.kind() {
                _ if crate::debug::leaves_at(ev, &error) => error,
                ErrorKind::Assertion | ErrorKind::Throw => error.with_frame(
                    format!("while evaluating the condition of the assertion '{condition}'"),
                    node.pos,
                ),
                _ => error,
            })?;
        }
        Err(EvalError::new(ErrorKind::Assertion, format!("assertion '{condition}' failed")).at(node.pos))
    }
}

/// `<name>`
struct SearchPath {
    find: Option<Op>,
    entries: Option<Op>,
    name: Value,
    pos: Pos,
}

impl Run for SearchPath {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        if self.find.is_none() && self.entries.is_none() && !ev.is_observed() {
            ev.check_depth(self.pos)?;
            let name = self.name.as_str().map_or_else(String::new, |name| name.to_text().into_owned());
            let found: Str = ev
                .deeper(|| {
                    let entries = &ev.settings().search_path;
                    // What they say is made a string of in the reference.
                    if !entries.is_empty() {
                        ev.check_depth(Pos::NONE)?;
                    }
                    ev.find_file(entries, &name)
                })
                .frame(crate::FrameText::Builtin("findFile"), self.pos)?;
            return Ok(ev.path(found.bytes()));
        }
        let find = match self.find {
            Some(find) => find.run(ev, env)?,
            None => ev.global(Symbol::FIND_FILE)?,
        };
        let entries = match self.entries {
            Some(entries) => entries.run(ev, env)?,
            None => ev.global(Symbol::NIX_PATH)?,
        };
        ev.call(find, &[entries, self.name], self.pos)
    }
}

/// Whether a string value carries no context and is plain: used to fold constants.
pub(super) fn constant_bytes(unit: &Unit, id: ExprId) -> Option<&[u8]> {
    match unit.expr(id) {
        Expr::String(range) => Some(unit.ast.bytes(range)),
        _ => None,
    }
}

/// A constant string of code.
pub(super) fn constant_text(ev: &Evaluator, bytes: &[u8]) -> Str {
    match kept(ev, ev.string_with_context(bytes, Context::EMPTY)).view() {
        View::String(string) => string,
        _ => unreachable!("a string was made"),
    }
}
