//! Functions, and what looks like one at first.

use super::{Failure, Parser, Result};
use crate::ast::{DocComment, ExprId, FormalWords, Formals, LambdaWords, Local, Range, Spot, tag};
use crate::lexer::{Name, Token};
use crate::{Code, Pos, Symbol};

/// A function whose body is to come. Its argument becomes a symbol only then, as in the reference: the order
/// in which symbols are made shows in the order of attributes.
pub(super) struct PendingLambda {
    start: usize,
    argument: Option<Name>,
    formals: Option<Formals>,
}

impl Parser<'_> {
    /// A function `x: …` or `x@{ … }: …`, or only the variable `x`.
    pub(super) fn identifier_or_lambda(&mut self) -> Result<Result<PendingLambda, ExprId>> {
        let start = self.start();
        let name = self.lexer.name();
        self.advance();
        match self.token {
            Token::Colon => {
                self.advance();
                Ok(Ok(PendingLambda { start, argument: Some(name), formals: None }))
            }
            Token::At => {
                self.advance();
                self.expect(Token::BraceOpen)?;
                let formals = Some(self.formals(None)?);
                self.expect(Token::Colon)?;
                Ok(Ok(PendingLambda { start, argument: Some(name), formals }))
            }
            _ => Ok(Err(self.variable_of(Spot::at(start), name))),
        }
    }

    /// A function `{ … }: …` or `{ … }@x: …`, or an attribute set.
    pub(super) fn set_or_lambda(&mut self) -> Result<Result<PendingLambda, ExprId>> {
        let start = self.start();
        let pos = Spot::at(start);
        self.advance();
        let formals = match self.token {
            Token::Ellipsis => self.formals(None)?,
            Token::Identifier => {
                let name = self.lexer.name();
                let name_start = self.start();
                self.advance();
                if !matches!(self.token, Token::Comma | Token::Question | Token::BraceClose) {
                    let set = self.new_set(false);
                    let name = self.local_of(name);
                    self.binding_from(set, name, name_start)?;
                    return self.braces(set, pos).map(Err);
                }
                self.formals(Some((name, Spot::at(name_start))))?
            }
            Token::BraceClose => {
                self.advance();
                if !matches!(self.token, Token::Colon | Token::At) {
                    let set = self.new_set(false);
                    return Ok(Err(self.add(pos, tag::SET, set.0, 0)));
                }
                Formals { range: Range::default(), ellipsis: false }
            }
            _ => {
                let set = self.new_set(false);
                return self.braces(set, pos).map(Err);
            }
        };
        let mut argument = None;
        if self.token == Token::At {
            self.advance();
            if self.token == Token::Identifier {
                argument = Some(self.lexer.name());
            }
            self.expect(Token::Identifier)?;
        }
        self.expect(Token::Colon)?;
        Ok(Ok(PendingLambda { start, argument, formals: Some(formals) }))
    }

    /// The formal arguments up to and with `}`; of the first one the name may have been read.
    fn formals(&mut self, mut first: Option<(Name, Spot)>) -> Result<Formals> {
        let base = self.room.formals.len();
        let mut ellipsis = false;
        loop {
            let (name, pos) = match first.take() {
                Some(first) => first,
                None => match self.token {
                    Token::Ellipsis => {
                        ellipsis = true;
                        self.advance();
                        break;
                    }
                    Token::Identifier => {
                        let name = (self.lexer.name(), Spot::at(self.start()));
                        self.advance();
                        name
                    }
                    Token::BraceClose => break,
                    _ => return Err(Failure::Syntax),
                },
            };
            let mut default = None;
            if self.token == Token::Question {
                self.advance();
                default = Some(self.expr()?);
            }
            let name = self.local_of(name);
            self.room.formals.push(FormalWords::new(name, pos, default));
            if self.token != Token::Comma {
                break;
            }
            self.advance();
        }
        self.expect(Token::BraceClose)?;
        if self.room.formals.len() > base + 1 {
            self.room.make_symbols();
            let symbols = &self.room.symbols;
            self.room.formals[base..]
                .sort_unstable_by_key(|formal| (symbols[formal.name.0 as usize], formal.pos));
        }
        let range =
            Range { start: self.room.ast.formals.len() as u32, len: (self.room.formals.len() - base) as u32 };
        self.room.ast.formals.extend(self.room.formals.drain(base..));
        Ok(Formals { range, ellipsis })
    }

    pub(super) fn lambda(&mut self, pending: PendingLambda, body: ExprId) -> Result<ExprId> {
        let PendingLambda { start, argument, formals } = pending;
        let argument = argument.map(|name| self.local_of(name));
        if let Some((name, pos)) = formals.and_then(|formals| self.named_twice(start, formals, argument)) {
            let message = format!("duplicate formal function argument '{name}'");
            return Err(Self::failure(Code::DUPLICATE_FORMAL, message, pos));
        }
        let id = self.room.ast.lambdas.len() as u32;
        self.room.ast.lambdas.push(LambdaWords::new(argument, formals, body));
        let expr = self.add(Spot::at(start), tag::LAMBDA, id, 0);
        if let Some(doc) = self.doc_before(start) {
            self.document(expr, doc);
        }
        Ok(expr)
    }

    /// An argument that is there twice.
    fn named_twice(
        &mut self,
        start: usize,
        formals: Formals,
        argument: Option<Local>,
    ) -> Option<(Symbol, Pos)> {
        let sorted = formals.range.slice(&self.room.ast.formals);
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let FormalWords { name, pos, .. } = pair[1];
            return Some((self.global(name), self.pos(pos)));
        }
        let argument = argument?;
        let found = sorted.iter().any(|formal| formal.name == argument);
        found.then(|| (self.global(argument), self.pos_at(start)))
    }

    /// The documentation comment in front of the token at this offset.
    pub(super) fn doc_before(&self, offset: usize) -> Option<DocComment> {
        let docs = &self.lexer.docs;
        let found = docs.binary_search_by_key(&offset, |(token, _)| *token).ok()?;
        Some(docs[found].1)
    }

    /// Gives a function and the functions it returns a comment; an inner one stays.
    pub(super) fn document(&mut self, mut expr: ExprId, doc: DocComment) {
        let spot = |pos| self.lexer.source.offset(pos).map_or(Spot::NONE, Spot::at);
        let doc = [spot(doc.start), spot(doc.end)];
        while self.node(expr).kind == tag::LAMBDA {
            let id = self.node(expr).a;
            let lambda = &mut self.room.ast.lambdas[id as usize];
            if lambda.has_doc() {
                break;
            }
            lambda.set_doc(doc);
            expr = lambda.body;
        }
    }

    /// Gives a function and the functions it returns a name.
    pub(super) fn name(&mut self, mut expr: ExprId, name: Local) {
        while self.node(expr).kind == tag::LAMBDA {
            let id = self.node(expr).a;
            let lambda = &mut self.room.ast.lambdas[id as usize];
            lambda.set_name(name);
            expr = lambda.body;
        }
    }
}
