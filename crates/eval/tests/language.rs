//! The language against answers of C++ Nix 2.34.8: tables of expressions and what it prints for them, in folders.
//! In `okay` they have a value, in `fail` none, and in `not-yet` are those that do not give the same here: one that
//! does must move. What only concerns the parser is in the syntax crate (`tests/parse`).

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nival_eval::host::MessageKind;
use nival_eval::memory_host::MemoryHost;
use nival_eval::watch::{Wanted, Watch};
use nival_eval::{EvalError, Evaluator, PrintErrors, PrintOptions, Settings, with_big_stack};

/// An entry is `>>> expression`, further lines of it as `... more`, then what is printed.
fn entries(table: &str) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = Vec::new();
    for line in table.lines() {
        if let Some(expression) = line.strip_prefix(">>> ") {
            entries.push((expression.to_owned(), String::new()));
        } else if let Some((expression, printed)) = entries.last_mut() {
            match line.strip_prefix("... ") {
                Some(more) if printed.is_empty() => {
                    expression.push('\n');
                    expression.push_str(more);
                }
                _ => {
                    printed.push_str(line);
                    printed.push('\n');
                }
            }
        }
    }
    entries
}

const FLAKE: &str = r#"{
  inputs.part.url = "path:./sub";
  outputs = { self, part }: { answer = 42; inherit (part) name; where = part.outPath == self.outPath + "/sub"; };
}
"#;

const FLAKE_WITH_INPUT: &str =
    "{ inputs.a.url = \"path:/flakes/flake/sub\"; outputs = { self, a }: { inherit (a) name; }; }\n";

/// A watch of everything, which must change no answer.
fn watch() -> Arc<Watch> {
    Arc::new(Watch::new(Wanted { calls: true, stacks: Some(Duration::ZERO), times: true, traces: false }))
}

/// How the answers of a table were recorded: its first line.
struct Command {
    /// `nix-instantiate --eval --strict`, not `nix eval --impure`.
    instantiate: bool,
    show_trace: bool,
    features: Vec<String>,
}

impl Command {
    fn of(line: &str) -> Option<Command> {
        let instantiate = line.starts_with("# nix-instantiate --eval --strict ");
        let features =
            line.split_once("--extra-experimental-features '").map_or("flakes fetch-tree", |(_, rest)| rest);
        let features = features.split('\'').next()?.split(' ').map(str::to_owned).collect();
        let command = Command { instantiate, show_trace: line.contains("--show-trace"), features };
        (instantiate || line.starts_with("# nix eval --impure ")).then_some(command)
    }
}

fn evaluate(expression: &str, command: &Command, watch: Option<Arc<Watch>>) -> String {
    let host = MemoryHost::with_files([
        ("/base/file.nix", "{ x }: x + 1"),
        ("/base/text", "hello\n"),
        ("/flakes/flake/flake.nix", FLAKE),
        ("/flakes/flake/sub/flake.nix", "{ outputs = { self }: { name = \"sub\"; }; }\n"),
        ("/flakes/locked/flake.nix", FLAKE_WITH_INPUT),
        ("/flakes/broken/flake.nix", "{ description = \"a\" + \"b\"; outputs = _: { }; }\n"),
    ]);
    let settings = Settings {
        home: Some("/home/me".to_owned()),
        experimental_features: command.features.clone(),
        show_trace: command.show_trace,
        watch,
        ..Settings::default()
    };
    let host = Arc::new(host);
    let ev = Evaluator::new(host.clone(), settings);
    let options = PrintOptions {
        force: true,
        derivation_paths: true,
        errors: PrintErrors::FailAtTop,
        ..PrintOptions::default()
    };
    let value = ev.eval_str(expression, "/base");
    let printed = if command.instantiate {
        value.and_then(|value| ev.force_deep(value)).and_then(|value| ev.print_ambiguous(value))
    } else {
        value.and_then(|value| ev.print(value, &options))
    };
    let mut shown = String::new();
    for (kind, message) in host.take_messages() {
        if kind == MessageKind::Warning {
            let _ = writeln!(shown, "warning: {}", String::from_utf8_lossy(&message));
        }
    }
    shown.push_str(&match printed {
        Ok(printed) => String::from_utf8_lossy(&printed).into_owned(),
        Err(error) => render(&error, command.show_trace),
    });
    shown
}

fn render(error: &EvalError, show_trace: bool) -> String {
    let rendered = nival_syntax::render_reference(&error.to_diagnostic(), show_trace);
    let lines: Vec<&str> = rendered.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// The tables of a folder, by name.
fn tables(folder: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language").join(folder);
    let mut tables: Vec<(String, String)> = std::fs::read_dir(path)
        .expect("the folder is there")
        .map(|entry| {
            let path = entry.expect("the folder can be read").path();
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("the table can be read"))
        })
        .collect();
    tables.sort();
    tables
}

/// What is wrong in a table, if anything.
fn check(name: &str, table: &str, fails: bool, same: bool) -> Vec<String> {
    let command = Command::of(table.lines().next().unwrap_or_default());
    let command = command.unwrap_or_else(|| panic!("{name} says how it was recorded"));
    let entries = entries(table);
    assert!(!entries.is_empty(), "{name} has entries");
    let wrong = |(expression, expected): &(String, String)| {
        let is_error = expected.lines().any(|line| line.starts_with("error:"));
        if same && is_error != fails {
            return Some(format!("{name}: >>> {expression}\nbelongs into the other folder"));
        }
        let answers = [evaluate(expression, &command, None), evaluate(expression, &command, Some(watch()))];
        let other = answers.iter().find(|printed| printed.trim_end() != expected.trim_end());
        match (same, other) {
            (true, Some(printed)) => {
                Some(format!("{name}: >>> {expression}\n{printed}\n--- expected\n{expected}"))
            }
            (false, None) => Some(format!("{name}: >>> {expression}\nis as in the reference: it must move")),
            _ => None,
        }
    };
    entries.iter().filter_map(wrong).collect()
}

fn check_folder(folder: &str, fails: bool, same: bool) {
    let tables = tables(folder);
    let wrong: Vec<String> =
        with_big_stack(|| tables.iter().flat_map(|(name, table)| check(name, table, fails, same)).collect());
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn expressions_with_a_value() {
    check_folder("okay", false, true);
}

#[test]
fn expressions_that_fail() {
    check_folder("fail", true, true);
}

#[test]
fn what_is_not_yet_the_same_is_not_the_same() {
    check_folder("not-yet", true, false);
}
