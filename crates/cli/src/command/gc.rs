//! `nival gc`: deletes what nothing needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nival_store::profiles::{Delete, Mode, Profile};
use nival_store::{GcAction, GcOptions, format_size};

use crate::arguments::GcArguments;
use crate::error::Result;
use crate::world::World;

pub(crate) fn run(world: &World, arguments: &GcArguments) -> Result {
    let store = world.store()?;
    if arguments.delete_old {
        delete_old_generations(world, if arguments.dry_run { Mode::DryRun } else { Mode::Apply })?;
    }
    let options = GcOptions {
        action: if arguments.dry_run { GcAction::ReturnDead } else { GcAction::DeleteDead },
        max_freed: arguments.max_freed.unwrap_or(u64::MAX),
        keep_outputs: world.settings.keep_outputs,
        keep_derivations: world.settings.keep_derivations,
        ..GcOptions::default()
    };
    let result = store.collect_garbage(&options)?;
    for path in &result.paths {
        world.output.line(path.to_string_lossy().as_ref());
    }
    let count = result.paths.len();
    world.output.say(if arguments.dry_run {
        format!("{count} store paths would be deleted")
    } else {
        format!("{count} store paths deleted, {} freed", format_size(result.bytes_freed))
    });
    Ok(())
}

/// Forgets all but the current generation of every profile of the store and of the user.
fn delete_old_generations(world: &World, mode: Mode) -> Result {
    let store = world.store()?;
    let user = world.context.xdg("XDG_STATE_HOME", ".local/state").join("nix/profiles");
    let system = store.config().profiles_dir();
    let mut profiles = BTreeSet::new();
    for folder in [user, system.join("per-user").join(&world.context.user), system] {
        find_profiles(&folder, &mut profiles);
    }
    for link in profiles {
        let profile = Profile::new(&link, Arc::clone(&store.config().reporter));
        let removed = profile.delete(&Delete::Old, mode)?;
        if !removed.is_empty() {
            let numbers: Vec<String> = removed.iter().map(ToString::to_string).collect();
            let verb = if mode == Mode::DryRun { "would be forgotten" } else { "forgotten" };
            world.output.say(format!("{}: generation {} {verb}", link.display(), numbers.join(", ")));
        }
    }
    Ok(())
}

/// Links that a generation link stands beside are profiles.
fn find_profiles(folder: &Path, profiles: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((profile, number)) = name.strip_suffix("-link").and_then(|rest| rest.rsplit_once('-'))
        else {
            continue;
        };
        let link = folder.join(profile);
        if number.parse::<u64>().is_ok() && link.is_symlink() {
            profiles.insert(link);
        }
    }
}
