//! The programs of C++ Nix that this one can be called as: their command lines, output and messages.

mod config;
mod flags;
mod instantiate;
mod subcommands;

use std::path::Path;
use std::process::ExitCode;

use crate::context::Context;
use crate::error::{Kind, Result};
use crate::output::{Loudness, Output};

/// The release of C++ Nix that the programs of its names stand in for: scripts look for it in what `--version` says.
const REFERENCE_VERSION: &str = "2.34.8";

/// How a program of C++ Nix calls that release.
pub(crate) const RELEASE: &str = "Nix 2.34.8";

/// One of these programs.
pub(crate) struct Program {
    name: &'static str,
    main: fn(&Context, Output) -> Result,
}

/// The program that the first argument of the command line names, if it is one of these.
pub(crate) fn program(context: &Context) -> Option<Program> {
    let name = Path::new(context.arguments.first()?).file_name()?.to_str()?;
    match name {
        "nix" if subcommands::takes(context) => Some(Program { name: "nix", main: subcommands::run }),
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
            Err(mut error) => {
                error.hints.clear();
                let mut text = error.render();
                if error.kind == Kind::Usage {
                    error.kind = Kind::Failure;
                    text = format!("{text}Try '{} --help' for more information.", self.name);
                }
                output.alert(text.trim_end_matches('\n'));
                error.exit_code()
            }
        }
    }
}

/// What `--version` says.
fn version(program: &str) -> String {
    format!("{program} (Nix) {REFERENCE_VERSION}")
}
