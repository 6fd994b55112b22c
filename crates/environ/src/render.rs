//! Plans and errors as text.

use std::fmt::Write as _;

use crate::error::{Error, StepError};
use crate::plan::{
    Conflict, ConflictKind, DirectoryAction, FileAction, GenerationName, PackageChange, Plan, StepNews,
    UnitChange,
};
use crate::provenance::Reason;
use crate::undo::WentBack;
use crate::units::Verb;

/// A plan as readable text.
pub fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    if plan.is_empty() {
        let _ = writeln!(text, "nothing to do: {} is as declared", plan.home.display());
        notes(&mut text, &plan.notes);
        return text;
    }
    let name = |side: &Option<GenerationName>, none: &str| match side {
        None => none.to_owned(),
        Some(GenerationName { number: Some(number), .. }) => format!("generation {number}"),
        Some(GenerationName { number: None, .. }) => "a new generation".to_owned(),
    };
    let _ = writeln!(
        text,
        "{}: {} → {}",
        plan.home.display(),
        name(&plan.from, "no generation"),
        if plan.from.as_ref().map(|from| &from.path) == plan.to.as_ref().map(|to| &to.path) {
            name(&plan.from, "no generation") + ", mended"
        } else {
            name(&plan.to, "no generation")
        }
    );
    files(&mut text, plan);
    let lines = plan.packages.iter().map(|change| (package(change), why(&change.reasons)));
    section(&mut text, "packages", lines.collect());
    let lines = plan.units.iter().map(|change| (unit(change), why(&change.reasons)));
    section(&mut text, "units", lines.collect());
    let lines = plan.variables.iter().map(|change| {
        let show =
            |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let line = match (&change.old, &change.new) {
            (Some(old), Some(new)) => format!("~ {} = {} → {}", change.name, show(old), show(new)),
            (None, Some(new)) => format!("+ {} = {}", change.name, show(new)),
            (_, None) => format!("- {}", change.name),
        };
        (line, if change.new.is_some() { why(&change.reasons) } else { GONE.into() })
    });
    section(&mut text, "session variables", lines.collect());
    let lines = plan.activation.iter().filter(|step| step.script).map(|step| {
        let mark = match step.change {
            StepNews::New => '+',
            StepNews::Changed => '~',
            StepNews::Same => ' ',
        };
        let place = if step.writes { "" } else { " (checks before anything is written)" };
        (format!("{mark} run {}{place}", step.name), why(&step.reasons))
    });
    section(&mut text, "activation", lines.collect());
    if text.lines().count() == 1 {
        text.push_str("\nno file, package or unit changes\n");
    }
    notes(&mut text, &plan.notes);
    if !plan.conflicts.is_empty() {
        let _ = writeln!(text, "\n{}", conflicts(&plan.conflicts));
        if let Some(hint) = ways_on(&plan.conflicts) {
            let _ = writeln!(text, "\nhint: {hint}");
        }
    }
    text
}

const GONE: &str = "no longer declared";

fn files(text: &mut String, plan: &Plan) {
    let mut lines = Vec::new();
    let mut unchanged = 0;
    for file in &plan.files {
        let (mark, more) = match file.action {
            FileAction::Add => ('+', String::new()),
            FileAction::Change => ('~', String::new()),
            FileAction::Keep | FileAction::Relink => {
                unchanged += 1;
                continue;
            }
            FileAction::Same => ('=', " (a file with this content is there and stays)".into()),
            FileAction::BackUp => {
                ('+', format!(" (the file there becomes {})", file.backup.as_deref().unwrap_or_default()))
            }
            FileAction::Overwrite => ('!', " (the file there is replaced: `force` is set)".into()),
            FileAction::Remove => ('-', String::new()),
            FileAction::Leave => (' ', " (is not Nival's any more and stays)".into()),
            FileAction::Conflict => ('x', " (in the way, see below)".into()),
        };
        let hook = if file.runs_on_change { " (then runs its onChange)" } else { "" };
        let gone = matches!(file.action, FileAction::Remove | FileAction::Leave);
        let reason = if gone { GONE.into() } else { why(&file.reasons) };
        lines.push((format!("{mark} {}{more}{hook}", file.target), reason));
    }
    for directory in &plan.directories {
        let mark = if directory.action == DirectoryAction::Make { '+' } else { '-' };
        lines.push((format!("{mark} {}/", directory.path), String::new()));
    }
    if unchanged > 0 {
        lines.push((format!("= {unchanged} unchanged"), String::new()));
    }
    section(text, "files", lines);
}

fn package(change: &PackageChange) -> String {
    let PackageChange { name, old_version, new_version, .. } = change;
    let with = |version: &str| if version.is_empty() { String::new() } else { format!(" {version}") };
    match (old_version, new_version) {
        (Some(old), Some(new)) if old == new => format!("~ {name}{} (built anew)", with(new)),
        (Some(old), Some(new)) => format!("~ {name} {old} → {new}"),
        (None, Some(new)) => format!("+ {name}{}", with(new)),
        (Some(old), None) => format!("- {name}{} ({GONE})", with(old)),
        (None, None) => name.clone(),
    }
}

fn unit(change: &UnitChange) -> String {
    let name = &change.unit;
    match change.action {
        Some(Verb::Start) if change.wanted_by.is_empty() => format!("+ {name} (not wanted by any unit)"),
        Some(Verb::Start) => format!("+ start {name} (wanted by {})", change.wanted_by.join(", ")),
        Some(Verb::Stop) => format!("- stop {name} ({GONE})"),
        Some(verb) => format!("~ {} {name} if it runs", verb.word()),
        None => format!("~ {name} (left as it runs)"),
    }
}

fn section(text: &mut String, title: &str, lines: Vec<(String, String)>) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    let width =
        lines.iter().filter(|line| !line.1.is_empty()).map(|line| line.0.chars().count()).max().unwrap_or(0);
    for (line, why) in lines {
        let _ = if why.is_empty() {
            writeln!(text, "  {line}")
        } else {
            writeln!(text, "  {line:<width$}  {why}")
        };
    }
}

fn notes(text: &mut String, notes: &[String]) {
    for note in notes {
        let _ = writeln!(text, "\nnote: {note}");
    }
}

fn why(reasons: &[Reason]) -> String {
    let show = |reason: &Reason| match (&reason.file, reason.line) {
        (Some(file), Some(line)) => format!("{} ({file}:{line})", reason.option),
        (Some(file), None) => format!("{} ({file})", reason.option),
        (None, _) => reason.option.clone(),
    };
    reasons.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// What is in the way, as an error's text.
pub fn conflicts(conflicts: &[Conflict]) -> String {
    let mut text = "files that are not Nival's are in the way; nothing was changed:".to_owned();
    for conflict in conflicts {
        let path = conflict.path.display();
        let what = match conflict.kind {
            ConflictKind::File => format!("`{path}` is a file"),
            ConflictKind::Link => format!("`{path}` is a link"),
            ConflictKind::Directory => format!("`{path}` is a directory"),
            ConflictKind::Parent => {
                format!("`{path}` is no directory, and `{}` should be in it", conflict.target)
            }
            ConflictKind::Backup => {
                format!("`{path}` would be overwritten by the backup of `{}`", conflict.target)
            }
        };
        let _ = write!(text, "\n  {what}");
        if !conflict.reasons.is_empty() {
            let _ = write!(text, ", wanted by {}", why(&conflict.reasons));
        }
    }
    text
}

/// The ways on from conflicts.
pub(crate) fn ways_on(conflicts: &[Conflict]) -> Option<String> {
    let any = |kinds: &[ConflictKind]| conflicts.iter().any(|conflict| kinds.contains(&conflict.kind));
    let mut ways = Vec::new();
    if any(&[ConflictKind::File, ConflictKind::Link, ConflictKind::Directory]) {
        ways.push("rename them out of the way with `--backup-ext EXT`");
    }
    if any(&[ConflictKind::File, ConflictKind::Link]) {
        ways.push("replace them for good by `force = true` on the file's option");
    }
    if any(&[ConflictKind::Backup]) {
        ways.push("choose another `--backup-ext`");
    }
    ways.push("move them away yourself");
    (!conflicts.is_empty()).then(|| ways.join(", or "))
}

/// What a failed step's error says.
pub(crate) fn step_failure(error: &StepError) -> String {
    let mut text = format!("step `{}` failed: {}", error.step, error.cause);
    if !error.reasons.is_empty() {
        let _ = write!(text, "\n  declared by {}", why(&error.reasons));
    }
    if let Error::Script { last_lines, .. } = &error.cause {
        for line in last_lines {
            let _ = write!(text, "\n  | {line}");
        }
    }
    let _ = write!(text, "\n{}", went_back(&error.went_back));
    text
}

/// What was done about a switch that did not come to its end.
pub fn went_back(went_back: &WentBack) -> String {
    let stands = match went_back.to {
        Some(number) => format!("generation {number} stands"),
        None => "no generation stands, as before".to_owned(),
    };
    let mut text = match &went_back.failed {
        Some(problem) => {
            format!("going back failed too: {problem}\nthe next `nival home` command tries again")
        }
        None if went_back.finished => format!("the switch was complete and is cleared up: {stands}"),
        None => format!("everything was led back: {stands}"),
    };
    if !went_back.scripts.is_empty() && !went_back.finished {
        let _ = write!(text, "\nscripts can't be undone; these had run: {}", went_back.scripts.join(", "));
    }
    for note in &went_back.notes {
        let _ = write!(text, "\nnote: {note}");
    }
    text
}
