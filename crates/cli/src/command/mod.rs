//! One file per command.

mod build;
mod completions;
mod config;
mod doctor;
mod enter;
mod eval;
mod explain;
mod gc;
mod home;
mod log;

use std::sync::Arc;

use crate::arguments::{Command, Nival};
use crate::context::Context;
use crate::error::Result;
use crate::output::Output;
use crate::settings::Settings;
use crate::store_place::StorePlace;
use crate::world::World;

/// Runs the command that the arguments name.
pub(crate) fn run(context: &Context, output: Output, arguments: Nival) -> Result {
    let common = &arguments.common;
    let (mut settings, warnings) = Settings::load(context)?;
    for warning in warnings {
        output.warn(warning);
    }
    common.apply(&mut settings)?;
    match arguments.command {
        Command::Config { json } => {
            config::run(output, &settings, json);
            return Ok(());
        }
        Command::Completions { shell } => {
            completions::run(output, shell);
            return Ok(());
        }
        Command::Explain { code } => return explain::run(output, code.as_deref()),
        _ => {}
    }
    let place = StorePlace::decide(context, common.store.as_deref())?;
    let mut world = World::new(context.clone(), settings, output, place, common.print_build_logs);
    world.refresh = common.refresh;
    let world = Arc::new(world);
    match arguments.command {
        Command::Home(command) => home::run(&world, command),
        Command::Eval(arguments) => eval::run(&world, &arguments),
        Command::Build(arguments) => build::run(&world, &arguments),
        Command::Gc(arguments) => gc::run(&world, &arguments),
        Command::Enter(arguments) => enter::run(&world, &arguments),
        Command::Log { path } => log::run(&world, &path),
        Command::Doctor { check_contents, json } => doctor::run(&world, check_contents, json),
        Command::Config { .. } | Command::Completions { .. } | Command::Explain { .. } => Ok(()),
    }
}
