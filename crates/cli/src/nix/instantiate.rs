//! `nix-instantiate`: evaluates files or expressions, to values or to store derivations.

use std::collections::BTreeMap;
use std::sync::Arc;

use nival_eval::{Coercion, Evaluator, Value};
use nival_syntax::{Origin, Pos, Symbol};

use super::flags::{CommandLine, Flags, unrecognised};
use crate::building;
use crate::context::Context;
use crate::error::Result;
use crate::evaluation::{Arguments, Evaluated, Session, argument_values, file_argument, read_stdin};
use crate::output::Output;
use crate::store_place::StorePlace;
use crate::world::World;

/// What is done with each input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Instantiate,
    Evaluate,
    Parse,
    FindFile,
}

/// How a value is printed.
#[derive(Clone, Copy)]
enum Format {
    Expression,
    Raw,
    Xml,
    Json,
}

/// One thing to evaluate.
enum Input {
    Stdin(Vec<u8>),
    Expression(String),
    File(String),
}

struct Instantiate {
    inputs: Vec<String>,
    stdin: bool,
    expressions: bool,
    mode: Mode,
    format: Format,
    strict: bool,
    places: bool,
    read_write: bool,
    dry_run: bool,
    attributes: Vec<String>,
    root: Option<String>,
}

pub(super) fn run(context: &Context, output: Output) -> Result {
    let mut flags = Flags::new(context, output)?;
    let Some(command) = parse(context, output, &mut flags)? else { return Ok(()) };
    let place = StorePlace::decide(context, flags.eval_store.as_deref().or(flags.store.as_deref()))?;
    let mut world = World::new(context.clone(), flags.settings, output, place, false);
    world.as_reference = true;
    world.read_only = command.dry_run || command.mode != Mode::Instantiate && !command.read_write;
    let world = Arc::new(world);
    let inputs = command.inputs(context)?;
    let work = Work { command: &command, world: &world, arguments: &flags.arguments };
    // The evaluator's errors are rendered by the session; those of the commands go around it.
    let mut outcome = Ok(());
    Session::new(&world, &flags.include).run(|evaluator| {
        outcome = work.run(evaluator, &inputs)?;
        Ok(())
    })?;
    outcome
}

/// Reads the command line; nothing if that was already all.
fn parse(context: &Context, output: Output, flags: &mut Flags) -> Result<Option<Instantiate>> {
    let mut line = CommandLine::new(context);
    let mut command = Instantiate {
        inputs: Vec::new(),
        stdin: false,
        expressions: false,
        mode: Mode::Instantiate,
        format: Format::Expression,
        strict: false,
        places: true,
        read_write: false,
        dry_run: false,
        attributes: Vec::new(),
        root: None,
    };
    while let Some(argument) = line.next() {
        match argument.as_str() {
            "--version" => {
                output.line(super::version("nix-instantiate"));
                return Ok(None);
            }
            "-" => command.stdin = true,
            "-E" | "--expr" => command.expressions = true,
            "--eval" | "--eval-only" if command.mode != Mode::Instantiate => {}
            "--eval" | "--eval-only" => command.mode = Mode::Evaluate,
            "--parse" | "--parse-only" => command.mode = Mode::Parse,
            "--find-file" => command.mode = Mode::FindFile,
            "--read-write-mode" => command.read_write = true,
            "--dry-run" => command.dry_run = true,
            "--raw" => command.format = Format::Raw,
            "--xml" => command.format = Format::Xml,
            "--json" => command.format = Format::Json,
            "--no-location" => command.places = false,
            "--strict" => command.strict = true,
            "-A" | "--attr" => command.attributes.push(line.value(&argument)?),
            "--add-root" => command.root = Some(line.value(&argument)?),
            "--indirect" => {}
            flag if flag.starts_with('-') => {
                if !flags.take(flag, &mut line, context, output)? {
                    return Err(unrecognised(flag));
                }
            }
            _ => command.inputs.push(argument),
        }
    }
    if command.attributes.is_empty() {
        command.attributes.push(String::new());
    }
    Ok(Some(command))
}

impl Instantiate {
    fn inputs(&self, context: &Context) -> Result<Vec<Input>> {
        let mut inputs = Vec::new();
        if self.stdin {
            inputs.push(Input::Stdin(read_stdin()?));
        } else if self.inputs.is_empty() && !self.expressions && self.mode != Mode::FindFile {
            inputs.push(Input::File("default.nix".into()));
        }
        let named = |text: &String| {
            if self.expressions {
                Input::Expression(text.clone())
            } else if text.starts_with('<') || self.mode == Mode::FindFile {
                Input::File(text.clone())
            } else {
                Input::File(context.absolute(text).to_string_lossy().into_owned())
            }
        };
        inputs.extend(self.inputs.iter().map(named));
        Ok(inputs)
    }
}

struct Work<'a> {
    command: &'a Instantiate,
    world: &'a Arc<World>,
    arguments: &'a Arguments,
}

impl Work<'_> {
    fn run(&self, evaluator: &Evaluator, inputs: &[Input]) -> Evaluated<Result> {
        let base = self.world.context.directory.to_string_lossy();
        let arguments = argument_values(evaluator, self.arguments, &base)?;
        let mut roots = 0;
        for input in inputs {
            if let (Mode::FindFile, Input::File(name)) = (self.command.mode, input) {
                let found = evaluator.find_file(&evaluator.settings().search_path, name)?;
                self.world.output.line(found.bytes());
                continue;
            }
            if self.command.mode == Mode::Parse {
                self.world.output.line(self.parsed(evaluator, input, &base)?);
                continue;
            }
            let root = self.value(evaluator, input, &base)?;
            for path in &self.command.attributes {
                let value = evaluator.find_along_path(path, &arguments, root)?;
                if self.command.mode == Mode::Evaluate {
                    self.show(evaluator, &arguments, value)?;
                } else if let Err(error) = self.instantiate(evaluator, &arguments, value, &mut roots)? {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }

    fn parsed(&self, evaluator: &Evaluator, input: &Input, base: &str) -> Evaluated<Vec<u8>> {
        match input {
            Input::Stdin(text) => evaluator.show_parsed(Origin::Stdin, text.clone(), base),
            Input::Expression(text) => evaluator.show_parsed(Origin::String, text.as_bytes().to_vec(), base),
            Input::File(name) => {
                evaluator.show_parsed_file(&file_argument(evaluator, &self.world.context, name)?)
            }
        }
    }

    fn value(&self, evaluator: &Evaluator, input: &Input, base: &str) -> Evaluated<Value> {
        match input {
            Input::Stdin(text) => evaluator.eval_text(Origin::Stdin, text.clone(), base),
            Input::Expression(text) => evaluator.eval_text(Origin::String, text.as_bytes().to_vec(), base),
            Input::File(name) => {
                evaluator.eval_file_by_itself(&file_argument(evaluator, &self.world.context, name)?)
            }
        }
    }

    fn show(
        &self,
        evaluator: &Evaluator,
        arguments: &BTreeMap<Symbol, Value>,
        mut value: Value,
    ) -> Evaluated<()> {
        let Instantiate { strict, places, format, .. } = *self.command;
        let output = self.world.output;
        if !arguments.is_empty() {
            value = evaluator.auto_call(arguments, value)?;
        }
        match format {
            Format::Raw => {
                let frame = "while generating the nix-instantiate output";
                output.data(evaluator.coerce_to_string(value, Coercion::Plain, Pos::NONE, frame)?.bytes());
            }
            Format::Xml => output.data(evaluator.to_xml(value, strict, places)?),
            Format::Json => output.line(evaluator.to_json(value, strict)?),
            Format::Expression => {
                if strict {
                    value = evaluator.force_deep(value)?;
                }
                output.line(evaluator.print_ambiguous(value)?);
            }
        }
        Ok(())
    }

    fn instantiate(
        &self,
        evaluator: &Evaluator,
        arguments: &BTreeMap<Symbol, Value>,
        value: Value,
        roots: &mut u32,
    ) -> Evaluated<Result> {
        let packages = evaluator.packages(value, arguments)?;
        Ok(self.write(&packages, roots))
    }

    /// Writes the derivations and prints where they are.
    fn write(&self, packages: &[nival_eval::Package], roots: &mut u32) -> Result {
        self.world.write_derivations()?;
        for package in packages {
            let mut shown = self.world.store_dir().display(&package.derivation);
            *roots += 1;
            match &self.command.root {
                None if *roots == 1 => self.world.output.warn(
                    "warning: you did not specify '--add-root'; the result might be removed by the garbage collector",
                ),
                Some(root) if self.world.keeps_what_is_added() => {
                    let name = if *roots > 1 { format!("{root}-{roots}") } else { root.clone() };
                    let link = self.world.context.absolute(name);
                    building::make_result_link(self.world, &link, shown.as_ref())?;
                    shown = link.to_string_lossy().into_owned();
                }
                _ => {}
            }
            if package.output != "out" {
                shown = format!("{shown}!{}", package.output);
            }
            self.world.output.line(shown);
        }
        Ok(())
    }
}
