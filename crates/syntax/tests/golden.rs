//! Snippets with what C++ Nix 2.34.8 (`nix-instantiate --parse`) prints for them. In these files `␍` and
//! `␀` in a snippet stand for a carriage return and a NUL.

use nival_syntax::{MAX_DEPTH, Origin, ParseOptions, Source, parse, print, render_reference};

fn check(golden: &str, pipe_operators: bool) {
    let options =
        ParseOptions { base_path: "/a/b", home: Some("/home/user"), pipe_operators, max_depth: MAX_DEPTH };
    let mut wrong = Vec::new();
    let cases = golden.strip_suffix('\n').unwrap_or(golden).split("\n====\n");
    for case in cases {
        let (text, expected) = case.split_once("\n----\n").expect("a snippet and its outcome");
        let bytes = text.replace('␍', "\r").replace('␀', "\0");
        let source = Source::add(Origin::File("/a/b/test.nix".to_owned()), bytes).expect("room");
        let found = match parse(source, &options) {
            Ok(ast) => String::from_utf8_lossy(&print::print(&ast)).into_owned(),
            Err(diagnostic) => render_reference(&diagnostic, false),
        };
        let found = found.replace('\r', "␍");
        if found != expected {
            wrong.push(format!("{text}\nexpected:\n{expected}\nfound:\n{found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_parses() {
    check(include_str!("parse/okay.txt"), false);
}

#[test]
fn what_does_not_parse() {
    check(include_str!("parse/fail.txt"), false);
}

#[test]
fn pipes() {
    check(include_str!("parse/pipes.txt"), true);
}
