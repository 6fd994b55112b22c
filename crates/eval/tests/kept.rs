//! Files whose trees were kept: whatever they evaluate to, they do so from the tree as from the text.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use nival_eval::memory_host::{MemoryHost, Trees};
use nival_eval::{EvalError, Evaluator, LintLevel, PrintErrors, PrintOptions, Settings, with_big_stack};

const ENTRY: &str = "/base/entry.nix";

/// The value of a file or the error, and what was said.
fn evaluate(text: &str, trees: Option<&Arc<Trees>>, settings: &Settings) -> String {
    let mut host = MemoryHost::with_files([
        (ENTRY, text),
        ("/base/file.nix", "{ x }: x + 1"),
        ("/base/text", "hello\n"),
        ("/base/wrong.nix", "{ a, b }: a.b or (throw \"no\")"),
    ]);
    if let Some(trees) = trees {
        host = host.with_trees(Arc::clone(trees));
    }
    let host = Arc::new(host);
    let ev = Evaluator::new(host.clone(), settings.clone());
    let options = PrintOptions { force: true, errors: PrintErrors::FailAtTop, ..PrintOptions::default() };
    let printed = ev.eval_file(Path::new(ENTRY)).and_then(|value| ev.print(value, &options));
    let mut shown = String::new();
    for (kind, message) in host.take_messages() {
        let _ = writeln!(shown, "{kind:?}: {}", String::from_utf8_lossy(&message));
    }
    shown.push_str(&match printed {
        Ok(printed) => String::from_utf8_lossy(&printed).into_owned(),
        Err(error) => render(&error),
    });
    shown
}

fn render(error: &EvalError) -> String {
    nival_syntax::render_reference(&error.to_diagnostic(), true)
}

fn settings() -> Settings {
    Settings { show_trace: true, ..Settings::default() }
}

/// Expressions of all tables, those that take long by design left out.
fn corpus() -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for folder in ["okay", "fail"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language").join(folder);
        for entry in std::fs::read_dir(path).expect("the folder is there") {
            let table = std::fs::read_to_string(entry.expect("an entry").path()).expect("a table");
            let mut is_open = false;
            for line in table.lines() {
                if let Some(expression) = line.strip_prefix(">>> ") {
                    found.push(expression.to_owned());
                    is_open = true;
                } else if let (Some(more), true, Some(last)) =
                    (line.strip_prefix("... "), is_open, found.last_mut())
                {
                    last.push('\n');
                    last.push_str(more);
                } else {
                    is_open = false;
                }
            }
        }
    }
    found
}

#[test]
fn the_whole_corpus_is_the_same_from_kept_trees() {
    let wrong: Vec<String> = with_big_stack(|| {
        let mut kept = 0;
        let corpus = corpus();
        let wrong = corpus.iter().filter_map(|expression| {
            let trees = Arc::default();
            let plain = evaluate(expression, None, &settings());
            let first = evaluate(expression, Some(&trees), &settings());
            kept += usize::from(!trees.all().is_empty());
            let second = evaluate(expression, Some(&trees), &settings());
            let is_same = plain == first && plain == second;
            (!is_same)
                .then(|| format!(">>> {expression}\n{plain}\n--- writing\n{first}\n--- reading\n{second}"))
        });
        let wrong: Vec<String> = wrong.collect();
        assert!(corpus.len() > 1000 && kept * 10 > corpus.len() * 7, "{kept} of {}", corpus.len());
        wrong
    });
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// A tree that was kept under some settings is used under others only if they make no difference.
#[test]
fn settings_count() {
    let with = |change: fn(&mut Settings)| {
        let mut settings = settings();
        change(&mut settings);
        settings
    };
    let kinds = [
        settings(),
        with(|settings| settings.pure_eval = true),
        with(|settings| settings.experimental_features = vec!["pipe-operators".to_owned()]),
        with(|settings| {
            settings.experimental_features = vec!["flakes".to_owned(), "fetch-closure".to_owned()];
        }),
        with(|settings| settings.home = Some("/home/me".to_owned())),
        with(|settings| settings.lint_url_literals = LintLevel::Warn),
        with(|settings| settings.lint_absolute_path_literals = LintLevel::Fatal),
    ];
    let texts = [
        "__currentSystem == __currentSystem",
        "with { __currentSystem = 1; }; __currentSystem",
        "with { __fetchClosure = 1; __getFlake = 2; }; [ (__isFunction __fetchClosure) (__isFunction __getFlake) ]",
        "__isFunction __fetchClosure",
        "1 |> (x: x + 1)",
        "~/x",
        "http://example.org",
        "[ /a ./b ]",
        "map or [ ]",
        "let x = { a, b ? a }: a + b; in x { a = 1; }",
    ];
    let wrong: Vec<String> = with_big_stack(|| {
        let mut wrong = Vec::new();
        for text in texts {
            for (number, before) in kinds.iter().enumerate() {
                for (other, now) in kinds.iter().enumerate() {
                    let trees = Arc::default();
                    evaluate(text, Some(&trees), before);
                    let (plain, kept) = (evaluate(text, None, now), evaluate(text, Some(&trees), now));
                    if plain != kept {
                        wrong.push(format!(
                            "{text}: settings {number}, then {other}: {plain}\n--- kept\n{kept}"
                        ));
                    }
                }
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn damaged_trees_are_not_used() {
    with_big_stack(|| {
        let text = "let f = { a, b ? 2 }: with { c = 3; }; a + b + c; in f { a = 1; }";
        let trees = Arc::default();
        assert_eq!(evaluate(text, Some(&trees), &settings()), "6");
        for (path, tree) in trees.all() {
            for place in 0..tree.len() {
                let mut damaged = tree.to_vec();
                damaged[place] ^= 0x11;
                trees.put(&path, &damaged);
                assert_eq!(evaluate(text, Some(&trees), &settings()), "6", "byte {place}");
            }
        }
    });
}

#[test]
fn messages_without_the_text() {
    let text = "{\n  a = 1;\n  b = throw \"no\";\n}.b";
    with_big_stack(|| {
        let trees = Arc::default();
        let shown = evaluate(text, Some(&trees), &settings());
        assert!(shown.contains("at /base/entry.nix:3:7:") && shown.contains("b = throw"), "{shown}");
        // Another text, and the tree of the old one: only places are shown.
        for now in ["", "{ }", "{\n  a = 1;\n\n b = throw \"no\";\n}.b"] {
            let shown = evaluate(now, Some(&trees), &settings());
            assert!(shown.contains("at /base/entry.nix:3:7:") && !shown.contains("b = throw"), "{shown}");
        }
    });
}
