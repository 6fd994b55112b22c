//! The debugger: a REPL where evaluation has stopped, with commands of its own.

use std::sync::Arc;

use nival_eval::debug::{Debugger, Resume, StackFrame, Stop};
use nival_eval::{ErrorKind, Evaluator};
use nival_syntax::{Pos, raw_text};

use super::hints::coloured;
use super::{Answer, Repl, Step};
use crate::evaluation::render_diagnostic;
use crate::world::World;

pub(super) const HELP: &str = "
While evaluation has stopped:

  :bt, :backtrace             Show what is being evaluated
  :env                        Show which variables are in scope
  :st                         Show the step that is looked at, and its variables
  :st N                       Look at another step
  :c, :continue               Go on until the next error or `builtins.break`
  :s, :step                   Go on until the next step
";

// The colours of the reference (ansicolor.hh).
const NORMAL: &str = "\x1b[0m";
const RED: &str = "\x1b[31;1m";
const BLUE: &str = "\x1b[34;1m";
const MAGENTA: &str = "\x1b[35;1m";

/// The order in which the reference lists the built-in names: that in which it met them first.
const BUILT_IN: [&str; 23] = [
    "builtins",
    "true",
    "false",
    "null",
    "scopedImport",
    "import",
    "isNull",
    "break",
    "abort",
    "throw",
    "derivationStrict",
    "placeholder",
    "baseNameOf",
    "dirOf",
    "removeAttrs",
    "map",
    "toString",
    "fetchMercurial",
    "fetchTree",
    "fetchTarball",
    "fetchGit",
    "fromTOML",
    "derivation",
];

/// Opens a REPL wherever evaluation stops.
struct Stopper {
    world: Arc<World>,
}

/// The debugger of `--debugger`.
pub(crate) fn debugger(world: &Arc<World>) -> Box<dyn Debugger> {
    Box::new(Stopper { world: Arc::clone(world) })
}

impl Debugger for Stopper {
    fn stop(&self, evaluator: &Evaluator, stop: &Stop<'_>) -> Resume {
        let output = self.world.output;
        if stop.is_breakpoint && stop.error.is_some() {
            output.alert("info: breakpoint reached\n");
        } else if let Some(diagnostic) = stop.diagnostic() {
            let text = render_diagnostic(&self.world, &diagnostic, true);
            output.alert(format!("{}\n", text.trim_end()));
        }
        if stop.in_try && stop.error.is_some() {
            output.alert("This exception occurred in a 'tryEval' call. Use --ignore-try to skip these.\n");
        }
        self.world.greet();
        let mut repl = Repl::at_stop(&self.world, evaluator, stop);
        let resume = repl.answer_lines();
        if resume == Resume::Quit && stop.error.is_none() {
            // There is no error to end with.
            std::process::exit(0);
        }
        resume
    }
}

impl Repl<'_> {
    /// The commands that are there only where evaluation has stopped; nothing if it is none of them.
    pub(super) fn debug_command(&mut self, command: &str, argument: &str) -> Option<Answer<Step>> {
        let stop = self.stop?;
        match command {
            ":bt" | ":backtrace" => {
                let shown: String =
                    stop.frames.iter().enumerate().map(|(index, frame)| self.shown(index, frame)).collect();
                self.world.output.data(shown);
            }
            ":env" => {
                if let Some(frame) = stop.frames.get(self.frame) {
                    self.world.output.data(self.shown_scopes(frame));
                }
            }
            ":st" => {
                if let Ok(index) = argument.parse() {
                    self.frame = index;
                }
                if let Some(frame) = stop.frames.get(self.frame) {
                    let shown = format!("{}\n{}", self.shown(self.frame, frame), self.shown_scopes(frame));
                    self.world.output.data(shown);
                    self.variables = frame.variables(self.evaluator);
                }
            }
            ":s" | ":step" => return Some(Ok(Step::Leave(Resume::Step))),
            ":c" | ":continue" => return Some(Ok(Step::Leave(Resume::Continue))),
            _ => return None,
        }
        Some(Ok(Step::Again))
    }

    /// `text`, in a colour where values are coloured.
    fn coloured(&self, colour: &str, text: &str) -> String {
        if self.colours() { format!("{colour}{text}{NORMAL}") } else { text.to_owned() }
    }

    fn shown(&self, index: usize, frame: &StackFrame) -> String {
        let [before, name, after] = &frame.text;
        let is_worded = frame.is_error && self.colours() && !self.stop.is_some_and(is_thrown);
        let before = if is_worded { coloured(before) } else { before.clone() };
        let error = if frame.is_error { self.coloured(RED, "error: ") } else { String::new() };
        let name = if name.is_empty() { String::new() } else { self.coloured(MAGENTA, name) };
        let index = self.coloured(BLUE, &index.to_string());
        format!("\n{index}: {error}{before}{name}{after}\n{}", self.excerpt(frame.pos))
    }

    /// A place and the lines around it.
    fn excerpt(&self, pos: Pos) -> String {
        let Some(place) = pos.resolve() else { return String::new() };
        let mut text = format!("{place}\n");
        for number in place.line.saturating_sub(1)..=place.line + 1 {
            let Some(line) = place.source.line(number) else { continue };
            text.push_str(&format_line(number, &raw_text(&line)));
            if number == place.line {
                let caret = self.coloured(RED, "^");
                text.push_str(&["\n      |", &" ".repeat(place.column as usize), &caret].concat());
            }
        }
        text.push('\n');
        text
    }

    fn built_in_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.evaluator.global_names().map(|name| name.to_string()).collect();
        // By name where the reference has none of it.
        names.sort_by_cached_key(|name| {
            (BUILT_IN.iter().position(|known| known == name).unwrap_or(BUILT_IN.len()), name.clone())
        });
        names
    }

    fn shown_scopes(&self, frame: &StackFrame) -> String {
        let listed = |names: &mut dyn Iterator<Item = String>| {
            self.coloured(MAGENTA, &names.map(|name| name + " ").collect::<String>())
        };
        let mut text = String::new();
        let scopes = frame.scopes(self.evaluator);
        for (level, scope) in scopes.inner.iter().enumerate() {
            let names = listed(&mut scope.names.iter().map(|name| name.to_identifier()));
            text.push_str(&format_scope(level, "static: ", &names));
            if let Some(with) = &scope.with {
                text.push_str("with: ");
                text.push_str(&listed(&mut with.iter().map(|name| name.to_identifier())));
                text.push('\n');
            }
            text.push('\n');
        }
        let outermost = match scopes.outermost {
            Some(names) => names.iter().map(|name| name.to_identifier()).collect(),
            None => self.built_in_names(),
        };
        let outermost = outermost.into_iter().filter(|name| !name.starts_with("__"));
        text.push_str(&format_scope(scopes.inner.len(), "", &listed(&mut { outermost })));
        text.push('\n');
        text
    }
}

/// Whether the words of an error are the user's own.
fn is_thrown(stop: &Stop<'_>) -> bool {
    stop.error.is_some_and(|error| error.kind() == ErrorKind::Throw)
}

fn format_line(number: u32, line: &str) -> String {
    format!("\n {number:>5}| {line}")
}

fn format_scope(level: usize, what: &str, names: &str) -> String {
    format!("Env level {level}\n{what}{names}\n")
}
