//! Calls: who is called from where, and for how long.

use std::time::{SystemTime, UNIX_EPOCH};

use nival_syntax::{Pos, Symbol};

use super::clocks::Kind;
use super::stacks::Frame;
use super::{Counter, Watch, lock};
use crate::error::Result;
use crate::evaluator::Evaluator;
use crate::host::MessageKind;
use crate::value::{Builtin, Value, View};

impl Watch {
    /// Follows a call from its beginning to its end, however it ends.
    pub(crate) fn call(
        &self,
        ev: &Evaluator,
        function: Value,
        arguments: &[Value],
        pos: Pos,
        work: impl FnOnce() -> Result<Value>,
    ) -> Result<Value> {
        let mut derivation = None;
        let mut clock = None;
        if let Some((builtin, first)) = runs(function, arguments) {
            self.add(Counter::BuiltinCalls, 1);
            if self.wanted.calls {
                *lock(&self.builtin_calls).entry(builtin.name).or_default() += 1;
            }
            let is_named = self.wanted.times || self.wanted.stacks.is_some();
            if is_named && builtin.name == "derivationStrict" {
                derivation = derivation_name(ev, first);
            }
            if self.wanted.times {
                clock = self.start_clock(ev, builtin, first, derivation.as_deref());
            }
        }
        if let Some(period) = self.wanted.stacks {
            lock(&self.moving).stacks.enter(frame(function, pos, derivation), period);
        }
        if let View::Lambda(lambda) = function.view() {
            lambda.code().see();
        }
        if self.wanted.traces {
            tell(ev, "entered", pos)?;
        }
        let result = work();
        if self.wanted.traces {
            tell(ev, "exited", pos)?;
        }
        if self.wanted.stacks.is_some() {
            lock(&self.moving).stacks.leave();
        }
        if let Some(kind) = clock {
            lock(&self.moving).clocks.leave(kind);
        }
        result
    }
}

/// `trace-function-calls`, in the words of C++ Nix 2.34 (`function-trace.cc`).
fn tell(ev: &Evaluator, what: &str, pos: Pos) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    ev.say(MessageKind::Notice, format!("function-trace {what} {} at {now}", pos.display()).as_bytes())
}

/// How a flamegraph names a call; `eval-profiler.cc` has where which position is taken.
fn frame(function: Value, pos: Pos, derivation: Option<String>) -> Frame {
    let or = |other| if pos.is_none() { other } else { pos };
    match function.view() {
        // A function that nobody has looked at is not known to be one in the reference.
        View::Lambda(lambda) if !lambda.code().is_seen() => Frame::Other(pos),
        View::Lambda(lambda) => Frame::Function(or(lambda.code().pos), lambda.code().name),
        View::Builtin(builtin) => match derivation {
            Some(name) => Frame::Derivation(pos, name),
            None => Frame::Builtin(pos, builtin.name),
        },
        View::Partial(partial) => Frame::Builtin(pos, partial.builtin().name),
        View::Attrs(attrs) => match attrs.get_attr(Symbol::FUNCTOR) {
            Some(functor) => Frame::Functor(or(functor.pos())),
            None => Frame::Other(pos),
        },
        _ => Frame::Other(pos),
    }
}

/// The built-in function that is called with all of its arguments, if it is one, and its first argument.
fn runs(function: Value, arguments: &[Value]) -> Option<(&'static Builtin, Value)> {
    match function.view() {
        View::Builtin(builtin) if arguments.len() >= builtin.arity() => Some((builtin, *arguments.first()?)),
        View::Partial(partial) => {
            let (before, builtin) = (partial.arguments(), partial.builtin());
            let runs = before.len() + arguments.len() >= builtin.arity();
            runs.then_some((builtin, before.iter().next()?))
        }
        _ => None,
    }
}

/// The name of a derivation, which is evaluated for it: that is also the first thing that the call does.
fn derivation_name(ev: &Evaluator, attrs: Value) -> Option<String> {
    let View::Attrs(attrs) = ev.force(attrs, Pos::NONE).ok()?.view() else { return None };
    text(ev, attrs.get(Symbol::intern("name"))?)
}

fn text(ev: &Evaluator, value: Value) -> Option<String> {
    let value = ev.force(value, Pos::NONE).ok()?;
    match value.view() {
        View::String(text) => Some(String::from_utf8_lossy(text.bytes()).into_owned()),
        _ => None,
    }
}

impl Watch {
    /// Options and modules make themselves known by what their errors say; packages by their derivations.
    fn start_clock(
        &self,
        ev: &Evaluator,
        builtin: &Builtin,
        first: Value,
        derivation: Option<&str>,
    ) -> Option<Kind> {
        let (kind, name) = match derivation {
            Some(name) => (Kind::Package, name.to_owned()),
            None if builtin.name == "addErrorContext" => named_in_context(&text(ev, first)?)?,
            None => return None,
        };
        let clocks = &mut lock(&self.moving).clocks;
        let id = clocks.id(kind, &name);
        clocks.enter(kind, id);
        Some(kind)
    }
}

/// What a context of `lib.evalModules` is about.
fn named_in_context(context: &str) -> Option<(Kind, String)> {
    let quoted = |text: &str, end: &[char]| text.split(end).next().map(str::to_owned);
    if let Some(rest) = context.strip_prefix("while evaluating the option `") {
        return Some((Kind::Option, quoted(rest, &['\'', '`'])?));
    }
    if let Some(rest) = context.strip_prefix("while evaluating definitions from `") {
        return Some((Kind::Module, quoted(rest, &['\'', '`'])?));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_of_the_module_system() {
        let table = [
            ("while evaluating the option `a.b':", Some((Kind::Option, "a.b"))),
            ("while evaluating definitions from `/x/y.nix':", Some((Kind::Module, "/x/y.nix"))),
            ("while evaluating something else", None),
        ];
        for (context, expected) in table {
            let expected = expected.map(|(kind, name)| (kind, name.to_owned()));
            assert_eq!(named_in_context(context), expected, "{context}");
        }
    }
}
