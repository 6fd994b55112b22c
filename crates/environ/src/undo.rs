//! Back to the generation before a switch that failed or was cut short; or on to its end, when only the end
//! was missing.

use std::fs;
use std::io;
use std::path::Path;

use crate::context::{Context, Event};
use crate::error::{Error, Result};
use crate::journal::{Finish, Journal};
use crate::lock::{Lock, WhenBusy};

/// What was done about a switch that did not come to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WentBack {
    /// The step that was under way.
    pub step: String,
    /// The generation that stands now.
    pub to: Option<u64>,
    /// Whether the switch was complete but for clearing up, so that the new generation stands.
    pub finished: bool,
    /// Scripts that had been started: what they did is not undone.
    pub scripts: Vec<String>,
    /// What was left as it is.
    pub notes: Vec<String>,
    /// Why going back did not succeed; the next command tries again.
    pub failed: Option<String>,
}

/// Clears up after a switch that was cut short, if there is one. The lock must be held.
pub(crate) fn recover_locked(context: &Context<'_>) -> Result<Option<WentBack>> {
    let state = context.state_dir();
    let Some(journal) = Journal::read(&state)? else { return Ok(None) };
    let went_back = if let Some(end) = &journal.finished {
        finish(context, &journal, end)?;
        let to = context.profile.current()?;
        WentBack { step: journal.step, to, finished: true, ..WentBack::default() }
    } else {
        let mut went_back = WentBack::default();
        go_back(context, &journal, &mut went_back)?;
        went_back
    };
    context.progress.event(Event::Recovered(&went_back));
    Ok(Some(went_back))
}

/// Clears up after a switch that was cut short, if there is one and none is under way.
pub fn recover(context: &Context<'_>) -> Result<Option<WentBack>> {
    // The usual case costs one failing `open`.
    if !context.state_dir().join("journal.json").exists() {
        return Ok(None);
    }
    let _lock = Lock::take(context, WhenBusy::Fail)?;
    recover_locked(context)
}

/// Undoes what a journal names, last change first, and removes the journal.
pub(crate) fn go_back(context: &Context<'_>, journal: &Journal, went_back: &mut WentBack) -> Result<()> {
    went_back.step.clone_from(&journal.step);
    went_back.to = journal.from;
    went_back.scripts.clone_from(&journal.scripts);
    for operation in journal.operations.iter().rev() {
        operation.undo(&mut went_back.notes)?;
    }
    if context.profile.current()? != journal.from {
        context.profile.activate(journal.from)?;
    }
    for generation in context.profile.generations()? {
        if !journal.generations.contains(&generation.number) && Some(&generation.path) == journal.to.as_ref()
        {
            context.profile.remove(generation.number)?;
        }
    }
    // The files are back; units that can't follow must not keep the next command from working.
    if !journal.units.is_empty() {
        match context.units.unavailable() {
            Some(reason) => went_back.notes.push(format!("units were not led back: {reason}")),
            None => {
                if let Err(error) = crate::units::go_back(context.units, &journal.units) {
                    went_back.notes.push(format!("units were not led back: {error}"));
                }
            }
        }
    }
    Journal::remove(&context.state_dir())
}

/// Does what remains after the last step. Each part may have been done before.
pub(crate) fn finish(context: &Context<'_>, journal: &Journal, end: &Finish) -> Result<()> {
    let state = context.state_dir();
    for path in &end.replaced {
        remove_replaced(path)?;
    }
    if journal.to.is_some() {
        end.record.write(&state)?;
        return Journal::remove(&state);
    }
    context.profile.activate(None)?;
    for generation in context.profile.generations()? {
        context.profile.remove(generation.number)?;
    }
    let record = state.join("record.json");
    match fs::remove_file(&record) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &record)(error));
        }
        _ => {}
    }
    Journal::remove(&state)
}

fn remove_replaced(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
