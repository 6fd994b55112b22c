//! Trees that another process wrote: names may have been met in another order there.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;

use std::fs;
use std::time::Duration;

use stage::{Said, Stage};

/// What a process says of an expression.
fn evaluate(stage: &Stage, expression: &str, parse_cache: &str) -> Said {
    let settings = ["--option", "eval-cache", "false", "--option", "parse-cache", parse_cache];
    let words = ["nix-instantiate", "--eval", "--strict", "--show-trace", "--expr", expression];
    stage.run(&[&words[..], &settings].concat())
}

const FILES: [(&str, &str); 4] = [
    (
        "defaults.nix",
        "{ kept-b ? \"B\", kept-a ? \"A\" }@all: [ kept-a kept-b (all ? kept-a) (all ? kept-b) ]",
    ),
    ("missing.nix", "{ kept-b, kept-a }: 1"),
    ("order.nix", "rec { kept-b = 2; kept-a = kept-b; inherit (kept-c) kept-d; kept-c.kept-d = 3; }"),
    ("fails.nix", "{\n  kept-b = throw \"b\";\n  kept-a = { kept-b, ... }: kept-b.kept-c;\n}"),
];

const USES: [&str; 9] = [
    "import ./defaults.nix { }",
    "import ./defaults.nix { kept-a = 1; }",
    "import ./defaults.nix { kept-b = 1; kept-a = 2; }",
    "builtins.functionArgs (import ./defaults.nix)",
    "import ./missing.nix { }",
    "import ./missing.nix { kept-a = 1; kept-b = 2; kept-c = 3; }",
    "import ./order.nix",
    "builtins.unsafeGetAttrPos \"kept-a\" (import ./order.nix)",
    "(import ./fails.nix).kept-a { inherit (import ./fails.nix) kept-b; }",
];

#[test]
fn names_in_another_order() {
    let stage = Stage::new(&[("NIX_REMOTE", "dummy://")]);
    for (name, text) in FILES {
        stage.write(name, text);
    }
    // Files that have just changed are told by their contents.
    std::thread::sleep(Duration::from_millis(2_200));
    let orders = ["", "let kept-a = 0; in kept-a + 0 * ", "kept-c: kept-d: kept-b: kept-a: "];
    let whole = |order: &str, number: usize| match order {
        "" => USES[number].to_owned(),
        order if order.ends_with(": ") => format!("({order} {}) 1 2 3 4", USES[number]),
        _ => format!("let kept-a = 0; kept-b = kept-a; in builtins.seq kept-b ({})", USES[number]),
    };
    for first in orders {
        let _ = fs::remove_dir_all(stage.path("cache"));
        for number in 0..USES.len() {
            evaluate(&stage, &whole(first, number), "true");
        }
        assert!(stage.path("cache/nival/parse").exists());
        for order in orders {
            for number in 0..USES.len() {
                let expression = whole(order, number);
                assert_eq!(
                    evaluate(&stage, &expression, "true"),
                    evaluate(&stage, &expression, "false"),
                    "{expression}, after {first:?}"
                );
            }
        }
    }
}
