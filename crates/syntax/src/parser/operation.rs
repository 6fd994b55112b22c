//! Operators, calls and pipes.

use super::{Failure, Operand, Parser, Result};
use crate::ast::{BinaryOp, ConcatKind, ExprId, PartWords, Range, Spot, tag};
use crate::lexer::Token;

/// An operator that waits for its right side.
#[derive(Clone, Copy)]
pub(super) struct Operator {
    kind: Kind,
    level: u8,
    start: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Not,
    Negate,
    HasAttr,
    Plus,
    Binary(BinaryOp),
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
    None,
}

const NOT_LEVEL: u8 = 7;
const NEGATE_LEVEL: u8 = 12;

fn infix(token: Token) -> Option<(Kind, u8, Side)> {
    let (op, level, side) = match token {
        Token::Implies => (BinaryOp::Implies, 1, Side::Right),
        Token::OrOr => (BinaryOp::Or, 2, Side::Left),
        Token::And => (BinaryOp::And, 3, Side::Left),
        Token::Equal => (BinaryOp::Equal, 4, Side::None),
        Token::NotEqual => (BinaryOp::NotEqual, 4, Side::None),
        Token::Less => (BinaryOp::Less, 5, Side::None),
        Token::Greater => (BinaryOp::Greater, 5, Side::None),
        Token::LessOrEqual => (BinaryOp::LessOrEqual, 5, Side::None),
        Token::GreaterOrEqual => (BinaryOp::GreaterOrEqual, 5, Side::None),
        Token::Update => (BinaryOp::Update, 6, Side::Right),
        Token::Plus => return Some((Kind::Plus, 8, Side::Left)),
        Token::Minus => (BinaryOp::Subtract, 8, Side::Left),
        Token::Star => (BinaryOp::Multiply, 9, Side::Left),
        Token::Slash => (BinaryOp::Divide, 9, Side::Left),
        Token::Concat => (BinaryOp::ConcatLists, 10, Side::Right),
        Token::Question => return Some((Kind::HasAttr, 11, Side::None)),
        _ => return None,
    };
    Some((Kind::Binary(op), level, side))
}

fn starts_argument(token: Token) -> bool {
    matches!(
        token,
        Token::Identifier
            | Token::Integer
            | Token::Float
            | Token::Quote
            | Token::IndentedOpen
            | Token::Path
            | Token::HomePath
            | Token::SearchPath
            | Token::Uri
            | Token::ParenOpen
            | Token::Let
            | Token::Rec
            | Token::BraceOpen
            | Token::BracketOpen
    )
}

impl Parser<'_> {
    /// An expression without a keyword in front, pipes included.
    pub(super) fn pipe(&mut self, first: Option<Operand>) -> Result<ExprId> {
        let mut left = self.operation(first)?;
        match self.token {
            Token::PipeInto => {
                while self.token == Token::PipeInto {
                    let pos = Spot::at(self.start());
                    self.advance();
                    let function = self.operation(None)?;
                    left = self.call(pos, function, left);
                }
                Ok(left)
            }
            Token::PipeFrom => {
                let mut functions = Vec::new();
                while self.token == Token::PipeFrom {
                    functions.push((Spot::at(self.start()), left));
                    self.advance();
                    left = self.operation(None)?;
                }
                for (pos, function) in functions.into_iter().rev() {
                    left = self.call(pos, function, left);
                }
                Ok(left)
            }
            _ => Ok(left),
        }
    }

    fn operation(&mut self, mut first: Option<Operand>) -> Result<ExprId> {
        let base = self.room.operators.len();
        loop {
            while first.is_none() && matches!(self.token, Token::Not | Token::Minus) {
                let (kind, level) = match self.token {
                    Token::Not => (Kind::Not, NOT_LEVEL),
                    _ => (Kind::Negate, NEGATE_LEVEL),
                };
                self.room.operators.push(Operator { kind, level, start: self.start() });
                self.advance();
            }
            let mut operand = self.application(first.take())?;
            loop {
                let Some((kind, level, side)) = infix(self.token) else {
                    while self.room.operators.len() > base {
                        operand = self.reduce(operand);
                    }
                    return Ok(operand.expr);
                };
                while self.room.operators.len() > base {
                    let top = self.room.operators[self.room.operators.len() - 1].level;
                    if top < level || top == level && side == Side::Right {
                        break;
                    }
                    if top == level && side == Side::None {
                        return Err(Failure::Syntax);
                    }
                    operand = self.reduce(operand);
                }
                let start = self.start();
                self.advance();
                if kind == Kind::HasAttr {
                    let path = self.path_id()?;
                    let subject = operand.expr;
                    operand.expr = self.add(self.node(subject).pos, tag::HAS_ATTR, subject.0, path.0);
                } else {
                    self.room.operators.push(Operator { kind, level, start });
                    self.room.operands.push(operand);
                    break;
                }
            }
        }
    }

    /// Applies the operator on top of the stack.
    fn reduce(&mut self, right: Operand) -> Operand {
        let operator = self.room.operators.pop().expect("the caller has looked");
        let pos = Spot::at(operator.start);
        if matches!(operator.kind, Kind::Not | Kind::Negate) {
            let expr = if operator.kind == Kind::Not {
                self.add(self.node(right.expr).pos, tag::NOT, right.expr.0, 0)
            } else {
                self.add(pos, tag::NEGATE, right.expr.0, 0)
            };
            return Operand { expr, start: operator.start };
        }
        let left = self.room.operands.pop().expect("a left side was put here with each infix operator");
        let expr = match operator.kind {
            Kind::Binary(op) => {
                let placed = !matches!(op, BinaryOp::Equal | BinaryOp::NotEqual);
                let pos = if placed { pos } else { Spot::NONE };
                self.add(pos, tag::binary(op), left.expr.0, right.expr.0)
            }
            _ => {
                let parts = Range { start: self.room.ast.parts.len() as u32, len: 2 };
                let part = |operand: Operand| PartWords { pos: Spot::at(operand.start), expr: operand.expr };
                self.room.ast.parts.extend([part(left), part(right)]);
                self.add_range(pos, tag::concat(ConcatKind::Plus), parts)
            }
        };
        Operand { expr, start: left.start }
    }

    /// A function with its arguments, or one operand alone.
    fn application(&mut self, first: Option<Operand>) -> Result<Operand> {
        let start = first.map_or(self.start(), |first| first.start);
        let function = self.select(first)?;
        if !starts_argument(self.token) {
            return Ok(Operand { expr: function, start });
        }
        let base = self.room.items.len();
        while starts_argument(self.token) {
            let argument = self.argument()?;
            self.room.items.push(argument);
        }
        let expr = self.call_with(Spot::at(start), function, base);
        Ok(Operand { expr, start })
    }

    fn call(&mut self, pos: Spot, function: ExprId, argument: ExprId) -> ExprId {
        let base = self.room.items.len();
        self.room.items.push(argument);
        self.call_with(pos, function, base)
    }

    /// Calls with the items above `base`. A call of a call is one with more arguments.
    fn call_with(&mut self, pos: Spot, function: ExprId, base: usize) -> ExprId {
        let node = self.node(function);
        if node.kind == tag::CALL {
            let mut start = node.b as usize;
            let items = &mut self.room.ast.items;
            let end = start + 1 + items[start].index();
            if end != items.len() {
                items.extend_from_within(start..end);
                start += items.len() - end;
                self.room.ast.nodes[function.index()].b = start as u32;
            }
            self.take_items(base);
            let items = &mut self.room.ast.items;
            items[start] = ExprId((items.len() - start - 1) as u32);
            return function;
        }
        // What the reference has made a call of keeps its position when it gets more arguments.
        let pos = match node.kind & tag::MASK {
            tag::SEARCH_PATH | tag::NEGATE => node.pos,
            tag::BINARY => match tag::binary_op(node.kind) {
                BinaryOp::LessOrEqual | BinaryOp::GreaterOrEqual => pos,
                op if op.function().is_some() => node.pos,
                _ => pos,
            },
            _ => pos,
        };
        let start = self.room.ast.items.len() as u32;
        self.room.ast.items.push(ExprId((self.room.items.len() - base) as u32));
        self.take_items(base);
        self.add(pos, tag::CALL, function.0, start)
    }
}
