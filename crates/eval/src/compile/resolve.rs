//! Variables: which frame and place each one means.

use std::cell::RefCell;

use nival_syntax::ast::{AttrKind, AttrName, Expr, LambdaId, SetId};
use nival_syntax::{Ast, ExprId, Pos, Symbol};

use super::{Implicit, Scope};
use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::Evaluator;
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
    /// To be looked up in the sets of the `with`s around: an entry of [`Resolved::with_chains`].
    With(u32),
    /// For `inherit (expr) name`: the attribute `name` of the value in this place of the frame.
    InheritSlot(u32),
    /// The same, but of a variable: `expr` itself.
    InheritVar(ExprId),
}

const _: () = assert!(size_of::<VarRef>() == 8);

/// All variables of a text.
pub(super) struct Resolved {
    /// One entry for each node of the tree.
    pub(super) vars: Vec<VarRef>,
    pub(super) implicit: Implicit,
    pub(super) globals: Vec<Value>,
    /// From the innermost `with` outwards: how many frames further out it is, and where it stands.
    pub(super) with_chains: Vec<Box<[(u32, Pos)]>>,
}

/// Symbols to the innermost binding, kept between texts so that it need not be cleared for each.
#[derive(Default)]
pub(crate) struct SymbolTable(RefCell<Vec<u32>>);

struct Binding {
    name: Symbol,
    level: u32,
    index: u32,
    /// The number of the binding that this one hides, plus one.
    hidden: u32,
}

struct Resolver<'a> {
    ev: &'a Evaluator,
    ast: &'a Ast,
    table: &'a mut Vec<u32>,
    bindings: Vec<Binding>,
    level: u32,
    withs: Vec<(u32, Pos)>,
    /// The chain for the current `withs`, if one was made.
    chain: Option<u32>,
    global_places: std::collections::HashMap<Symbol, u32>,
    result: Resolved,
}

pub(super) fn resolve(ev: &Evaluator, ast: &Ast, scope: &Scope) -> Result<Resolved> {
    let mut table = ev.symbol_table.0.borrow_mut();
    let mut resolver = Resolver {
        ev,
        ast,
        table: &mut table,
        bindings: Vec::new(),
        level: 0,
        withs: Vec::new(),
        chain: None,
        global_places: std::collections::HashMap::new(),
        result: Resolved {
            vars: vec![VarRef::None; ast.len()],
            implicit: Implicit::new(),
            globals: Vec::new(),
            with_chains: Vec::new(),
        },
    };
    if let Some(names) = &scope.names {
        resolver.level = 1;
        for (index, name) in names.iter().enumerate() {
            resolver.bind(*name, index as u32);
        }
    }
    let done = resolver.expr(ast.root());
    resolver.unbind_to(0);
    done.map(|()| resolver.result)
}

/// Whether `inherit (expr)` needs no place for the value of `expr`.
pub(super) fn is_plain_variable(ast: &Ast, from: ExprId) -> bool {
    matches!(ast.expr(from), Expr::Var(_))
}

impl Resolver<'_> {
    fn bind(&mut self, name: Symbol, index: u32) {
        let id = name.id() as usize;
        if self.table.len() <= id {
            self.table.resize((id + 1).next_power_of_two(), 0);
        }
        self.bindings.push(Binding { name, level: self.level, index, hidden: self.table[id] });
        self.table[id] = self.bindings.len() as u32;
    }

    fn unbind_to(&mut self, length: usize) {
        while self.bindings.len() > length {
            if let Some(binding) = self.bindings.pop() {
                self.table[binding.name.id() as usize] = binding.hidden;
            }
        }
    }

    fn in_frame(
        &mut self,
        bind: impl FnOnce(&mut Self),
        inner: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let length = self.bindings.len();
        self.level += 1;
        bind(self);
        let result = inner(self);
        self.level -= 1;
        self.unbind_to(length);
        result
    }

    fn find_bound(&self, name: Symbol) -> Option<VarRef> {
        let number = self.table.get(name.id() as usize).copied().unwrap_or(0);
        let binding = self.bindings.get(number.checked_sub(1)? as usize)?;
        let depth = (self.level - binding.level) as u16;
        Some(VarRef::Frame { depth, index: binding.index })
    }

    fn find_global(&mut self, name: Symbol) -> Option<VarRef> {
        if let Some(place) = self.global_places.get(&name) {
            return Some(VarRef::Global(*place));
        }
        let value = *self.ev.globals().names.get(&name)?;
        let place = self.result.globals.len() as u32;
        self.result.globals.push(value);
        self.global_places.insert(name, place);
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
        let level = self.level;
        let mut from = level;
        let chain = self.withs.iter().rev().map(|(level, pos)| {
            let distance = from - level;
            from = *level;
            (distance, *pos)
        });
        let chain: Box<[(u32, Pos)]> = chain.collect();
        let place = match self.chain {
            Some(place) if self.result.with_chains[place as usize] == chain => place,
            _ => {
                self.result.with_chains.push(chain);
                self.result.with_chains.len() as u32 - 1
            }
        };
        self.chain = Some(place);
        Ok(VarRef::With(place))
    }

    fn implicit(&mut self, id: ExprId, name: Symbol) {
        if let Some(found) = self.find_bound(name) {
            self.result.implicit.insert((id, name), found);
        }
    }

    fn all(&mut self, ids: &[ExprId]) -> Result<()> {
        ids.iter().try_for_each(|id| self.expr(*id))
    }

    fn path(&mut self, names: &[AttrName]) -> Result<()> {
        for name in names {
            if let AttrName::Dynamic(expr) = name {
                self.expr(*expr)?;
            }
        }
        Ok(())
    }

    fn expr(&mut self, id: ExprId) -> Result<()> {
        let ast = self.ast;
        match ast.expr(id) {
            Expr::Int(_) | Expr::Float(_) | Expr::String(_) | Expr::Path(_) | Expr::CurPos => Ok(()),
            Expr::SearchPath(_) => {
                self.implicit(id, Symbol::FIND_FILE);
                self.implicit(id, Symbol::NIX_PATH);
                Ok(())
            }
            Expr::Var(name) => {
                self.result.vars[id.index()] = self.variable(name, ast.pos(id))?;
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
            Expr::Lambda(lambda) => self.lambda(id, lambda),
            Expr::Set(set) => self.set(id, set),
            Expr::Let { bindings, body } => self.recursive(id, bindings, Some(body)),
            Expr::List(range) => self.all(ast.list(range)),
            Expr::With { scope, body } => {
                self.expr(scope)?;
                let outer_chain = self.chain.take();
                let result =
                    self.in_frame(|this| this.withs.push((this.level, ast.pos(id))), |this| this.expr(body));
                self.withs.pop();
                self.chain = outer_chain;
                result
            }
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
            Expr::Concat { parts, .. } => ast.parts(parts).iter().try_for_each(|part| self.expr(part.expr)),
        }
    }

    fn lambda(&mut self, id: ExprId, lambda: LambdaId) -> Result<()> {
        let pos = self.ast.pos(id);
        self.check_depth(pos)?;
        let lambda = self.ast.lambda(lambda);
        let formals = lambda.formals.map_or(&[][..], |formals| self.ast.formals(formals));
        self.in_frame(
            |this| {
                let names = lambda.argument.iter().chain(formals.iter().map(|formal| &formal.name));
                for (index, name) in (0..).zip(names) {
                    this.bind(*name, index);
                }
            },
            |this| {
                for default in formals.iter().filter_map(|formal| formal.default) {
                    this.expr(default)?;
                }
                this.expr(lambda.body)
            },
        )
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
            return self.recursive(id, set, None);
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

    /// The bindings of a `rec` set or a `let`.
    fn recursive(&mut self, id: ExprId, set: SetId, body: Option<ExprId>) -> Result<()> {
        let ast = self.ast;
        self.check_depth(ast.pos(id))?;
        for attr in ast.attrs(set) {
            if attr.kind == AttrKind::Inherited {
                self.expr(attr.value)?;
            }
        }
        let count = ast.attrs(set).len() as u32;
        self.in_frame(
            |this| {
                for (index, attr) in ast.attrs(set).enumerate() {
                    this.bind(attr.name, index as u32);
                }
            },
            |this| {
                for from in ast.inherit_from(set) {
                    this.expr(*from)?;
                }
                for attr in ast.attrs(set) {
                    match attr.kind {
                        AttrKind::Inherited => {}
                        AttrKind::InheritedFrom(from) => this.inherited_from(set, attr.value, from, count),
                        AttrKind::Plain => this.expr(attr.value)?,
                    }
                }
                this.dynamic(set)?;
                body.map_or(Ok(()), |body| this.expr(body))
            },
        )
    }

    fn dynamic(&mut self, set: SetId) -> Result<()> {
        for attr in self.ast.dynamic_attrs(set) {
            self.expr(attr.name)?;
            self.expr(attr.value)?;
        }
        Ok(())
    }

    fn inherited_from(&mut self, set: SetId, placeholder: ExprId, from: ExprId, first_slot: u32) {
        self.result.vars[placeholder.index()] = if is_plain_variable(self.ast, from) {
            VarRef::InheritVar(from)
        } else {
            let ast = self.ast;
            let mut stored = ast.inherit_from(set).filter(|from| !is_plain_variable(ast, **from));
            let place = stored.position(|other| *other == from).unwrap_or_default() as u32;
            VarRef::InheritSlot(first_slot + place)
        };
    }
}
