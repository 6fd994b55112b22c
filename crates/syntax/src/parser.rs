//! From tokens to the tree: expressions. Written by hand for speed; what it accepts is the grammar of C++
//! Nix's `parser.y` (2.34), and whatever is not accepted gets its message from [`crate::expected`].
//!
//! Bodies, operators and pipes are read in loops with stacks of their own; only what stands in brackets
//! recurses, up to [`MAX_DEPTH`].

mod bindings;
mod function;
mod interactive;
mod names;
mod operation;
mod strings;

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub use self::interactive::{NoBindings, doc_comment_before, parse_bindings};

use self::function::PendingLambda;
use self::names::Names;
use self::operation::Operator;
use self::strings::Piece;
use crate::ast::{
    Drafts, ExprId, FormalWords, Keep, Leak, LintWords, Local, NameBytes, NameWords, Node, PartWords, PathId,
    Range, SetId, Spot, Tables, is_large, tag,
};
use crate::lexer::{Lexer, Name, Token};
use crate::symbol::Word;
use crate::{Ast, Code, Diagnostic, LintKind, Pos, Source, Symbol, expected};

/// What parsing depends on besides the text.
#[derive(Clone, Copy, Debug)]
pub struct ParseOptions<'a> {
    /// The absolute folder that relative paths start from.
    pub base_path: &'a str,
    /// The folder that `~/` stands for; without one such a path is an error.
    pub home: Option<&'a str>,
    /// Whether `|>` and `<|` are operators.
    pub pipe_operators: bool,
    /// How many brackets may stand inside each other. A level takes up to 1.4 kB of stack in a release build and four
    /// times as much in a debug build.
    pub max_depth: u32,
}

const OR: Word = Word::constant(b"or");
const BODY: Word = Word::constant(b"body");

/// A [`ParseOptions::max_depth`] that fits any thread's stack.
pub const MAX_DEPTH: u32 = 1000;

/// Parses one expression.
///
/// ```
/// use nival_syntax::{Origin, ParseOptions, Source, parse};
///
/// let options = ParseOptions { base_path: "/", home: None, pipe_operators: false, max_depth: nival_syntax::MAX_DEPTH };
/// let source = Source::add(Origin::String, "x: x +")?;
/// let error = parse(source, &options).expect_err("an operand is missing");
/// assert_eq!(error.message, "syntax error, unexpected end of file");
/// assert_eq!(error.pos.display(), "«string»:1:7");
/// # Ok::<(), nival_syntax::TooMuchText>(())
/// ```
pub fn parse(source: &Source, options: &ParseOptions<'_>) -> Result<Ast<'static>, Box<Diagnostic>> {
    parse_and_keep(source, options, &Leak)
}

/// As [`parse`], with a say in where the tree is kept.
pub fn parse_and_keep(
    source: &Source,
    options: &ParseOptions<'_>,
    keep: &impl Keep,
) -> Result<Ast<'static>, Box<Diagnostic>> {
    Ok(parse_for_now(source, options)?.keep(keep))
}

/// As [`parse`], of a tree that may go elsewhere.
pub fn parse_for_now(source: &Source, options: &ParseOptions<'_>) -> Result<Parsed, Box<Diagnostic>> {
    let text = source.text();
    let mut parser = Parser::of(source, &text, options, ROOM.take().unwrap_or_default());
    parser.room.ast.reserve_for(source.len());
    parser.room.drafts.reserve_for(source.len());
    let done = parser.file();
    match done {
        Ok(_) => parser.room.finish(),
        // As in the reference, which makes symbols as it reads.
        Err(_) => parser.room.make_symbols(),
    }
    let parsed = Parsed {
        root: *done.as_ref().unwrap_or(&ExprId::default()),
        depth: parser.deepest,
        base: source.pos(0).id(),
        is_large: is_large(source.len()),
        room: Some(parser.room),
    };
    match (done, parser.lexer.failure) {
        (Ok(_), _) => Ok(parsed),
        // The parser may have found fault with what it had, but that came later.
        (Err(_), Some(failure)) => Err(failure),
        (Err(Failure::Syntax), None) => Err(expected::syntax_error(source, options)),
        (Err(Failure::Other(diagnostic)), None) => Err(diagnostic),
    }
}

/// A tree that lies where it was made, until the thread parses another text.
pub struct Parsed {
    /// It is there as long as this is.
    room: Option<Box<Room>>,
    root: ExprId,
    depth: u32,
    base: u32,
    is_large: bool,
}

impl Parsed {
    /// The tree.
    pub fn ast(&self) -> Ast<'_> {
        let Room { ast, symbols, .. } = self.room();
        Ast::of_tables((self.root, self.depth), self.base, symbols, ast)
    }

    /// The names of the tree, in their order.
    pub(crate) fn name_bytes(&self) -> NameBytes<'_> {
        self.room().met.name_bytes()
    }

    /// The tree, kept somewhere.
    pub fn keep(mut self, keep: &impl Keep) -> Ast<'static> {
        let (root, base) = ((self.root, self.depth), self.base);
        let Room { ast, symbols, .. } = self.room.as_mut().expect(IS_THERE).as_mut();
        Ast::keep(root, base, symbols, ast, keep)
    }

    fn room(&self) -> &Room {
        self.room.as_ref().expect(IS_THERE)
    }
}

const IS_THERE: &str = "only dropping it takes the room";

impl Drop for Parsed {
    fn drop(&mut self) {
        if let Some(mut room) = self.room.take()
            && !self.is_large
        {
            room.clear();
            ROOM.set(Some(room));
        }
    }
}

thread_local! {
    /// What a parser of this thread has left for the next one: tables that need not grow again.
    static ROOM: Cell<Option<Box<Room>>> = const { Cell::new(None) };
}

/// Why parsing stopped.
enum Failure {
    /// A token that does not fit; the message is found out afterwards.
    Syntax,
    Other(Box<Diagnostic>),
}

type Result<T, E = Failure> = std::result::Result<T, E>;

/// An expression and the offset of its first byte, parentheses included.
#[derive(Clone, Copy)]
struct Operand {
    expr: ExprId,
    start: usize,
}

/// What a body is awaited for.
enum Pending {
    Lambda(PendingLambda),
    Let { start: usize, bindings: SetId },
    With { pos: Spot, scope: ExprId },
    Assert { pos: Spot, condition: ExprId },
    If { pos: Spot, condition: ExprId, then: ExprId },
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    token: Token,
    options: &'s ParseOptions<'s>,
    depth: u32,
    deepest: u32,
    room: Box<Room>,
    /// The last `f or`, and where it ends.
    or_call: (ExprId, usize),
}

/// The tree that is made, and stacks: each function takes off what it has put on.
#[derive(Default)]
struct Room {
    ast: Tables,
    /// The sets, whose entries come into the tree in the end.
    drafts: Drafts,
    met: Names,
    /// What the names are, as far as that was needed.
    symbols: Vec<Symbol>,
    /// The names in each set, roughly: one bit for (a hash of) each tells most new ones without a search.
    seen: Vec<u64>,
    /// The attributes of large sets, to find double ones.
    index: HashMap<(SetId, Local), u32, BuildHasherDefault<IndexHasher>>,
    pending: Vec<Pending>,
    operands: Vec<Operand>,
    operators: Vec<Operator>,
    items: Vec<ExprId>,
    names: Vec<NameWords>,
    places: Vec<Spot>,
    parts: Vec<PartWords>,
    pieces: Vec<Piece>,
    formals: Vec<FormalWords>,
}

impl Room {
    /// Makes the tree whole.
    fn finish(&mut self) {
        self.drafts.finish(&mut self.ast);
        self.make_symbols();
    }

    /// Makes symbols of the names that were met by now.
    fn make_symbols(&mut self) {
        self.met.make_symbols(&mut self.symbols);
    }

    /// Stacks are left as they are after an error.
    fn clear(&mut self) {
        self.met.clear();
        self.symbols.clear();
        self.ast.clear();
        self.drafts.clear();
        self.seen.clear();
        self.index.clear();
        self.pending.clear();
        self.operands.clear();
        self.operators.clear();
        self.items.clear();
        self.names.clear();
        self.places.clear();
        self.parts.clear();
        self.pieces.clear();
        self.formals.clear();
    }
}

/// A quick hash of two numbers.
#[derive(Default)]
struct IndexHasher(u64);

impl Hasher for IndexHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

impl<'s> Parser<'s> {
    fn of(source: &'s Source, text: &'s [u8], options: &'s ParseOptions<'s>, room: Box<Room>) -> Parser<'s> {
        Parser {
            lexer: Lexer::new(source, text, options.pipe_operators),
            token: Token::End,
            options,
            depth: 0,
            deepest: 0,
            room,
            or_call: (ExprId(u32::MAX), 0),
        }
    }

    fn file(&mut self) -> Result<ExprId> {
        self.advance();
        let root = self.expr()?;
        if self.token == Token::End { Ok(root) } else { Err(Failure::Syntax) }
    }

    #[inline]
    fn advance(&mut self) {
        self.token = self.lexer.next();
    }

    #[inline]
    fn expect(&mut self, token: Token) -> Result<()> {
        if self.token != token {
            return Err(Failure::Syntax);
        }
        self.advance();
        Ok(())
    }

    /// The first byte of the current token.
    fn start(&self) -> usize {
        self.lexer.start
    }

    /// What the tree has of a place, in this process.
    fn pos(&self, spot: Spot) -> Pos {
        if spot == Spot::NONE { Pos::NONE } else { self.pos_at(spot.0 as usize - 1) }
    }

    fn pos_at(&self, offset: usize) -> Pos {
        self.lexer.source.pos(offset)
    }

    #[inline]
    fn add(&mut self, pos: Spot, kind: u32, a: u32, b: u32) -> ExprId {
        let id = ExprId(self.room.ast.nodes.len() as u32);
        self.room.ast.nodes.push(Node { kind, pos, a, b });
        id
    }

    fn add_range(&mut self, pos: Spot, kind: u32, range: Range) -> ExprId {
        self.add(pos, kind, range.start, range.len)
    }

    fn add_number(&mut self, kind: u32, bits: u64) -> ExprId {
        self.add(Spot::NONE, kind, bits as u32, (bits >> 32) as u32)
    }

    /// A node of three numbers, of which two follow one another among the items.
    fn add_with_two(&mut self, pos: Spot, kind: u32, first: ExprId, others: [ExprId; 2]) -> ExprId {
        let items = self.room.ast.items.len() as u32;
        self.room.ast.items.extend(others);
        self.add(pos, kind, first.0, items)
    }

    #[inline]
    fn node(&self, id: ExprId) -> Node {
        self.room.ast.nodes[id.index()]
    }

    /// The set that a node is.
    fn set_at(&self, id: ExprId) -> Option<SetId> {
        let node = self.node(id);
        (node.kind == tag::SET).then_some(SetId(node.a))
    }

    /// The symbol of a name.
    fn global(&mut self, name: Local) -> Symbol {
        self.room.make_symbols();
        self.room.symbols[name.0 as usize]
    }

    fn failure(code: Code, message: impl Into<String>, pos: Pos) -> Failure {
        Failure::Other(Box::new(Diagnostic::error(message, pos).with_code(code)))
    }

    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > self.deepest {
            if self.depth > self.options.max_depth {
                return Err(Self::too_deep(Pos::NONE));
            }
            self.deepest = self.depth;
        }
        Ok(())
    }

    fn too_deep(pos: Pos) -> Failure {
        Self::failure(Code::TOO_DEEP, "stack overflow (possible infinite recursion)", pos)
    }

    fn take_items(&mut self, base: usize) -> Range {
        let range =
            Range { start: self.room.ast.items.len() as u32, len: (self.room.items.len() - base) as u32 };
        self.room.ast.items.extend(self.room.items.drain(base..));
        range
    }

    /// An expression of any kind.
    fn expr(&mut self) -> Result<ExprId> {
        self.enter()?;
        let base = self.room.pending.len();
        let mut body = loop {
            let start = self.start();
            let pos = Spot::at(start);
            let pending = match self.token {
                Token::Let => {
                    self.advance();
                    if self.token == Token::BraceOpen {
                        let expr = self.old_let(pos)?;
                        break self.pipe(Some(Operand { expr, start }))?;
                    }
                    let bindings = self.new_set(false);
                    self.bindings(bindings)?;
                    self.expect(Token::In)?;
                    Pending::Let { start, bindings }
                }
                Token::With => {
                    self.advance();
                    let scope = self.expr()?;
                    self.expect(Token::Semicolon)?;
                    Pending::With { pos, scope }
                }
                Token::Assert => {
                    self.advance();
                    let condition = self.expr()?;
                    self.expect(Token::Semicolon)?;
                    Pending::Assert { pos, condition }
                }
                Token::If => {
                    self.advance();
                    let condition = self.expr()?;
                    self.expect(Token::Then)?;
                    let then = self.expr()?;
                    self.expect(Token::Else)?;
                    Pending::If { pos, condition, then }
                }
                Token::Identifier => match self.identifier_or_lambda()? {
                    Ok(lambda) => Pending::Lambda(lambda),
                    Err(expr) => break self.rest(Operand { expr, start })?,
                },
                Token::BraceOpen => match self.set_or_lambda()? {
                    Ok(lambda) => Pending::Lambda(lambda),
                    Err(expr) => break self.rest(Operand { expr, start })?,
                },
                Token::Quote | Token::IndentedOpen | Token::BracketOpen | Token::ParenOpen => {
                    let expr = self.simple()?;
                    break self.rest(Operand { expr, start })?;
                }
                _ => break self.pipe(None)?,
            };
            self.room.pending.push(pending);
        };
        while self.room.pending.len() > base {
            let Some(pending) = self.room.pending.pop() else { break };
            body = self.finish(pending, body)?;
        }
        self.depth -= 1;
        Ok(body)
    }

    /// An expression whose first operand has been read; mostly that is all.
    #[inline]
    fn rest(&mut self, first: Operand) -> Result<ExprId> {
        if matches!(self.token, Token::Semicolon | Token::ParenClose | Token::BraceClose) {
            return Ok(first.expr);
        }
        self.pipe(Some(first))
    }

    fn finish(&mut self, pending: Pending, body: ExprId) -> Result<ExprId> {
        Ok(match pending {
            Pending::Lambda(lambda) => return self.lambda(lambda, body),
            Pending::Let { start, bindings } => {
                if self.room.drafts.sets[bindings.index()].dynamics.len > 0 {
                    let message = "dynamic attributes not allowed in let";
                    return Err(Self::failure(Code::DYNAMIC_NAME, message, self.pos_at(start)));
                }
                self.add(Spot::NONE, tag::LET, bindings.0, body.0)
            }
            Pending::With { pos, scope } => self.add(pos, tag::WITH, scope.0, body.0),
            Pending::Assert { pos, condition } => self.add(pos, tag::ASSERT, condition.0, body.0),
            Pending::If { pos, condition, then } => self.add_with_two(pos, tag::IF, condition, [then, body]),
        })
    }

    /// An operand with its selection: `a.b or c`. `first` is one whose beginning has been read.
    fn select(&mut self, first: Option<Operand>) -> Result<ExprId> {
        let start = first.map_or(self.start(), |first| first.start);
        let subject = match first {
            Some(first) => first.expr,
            None => self.simple()?,
        };
        let pos = Spot::at(start);
        match self.token {
            Token::Dot => {
                self.advance();
                let path = self.path_id()?;
                if self.token == Token::Or {
                    self.advance();
                    self.enter()?;
                    let default = self.argument()?;
                    self.depth -= 1;
                    return Ok(self.add_with_two(pos, tag::SELECT_OR, subject, [ExprId(path.0), default]));
                }
                Ok(self.add(pos, tag::SELECT, subject.0, path.0))
            }
            // `map or [ ]`: `or` as the argument, kept by the reference for the sake of old code.
            Token::Or => {
                let end = self.lexer.end;
                self.advance();
                let name = self.room.met.number_of_word(OR);
                let or = self.add(pos, tag::VAR, name.0, 0);
                let call = self.add_with_two(pos, tag::CALL, subject, [ExprId(1), or]);
                self.or_call = (call, end);
                Ok(call)
            }
            _ => Ok(subject),
        }
    }

    /// A selection that is an argument, an element or a default. `f or` is read as a whole there, which the
    /// reference means to change.
    #[inline]
    fn argument(&mut self) -> Result<ExprId> {
        let start = self.start();
        let expr = self.select(None)?;
        let (call, end) = self.or_call;
        if call == expr && self.node(call).pos == Spot::at(start) {
            self.lint(LintKind::Or, start, end - start);
        }
        Ok(expr)
    }

    fn path_id(&mut self) -> Result<PathId> {
        let base = self.room.names.len();
        self.attr_path()?;
        let range =
            Range { start: self.room.ast.names.len() as u32, len: (self.room.names.len() - base) as u32 };
        self.room.ast.names.extend(self.room.names.drain(base..));
        let id = PathId(self.room.ast.paths.len() as u32);
        self.room.ast.paths.push(range);
        Ok(id)
    }

    /// An expression that can be an argument.
    fn simple(&mut self) -> Result<ExprId> {
        let pos = Spot::at(self.start());
        match self.token {
            Token::Identifier => {
                let expr = self.variable();
                self.advance();
                Ok(expr)
            }
            Token::Quote => self.string(),
            Token::IndentedOpen => self.indented_string(),
            Token::Path | Token::HomePath => self.path(),
            Token::Integer => {
                let value = self.lexer.integer;
                self.advance();
                Ok(self.add_number(tag::INT, value.cast_unsigned()))
            }
            Token::Float => {
                let value = self.lexer.float;
                self.advance();
                Ok(self.add_number(tag::FLOAT, value.to_bits()))
            }
            Token::SearchPath => {
                let bytes = self.lexer.bytes();
                let name = self.keep(&bytes[1..bytes.len() - 1]);
                self.advance();
                Ok(self.add_range(pos, tag::SEARCH_PATH, name))
            }
            Token::Uri => {
                self.lint(LintKind::Url, self.start(), self.lexer.bytes().len());
                let text = self.keep(self.lexer.bytes());
                self.advance();
                Ok(self.add_range(Spot::NONE, tag::STRING, text))
            }
            Token::ParenOpen => {
                self.advance();
                let expr = self.expr()?;
                self.expect(Token::ParenClose)?;
                Ok(expr)
            }
            Token::BracketOpen => self.list(),
            Token::BraceOpen => {
                self.advance();
                let set = self.new_set(false);
                self.braces(set, pos)
            }
            Token::Rec => {
                self.advance();
                self.expect(Token::BraceOpen)?;
                let set = self.new_set(true);
                self.braces(set, pos)
            }
            Token::Let => {
                self.advance();
                self.old_let(pos)
            }
            _ => Err(Failure::Syntax),
        }
    }

    fn variable(&mut self) -> ExprId {
        self.variable_of(Spot::at(self.start()), self.lexer.name())
    }

    #[inline]
    fn variable_of(&mut self, pos: Spot, name: Name) -> ExprId {
        if name.is_cur_pos() {
            return self.add(pos, tag::CUR_POS, 0, 0);
        }
        let name = self.local_of(name);
        self.add(pos, tag::VAR, name.0, 0)
    }

    #[inline]
    fn local_of(&mut self, name: Name) -> Local {
        match name.word() {
            Ok(word) => self.room.met.number_of_word(word),
            Err(range) => self.room.met.number(&self.lexer.text[range]),
        }
    }

    fn lint(&mut self, kind: LintKind, start: usize, length: usize) {
        self.room.ast.lints.push(LintWords::new(kind, Spot::at(start), length));
    }

    /// `let { … body = …; }` after its `let`.
    fn old_let(&mut self, pos: Spot) -> Result<ExprId> {
        self.expect(Token::BraceOpen)?;
        let set = self.new_set(true);
        let subject = self.braces(set, pos)?;
        let name = self.room.ast.names.len() as u32;
        let body = self.room.met.number_of_word(BODY);
        self.room.ast.names.push(NameWords::known(body));
        let path = PathId(self.room.ast.paths.len() as u32);
        self.room.ast.paths.push(Range { start: name, len: 1 });
        Ok(self.add(Spot::NONE, tag::SELECT, subject.0, path.0))
    }

    fn list(&mut self) -> Result<ExprId> {
        self.enter()?;
        self.advance();
        let base = self.room.items.len();
        while self.token != Token::BracketClose {
            let item = self.argument()?;
            self.room.items.push(item);
        }
        self.advance();
        self.depth -= 1;
        let pos = self.room.items.get(base).map_or(Spot::NONE, |first| self.node(*first).pos);
        let items = self.take_items(base);
        Ok(self.add_range(pos, tag::LIST, items))
    }

    /// Keeps bytes in the tree.
    fn keep(&mut self, bytes: &[u8]) -> Range {
        let range = Range { start: self.room.ast.text.len() as u32, len: bytes.len() as u32 };
        self.room.ast.text.extend_from_slice(bytes);
        range
    }
}
