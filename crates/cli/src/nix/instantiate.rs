//! `nix-instantiate`: evaluates files or expressions, to values or to store derivations.

use std::collections::BTreeMap;
use std::sync::Arc;

use nival_eval::host::EMBEDDED;
use nival_eval::{Coercion, EvalError, Evaluator, Value};
use nival_syntax::{Origin, Pos, Symbol};

use super::flags::{CommandLine, Flags, misuse, unrecognised};
use crate::building;
use crate::context::Context;
use crate::error::Result;
use crate::evaluation::{Arguments, Evaluated, Session, argument_values, file_argument, read_stdin};
use crate::output::Output;
use crate::store_place::StorePlace;
use crate::world::World;

/// What `--help` prints.
const HELP: &str = include_str!("instantiate_help.txt");

/// What is done with each input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Instantiate,
    Evaluate,
    Parse,
    FindFile,
}

/// How a value is printed.
#[derive(Clone, Copy, Debug)]
enum Format {
    Expression,
    Raw,
    Xml,
    Json,
}

/// One thing to evaluate.
#[derive(Debug)]
enum Input {
    Stdin(Vec<u8>),
    Expression(String),
    File(String),
}

#[derive(Debug)]
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
    warns_of_collection: bool,
    attributes: Vec<String>,
    root: Option<String>,
}

pub(super) fn run(context: &Context, output: Output) -> Result {
    let mut flags = Flags::new(context, output)?;
    let Some(command) = parse(context, output, &mut flags)? else { return Ok(()) };
    let output = flags.output(output);
    let place = StorePlace::decide(context, flags.eval_store.as_deref().or(flags.store.as_deref()))?;
    let (verbosity, existing) = (flags.verbosity(), flags.existing);
    // What is printed as a whole is parsed as quickly as it is looked up.
    flags.settings.parse_cache &= command.mode != Mode::Parse;
    let mut world = World::new(context.clone(), flags.settings, output, place, false);
    world.as_reference = context.is_called_as_reference();
    world.verbosity = verbosity;
    world.existing = existing;
    world.read_only = command.dry_run || command.mode != Mode::Instantiate && !command.read_write;
    let world = Arc::new(world);
    let inputs = command.inputs()?;
    let work = Work { command: &command, world: &world, arguments: &flags.arguments };
    let question = [format!("{} {command:?} {inputs:?} {:?}", context.directory.display(), flags.arguments)];
    let mut roots = 0;
    Session::new(&world, &flags.include).answer(
        &question,
        |evaluator, say| work.run(evaluator, &inputs, say),
        |bytes| match command.mode {
            Mode::Instantiate => work.write(bytes, &mut roots),
            _ => {
                output.data(bytes);
                Ok(())
            }
        },
    )
}

/// Takes parts of the answer: text to print, or the path of a derivation with `!OUTPUT`.
type Say<'a> = dyn FnMut(&[u8]) + 'a;

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
        warns_of_collection: true,
        attributes: Vec::new(),
        root: None,
    };
    while let Some(argument) = line.next_argument() {
        match argument.as_str() {
            "--version" => {
                output.line(super::version("nix-instantiate"));
                return Ok(None);
            }
            "--help" => {
                let name =
                    if context.is_called_as_reference() { "nix-instantiate" } else { "nival instantiate" };
                output.data(HELP.replace("nix-instantiate", name));
                return Ok(None);
            }
            "--cores" | "--max-silent-time" | "--timeout" if !line.takes_words_only() => {
                let [value] = line.values(&argument)?;
                let number = number_with_unit(&value)?.to_string();
                flags.settings.apply(argument.trim_start_matches('-'), &number).map_err(misuse)?;
            }
            "-k" => flags.settings.keep_going = true,
            "-K" => flags.settings.keep_failed = true,
            "-Q" | "--no-build-output" => {}
            "-" => command.stdin = true,
            "-E" | "--expr" => command.expressions = true,
            "--eval" | "--eval-only" if command.mode != Mode::Instantiate => {}
            "--eval" | "--eval-only" => command.mode = Mode::Evaluate,
            "--parse" | "--parse-only" => command.mode = Mode::Parse,
            "--find-file" => command.mode = Mode::FindFile,
            "--read-write-mode" => command.read_write = true,
            "--dry-run" | "--readonly-mode" => command.dry_run = true,
            "--no-gc-warning" => command.warns_of_collection = false,
            "--raw" => command.format = Format::Raw,
            "--xml" => command.format = Format::Xml,
            "--json" => command.format = Format::Json,
            "--no-location" => command.places = false,
            "--strict" => command.strict = true,
            "-A" | "--attr" => command.attributes.push(line.value(&argument)?),
            "--add-root" => command.root = Some(line.value(&argument)?),
            "--indirect" => {}
            flag if flag.starts_with('-') && line.takes_words_only() => {
                return Err(misuse(format!("unexpected argument '{flag}'")));
            }
            flag if flag.starts_with('-') => {
                if !flags.take(flag, &mut line, context, output)? {
                    return Err(unrecognised(flag));
                }
            }
            _ => command.inputs.push(argument),
        }
    }
    flags.finish(output)?;
    if command.attributes.is_empty() {
        command.attributes.push(String::new());
    }
    Ok(Some(command))
}

impl Instantiate {
    fn inputs(&self) -> Result<Vec<Input>> {
        let mut inputs = Vec::new();
        if self.stdin && self.mode != Mode::FindFile {
            inputs.push(Input::Stdin(read_stdin()?));
        } else if self.inputs.is_empty() && !self.expressions && self.mode != Mode::FindFile {
            inputs.push(Input::File("default.nix".into()));
        }
        let named = |text: &String| {
            if self.expressions && self.mode != Mode::FindFile {
                Input::Expression(text.clone())
            } else {
                Input::File(text.clone())
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
    fn run(&self, evaluator: &Evaluator, inputs: &[Input], say: &mut Say<'_>) -> Evaluated<()> {
        let base = self.world.context.directory.to_string_lossy();
        let arguments = argument_values(evaluator, self.arguments, &base)?;
        for input in inputs {
            if let (Mode::FindFile, Input::File(name)) = (self.command.mode, input) {
                let found = evaluator.find_file(&evaluator.settings().search_path, name)?;
                if found.bytes().starts_with(EMBEDDED.as_bytes()) && self.world.as_reference {
                    return Err(EvalError::other(format!("'<{name}>' has no physical path")));
                }
                say(&line(found.bytes()));
                continue;
            }
            if self.command.mode == Mode::Parse {
                say(&line(&self.parsed(evaluator, input, &base)?));
                continue;
            }
            let root = self.value(evaluator, input, &base)?;
            for path in &self.command.attributes {
                let value = evaluator.find_along_path(path, &arguments, root)?;
                if self.command.mode == Mode::Evaluate {
                    self.show(evaluator, &arguments, value, say)?;
                    continue;
                }
                evaluator.packages(value, &arguments, &mut |package| {
                    let path = self.world.store_dir().display(&package.derivation);
                    say(format!("{path}!{}", package.output).as_bytes());
                })?;
            }
        }
        Ok(())
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
        say: &mut Say<'_>,
    ) -> Evaluated<()> {
        let Instantiate { strict, places, format, .. } = *self.command;
        if !arguments.is_empty() {
            value = evaluator.auto_call(arguments, value)?;
        }
        match format {
            Format::Raw => {
                let frame = "while generating the nix-instantiate output";
                say(evaluator.coerce_to_string(value, Coercion::Interpolation, Pos::NONE, frame)?.bytes());
            }
            Format::Xml => evaluator.to_xml(value, strict, places, say)?,
            Format::Json => say(&line(&evaluator.to_json(value, strict)?)),
            Format::Expression => {
                if strict {
                    value = evaluator.force_deep(value)?;
                }
                say(&line(&evaluator.print_ambiguous(value)?));
            }
        }
        Ok(())
    }

    /// Writes the derivations so far and prints where the one is that was said.
    fn write(&self, said: &[u8], roots: &mut u32) -> Result {
        self.world.write_derivations()?;
        let mut shown = String::from_utf8_lossy(said).into_owned();
        let output = shown.rfind('!').map(|end| shown.split_off(end)).unwrap_or_default();
        *roots += 1;
        match self.command.root.as_ref().filter(|root| !root.is_empty()) {
            None if *roots == 1 && self.command.warns_of_collection => self.world.output.warn(
                "warning: you did not specify '--add-root'; the result might be removed by the garbage collector",
            ),
            Some(root) if self.world.store_config().is_some() => {
                let name = if *roots > 1 { format!("{root}-{roots}") } else { root.clone() };
                let link = self.world.context.absolute(name);
                building::make_result_link(self.world, &link, shown.as_ref())?;
                shown = link.to_string_lossy().into_owned();
            }
            _ => {}
        }
        if output != "!out" {
            shown.push_str(&output);
        }
        self.world.output.line(shown);
        Ok(())
    }
}

/// A number as the older flags take it: `2`, `4k`.
fn number_with_unit(text: &str) -> Result<u64> {
    let last =
        text.chars().next_back().filter(char::is_ascii_alphabetic).map(|last| last.to_ascii_uppercase());
    let shift = match last {
        None => 0,
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some('T') => 40,
        Some(other) => return Err(misuse(format!("invalid unit specifier '{other}'"))),
    };
    let number = &text[..text.len() - usize::from(last.is_some())];
    let parsed = number.parse::<u64>().ok().filter(|_| !number.starts_with('+'));
    parsed
        .and_then(|parsed| parsed.checked_mul(1 << shift))
        .ok_or_else(|| misuse(format!("'{number}' is not an integer")))
}

fn line(text: &[u8]) -> Vec<u8> {
    [text, b"\n"].concat()
}
