//! Where lines come from: a terminal, with editing, history and completion, or any other standard input.

use std::cell::RefCell;
use std::io::BufRead;
use std::path::PathBuf;
use std::rc::Rc;

use nival_eval::{Attrs, Evaluator, Variables};
use nival_syntax::Pos;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::{History, MemHistory, SearchDirection};
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Editor, Helper};

use crate::world::World;

/// How many lines the history keeps.
const HISTORY: usize = 1000;

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) enum Prompt {
    First,
    More,
}

impl Prompt {
    fn text(self) -> &'static str {
        match self {
            Prompt::First => "nix-repl> ",
            Prompt::More => "        > ",
        }
    }
}

/// What came.
pub(super) enum Read {
    Line(String),
    /// The user wants to begin anew (Ctrl-C).
    Interrupted,
    End,
}

/// The source of lines.
pub(super) struct Input<'a> {
    world: &'a World,
    variables: Rc<RefCell<Variables>>,
    editor: Option<Editor<Completion<'a>, MemHistory>>,
}

impl<'a> Input<'a> {
    pub(super) fn open(world: &'a World, evaluator: &'a Evaluator, base: &str) -> Self {
        let variables = Rc::new(RefCell::new(Variables::default()));
        let mut input = Self { world, variables: Rc::clone(&variables), editor: None };
        if !world.context.input_terminal {
            return input;
        }
        let config = Config::builder().completion_type(CompletionType::List).build();
        let history = MemHistory::with_config(&config);
        // A terminal that cannot be edited on is read like a file.
        let Ok(mut editor) = Editor::with_history(config, history) else {
            return input;
        };
        editor.set_helper(Some(Completion { evaluator, variables, base: base.to_owned() }));
        for line in std::fs::read_to_string(input.history_file()).unwrap_or_default().lines() {
            let _ = editor.add_history_entry(line);
        }
        input.editor = Some(editor);
        input
    }

    /// The variables that can be completed from now on.
    pub(super) fn offer(&mut self, variables: &Variables) {
        if self.editor.is_some() {
            self.variables.replace(variables.clone());
        }
    }

    pub(super) fn read(&mut self, prompt: Prompt) -> Read {
        let Some(editor) = &mut self.editor else { return self.read_plain(prompt) };
        match editor.readline(prompt.text()) {
            Ok(line) => {
                if !line.trim().is_empty() {
                    let _ = editor.add_history_entry(line.as_str());
                }
                Read::Line(line)
            }
            Err(ReadlineError::Interrupted) => Read::Interrupted,
            Err(_) => Read::End,
        }
    }

    /// A line of what is no terminal, which the reference prints as it would stand on one.
    fn read_plain(&self, prompt: Prompt) -> Read {
        let shows =
            self.world.as_reference || self.world.context.variable("_NIX_TEST_REPL_ECHO") == Some("1");
        let mut line = Vec::new();
        let read = std::io::stdin().lock().read_until(b'\n', &mut line);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let is_end = !matches!(read, Ok(length) if length > 0);
        if shows {
            let end = if is_end { "" } else { "\n" };
            self.world.output.data(format!("{}{line}{end}", prompt.text()));
        }
        if is_end { Read::End } else { Read::Line(line) }
    }

    /// Keeps the history for next time.
    pub(super) fn close(self) {
        let Some(editor) = &self.editor else { return };
        let history = editor.history();
        let mut text = String::new();
        for index in history.len().saturating_sub(HISTORY)..history.len() {
            if let Ok(Some(found)) = history.get(index, SearchDirection::Forward) {
                text.push_str(&found.entry);
                text.push('\n');
            }
        }
        let file = self.history_file();
        let written = file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
            let new = file.with_extension(format!("tmp-{}", std::process::id()));
            std::fs::write(&new, text)?;
            std::fs::rename(&new, &file)
        });
        if let Err(error) = written {
            self.world
                .output
                .warn(format!("warning: cannot keep the history in {}: {error}", file.display()));
        }
    }

    fn history_file(&self) -> PathBuf {
        let context = &self.world.context;
        let folder = match context.variable("NIX_DATA_HOME") {
            Some(folder) => PathBuf::from(folder),
            None => context.xdg("XDG_DATA_HOME", ".local/share").join("nix"),
        };
        folder.join("repl-history")
    }
}

/// Completes variables, attributes and files.
struct Completion<'a> {
    evaluator: &'a Evaluator,
    variables: Rc<RefCell<Variables>>,
    base: String,
}

impl Helper for Completion<'_> {}
impl Highlighter for Completion<'_> {}
impl Validator for Completion<'_> {}
impl Hinter for Completion<'_> {
    type Hint = String;
}

impl Completer for Completion<'_> {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let before = &line[..position];
        let start = before
            .rfind([' ', '\n', '\r', '\t', '(', ')', '{', '}', '[', ']'])
            .map_or(0, |separator| separator + 1);
        let candidates = candidates(self.evaluator, &self.variables.borrow(), &self.base, &before[start..]);
        Ok((start, candidates))
    }
}

/// What a word may become.
fn candidates(evaluator: &Evaluator, variables: &Variables, base: &str, word: &str) -> Vec<String> {
    let mut found: Vec<String> = if let Some((folder, beginning)) = word.rsplit_once('/') {
        let place = std::path::Path::new(base).join(if folder.is_empty() { "/" } else { folder });
        let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| !name.starts_with('.') && name.starts_with(beginning))
            .map(|name| format!("{folder}/{name}"))
            .collect()
    } else if let Some((expression, beginning)) = word.rsplit_once('.') {
        let value = evaluator.eval_expression(variables, expression, base).ok().flatten();
        let attrs = value.and_then(|value| evaluator.force_attrs(value, Pos::NONE, "").ok());
        let names = attrs.into_iter().flat_map(Attrs::by_name).map(|attr| attr.name.to_string());
        names.filter(|name| name.starts_with(beginning)).map(|name| format!("{expression}.{name}")).collect()
    } else {
        let names = variables.names().chain(evaluator.global_names());
        names.map(|name| name.to_string()).filter(|name| name.starts_with(word)).collect()
    };
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nival_eval::Settings;
    use nival_eval::memory_host::MemoryHost;
    use nival_syntax::Symbol;

    use super::*;

    #[test]
    fn words_are_completed() {
        let evaluator = Evaluator::new(Arc::new(MemoryHost::on_disk()), Settings::default());
        let mut variables = Variables::default();
        let value = evaluator.eval_str("{ apple = 1; apricot.x = 2; }", "/").expect("it is well-formed");
        variables.set(Symbol::intern("fruit"), value);
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::write(folder.path().join("file.nix"), "1").expect("a file can be written");
        let base = folder.path().to_string_lossy().into_owned();
        let table: [(&str, &[&str]); 7] = [
            ("fru", &["fruit"]),
            ("fruit.ap", &["fruit.apple", "fruit.apricot"]),
            ("fruit.apricot.", &["fruit.apricot.x"]),
            ("fruit.apple.", &[]),
            ("fruit.none.", &[]),
            ("builtins.genericC", &["builtins.genericClosure"]),
            ("./fi", &["./file.nix"]),
        ];
        for (word, expected) in table {
            assert_eq!(candidates(&evaluator, &variables, &base, word), expected, "{word}");
        }
        assert!(candidates(&evaluator, &variables, &base, "ma").contains(&"map".to_owned()));
    }
}
