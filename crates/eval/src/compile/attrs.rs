//! Attribute set literals and `let`.

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use nival_syntax::ast::{Attr as AttrNode, AttrKind, SetId};
use nival_syntax::{ExprId, Pos, Symbol};

use super::expr::{Constant, kept};
use super::resolve::{Place, is_plain_variable};
use super::{Contents, Frame, Lazy, Unit, expression, lazy, thunk_code};
use crate::code::{Op, Run};
use crate::error::{EvalError, Result};
use crate::evaluator::{Env, Evaluator, place};
use crate::value::{Attr, Attrs, Keys, Origins, Value, View};

pub(super) fn compile_set(ev: &Evaluator, unit: &'static Unit, id: ExprId, set: SetId) -> Op {
    let recursive = unit.ast.set(set).recursive;
    let dynamic = dynamic_attrs(ev, unit, set, recursive);
    let attrs: Vec<AttrNode> = unit.ast.attrs(set).collect();
    let (names, order) = names(ev, unit, id, &attrs);
    if recursive {
        let has_overrides = names.keys.find(Symbol::OVERRIDES).is_some();
        let frame = Filling::compile(ev, unit, set, Place::of(unit, id), has_overrides);
        return Op::new(&ev.heap, MakeRecursive { frame, names, order, dynamic, has_overrides });
    }
    let froms: Box<[Lazy]> =
        stored_froms(unit, set).map(|from| lazy(ev, unit, from, Frame::Complete)).collect();
    let in_order = order.iter().map(|index| attrs[*index as usize]);
    let values = in_order.clone().map(|attr| value(ev, unit, attr, Frame::Complete));
    if dynamic.is_empty() && froms.is_empty() {
        if order.is_empty() {
            let empty = Attrs::from_values(&ev.heap, names.keys, names.origins, []);
            return Op::new(&ev.heap, Constant(kept(ev, empty.into())));
        }
        return Op::new(&ev.heap, MakeSet { names, values: Contents::of(values) });
    }
    let values = values.zip(in_order.map(|attr| uses_slot(unit, attr))).collect();
    let shapes = LastShapes::default();
    Op::new(&ev.heap, MakeMixedSet { names, values, froms, dynamic, shapes })
}

pub(super) fn compile_let(ev: &Evaluator, unit: &'static Unit, id: ExprId, set: SetId, body: ExprId) -> Op {
    let place = Place::of(unit, id);
    let frame = Filling::compile(ev, unit, set, place, false);
    let mut body = expression(ev, unit, body);
    if let Some(debugging) = &ev.settings().debugging {
        body = crate::debug::in_let(ev, debugging, unit, id, body);
    }
    match place {
        Place::OwnFrame(_) => Op::new(&ev.heap, Let { frame, body }),
        Place::InFrame(_) => Op::new(&ev.heap, LetInFrame { frame, body }),
    }
}

/// The names of a literal that are known, and where they stand.
#[derive(Clone, Copy)]
struct Names {
    keys: &'static Keys,
    origins: Origins,
}

/// The known names of a literal, and for each its number in source order.
fn names(ev: &Evaluator, unit: &Unit, id: ExprId, attrs: &[AttrNode]) -> (Names, Box<[u32]>) {
    // With its number behind its name each is one word, which is sorted more quickly than what it stands for.
    let mut sorted: Vec<u64> =
        attrs.iter().zip(0..).map(|(attr, index)| u64::from(attr.name.id()) << 32 | index).collect();
    sorted.sort_unstable();
    let order: Box<[u32]> = sorted.into_iter().map(|word| word as u32).collect();
    let names: Vec<Symbol> = order.iter().map(|index| attrs[*index as usize].name).collect();
    let positions = order.iter().map(|index| attrs[*index as usize].pos);
    let origins = Origins::listed(&ev.heap, unit.ast.pos(id), positions);
    origins.stay(&ev.heap);
    (Names { keys: Keys::of(&ev.heap, &names), origins }, order)
}

fn value(ev: &Evaluator, unit: &'static Unit, attr: AttrNode, frame: Frame<'_>) -> Lazy {
    match attr.kind {
        AttrKind::InheritedFrom(_) => Lazy::Thunk(thunk_code(ev, unit, attr.value)),
        _ => lazy(ev, unit, attr.value, frame),
    }
}

fn stored_froms(unit: &'static Unit, set: SetId) -> impl Iterator<Item = ExprId> {
    unit.ast.inherit_from(set).iter().copied().filter(|from| !is_plain_variable(&unit.ast, *from))
}

fn uses_slot(unit: &Unit, attr: AttrNode) -> bool {
    matches!(attr.kind, AttrKind::InheritedFrom(from) if !is_plain_variable(&unit.ast, from))
}

/// Fills the frame of a `rec` set or a `let`, or the part of the frame around that is theirs.
struct Filling {
    /// How large the frame is, if it is their own.
    size: u32,
    /// Values made in the frame around.
    inherited: Box<[(u32, Lazy)]>,
    /// Values made in the frame itself.
    own: Box<[(u32, Lazy)]>,
}

impl Filling {
    fn compile(ev: &Evaluator, unit: &'static Unit, set: SetId, place: Place, all_thunks: bool) -> Filling {
        let (start, size) = match place {
            Place::OwnFrame(size) => (0, size),
            Place::InFrame(start) => (start, 0),
        };
        // What is inherited comes first, then each in turn.
        let mut filled: Vec<bool> =
            unit.ast.attrs(set).map(|attr| attr.kind == AttrKind::Inherited).collect();
        let inherited_count = filled.iter().filter(|is_inherited| **is_inherited).count();
        let mut inherited = Vec::with_capacity(inherited_count);
        let mut own = Vec::with_capacity(filled.len() - inherited_count);
        for (attr, number) in unit.ast.attrs(set).zip(0..) {
            let index = start + number;
            if attr.kind == AttrKind::Inherited {
                inherited.push((index, lazy(ev, unit, attr.value, Frame::Complete)));
            } else if all_thunks {
                own.push((index, Lazy::Thunk(thunk_code(ev, unit, attr.value))));
            } else {
                own.push((index, value(ev, unit, attr, Frame::Filled(start, &filled))));
                filled[number as usize] = true;
            }
        }
        for from in stored_froms(unit, set) {
            let index = start + filled.len() as u32;
            own.push((index, lazy(ev, unit, from, Frame::Filled(start, &filled))));
            filled.push(true);
        }
        Filling { size, inherited: inherited.into(), own: own.into() }
    }

    #[inline(always)]
    fn fill(&self, env: Env, inner: Env) {
        for (index, lazy) in &self.inherited {
            lazy.put_in_frame(env, inner.slot(*index));
        }
        for (index, lazy) in &self.own {
            lazy.put_in_frame(inner, inner.slot(*index));
        }
    }
}

struct Let {
    frame: Filling,
    body: Op,
}

impl Run for Let {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let inner = Env::local(&ev.heap, env, self.frame.size);
        self.frame.fill(env, inner);
        let result = self.body.run(ev, inner);
        inner.leave(&ev.heap, self.frame.size, &result, env);
        result
    }
}

/// A `let` whose frame is the one around.
struct LetInFrame {
    frame: Filling,
    body: Op,
}

impl Run for LetInFrame {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        self.frame.fill(env, env);
        self.body.run(ev, env)
    }
}

struct MakeSet {
    names: Names,
    values: Contents,
}

impl Run for MakeSet {
    #[inline]
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let (attrs, slots) = Attrs::unfilled(&ev.heap, self.names.keys, self.names.origins);
        self.values.put(env, slots);
        Ok(attrs.into())
    }
}

/// A set with computed names, or with `inherit` from an expression.
struct MakeMixedSet {
    names: Names,
    /// Each with whether it is made in the frame of `froms`.
    values: Box<[(Lazy, bool)]>,
    froms: Box<[Lazy]>,
    dynamic: Box<[DynamicAttr]>,
    shapes: LastShapes,
}

impl Run for MakeMixedSet {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let mut inner = env;
        if !self.froms.is_empty() {
            inner = Env::escaped(&ev.heap, env, self.froms.len() as u32);
            for (index, from) in self.froms.iter().enumerate() {
                from.put_in_frame(env, inner.slot(index as u32));
            }
        }
        let computed = Computed::of(ev, env, &self.dynamic, |name| self.position(name))?;
        let computed = computed.as_slice();
        let made;
        let shape = match computed {
            [] => None,
            computed => match self.shapes.get(computed) {
                Some(shape) => Some(shape),
                None => {
                    made = Shape::of(ev, &self.names, computed);
                    Some(self.shapes.keep(ev, computed, &made))
                }
            },
        };
        let names = shape.map_or(self.names, |shape| shape.names);
        let (attrs, slots) = Attrs::unfilled(&ev.heap, names.keys, names.origins);
        let put = |(value, in_froms): &(Lazy, bool), slot| {
            value.put(if *in_froms { inner } else { env }, slot);
        };
        match shape {
            None => self.values.iter().zip(slots).for_each(|(value, slot)| put(value, slot)),
            Some(shape) => {
                let mut places = shape.places.iter().map(|place| &slots[*place as usize]);
                self.values.iter().zip(places.by_ref()).for_each(|(value, slot)| put(value, slot));
                for ((_, attr), slot) in computed.iter().zip(places) {
                    attr.value.put(env, slot);
                }
            }
        }
        Ok(attrs.into())
    }
}

impl MakeMixedSet {
    /// Where an attribute stands whose name is no computed one.
    fn position(&self, name: Symbol) -> Option<Pos> {
        let index = self.names.keys.find(name)?;
        Some(self.names.origins.pos(index, name))
    }
}

/// A set of known and computed names.
#[derive(Clone)]
struct Shape {
    computed: Box<[Symbol]>,
    names: Names,
    /// For each known name, then for each computed one, its place in the set.
    places: Box<[u32]>,
}

impl Shape {
    fn of(ev: &Evaluator, known: &Names, computed: &[(Symbol, &DynamicAttr)]) -> Shape {
        let names = known.keys.names();
        let positions =
            names.iter().enumerate().map(|(index, name)| (*name, known.origins.pos(index, *name)));
        let all: Vec<(Symbol, Pos)> =
            positions.chain(computed.iter().map(|(name, attr)| (*name, attr.pos))).collect();
        let mut order: Vec<u32> = (0..all.len() as u32).collect();
        // The known names come first and are sorted: a stable sort sees it.
        order.sort_by_key(|index| all[*index as usize].0);
        let mut places = vec![0; all.len()];
        for (place, index) in (0..).zip(&order) {
            places[*index as usize] = place;
        }
        let sorted = order.iter().map(|index| all[*index as usize]);
        let names: Vec<Symbol> = sorted.clone().map(|(name, _)| name).collect();
        let names = Names {
            keys: Keys::of(&ev.heap, &names),
            origins: Origins::listed(&ev.heap, known.origins.braces(), sorted.map(|(_, pos)| pos)),
        };
        Shape { computed: computed.iter().map(|(name, _)| *name).collect(), names, places: places.into() }
    }
}

/// What a set in the code was lately: mostly its computed names come out as they did before.
#[derive(Default)]
struct LastShapes {
    last: [AtomicPtr<Shape>; 1 << LastShapes::BITS],
    kept: AtomicU32,
}

impl LastShapes {
    const BITS: u32 = 3;
    /// So many shapes are kept for a place in the code, as they are so for ever.
    const MOST: u32 = 64;

    fn place(&self, computed: &[(Symbol, &DynamicAttr)]) -> &AtomicPtr<Shape> {
        let mix = |mixed: u32, name: Symbol| (mixed ^ name.id()).wrapping_mul(0x9e37_79b1);
        let mixed = computed.iter().fold(0, |mixed, (name, _)| mix(mixed, *name));
        &self.last[(mixed >> (u32::BITS - LastShapes::BITS)) as usize]
    }

    fn get(&self, computed: &[(Symbol, &DynamicAttr)]) -> Option<&'static Shape> {
        // SAFETY: only what the heap keeps is stored.
        let last = unsafe { self.place(computed).load(Ordering::Acquire).as_ref() }?;
        last.computed.iter().eq(computed.iter().map(|(name, _)| name)).then_some(last)
    }

    fn keep<'a>(&self, ev: &Evaluator, computed: &[(Symbol, &DynamicAttr)], shape: &'a Shape) -> &'a Shape {
        if self.kept.fetch_add(1, Ordering::Relaxed) < LastShapes::MOST {
            shape.names.origins.stay(&ev.heap);
            self.place(computed).store(ev.heap.keep(shape.clone()).as_ptr(), Ordering::Release);
        }
        shape
    }
}

struct MakeRecursive {
    frame: Filling,
    names: Names,
    /// For each key its place in the frame.
    order: Box<[u32]>,
    dynamic: Box<[DynamicAttr]>,
    has_overrides: bool,
}

impl Run for MakeRecursive {
    fn run(&self, ev: &Evaluator, env: Env) -> Result<Value> {
        let inner = Env::escaped(&ev.heap, env, self.frame.size);
        self.frame.fill(env, inner);
        let values = self.order.iter().map(|index| inner.slot(*index).get());
        let mut attrs = Attrs::from_values(&ev.heap, self.names.keys, self.names.origins, values);
        if self.has_overrides {
            attrs = self.override_from(ev, inner, attrs)?;
        }
        add_dynamic(ev, inner, attrs, &self.dynamic)
    }
}

impl MakeRecursive {
    /// The attributes of `__overrides` take the place of those in the set, also for the others in it.
    fn override_from(&self, ev: &Evaluator, env: Env, attrs: Attrs) -> Result<Attrs> {
        let Some(overrides) = attrs.get(Symbol::OVERRIDES) else { return Ok(attrs) };
        let frame = "while evaluating the `__overrides` attribute";
        let overrides = ev.force_attrs(overrides, place(overrides), frame)?;
        for attr in overrides {
            if let Some(index) = self.names.keys.find(attr.name) {
                env.set(self.order[index], attr.value);
            }
        }
        Ok(attrs.update(&ev.heap, overrides))
    }
}

/// `${name} = value;`
struct DynamicAttr {
    name: Op,
    pos: Pos,
    value: Lazy,
}

fn dynamic_attrs(ev: &Evaluator, unit: &'static Unit, set: SetId, _recursive: bool) -> Box<[DynamicAttr]> {
    let attr = |attr: nival_syntax::ast::DynamicAttr| DynamicAttr {
        name: expression(ev, unit, attr.name),
        pos: attr.pos,
        value: lazy(ev, unit, attr.value, Frame::Complete),
    };
    unit.ast.dynamic_attrs(set).map(attr).collect()
}

/// The computed names of a literal that are not `null`, with what they belong to. Mostly there is one.
enum Computed<'a> {
    One(Option<(Symbol, &'a DynamicAttr)>),
    Several(Vec<(Symbol, &'a DynamicAttr)>),
}

impl<'a> Computed<'a> {
    /// `known` says where an attribute stands whose name is not computed.
    #[inline]
    fn of(
        ev: &Evaluator,
        env: Env,
        dynamic: &'a [DynamicAttr],
        known: impl Fn(Symbol) -> Option<Pos>,
    ) -> Result<Computed<'a>> {
        if let [attr] = dynamic {
            let name = attr.compute_name(ev, env, &[], known)?;
            return Ok(Computed::One(name.map(|name| (name, attr))));
        }
        let mut computed = Vec::with_capacity(dynamic.len());
        for attr in dynamic {
            if let Some(name) = attr.compute_name(ev, env, &computed, &known)? {
                computed.push((name, attr));
            }
        }
        Ok(Computed::Several(computed))
    }

    #[inline]
    fn as_slice(&self) -> &[(Symbol, &'a DynamicAttr)] {
        match self {
            Computed::One(one) => one.as_slice(),
            Computed::Several(several) => several,
        }
    }
}

impl DynamicAttr {
    /// The name, which must be none of those `before` it and not known.
    #[inline]
    fn compute_name(
        &self,
        ev: &Evaluator,
        env: Env,
        before: &[(Symbol, &DynamicAttr)],
        known: impl Fn(Symbol) -> Option<Pos>,
    ) -> Result<Option<Symbol>> {
        let name = self.name.run(ev, env)?;
        if let View::Null = name.view() {
            return Ok(None);
        }
        let frame = "while evaluating the name of a dynamic attribute";
        let name = ev.name_of(ev.force_plain_string(name, self.pos, frame)?);
        let before = before.iter().find(|(other, _)| *other == name).map(|(_, before)| before.pos);
        match before.or_else(|| known(name)) {
            None => Ok(Some(name)),
            Some(first) => {
                let (first, name) = (first.display(), name.to_identifier());
                let message = format!("dynamic attribute '{name}' already defined at {first}");
                Err(EvalError::other(message).at(self.pos))
            }
        }
    }
}

fn add_dynamic(ev: &Evaluator, env: Env, attrs: Attrs, dynamic: &[DynamicAttr]) -> Result<Value> {
    if dynamic.is_empty() {
        return Ok(attrs.into());
    }
    let computed = Computed::of(ev, env, dynamic, |name| attrs.get_attr(name).map(|attr| attr.pos()))?;
    let added =
        computed.as_slice().iter().map(|(name, attr)| Attr::new(*name, attr.value.make(ev, env), attr.pos));
    let mut all: Vec<Attr> = added.chain(attrs.iter()).collect();
    all.sort_unstable_by_key(|attr| attr.name);
    Ok(Attrs::in_braces(&ev.heap, attrs.braces(), &all).into())
}
