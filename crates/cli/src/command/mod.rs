//! One file per command.

mod build;
mod completions;
pub(crate) mod config;
mod doctor;
mod enter;
pub(crate) mod eval;
mod explain;
mod gc;
pub(crate) mod hash;
mod home;
mod log;
pub(crate) mod repl;

use std::sync::Arc;

use clap::CommandFactory;
use nival_eval::Verbosity;
use nival_store::Existing;

use crate::arguments::{Command, Nival};
use crate::context::Context;
use crate::error::{CommandError, Kind, Result};
use crate::evaluation::given_arguments;
use crate::output::Output;
use crate::repl::debugger;
use crate::settings::{Loaded, Settings};
use crate::store_place::StorePlace;
use crate::world::World;

/// Runs the command that the arguments name.
pub(crate) fn run(context: &Context, output: Output, arguments: Nival) -> Result {
    let common = &arguments.common;
    let Loaded { mut settings, warnings, unknown } = Settings::load(context)?;
    let unknown = unknown.iter().map(|name| format!("unknown setting '{name}'"));
    for warning in warnings.into_iter().chain(unknown) {
        output.warn(format!("warning: {warning}"));
    }
    common.apply(&mut settings)?;
    let world = |store: Option<&str>| -> Result<World> {
        let place = StorePlace::decide(context, store)?;
        let mut world = World::new(context.clone(), settings.clone(), output, place, common.print_build_logs);
        world.as_reference = context.is_called_as_reference();
        world.refresh = common.refresh;
        world.verbosity = match common.verbose {
            0 => Verbosity::Usual,
            1 => Verbosity::Talkative,
            2 => Verbosity::Chatty,
            3 => Verbosity::Debug,
            _ => Verbosity::Everything,
        };
        Ok(world)
    };
    let store = common.store.as_deref();
    match arguments.command {
        Command::Config { json } => {
            config::run(output, &settings, json);
            Ok(())
        }
        Command::Hash(command) => hash::run(context, output, &settings, &command),
        Command::Completions { shell } => {
            completions::run(output, shell);
            Ok(())
        }
        Command::Explain { code } => explain::run(output, code.as_deref()),
        Command::Eval(arguments) => {
            let mut world = world(arguments.eval_store.as_deref().or(store))?;
            world.read_only = arguments.read_only;
            if arguments.repair {
                world.existing = Existing::Replace;
            }
            world.debugger = arguments.source.debugger.then_some(debugger);
            let given = given_arguments(&world.context, &arguments.source)?;
            eval::run(&Arc::new(world), &arguments, given)
        }
        Command::Instantiate { .. } => Err(CommandError::new(
            Kind::Usage,
            "the options of `nival instantiate` come after its name: they are those of `nix-instantiate`",
        )),
        Command::Repl(arguments) => {
            let mut world = world(store)?;
            world.debugger = arguments.source.debugger.then_some(debugger);
            let given = given_arguments(&world.context, &arguments.source)?;
            repl::run(&Arc::new(world), arguments, given)
        }
        Command::Build(arguments) => {
            let mut world = world(store)?;
            world.debugger = arguments.source.debugger.then_some(debugger);
            build::run(&Arc::new(world), &arguments)
        }
        Command::Home(command) => home::run(&Arc::new(world(store)?), command),
        Command::Gc(arguments) => gc::run(&Arc::new(world(store)?), &arguments),
        Command::Enter(arguments) => enter::run(&Arc::new(world(store)?), &arguments),
        Command::Log { path } => log::run(&Arc::new(world(store)?), &path),
        Command::Doctor { check_contents, json } => {
            doctor::run(&Arc::new(world(store)?), check_contents, json)
        }
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
