//! The programs of C++ Nix that this one can be called as: their command lines, output and messages.

mod flags;
mod instantiate;

use std::path::Path;
use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;
use crate::output::Output;

/// The program that the first argument of the command line names, if it is one of these.
pub(crate) fn program(context: &Context) -> Option<fn(&Context) -> ExitCode> {
    let name = Path::new(context.arguments.first()?).file_name()?.to_str()?;
    match name {
        "nix-instantiate" => Some(|context| run(context, instantiate::run)),
        _ => None,
    }
}

fn run(context: &Context, program: fn(&Context, Output) -> Result) -> ExitCode {
    let output = Output { quiet: false, colour: false };
    match program(context, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(mut error) => {
            error.hints.clear();
            output.warn(error.render().trim_end());
            error.exit_code()
        }
    }
}
