//! What a debugger sees when evaluation has stopped.

use nival_syntax::ast::{AttrName, Expr};
use nival_syntax::{Pos, Symbol, print};

use super::nodes::{Entry, Kind};
use crate::compile;
use crate::error::EvalError;
use crate::evaluator::Evaluator;
use crate::interactive::Variables;
use crate::value::{Value, View};

/// How evaluation goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resume {
    /// Until the next error or `builtins.break`.
    Continue,
    /// Until the next call, selection, `let` or file.
    Step,
    /// Not at all: there is no stop any more.
    Quit,
}

/// Where and why evaluation has stopped.
pub struct Stop<'a> {
    /// The innermost first; never empty.
    pub frames: Vec<StackFrame>,
    /// The error, or what says that a breakpoint was reached.
    pub error: Option<&'a EvalError>,
    /// Whether it is `builtins.break`.
    pub is_breakpoint: bool,
    /// Whether a `tryEval` is around.
    pub in_try: bool,
}

/// One step of what is being evaluated.
pub struct StackFrame {
    /// What it is: a text, a name in it, and the rest of the text.
    pub text: [String; 3],
    /// Where it is.
    pub pos: Pos,
    /// Whether it is where the error came up.
    pub is_error: bool,
    entry: Entry,
}

/// Variables that came into scope together.
pub struct ScopeNames {
    /// Their names.
    pub names: Vec<Symbol>,
    /// For `with`: the attributes of its set, if that was evaluated.
    pub with: Option<Vec<Symbol>>,
}

impl<'a> Stop<'a> {
    pub(super) fn new(
        entries: &[Entry],
        error: Option<&'a EvalError>,
        is_breakpoint: bool,
        in_try: bool,
    ) -> Stop<'a> {
        let mut frames = Vec::new();
        if let (Some(error), Some(entry)) = (error, entries.last()) {
            let own = if is_breakpoint { Pos::NONE } else { error.pos() };
            let around = entry.place.unit.ast.pos(entry.place.id);
            let pos = if own.is_none() && !is_breakpoint { around } else { own };
            let text = [error.message().to_owned(), String::new(), String::new()];
            frames.push(StackFrame { text, pos, is_error: true, entry: entry.clone() });
        }
        frames.extend(entries.iter().rev().filter_map(StackFrame::of));
        if let (true, Some(entry)) = (frames.is_empty(), entries.last()) {
            let text = ["while evaluating an expression".to_owned(), String::new(), String::new()];
            let pos = entry.place.unit.ast.pos(entry.place.id);
            frames.push(StackFrame { text, pos, is_error: false, entry: entry.clone() });
        }
        Stop { frames, error, is_breakpoint, in_try }
    }
}

impl StackFrame {
    fn of(entry: &Entry) -> Option<StackFrame> {
        let ast = &entry.place.unit.ast;
        let pos = ast.pos(entry.place.id);
        let (text, pos) = match &entry.place.kind {
            Kind::Expression => return None,
            Kind::Call => (["while calling a function", "", ""].map(str::to_owned), pos),
            Kind::Let => (["while evaluating a '", "let", "' expression"].map(str::to_owned), Pos::NONE),
            Kind::Selection => {
                let path: &[AttrName] = match ast.expr(entry.place.id) {
                    Expr::Select { path, .. } => ast.path(path),
                    _ => &[],
                };
                let path = String::from_utf8_lossy(&print::attr_path(ast, path)).into_owned();
                (["while evaluating the attribute '".to_owned(), path, "'".to_owned()], pos)
            }
            Kind::Function(name, pos) => {
                let name = name.map_or_else(|| "anonymous lambda".to_owned(), |name| format!("'{name}'"));
                (["while calling ".to_owned(), name, String::new()], *pos)
            }
            Kind::File(path) => {
                let path = path.display().to_string();
                (["while evaluating the file '".to_owned(), path, "':".to_owned()], pos)
            }
        };
        Some(StackFrame { text, pos, is_error: false, entry: entry.clone() })
    }

    /// What is in scope, the innermost first; the built-in names are not among them.
    pub fn scopes(&self, evaluator: &Evaluator) -> Vec<ScopeNames> {
        let scopes = compile::scopes_at(evaluator, self.entry.place.unit, self.entry.place.id);
        scopes
            .into_iter()
            .rev()
            .map(|scope| ScopeNames {
                names: {
                    let mut names: Vec<Symbol> = scope.variables.iter().map(|variable| variable.0).collect();
                    // In the order in which names were first met, as the reference has them.
                    names.sort_by_key(|name| name.id());
                    names
                },
                with: scope.with.and_then(|(depth, index)| {
                    let View::Attrs(attrs) = self.value(depth, index)?.view() else { return None };
                    Some(attrs.iter().map(|attr| attr.name).collect())
                }),
            })
            .collect()
    }

    /// The variables in scope with their values.
    pub fn variables(&self, evaluator: &Evaluator) -> Variables {
        let mut variables = Variables::default();
        for scope in compile::scopes_at(evaluator, self.entry.place.unit, self.entry.place.id) {
            for (name, depth, index) in scope.variables {
                if let Some(value) = self.value(depth, index) {
                    variables.set(name, value);
                }
            }
            let with = scope.with.and_then(|(depth, index)| self.value(depth, index));
            if let Some(View::Attrs(attrs)) = with.map(Value::view) {
                for attr in attrs {
                    variables.set(attr.name, attr.value);
                }
            }
        }
        variables
    }

    fn value(&self, depth: u32, index: u32) -> Option<Value> {
        self.entry.env.outer(depth).slot(index).get_if_set().map(Value::settled)
    }
}
