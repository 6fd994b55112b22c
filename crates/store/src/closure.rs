//! Paths reachable from others.

use std::collections::BTreeSet;

use nival_formats::StorePath;

use crate::error::Result;
use crate::store::LocalStore;

/// Which way to follow references.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// To what paths refer to.
    #[default]
    References,
    /// To what refers to them.
    Referrers,
}

/// What counts as an edge, besides references.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClosureOptions {
    /// Which way.
    pub direction: Direction,
    /// From a derivation to its valid outputs (the other way when following referrers).
    pub include_outputs: bool,
    /// From a path to the valid derivation that made it (the other way when following referrers).
    pub include_derivers: bool,
}

impl LocalStore {
    /// All paths reachable from `start`, itself included. All of `start` must be valid.
    pub fn closure<'a>(
        &self,
        start: impl IntoIterator<Item = &'a StorePath>,
        options: ClosureOptions,
    ) -> Result<BTreeSet<StorePath>> {
        let mut seen: BTreeSet<StorePath> = start.into_iter().cloned().collect();
        let mut todo: Vec<StorePath> = seen.iter().cloned().collect();
        while let Some(path) = todo.pop() {
            for next in self.edges(&path, options)? {
                if seen.insert(next.clone()) {
                    todo.push(next);
                }
            }
        }
        Ok(seen)
    }

    fn edges(&self, path: &StorePath, options: ClosureOptions) -> Result<BTreeSet<StorePath>> {
        let to_outputs = match options.direction {
            Direction::References => options.include_outputs,
            Direction::Referrers => options.include_derivers,
        };
        let mut next = match options.direction {
            Direction::Referrers => {
                let mut next = self.query_referrers(path)?;
                if options.include_outputs {
                    next.extend(self.query_valid_derivers(path)?);
                }
                next
            }
            Direction::References if options.include_derivers => {
                let info = self.query_path_info(path)?;
                let mut next = info.references;
                if let Some(deriver) = info.deriver
                    && self.is_valid_path(&deriver)?
                {
                    next.insert(deriver);
                }
                next
            }
            Direction::References => self.query_references(path)?,
        };
        if to_outputs && path.is_derivation() {
            let outputs = self.query_derivation_outputs(path)?;
            next.extend(self.query_valid_paths(outputs.values())?);
        }
        Ok(next)
    }

    /// Sorts paths so that each comes after the ones that refer to it: the order to delete in.
    pub fn referrers_first(&self, paths: &BTreeSet<StorePath>) -> Result<Vec<StorePath>> {
        let mut order = Vec::with_capacity(paths.len());
        let mut seen = BTreeSet::new();
        for start in paths {
            // Depth first with an explicit stack; a path is appended once all its references are.
            let mut stack = vec![(start.clone(), false)];
            while let Some((path, visited)) = stack.pop() {
                if visited {
                    order.push(path);
                } else if seen.insert(path.clone()) {
                    let references = self.database.references(&path)?.unwrap_or_default();
                    stack.push((path, true));
                    for next in references {
                        if paths.contains(&next) && !seen.contains(&next) {
                            stack.push((next, false));
                        }
                    }
                }
            }
        }
        order.reverse();
        Ok(order)
    }
}
