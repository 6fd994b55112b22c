//! Whatever the text is, parsing ends with a tree or with a message that has a place.

use std::collections::BTreeMap;

use nival_syntax::{Ast, Diagnostic, MAX_DEPTH, Origin, ParseOptions, Source, parse, print};
use proptest::prelude::*;

fn parse_text(text: &[u8]) -> Result<Ast<'static>, Box<Diagnostic>> {
    let source = Source::add(Origin::String, text).expect("room");
    parse(
        source,
        &ParseOptions {
            base_path: "/",
            home: Some("/home/user"),
            pipe_operators: true,
            max_depth: MAX_DEPTH,
        },
    )
}

fn printed(text: &[u8]) -> String {
    match parse_text(text) {
        Ok(ast) => String::from_utf8(print::print(&ast)).expect("the snippets are UTF-8"),
        Err(diagnostic) => panic!("{diagnostic}: {}", String::from_utf8_lossy(text)),
    }
}

#[test]
fn nesting_up_to_the_limit_parses_and_beyond_is_an_error() {
    let shapes = [
        ("[", "", "]"),
        ("(", "1", ")"),
        ("{a=", "1", ";}"),
        ("\"${", "1", "}\""),
        ("''${", "1", "}''"),
        ("if ", "1", " then 2 else 3"),
        ("let a=", "1", ";in 2"),
        ("x.a or ", "1", ""),
        ("{a?", "1", "}:2"),
        ("x.${", "1", "}"),
        ("f [(", "1", ")]"),
    ];
    // A main thread's usual stack: a debug build needs more than a test's thread has.
    let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(move || {
        for (open, inner, close) in shapes {
            let nested = |depth: usize| [open.repeat(depth), inner.to_owned(), close.repeat(depth)].concat();
            let levels = open.matches(['[', '(']).count().max(1);
            let most = MAX_DEPTH as usize / levels / 2;
            assert!(parse_text(nested(most).as_bytes()).is_ok(), "{open} {most} times");
            let error = parse_text(nested(100_000).as_bytes()).expect_err("too deep");
            assert_eq!(error.message, "stack overflow (possible infinite recursion)");
        }
    });
    thread.expect("a thread").join().expect("no panic");
}

#[test]
fn chains_have_no_limit() {
    const LENGTH: usize = 200_000;
    for (link, end) in [
        ("x + ", "x"),
        ("x ++ ", "x"),
        ("x+", "x"),
        ("x -> ", "x"),
        ("x: ", "x"),
        ("!", "x"),
        ("- ", "x"),
        ("if x then x else ", "x"),
        ("with x; ", "x"),
        ("assert x; ", "x"),
        ("let in ", "x"),
        ("x |> ", "x"),
        ("x <| ", "x"),
        ("x ", "x"),
    ] {
        assert!(parse_text([link.repeat(LENGTH), end.to_owned()].concat().as_bytes()).is_ok(), "{link}");
    }
    let path = [".a".repeat(LENGTH)].concat();
    assert!(parse_text(format!("x{path}").as_bytes()).is_ok());
    let error = parse_text(format!("{{ a{path} = 1; }}").as_bytes()).expect_err("so deep a set");
    assert!(error.message.contains("stack overflow"));
}

#[test]
fn large_sets_find_their_doubles() {
    let bindings = (0..5000).map(|n| format!("a{n} = {n};")).collect::<Vec<_>>().concat();
    assert!(parse_text(format!("{{ {bindings} }}").as_bytes()).is_ok());
    for double in [0, 7, 15, 16, 17, 4999] {
        let error = parse_text(format!("{{ {bindings} a{double} = 0; }}").as_bytes()).expect_err("a double");
        assert!(error.message.starts_with(&format!("attribute 'a{double}' already defined")), "{error}");
    }
}

#[test]
fn documentation_and_names_reach_functions() {
    let ast = parse_text(b"{ /** adds */ add = x: y: x; /* no */ plain = x: x; }").expect("parses");
    let found: Vec<(String, bool)> = ast
        .ids()
        .filter_map(|expr| match ast.expr(expr) {
            nival_syntax::Expr::Lambda(id) => Some(ast.lambda(id)),
            _ => None,
        })
        .map(|lambda| (lambda.name.map(|name| name.to_string()).unwrap_or_default(), lambda.doc.is_some()))
        .collect();
    let expected = [("add", true), ("add", true), ("plain", false)];
    assert_eq!(found, expected.map(|(name, doc)| (name.to_owned(), doc)));
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d]", Just("or".to_owned()), Just("\"if\"".to_owned()), Just("\"a b\"".to_owned())]
}

fn variable() -> impl Strategy<Value = String> {
    "[a-d]".prop_map(|name| name)
}

fn string() -> impl Strategy<Value = String> {
    "[ -~\\n\\t]{0,8}".prop_map(|text| {
        let mut out = Vec::new();
        print::string(&mut out, text.as_bytes());
        String::from_utf8(out).expect("it was UTF-8")
    })
}

fn definitions(bindings: &BTreeMap<String, String>) -> String {
    bindings.iter().map(|(name, value)| format!("{name} = {value}; ")).collect::<Vec<_>>().concat()
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        variable(),
        (0_i64..).prop_map(|value| value.to_string()),
        string(),
        Just("/a/b.nix".to_owned()),
        Just("<nixpkgs/lib>".to_owned()),
        Just("__curPos".to_owned()),
        Just("1.5".to_owned()),
        Just("http://example.org/x".to_owned()),
    ];
    leaf.prop_recursive(5, 60, 4, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..4);
        let operator = proptest::sample::select(vec![
            "+", "-", "*", "/", "++", "//", "==", "!=", "<", ">", "<=", ">=", "&&", "||", "->",
        ]);
        let bindings = proptest::collection::btree_map(name(), inner.clone(), 0..4).boxed();
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            inner.clone().prop_map(|a| format!("(!({a}))")),
            inner.clone().prop_map(|a| format!("(-({a}))")),
            (inner.clone(), inner.clone()).prop_map(|(f, a)| format!("(({f}) ({a}))")),
            list.prop_map(|items| format!(
                "[ {} ]",
                items.iter().map(|item| format!("({item})")).collect::<Vec<_>>().join(" ")
            )),
            (inner.clone(), name()).prop_map(|(a, n)| format!("({a}).{n}")),
            (inner.clone(), name(), inner.clone()).prop_map(|(a, n, d)| format!("(({a}).{n} or ({d}))")),
            (inner.clone(), name()).prop_map(|(a, n)| format!("(({a}) ? {n})")),
            (variable(), inner.clone()).prop_map(|(x, body)| format!("({x}: {body})")),
            (variable(), inner.clone(), inner.clone())
                .prop_map(|(x, d, body)| format!("({{ {x} ? {d}, e, ... }}@args: {body})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(with {a}; {b})")),
            (bindings.clone(), any::<bool>()).prop_map(|(bindings, rec)| {
                let text = definitions(&bindings);
                format!("{}{{ {text}}}", if rec { "rec " } else { "" })
            }),
            (bindings, inner.clone()).prop_map(|(bindings, body)| {
                let text = definitions(&bindings);
                format!("(let {text}inherit ({body}) z; inherit w; in {body})")
            }),
            // A text in front, since a lone part prints as that part in parentheses; no `$` at its end, which would
            // take the interpolation away.
            (inner.clone(), string())
                .prop_map(|(a, s)| { format!("(\"x{}${{{a}}}\")", s[1..s.len() - 1].trim_end_matches('$')) }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn printed_text_parses_to_the_same(text in expression()) {
        let once = printed(text.as_bytes());
        prop_assert_eq!(printed(once.as_bytes()), once);
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Err(diagnostic) = parse_text(&bytes) {
            prop_assert!(!diagnostic.message.is_empty() && diagnostic.pos.resolve().is_some());
        }
    }

    #[test]
    fn tokens_never_panic(tokens in proptest::collection::vec(proptest::sample::select(TOKENS), 0..25)) {
        if let Err(diagnostic) = parse_text(tokens.concat().as_bytes()) {
            prop_assert!(diagnostic.message != "syntax error", "the two parsers disagree");
            prop_assert!(diagnostic.pos.resolve().is_some());
        }
    }
}

const TOKENS: &[&str] = &[
    "{", "}", "(", ")", "[", "]", ";", ":", ",", "@", ".", "...", "=", "==", "?", "\"", "''", "${", "'", "$",
    "\\", "let ", " in ", "rec ", "inherit ", " or ", "if ", " then ", " else ", "with ", "assert ", "a",
    "b ", "a = 1;", " ", "\n", "/", "//", "./a", "/a/", "~/a", "<a>", "a:b", "+", "++", "-", "->", "!", "<",
    "|>", "<|", "&&", "#", "/*", "*/", "/**", "1", "1.5", "é",
];
