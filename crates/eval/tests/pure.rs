//! What pure evaluation keeps from an expression: the answers are C++ Nix 2.34's, without `--impure`.

use std::sync::Arc;

use nival_eval::memory_host::MemoryHost;
use nival_eval::{Evaluator, PrintOptions, Settings};

fn evaluate(expression: &str) -> Result<String, String> {
    let host = MemoryHost::with_files([("/base/text", "hello\n")]).with_env("NAME", "value");
    let ev = Evaluator::new(Arc::new(host), Settings { pure_eval: true, ..Settings::default() });
    let options = PrintOptions { force: true, ..PrintOptions::default() };
    let printed = ev.eval_str(expression, "/base").and_then(|value| ev.print(value, &options));
    match printed {
        Ok(printed) => Ok(String::from_utf8_lossy(&printed).into_owned()),
        Err(error) => Err(error.message().to_owned()),
    }
}

#[test]
fn what_is_left() {
    for (expression, expected) in [
        ("builtins ? currentTime", "false"),
        ("builtins ? currentSystem", "false"),
        ("builtins.getEnv \"NAME\"", "\"\""),
        ("builtins.pathExists /base/text", "false"),
        ("builtins.readFile (builtins.toFile \"x\" \"y\")", "\"y\""),
        ("import (builtins.toFile \"x\" \"1 + 1\")", "2"),
    ] {
        assert_eq!(evaluate(expression).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn what_is_refused() {
    let forbidden = "access to absolute path '/base/text' is forbidden in pure evaluation mode (use '--impure' to override)";
    for (expression, expected) in [
        ("__currentSystem", "undefined variable '__currentSystem'"),
        ("builtins.currentTime", "attribute 'currentTime' missing"),
        ("builtins.readFile /base/text", forbidden),
        ("builtins.path { path = /base/text; }", forbidden),
        ("import /base/text", forbidden),
        ("builtins.storePath \"/base/text\"", "'builtins.storePath' is not allowed in pure evaluation mode"),
        ("<x>", "cannot look up '<x>' in pure evaluation mode (use '--impure' to override)"),
        (
            "fetchTarball \"http://x.invalid/a\"",
            "in pure evaluation mode, 'fetchTarball' requires a 'sha256' argument",
        ),
        (
            "fetchMercurial \"http://x.invalid/a\"",
            "in pure evaluation mode, 'fetchMercurial' requires a Mercurial revision",
        ),
    ] {
        assert_eq!(evaluate(expression), Err(expected.to_owned()), "{expression}");
    }
}
