//! Switching: a plan is applied step by step, and led back when a step fails.

use std::path::Path;

use crate::context::{Context, Event};
use crate::error::{Error, Result, StepError};
use crate::journal::{Finish, Journal};
use crate::lock::Lock;
use crate::manifest::{Manifest, Step, StepKind};
use crate::operation::{Operation, read_link};
use crate::plan::{Draft, Options, Plan, Target, UnitChange, draft};
use crate::scripts::{self, Switching};
use crate::undo::{self, WentBack};
use crate::units::{UnitAction, Verb, names};

/// How a switch ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was planned, and done.
    pub plan: Plan,
    /// Whether anything was changed.
    pub changed: bool,
    /// The generation before.
    pub from: Option<u64>,
    /// The generation that stands now.
    pub to: Option<u64>,
    /// A switch that was cut short and led back before this one.
    pub recovered: Option<WentBack>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// The command that undoes this switch.
    pub undo: Option<String>,
}

/// Switches this home to `target`.
pub fn switch(context: &Context<'_>, target: &Target, options: &Options) -> Result<Outcome> {
    let _lock = Lock::take(context, options.when_busy)?;
    let recovered = undo::recover_locked(context)?;
    let draft = draft(context, target, options)?;
    context.progress.event(Event::Planned(&draft.plan));
    if !draft.plan.conflicts.is_empty() {
        return Err(Error::Conflicts(draft.plan.conflicts));
    }
    let from = draft.old.as_ref().map(|old| old.number);
    if draft.plan.is_empty() {
        let notes = draft.plan.notes.clone();
        return Ok(Outcome {
            plan: draft.plan,
            changed: false,
            from,
            to: from,
            recovered,
            notes,
            undo: None,
        });
    }
    let mut under_way = UnderWay::new(context, options, draft)?;
    if let Err((step, cause)) = under_way.run() {
        context.progress.event(Event::GoingBack { step: &step });
        let mut went_back = WentBack::default();
        if let Err(error) = undo::go_back(context, &under_way.journal, &mut went_back) {
            went_back.failed = Some(error.to_string());
        }
        let reasons = options.provenance.of("activation", &step);
        return Err(Error::Step(Box::new(StepError { step, cause, reasons, went_back })));
    }
    let UnderWay { draft, mut notes, .. } = under_way;
    let to = context.profile.current()?;
    notes.splice(0..0, draft.plan.notes.iter().cloned());
    let undo = match (from, to) {
        (Some(from), Some(to)) if from == to => None,
        (Some(_), None) => None,
        (Some(from), Some(to)) if from < to => {
            let between =
                context.profile.generations()?.iter().any(|one| from < one.number && one.number < to);
            Some(if between {
                format!("nival home switch --generation {from}")
            } else {
                "nival home rollback".into()
            })
        }
        (Some(from), Some(_)) => Some(format!("nival home switch --generation {from}")),
        (None, _) => Some("nival home uninstall".into()),
    };
    Ok(Outcome { plan: draft.plan, changed: true, from, to, recovered, notes, undo })
}

/// Removes everything of Nival's from this home: links, units, the directories made for them, and all
/// generations. [`Plan::compute`] with [`Target::Nothing`] shows it beforehand.
pub fn uninstall(context: &Context<'_>, options: &Options) -> Result<Outcome> {
    switch(context, &Target::Nothing, options)
}

/// A failed step and its error.
type Failed = (String, Error);

struct UnderWay<'a> {
    context: &'a Context<'a>,
    options: &'a Options,
    draft: Draft,
    journal: Journal,
    notes: Vec<String>,
}

impl<'a> UnderWay<'a> {
    fn new(context: &'a Context<'a>, options: &'a Options, draft: Draft) -> Result<Self> {
        let journal = Journal {
            from: draft.old.as_ref().map(|old| old.number),
            to: draft.plan.to.as_ref().map(|to| to.path.clone()),
            generations: context.profile.generations()?.iter().map(|generation| generation.number).collect(),
            ..Journal::default()
        };
        Ok(Self { context, options, draft, journal, notes: Vec::new() })
    }

    fn run(&mut self) -> Result<(), Failed> {
        let steps = self.draft.manifest.as_ref().map_or_else(leaving, |manifest| manifest.activation.clone());
        for step in &steps {
            self.begin(&step.name)
                .and_then(|()| match &step.kind {
                    StepKind::Script { script } => self.script(&step.name, script),
                    StepKind::Builtin => self.builtin(&step.name),
                })
                .map_err(|error| (step.name.clone(), error))?;
        }
        self.end().map_err(|error| ("the end".to_owned(), error))
    }

    fn begin(&mut self, name: &str) -> Result<()> {
        self.context.progress.event(Event::Step { name });
        name.clone_into(&mut self.journal.step);
        self.checkpoint(name)
    }

    fn checkpoint(&self, before: &str) -> Result<()> {
        let interrupted = |reason| Error::Interrupted(format!("`{before}`: {reason}"));
        self.context.progress.checkpoint(before).map_err(interrupted)
    }

    fn write_journal(&self) -> Result<()> {
        self.journal.write(&self.context.state_dir())?;
        self.checkpoint("going on after the journal was written")
    }

    fn builtin(&mut self, name: &str) -> Result<()> {
        match name {
            "writeBoundary" => self.register(),
            "linkGeneration" => self.change(self.draft.operations.clone()),
            "installPackages" => self.install_packages(),
            "onFilesChange" => self.on_files_change(),
            "reloadSystemd" => self.reload_units(),
            // The checks were done by the plan, under the lock.
            _ => Ok(()),
        }
    }

    fn script(&mut self, name: &str, script: &str) -> Result<()> {
        self.journal.scripts.push(name.to_owned());
        self.write_journal()?;
        let old = self.draft.old.as_ref().map(|old| old.path.clone());
        let new = self.journal.to.clone().unwrap_or_default();
        let declared = self.draft.manifest.as_ref().map(|manifest| manifest.username.as_str());
        let user = declared.filter(|name| !name.is_empty()).unwrap_or(&self.context.user);
        let switching = Switching { old: old.as_deref(), new: &new, user, verbose: self.options.verbose };
        scripts::run(self.context, name, script, &switching)
    }

    /// From here on links may lead to the new generation, so it must be a root.
    fn register(&mut self) -> Result<()> {
        self.write_journal()?;
        let profile = self.context.profile;
        let number = match &self.draft.plan.to {
            None => None,
            Some(to)
                if self.draft.old.as_ref().is_some_and(|old| old.path == to.path) && to.number.is_none() =>
            {
                return Ok(());
            }
            Some(to) => Some(match to.number {
                Some(number) => number,
                None => profile.add(&to.path)?,
            }),
        };
        self.checkpoint("switching the profile")?;
        profile.activate(number)
    }

    fn change(&mut self, operations: Vec<Operation>) -> Result<()> {
        self.journal.operations.extend(operations.iter().cloned());
        self.write_journal()?;
        for operation in &operations {
            self.checkpoint("a change to the home")?;
            operation.apply(&|before| self.checkpoint(before))?;
        }
        Ok(())
    }

    fn install_packages(&mut self) -> Result<()> {
        let path = self.context.home.join(".nix-profile");
        let wanted = self.context.profile.link().join("home-path");
        let there = std::fs::symlink_metadata(&path).is_ok();
        let ours = read_link(&path)?.as_ref() == Some(&wanted);
        let has_packages = self.draft.manifest.as_ref().is_some_and(|manifest| manifest.home_path.is_some());
        if ours && !has_packages {
            return self.change(vec![Operation::RemoveLink { path, was: wanted }]);
        }
        if has_packages && !self.context.store.is_in_place() {
            self.notes.push(format!(
                "the store is at `{}`: packages work where it is seen as `{}`",
                self.context.store.physical.display(),
                self.context.store.logical.display()
            ));
        }
        if !has_packages || ours {
            return Ok(());
        }
        if there {
            self.notes.push(format!(
                "`{}` is another profile and was left; to have this home's packages, add to your shell's start: \
                 export PATH=\"{}/bin:$PATH\"",
                path.display(),
                wanted.display()
            ));
            return Ok(());
        }
        let temp = path.with_file_name(format!(".nix-profile.nival-{}", self.context.pid));
        self.change(vec![Operation::PutLink { path, link: wanted, was: None, temp }])
    }

    fn on_files_change(&mut self) -> Result<()> {
        let Some(manifest) = &self.draft.manifest else { return Ok(()) };
        // A recursive directory has one command, however many of its files changed.
        let mut hooks: Vec<(String, String)> = Vec::new();
        for file in self.draft.plan.files.iter().filter(|file| file.runs_on_change) {
            if let Some(declared) = manifest.file_of(&file.target)
                && !hooks.iter().any(|(target, _)| *target == declared.target)
            {
                hooks.push((declared.target.clone(), declared.on_change.clone()));
            }
        }
        for (target, script) in hooks {
            self.script(&format!("onChange of {target}"), &script)?;
        }
        Ok(())
    }

    fn reload_units(&mut self) -> Result<()> {
        if self.draft.plan.units.is_empty() {
            return Ok(());
        }
        let manager = self.context.units;
        if let Some(reason) = manager.unavailable() {
            self.notes.push(format!("units were neither started nor stopped: {reason}"));
            return Ok(());
        }
        let actions = unit_actions(self.context, &self.draft.plan.units)?;
        self.journal.units.clone_from(&actions);
        self.write_journal()?;
        let request = |verb| {
            self.checkpoint("a request to the unit manager")?;
            manager.request(verb, &names(&actions, verb))
        };
        request(Verb::Stop)?;
        manager.daemon_reload()?;
        request(Verb::Reload)?;
        request(Verb::Restart)?;
        request(Verb::Start)
    }

    fn end(&mut self) -> Result<()> {
        let finish = Finish { record: self.draft.record.clone(), replaced: self.draft.replaced.clone() };
        self.checkpoint("the end")?;
        self.journal.finished = Some(finish.clone());
        let state = self.context.state_dir();
        if let Err(error) = self.journal.write(&state) {
            self.journal.finished = None;
            return Err(error);
        }
        // What is left is done by the next command if it can't be done now: the new generation stands.
        let cleared =
            self.checkpoint("clearing up").and_then(|()| undo::finish(self.context, &self.journal, &finish));
        if let Err(error) = cleared {
            self.notes.push(format!("clearing up is left to the next `nival home` command: {error}"));
        }
        Ok(())
    }
}

/// What is done without a new generation.
fn leaving() -> Vec<Step> {
    let steps = ["writeBoundary", "linkGeneration", "installPackages", "reloadSystemd"];
    steps.map(|name| Step { name: name.into(), kind: StepKind::Builtin }).to_vec()
}

/// The requests that fit what is active now.
fn unit_actions(context: &Context<'_>, changes: &[UnitChange]) -> Result<Vec<UnitAction>> {
    let ask: Vec<String> = changes
        .iter()
        .flat_map(|change| std::iter::once(&change.unit).chain(&change.wanted_by))
        .cloned()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    let active = context.units.active(&ask)?;
    let mut actions = Vec::new();
    for change in changes {
        let Some(verb) = change.action else { continue };
        let runs = active.contains(&change.unit);
        let mut push = |verb| actions.push(UnitAction { unit: change.unit.clone(), verb });
        match verb {
            Verb::Start if !runs && change.wanted_by.iter().any(|unit| active.contains(unit)) => {
                push(Verb::Start);
            }
            Verb::Start => {}
            Verb::Restart if runs && change.stop_first => {
                push(Verb::Stop);
                push(Verb::Start);
            }
            verb if runs => push(verb),
            _ => {}
        }
    }
    Ok(actions)
}

/// The packages of a generation, for a list.
pub fn packages(context: &Context<'_>, generation: &Path) -> Result<Vec<crate::manifest::Package>> {
    let mut packages = Manifest::read(&context.store, generation)?.packages;
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(packages)
}
