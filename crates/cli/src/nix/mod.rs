//! The programs of C++ Nix that this one can be called as: their command lines, output and messages.

mod config;
mod flags;
mod groups;
mod hash;
mod instantiate;
mod subcommands;

pub(crate) use subcommands::translated;

use std::path::Path;
use std::process::ExitCode;

use crate::context::{Context, REFERENCE_VERSION};
use crate::error::{CommandError, Kind, Result};
use crate::output::{Loudness, Output};

/// One of these programs.
pub(crate) struct Program {
    name: &'static str,
    main: fn(&Context, Output) -> Result,
}

/// `nival instantiate`: the same program under another name.
pub(crate) fn instantiate(context: &Context) -> Option<ExitCode> {
    let is_asked = !context.is_called_as_reference() && context.arguments.get(1)? == "instantiate";
    is_asked.then(|| {
        let mut context = context.clone();
        context.arguments.remove(1);
        Program { name: "nival instantiate", main: instantiate::run }.run(&context)
    })
}

/// The program that the first argument of the command line names, if it is one of these.
pub(crate) fn program(context: &Context) -> Option<Program> {
    let name = Path::new(context.arguments.first()?).file_name()?.to_str()?;
    match name {
        "nix" if subcommands::takes(context) => Some(Program { name: "nix", main: subcommands::run }),
        "nix-hash" => Some(Program { name: "nix-hash", main: hash::run_legacy }),
        "nix-instantiate" => Some(Program { name: "nix-instantiate", main: instantiate::run }),
        _ => None,
    }
}

impl Program {
    /// Runs it; its errors read as those of C++ Nix.
    pub(crate) fn run(&self, context: &Context) -> ExitCode {
        let output = Output { loudness: Loudness::Usual, colour: false };
        match (self.main)(context, output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(self.name, output, error),
        }
    }
}

/// Tells an error as C++ Nix does; gives the exit code of the program.
pub(crate) fn fail(program: &str, output: Output, mut error: CommandError) -> ExitCode {
    if program.starts_with("nix") {
        error.hints.clear();
    }
    let mut text = error.render();
    if error.kind == Kind::Usage {
        error.kind = Kind::Failure;
        text = format!("{text}Try '{program} --help' for more information.");
    }
    output.alert(text.trim_end_matches('\n'));
    error.exit_code()
}

/// What C++ Nix says where the command line of a sub-command is off.
pub(crate) fn of_command_line(error: &clap::Error) -> CommandError {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.split(' ').next().unwrap_or_default()),
        _ => None,
    };
    match (error.kind(), context(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(flag)) if flag.starts_with('-') => flags::unrecognised(flag),
        (ErrorKind::UnknownArgument, Some(word)) => flags::misuse(format!("unexpected argument '{word}'")),
        (ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues, Some(flag))
            if context(ContextKind::InvalidValue).is_none_or(str::is_empty) =>
        {
            flags::misuse(format!("flag '{flag}' requires 1 argument(s), but only 0 were given"))
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            flags::misuse(first.strip_prefix("error: ").unwrap_or(first))
        }
    }
}

/// What `--version` says.
fn version(program: &str) -> String {
    format!("{program} (Nix) {REFERENCE_VERSION}")
}
