//! The language against answers of C++ Nix 2.34: each file in `golden/` is a table of expressions and what
//! `nix eval --impure --expr` prints for them, errors included.

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
    Arc::new(Watch::new(Wanted { calls: true, stacks: Some(Duration::ZERO), times: true }))
}

fn evaluate(expression: &str, features: &[&str], watch: Option<Arc<Watch>>) -> String {
    let host = MemoryHost::with_files([
        ("/base/file.nix", "{ x }: x + 1"),
        ("/base/text", "hello\n"),
        ("/flakes/flake/flake.nix", FLAKE),
        ("/flakes/flake/sub/flake.nix", "{ outputs = { self }: { name = \"sub\"; }; }\n"),
        ("/flakes/locked/flake.nix", FLAKE_WITH_INPUT),
        ("/flakes/broken/flake.nix", "{ description = \"a\" + \"b\"; outputs = _: { }; }\n"),
    ]);
    let experimental_features = features.iter().map(|feature| (*feature).to_owned()).collect();
    let settings =
        Settings { home: Some("/home/me".to_owned()), experimental_features, watch, ..Settings::default() };
    let host = Arc::new(host);
    let ev = Evaluator::new(host.clone(), settings);
    let options = PrintOptions {
        force: true,
        derivation_paths: true,
        errors: PrintErrors::FailAtTop,
        ..PrintOptions::default()
    };
    let printed = ev.eval_str(expression, "/base").and_then(|value| ev.print(value, &options));
    let mut shown = String::new();
    for (kind, message) in host.take_messages() {
        if kind == MessageKind::Warning {
            let _ = writeln!(shown, "warning: {}", String::from_utf8_lossy(&message));
        }
    }
    shown.push_str(&match printed {
        Ok(printed) => String::from_utf8_lossy(&printed).into_owned(),
        Err(error) => render(&error),
    });
    shown
}

fn render(error: &EvalError) -> String {
    let rendered = nival_syntax::render_reference(&error.to_diagnostic(), false);
    let lines: Vec<&str> = rendered.lines().map(str::trim_end).collect();
    lines.join("\n")
}

fn check_table(name: &str) {
    check_table_with(name, &["flakes"]);
}

/// The same with experimental features.
fn check_table_with(name: &str, features: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let table = std::fs::read_to_string(&path).expect("the table is there");
    let entries = entries(&table);
    assert!(!entries.is_empty(), "{name} has entries");
    let wrong: Vec<String> = with_big_stack(|| {
        let check = |(expression, expected): &(String, String)| {
            let is_expected = |printed: &str| printed.trim_end() == expected.trim_end();
            let printed =
                [evaluate(expression, features, None), evaluate(expression, features, Some(watch()))]
                    .into_iter()
                    .find(|printed| !is_expected(printed))?;
            Some(format!(">>> {expression}\n{printed}\n--- expected\n{expected}"))
        };
        entries.iter().filter_map(check).collect()
    });
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), entries.len(), wrong.join("\n"));
}

#[test]
fn language() {
    check_table("language.txt");
}

#[test]
fn files_environment_and_contexts() {
    check_table("files.txt");
}

#[test]
fn fetches_and_hashes() {
    check_table("fetch.txt");
}

#[test]
fn text() {
    check_table("text.txt");
}

/// What must not show: which variables share a frame, which arguments get no thunk, what places remember.
#[test]
fn frames_and_shortcuts() {
    check_table("frames.txt");
}

#[test]
fn flake_references() {
    check_table("flake-references.txt");
}

#[test]
fn derivations() {
    check_table("derivations.txt");
}

#[test]
fn experimental_derivations() {
    let features =
        ["ca-derivations", "impure-derivations", "dynamic-derivations", "blake3-hashes", "git-hashing"];
    check_table_with("derivations-experimental.txt", &features);
}

#[test]
fn flakes_and_trees() {
    check_table("flakes.txt");
}
