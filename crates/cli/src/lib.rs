//! The commands: `nival`, and the `nix` names it can be called by.
//!
//! This crate reads the process's surroundings once ([`context`]), turns the command line into calls of the libraries, and
//! renders what comes back. Logic that a library user would want does not belong here.

pub mod arguments;
mod building;
mod cache_folder;
mod command;
pub mod context;
pub mod error;
mod eval_cache;
mod evaluation;
mod features;
mod file_systems;
mod fingerprint;
mod freed;
mod host;
mod json_lines;
mod lock;
mod mapped;
mod nix;
pub mod output;
mod pager;
mod parse_cache;
mod path_hash;
mod reading;
mod repl;
pub mod settings;
mod store_place;
mod world;

use std::io::Write;
use std::process::ExitCode;

use arguments::Nival;
use clap::Parser;
use context::Context;
use output::{Loudness, Output};

/// Runs the program on the process's own surroundings.
pub fn main_from_process() -> ExitCode {
    match Context::from_process() {
        Ok(context) => run(&context),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: the working directory cannot be read: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the program on the given surroundings.
pub fn run(context: &Context) -> ExitCode {
    if let Some(program) = nix::program(context) {
        return program.run(context);
    }
    if let Some(exit_code) = nix::instantiate(context) {
        return exit_code;
    }
    let as_reference = context.is_called_as_reference();
    let words = if as_reference { nix::translated(context) } else { context.arguments.clone() };
    let arguments = match Nival::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) if as_reference && error.use_stderr() => {
            let output = Output { loudness: Loudness::Usual, colour: false };
            return nix::fail(context.called_as(), output, nix::of_command_line(&error));
        }
        Err(error) => {
            // Help and version come this way too, with exit code 0 and for standard output.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output {
        loudness: if arguments.common.quiet { Loudness::Warnings } else { Loudness::Usual },
        colour: context.terminal && context.variable("NO_COLOR").is_none(),
    };
    match command::run(context, output, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if as_reference => nix::fail(context.called_as(), output, error),
        Err(error) => {
            output.alert(error.render().trim_end());
            error.exit_code()
        }
    }
}
