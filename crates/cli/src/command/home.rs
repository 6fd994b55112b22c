//! `nival home …`: from a declaration to an activated home, and back.

use std::cell::RefCell;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nival_environ::context::{Context as HomeContext, Event, Progress, StoreView};
use nival_environ::generations;
use nival_environ::lock::WhenBusy;
use nival_environ::plan::{Options, Plan, Target};
use nival_environ::switch::{self, Outcome};
use nival_environ::units::{OtherHome, Systemctl, UnitManager};
use nival_environ::{LinkProfile, Provenance, render};

use crate::arguments::{HomeCommand, HomePlace, HomeTarget};
use crate::building;
use crate::error::{CommandError, Kind, Result};
use crate::evaluation::{self, Home};
use crate::output::Output;
use crate::world::World;

pub(crate) fn run(world: &Arc<World>, command: HomeCommand) -> Result {
    match command {
        HomeCommand::Build { target, out_link, no_link } => {
            let home = evaluation::home(world, &target)?;
            let generation = build(world, &home)?;
            if !no_link {
                building::make_result_link(world, &out_link, &generation)?;
            }
            world.output.line(generation.to_string_lossy().as_ref());
            Ok(())
        }
        HomeCommand::Plan { target, json } => {
            let home = evaluation::home(world, &target)?;
            let generation = build(world, &home)?;
            let place = Place::declared(world, &target, &home);
            place.with_context(world, |context| {
                let plan = Plan::compute(context, &Target::Path(generation), &options(&target, &home))?;
                print_plan(world.output, &plan, json);
                Ok(())
            })
        }
        HomeCommand::Switch { target, generation: Some(number), wait } => {
            let place = Place::of(world, target.home.as_deref());
            place.switch(
                world,
                &Target::Generation(number),
                &Options { when_busy: busy(wait), ..Options::default() },
            )
        }
        HomeCommand::Switch { target, generation: None, wait } => {
            let home = evaluation::home(world, &target)?;
            let generation = build(world, &home)?;
            let place = Place::declared(world, &target, &home);
            let options = Options { when_busy: busy(wait), ..options(&target, &home) };
            place.switch(world, &Target::Path(generation), &options)
        }
        HomeCommand::Rollback { place } => {
            Place::from(world, &place).switch(world, &Target::Previous, &Options::default())
        }
        HomeCommand::Activate { place, generation, backup_ext } => {
            let options = Options { backup_extension: backup_ext, ..Options::default() };
            Place::from(world, &place).switch(world, &Target::Path(PathBuf::from(generation)), &options)
        }
        HomeCommand::Generations { place, json } => {
            let listed =
                Place::from(world, &place).with_context(world, |context| Ok(generations::list(context)?))?;
            if json {
                return print_json(world.output, &listed);
            }
            for one in listed {
                let date = one.date.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M");
                let mark = if one.current { " (current)" } else { "" };
                world.output.line(format!("{date} : id {} -> {}{mark}", one.number, one.path.display()));
            }
            Ok(())
        }
        HomeCommand::Packages { place, json } => {
            let packages = Place::from(world, &place)
                .with_context(world, |context| Ok(generations::packages(context)?))?;
            if json {
                return print_json(world.output, &packages);
            }
            for package in packages {
                world.output.line(&package.name);
            }
            Ok(())
        }
        HomeCommand::RemoveGenerations { place, numbers } => {
            let removed = Place::from(world, &place).with_context(world, |context| {
                Ok(generations::remove(context, &numbers, WhenBusy::default())?)
            })?;
            say_removed(world.output, &removed);
            Ok(())
        }
        HomeCommand::ExpireGenerations { place, before } => {
            let removed = Place::from(world, &place).with_context(world, |context| {
                Ok(generations::expire(context, &before, WhenBusy::default())?)
            })?;
            say_removed(world.output, &removed);
            Ok(())
        }
        HomeCommand::Uninstall { place, dry_run } => {
            let place = Place::from(world, &place);
            if dry_run {
                return place.with_context(world, |context| {
                    let plan = Plan::compute(context, &Target::Nothing, &Options::default())?;
                    print_plan(world.output, &plan, false);
                    Ok(())
                });
            }
            place.switch(world, &Target::Nothing, &Options::default())
        }
    }
}

fn busy(wait: bool) -> WhenBusy {
    if wait { WhenBusy::Wait } else { WhenBusy::default() }
}

fn options(target: &HomeTarget, home: &Home) -> Options {
    Options {
        backup_extension: target.backup_ext.clone(),
        provenance: Provenance(home.provenance.clone()),
        ..Options::default()
    }
}

/// Builds the generation and answers with its store path.
fn build(world: &World, home: &Home) -> Result<PathBuf> {
    for warning in &home.warnings {
        world.output.warn(format!("warning: {warning}"));
    }
    let built = building::realise(world, std::slice::from_ref(&home.activation_package))?;
    let path = built.first().ok_or_else(|| CommandError::failure("the generation has no output"))?;
    Ok(PathBuf::from(world.store_dir().display(path)))
}

fn print_json(output: Output, value: &impl serde::Serialize) -> Result {
    let text = serde_json::to_string_pretty(value).map_err(CommandError::failure)?;
    output.line(text);
    Ok(())
}

fn print_plan(output: Output, plan: &Plan, json: bool) {
    match serde_json::to_string_pretty(plan) {
        Ok(text) if json => output.line(text),
        _ => output.data(render::plan(plan)),
    }
}

fn say_removed(output: Output, removed: &[generations::Listed]) {
    if removed.is_empty() {
        output.say("no generation was removed");
        return;
    }
    let numbers: Vec<String> = removed.iter().map(|one| one.number.to_string()).collect();
    output.say(format!("removed generation {}", numbers.join(", ")));
    output.say("`nival gc` frees what only they needed");
}

/// The home that is worked on.
struct Place {
    home: PathBuf,
    user: String,
    /// Whether `--home` named it, so that the suggestions name it too.
    named: bool,
    /// The surroundings as the scripts of that home see them.
    surroundings: crate::context::Context,
}

impl Place {
    fn of(world: &World, home: Option<&Path>) -> Self {
        let surroundings = match home {
            Some(home) => world.context.with_home(&world.context.absolute(home)),
            None => world.context.clone(),
        };
        Self {
            home: surroundings.home(),
            user: surroundings.user.clone(),
            named: home.is_some(),
            surroundings,
        }
    }

    fn from(world: &World, place: &HomePlace) -> Self {
        Self::of(world, place.home.as_deref())
    }

    fn declared(world: &World, target: &HomeTarget, home: &Home) -> Self {
        let mut place = Self::of(world, target.home.as_deref());
        // A home named by hand may be somebody else's; one's own must be declared for oneself.
        if place.named {
            place.user.clone_from(&home.username);
        }
        place
    }

    /// Calls `with` on what the home layer needs to know of the machine.
    fn with_context<T>(&self, world: &World, with: impl FnOnce(&HomeContext<'_>) -> Result<T>) -> Result<T> {
        let store = world.store()?;
        let state_home = self.surroundings.xdg("XDG_STATE_HOME", ".local/state");
        let profile = LinkProfile::new(state_home.join("nix/profiles/home-manager"), |link| {
            store.add_indirect_root(link).map(drop).map_err(|error| error.to_string())
        });
        let mut environment = self.surroundings.environment.clone();
        environment.insert("USER".into(), self.user.clone());
        let environment: Vec<_> =
            environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let systemctl = Systemctl { program: "systemctl".into(), environment: environment.clone() };
        let units: &dyn UnitManager = if self.home == world.context.home() { &systemctl } else { &OtherHome };
        let config = store.config();
        // Scripts name store paths, so they run where these are seen.
        let script_prefix = match world.place().root() {
            Some(root) => vec![
                self.surroundings.program.clone().into_os_string(),
                "enter".into(),
                "--store".into(),
                root.into(),
                "--".into(),
            ],
            None => Vec::new(),
        };
        let teller = Teller { output: world.output, step: RefCell::default() };
        with(&HomeContext {
            user: self.user.clone(),
            home: self.home.clone(),
            state_home,
            pid: std::process::id(),
            environment,
            script_prefix,
            store: StoreView {
                logical: PathBuf::from(store.store_dir().as_str()),
                physical: config.real_store_dir.clone(),
            },
            profile: &profile,
            units,
            now: jiff::Timestamp::now(),
            progress: &teller,
        })
    }

    fn switch(&self, world: &World, target: &Target, options: &Options) -> Result {
        if self.named {
            std::fs::create_dir_all(&self.home).map_err(|error| {
                CommandError::failure(format!("the home {} cannot be made: {error}", self.home.display()))
            })?;
        }
        let outcome = self.with_context(world, |context| Ok(switch::switch(context, target, options)?))?;
        self.say_outcome(world, &outcome);
        Ok(())
    }

    fn say_outcome(&self, world: &World, outcome: &Outcome) {
        let output = world.output;
        for note in &outcome.notes {
            output.say(format!("note: {note}"));
        }
        if !outcome.changed {
            return;
        }
        match (outcome.from, outcome.to) {
            (_, Some(to)) => output.say(format!("\ngeneration {to} is active in {}", self.home.display())),
            (_, None) => output.say(format!("\nnothing of Nival's is left in {}", self.home.display())),
        }
        let mut arguments = world.place().arguments();
        if self.named {
            let _ = write!(arguments, " --home {}", self.home.display());
        }
        if outcome.to.is_some() && world.place().root().is_some() {
            output.say(format!("look inside: nival enter{arguments}"));
        }
        if let Some(undo) = &outcome.undo {
            output.say(format!("undo: {undo}{arguments}"));
        }
    }
}

/// Tells the user what a switch does.
struct Teller {
    output: Output,
    step: RefCell<String>,
}

impl Progress for Teller {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Recovered(back) => self.output.alert(render::went_back(back)),
            // What is in the way follows as the error.
            Event::Planned(plan) if !plan.conflicts.is_empty() => {}
            Event::Planned(plan) => self.output.say(render::plan(plan).trim_end()),
            Event::Step { name } => name.clone_into(&mut self.step.borrow_mut()),
            Event::Output { step, line } => self.output.say(format!("{step}> {line}")),
            Event::GoingBack { step } => {
                self.output.alert(format!("step `{step}` failed: going back to the state before"));
            }
        }
    }
}

impl From<nival_environ::Error> for CommandError {
    fn from(error: nival_environ::Error) -> Self {
        let hints = error.hint().into_iter().collect();
        Self { kind: Kind::Failure, message: error.to_string(), hints }
    }
}
