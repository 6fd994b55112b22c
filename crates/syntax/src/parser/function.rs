//! Functions, and what looks like one at first.

use super::{Failure, Parser, Result};
use crate::ast::{DocComment, Expr, ExprId, Formal, Formals, Lambda, LambdaId, Range};
use crate::lexer::Token;
use crate::{Code, Pos, Symbol};

/// A function whose body is to come.
pub(super) struct PendingLambda {
    start: usize,
    argument: Option<Symbol>,
    formals: Option<Formals>,
    /// An argument that is there twice: an error, but one the reference reports after the body's.
    duplicate: Option<(Symbol, Pos)>,
}

impl Parser<'_> {
    /// A function `x: …` or `x@{ … }: …`, or only the variable `x`.
    pub(super) fn identifier_or_lambda(&mut self) -> Result<Result<PendingLambda, ExprId>> {
        let start = self.start();
        let name = self.lexer.name();
        self.advance()?;
        match self.token {
            Token::Colon => {
                self.advance()?;
                let argument = Some(self.lexer.symbol(name));
                Ok(Ok(PendingLambda { start, argument, formals: None, duplicate: None }))
            }
            Token::At => {
                self.advance()?;
                self.expect(Token::BraceOpen)?;
                let formals = self.formals(None)?;
                self.expect(Token::Colon)?;
                Ok(Ok(self.with_formals(start, formals, Some(self.lexer.symbol(name)))))
            }
            _ => {
                let pos = self.pos(start);
                let expr = self.variable_of(name);
                Ok(Err(self.add(pos, expr)))
            }
        }
    }

    /// A function `{ … }: …` or `{ … }@x: …`, or an attribute set.
    pub(super) fn set_or_lambda(&mut self) -> Result<Result<PendingLambda, ExprId>> {
        let start = self.start();
        let pos = self.pos(start);
        self.advance()?;
        let formals = match self.token {
            Token::Ellipsis => self.formals(None)?,
            Token::Identifier => {
                let name = self.symbol();
                let name_pos = self.pos(self.start());
                self.advance()?;
                if !matches!(self.token, Token::Comma | Token::Question | Token::BraceClose) {
                    let set = self.new_set(false);
                    self.binding_from(set, name, name_pos)?;
                    return self.braces(set, pos).map(Err);
                }
                self.formals(Some((name, name_pos)))?
            }
            Token::BraceClose => {
                self.advance()?;
                if !matches!(self.token, Token::Colon | Token::At) {
                    let set = self.new_set(false);
                    return Ok(Err(self.add(pos, Expr::Set(set))));
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
            self.advance()?;
            if self.token == Token::Identifier {
                argument = Some(self.symbol());
            }
            self.expect(Token::Identifier)?;
        }
        self.expect(Token::Colon)?;
        Ok(Ok(self.with_formals(start, formals, argument)))
    }

    /// The formal arguments up to and with `}`; of the first one the name may have been read.
    fn formals(&mut self, mut first: Option<(Symbol, Pos)>) -> Result<Formals> {
        let base = self.room.formals.len();
        let mut ellipsis = false;
        loop {
            let (name, pos) = match first.take() {
                Some(first) => first,
                None => match self.token {
                    Token::Ellipsis => {
                        ellipsis = true;
                        self.advance()?;
                        break;
                    }
                    Token::Identifier => {
                        let name = (self.symbol(), self.pos(self.start()));
                        self.advance()?;
                        name
                    }
                    Token::BraceClose => break,
                    _ => return Err(Failure::Syntax),
                },
            };
            let mut default = None;
            if self.token == Token::Question {
                self.advance()?;
                default = Some(self.expr()?);
            }
            self.room.formals.push(Formal { name, pos, default });
            if self.token != Token::Comma {
                break;
            }
            self.advance()?;
        }
        self.expect(Token::BraceClose)?;
        self.room.formals[base..].sort_unstable_by_key(|formal| (formal.name, formal.pos));
        let range =
            Range { start: self.room.ast.formals.len() as u32, len: (self.room.formals.len() - base) as u32 };
        self.room.ast.formals.extend(self.room.formals.drain(base..));
        Ok(Formals { range, ellipsis })
    }

    fn with_formals(&self, start: usize, formals: Formals, argument: Option<Symbol>) -> PendingLambda {
        let sorted = self.room.ast.view().formals(formals);
        let twice = sorted.windows(2).find(|pair| pair[0].name == pair[1].name);
        let mut duplicate = twice.map(|pair| (pair[1].name, pair[1].pos));
        if let Some(argument) = argument
            && duplicate.is_none()
            && sorted.binary_search_by_key(&argument, |formal| formal.name).is_ok()
        {
            duplicate = Some((argument, self.pos(start)));
        }
        PendingLambda { start, argument, formals: Some(formals), duplicate }
    }

    pub(super) fn lambda(&mut self, pending: PendingLambda, body: ExprId) -> Result<ExprId> {
        if let Some((name, pos)) = pending.duplicate {
            let message = format!("duplicate formal function argument '{name}'");
            return Err(Self::failure(Code::DUPLICATE_FORMAL, message, pos));
        }
        let id = LambdaId(self.room.ast.lambdas.len() as u32);
        let PendingLambda { start, argument, formals, .. } = pending;
        self.room.ast.lambdas.push(Lambda { argument, formals, body, name: None, doc: None });
        let expr = self.add(self.pos(start), Expr::Lambda(id));
        if let Some(doc) = self.doc_before(start) {
            self.document(expr, doc);
        }
        Ok(expr)
    }

    /// The documentation comment in front of the token at this offset.
    pub(super) fn doc_before(&self, offset: usize) -> Option<DocComment> {
        let docs = &self.lexer.docs;
        let found = docs.binary_search_by_key(&offset, |(token, _)| *token).ok()?;
        Some(docs[found].1)
    }

    /// Gives a function and the functions it returns a comment; an inner one stays.
    pub(super) fn document(&mut self, mut expr: ExprId, doc: DocComment) {
        while let Expr::Lambda(id) = self.room.ast.view().expr(expr) {
            let lambda = &mut self.room.ast.lambdas[id.index()];
            if lambda.doc.is_some() {
                break;
            }
            lambda.doc = Some(doc);
            expr = lambda.body;
        }
    }

    /// Gives a function and the functions it returns a name.
    pub(super) fn name(&mut self, mut expr: ExprId, name: Symbol) {
        while let Expr::Lambda(id) = self.room.ast.view().expr(expr) {
            let lambda = &mut self.room.ast.lambdas[id.index()];
            lambda.name = Some(name);
            expr = lambda.body;
        }
    }
}
