//! The tables of a tree: plain numbers only, so that any bytes are some tree.

use super::kept::{KeptParts, KeptTree, Plain};
use super::{
    Attr, AttrKind, AttrName, BinaryOp, ConcatKind, Context, DocComment, ExprId, Formal, Formals, Keep,
    Lambda, Range,
};
use crate::{Lint, LintKind};

/// A place in the text of a tree: the offset and one, or zero for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub(crate) struct Spot(pub(crate) u32);

impl Spot {
    pub(crate) const NONE: Spot = Spot(0);

    pub(crate) fn at(offset: usize) -> Spot {
        Spot(offset as u32 + 1)
    }
}

/// A name by its number in the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(crate) struct Local(pub(crate) u32);

/// A node: what kind it is, where, and two numbers that depend on the kind.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Node {
    pub(crate) kind: u32,
    pub(crate) pos: Spot,
    pub(crate) a: u32,
    pub(crate) b: u32,
}

/// The same where all numbers are small, as those of trees of small texts are: how such trees are kept.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct NarrowNode(u64);

impl Node {
    /// Instead of one that the tree does not have.
    const NONE: Node = Node { kind: tag::LIST, pos: Spot::NONE, a: 0, b: 0 };

    fn numbers(&self) -> [u32; 4] {
        [self.kind, self.pos.0, self.a, self.b]
    }
}

impl NarrowNode {
    #[inline]
    fn wide(self) -> Node {
        let [kind, pos, a, b] = wide(self.0);
        Node { kind, pos: Spot(pos), a, b }
    }
}

/// Entries with half the bytes; none if a number is too large for that.
fn narrow<W, N>(entries: &[W], numbers: impl Fn(&W) -> [u32; 4], entry: impl Fn(u64) -> N) -> Vec<N> {
    if u16::try_from(entries.len()).is_err() {
        return Vec::new();
    }
    let mut bits = 0;
    let narrow = entries.iter().map(|words| {
        let [a, b, c, d] = numbers(words);
        bits |= a | b | c | d;
        entry(u64::from(a) | u64::from(b) << 16 | u64::from(c) << 32 | u64::from(d) << 48)
    });
    let narrow = narrow.collect();
    if u16::try_from(bits).is_ok() { narrow } else { Vec::new() }
}

#[inline]
fn wide(bits: u64) -> [u32; 4] {
    [bits, bits >> 16, bits >> 32, bits >> 48].map(|number| u32::from(number as u16))
}

/// Kinds of nodes, each with what the two numbers of a node are. What has three is in [`Tables::items`] from the
/// second number on.
pub(crate) mod tag {
    use super::{BinaryOp, ConcatKind};

    /// The bits that say the kind; above are those that say which operator or syntax it is.
    pub(crate) const MASK: u32 = 0xff;
    /// The lower and the upper half.
    pub(crate) const INT: u32 = 0;
    /// The same.
    pub(crate) const FLOAT: u32 = 1;
    /// A range of bytes, as for the next two.
    pub(crate) const STRING: u32 = 2;
    pub(crate) const PATH: u32 = 3;
    pub(crate) const SEARCH_PATH: u32 = 4;
    pub(crate) const CUR_POS: u32 = 5;
    /// The name.
    pub(crate) const VAR: u32 = 6;
    /// Subject and path.
    pub(crate) const SELECT: u32 = 7;
    /// Subject; path and default.
    pub(crate) const SELECT_OR: u32 = 8;
    /// Subject and path.
    pub(crate) const HAS_ATTR: u32 = 9;
    /// Function; how many arguments, then these.
    pub(crate) const CALL: u32 = 10;
    pub(crate) const LAMBDA: u32 = 11;
    pub(crate) const SET: u32 = 12;
    /// Set and body.
    pub(crate) const LET: u32 = 13;
    /// A range of items.
    pub(crate) const LIST: u32 = 14;
    /// Scope and body.
    pub(crate) const WITH: u32 = 15;
    /// Condition; both branches.
    pub(crate) const IF: u32 = 16;
    /// Condition and body.
    pub(crate) const ASSERT: u32 = 17;
    pub(crate) const NOT: u32 = 18;
    pub(crate) const NEGATE: u32 = 19;
    /// Both sides.
    pub(crate) const BINARY: u32 = 20;
    /// A range of parts.
    pub(crate) const CONCAT: u32 = 21;

    const OPS: [BinaryOp; 14] = [
        BinaryOp::Equal,
        BinaryOp::NotEqual,
        BinaryOp::Less,
        BinaryOp::LessOrEqual,
        BinaryOp::Greater,
        BinaryOp::GreaterOrEqual,
        BinaryOp::And,
        BinaryOp::Or,
        BinaryOp::Implies,
        BinaryOp::Update,
        BinaryOp::Subtract,
        BinaryOp::Multiply,
        BinaryOp::Divide,
        BinaryOp::ConcatLists,
    ];

    const KINDS: [ConcatKind; 4] =
        [ConcatKind::Plus, ConcatKind::String, ConcatKind::IndentedString, ConcatKind::Path];

    pub(crate) const fn binary(op: BinaryOp) -> u32 {
        BINARY | (op as u32) << 8
    }

    pub(crate) fn binary_op(kind: u32) -> BinaryOp {
        OPS.get((kind >> 8) as usize).copied().unwrap_or(BinaryOp::Equal)
    }

    pub(crate) const fn concat(kind: ConcatKind) -> u32 {
        CONCAT | (kind as u32) << 8
    }

    pub(crate) fn concat_kind(kind: u32) -> ConcatKind {
        KINDS.get((kind >> 8) as usize).copied().unwrap_or(ConcatKind::String)
    }

    #[cfg(test)]
    #[test]
    fn operators_keep_their_numbers() {
        for op in OPS {
            assert_eq!(binary_op(binary(op)), op);
        }
        for kind in KINDS {
            assert_eq!(concat_kind(concat(kind)), kind);
        }
    }
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct PartWords {
    pub(crate) pos: Spot,
    pub(crate) expr: ExprId,
}

/// A name in an attribute path: whether it is computed, and its number or that of its node.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct NameWords {
    is_computed: u32,
    number: u32,
}

impl NameWords {
    pub(crate) fn known(name: Local) -> NameWords {
        NameWords { is_computed: 0, number: name.0 }
    }

    pub(crate) fn computed(name: ExprId) -> NameWords {
        NameWords { is_computed: 1, number: name.0 }
    }

    /// The name, or the node that computes it.
    pub(crate) fn either(self) -> Result<Local, ExprId> {
        if self.is_computed == 0 { Ok(Local(self.number)) } else { Err(ExprId(self.number)) }
    }

    pub(super) fn name(self, context: Context<'_>) -> AttrName {
        match self.either() {
            Ok(name) => AttrName::Static(context.name(name.0)),
            Err(expr) => AttrName::Dynamic(expr),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct SetWords {
    pub(crate) recursive: u32,
    pub(crate) attrs: Range,
    pub(crate) dynamics: Range,
    pub(crate) froms: Range,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct AttrWords {
    pub(crate) name: Local,
    pub(crate) pos: Spot,
    /// [`AttrWords::PLAIN`], [`AttrWords::INHERITED`], or above these the number of the node inherited from.
    kind: u32,
    pub(crate) value: ExprId,
}

impl AttrWords {
    const PLAIN: u32 = 0;
    const INHERITED: u32 = 1;

    pub(crate) fn new(name: Local, pos: Spot, kind: AttrKind, value: ExprId) -> AttrWords {
        let kind = match kind {
            AttrKind::Plain => AttrWords::PLAIN,
            AttrKind::Inherited => AttrWords::INHERITED,
            AttrKind::InheritedFrom(from) => from.0 + 2,
        };
        AttrWords { name, pos, kind, value }
    }

    #[inline]
    pub(super) fn attr(self, context: Context<'_>) -> Attr {
        let kind = match self.kind {
            AttrWords::PLAIN => AttrKind::Plain,
            AttrWords::INHERITED => AttrKind::Inherited,
            from => AttrKind::InheritedFrom(ExprId(from - 2)),
        };
        Attr { name: context.name(self.name.0), pos: context.pos(self.pos), kind, value: self.value }
    }
}

/// The same where all numbers are small.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct NarrowAttr(u64);

impl AttrWords {
    fn numbers(&self) -> [u32; 4] {
        [self.name.0, self.pos.0, self.kind, self.value.0]
    }
}

impl NarrowAttr {
    #[inline]
    fn wide(self) -> AttrWords {
        let [name, pos, kind, value] = wide(self.0);
        AttrWords { name: Local(name), pos: Spot(pos), kind, value: ExprId(value) }
    }
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct DynamicWords {
    pub(crate) name: ExprId,
    pub(crate) pos: Spot,
    pub(crate) value: ExprId,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct LambdaWords {
    /// A name's number and one, or zero for none.
    argument: u32,
    /// [`LambdaWords::HAS_FORMALS`], [`LambdaWords::ELLIPSIS`]
    flags: u32,
    formals: Range,
    pub(crate) body: ExprId,
    /// As `argument`.
    name: u32,
    doc: [Spot; 2],
}

impl LambdaWords {
    const HAS_FORMALS: u32 = 1;
    const ELLIPSIS: u32 = 2;

    pub(crate) fn new(argument: Option<Local>, formals: Option<Formals>, body: ExprId) -> LambdaWords {
        let flags = match formals {
            None => 0,
            Some(formals) if formals.ellipsis => LambdaWords::HAS_FORMALS | LambdaWords::ELLIPSIS,
            Some(_) => LambdaWords::HAS_FORMALS,
        };
        LambdaWords {
            argument: argument.map_or(0, |name| name.0 + 1),
            flags,
            formals: formals.map_or(Range::default(), |formals| formals.range),
            body,
            ..LambdaWords::default()
        }
    }

    pub(crate) fn set_name(&mut self, name: Local) {
        self.name = name.0 + 1;
    }

    pub(crate) fn has_doc(self) -> bool {
        self.doc[0] != Spot::NONE
    }

    pub(crate) fn set_doc(&mut self, doc: [Spot; 2]) {
        self.doc = doc;
    }

    pub(super) fn lambda(self, context: Context<'_>) -> Lambda {
        let formals = Formals { range: self.formals, ellipsis: self.flags & LambdaWords::ELLIPSIS != 0 };
        let [start, end] = self.doc.map(|spot| context.pos(spot));
        Lambda {
            argument: context.optional_name(self.argument),
            formals: (self.flags & LambdaWords::HAS_FORMALS != 0).then_some(formals),
            body: self.body,
            name: context.optional_name(self.name),
            doc: self.has_doc().then_some(DocComment { start, end }),
        }
    }
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct FormalWords {
    pub(crate) name: Local,
    pub(crate) pos: Spot,
    /// A node's number and one, or zero for none.
    default: u32,
}

impl FormalWords {
    pub(crate) fn new(name: Local, pos: Spot, default: Option<ExprId>) -> FormalWords {
        FormalWords { name, pos, default: default.map_or(0, |default| default.0 + 1) }
    }

    pub(super) fn formal(self, context: Context<'_>) -> Formal {
        Formal {
            name: context.name(self.name.0),
            pos: context.pos(self.pos),
            default: self.default.checked_sub(1).map(ExprId),
        }
    }
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct LintWords {
    kind: u32,
    pos: Spot,
    length: u32,
}

impl LintWords {
    const KINDS: [LintKind; 5] =
        [LintKind::Url, LintKind::AbsolutePath, LintKind::HomePath, LintKind::ShortPath, LintKind::Or];

    pub(crate) fn new(kind: LintKind, pos: Spot, length: usize) -> LintWords {
        LintWords { kind: kind as u32, pos, length: length as u32 }
    }

    pub(super) fn lint(self, context: Context<'_>) -> Lint {
        let kind = LintWords::KINDS.get(self.kind as usize).copied().unwrap_or(LintKind::Url);
        Lint { kind, pos: context.pos(self.pos), length: self.length }
    }
}

/// What a tree is made of, while it grows and when it is there.
macro_rules! tables {
    ($($name:ident: $entry:ty,)*) => {
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct View<'a> {
            $(pub(crate) $name: &'a [$entry],)*
        }

        /// A tree that grows.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Tables {
            $(pub(crate) $name: Vec<$entry>,)*
        }

        impl Tables {
            #[inline]
            pub(crate) fn view(&self) -> View<'_> {
                View { $($name: &self.$name,)* }
            }

            /// The tables, kept elsewhere. They are empty then.
            pub(super) fn keep(&mut self, keep: &impl Keep) -> View<'static> {
                View { $($name: keep_entries(&mut self.$name, keep),)* }
            }

            pub(crate) fn clear(&mut self) {
                $(self.$name.clear();)*
            }
        }

        impl<'a> View<'a> {
            pub(super) const COUNT: usize = [$(stringify!($name)),*].len();

            pub(super) fn put(&self, parts: &mut KeptParts<'a>) {
                $(parts.add(self.$name);)*
            }
        }

        impl View<'static> {
            pub(super) fn take(tree: &KeptTree, first: usize) -> Option<View<'static>> {
                let mut numbers = first..;
                Some(View { $($name: tree.table(numbers.next()?)?,)* })
            }
        }
    };
}

tables! {
    nodes: Node,
    narrow_nodes: NarrowNode,
    items: ExprId,
    parts: PartWords,
    paths: Range,
    names: NameWords,
    sets: SetWords,
    attrs: AttrWords,
    narrow_attrs: NarrowAttr,
    dynamics: DynamicWords,
    froms: ExprId,
    lambdas: LambdaWords,
    formals: FormalWords,
    text: u8,
    lints: LintWords,
}

/// Tables of which only one form is there.
impl<'a> View<'a> {
    #[inline]
    pub(super) fn node(&self, id: ExprId) -> Node {
        match (self.nodes.get(id.index()), self.narrow_nodes.get(id.index())) {
            (Some(node), _) => *node,
            (None, Some(node)) => node.wide(),
            (None, None) => Node::NONE,
        }
    }

    pub(super) fn node_count(&self) -> usize {
        self.nodes.len().max(self.narrow_nodes.len())
    }

    pub(super) fn attrs(&self, range: Range) -> impl ExactSizeIterator<Item = AttrWords> + use<'a> {
        let (wide, narrow) = (range.slice(self.attrs), range.slice(self.narrow_attrs));
        let attr = |index| narrow.get(index).map_or_else(|| wide[index], |attr: &NarrowAttr| attr.wide());
        (0..wide.len().max(narrow.len())).map(attr)
    }

    /// The same tree with the tables that were made narrow.
    pub(super) fn with_narrow(mut self, narrow: &'a NarrowTables) -> View<'a> {
        if !narrow.nodes.is_empty() {
            (self.nodes, self.narrow_nodes) = (&[], &narrow.nodes);
        }
        if !narrow.attrs.is_empty() {
            (self.attrs, self.narrow_attrs) = (&[], &narrow.attrs);
        }
        self
    }
}

/// Those tables of a tree whose numbers are all small, in half the bytes; the others are empty.
pub(super) struct NarrowTables {
    nodes: Vec<NarrowNode>,
    attrs: Vec<NarrowAttr>,
}

impl NarrowTables {
    pub(super) fn of(view: &View<'_>) -> NarrowTables {
        NarrowTables {
            nodes: narrow(view.nodes, Node::numbers, NarrowNode),
            attrs: narrow(view.attrs, AttrWords::numbers, NarrowAttr),
        }
    }
}

pub(super) fn keep_entries<T: Copy + 'static>(entries: &mut Vec<T>, keep: &impl Keep) -> &'static [T] {
    if entries.is_empty() { &[] } else { keep.keep_table(entries) }
}

impl Tables {
    /// Makes room for the tree of a large text, so that what it fills need not be moved again and again. Address
    /// space that stays unused costs nothing.
    pub(crate) fn reserve_for(&mut self, bytes: usize) {
        if !is_large(bytes) || bytes >= LARGEST {
            return;
        }
        self.nodes.reserve(bytes / 20);
        self.items.reserve(bytes / 40);
        self.text.reserve(bytes / 2);
    }
}

/// Which texts [`Tables::reserve_for`] is for: smaller ones soon have room enough. What such a text has filled is not
/// kept for the next.
pub(crate) fn is_large(bytes: usize) -> bool {
    bytes >= 1 << 20
}

const LARGEST: usize = 256 << 20;

// SAFETY: `repr(C)` structures of `u32`s and of such structures: no padding, and any bits are a value.
unsafe impl Plain for Node {}
// SAFETY: a transparent `u64`.
unsafe impl Plain for NarrowNode {}
// SAFETY: a transparent `u64`.
unsafe impl Plain for NarrowAttr {}
// SAFETY: as for nodes.
unsafe impl Plain for PartWords {}
// SAFETY: as above.
unsafe impl Plain for Range {}
// SAFETY: as above.
unsafe impl Plain for NameWords {}
// SAFETY: as above.
unsafe impl Plain for SetWords {}
// SAFETY: as above.
unsafe impl Plain for AttrWords {}
// SAFETY: as above.
unsafe impl Plain for DynamicWords {}
// SAFETY: as above.
unsafe impl Plain for LambdaWords {}
// SAFETY: as above.
unsafe impl Plain for FormalWords {}
// SAFETY: as above.
unsafe impl Plain for LintWords {}
// SAFETY: a transparent `u32`.
unsafe impl Plain for ExprId {}

/// Sets that grow: later bindings may add to those that were begun before others, so that their entries are
/// linked.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    pub(crate) sets: Vec<SetDraft>,
    pub(crate) attrs: Vec<Link<AttrWords>>,
    pub(crate) dynamics: Vec<Link<DynamicWords>>,
    pub(crate) froms: Vec<Link<ExprId>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SetDraft {
    pub(crate) recursive: bool,
    pub(crate) attrs: Chain,
    pub(crate) dynamics: Chain,
    pub(crate) froms: Chain,
}

impl Drafts {
    pub(crate) fn clear(&mut self) {
        self.sets.clear();
        self.attrs.clear();
        self.dynamics.clear();
        self.froms.clear();
    }

    /// As [`Tables::reserve_for`].
    pub(crate) fn reserve_for(&mut self, bytes: usize) {
        if is_large(bytes) && bytes < LARGEST {
            self.attrs.reserve(bytes / 40);
        }
    }

    /// Writes the entries of each set one behind the other.
    pub(crate) fn finish(&self, tables: &mut Tables) {
        tables.sets.reserve(self.sets.len());
        tables.attrs.reserve(self.attrs.len());
        for set in &self.sets {
            tables.sets.push(SetWords {
                recursive: u32::from(set.recursive),
                attrs: set.attrs.unlink(&self.attrs, &mut tables.attrs),
                dynamics: set.dynamics.unlink(&self.dynamics, &mut tables.dynamics),
                froms: set.froms.unlink(&self.froms, &mut tables.froms),
            });
        }
    }
}

/// A linked list through a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
    pub(crate) len: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<T> {
    pub(crate) value: T,
    next: u32,
}

const END: u32 = u32::MAX;

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

    pub(crate) fn iter<T>(self, table: &[Link<T>]) -> impl Iterator<Item = &T> {
        self.numbered(table).map(|(_, value)| value)
    }

    #[inline]
    fn unlink<T: Copy>(self, table: &[Link<T>], out: &mut Vec<T>) -> Range {
        if self.first == END {
            return Range::default();
        }
        let start = out.len() as u32;
        out.extend(self.iter(table).copied());
        Range { start, len: out.len() as u32 - start }
    }
}
