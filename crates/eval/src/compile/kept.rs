//! Trees that the host keeps for later processes, with what their variables mean.
//!
//! Only what a text and its path decide goes into them. What the settings decide besides (which built-in values
//! there are, how deep brackets may stand inside each other) is compared when a tree is used; if it differs, the text is parsed.

use std::path::Path;
use std::sync::LazyLock;

use nival_syntax::{Ast, Condensed, KeptParts, KeptTree, LintKind, Origin, Parsed, ReadText, Source};

use super::resolve::{self, Resolved};
use super::{Scope, Unit, advise};
use crate::builtins;
use crate::error::{EvalError, Result};
use crate::evaluator::Evaluator;
use crate::host::KeptFile;
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

/// What is kept of the folder that relative paths start from: nothing if the file is in it.
fn kept_base<'b>(base: &'b str, path: &Path) -> &'b str {
    let inside = path.as_os_str().as_encoded_bytes().strip_prefix(base.as_bytes());
    let name = inside.and_then(|inside| inside.strip_prefix(b"/"));
    if name.is_some_and(|name| !name.contains(&b'/')) { "" } else { base }
}

impl Unit {
    /// The tree that was kept of the file at a path, if it is what parsing would give.
    pub(crate) fn of_kept(
        ev: &Evaluator,
        tree: &'static [u8],
        origin: Origin,
        base: &str,
        path: &Path,
        read: ReadText,
    ) -> Option<Result<&'static Unit>> {
        let tree = KeptTree::open(tree)?;
        if tree.added::<u8>(BASE)? != kept_base(base, path).as_bytes() || tree.depth() > ev.max_nesting() {
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
        let parse = || tree.ast(source, symbols).ok_or(());
        let ast = crate::watch::parsed(ev, source, parse, Ast::len).ok()?;
        Some(advise(ev, &ast).map(|()| Unit::new(source, &ast, resolved, &Scope::default())))
    }

    /// Has the host keep the tree of the file at a path, whose variables were the last to be resolved, and uses what it
    /// keeps; nothing if the tree depends on more than the file, or is not kept.
    pub(super) fn keep(
        ev: &Evaluator,
        source: &'static Source,
        parsed: &Parsed,
        base: &str,
        path: &Path,
    ) -> Option<&'static Unit> {
        let ast = &parsed.ast();
        let is_from_home = ast.lints().any(|lint| lint.kind == LintKind::HomePath);
        if is_from_home || ev.settings().has_feature("pipe-operators") {
            return None;
        }
        let condensed = Condensed::of(parsed, source);
        let (globals, doubtful) = resolve::last_names(ev, ast, |name| {
            let name = name.as_bytes();
            OPTIONAL.iter().any(|optional| optional.as_bytes() == name)
        });
        let room = ev.resolver_room.last();
        let mut parts = KeptParts::of(ast, source, &condensed);
        room.put(&mut parts);
        parts.add(&globals);
        parts.add(&doubtful);
        parts.add(kept_base(base, path).as_bytes());
        let KeptFile { tree, text } = parts.put(|parts| ev.host().keep_tree(path, parts))?;
        ev.note_loaded(tree);
        let tree = KeptTree::open_new(tree)?;
        let symbols = resolve::keep(ev, &mut ast.symbols().to_vec());
        let ast = tree.ast(source, symbols)?;
        let resolved = Resolved::take(&tree, room.globals())?;
        tree.forget_text(source, ReadText(text));
        Some(Unit::new(source, &ast, resolved, &Scope::default()))
    }
}
