//! String contexts: which store paths a string refers to.
//!
//! A context is the number of an interned set of elements, so that strings carry one small number and the
//! union of equal contexts costs nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, Hasher};
use std::sync::{LazyLock, PoisonError, RwLock};

use nival_formats::placeholder::DownstreamPlaceholder;
use nival_formats::store_path::StorePathError;
use nival_formats::{StoreDir, StorePath};

use crate::hash::WordHash;
use crate::lately::Lately;

/// A derivation that a string refers to: one that is known, or one that is built itself.
///
/// `builtins.outputOf` keeps it from nesting deeper than [`DerivationRef::MAX_DEPTH`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DerivationRef {
    /// By the path of its file.
    File(StorePath),
    /// As what an output of another derivation will be.
    Output {
        /// That other derivation.
        derivation: Box<DerivationRef>,
        /// The output's name.
        output: String,
    },
}

impl DerivationRef {
    /// How often it may be the output of another one: what `.drv` files can hold.
    pub const MAX_DEPTH: usize = 63;

    /// The `.drv` file that has to be there for it to be built.
    pub fn file(&self) -> &StorePath {
        match self {
            DerivationRef::File(path) => path,
            DerivationRef::Output { derivation, .. } => derivation.file(),
        }
    }

    /// The outputs through which it is reached from [`DerivationRef::file`], first one first.
    pub fn outputs(&self) -> Vec<&str> {
        match self {
            DerivationRef::File(_) => Vec::new(),
            DerivationRef::Output { derivation, output } => {
                let mut outputs = derivation.outputs();
                outputs.push(output);
                outputs
            }
        }
    }

    /// As messages show it: `/nix/store/…-x.drv^out`.
    pub fn display(&self, store_dir: &StoreDir) -> String {
        match self {
            DerivationRef::File(path) => store_dir.display(path),
            DerivationRef::Output { derivation, output } => {
                format!("{}^{output}", derivation.display(store_dir))
            }
        }
    }

    /// As older parts of C++ Nix write it: the outermost output first, the file without its folder last.
    pub(crate) fn legacy(&self) -> String {
        match self {
            DerivationRef::File(path) => path.to_string(),
            DerivationRef::Output { derivation, output } => format!("{output}!{}", derivation.legacy()),
        }
    }

    /// What stands for the path of an output that is not known yet.
    pub fn placeholder(&self, output: &str) -> Result<DownstreamPlaceholder, StorePathError> {
        match self {
            DerivationRef::File(path) => DownstreamPlaceholder::unknown_ca_output(path, output),
            DerivationRef::Output { derivation, output: inner } => {
                Ok(derivation.placeholder(inner)?.unknown_derivation(output))
            }
        }
    }
}

/// One store path (or output) that a string refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContextElement {
    /// A store path as it is.
    Path(StorePath),
    /// A derivation with all of its inputs and outputs.
    Closure(StorePath),
    /// An output of a derivation.
    Output {
        /// The derivation.
        derivation: DerivationRef,
        /// The output's name.
        output: String,
    },
}

impl ContextElement {
    /// As messages show it: `/nix/store/…-x.drv^out`.
    pub fn display(&self, store_dir: &StoreDir) -> String {
        match self {
            ContextElement::Path(path) => store_dir.display(path),
            ContextElement::Closure(path) => format!("{} (deep)", store_dir.display(path)),
            ContextElement::Output { derivation, output } => {
                format!("{}^{output}", derivation.display(store_dir))
            }
        }
    }
}

/// An interned set of [`ContextElement`]s.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Context(u32);

/// An element, its number, and the set that it is by itself: most sets are of one element.
struct Kept {
    element: ContextElement,
    id: [u32; 1],
    alone: Context,
}

/// An element and its hash, which the table need not read it for again.
#[derive(PartialEq, Eq)]
struct Key<'a> {
    hash: u64,
    element: &'a ContextElement,
}

impl<'a> Key<'a> {
    fn of(element: &'a ContextElement) -> Self {
        Key { hash: WordHash::default().hash_one(element), element }
    }
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

#[derive(Default)]
struct Table {
    elements: Vec<&'static Kept>,
    kept: HashMap<Key<'static>, &'static Kept, WordHash>,
    /// Sorted element numbers; the empty set is not in the table.
    sets: Vec<&'static [u32]>,
    /// Those of more than one element.
    set_ids: HashMap<&'static [u32], u32, WordHash>,
    unions: HashMap<(u32, u32), u32, WordHash>,
}

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(RwLock::default);

thread_local! {
    /// Unions that this thread has met lately: the same ones come again and again, and then need no lock.
    static UNIONS: Lately<(u32, u32), Context, { 1 << 10 }> = Lately::new((0, 0), Context(0));
}

impl Context {
    /// No references at all.
    pub const EMPTY: Context = Context(0);

    /// The context with just this element.
    pub fn of(element: ContextElement) -> Context {
        TABLE.write().unwrap_or_else(PoisonError::into_inner).element(element).alone
    }

    /// The number behind it.
    #[inline(always)]
    pub(crate) fn id(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub(crate) fn from_id(id: u32) -> Context {
        Context(id)
    }

    /// Whether there are no references.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either.
    #[inline]
    #[must_use]
    pub fn union(self, other: Context) -> Context {
        if self == other || other.is_empty() {
            self
        } else if self.is_empty() {
            other
        } else {
            self.union_of_different(other)
        }
    }

    fn union_of_different(self, other: Context) -> Context {
        let key = (self.0.min(other.0), self.0.max(other.0));
        UNIONS.with(|unions| unions.get_or(key, || Context::union_in_table(key)))
    }

    fn union_in_table(key: (u32, u32)) -> Context {
        if let Some(id) = TABLE.read().unwrap_or_else(PoisonError::into_inner).unions.get(&key) {
            return Context(*id);
        }
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        let ids = merged(table.ids(Context(key.0)), table.ids(Context(key.1)));
        let union = table.set(&ids);
        table.unions.insert(key, union.0);
        union
    }

    /// The elements, in no order.
    pub(crate) fn unsorted_elements(self) -> Vec<&'static ContextElement> {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        table.ids(self).iter().map(|id| &table.elements[*id as usize].element).collect()
    }

    /// The elements, in their order.
    pub fn elements(self) -> Vec<&'static ContextElement> {
        let mut elements = self.unsorted_elements();
        elements.sort_unstable();
        elements
    }
}

/// Collects what many strings refer to. To unite them one by one would keep each set on the way for ever.
#[derive(Default)]
pub(crate) struct Contexts {
    first: Context,
    others: Vec<Context>,
}

impl Contexts {
    /// So few are united one by one: such unions are mostly known.
    const FEW: usize = 3;

    /// For what refers to much.
    pub(crate) fn for_many() -> Contexts {
        Contexts { first: Context::EMPTY, others: Vec::with_capacity(64) }
    }

    #[inline]
    pub(crate) fn add(&mut self, context: Context) {
        if context.is_empty() || context == self.first {
            return;
        }
        if self.first.is_empty() {
            self.first = context;
        } else if self.others.last() != Some(&context) {
            self.others.push(context);
        }
    }

    /// What is in any of them.
    pub(crate) fn union(&self) -> Context {
        if self.others.len() <= Self::FEW {
            return self.others.iter().fold(self.first, |union, other| union.union(*other));
        }
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        let ids = self.element_ids(&table);
        table.set(&ids)
    }

    /// The elements of all of them, in no order.
    pub(crate) fn unsorted_elements(&self) -> Vec<&'static ContextElement> {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        self.element_ids(&table).iter().map(|id| &table.elements[*id as usize].element).collect()
    }

    fn element_ids(&self, table: &Table) -> Vec<u32> {
        let mut ids = Vec::with_capacity(32 + 2 * self.others.len());
        ids.extend_from_slice(table.ids(self.first));
        for other in &self.others {
            ids.extend_from_slice(table.ids(*other));
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// Two sorted sets in one.
fn merged(left: &[u32], right: &[u32]) -> Vec<u32> {
    let mut all = Vec::with_capacity(left.len() + right.len());
    let mut rest = right;
    for id in left {
        let before = rest.iter().take_while(|other| *other < id).count();
        all.extend_from_slice(&rest[..before]);
        all.push(*id);
        rest = &rest[before + usize::from(rest.get(before) == Some(id))..];
    }
    all.extend_from_slice(rest);
    all
}

impl FromIterator<ContextElement> for Context {
    fn from_iter<I: IntoIterator<Item = ContextElement>>(elements: I) -> Context {
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<u32> = elements.into_iter().map(|element| table.element(element).id[0]).collect();
        ids.sort_unstable();
        ids.dedup();
        table.set(&ids)
    }
}

impl Table {
    fn element(&mut self, element: ContextElement) -> &'static Kept {
        let key = Key::of(&element);
        if let Some(kept) = self.kept.get(&key) {
            return kept;
        }
        let hash = key.hash;
        let id = [self.elements.len() as u32];
        let alone = Context(self.sets.len() as u32 + 1);
        let kept: &'static Kept = Box::leak(Box::new(Kept { element, id, alone }));
        self.elements.push(kept);
        self.sets.push(&kept.id);
        self.kept.insert(Key { hash, element: &kept.element }, kept);
        kept
    }

    fn ids(&self, context: Context) -> &'static [u32] {
        context.0.checked_sub(1).map_or(&[], |index| self.sets[index as usize])
    }

    fn set(&mut self, ids: &[u32]) -> Context {
        match ids {
            [] => return Context::EMPTY,
            [id] => return self.elements[*id as usize].alone,
            _ => {}
        }
        if let Some(id) = self.set_ids.get(ids) {
            return Context(*id);
        }
        let ids: &'static [u32] = Box::leak(ids.into());
        self.sets.push(ids);
        let id = self.sets.len() as u32;
        self.set_ids.insert(ids, id);
        Context(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> Context {
        let path = StorePath::from_digest(&[7; 20], name).expect("a good name");
        Context::of(ContextElement::Path(path))
    }

    #[test]
    fn unions_are_sets() {
        let (a, b, c) = (path("a"), path("b"), path("c"));
        assert_eq!(a.union(b), b.union(a));
        assert_eq!(a.union(b).union(c), c.union(b.union(a)).union(a));
        assert_eq!(a.union(Context::EMPTY), a);
        assert_eq!(Context::EMPTY.union(a), a);
        assert_ne!(a, b);
        assert_eq!(a.union(b).elements().len(), 2);
        let d = path("d");
        let mut contexts = Contexts::default();
        for context in [Context::EMPTY, a, a, c, b, a.union(b), d, c] {
            contexts.add(context);
        }
        assert_eq!(contexts.union(), a.union(b).union(c).union(d));
        assert_eq!(contexts.unsorted_elements().len(), 4);
        assert_eq!(Contexts::default().union(), Context::EMPTY);
        let again: Context = b.union(a).elements().into_iter().cloned().collect();
        assert_eq!(again, a.union(b));
    }
}
