//! Variables: which frame and place each one means.
//!
//! A frame belongs to a function with all the arguments it takes one after the other (`a: b: …`), to a `let`,
//! a `with` or a `rec` set. What a body consists of, down through `let`, `with` and `assert`, runs exactly
//! once for each frame, so the variables that are bound there get places in the same frame: fewer frames are
//! made, and fewer steps lead outwards.

use std::cell::{Ref, RefCell};
use std::collections::HashMap;

use nival_syntax::ast::{AttrKind, AttrName, Expr, LambdaId, SetId};
use nival_syntax::{Ast, ExprId, Keep, KeptParts, KeptTree, Plain, Pos, Symbol};

use super::{Scope, Unit};
use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::Evaluator;
use crate::hash::WordHash;
use crate::value::Value;

/// What a variable means.
#[derive(Clone, Copy)]
pub(super) enum VarRef {
    /// Not a variable.
    None,
    /// A place in the frame `depth` steps outwards.
    Frame { depth: u16, index: u32 },
    /// An entry of [`Resolved::globals`].
    Global(u32),
    /// To be looked up in the sets of the `with`s around: an entry of [`Resolved::chains`].
    With(u32),
    /// For `inherit (expr) name`: the attribute `name` of the value in this place of the frame.
    InheritSlot(u32),
    /// The same, but of a variable: `expr` itself.
    InheritVar(ExprId),
    /// Not a variable, but what binds some: [`Place::OwnFrame`].
    OwnFrame(u32),
    /// The same: [`Place::InFrame`].
    InFrame(u32),
}

/// Where bindings have their values.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// In a frame of their own with so many places.
    OwnFrame(u32),
    /// In the frame around, from this place on.
    InFrame(u32),
}

impl Place {
    /// Where those of an expression are that binds variables.
    pub(super) fn of(unit: &Unit, id: ExprId) -> Place {
        match unit.var(id) {
            VarRef::OwnFrame(size) => Place::OwnFrame(size),
            VarRef::InFrame(start) => Place::InFrame(start),
            _ => unreachable!("variables were resolved before"),
        }
    }
}

/// All variables of a text: numbers only, but for the built-in values.
pub(super) struct Resolved {
    /// One entry for each node of the tree.
    vars: &'static [Packed],
    /// What has no room in an entry.
    wide: &'static [Wide],
    /// Variables that operators and `<…>` call, where something other than the built-in one is in scope: by node and
    /// name.
    implicit: &'static [Implicit],
    pub(super) globals: Box<[Value]>,
    /// The `with`s around a variable: ranges of [`Resolved::withs`].
    chains: &'static [Chain],
    /// These from the innermost outwards.
    withs: &'static [WithPlace],
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Wide {
    kind: u32,
    depth: u32,
    number: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Implicit {
    node: u32,
    /// The number of one of the symbols that are the same in each process.
    name: u32,
    var: Packed,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Chain {
    start: u32,
    len: u32,
}

// SAFETY: a transparent `u32`.
unsafe impl Plain for Packed {}
// SAFETY: a `repr(C)` structure of `u32`s alone, as are the next.
unsafe impl Plain for Wide {}
// SAFETY: as above.
unsafe impl Plain for Implicit {}
// SAFETY: as above.
unsafe impl Plain for Chain {}
// SAFETY: as above.
unsafe impl Plain for WithPlace {}

/// What a variable means in half the room: what kind it is in the low bits, above these its number.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Packed(u32);

const FRAME: u32 = 1;
const GLOBAL: u32 = 2;
const WITH: u32 = 3;
const INHERIT_SLOT: u32 = 4;
const OWN_FRAME: u32 = 5;
const IN_FRAME: u32 = 6;
const WIDE: u32 = 7;
/// Only among the wide ones.
const INHERIT_VAR: u32 = 8;

impl Packed {
    const NONE: Packed = Packed(0);
    const KIND_BITS: u32 = 3;
    /// Of a frame's number, so many bits are the place in it.
    const INDEX_BITS: u32 = 22;

    fn new(var: VarRef, wide: &mut Vec<Wide>) -> Packed {
        let (kind, depth, number) = match var {
            VarRef::None => return Packed::NONE,
            VarRef::Frame { depth, index } => (FRAME, u32::from(depth), index),
            VarRef::Global(number) => (GLOBAL, 0, number),
            VarRef::With(number) => (WITH, 0, number),
            VarRef::InheritSlot(number) => (INHERIT_SLOT, 0, number),
            VarRef::InheritVar(from) => (INHERIT_VAR, 0, from.index() as u32),
            VarRef::OwnFrame(number) => (OWN_FRAME, 0, number),
            VarRef::InFrame(number) => (IN_FRAME, 0, number),
        };
        let packed = match kind {
            FRAME if number >> Self::INDEX_BITS == 0 => {
                Packed::of_kind(FRAME, depth << Self::INDEX_BITS | number)
                    .filter(|_| depth < 1 << (u32::BITS - Self::KIND_BITS - Self::INDEX_BITS))
            }
            FRAME | INHERIT_VAR => None,
            _ => Packed::of_kind(kind, number),
        };
        packed.unwrap_or_else(|| {
            wide.push(Wide { kind, depth, number });
            Packed::of_kind(WIDE, wide.len() as u32 - 1).expect("a text of 4 GiB has fewer variables")
        })
    }

    fn of_kind(kind: u32, number: u32) -> Option<Packed> {
        (number >> (u32::BITS - Self::KIND_BITS) == 0).then_some(Packed(number << Self::KIND_BITS | kind))
    }
}

fn var(kind: u32, depth: u32, number: u32) -> VarRef {
    match kind {
        FRAME => VarRef::Frame { depth: depth as u16, index: number },
        GLOBAL => VarRef::Global(number),
        WITH => VarRef::With(number),
        INHERIT_SLOT => VarRef::InheritSlot(number),
        INHERIT_VAR => VarRef::InheritVar(ExprId::from_index(number)),
        OWN_FRAME => VarRef::OwnFrame(number),
        IN_FRAME => VarRef::InFrame(number),
        _ => VarRef::None,
    }
}

impl Resolved {
    /// What the variable at a node means.
    pub(super) fn var(&self, id: ExprId) -> VarRef {
        self.unpacked(self.vars.get(id.index()).copied().unwrap_or(Packed::NONE))
    }

    fn unpacked(&self, Packed(packed): Packed) -> VarRef {
        let number = packed >> Packed::KIND_BITS;
        match packed & ((1 << Packed::KIND_BITS) - 1) {
            FRAME => var(FRAME, number >> Packed::INDEX_BITS, number & ((1 << Packed::INDEX_BITS) - 1)),
            WIDE => match self.wide.get(number as usize) {
                Some(wide) => var(wide.kind, wide.depth, wide.number),
                None => VarRef::None,
            },
            kind => var(kind, 0, number),
        }
    }

    /// The variable that an operator or `<…>` calls, if it is not the built-in one.
    pub(super) fn implicit(&self, id: ExprId, name: Symbol) -> Option<VarRef> {
        let key = (id.index() as u32, name.id());
        let found = self.implicit.binary_search_by_key(&key, |entry| (entry.node, entry.name)).ok()?;
        Some(self.unpacked(self.implicit[found].var))
    }

    /// The `with`s of a chain.
    pub(super) fn chain(&self, number: u32) -> &'static [WithPlace] {
        let Chain { start, len } =
            self.chains.get(number as usize).copied().unwrap_or(Chain { start: 0, len: 0 });
        self.withs.get(start as usize..).and_then(|rest| rest.get(..len as usize)).unwrap_or_default()
    }

    /// Of the text that was resolved last.
    pub(super) fn of_last(ev: &Evaluator) -> Resolved {
        let mut room = ev.resolver_room.0.borrow_mut();
        Resolved {
            vars: keep(ev, &mut room.vars),
            wide: keep(ev, &mut room.wide),
            implicit: keep(ev, &mut room.implicit),
            chains: keep(ev, &mut room.chains),
            withs: keep(ev, &mut room.places),
            globals: room.globals(),
        }
    }

    /// What [`Room::put`] added, with the values of the built-in variables.
    pub(super) fn take(tree: &KeptTree, globals: Box<[Value]>) -> Option<Resolved> {
        Some(Resolved {
            vars: tree.added(0)?,
            wide: tree.added(1)?,
            implicit: tree.added(2)?,
            chains: tree.added(3)?,
            withs: tree.added(4)?,
            globals,
        })
    }
}

/// How many tables [`Room::put`] adds.
pub(super) const TABLES: usize = 5;

/// The names of the built-in values that the text resolved last uses, by their numbers in its tree; and of those that
/// are sought in the sets of a `with` the ones that may be built-in under other settings.
pub(super) fn last_names(
    ev: &Evaluator,
    ast: &Ast<'_>,
    is_optional: impl Fn(Symbol) -> bool,
) -> (Vec<u32>, Vec<u32>) {
    let room = ev.resolver_room.0.borrow();
    let (mut globals, mut doubtful) = (vec![0; room.globals.len()], Vec::new());
    // Most names are neither, as one bit of each tells.
    let bit = |name: &Symbol| 1_u64 << (name.id() % 64);
    let either = room.global_places.keys().chain(&room.sought).fold(0, |bits, name| bits | bit(name));
    for (number, name) in (0..).zip(ast.symbols()).filter(|(_, name)| either & bit(name) != 0) {
        if let Some(place) = room.global_places.get(name) {
            globals[*place as usize] = number;
        } else if is_optional(*name) && room.sought.contains(name) {
            doubtful.push(number);
        }
    }
    (globals, doubtful)
}

/// Where the set of a `with` is.
#[derive(Clone, Copy, PartialEq)]
#[repr(C)]
pub(super) struct WithPlace {
    /// How many frames further out than the one before.
    pub(super) distance: u32,
    pub(super) index: u32,
    /// The number of the `with`.
    node: u32,
}

impl WithPlace {
    pub(super) fn pos(self, unit: &Unit) -> Pos {
        unit.pos(ExprId::from_index(self.node))
    }
}

/// How the `with` of a variable is found before it is known from where.
struct With {
    level: u32,
    index: u32,
    node: u32,
}

/// What resolving needs, kept from one text to the next.
#[derive(Default)]
pub(crate) struct ResolverRoom(RefCell<Room>);

/// A table of variables that has more entries is not kept for the next text.
const LARGE: usize = 1 << 16;

#[derive(Default)]
pub(super) struct Room {
    /// The number of the innermost binding of each symbol, plus one. What is put here is taken back.
    table: Vec<u32>,
    bindings: Vec<Binding>,
    vars: Vec<Packed>,
    wide: Vec<Wide>,
    implicit: Vec<Implicit>,
    chains: Vec<Chain>,
    places: Vec<WithPlace>,
    globals: Vec<Value>,
    global_places: HashMap<Symbol, u32, WordHash>,
    /// Names that were looked for in the sets of a `with`.
    sought: Vec<Symbol>,
}

impl ResolverRoom {
    /// What was found in the text that was resolved last.
    pub(super) fn last(&self) -> Ref<'_, Room> {
        self.0.borrow()
    }
}

impl Room {
    /// Adds what the variables of the text resolved last mean to the tables of a tree.
    pub(super) fn put<'a>(&'a self, parts: &mut KeptParts<'a>) {
        parts.add(&self.vars);
        parts.add(&self.wide);
        parts.add(&self.implicit);
        parts.add(&self.chains);
        parts.add(&self.places);
    }

    /// The values of the built-in variables of this text.
    pub(super) fn globals(&self) -> Box<[Value]> {
        self.globals.as_slice().into()
    }

    /// Whether a chain is the same as the places from a number on.
    fn is_chain(&self, chain: Chain, start: usize) -> bool {
        let known = &self.places[chain.start as usize..][..chain.len as usize];
        *known == self.places[start..]
    }
}

struct Binding {
    name: Symbol,
    level: u32,
    index: u32,
    /// The number of the binding that this one hides, plus one.
    hidden: u32,
}

struct Resolver<'a> {
    ev: &'a Evaluator,
    ast: &'a Ast<'a>,
    room: &'a mut Room,
    level: u32,
    /// How many places the current frame has by now.
    size: u32,
    withs: Vec<With>,
    /// The chain for the current `withs`, if one was made.
    chain: Option<u32>,
    /// Whether each scope has a frame of its own, as somebody wants to look at them.
    is_debugged: bool,
    /// The expression at which somebody wants to know what is in scope.
    wanted: Option<ExprId>,
    /// Where the variables of each scope begin, and its `with`; only if somebody wants to know.
    scopes: Vec<ScopeStart>,
    found: Vec<NamedScope>,
}

struct ScopeStart {
    bindings: usize,
    with: Option<usize>,
}

/// Variables that come into scope together, as places seen from some expression: steps outwards, and index.
pub(crate) struct NamedScope {
    pub(crate) variables: Vec<(Symbol, u32, u32)>,
    pub(crate) with: Option<(u32, u32)>,
}

/// What is in scope at an expression, from the outermost inwards.
pub(crate) fn scopes_at(ev: &Evaluator, unit: &Unit, id: ExprId) -> Vec<NamedScope> {
    let mut room = ev.resolver_room.0.borrow_mut();
    let mut resolver = Resolver::new(ev, &unit.ast, &mut room);
    resolver.wanted = Some(id);
    // Undefined variables were found when the text was parsed.
    let _ = resolver.text(&unit.scope);
    resolver.found
}

/// Finds out what the variables of a text mean: [`Resolved::of_last`].
pub(super) fn resolve(ev: &Evaluator, ast: &Ast<'_>, scope: &Scope) -> Result<()> {
    let mut room = ev.resolver_room.0.borrow_mut();
    Resolver::new(ev, ast, &mut room).text(scope)?;
    room.implicit.sort_unstable_by_key(|entry| (entry.node, entry.name));
    Ok(())
}

pub(super) fn keep<T: Copy + 'static>(ev: &Evaluator, entries: &mut Vec<T>) -> &'static [T] {
    if entries.is_empty() { &[] } else { ev.heap.keep_table(entries) }
}

/// Whether `inherit (expr)` needs no place for the value of `expr`.
pub(super) fn is_plain_variable(ast: &Ast<'_>, from: ExprId) -> bool {
    matches!(ast.expr(from), Expr::Var(_))
}

impl<'a> Resolver<'a> {
    fn new(ev: &'a Evaluator, ast: &'a Ast<'a>, room: &'a mut Room) -> Resolver<'a> {
        room.global_places.clear();
        if room.vars.capacity() > LARGE {
            room.vars = Vec::new();
        }
        room.vars.clear();
        room.vars.resize(ast.len(), Packed::NONE);
        room.wide.clear();
        room.implicit.clear();
        room.chains.clear();
        room.places.clear();
        room.globals.clear();
        room.sought.clear();
        Resolver {
            ev,
            ast,
            room,
            level: 0,
            size: 0,
            withs: Vec::new(),
            chain: None,
            is_debugged: ev.settings().debugging.is_some(),
            wanted: None,
            scopes: Vec::new(),
            found: Vec::new(),
        }
    }

    fn text(&mut self, scope: &Scope) -> Result<()> {
        if let Some(names) = &scope.names {
            self.level = 1;
            self.open_scope(None);
            for (index, name) in names.iter().enumerate() {
                self.bind(*name, index as u32);
            }
        }
        let done = self.expr(self.ast.root());
        self.unbind_to(0);
        done
    }

    /// What is bound from here on comes into scope together.
    fn open_scope(&mut self, with: Option<usize>) {
        if self.wanted.is_some() {
            self.scopes.push(ScopeStart { bindings: self.room.bindings.len(), with });
        }
    }

    /// Notes what is in scope, if this is where somebody wants to know.
    #[cold]
    fn note_scopes(&mut self) {
        let ends = self.scopes.iter().skip(1).map(|next| next.bindings).chain([self.room.bindings.len()]);
        let place = |binding: &Binding| (binding.name, self.level - binding.level, binding.index);
        let scopes = self.scopes.iter().zip(ends).map(|(start, end)| NamedScope {
            variables: self.room.bindings[start.bindings..end].iter().map(place).collect(),
            with: start.with.map(|with| (self.level - self.withs[with].level, self.withs[with].index)),
        });
        self.found = scopes.collect();
    }

    fn bind(&mut self, name: Symbol, index: u32) {
        let id = name.id() as usize;
        if self.room.table.len() <= id {
            self.room.table.resize((id + 1).next_power_of_two(), 0);
        }
        self.room.bindings.push(Binding { name, level: self.level, index, hidden: self.room.table[id] });
        self.room.table[id] = self.room.bindings.len() as u32;
    }

    fn unbind_to(&mut self, length: usize) {
        while self.room.bindings.len() > length {
            if let Some(binding) = self.room.bindings.pop() {
                self.room.table[binding.name.id() as usize] = binding.hidden;
            }
        }
    }

    /// Resolves what is in a frame of its own, which `id` makes.
    fn in_own_frame(&mut self, id: ExprId, inner: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.check_depth(self.ast.pos(id))?;
        let length = self.room.bindings.len();
        let size_around = std::mem::take(&mut self.size);
        let scopes = self.scopes.len();
        self.level += 1;
        let result = inner(self);
        self.level -= 1;
        self.scopes.truncate(scopes);
        self.unbind_to(length);
        self.note(id, VarRef::OwnFrame(self.size));
        self.size = size_around;
        result
    }

    /// Places for values that have no name, or get it by [`Resolver::bind`].
    fn reserve(&mut self, count: usize) -> u32 {
        let start = self.size;
        self.size += count as u32;
        start
    }

    fn find_bound(&self, name: Symbol) -> Option<VarRef> {
        let number = self.room.table.get(name.id() as usize).copied().unwrap_or(0);
        let binding = self.room.bindings.get(number.checked_sub(1)? as usize)?;
        let depth = (self.level - binding.level) as u16;
        Some(VarRef::Frame { depth, index: binding.index })
    }

    fn find_global(&mut self, name: Symbol) -> Option<VarRef> {
        if let Some(place) = self.room.global_places.get(&name) {
            return Some(VarRef::Global(*place));
        }
        let value = *self.ev.globals().names.get(&name)?;
        let place = self.room.globals.len() as u32;
        self.room.globals.push(value);
        self.room.global_places.insert(name, place);
        Some(VarRef::Global(place))
    }

    fn variable(&mut self, name: Symbol, pos: Pos) -> Result<VarRef> {
        if let Some(found) = self.find_bound(name).or_else(|| self.find_global(name)) {
            return Ok(found);
        }
        if self.withs.is_empty() {
            return Err(
                EvalError::new(ErrorKind::UndefinedVariable, format!("undefined variable '{name}'")).at(pos)
            );
        }
        self.room.sought.push(name);
        let mut from = self.level;
        let chain = self.withs.iter().rev().map(|with| {
            let distance = from - with.level;
            from = with.level;
            WithPlace { distance, index: with.index, node: with.node }
        });
        let start = self.room.places.len();
        self.room.places.extend(chain);
        let place = match self.chain.map(|place| (place, self.room.chains[place as usize])) {
            Some((place, known)) if self.room.is_chain(known, start) => {
                self.room.places.truncate(start);
                place
            }
            _ => {
                let len = (self.room.places.len() - start) as u32;
                self.room.chains.push(Chain { start: start as u32, len });
                self.room.chains.len() as u32 - 1
            }
        };
        self.chain = Some(place);
        Ok(VarRef::With(place))
    }

    fn implicit(&mut self, id: ExprId, name: Symbol) {
        if let Some(found) = self.find_bound(name) {
            let var = Packed::new(found, &mut self.room.wide);
            self.room.implicit.push(Implicit { node: id.index() as u32, name: name.id(), var });
        }
    }

    fn all(&mut self, ids: &[ExprId]) -> Result<()> {
        ids.iter().try_for_each(|id| self.expr(*id))
    }

    fn path(&mut self, names: impl Iterator<Item = AttrName>) -> Result<()> {
        for name in names {
            if let AttrName::Dynamic(expr) = name {
                self.expr(expr)?;
            }
        }
        Ok(())
    }

    fn expr(&mut self, id: ExprId) -> Result<()> {
        let ast = self.ast;
        if self.wanted == Some(id) && !matches!(ast.expr(id), Expr::Let { .. }) {
            self.note_scopes();
        }
        match ast.expr(id) {
            Expr::Int(_) | Expr::Float(_) | Expr::String(_) | Expr::Path(_) | Expr::CurPos => Ok(()),
            Expr::SearchPath(_) => {
                self.implicit(id, Symbol::FIND_FILE);
                self.implicit(id, Symbol::NIX_PATH);
                Ok(())
            }
            Expr::Var(name) => {
                let var = self.variable(name, ast.pos(id))?;
                self.note(id, var);
                Ok(())
            }
            Expr::Select { subject, path, default } => {
                self.expr(subject)?;
                if let Some(default) = default {
                    self.expr(default)?;
                }
                self.path(ast.path(path))
            }
            Expr::HasAttr { subject, path } => {
                self.expr(subject)?;
                self.path(ast.path(path))
            }
            Expr::Call { function, arguments } => {
                self.expr(function)?;
                self.all(ast.list(arguments))
            }
            Expr::Lambda(lambda) => self.in_own_frame(id, |this| this.lambda(lambda)),
            Expr::Set(set) => self.set(id, set),
            Expr::Let { .. } | Expr::With { .. } => {
                self.before_binding(id)?;
                self.in_own_frame(id, |this| this.binding(id))
            }
            Expr::List(range) => self.all(ast.list(range)),
            Expr::If { condition, then, otherwise } => self.all(&[condition, then, otherwise]),
            Expr::Assert { condition, body } => self.all(&[condition, body]),
            Expr::Not(operand) => self.expr(operand),
            Expr::Negate(operand) => {
                self.implicit(id, Symbol::SUB);
                self.expr(operand)
            }
            Expr::Binary { op, left, right } => {
                if let Some(function) = op.function() {
                    self.implicit(id, function);
                }
                self.all(&[left, right])
            }
            Expr::Concat { parts, .. } => ast.parts(parts).try_for_each(|part| self.expr(part.expr)),
        }
    }

    /// A body: what runs once for each frame.
    fn body(&mut self, id: ExprId) -> Result<()> {
        match self.ast.expr(id) {
            _ if self.is_debugged => self.expr(id),
            Expr::Let { .. } | Expr::With { .. } => {
                self.ev.check_stack(self.ast.pos(id))?;
                self.before_binding(id)?;
                let (length, start, scopes) = (self.room.bindings.len(), self.size, self.scopes.len());
                let result = self.binding(id);
                self.scopes.truncate(scopes);
                self.unbind_to(length);
                self.note(id, VarRef::InFrame(start));
                result
            }
            Expr::Assert { condition, body } => {
                self.expr(condition)?;
                self.body(body)
            }
            _ => self.expr(id),
        }
    }

    /// What of a `let` or `with` is outside of its scope.
    fn before_binding(&mut self, id: ExprId) -> Result<()> {
        match self.ast.expr(id) {
            Expr::Let { bindings, .. } => self.inherited(bindings),
            Expr::With { scope, .. } => self.expr(scope),
            _ => Ok(()),
        }
    }

    /// `let` or `with`, in the current frame.
    fn binding(&mut self, id: ExprId) -> Result<()> {
        match self.ast.expr(id) {
            Expr::Let { bindings, body } => {
                self.recursive(bindings)?;
                if self.wanted == Some(id) {
                    // What it binds is in scope in a `let` for the reference.
                    self.note_scopes();
                }
                self.body(body)
            }
            Expr::With { body, .. } => {
                let index = self.reserve(1);
                let outer_chain = self.chain.take();
                self.withs.push(With { level: self.level, index, node: id.index() as u32 });
                self.open_scope(Some(self.withs.len() - 1));
                let result = self.body(body);
                self.withs.pop();
                self.chain = outer_chain;
                result
            }
            _ => unreachable!("other expressions bind nothing here"),
        }
    }

    /// A function and those that it consists of alone, in the current frame.
    fn lambda(&mut self, lambda: LambdaId) -> Result<()> {
        let mut lambda = self.ast.lambda(lambda);
        loop {
            let ast = self.ast;
            let formals = || lambda.formals.into_iter().flat_map(|formals| ast.formals(formals));
            self.open_scope(None);
            for name in lambda.argument.into_iter().chain(formals().map(|formal| formal.name)) {
                let index = self.reserve(1);
                self.bind(name, index);
            }
            for default in formals().filter_map(|formal| formal.default) {
                self.expr(default)?;
            }
            let inner = match self.ast.expr(lambda.body) {
                Expr::Lambda(inner) if !self.is_debugged => inner,
                _ => return self.body(lambda.body),
            };
            self.note(lambda.body, VarRef::InFrame(self.size));
            lambda = self.ast.lambda(inner);
        }
    }

    /// Depths are stored in 16 bits, and resolving recurses.
    fn check_depth(&self, pos: Pos) -> Result<()> {
        if self.level >= u32::from(u16::MAX) - 1 {
            return Err(EvalError::new(ErrorKind::Syntax, "scopes are nested too deeply").at(pos));
        }
        self.ev.check_stack(pos)
    }

    fn set(&mut self, id: ExprId, set: SetId) -> Result<()> {
        if self.ast.set(set).recursive {
            self.inherited(set)?;
            return self.in_own_frame(id, |this| {
                this.recursive(set)?;
                this.dynamic(set)
            });
        }
        let ast = self.ast;
        self.ev.check_stack(ast.pos(id))?;
        for from in ast.inherit_from(set) {
            self.expr(*from)?;
        }
        for attr in ast.attrs(set) {
            match attr.kind {
                AttrKind::InheritedFrom(from) => self.inherited_from(set, attr.value, from, 0),
                _ => self.expr(attr.value)?,
            }
        }
        self.dynamic(set)
    }

    /// Those bindings of a `rec` set or a `let` that are variables of the scope around.
    fn inherited(&mut self, set: SetId) -> Result<()> {
        let ast = self.ast;
        let mut inherited = ast.attrs(set).filter(|attr| attr.kind == AttrKind::Inherited);
        inherited.try_for_each(|attr| self.expr(attr.value))
    }

    /// The other bindings of a `rec` set or a `let`, in the current frame.
    fn recursive(&mut self, set: SetId) -> Result<()> {
        let ast = self.ast;
        let count = ast.attrs(set).len();
        let start = self.reserve(count);
        self.open_scope(None);
        for (index, attr) in (start..).zip(ast.attrs(set)) {
            self.bind(attr.name, index);
        }
        let froms = ast.inherit_from(set).iter().filter(|from| !is_plain_variable(ast, **from)).count();
        let first_from = self.reserve(froms);
        for from in ast.inherit_from(set) {
            self.expr(*from)?;
        }
        for attr in ast.attrs(set) {
            match attr.kind {
                AttrKind::Inherited => {}
                AttrKind::InheritedFrom(from) => self.inherited_from(set, attr.value, from, first_from),
                AttrKind::Plain => self.expr(attr.value)?,
            }
        }
        Ok(())
    }

    fn dynamic(&mut self, set: SetId) -> Result<()> {
        for attr in self.ast.dynamic_attrs(set) {
            self.expr(attr.name)?;
            self.expr(attr.value)?;
        }
        Ok(())
    }

    fn note(&mut self, id: ExprId, var: VarRef) {
        self.room.vars[id.index()] = Packed::new(var, &mut self.room.wide);
    }

    fn inherited_from(&mut self, set: SetId, placeholder: ExprId, from: ExprId, first_slot: u32) {
        let var = if is_plain_variable(self.ast, from) {
            VarRef::InheritVar(from)
        } else {
            let ast = self.ast;
            let mut stored = ast.inherit_from(set).iter().filter(|from| !is_plain_variable(ast, **from));
            let place = stored.position(|other| *other == from).unwrap_or_default() as u32;
            VarRef::InheritSlot(first_slot + place)
        };
        self.note(placeholder, var);
    }
}
