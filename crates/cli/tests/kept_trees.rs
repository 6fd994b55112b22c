//! Trees that another process wrote: names may have been met in another order there.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a process says of an expression.
fn evaluate(folder: &Path, expression: &str, settings: &str) -> (Option<i32>, String, String) {
    let output = Command::new(folder.join("nix-instantiate"))
        .args(["--eval", "--strict", "--show-trace", "--expr", expression])
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder.join("elsewhere"))
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("NIX_CONF_DIR", folder.join("no-settings"))
        .env("NIX_CONFIG", settings)
        .env("NIX_REMOTE", "dummy://")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
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
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    symlink(env!("CARGO_BIN_EXE_nival"), folder.join("nix-instantiate")).unwrap();
    for (name, text) in FILES {
        fs::write(folder.join(name), text).unwrap();
    }
    // Files that have just changed are told by their contents.
    std::thread::sleep(Duration::from_millis(2_200));
    let orders = ["", "let kept-a = 0; in kept-a + 0 * ", "kept-c: kept-d: kept-b: kept-a: "];
    let whole = |order: &str, number: usize| match order {
        "" => USES[number].to_owned(),
        order if order.ends_with(": ") => format!("({order} {}) 1 2 3 4", USES[number]),
        _ => format!("let kept-a = 0; kept-b = kept-a; in builtins.seq kept-b ({})", USES[number]),
    };
    let with = |expression: &str, cache: bool| {
        evaluate(&folder, expression, &format!("eval-cache = false\nparse-cache = {cache}"))
    };
    for first in orders {
        let _ = fs::remove_dir_all(folder.join("cache"));
        for number in 0..USES.len() {
            with(&whole(first, number), true);
        }
        assert!(folder.join("cache/nival/parse").exists());
        for order in orders {
            for number in 0..USES.len() {
                let expression = whole(order, number);
                assert_eq!(
                    with(&expression, true),
                    with(&expression, false),
                    "{expression}, after {first:?}"
                );
            }
        }
    }
}
