//! The tree of an expression: one flat arena per source, nodes addressed by number.
//!
//! A tree is plain numbers (`ast/tables.rs`), so that it can be kept on disk and used as it lies there
//! (`kept`); what this module gives is made of them when it is asked for. The numbers are those of
//! the tree alone: names have the order in which the parser met them, places count from the start of the text.
//!
//! The tree keeps names and says nothing of scopes; operators stay operators, where the reference turns
//! some into calls (see [`BinaryOp::function`]). Positions are those that the reference's nodes carry, so
//! that messages can agree with it, [`Pos::NONE`] included.

mod kept;
mod tables;

use crate::{Pos, Source, Symbol};

pub use kept::{Condensed, KeptParts, KeptTree, Plain, checksum};
pub(crate) use kept::{NameBytes, bytes_of};
pub(crate) use tables::{
    AttrWords, Chain, Drafts, DynamicWords, FormalWords, LambdaWords, LintWords, Local, NameWords, Node,
    PartWords, SetDraft, SetWords, Spot, Tables, is_large, tag,
};

/// A parsed source.
#[derive(Clone, Copy, Debug)]
pub struct Ast<'a> {
    root: ExprId,
    /// How deep brackets stand inside each other.
    depth: u32,
    context: Context<'a>,
    tables: tables::View<'a>,
}

/// What the numbers of a tree mean in this process.
#[derive(Clone, Copy, Debug)]
struct Context<'a> {
    /// The names, by their number in the tree.
    symbols: &'a [Symbol],
    /// The position of the first byte.
    base: u32,
}

impl Context<'_> {
    #[inline]
    fn name(self, number: u32) -> Symbol {
        self.symbols.get(number as usize).copied().unwrap_or(Symbol::EMPTY)
    }

    /// A name that may be missing: its number and one, or zero.
    fn optional_name(self, number: u32) -> Option<Symbol> {
        Some(self.name(number.checked_sub(1)?))
    }

    #[inline]
    fn pos(self, spot: Spot) -> Pos {
        if spot == Spot::NONE { Pos::NONE } else { Pos::from_id(self.base.wrapping_add(spot.0 - 1)) }
    }
}

/// Where trees are kept for as long as the process runs, as their sources are.
pub trait Keep {
    /// Keeps the entries of a table, of which there are some, and leaves it empty. To take the whole vector
    /// is as good as to copy what is in it: the parser uses what is left of it for the next tree.
    fn keep_table<T: Copy + 'static>(&self, table: &mut Vec<T>) -> &'static [T];
}

/// Keeps trees by themselves.
#[derive(Clone, Copy, Debug)]
pub struct Leak;

impl Keep for Leak {
    fn keep_table<T: Copy + 'static>(&self, table: &mut Vec<T>) -> &'static [T] {
        let kept: &'static [T] = Box::leak(table.as_slice().into());
        table.clear();
        kept
    }
}

/// The number of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ExprId(pub(crate) u32);

/// The number of an attribute set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SetId(pub(crate) u32);

/// The number of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LambdaId(pub(crate) u32);

/// The number of an attribute path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathId(pub(crate) u32);

/// A run of entries in one of the side tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Range {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Range {
    /// How many entries there are.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Nothing, if that is not in the table.
    #[inline]
    pub(crate) fn slice<T>(self, table: &[T]) -> &[T] {
        table.get(self.start as usize..).and_then(|rest| rest.get(..self.len as usize)).unwrap_or_default()
    }
}

/// A node. Whatever is longer than sixteen bytes lies in a side table of [`Ast`].
///
/// Under each kind stands the position that [`Ast::pos`] gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expr {
    /// An integer. No position.
    Int(i64),
    /// A floating-point number. No position.
    Float(f64),
    /// A string without interpolation, or a URL: [`Ast::bytes`]. No position.
    String(Range),
    /// An absolute, canonical path: [`Ast::bytes`]. A first part of an interpolated path may end in `/`.
    /// No position.
    Path(Range),
    /// A `<name>` looked up along `NIX_PATH`: [`Ast::bytes`] gives the name. It means
    /// `__findFile __nixPath "name"`, both variables looked up where it stands. Position: the start.
    SearchPath(Range),
    /// `__curPos`. Position: the start.
    CurPos,
    /// A variable. Position: the start.
    Var(Symbol),
    /// `subject.path` or `subject.path or default`. Position: the start of `subject`; none for the old
    /// form `let { … }`, which means `(rec { … }).body`.
    Select {
        /// What is selected from.
        subject: ExprId,
        /// The attribute path, never empty.
        path: PathId,
        /// What stands after `or`.
        default: Option<ExprId>,
    },
    /// `subject ? path`. Position: that of `subject`.
    HasAttr {
        /// What is asked.
        subject: ExprId,
        /// The attribute path, never empty.
        path: PathId,
    },
    /// A call with at least one argument: [`Ast::list`]. `f a b` is one call, and so is `(f a) b`.
    /// Position: the start, or the operator of a pipe.
    Call {
        /// What is called. A `Call` only in `(f a) or`.
        function: ExprId,
        /// The arguments.
        arguments: Range,
    },
    /// A function. Position: the start.
    Lambda(LambdaId),
    /// `{ … }` or `rec { … }`. Position: the start; none for a set that only a path such as `a.b = …` made.
    Set(SetId),
    /// `let … in body`. The set has no dynamic attributes. No position.
    Let {
        /// The bindings, recursive whatever [`AttrSet::recursive`] says.
        bindings: SetId,
        /// The body.
        body: ExprId,
    },
    /// A list: [`Ast::list`]. Position: that of the first element.
    List(Range),
    /// `with scope; body`. Position: the start.
    With {
        /// The set whose attributes come into scope.
        scope: ExprId,
        /// The body.
        body: ExprId,
    },
    /// `if condition then … else …`. Position: the start.
    If {
        /// The condition.
        condition: ExprId,
        /// Taken when it holds.
        then: ExprId,
        /// Taken when not.
        otherwise: ExprId,
    },
    /// `assert condition; body`. Position: the start.
    Assert {
        /// The condition.
        condition: ExprId,
        /// The body.
        body: ExprId,
    },
    /// `!operand`. Position: that of the operand.
    Not(ExprId),
    /// `-operand`, which means `__sub 0 operand` with `__sub` looked up where it stands. Position: the `-`.
    Negate(ExprId),
    /// An operator between two operands, but for `+`. Position: the operator; none for `==` and `!=`.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Its left side.
        left: ExprId,
        /// Its right side.
        right: ExprId,
    },
    /// Parts set together: [`Ast::parts`]. Position: the operator of `+`, else the start of a path or an
    /// indented string; the start of the first part in a plain string.
    Concat {
        /// What syntax it was.
        kind: ConcatKind,
        /// The parts; at least one.
        parts: Range,
    },
}

/// An operator with two operands. `+` is [`Expr::Concat`], and pipes are calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`, which means `!(__lessThan right left)`
    LessOrEqual,
    /// `>`, which means `__lessThan right left`
    Greater,
    /// `>=`, which means `!(__lessThan left right)`
    GreaterOrEqual,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `->`
    Implies,
    /// `//`
    Update,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `++`
    ConcatLists,
}

impl BinaryOp {
    /// The variable that the operator calls. The reference looks it up in the scope of the expression like
    /// any other (`let __sub = …; in 1 - 2` calls that).
    pub fn function(self) -> Option<Symbol> {
        match self {
            BinaryOp::Less | BinaryOp::LessOrEqual | BinaryOp::Greater | BinaryOp::GreaterOrEqual => {
                Some(Symbol::LESS_THAN)
            }
            BinaryOp::Subtract => Some(Symbol::SUB),
            BinaryOp::Multiply => Some(Symbol::MUL),
            BinaryOp::Divide => Some(Symbol::DIV),
            _ => None,
        }
    }
}

/// The syntax behind an [`Expr::Concat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConcatKind {
    /// `a + b`: two parts.
    Plus,
    /// `"…${…}…"`: the result is a string.
    String,
    /// `''…${…}…''`: the result is a string.
    IndentedString,
    /// `./a/${…}`: the first part is a path.
    Path,
}

/// A part of an [`Expr::Concat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The start of the text, of `${`, or of the operand with its parentheses.
    pub pos: Pos,
    /// The part.
    pub expr: ExprId,
}

/// A name in an attribute path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrName {
    /// A name known while parsing: `a`, `"a b"`, `${"a"}`.
    Static(Symbol),
    /// A computed one: `${a}`, `"x${a}"`.
    Dynamic(ExprId),
}

/// An attribute set or the bindings of a `let`.
#[derive(Clone, Copy, Debug)]
pub struct AttrSet {
    /// Whether the attributes see each other (`rec`).
    pub recursive: bool,
}

/// An attribute whose name is known.
#[derive(Clone, Copy, Debug)]
pub struct Attr {
    /// The name, once in a set.
    pub name: Symbol,
    /// The start of the attribute path, or of the name after `inherit`.
    pub pos: Pos,
    /// How it got its value.
    pub kind: AttrKind,
    /// The value; for [`AttrKind::Inherited`] a variable to be looked up *around* the set, for
    /// [`AttrKind::InheritedFrom`] a placeholder variable that isn't to be looked up at all.
    pub value: ExprId,
}

/// How an attribute got its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrKind {
    /// `name = value;`
    Plain,
    /// `inherit name;`
    Inherited,
    /// `inherit (expr) name;`: the given expression, one of [`Ast::inherit_from`]; evaluated once for all of
    /// its names.
    InheritedFrom(ExprId),
}

/// An attribute whose name is computed.
#[derive(Clone, Copy, Debug)]
pub struct DynamicAttr {
    /// The name.
    pub name: ExprId,
    /// The start of the attribute path.
    pub pos: Pos,
    /// The value.
    pub value: ExprId,
}

/// A function.
#[derive(Clone, Copy, Debug)]
pub struct Lambda {
    /// `x` in `x: …` or in `{ … } @ x: …`.
    pub argument: Option<Symbol>,
    /// `{ a, b ? c, ... }`.
    pub formals: Option<Formals>,
    /// The body.
    pub body: ExprId,
    /// The attribute or variable it was bound to, for messages.
    pub name: Option<Symbol>,
    /// Its `/** … */`.
    pub doc: Option<DocComment>,
}

/// The formal arguments of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formals {
    pub(crate) range: Range,
    /// Whether other arguments are let through (`...`).
    pub ellipsis: bool,
}

/// One formal argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formal {
    /// The name.
    pub name: Symbol,
    /// The start.
    pub pos: Pos,
    /// What stands after `?`.
    pub default: Option<ExprId>,
}

/// The place of a `/** … */` comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocComment {
    /// Its first byte.
    pub start: Pos,
    /// The byte after it.
    pub end: Pos,
}

impl ExprId {
    /// The number; ids of an [`Ast`] are below [`Ast::len`], and a node's children come before it but for
    /// sets that a later binding has added to.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The node of a number that [`ExprId::index`] gave.
    pub const fn from_index(index: u32) -> ExprId {
        ExprId(index)
    }
}

impl SetId {
    /// The number, dense from zero.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl LambdaId {
    /// The number, dense from zero.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl<'a> Ast<'a> {
    /// The tree of what a parser has made so far.
    pub(crate) fn growing(source: &Source, symbols: &'a [Symbol], tables: &'a Tables) -> Ast<'a> {
        let context = Context { symbols, base: source.pos(0).id() };
        Ast { root: ExprId::default(), depth: 0, context, tables: tables.view() }
    }

    /// The literals that settings can advise against, in the order of the text.
    pub fn lints(&self) -> impl ExactSizeIterator<Item = crate::Lint> + use<'a> {
        let context = self.context;
        self.tables.lints.iter().map(move |words| words.lint(context))
    }

    /// The whole expression.
    pub fn root(&self) -> ExprId {
        self.root
    }

    /// All names in it, in the order in which they were met.
    pub fn symbols(&self) -> &'a [Symbol] {
        self.context.symbols
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.tables.node_count()
    }

    /// Whether there is no node; never so after a successful parse.
    pub fn is_empty(&self) -> bool {
        self.tables.node_count() == 0
    }

    /// All nodes, in the order of their numbers.
    pub fn ids(&self) -> impl Iterator<Item = ExprId> + use<> {
        (0..self.tables.node_count() as u32).map(ExprId)
    }

    /// A node. What the tree does not have is an empty list.
    #[expect(
        clippy::inline_always,
        reason = "whoever asks looks at the kind at once, so half of it goes away"
    )]
    #[inline(always)]
    pub fn expr(&self, id: ExprId) -> Expr {
        let Node { kind, a, b, .. } = self.tables.node(id);
        let range = Range { start: a, len: b };
        let item = |number: u32| self.tables.items.get(number as usize).copied().unwrap_or_default();
        match kind & tag::MASK {
            tag::INT => Expr::Int((u64::from(a) | u64::from(b) << 32).cast_signed()),
            tag::FLOAT => Expr::Float(f64::from_bits(u64::from(a) | u64::from(b) << 32)),
            tag::STRING => Expr::String(range),
            tag::PATH => Expr::Path(range),
            tag::SEARCH_PATH => Expr::SearchPath(range),
            tag::CUR_POS => Expr::CurPos,
            tag::VAR => Expr::Var(self.context.name(a)),
            tag::SELECT => Expr::Select { subject: ExprId(a), path: PathId(b), default: None },
            tag::SELECT_OR => Expr::Select {
                subject: ExprId(a),
                path: PathId(item(b).0),
                default: Some(item(b.wrapping_add(1))),
            },
            tag::HAS_ATTR => Expr::HasAttr { subject: ExprId(a), path: PathId(b) },
            tag::CALL => {
                let arguments = Range { start: b.wrapping_add(1), len: item(b).0 };
                Expr::Call { function: ExprId(a), arguments }
            }
            tag::LAMBDA => Expr::Lambda(LambdaId(a)),
            tag::SET => Expr::Set(SetId(a)),
            tag::LET => Expr::Let { bindings: SetId(a), body: ExprId(b) },
            tag::WITH => Expr::With { scope: ExprId(a), body: ExprId(b) },
            tag::IF => Expr::If { condition: ExprId(a), then: item(b), otherwise: item(b.wrapping_add(1)) },
            tag::ASSERT => Expr::Assert { condition: ExprId(a), body: ExprId(b) },
            tag::NOT => Expr::Not(ExprId(a)),
            tag::NEGATE => Expr::Negate(ExprId(a)),
            tag::BINARY => Expr::Binary { op: tag::binary_op(kind), left: ExprId(a), right: ExprId(b) },
            tag::CONCAT => Expr::Concat { kind: tag::concat_kind(kind), parts: range },
            _ => Expr::List(range),
        }
    }

    /// The position the reference has for a node; see [`Expr`].
    #[inline]
    pub fn pos(&self, id: ExprId) -> Pos {
        self.context.pos(self.tables.node(id).pos)
    }

    /// The bytes of a string or path.
    pub fn bytes(&self, range: Range) -> &'a [u8] {
        range.slice(self.tables.text)
    }

    /// The elements of a list or the arguments of a call.
    pub fn list(&self, range: Range) -> &'a [ExprId] {
        range.slice(self.tables.items)
    }

    /// The parts of a concatenation.
    pub fn parts(&self, range: Range) -> impl ExactSizeIterator<Item = Part> + use<'a> {
        let context = self.context;
        let part = move |words: &PartWords| Part { pos: context.pos(words.pos), expr: words.expr };
        range.slice(self.tables.parts).iter().map(part)
    }

    fn path_words(&self, id: PathId) -> &'a [NameWords] {
        self.tables.paths.get(id.0 as usize).copied().unwrap_or_default().slice(self.tables.names)
    }

    /// The names of an attribute path.
    pub fn path(
        &self,
        id: PathId,
    ) -> impl ExactSizeIterator<Item = AttrName> + DoubleEndedIterator + use<'a> {
        let context = self.context;
        self.path_words(id).iter().map(move |words| words.name(context))
    }

    /// The name of a path that has only one, and known.
    pub fn only_name(&self, id: PathId) -> Option<Symbol> {
        let [words] = self.path_words(id) else { return None };
        match words.name(self.context) {
            AttrName::Static(name) => Some(name),
            AttrName::Dynamic(_) => None,
        }
    }

    fn set_words(&self, id: SetId) -> SetWords {
        self.tables.sets.get(id.index()).copied().unwrap_or_default()
    }

    /// An attribute set.
    pub fn set(&self, id: SetId) -> AttrSet {
        AttrSet { recursive: self.set_words(id).recursive != 0 }
    }

    /// The attributes with known names, in source order.
    pub fn attrs(&self, id: SetId) -> impl ExactSizeIterator<Item = Attr> + use<'a> {
        let context = self.context;
        self.tables.attrs(self.set_words(id).attrs).map(move |words| words.attr(context))
    }

    /// The attributes with computed names, in source order.
    pub fn dynamic_attrs(&self, id: SetId) -> impl ExactSizeIterator<Item = DynamicAttr> + use<'a> {
        let context = self.context;
        let attr = move |words: &DynamicWords| DynamicAttr {
            name: words.name,
            pos: context.pos(words.pos),
            value: words.value,
        };
        self.set_words(id).dynamics.slice(self.tables.dynamics).iter().map(attr)
    }

    /// The expressions of `inherit (expr) …`, in source order. One that names nothing is here as well.
    pub fn inherit_from(&self, id: SetId) -> &'a [ExprId] {
        self.set_words(id).froms.slice(self.tables.froms)
    }

    /// How many attribute sets there are.
    pub fn set_count(&self) -> usize {
        self.tables.sets.len()
    }

    /// A function.
    pub fn lambda(&self, id: LambdaId) -> Lambda {
        let words: LambdaWords = self.tables.lambdas.get(id.index()).copied().unwrap_or_default();
        words.lambda(self.context)
    }

    /// How many functions there are.
    pub fn lambda_count(&self) -> usize {
        self.tables.lambdas.len()
    }

    /// Formal arguments, in an order that stays with the tree. The reference checks them by their [`Symbol`] order,
    /// which need not be this one; by [`Formal::pos`] they are in source order.
    pub fn formals(&self, formals: Formals) -> impl ExactSizeIterator<Item = Formal> + use<'a> {
        let context = self.context;
        let formal = move |words: &FormalWords| words.formal(context);
        formals.range.slice(self.tables.formals).iter().map(formal)
    }
}

impl Ast<'static> {
    /// Starts at another node.
    pub(crate) fn set_root(&mut self, root: ExprId) {
        self.root = root;
    }

    /// Takes the last name off a path.
    pub(crate) fn shorten_path(&mut self, id: PathId) {
        let mut paths = self.tables.paths.to_vec();
        if let Some(range) = paths.get_mut(id.0 as usize) {
            range.len = range.len.saturating_sub(1);
        }
        self.tables.paths = paths.leak();
    }

    /// A finished tree, kept somewhere. Its tables and names are empty then.
    pub(crate) fn keep(
        (root, depth): (ExprId, u32),
        base: u32,
        symbols: &mut Vec<Symbol>,
        tables: &mut Tables,
        keep: &impl Keep,
    ) -> Ast<'static> {
        let context = Context { symbols: tables::keep_entries(symbols, keep), base };
        Ast { root, depth, context, tables: tables.keep(keep) }
    }
}

impl<'a> Ast<'a> {
    /// A finished tree where it was made.
    pub(crate) fn of_tables(
        (root, depth): (ExprId, u32),
        base: u32,
        symbols: &'a [Symbol],
        tables: &'a Tables,
    ) -> Ast<'a> {
        Ast { root, depth, context: Context { symbols, base }, tables: tables.view() }
    }
}

const _: () = assert!(size_of::<Expr>() == 16);
