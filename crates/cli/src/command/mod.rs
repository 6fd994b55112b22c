//! One file per command.

mod completions;
mod config;

use crate::arguments::{Command, Nival};
use crate::context::Context;
use crate::error::Result;
use crate::output::Output;
use crate::settings::Settings;

/// Runs the command that the arguments name.
pub(crate) fn run(context: &Context, output: Output, arguments: Nival) -> Result {
    let (mut settings, warnings) = Settings::load(context)?;
    for warning in warnings {
        output.warn(warning);
    }
    arguments.common.apply(&mut settings)?;
    match arguments.command {
        Command::Config { json } => config::run(output, &settings, json),
        Command::Completions { shell } => completions::run(output, shell),
    }
}
