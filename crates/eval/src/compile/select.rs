//! Selecting attributes, and asking for them.

use std::sync::atomic::{AtomicU64, Ordering};

use nival_syntax::ast::{AttrName, PathId};
use nival_syntax::{ExprId, Pos, Symbol, print, suggestions};

use super::operand::Operand;
use super::{Unit, expression};
use crate::code::{Op, Run};
use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::{Env, Evaluator};
use crate::value::{Attrs, Slot, Value, is_being_evaluated};

pub(super) fn compile(
    ev: &Evaluator,
    unit: &'static Unit,
    id: ExprId,
    subject: ExprId,
    path: PathId,
    default: Option<ExprId>,
) -> Op {
    compile_from(ev, unit, id, Operand::compile(ev, unit, subject), path, default)
}

/// The same, where it is known how to come to what is selected from.
pub(crate) fn compile_from(
    ev: &Evaluator,
    unit: &'static Unit,
    id: ExprId,
    subject: Operand,
    path: PathId,
    default: Option<ExprId>,
) -> Op {
    let pos = unit.pos(id);
    if let Some(name) = unit.ast.only_name(path) {
        let select = SelectOne::new(subject, name, pos);
        return match default {
            None => Op::new(&ev.heap, select),
            Some(default) => {
                let default = expression(ev, unit, default);
                Op::new(&ev.heap, SelectOneOr { select, default })
            }
        };
    }
    let names = names(ev, unit, path);
    match default {
        None => Op::new(&ev.heap, SelectPath { subject, names, pos }),
        Some(default) => {
            let default = expression(ev, unit, default);
            Op::new(&ev.heap, SelectOr { path: SelectPath { subject, names, pos }, default })
        }
    }
}

pub(super) fn compile_has(
    ev: &Evaluator,
    unit: &'static Unit,
    id: ExprId,
    subject: ExprId,
    path: PathId,
) -> Op {
    let pos = unit.pos(id);
    let subject = Operand::compile(ev, unit, subject);
    if let Some(name) = unit.ast.only_name(path) {
        return Op::new(&ev.heap, HasOne(SelectOne::new(subject, name, pos)));
    }
    Op::new(&ev.heap, HasAttr { subject, names: names(ev, unit, path), pos })
}

fn names(ev: &Evaluator, unit: &'static Unit, path: PathId) -> Box<[Name]> {
    let name = |name: AttrName| match name {
        AttrName::Static(name) => Name::Static(name, InlineCache::default()),
        AttrName::Dynamic(expr) => Name::Dynamic(Box::new(DynamicName {
            op: expression(ev, unit, expr),
            pos: unit.pos(expr),
            unit,
            expr,
        })),
    };
    unit.ast.path(path).map(name).collect()
}

/// The last kind of set seen in one place of the code, and where it has the attribute: one word, so that threads never
/// see half of it.
#[derive(Default)]
pub(super) struct InlineCache(AtomicU64);

const PLACE_BITS: u32 = 16;
/// In place of a place: the attribute is not among the names.
const ABSENT: u64 = (1 << PLACE_BITS) - 1;

impl InlineCache {
    #[inline(always)]
    pub(super) fn find(&self, attrs: Attrs, name: Symbol) -> Option<&'static Slot> {
        let cached = self.0.load(Ordering::Relaxed);
        let header = attrs.header();
        if cached >> PLACE_BITS == header {
            let place = cached & ABSENT;
            if place == ABSENT {
                return None;
            }
            // SAFETY: what the cache holds was found in a set with this header.
            return Some(unsafe { attrs.slot_at(header, place as usize) });
        }
        self.find_slowly(attrs, name)
    }

    #[inline(never)]
    fn find_slowly(&self, attrs: Attrs, name: Symbol) -> Option<&'static Slot> {
        let Some(set) = attrs.plain() else {
            return match attrs.known_flat_form() {
                Some(flat) => self.find(flat, name),
                None => attrs.slot(name),
            };
        };
        let header = attrs.header();
        let Some(index) = set.keys.find(name) else {
            self.0.store(header << PLACE_BITS | ABSENT, Ordering::Relaxed);
            return None;
        };
        let place = set.place(index);
        if (place as u64) < ABSENT {
            self.0.store(header << PLACE_BITS | place as u64, Ordering::Relaxed);
        }
        // SAFETY: that is where the set has it.
        Some(unsafe { attrs.slot_at(header, place) })
    }
}

/// `subject.name`
pub(super) struct SelectOne {
    subject: Operand,
    name: Symbol,
    pos: Pos,
    cache: InlineCache,
}

impl SelectOne {
    pub(super) fn new(subject: Operand, name: Symbol, pos: Pos) -> SelectOne {
        SelectOne { subject, name, pos, cache: InlineCache::default() }
    }
}

impl Run for SelectOne {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let subject = self.subject.run(ev, env)?;
        let Some(attrs) = subject.as_attrs() else { return Err(not_a_set(ev, subject, self.pos)) };
        match self.cache.find(attrs, self.name) {
            Some(found) => force_attribute(ev, found, attrs, self.name, self.pos),
            None => Err(missing(ev, attrs, self.name, self.pos)),
        }
    }
}

/// `subject.name or default`
struct SelectOneOr {
    select: SelectOne,
    default: Op,
}

impl Run for SelectOneOr {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let select = &self.select;
        let subject = select.subject.run(ev, env)?;
        let attrs = subject.as_attrs();
        match attrs.and_then(|attrs| Some((attrs, select.cache.find(attrs, select.name)?))) {
            Some((attrs, found)) => force_attribute(ev, found, attrs, select.name, select.pos),
            None => self.default.run(ev, env),
        }
    }
}

/// `subject ? name`
struct HasOne(SelectOne);

impl Run for HasOne {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let subject = self.0.subject.run(ev, env)?;
        let has = |attrs| self.0.cache.find(attrs, self.0.name).is_some();
        Ok(Value::bool(subject.as_attrs().is_some_and(has)))
    }
}

/// Evaluates an attribute's value; an error says which one, and where it was written.
#[inline(always)]
fn force_attribute(
    ev: &Evaluator,
    place: &'static Slot,
    attrs: Attrs,
    name: Symbol,
    pos: Pos,
) -> Result<Value> {
    match place.known() {
        Some(value) => Ok(value),
        None => force_unknown_attribute(ev, place, attrs, name, pos),
    }
}

fn force_unknown_attribute(
    ev: &Evaluator,
    place: &'static Slot,
    attrs: Attrs,
    name: Symbol,
    pos: Pos,
) -> Result<Value> {
    // Where the value is being evaluated already, the error is at the attribute.
    let pos = if is_being_evaluated(place.get()) { attribute_pos(attrs, name, pos) } else { pos };
    ev.force_place(place, pos).map_err(|error| in_attribute(error, attrs, name))
}

#[cold]
fn attribute_pos(attrs: Attrs, name: Symbol, otherwise: Pos) -> Pos {
    let pos = attrs.get_attr(name).map_or(Pos::NONE, |attr| attr.pos());
    if pos.is_none() { otherwise } else { pos }
}

#[cold]
fn in_attribute(error: EvalError, attrs: Attrs, name: Symbol) -> EvalError {
    let pos = attribute_pos(attrs, name, Pos::NONE);
    let unsaid = pos.is_none() || is_in_derivation(pos);
    if unsaid { error } else { error.with_frame(crate::evaluator::attribute_frame(name), pos) }
}

/// Whether a place is in the text of `derivation`: selecting its attributes is not worth a frame.
fn is_in_derivation(pos: Pos) -> bool {
    pos.source().is_some_and(|source| match source.origin() {
        nival_syntax::Origin::File(name) => name == crate::builtins::DERIVATION_NAME,
        _ => false,
    })
}

#[cold]
fn not_a_set(ev: &Evaluator, value: Value, pos: Pos) -> EvalError {
    ev.expected("a set", value).with_frame("while selecting an attribute", pos)
}

#[cold]
fn missing(ev: &Evaluator, attrs: Attrs, name: Symbol, pos: Pos) -> EvalError {
    let names = attrs.iter().map(|attr| attr.name.as_bytes());
    let error =
        EvalError::new(ErrorKind::MissingAttribute, format!("attribute '{}' missing", name.to_identifier()))
            .at(pos)
            .with_suggestions(suggestions(&name.to_string(), names));
    match missing_hint(ev, attrs) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// What a set says of attributes that it doesn't have: the text in its `__missingAttributeHint`.
pub(super) fn missing_hint(ev: &Evaluator, attrs: Attrs) -> Option<String> {
    let hint = attrs.get(Symbol::intern("__missingAttributeHint"))?;
    let hint = ev.force(hint, Pos::NONE).ok()?.as_str()?;
    Some(hint.to_text().into_owned())
}

/// A name in an attribute path.
enum Name {
    Static(Symbol, InlineCache),
    Dynamic(Box<DynamicName>),
}

struct DynamicName {
    op: Op,
    pos: Pos,
    unit: &'static Unit,
    expr: ExprId,
}

impl Name {
    #[inline]
    fn symbol(&self, ev: &Evaluator, env: Env) -> Result<Symbol> {
        match self {
            Name::Static(name, _) => Ok(*name),
            Name::Dynamic(name) => {
                let value = name.op.run(ev, env)?;
                let frame = "while evaluating an attribute name";
                Ok(ev.name_of(ev.force_plain_string(value, name.pos, frame)?))
            }
        }
    }

    #[inline]
    fn find(&self, attrs: Attrs, symbol: Symbol) -> Option<Value> {
        match self {
            Name::Static(_, cache) => cache.find(attrs, symbol).map(Slot::get),
            Name::Dynamic(_) => attrs.get(symbol),
        }
    }
}

/// `subject.a.b.${c}`
struct SelectPath {
    subject: Operand,
    names: Box<[Name]>,
    pos: Pos,
}

impl SelectPath {
    /// The value, or the default where an attribute is missing.
    fn select(&self, ev: &Evaluator, env: Env, default: Option<Op>) -> Result<Value> {
        let mut value = self.subject.run(ev, env)?;
        let mut last_pos = Pos::NONE;
        let result = self.walk(ev, env, &mut value, &mut last_pos, default);
        match result {
            Err(error) if !last_pos.is_none() && !is_in_derivation(last_pos) => {
                let text = format!("while evaluating the attribute '{}'", self.show(ev, env));
                Err(error.with_frame(text, last_pos))
            }
            result => result,
        }
    }

    #[inline]
    fn walk(
        &self,
        ev: &Evaluator,
        env: Env,
        value: &mut Value,
        last_pos: &mut Pos,
        default: Option<Op>,
    ) -> Result<Value> {
        let mut found_in = None;
        for name in &self.names {
            let named = name.symbol(ev, env).and_then(|name| Ok((name, ev.force(*value, self.pos)?)));
            let (symbol, forced) = match named {
                Ok(named) => named,
                Err(error) => {
                    *last_pos = position_in(found_in);
                    return Err(error);
                }
            };
            let found = match forced.as_attrs() {
                Some(attrs) => name.find(attrs, symbol).ok_or(Some(attrs)),
                None => Err(None),
            };
            match (found, default) {
                (Ok(found), _) => *value = found,
                (Err(_), Some(default)) => {
                    return default.run(ev, env).inspect_err(|_| *last_pos = position_in(found_in));
                }
                (Err(attrs), None) => {
                    *last_pos = position_in(found_in);
                    return Err(match attrs {
                        Some(attrs) => missing(ev, attrs, symbol, self.pos),
                        None => not_a_set(ev, forced, self.pos),
                    });
                }
            }
            found_in = Some((forced, symbol));
        }
        if value.is_forced() {
            return Ok(*value);
        }
        let mut pos = self.pos;
        if is_being_evaluated(*value) {
            let found = position_in(found_in);
            pos = if found.is_none() { pos } else { found };
        }
        ev.force(*value, pos).inspect_err(|_| *last_pos = position_in(found_in))
    }

    /// `a.b.c`, with computed names where they can be.
    #[cold]
    fn show(&self, ev: &Evaluator, env: Env) -> String {
        let names = self.names.iter().map(|name| match (name.symbol(ev, env), name) {
            (Ok(name), _) => name.to_identifier(),
            (Err(_), Name::Static(name, _)) => name.to_identifier(),
            (Err(_), Name::Dynamic(name)) => {
                let shown = print::attr_path(&name.unit.ast, &[AttrName::Dynamic(name.expr)]);
                nival_syntax::raw_text(&shown).into_owned()
            }
        });
        names.collect::<Vec<_>>().join(".")
    }
}

#[cold]
fn position_in(found: Option<(Value, Symbol)>) -> Pos {
    let attr = found.and_then(|(set, name)| set.as_attrs()?.get_attr(name));
    attr.map_or(Pos::NONE, |attr| attr.pos())
}

impl Run for SelectPath {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        self.select(ev, env, None)
    }
}

/// `subject.a.b or default`
struct SelectOr {
    path: SelectPath,
    default: Op,
}

impl Run for SelectOr {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        self.path.select(ev, env, Some(self.default))
    }
}

/// `subject ? a.b`
struct HasAttr {
    subject: Operand,
    names: Box<[Name]>,
    pos: Pos,
}

impl Run for HasAttr {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let mut value = self.subject.run(ev, env)?;
        for name in &self.names {
            value = ev.force(value, self.pos)?;
            let symbol = name.symbol(ev, env)?;
            let Some(attrs) = value.as_attrs() else { return Ok(Value::FALSE) };
            match name.find(attrs, symbol) {
                Some(found) => value = found,
                None => return Ok(Value::FALSE),
            }
        }
        Ok(Value::TRUE)
    }
}
