//! Calling functions.

use std::collections::BTreeMap;

use nival_syntax::{Pos, Symbol};

use super::{Env, Evaluator, Observer};
use crate::code::LambdaCode;
use crate::error::{ErrorKind, EvalError, FrameText, InFrame, Result};
use crate::value::{Attr, AttrsBuilder, Builtin, Lambda, Value, View};

impl Evaluator {
    /// Calls a function with arguments. The result is evaluated.
    pub fn call(&self, function: Value, arguments: &[Value], pos: Pos) -> Result<Value> {
        let _depth = self.enter(pos)?;
        match &self.observer {
            None => self.apply_here(function, arguments, pos),
            Some(observer) => self.call_observed(observer, function, arguments, pos),
        }
    }

    #[cold]
    fn call_observed(
        &self,
        observer: &Observer,
        function: Value,
        arguments: &[Value],
        pos: Pos,
    ) -> Result<Value> {
        let work = || self.apply(function, arguments, pos);
        match observer {
            Observer::Watch(watch) => watch.call(self, function, arguments, pos, work),
            Observer::Debugging(debugging) => debugging.settle(self, work()?),
        }
    }

    /// The same, but what `builtins.break` gives back is still to be evaluated.
    pub(crate) fn call_for_debugger(&self, function: Value, arguments: &[Value], pos: Pos) -> Result<Value> {
        let _depth = self.enter(pos)?;
        self.apply(function, arguments, pos)
    }

    /// Calls a function with one argument, and what that gives with another: in the reference the first call is what the
    /// second one evaluates to know its function.
    pub(super) fn call_in_call(
        &self,
        function: Value,
        first: Value,
        second: Value,
        pos: Pos,
    ) -> Result<Value> {
        let _depth = self.enter(pos)?;
        if self.is_going_round() {
            // The reference did this the first time, and has kept it.
            let left = self.calls_left.replace(i64::MAX);
            let function = self.call(function, &[first], pos);
            self.calls_left.set(left);
            return self.apply(function?, &[second], pos);
        }
        if let View::Lambda(lambda) = function.settled().view()
            && lambda.code().arity > 1
            && self.observer.is_none()
        {
            self.check_depth(pos)?;
            return self.apply(function, &[first, second], pos);
        }
        let work = || {
            let function = self.call(function, &[first], pos)?;
            self.apply(function, &[second], pos)
        };
        match &self.observer {
            None => work(),
            // What it calls is not known before.
            Some(Observer::Watch(watch)) => watch.call(self, Value::NULL, &[second], pos, work),
            Some(Observer::Debugging(debugging)) => debugging.settle(self, work()?),
        }
    }

    /// What is inside of a call.
    #[inline(never)]
    fn apply(&self, function: Value, arguments: &[Value], pos: Pos) -> Result<Value> {
        self.apply_here(function, arguments, pos)
    }

    #[inline(always)]
    fn apply_here(&self, function: Value, arguments: &[Value], pos: Pos) -> Result<Value> {
        let mut current = self.force(function, pos)?;
        if let View::Lambda(lambda) = current.view()
            && lambda.code().takes_plainly(arguments.len())
        {
            let code = lambda.code();
            code.see();
            let frame = Env::local(&self.heap, lambda.env(), code.frame_size);
            match arguments {
                [argument] => frame.set(0, *argument),
                [first, second] => {
                    frame.set(0, *first);
                    frame.set(1, *second);
                }
                _ => {
                    for (index, argument) in (0..).zip(arguments) {
                        frame.set(index, *argument);
                    }
                }
            }
            let result = self.run_body(code, frame, pos);
            frame.leave(&self.heap, code.frame_size, &result, Env::ROOT);
            return result;
        }
        let mut rest = arguments;
        while let Some((first, others)) = rest.split_first() {
            match current.view() {
                View::Lambda(lambda) => {
                    let taken = rest.len().min(lambda.code().arity as usize);
                    current = self.call_lambda(lambda, &rest[..taken], pos)?;
                    rest = &rest[taken..];
                }
                View::Builtin(builtin) => {
                    let arity = builtin.arity();
                    if rest.len() < arity {
                        return Ok(self.partial(builtin, rest));
                    }
                    current = self.call_builtin(builtin, &rest[..arity], pos)?;
                    rest = &rest[arity..];
                }
                View::Partial(partial) => {
                    let builtin = partial.builtin();
                    let (before, missing) =
                        (partial.arguments(), builtin.arity() - partial.arguments().len());
                    let taken = missing.min(rest.len());
                    let mut all = [Value::NULL; Builtin::MOST_ARGUMENTS];
                    for (place, value) in all.iter_mut().zip(before.iter().chain(rest.iter().copied())) {
                        *place = value;
                    }
                    let all = &all[..before.len() + taken];
                    if taken < missing {
                        return Ok(self.partial(builtin, all));
                    }
                    current = self.call_builtin(builtin, all, pos)?;
                    rest = &rest[missing..];
                }
                View::Attrs(attrs) => {
                    let Some(functor) = attrs.get_attr(Symbol::FUNCTOR) else {
                        return Err(self.not_a_function(current, pos));
                    };
                    current = self.call(functor.value, &[current, *first], functor.pos()).frame(
                        "while calling a functor (an attribute set with a '__functor' attribute)",
                        pos,
                    )?;
                    rest = others;
                }
                _ => match &self.observer {
                    Some(Observer::Debugging(debugging)) if debugging.has_deferred() => {
                        current = debugging.settle(self, current)?;
                    }
                    _ => return Err(self.not_a_function(current, pos)),
                },
            }
        }
        Ok(current)
    }

    /// Calls a function with as many arguments as it takes, or fewer: that makes a function of the rest.
    fn call_lambda(&self, lambda: Lambda, arguments: &[Value], pos: Pos) -> Result<Value> {
        lambda.code().see();
        let code = lambda.code();
        let is_partial = arguments.len() < code.arity as usize;
        let mut size = code.frame_size;
        if is_partial {
            size = code.after(arguments.len()).start;
        }
        let up = if code.continues { lambda.env().up() } else { lambda.env() };
        let env =
            if is_partial { Env::escaped(&self.heap, up, size) } else { Env::local(&self.heap, up, size) };
        env.unset(size);
        if code.continues {
            env.continue_from(lambda.env(), code.start);
        }
        let mut function = code;
        let mut rest = arguments;
        while let [argument, others @ ..] = rest {
            if function.has_formals {
                function.binder(self).bind(self, function, env, *argument, pos)?;
            } else {
                env.set(function.start, *argument);
            }
            rest = others;
            match function.next {
                Some(next) => function = next,
                None => {
                    let result = self.run_body(function, env, pos);
                    env.leave(&self.heap, size, &result, Env::ROOT);
                    return result;
                }
            }
        }
        function.see();
        Ok(Lambda::new(function, env).into())
    }

    /// Runs the body of a function whose frame was filled. The caller has gone a call deeper.
    #[inline(always)]
    pub(crate) fn run_body(&self, code: &'static LambdaCode, env: Env, pos: Pos) -> Result<Value> {
        let code = code.last();
        match code.body.run(self, env) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.in_call(error, code, pos)),
        }
    }

    #[cold]
    fn in_call(&self, error: EvalError, code: &LambdaCode, pos: Pos) -> EvalError {
        if !self.shows_calls() {
            return error;
        }
        error
            .with_frame(format!("while calling {}", code.display_name()), code.pos)
            .with_frame(if pos.is_none() { "" } else { "from call site" }, pos)
    }

    #[inline]
    pub(crate) fn call_builtin(
        &self,
        builtin: &'static Builtin,
        arguments: &[Value],
        pos: Pos,
    ) -> Result<Value> {
        // The reference gives its built-in functions no position either: messages depend on it.
        let result = (builtin.run)(self, arguments, Pos::NONE).and_then(|value| self.force(value, Pos::NONE));
        match result {
            Err(error) if builtin.traced => Err(error.with_frame(FrameText::Builtin(builtin.name), pos)),
            result => result,
        }
    }

    #[cold]
    fn not_a_function(&self, value: Value, pos: Pos) -> EvalError {
        EvalError::of_type(format!(
            "attempt to call something which is not a function but {}",
            self.describe_with_value(value)
        ))
        .at(pos)
    }

    /// Calls a function that takes a set with those of the given arguments that it names, as programs do
    /// with what a file evaluates to; any other value is returned as it is.
    pub fn auto_call(&self, arguments: &BTreeMap<Symbol, Value>, value: Value) -> Result<Value> {
        let value = self.force(value, Pos::NONE)?;
        if let View::Attrs(attrs) = value.view()
            && let Some(functor) = attrs.get(Symbol::FUNCTOR)
        {
            let function = self.call(functor, &[value], Pos::NONE)?;
            return self.auto_call(arguments, function);
        }
        let View::Lambda(lambda) = value.view() else { return Ok(value) };
        let code = lambda.code();
        if !code.has_formals {
            return Ok(value);
        }
        let mut passed = AttrsBuilder::new();
        let binder = code.binder(self);
        if binder.ellipsis {
            for (name, value) in arguments {
                passed.insert(*name, *value, Pos::NONE);
            }
        } else {
            for formal in &binder.formals {
                if let Some(value) = arguments.get(&formal.name) {
                    passed.insert(formal.name, *value, Pos::NONE);
                } else if formal.default.is_none() {
                    return Err(missing_automatic_argument(formal.name).at(formal.pos));
                }
            }
        }
        self.call(value, &[self.attrs(passed)], code.pos)
    }

    /// What a function says of its arguments: name and whether there is a default. `None` for a function
    /// without `{ … }`.
    pub fn function_arguments(&self, lambda: Lambda) -> Option<Vec<(Attr, bool)>> {
        let code = lambda.code();
        if !code.has_formals {
            return None;
        }
        let attr = |formal: &crate::compile::BoundFormal| {
            let has_default = formal.default.is_some();
            (Attr::new(formal.name, Value::bool(has_default), formal.pos), has_default)
        };
        Some(code.binder(self).formals.iter().map(attr).collect())
    }
}

#[cold]
fn missing_automatic_argument(name: Symbol) -> EvalError {
    EvalError::new(
        ErrorKind::MissingArgument,
        format!(
            "cannot evaluate a function that has an argument without a value ('{}')\n\
             Nix attempted to evaluate a function as a top level expression; in\n\
             this case it must have its arguments supplied either by default\n\
             values, or passed explicitly with '--arg' or '--argstr'. See\n\
             https://nix.dev/manual/nix/stable/language/syntax.html#functions.",
            name.to_identifier()
        ),
    )
}
