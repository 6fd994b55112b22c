//! `nival repl` and `nix repl`: expressions, bindings and commands, line by line.

mod building;
mod commands;
mod debugger;
mod documentation;
mod editing;
mod hints;
mod input;
mod interrupt;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nival_eval::debug::{Resume, Stop};
use nival_eval::{
    Attrs, ErrorKind, EvalError, Evaluator, Line, PrintErrors, PrintOptions, Value, Variables, View,
};
use nival_syntax::{Pos, Symbol};

use crate::context::REFERENCE_VERSION;
use crate::error::CommandError;
use crate::evaluation::{Evaluated, Installables, Session, argument_values, render};
use crate::world::World;
pub(crate) use debugger::debugger;
use input::{Input, Prompt};

/// What a REPL starts with.
pub(crate) struct Start {
    pub(crate) installables: Installables,
    /// Those of them whose attributes are variables from the beginning.
    pub(crate) names: Vec<String>,
    pub(crate) include: Vec<String>,
}

/// Reads and answers lines until the user leaves.
pub(crate) fn run(world: &Arc<World>, start: &Start) -> crate::error::Result {
    Session::new(world, &start.include).run(|evaluator| {
        interrupt::watch(evaluator);
        let mut repl = Repl::new(world, evaluator, start)?;
        world.greet();
        repl.load_files_and_installables().map_err(Problem::into_evaluation)?;
        repl.answer_lines();
        Ok(())
    })?;
    world.write_derivations()
}

impl World {
    /// Says which program this is, when its first REPL opens.
    fn greet(&self) {
        let (name, version) =
            if self.as_reference { ("Nix", REFERENCE_VERSION) } else { ("Nival", env!("CARGO_PKG_VERSION")) };
        if !self.has_greeted.swap(true, Ordering::Relaxed) {
            let debugger = if self.debugger.is_some() { " debugger" } else { "" };
            self.output.say(format!("{name} {version}{debugger}\nType :? for help."));
        }
    }
}

/// One REPL.
struct Repl<'a> {
    world: &'a Arc<World>,
    evaluator: &'a Evaluator,
    /// What it started with, and nothing where evaluation has stopped.
    start: Option<&'a Start>,
    /// Where evaluation has stopped, and which step of it is looked at.
    stop: Option<&'a Stop<'a>>,
    frame: usize,
    arguments: BTreeMap<Symbol, Value>,
    variables: Variables,
    /// Files and flakes that commands have loaded, to be loaded again.
    files: Vec<String>,
    flakes: Vec<String>,
    last_loaded: Option<Attrs>,
    show_trace: bool,
    base: String,
}

/// How it goes on after a line.
enum Step {
    Again,
    Leave(Resume),
}

/// Why a line was not answered.
enum Problem {
    Evaluation(EvalError),
    Command(CommandError),
    /// More lines belong to it.
    Incomplete,
}

impl From<EvalError> for Problem {
    fn from(error: EvalError) -> Self {
        Self::Evaluation(error)
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::Command(CommandError::failure(crate::error::reason(&error)))
    }
}

impl Problem {
    fn message(text: impl Into<String>) -> Self {
        Self::Evaluation(EvalError::other(text))
    }

    fn into_evaluation(self) -> EvalError {
        match self {
            Self::Evaluation(error) => error,
            Self::Command(error) => EvalError::other(error.message),
            Self::Incomplete => EvalError::other("unexpected end of input"),
        }
    }
}

type Answer<T = ()> = Result<T, Problem>;

impl<'a> Repl<'a> {
    fn new(world: &'a Arc<World>, evaluator: &'a Evaluator, start: &'a Start) -> Evaluated<Self> {
        let base = world.context.directory.to_string_lossy().into_owned();
        Ok(Self {
            world,
            evaluator,
            start: Some(start),
            stop: None,
            frame: 0,
            arguments: argument_values(evaluator, &start.installables.arguments, &base)?,
            variables: Variables::default(),
            files: Vec::new(),
            flakes: Vec::new(),
            last_loaded: None,
            show_trace: world.settings.show_trace,
            base,
        })
    }

    fn at_stop(world: &'a Arc<World>, evaluator: &'a Evaluator, stop: &'a Stop<'a>) -> Self {
        Self {
            world,
            evaluator,
            start: None,
            stop: Some(stop),
            frame: 0,
            arguments: BTreeMap::new(),
            variables: stop.frames[0].variables(evaluator),
            files: Vec::new(),
            flakes: Vec::new(),
            last_loaded: None,
            show_trace: world.settings.show_trace,
            base: world.context.directory.to_string_lossy().into_owned(),
        }
    }

    /// Until the user leaves, and how.
    fn answer_lines(&mut self) -> Resume {
        let mut input = Input::open(self.world, self.evaluator, &self.base);
        let mut text = String::new();
        let resume = loop {
            input.offer(&self.variables);
            let prompt = if text.is_empty() { Prompt::First } else { Prompt::More };
            match input.read(prompt) {
                input::Read::Line(line) => {
                    text.push_str(&line);
                    text.push('\n');
                }
                input::Read::Interrupted => {
                    text.clear();
                    continue;
                }
                input::Read::End => {
                    self.world.output.line("");
                    break Resume::Quit;
                }
            }
            self.evaluator.begin_anew();
            match self.answer(&text) {
                Ok(Step::Again) => {}
                Ok(Step::Leave(resume)) => break resume,
                Err(Problem::Incomplete) => continue,
                Err(problem) => self.complain(&problem),
            }
            text.clear();
            self.world.output.line("");
        };
        input.close();
        resume
    }

    fn complain(&self, problem: &Problem) {
        let text = match problem {
            // Where it was at that moment says nothing.
            Problem::Evaluation(error) if error.kind() == ErrorKind::Interrupted => {
                format!("error: {}", error.message())
            }
            Problem::Evaluation(error) => render(self.world, error, self.show_trace),
            Problem::Command(error) => error.render(),
            Problem::Incomplete => return,
        };
        self.world.output.alert(text.trim_end());
    }

    fn answer(&mut self, text: &str) -> Answer<Step> {
        let text = text.trim_matches([' ', '\n', '\r', '\t']);
        if text.is_empty() {
            return Ok(Step::Again);
        }
        if text.starts_with(':') {
            let (command, argument) = text.split_once([' ', '\n', '\r', '\t']).unwrap_or((text, ""));
            return self.command(command, argument.trim_matches([' ', '\n', '\r', '\t']));
        }
        match self.evaluator.eval_line(&self.variables, text, &self.base)? {
            // A comment is the beginning of something.
            Line::Bindings(attrs) if attrs.is_empty() && text.starts_with(['#', '/']) => {
                return Err(Problem::Incomplete);
            }
            Line::Bindings(attrs) => {
                for attr in attrs {
                    self.variables.set(attr.name, attr.value);
                }
            }
            Line::Value(value) => self.print(value, 1)?,
            Line::Incomplete => return Err(Problem::Incomplete),
        }
        Ok(Step::Again)
    }

    /// Evaluates the expression that a command is given.
    fn evaluate(&self, text: &str) -> Answer<Value> {
        let value = self.evaluator.eval_expression(&self.variables, text, &self.base)?;
        value.ok_or(Problem::Incomplete)
    }

    /// Whether values are coloured, as the reference has them also where there is no terminal.
    fn colours(&self) -> bool {
        self.world.as_reference || self.world.context.output_terminal
    }

    fn print(&self, value: Value, max_depth: usize) -> Answer {
        let options = PrintOptions {
            force: true,
            derivation_paths: true,
            max_depth,
            indent: 2,
            errors: PrintErrors::FailAtTop,
            colours: self.colours(),
            ..PrintOptions::default()
        };
        let mut text = Vec::new();
        let printed = self.evaluator.print_into(&mut text, value, &options);
        if printed.is_ok() {
            text.push(b'\n');
        }
        self.world.output.data(text);
        Ok(printed?)
    }

    /// Makes the attributes of a set variables.
    fn add_to_scope(&mut self, value: Value) -> Answer {
        let frame = "while evaluating an attribute set to be merged in the global scope";
        let value = self.evaluator.force(value, Pos::NONE)?;
        let pos = if let View::Lambda(lambda) = value.view() { lambda.pos() } else { Pos::NONE };
        let attrs = self.evaluator.force_attrs(value, pos, frame)?;
        for attr in attrs {
            self.variables.set(attr.name, attr.value);
        }
        self.last_loaded = Some(attrs);
        let names: Vec<String> = attrs.by_name().take(20).map(|attr| attr.name.to_identifier()).collect();
        let output = self.world.output;
        output.say(format!("Added {} variables.", attrs.len()));
        output.say(names.join(", "));
        if attrs.len() > names.len() {
            output.say(format!("... and {} more; view with :ll", attrs.len() - names.len()));
        }
        Ok(())
    }

    fn load_files_and_installables(&mut self) -> Answer {
        for file in std::mem::take(&mut self.files) {
            self.world.output.say(format!("Loading \"{file}\"..."));
            self.load_file(&file)?;
        }
        let Some(Start { installables, names, .. }) = self.start else { return Ok(()) };
        let mut values = Vec::new();
        for name in names {
            let value = installables.value(self.evaluator, &self.world.context, name)?;
            let value = if installables.is_file() {
                self.evaluator.auto_call(&self.arguments, value)?
            } else {
                value
            };
            values.push((installables.describe(self.evaluator, &self.world.context, name), value));
        }
        for (what, value) in values {
            self.world.output.say(format!("Loading installable '{what}'..."));
            self.add_to_scope(value)?;
        }
        Ok(())
    }
}
