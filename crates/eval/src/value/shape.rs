//! Shapes: the keys that attribute sets have in common.
//!
//! Sets made from one literal, or by `mapAttrs` from another set, share their shape; a place that selects an
//! attribute remembers the last shape it saw and where in it the attribute was.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock, RwLock};

use nival_syntax::{Pos, Symbol};

use crate::hash::WordHash;

/// The keys of an attribute set, sorted by symbol, and where each was written.
#[repr(align(16))]
pub struct Shape {
    keys: Box<[Symbol]>,
    positions: Option<Box<[Pos]>>,
    name_order: OnceLock<Box<[u32]>>,
    without_positions: OnceLock<&'static Shape>,
    shared: bool,
}

type ShapesByKeys = HashMap<Box<[Symbol]>, &'static Shape, WordHash>;

static INTERNED: LazyLock<RwLock<ShapesByKeys>> = LazyLock::new(RwLock::default);

impl Shape {
    /// A shape of its own, `shared` if many sets may come to have it. The keys must be sorted and distinct.
    pub(crate) fn new(keys: Box<[Symbol]>, positions: Option<Box<[Pos]>>, shared: bool) -> &'static Shape {
        debug_assert!(keys.is_sorted());
        Box::leak(Box::new(Shape {
            keys,
            positions,
            name_order: OnceLock::new(),
            without_positions: OnceLock::new(),
            shared,
        }))
    }

    /// The one shape without positions for these keys, which must be sorted and distinct.
    pub(crate) fn interned(keys: &[Symbol]) -> &'static Shape {
        if let Some(shape) = INTERNED.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(keys) {
            return shape;
        }
        let mut table = INTERNED.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        table.entry(keys.into()).or_insert_with(|| Shape::new(keys.into(), None, true))
    }

    /// The same keys without positions, as sets computed from others have them.
    pub(crate) fn without_positions(&'static self) -> &'static Shape {
        if self.positions.is_none() {
            return self;
        }
        self.without_positions.get_or_init(|| Shape::new(self.keys.clone(), None, self.shared))
    }

    /// Whether sets of this shape may be many.
    #[inline]
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    /// The keys, sorted by symbol number (not by name).
    #[inline(always)]
    pub(crate) fn keys(&self) -> &[Symbol] {
        &self.keys
    }

    #[inline]
    pub(crate) fn find(&self, key: Symbol) -> Option<usize> {
        self.keys.binary_search(&key).ok()
    }

    #[inline]
    pub(crate) fn has_positions(&self) -> bool {
        self.positions.is_some()
    }

    #[inline]
    pub(crate) fn position(&self, index: usize) -> Pos {
        self.positions.as_ref().map_or(Pos::NONE, |positions| positions[index])
    }

    /// The indices of the keys in the order of their names.
    pub(crate) fn name_order(&self) -> &[u32] {
        self.name_order.get_or_init(|| {
            let mut order: Vec<u32> = (0..self.keys.len() as u32).collect();
            order.sort_by_key(|index| self.keys[*index as usize].as_bytes());
            order.into()
        })
    }
}
