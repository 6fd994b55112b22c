//! `nival repl` and `nix repl`.

use std::sync::Arc;

use crate::arguments::ReplArguments;
use crate::error::Result;
use crate::evaluation::{Arguments, FlakeDefault, Installables};
use crate::repl::{self, Start};
use crate::world::World;

/// Starts the REPL; functions in files are called with what is `given`.
pub(crate) fn run(world: &Arc<World>, arguments: ReplArguments, given: Arguments) -> Result {
    let mut installables = Installables::new(world, &arguments.source, given)?;
    installables.flake_default = FlakeDefault::Outputs;
    let mut names = arguments.installables;
    if names.is_empty() && !installables.are_flakes() {
        names.push(".".into());
    }
    repl::run(world, &Start { installables, names, include: arguments.source.include })
}
