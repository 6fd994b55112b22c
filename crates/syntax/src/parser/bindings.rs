//! Attribute sets: bindings, `inherit`, and the merging of nested paths as the reference does it
//! (`parser-state.hh`, 2.34).

use super::strings::Text;
use super::{Failure, OR, Parser, Result};
use crate::ast::{
    AttrKind, AttrName, AttrWords, Chain, DynamicWords, ExprId, Local, NameWords, Range, SetDraft, SetId,
    Spot, tag,
};
use crate::lexer::Token;
use crate::print::attr_path;
use crate::{Ast, Code};

/// Sets up to this size are searched by walking over them.
const WALKED: u32 = 16;

impl Parser<'_> {
    pub(super) fn new_set(&mut self, recursive: bool) -> SetId {
        let id = SetId(self.room.drafts.sets.len() as u32);
        let empty = Chain::EMPTY;
        self.room.drafts.sets.push(SetDraft { recursive, attrs: empty, dynamics: empty, froms: empty });
        self.room.seen.push(0);
        id
    }

    /// The bindings after `{`, and the `}`.
    pub(super) fn braces(&mut self, set: SetId, pos: Spot) -> Result<ExprId> {
        self.bindings(set)?;
        self.expect(Token::BraceClose)?;
        Ok(self.add(pos, tag::SET, set.0, 0))
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
    pub(super) fn binding_from(&mut self, set: SetId, name: Local, start: usize) -> Result<()> {
        let base = self.room.names.len();
        self.room.names.push(NameWords::known(name));
        if self.token == Token::Dot {
            self.advance();
            self.attr_path()?;
        }
        self.binding(set, base, start)
    }

    /// The rest of a binding after its path.
    fn binding(&mut self, set: SetId, base: usize, start: usize) -> Result<()> {
        self.expect(Token::Assign)?;
        let value = self.expr()?;
        self.expect(Token::Semicolon)?;
        self.define(set, base, Spot::at(start), value)?;
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

    fn attr_name(&mut self) -> Result<NameWords> {
        match self.token {
            Token::Identifier => {
                let name = self.local_of(self.lexer.name());
                self.advance();
                Ok(NameWords::known(name))
            }
            Token::Or => {
                self.advance();
                Ok(NameWords::known(self.room.met.number_of_word(OR)))
            }
            Token::Quote => Ok(match self.text()? {
                Text::Literal(range) => {
                    let name = self.room.met.number(range.slice(&self.room.ast.text));
                    self.room.ast.text.truncate(range.start as usize);
                    NameWords::known(name)
                }
                Text::Interpolated(expr) => NameWords::computed(expr),
            }),
            Token::DollarBrace => {
                self.advance();
                let expr = self.expr()?;
                self.expect(Token::BraceClose)?;
                let node = self.node(expr);
                if node.kind != tag::STRING {
                    return Ok(NameWords::computed(expr));
                }
                let range = Range { start: node.a, len: node.b };
                Ok(NameWords::known(self.room.met.number(range.slice(&self.room.ast.text))))
            }
            _ => Err(Failure::Syntax),
        }
    }

    fn inherit(&mut self, set: SetId) -> Result<()> {
        self.advance();
        let mut from = None;
        if self.token == Token::ParenOpen {
            self.advance();
            let expr = self.expr()?;
            self.expect(Token::ParenClose)?;
            from = Some(expr);
        }
        let base = self.room.names.len();
        let first_place = self.room.places.len();
        while matches!(self.token, Token::Identifier | Token::Or | Token::Quote | Token::DollarBrace) {
            let pos = Spot::at(self.start());
            let name = self.attr_name()?;
            if name.either().is_err() {
                let message = "dynamic attributes not allowed in inherit";
                return Err(Self::failure(Code::DYNAMIC_NAME, message, self.pos(pos)));
            }
            self.room.names.push(name);
            self.room.places.push(pos);
        }
        self.expect(Token::Semicolon)?;
        if let Some(expr) = from {
            self.room.drafts.sets[set.index()].froms.push(&mut self.room.drafts.froms, expr);
        }
        for index in 0..self.room.names.len() - base {
            let Ok(name) = self.room.names[base + index].either() else { continue };
            let pos = self.room.places[first_place + index];
            if let Some(previous) = self.find(set, name) {
                return Err(self.duplicate(&[NameWords::known(name)], pos, previous.pos));
            }
            let kind = from.map_or(AttrKind::Inherited, AttrKind::InheritedFrom);
            let value = self.add(pos, tag::VAR, name.0, 0);
            self.insert(set, AttrWords::new(name, pos, kind, value));
        }
        self.room.names.truncate(base);
        self.room.places.truncate(first_place);
        Ok(())
    }

    /// Defines the path on the stack above `base`.
    fn define(&mut self, mut set: SetId, base: usize, pos: Spot, value: ExprId) -> Result<()> {
        let count = self.room.names.len() - base;
        if count > self.options.max_depth as usize {
            return Err(Self::too_deep(crate::Pos::NONE));
        }
        for index in base..base + count - 1 {
            set = match self.room.names[index].either() {
                Ok(name) => match self.find(set, name) {
                    Some(attr) => match self.set_at(attr.value) {
                        Some(nested) => nested,
                        None => return Err(self.duplicate(&self.room.names[base..=index], pos, attr.pos)),
                    },
                    None => {
                        let (nested, value) = self.nested();
                        self.insert(set, AttrWords::new(name, pos, AttrKind::Plain, value));
                        nested
                    }
                },
                Err(name) => {
                    let (nested, value) = self.nested();
                    self.insert_dynamic(set, DynamicWords { name, pos, value });
                    nested
                }
            };
        }
        match self.room.names[base + count - 1].either() {
            Ok(name) => self.define_or_merge(set, base, AttrWords::new(name, pos, AttrKind::Plain, value)),
            Err(name) => {
                self.insert_dynamic(set, DynamicWords { name, pos, value });
                Ok(())
            }
        }
    }

    fn insert_dynamic(&mut self, set: SetId, attr: DynamicWords) {
        self.room.drafts.sets[set.index()].dynamics.push(&mut self.room.drafts.dynamics, attr);
    }

    fn nested(&mut self) -> (SetId, ExprId) {
        let set = self.new_set(false);
        (set, self.add(Spot::NONE, tag::SET, set.0, 0))
    }

    /// Defines an attribute; if it is there and both are sets, they become one. `rec` of the later one gets
    /// lost, as in the reference.
    fn define_or_merge(&mut self, set: SetId, base: usize, attr: AttrWords) -> Result<()> {
        let Some(previous) = self.find(set, attr.name) else {
            self.insert(set, attr);
            self.name(attr.value, attr.name);
            return Ok(());
        };
        let (Some(target), Some(added)) = (self.set_at(previous.value), self.set_at(attr.value)) else {
            return Err(self.duplicate(&self.room.names[base..], attr.pos, previous.pos));
        };
        if self.room.names.len() - base > 2 * self.options.max_depth as usize {
            return Err(Self::too_deep(crate::Pos::NONE));
        }
        let SetDraft { attrs, dynamics, froms, .. } = self.room.drafts.sets[added.index()];
        let mut attrs: Vec<AttrWords> = attrs.iter(&self.room.drafts.attrs).copied().collect();
        self.room.make_symbols();
        attrs.sort_unstable_by_key(|attr| self.room.symbols[attr.name.0 as usize]);
        for attr in attrs {
            self.room.names.push(NameWords::known(attr.name));
            self.define_or_merge(target, base, attr)?;
            self.room.names.pop();
        }
        let target = &mut self.room.drafts.sets[target.index()];
        target.dynamics.append(&mut self.room.drafts.dynamics, dynamics);
        target.froms.append(&mut self.room.drafts.froms, froms);
        Ok(())
    }

    fn insert(&mut self, set: SetId, attr: AttrWords) {
        let name = attr.name;
        self.room.seen[set.index()] |= bit(name);
        let entry = &mut self.room.drafts.sets[set.index()];
        let index = entry.attrs.push(&mut self.room.drafts.attrs, attr);
        let count = entry.attrs.len;
        if count > WALKED {
            self.room.index.insert((set, name), index);
        } else if count == WALKED {
            let chain = entry.attrs;
            for (index, attr) in chain.numbered(&self.room.drafts.attrs) {
                self.room.index.insert((set, attr.name), index);
            }
        }
    }

    fn find(&self, set: SetId, name: Local) -> Option<AttrWords> {
        if self.room.seen[set.index()] & bit(name) == 0 {
            return None;
        }
        let attrs = self.room.drafts.sets[set.index()].attrs;
        if attrs.len >= WALKED {
            let index = *self.room.index.get(&(set, name))?;
            return Some(self.room.drafts.attrs[index as usize].value);
        }
        attrs.iter(&self.room.drafts.attrs).find(|attr| attr.name == name).copied()
    }

    fn duplicate(&self, path: &[NameWords], pos: Spot, previous: Spot) -> Failure {
        let mut symbols = self.room.symbols.clone();
        self.room.met.make_symbols(&mut symbols);
        let name = |name: &NameWords| match name.either() {
            Ok(name) => AttrName::Static(symbols[name.0 as usize]),
            Err(expr) => AttrName::Dynamic(expr),
        };
        let path: Vec<AttrName> = path.iter().map(name).collect();
        // What is computed may have sets in it.
        let mut tables = self.room.ast.clone();
        self.room.drafts.finish(&mut tables);
        let view = Ast::growing(self.lexer.source, &symbols, &tables);
        let path = crate::raw_text(&attr_path(&view, &path)).into_owned();
        let (pos, previous) = (self.pos(pos), self.pos(previous));
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

/// Names are numbered in the order they are met, so those of a set mostly differ in these bits.
fn bit(name: Local) -> u64 {
    1 << (name.0 & 63)
}
