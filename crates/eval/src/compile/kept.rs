//! Trees that the host keeps for later processes, with what their variables mean.
//!
//! Only what a text and its path decide goes into them. What the settings decide besides (which built-in values
//! there are, how deep brackets may stand inside each other) is compared when a tree is used; if it differs, the text is parsed.

use std::sync::LazyLock;

use nival_syntax::{KeptParts, KeptTree, LintKind, Origin, ReadText};

use super::resolve::{self, Resolved};
use super::{Scope, Unit};
use crate::builtins;
use crate::error::{EvalError, Result};
use crate::evaluator::Evaluator;
use crate::value::Value;

/// Tables that are added to those of the tree, after those of [`Resolved`].
const GLOBALS: usize = resolve::TABLES;
const DOUBTFUL: usize = GLOBALS + 1;
const BASE: usize = DOUBTFUL + 1;

/// The names of built-in values that are not there under all settings.
static OPTIONAL: LazyLock<Vec<String>> = LazyLock::new(|| {
    let functions = builtins::functions().filter(|builtin| builtin.feature.is_some());
    let functions = functions.map(|builtin| (builtin.name, builtin.global));
    let constants = builtins::impure_constants().map(|constant| (constant.name, constant.global));
    let name = |(name, global)| if global { str::to_owned(name) } else { format!("__{name}") };
    functions.chain(constants).map(name).collect()
});

impl Scope {
    /// Whether trees of texts with this scope can be kept. A debugger has their variables resolved in another way.
    pub(crate) fn keeps(&self, ev: &Evaluator) -> bool {
        self.names.is_none() && ev.settings().debugging.is_none()
    }
}

impl Unit {
    /// The tree that was kept of a file, if it is what parsing would give.
    pub(crate) fn of_kept(
        ev: &Evaluator,
        tree: &'static [u8],
        origin: Origin,
        base: &str,
        read: ReadText,
    ) -> Option<Result<&'static Unit>> {
        let tree = KeptTree::open(tree)?;
        if tree.added::<u8>(BASE)? != base.as_bytes() || tree.depth() > ev.max_nesting() {
            return None;
        }
        let symbols = tree.symbols(&ev.heap)?;
        let symbol = |number: &u32| symbols.get(*number as usize);
        let values = &ev.globals().names;
        let value = |number: &u32| values.get(symbol(number)?).copied();
        let globals = tree.added::<u32>(GLOBALS)?.iter().map(value).collect::<Option<Box<[Value]>>>()?;
        if tree.added::<u32>(DOUBTFUL)?.iter().any(|number| value(number).is_some()) {
            return None;
        }
        let resolved = Resolved::take(&tree, globals)?;
        let source = match tree.source(origin, read)? {
            Ok(source) => source,
            Err(error) => return Some(Err(EvalError::other(error.to_string()))),
        };
        let ast = crate::watch::parsed(ev, source, || tree.ast(source, symbols).ok_or(())).ok()?;
        Some(Unit::with(ev, source, ast, &Scope::default(), |_| Ok(resolved)))
    }

    /// What is to be kept of a file that was the last to be parsed; nothing if that depends on more than the file.
    pub(crate) fn parts(&self, ev: &Evaluator, base: &str) -> Option<Vec<&'static [u8]>> {
        let is_from_home = self.ast.lints().any(|lint| lint.kind == LintKind::HomePath);
        if is_from_home || ev.settings().has_feature("pipe-operators") {
            return None;
        }
        let mut parts = KeptParts::of(&self.ast, self.source, &ev.heap);
        self.resolved.put(&mut parts);
        let (mut globals, mut doubtful) = resolve::last_names(ev, &self.ast, |name| {
            OPTIONAL.iter().any(|optional| optional.as_bytes() == name.as_bytes())
        });
        parts.add(resolve::keep(ev, &mut globals));
        parts.add(resolve::keep(ev, &mut doubtful));
        parts.add(resolve::keep(ev, &mut base.as_bytes().to_vec()));
        Some(parts.finish(&ev.heap))
    }
}
