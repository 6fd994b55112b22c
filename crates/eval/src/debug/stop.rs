//! What a debugger sees when evaluation has stopped.

use nival_syntax::ast::{AttrName, Expr};
use nival_syntax::{Diagnostic, Frame, Pos, Symbol, print};

use super::fake::{self, Birth, BirthPlace};
use super::nodes::{Entry, Kind};
use crate::compile::{self, NamedScope};
use crate::error::EvalError;
use crate::evaluator::{Env, Evaluator};
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

/// What is in scope.
pub struct Scopes {
    /// From the innermost outwards.
    pub inner: Vec<ScopeNames>,
    /// The names around all these; the built-in ones if there are none.
    pub outermost: Option<Vec<Symbol>>,
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
            let around = fake::position(&entry.place.unit.ast, entry.place.id);
            let own = match Birth::of(error).place {
                _ if is_breakpoint => Pos::NONE,
                BirthPlace::Own => error.pos(),
                BirthPlace::Nowhere => Pos::NONE,
                BirthPlace::Around => around,
            };
            if !around.is_none() {
                let text = [error.message().to_owned(), String::new(), String::new()];
                frames.push(StackFrame { text, pos: own, is_error: true, entry: *entry });
            }
        }
        frames.extend(entries.iter().rev().map(StackFrame::of));
        Stop { frames, error, is_breakpoint, in_try }
    }

    /// The error as it is before it goes anywhere.
    pub fn diagnostic(&self) -> Option<Diagnostic> {
        let error = self.error?;
        let mut diagnostic = error.to_diagnostic();
        let birth = Birth::of(error);
        let innermost = birth.has_frame.then(|| {
            let innermost = diagnostic.frames.pop();
            // One that says nothing is left out here, and what comes then was put on later.
            let later = ["while calling the '", "in genericClosure element "];
            let own = innermost.filter(|frame| !later.iter().any(|text| frame.text.starts_with(text)));
            own.unwrap_or_else(|| Frame { text: String::new(), pos: Pos::NONE, always: false })
        });
        diagnostic.frames = innermost.into_iter().collect();
        if matches!(birth.place, BirthPlace::Nowhere) {
            diagnostic.pos = Pos::NONE;
        }
        Some(diagnostic)
    }
}

impl StackFrame {
    fn of(entry: &Entry) -> StackFrame {
        let ast = &entry.place.unit.ast;
        let pos = fake::position(ast, entry.place.id);
        let (text, pos) = match &entry.place.kind {
            Kind::Fake => (["Fake frame for debugging purposes", "", ""].map(str::to_owned), pos),
            Kind::Attribute(name, pos) => {
                (["while evaluating the attribute '".to_owned(), name.to_identifier(), "'".to_owned()], *pos)
            }
            Kind::Call => (["while calling a function", "", ""].map(str::to_owned), pos),
            Kind::Let => (["while evaluating a '", "let", "' expression"].map(str::to_owned), Pos::NONE),
            Kind::Selection => {
                let path: Vec<AttrName> = match ast.expr(entry.place.id) {
                    Expr::Select { path, .. } => ast.path(path).collect(),
                    _ => Vec::new(),
                };
                let path = String::from_utf8_lossy(&print::attr_path(ast, &path)).into_owned();
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
        let is_error = matches!(entry.place.kind, Kind::Fake);
        StackFrame { text, pos, is_error, entry: *entry }
    }

    /// What is in scope.
    pub fn scopes(&self, evaluator: &Evaluator) -> Scopes {
        let mut inner = Vec::new();
        for (scope, env) in self.frames_of_scopes(evaluator).into_iter().rev() {
            let mut names: Vec<Symbol> = scope.variables.iter().map(|variable| variable.0).collect();
            // In the order in which names were first met, as the reference has them.
            names.sort_by_key(|name| name.id());
            let with = match (scope.with, env) {
                (Some((_, index)), Some(env)) => match value(env, index).map(Value::view) {
                    Some(View::Attrs(attrs)) => Some(attrs.iter().map(|attr| attr.name).collect()),
                    _ => None,
                },
                _ => None,
            };
            inner.push(ScopeNames { names, with });
        }
        let steps_out = fake::steps_out(evaluator, &self.entry);
        let rest = inner.split_off(inner.len().saturating_sub(steps_out));
        Scopes { inner, outermost: rest.into_iter().next().map(|scope| scope.names) }
    }

    /// The variables in scope with their values.
    pub fn variables(&self, evaluator: &Evaluator) -> Variables {
        let mut variables = Variables::default();
        for (scope, env) in self.frames_of_scopes(evaluator) {
            let Some(env) = env else { continue };
            for (name, _, index) in scope.variables {
                if let Some(value) = value(env, index) {
                    variables.set(name, value);
                }
            }
            let with = scope.with.and_then(|(_, index)| value(env, index));
            if let Some(View::Attrs(attrs)) = with.map(Value::view) {
                for attr in attrs {
                    variables.set(attr.name, attr.value);
                }
            }
        }
        variables
    }

    /// The scopes from the outermost inwards, each with its frame, if that is there already.
    fn frames_of_scopes(&self, evaluator: &Evaluator) -> Vec<(NamedScope, Option<Env>)> {
        let Entry { place, env } = self.entry;
        let steps_out = fake::steps_out(evaluator, &self.entry) as u32;
        let scopes = compile::scopes_at(evaluator, place.unit, place.id);
        let frame = |scope: NamedScope| {
            let of_variables = scope.variables.first().map(|variable| variable.1);
            let depth = of_variables.or(scope.with.map(|with| with.0));
            let env = depth.and_then(|depth| depth.checked_sub(steps_out)).map(|depth| env.outer(depth));
            (scope, env)
        };
        scopes.into_iter().map(frame).collect()
    }
}

fn value(env: Env, index: u32) -> Option<Value> {
    env.slot(index).get_if_set().map(Value::settled)
}
