//! One file per command.

mod build;
mod completions;
pub(crate) mod config;
mod doctor;
mod enter;
pub(crate) mod eval;
mod explain;
mod gc;
mod home;
mod log;
pub(crate) mod repl;

use std::sync::Arc;

use clap::CommandFactory;

use crate::arguments::{Command, Nival};
use crate::context::Context;
use crate::error::Result;
use crate::evaluation::given_arguments;
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
    let (mut eval_store, mut read_only, mut debugger) = (None, false, false);
    match &arguments.command {
        Command::Eval(arguments) => {
            (eval_store, read_only) = (arguments.eval_store.as_deref(), arguments.read_only);
            debugger = arguments.source.debugger;
        }
        Command::Repl(arguments) => debugger = arguments.source.debugger,
        Command::Build(arguments) => debugger = arguments.source.debugger,
        _ => {}
    }
    let place = StorePlace::decide(context, eval_store.or(common.store.as_deref()))?;
    let mut world = World::new(context.clone(), settings, output, place, common.print_build_logs);
    world.read_only = read_only;
    world.debugger = debugger;
    world.refresh = common.refresh;
    let world = Arc::new(world);
    match arguments.command {
        Command::Home(command) => home::run(&world, command),
        Command::Eval(arguments) => {
            let given = given_arguments(&world.context, &arguments.source)?;
            eval::run(&world, &arguments, given)
        }
        Command::Repl(arguments) => {
            let given = given_arguments(&world.context, &arguments.source)?;
            repl::run(&world, arguments, given)
        }
        Command::Build(arguments) => build::run(&world, &arguments),
        Command::Gc(arguments) => gc::run(&world, &arguments),
        Command::Enter(arguments) => enter::run(&world, &arguments),
        Command::Log { path } => log::run(&world, &path),
        Command::Doctor { check_contents, json } => doctor::run(&world, check_contents, json),
        Command::Config { .. } | Command::Completions { .. } | Command::Explain { .. } => Ok(()),
    }
}

/// The definition of a sub-command.
pub(crate) fn subcommand(name: &str) -> Option<clap::Command> {
    Nival::command().find_subcommand(name).cloned()
}

/// The help of a sub-command, or of the whole program, for the name it was called by.
pub(crate) fn help(program: &'static str, path: &[&str]) -> Option<String> {
    let mut command = Nival::command().name(program).bin_name(program);
    command.build();
    let mut found = &mut command;
    for name in path {
        found = found.find_subcommand_mut(name)?;
    }
    Some(found.render_long_help().to_string())
}
