//! Attribute sets: bindings, `inherit`, and the merging of nested paths as the reference does it
//! (`parser-state.hh`, 2.34).

use super::strings::Text;
use super::{Failure, Parser, Result};
use crate::ast::{Attr, AttrKind, AttrName, AttrSet, Chain, DynamicAttr, Expr, ExprId, SetId};
use crate::lexer::Token;
use crate::print::attr_path;
use crate::{Code, Pos, Symbol};

/// Sets up to this size are searched by walking over them.
const WALKED: u32 = 16;

impl Parser<'_> {
    pub(super) fn new_set(&mut self, recursive: bool) -> SetId {
        let id = SetId(self.room.ast.sets.len() as u32);
        let empty = Chain::EMPTY;
        self.room.ast.sets.push(AttrSet { recursive, attrs: empty, dynamics: empty, froms: empty });
        self.room.seen.push(0);
        id
    }

    /// The bindings after `{`, and the `}`.
    pub(super) fn braces(&mut self, set: SetId, pos: Pos) -> Result<ExprId> {
        self.bindings(set)?;
        self.expect(Token::BraceClose)?;
        Ok(self.add(pos, Expr::Set(set)))
    }

    /// Bindings, as many as there are.
    pub(super) fn bindings(&mut self, set: SetId) -> Result<()> {
        loop {
            match self.token {
                Token::Inherit => self.inherit(set)?,
                Token::Identifier | Token::Or | Token::Quote | Token::DollarBrace => {
                    let base = self.room.names.len();
                    let start = self.start();
                    self.attr_path()?;
                    self.binding(set, base, start)?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// The binding whose first name has been read.
    pub(super) fn binding_from(&mut self, set: SetId, name: Symbol, pos: Pos) -> Result<()> {
        let base = self.room.names.len();
        self.room.names.push(AttrName::Static(name));
        if self.token == Token::Dot {
            self.advance();
            self.attr_path()?;
        }
        let start = self.lexer.source.offset(pos).unwrap_or_default();
        self.binding(set, base, start)
    }

    /// The rest of a binding after its path.
    fn binding(&mut self, set: SetId, base: usize, start: usize) -> Result<()> {
        self.expect(Token::Assign)?;
        let value = self.expr()?;
        self.expect(Token::Semicolon)?;
        self.define(set, base, self.pos(start), value)?;
        self.room.names.truncate(base);
        if let Some(doc) = self.doc_before(start) {
            self.document(value, doc);
        }
        Ok(())
    }

    /// Puts the names of a path on the stack.
    pub(super) fn attr_path(&mut self) -> Result<()> {
        loop {
            let name = self.attr_name()?;
            self.room.names.push(name);
            if self.token != Token::Dot {
                return Ok(());
            }
            self.advance();
        }
    }

    fn attr_name(&mut self) -> Result<AttrName> {
        match self.token {
            Token::Identifier => {
                let name = self.symbol();
                self.advance();
                Ok(AttrName::Static(name))
            }
            Token::Or => {
                self.advance();
                Ok(AttrName::Static(Symbol::OR))
            }
            Token::Quote => Ok(match self.text()? {
                Text::Literal(range) => {
                    let name = Symbol::intern(self.room.ast.view().bytes(range));
                    self.room.ast.text.truncate(range.start as usize);
                    AttrName::Static(name)
                }
                Text::Interpolated(expr) => AttrName::Dynamic(expr),
            }),
            Token::DollarBrace => {
                self.advance();
                let expr = self.expr()?;
                self.expect(Token::BraceClose)?;
                Ok(match self.room.ast.view().expr(expr) {
                    Expr::String(range) => {
                        AttrName::Static(Symbol::intern(self.room.ast.view().bytes(range)))
                    }
                    _ => AttrName::Dynamic(expr),
                })
            }
            _ => Err(Failure::Syntax),
        }
    }

    fn inherit(&mut self, set: SetId) -> Result<()> {
        self.advance();
        let mut from = None;
        if self.token == Token::ParenOpen {
            self.advance();
            let start = self.start();
            let expr = self.expr()?;
            self.expect(Token::ParenClose)?;
            from = Some((expr, self.pos(start)));
        }
        let base = self.room.names.len();
        let first_place = self.room.places.len();
        while matches!(self.token, Token::Identifier | Token::Or | Token::Quote | Token::DollarBrace) {
            let pos = self.pos(self.start());
            let name = self.attr_name()?;
            if matches!(name, AttrName::Dynamic(_)) {
                let message = "dynamic attributes not allowed in inherit";
                return Err(Self::failure(Code::DYNAMIC_NAME, message, pos));
            }
            self.room.names.push(name);
            self.room.places.push(pos);
        }
        self.expect(Token::Semicolon)?;
        if let Some((expr, _)) = from {
            self.room.ast.sets[set.index()].froms.push(&mut self.room.ast.froms, expr);
        }
        for index in 0..self.room.names.len() - base {
            let AttrName::Static(name) = self.room.names[base + index] else { continue };
            let pos = self.room.places[first_place + index];
            if let Some(previous) = self.find(set, name) {
                return Err(self.duplicate(&[AttrName::Static(name)], pos, previous.pos));
            }
            let (kind, value_pos) = match from {
                Some((expr, _)) => (AttrKind::InheritedFrom(expr), pos),
                None => (AttrKind::Inherited, pos),
            };
            let value = self.add(value_pos, Expr::Var(name));
            self.insert(set, Attr { name, pos, kind, value });
        }
        self.room.names.truncate(base);
        self.room.places.truncate(first_place);
        Ok(())
    }

    /// Defines the path on the stack above `base`.
    fn define(&mut self, mut set: SetId, base: usize, pos: Pos, value: ExprId) -> Result<()> {
        let count = self.room.names.len() - base;
        if count > self.options.max_depth as usize {
            return Err(Self::too_deep(Pos::NONE));
        }
        for index in base..base + count - 1 {
            set = match self.room.names[index] {
                AttrName::Static(name) => match self.find(set, name) {
                    Some(attr) => match self.room.ast.view().expr(attr.value) {
                        Expr::Set(nested) => nested,
                        _ => return Err(self.duplicate(&self.room.names[base..=index], pos, attr.pos)),
                    },
                    None => {
                        let (nested, value) = self.nested();
                        self.insert(set, Attr { name, pos, kind: AttrKind::Plain, value });
                        nested
                    }
                },
                AttrName::Dynamic(name) => {
                    let (nested, value) = self.nested();
                    let attr = DynamicAttr { name, pos, value };
                    self.room.ast.sets[set.index()].dynamics.push(&mut self.room.ast.dynamics, attr);
                    nested
                }
            };
        }
        match self.room.names[base + count - 1] {
            AttrName::Static(name) => {
                self.define_or_merge(set, base, Attr { name, pos, kind: AttrKind::Plain, value })
            }
            AttrName::Dynamic(name) => {
                let attr = DynamicAttr { name, pos, value };
                self.room.ast.sets[set.index()].dynamics.push(&mut self.room.ast.dynamics, attr);
                Ok(())
            }
        }
    }

    fn nested(&mut self) -> (SetId, ExprId) {
        let set = self.new_set(false);
        (set, self.add(Pos::NONE, Expr::Set(set)))
    }

    /// Defines an attribute; if it is there and both are sets, they become one. `rec` of the later one gets
    /// lost, as in the reference.
    fn define_or_merge(&mut self, set: SetId, base: usize, attr: Attr) -> Result<()> {
        let Some(previous) = self.find(set, attr.name) else {
            self.insert(set, attr);
            self.name(attr.value, attr.name);
            return Ok(());
        };
        let (Expr::Set(target), Expr::Set(added)) =
            (self.room.ast.view().expr(previous.value), self.room.ast.view().expr(attr.value))
        else {
            return Err(self.duplicate(&self.room.names[base..], attr.pos, previous.pos));
        };
        if self.room.names.len() - base > 2 * self.options.max_depth as usize {
            return Err(Self::too_deep(Pos::NONE));
        }
        let mut attrs: Vec<Attr> = self.room.ast.view().attrs(added).copied().collect();
        attrs.sort_unstable_by_key(|attr| attr.name);
        for attr in attrs {
            self.room.names.push(AttrName::Static(attr.name));
            self.define_or_merge(target, base, attr)?;
            self.room.names.pop();
        }
        let AttrSet { dynamics, froms, .. } = *self.room.ast.view().set(added);
        let target = &mut self.room.ast.sets[target.index()];
        target.dynamics.append(&mut self.room.ast.dynamics, dynamics);
        target.froms.append(&mut self.room.ast.froms, froms);
        Ok(())
    }

    fn insert(&mut self, set: SetId, attr: Attr) {
        let name = attr.name;
        self.room.seen[set.index()] |= bit(name);
        let entry = &mut self.room.ast.sets[set.index()];
        let index = entry.attrs.push(&mut self.room.ast.attrs, attr);
        let count = entry.attrs.len;
        if count > WALKED {
            self.room.index.insert((set, name), index);
        } else if count == WALKED {
            let chain = entry.attrs;
            for (index, attr) in chain.numbered(&self.room.ast.attrs) {
                self.room.index.insert((set, attr.name), index);
            }
        }
    }

    fn find(&self, set: SetId, name: Symbol) -> Option<Attr> {
        if self.room.seen[set.index()] & bit(name) == 0 {
            return None;
        }
        let entry = self.room.ast.view().set(set);
        if entry.attrs.len >= WALKED {
            let index = *self.room.index.get(&(set, name))?;
            return Some(self.room.ast.attrs[index as usize].value);
        }
        entry.attrs.iter(&self.room.ast.attrs).find(|attr| attr.name == name).copied()
    }

    fn duplicate(&self, path: &[AttrName], pos: Pos, previous: Pos) -> Failure {
        let path = crate::raw_text(&attr_path(&self.room.ast.view(), path)).into_owned();
        let message = format!("attribute '{path}' already defined at {}", previous.display());
        let failure = Self::failure(Code::DUPLICATE_ATTRIBUTE, message, pos);
        match failure {
            Failure::Other(diagnostic) => {
                Failure::Other(Box::new(diagnostic.with_label(previous, "first defined here")))
            }
            Failure::Syntax => failure,
        }
    }
}

fn bit(name: Symbol) -> u64 {
    1 << (name.id().wrapping_mul(0x9e37_79b9) >> 26)
}
