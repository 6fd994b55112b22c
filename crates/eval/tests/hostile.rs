//! Texts and values made to break an evaluator: each ends in a value or an error, soon and in bounded memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nival_eval::memory_host::MemoryHost;
use nival_eval::{Evaluator, PrintOptions, Settings, with_big_stack};

/// What an expression gives, or its error's message, both cut off.
fn outcome(text: &[u8], deep: bool) -> String {
    with_big_stack(|| {
        let host = MemoryHost::with_files([("/base/itself.nix", "import ./itself.nix")]);
        let ev = Evaluator::new(Arc::new(host), Settings::default());
        let origin = nival_syntax::Origin::String;
        let value = ev.eval_text(origin, text.to_vec(), "/base");
        let printed = value.and_then(|value| {
            let value = if deep { ev.force_deep(value)? } else { value };
            ev.print(value, &PrintOptions { force: deep, ..PrintOptions::default() })
        });
        match printed {
            Ok(printed) => String::from_utf8_lossy(&printed).chars().take(40).collect(),
            Err(error) => error.message().chars().take(60).collect(),
        }
    })
}

const TOO_DEEP: &str = "stack overflow (possible infinite recursion)";
const OVERFLOW: &str = "stack overflow; max-call-depth exceeded";

#[test]
fn texts_that_go_on_and_on() {
    let many = |text: &str, count: usize| text.repeat(count);
    let chain = |first: &str, link: &str, count: usize| first.to_owned() + &link.repeat(count);
    let cases = [
        (many("[", 10_000_000), TOO_DEEP),
        (many("(", 10_000_000), TOO_DEEP),
        (many("{a=", 3_000_000), TOO_DEEP),
        (many("\"${", 1_000_000), TOO_DEEP),
        (many("''${", 1_000_000), TOO_DEEP),
        (many("if ", 3_000_000), TOO_DEEP),
        (many("let a=", 1_000_000), TOO_DEEP),
        (many("let{a=", 1_000_000), TOO_DEEP),
        (many("{a?", 1_000_000), TOO_DEEP),
        (many("{${", 1_000_000), TOO_DEEP),
        (many("with ", 1_000_000), TOO_DEEP),
        (many("x: ", 1_000_000), "syntax error, unexpected end of file"),
        (many("!", 1_000_000), "syntax error, unexpected end of file"),
        (many("-", 1_000_000), "syntax error, unexpected end of file"),
        (chain("{}.a", " or {}.a", 400_000), TOO_DEEP),
        (format!("{{ a{} = 1; }}", ".a".repeat(400_000)), TOO_DEEP),
        (many("/*", 1_000_000), "syntax error, unexpected '*'"),
        (chain("{ }", " // { }", 200_000), "{ }"),
        (chain("1", " + 1", 200_000), "200001"),
        (chain("[ ]", " ++ [ ]", 200_000), "[ ]"),
        (chain("true", " && true", 200_000), "true"),
        (chain("true", " -> true", 200_000), "true"),
        (many("-", 200_000) + "1", OVERFLOW),
        (chain("1", " - 1", 20_000), OVERFLOW),
        (many("!", 200_000) + "true", "true"),
        (many("let a = 1; in ", 50_000) + "a", "1"),
        (many("if true then 1 else ", 50_000) + "2", "1"),
        (many("with { }; ", 50_000) + "1", "1"),
        (many("1", 1_000_000), "invalid integer"),
        (format!("1.0e{}", many("9", 1000)), "invalid float"),
        (many("a", 1_000_000), "undefined variable"),
        ("9223372036854775808".to_owned(), "invalid integer"),
    ];
    for (text, expected) in cases {
        let start: String = text.chars().take(30).collect();
        let found = outcome(text.as_bytes(), false);
        assert!(found.starts_with(expected), "{start}: {found}");
    }
}

/// What C++ Nix has room for is no error here.
#[test]
fn texts_that_are_deep() {
    let around = |open: &str, inner: &str, close: &str| {
        [open.repeat(20_000), inner.to_owned(), close.repeat(20_000)].concat()
    };
    let cases = [
        (around("(", "1", ")"), "1"),
        (around("[", "", "]"), "[ «thunk» ]"),
        (around("{a=", "1", ";}"), "{ a = «thunk»; }"),
        (around("\"${", "\"a\"", "}\""), "\"a\""),
        (around("''${", "\"a\"", "}''"), "\"a\""),
        (around("if true then ", "1", " else 2"), "1"),
        (around("if ", "true", " then true else true"), "true"),
        (around("x: ", "1", ""), "«lambda @ «string»:1:1»"),
        (around("{a?", "1", "}:1"), "«lambda @ «string»:1:1»"),
        (around("let a = ", "1", "; in a"), "1"),
        (around("{}.a or ", "1", ""), "1"),
        (around("(x: x) (", "1", ")"), OVERFLOW),
        (around("rec {a=", "1", ";}.a"), "1"),
    ];
    for (text, expected) in cases {
        let start: String = text.chars().take(30).collect();
        let found = outcome(text.as_bytes(), false);
        assert!(found.starts_with(expected), "{start}: {found}");
    }
}

#[test]
fn bytes_that_are_no_text() {
    let cases: [(&[u8], &str); 5] = [
        (b"\"\xff\xfe\xc3\"", "\"\u{fffd}\u{fffd}\u{fffd}\""),
        (b"1 + \xff", "syntax error, unexpected invalid token"),
        (b"1 + \0 2", "syntax error, unexpected end of file"),
        (b"\"a\0b\"", "input string 'a␀b' cannot be represented as Nix string"),
        (b"\xef\xbb\xbf1", "syntax error, unexpected invalid token"),
    ];
    for (text, expected) in cases {
        let found = outcome(text, false);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn values_without_a_bottom() {
    let nested = "let nest = n: builtins.foldl' (a: _: [ a ]) [ ] (builtins.genList (x: x) n); \
                  x = nest 200000; y = nest 200000; in ";
    let sets = "let nest = n: builtins.foldl' (a: _: { inherit a; }) { } (builtins.genList (x: x) n); \
                x = nest 200000; y = nest 200000; in ";
    let cases = [
        ("", "let f = n: if n == 0 then 0 else 1 + f (n - 1); in f 1000000", OVERFLOW),
        ("", "let f = n: f (n + 1); in f 1", OVERFLOW),
        ("", "import ./itself.nix", "infinite recursion encountered"),
        (nested, "builtins.toJSON x", OVERFLOW),
        (nested, "x == y", OVERFLOW),
        (nested, "x < y", OVERFLOW),
        (nested, "toString x", OVERFLOW),
        (nested, "builtins.toXML x", OVERFLOW),
        (nested, "builtins.deepSeq x 1", OVERFLOW),
        (nested, "x", OVERFLOW),
        (sets, "x == y", OVERFLOW),
        (sets, "x", OVERFLOW),
        (
            "",
            "builtins.fromJSON (builtins.concatStringsSep \"\" (builtins.genList (x: \"[\") 100000))",
            "[json.",
        ),
        (
            "",
            "builtins.fromTOML (\"a=\" + builtins.concatStringsSep \"\" (builtins.genList (x: \"[\") 100000))",
            "while",
        ),
        ("", "builtins.genList (x: x) 9223372036854775807", "out of memory"),
        ("", "builtins.length (builtins.sort (a: b: true) (builtins.genList (x: x) 20000))", "20000"),
    ];
    for (before, expression, expected) in cases {
        let found = outcome(format!("{before}{expression}").as_bytes(), true);
        assert!(found.starts_with(expected), "{expression}: {found}");
    }
}

/// Each takes exponential time or a deep stack in a plain backtracking matcher.
#[test]
fn patterns_that_explode() {
    let begin = Instant::now();
    let text = |letter: &str, count: u32| {
        format!("(builtins.concatStringsSep \"\" (builtins.genList (x: \"{letter}\") {count}))")
    };
    let cases = [
        (format!("builtins.match \"(x+x+)+y\" {}", text("x", 2_000)), "null"),
        (format!("builtins.match \"(((a*)*)*)*b\" {}", text("a", 500)), "null"),
        (format!("builtins.match {} \"a\"", text("(", 100_000)), "memory limit exceeded"),
        ("builtins.match \"(a{1000}){1000}\" \"a\"".to_owned(), "memory limit exceeded"),
    ];
    for (expression, expected) in cases {
        let found = outcome(expression.as_bytes(), false);
        assert!(found.starts_with(expected), "{expression}: {found}");
    }
    assert!(begin.elapsed() < Duration::from_mins(2));
}
