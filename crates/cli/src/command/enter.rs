//! `nival enter`: a command, or a shell, for which the store is at its name.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nival_store::namespace;

use crate::arguments::EnterArguments;
use crate::error::{CommandError, Result};
use crate::world::World;

pub(crate) fn run(world: &World, arguments: &EnterArguments) -> Result {
    let context = match &arguments.home {
        Some(home) => world.context.with_home(&world.context.absolute(home)),
        None => world.context.clone(),
    };
    // Opened so that an empty store is made, and closed before the process changes what it sees.
    world.store()?;
    if let Some(root) = world.place().root() {
        namespace::enter(root).map_err(|error| {
            let hint = error.hint().map(str::to_owned);
            let failure = CommandError::failure(&error);
            match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })?;
    }
    let shell = context.variable("SHELL").unwrap_or("/bin/sh").to_owned();
    let (program, rest) = match arguments.command.split_first() {
        Some((program, rest)) => (program.clone(), rest),
        None => (shell, [].as_slice()),
    };
    let profile =
        context.xdg("XDG_STATE_HOME", ".local/state").join("nix/profiles/home-manager/home-path/bin");
    let path = context.variable("PATH").unwrap_or("/usr/bin:/bin");
    // A generation's `activate` calls this program, which need not be installed anywhere.
    let program_folder = context.program.parent().unwrap_or(Path::new("/"));
    let error = Command::new(&program)
        .args(rest)
        .env_clear()
        .envs(&context.environment)
        .env("PATH", format!("{}:{path}:{}", profile.display(), program_folder.display()))
        .exec();
    Err(CommandError::failure(format!("cannot run `{program}`: {error}")))
}
