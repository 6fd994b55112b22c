//! The tree of an expression: one flat arena per source, nodes addressed by number.
//!
//! The tree keeps names and says nothing of scopes; operators stay operators, where the reference turns
//! some into calls (see [`BinaryOp::function`]). Positions are those that the reference's nodes carry, so
//! that messages can agree with it, [`Pos::NONE`] included.

use crate::{Pos, Symbol};

/// What a tree is made of, while it grows and when it is there.
macro_rules! tables {
    ($($name:ident: $entry:ty,)*) => {
        /// A parsed source.
        #[derive(Clone, Copy, Debug)]
        pub struct Ast<'a> {
            pub(crate) root: ExprId,
            $(pub(crate) $name: &'a [$entry],)*
        }

        /// A tree that grows.
        #[derive(Debug, Default)]
        pub(crate) struct Tables {
            $(pub(crate) $name: Vec<$entry>,)*
        }

        impl Tables {
            #[inline]
            pub(crate) fn view(&self) -> Ast<'_> {
                Ast { root: ExprId::default(), $($name: &self.$name,)* }
            }

            /// The tree, kept elsewhere. The tables are empty then.
            pub(crate) fn keep(&mut self, root: ExprId, keep: &impl Keep) -> Ast<'static> {
                Ast { root, $($name: if self.$name.is_empty() { &[] } else { keep.keep_table(&mut self.$name) },)* }
            }

            pub(crate) fn clear(&mut self) {
                $(self.$name.clear();)*
            }
        }
    };
}

tables! {
    nodes: Expr,
    positions: Pos,
    items: ExprId,
    parts: Part,
    paths: Range,
    names: AttrName,
    sets: AttrSet,
    attrs: Link<Attr>,
    dynamics: Link<DynamicAttr>,
    froms: Link<ExprId>,
    lambdas: Lambda,
    formals: Formal,
    text: u8,
    lints: crate::Lint,
}

impl Tables {
    /// Makes room for the tree of a large text, so that what it fills need not be moved again and again. Address
    /// space that stays unused costs nothing.
    pub(crate) fn reserve_for(&mut self, bytes: usize) {
        if !(LARGE..LARGEST).contains(&bytes) {
            return;
        }
        self.nodes.reserve(bytes / 20);
        self.positions.reserve(bytes / 20);
        self.attrs.reserve(bytes / 40);
        self.items.reserve(bytes / 40);
        self.text.reserve(bytes / 2);
    }
}

/// Which texts [`Tables::reserve_for`] is for: smaller ones soon have room enough.
const LARGE: usize = 1 << 20;
const LARGEST: usize = 256 << 20;

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

    fn slice<T>(self, table: &[T]) -> &[T] {
        &table[self.start as usize..][..self.len as usize]
    }
}

/// A node. Sixteen bytes; whatever is longer lies in a side table of [`Ast`].
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
    pub(crate) attrs: Chain,
    pub(crate) dynamics: Chain,
    pub(crate) froms: Chain,
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

/// A linked list through a side table: sets can grow after others were begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
    pub(crate) len: u32,
}

impl Chain {
    pub(crate) const EMPTY: Chain = Chain { first: END, last: END, len: 0 };

    pub(crate) fn push<T>(&mut self, table: &mut Vec<Link<T>>, value: T) -> u32 {
        let index = table.len() as u32;
        table.push(Link { value, next: END });
        if self.first == END {
            self.first = index;
        } else {
            table[self.last as usize].next = index;
        }
        self.last = index;
        self.len += 1;
        index
    }

    /// Moves all of `other` to the end of this chain.
    pub(crate) fn append<T>(&mut self, table: &mut [Link<T>], other: Chain) {
        if other.first == END {
            return;
        }
        if self.first == END {
            *self = other;
            return;
        }
        table[self.last as usize].next = other.first;
        self.last = other.last;
        self.len += other.len;
    }

    pub(crate) fn numbered<T>(self, table: &[Link<T>]) -> impl Iterator<Item = (u32, &T)> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            let index = next;
            let link = table.get(index as usize)?;
            next = link.next;
            Some((index, &link.value))
        })
    }

    pub(crate) fn iter<T>(self, table: &[Link<T>]) -> Entries<'_, T> {
        Entries { table, next: self.first, left: self.len as usize }
    }
}

const END: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<T> {
    pub(crate) value: T,
    pub(crate) next: u32,
}

/// The entries of a set, in the order in which the reference's parser takes them in.
#[derive(Clone, Debug)]
pub struct Entries<'a, T> {
    table: &'a [Link<T>],
    next: u32,
    left: usize,
}

impl<'a, T> Iterator for Entries<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        let link = self.table.get(self.next as usize)?;
        self.next = link.next;
        self.left -= 1;
        Some(&link.value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for Entries<'_, T> {}

impl ExprId {
    /// The number; ids of an [`Ast`] are below [`Ast::len`], and a node's children come before it but for
    /// sets that a later binding has added to.
    pub const fn index(self) -> usize {
        self.0 as usize
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
    /// The literals that settings can advise against, in the order of the text.
    pub fn lints(&self) -> &'a [crate::Lint] {
        self.lints
    }

    /// The whole expression.
    pub fn root(&self) -> ExprId {
        self.root
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node; never so after a successful parse.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes, in the order of their numbers.
    pub fn ids(&self) -> impl Iterator<Item = ExprId> + use<> {
        (0..self.nodes.len() as u32).map(ExprId)
    }

    /// A node.
    #[inline]
    pub fn expr(&self, id: ExprId) -> Expr {
        self.nodes[id.index()]
    }

    /// The position the reference has for a node; see [`Expr`].
    #[inline]
    pub fn pos(&self, id: ExprId) -> Pos {
        self.positions[id.index()]
    }

    /// The bytes of a string or path.
    pub fn bytes(&self, range: Range) -> &'a [u8] {
        range.slice(self.text)
    }

    /// The elements of a list or the arguments of a call.
    pub fn list(&self, range: Range) -> &'a [ExprId] {
        range.slice(self.items)
    }

    /// The parts of a concatenation.
    pub fn parts(&self, range: Range) -> &'a [Part] {
        range.slice(self.parts)
    }

    /// The names of an attribute path.
    pub fn path(&self, id: PathId) -> &'a [AttrName] {
        self.paths[id.0 as usize].slice(self.names)
    }

    /// An attribute set.
    pub fn set(&self, id: SetId) -> &'a AttrSet {
        &self.sets[id.index()]
    }

    /// The attributes with known names, in source order.
    pub fn attrs(&self, id: SetId) -> Entries<'a, Attr> {
        self.set(id).attrs.iter(self.attrs)
    }

    /// The attributes with computed names, in source order.
    pub fn dynamic_attrs(&self, id: SetId) -> Entries<'a, DynamicAttr> {
        self.set(id).dynamics.iter(self.dynamics)
    }

    /// The expressions of `inherit (expr) …`, in source order. One that names nothing is here as well.
    pub fn inherit_from(&self, id: SetId) -> Entries<'a, ExprId> {
        self.set(id).froms.iter(self.froms)
    }

    /// How many attribute sets there are.
    pub fn set_count(&self) -> usize {
        self.sets.len()
    }

    /// A function.
    pub fn lambda(&self, id: LambdaId) -> &'a Lambda {
        &self.lambdas[id.index()]
    }

    /// How many functions there are.
    pub fn lambda_count(&self) -> usize {
        self.lambdas.len()
    }

    /// Formal arguments by [`Symbol`] order, which is the order in which the reference checks them; by
    /// [`Formal::pos`] they are in source order.
    pub fn formals(&self, formals: Formals) -> &'a [Formal] {
        formals.range.slice(self.formals)
    }
}

const _: () = assert!(size_of::<Expr>() == 16);
