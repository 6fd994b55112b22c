//! `nival eval` and `nix eval`: the value of an expression.

use std::path::Path;
use std::sync::Arc;

use nival_eval::{Coercion, ErrorKind, EvalError, Evaluator, InFrame, PrintOptions, Value, View};
use nival_syntax::Pos;

use crate::arguments::EvalArguments;
use crate::error::{CommandError, Kind, Result, reason};
use crate::evaluation::{Arguments, Evaluated, Installables, Session, split_outputs};
use crate::json_lines::on_several_lines;
use crate::world::World;

/// Evaluates and prints; functions are called with what is `given`.
pub(crate) fn run(world: &Arc<World>, arguments: &EvalArguments, given: Arguments) -> Result {
    if arguments.raw && arguments.json {
        return Err(CommandError::new(Kind::Usage, "--raw and --json are mutually exclusive"));
    }
    let installables = Installables::new(world, &arguments.source, given)?;
    let name = arguments.installable.as_deref().unwrap_or(".");
    let path = split_outputs(name).map_or(name, |(path, _)| path);
    if installables.are_flakes() && world.store_dir().parse(path).is_ok() {
        let message = format!("installable '{name}' does not correspond to a Nix language value");
        return Err(CommandError::new(Kind::Usage, message));
    }
    let value = |evaluator: &Evaluator| {
        let value = installables.value(evaluator, &world.context, name)?;
        let Some(function) = &arguments.apply else { return Ok(value) };
        let function = evaluator.eval_str(function, &installables.base)?;
        evaluator.call(function, &[value], Pos::NONE)
    };
    let mut session = Session::new(world, &arguments.source.include);
    session.profile = arguments.profile;
    if let Some(path) = &arguments.write_to {
        session.run(|evaluator| {
            let value = value(evaluator)?;
            if world.context.absolute(path).symlink_metadata().is_ok() {
                return Err(EvalError::other(format!("path '{}' already exists", path.display())));
            }
            write(evaluator, value, Pos::NONE, path)
        })?;
        return world.write_derivations();
    }
    let format = Format {
        raw: arguments.raw,
        json: arguments.json,
        pretty: arguments.pretty || world.context.output_terminal && !arguments.no_pretty,
    };
    let question = ["eval".to_owned(), format!("{installables:?} {name} {:?} {format:?}", arguments.apply)];
    let text = session.answer_once(&question, |evaluator| show(evaluator, value(evaluator)?, &format))?;
    world.output.data(text);
    Ok(())
}

/// How a value is printed.
#[derive(Debug)]
struct Format {
    raw: bool,
    json: bool,
    pretty: bool,
}

/// What is printed of a value.
fn show(evaluator: &Evaluator, value: Value, format: &Format) -> Evaluated<Vec<u8>> {
    if format.raw {
        let frame = "while generating the eval command output";
        let text = evaluator.coerce_to_string(value, Coercion::Interpolation, Pos::NONE, frame)?;
        return Ok(text.bytes().to_vec());
    }
    let mut text = if format.json {
        let json = evaluator.to_json_by_name(value)?;
        if format.pretty { on_several_lines(&json) } else { json }
    } else {
        let options = PrintOptions { force: true, derivation_paths: true, ..PrintOptions::default() };
        evaluator.print(value, &options)?
    };
    text.push(b'\n');
    Ok(text)
}

/// Writes a string to a file, and a set of such as a folder.
fn write(evaluator: &Evaluator, value: Value, pos: Pos, path: &Path) -> Evaluated<()> {
    let failed = |what: &str, error: &std::io::Error| {
        EvalError::new(ErrorKind::Host, format!("{what} \"{}\": {}", path.display(), reason(error)))
    };
    let value = evaluator.force(value, pos)?;
    match value.view() {
        View::String(text) => {
            std::fs::write(path, text.bytes()).map_err(|error| failed("opening file", &error))
        }
        View::Attrs(attrs) => {
            std::fs::create_dir(path).map_err(|error| {
                let (reason, path) = (reason(&error), path.display());
                EvalError::new(
                    ErrorKind::Host,
                    format!("filesystem error: cannot create directory: {reason} [{path}]"),
                )
            })?;
            attrs.iter().try_for_each(|attr| {
                let name = attr.name.to_text().into_owned();
                // No name leads out of the folder.
                let written =
                    if name.starts_with('/') || name.split('/').any(|part| matches!(part, "." | "..")) {
                        Err(EvalError::other(format!("invalid file name '{name}'")))
                    } else {
                        write(evaluator, attr.value, attr.pos(), &path.join(&name))
                    };
                written.frame_with(|| format!("while evaluating the attribute '{name}'"), attr.pos())
            })
        }
        _ => {
            let place = pos.display();
            Err(EvalError::of_type(format!("value at '{place}' is not a string or an attribute set")))
        }
    }
}
