//! Both renderers on diagnostics made by hand. The expected texts of the reference's are what C++ Nix 2.34.8
//! prints when its evaluator comes to the same frames.

use nival_syntax::{
    Code, Diagnostic, Frame, HumanStyle, MAX_DEPTH, Origin, ParseOptions, Pos, Source, parse, render_human,
    render_reference,
};

fn source(path: &str, text: &str) -> &'static Source {
    Source::add(Origin::File(path.to_owned()), text).expect("room")
}

fn frame(text: &str, pos: Pos, always: bool) -> Frame {
    Frame { text: text.to_owned(), pos, always }
}

fn recursion() -> Diagnostic {
    let text = "let f = n: if n == 0 then throw \"boom\" else 1 + f (n - 1);\nin f 9\n";
    let source = source("/t.nix", text);
    let mut diagnostic = Diagnostic::error("boom", Pos::NONE).with_code(Code::THROW);
    for step in 0..10 {
        let call = if step == 0 { 62 } else { 48 };
        diagnostic.frames.push(frame("from call site", source.pos(call), false));
        diagnostic.frames.push(frame("while calling 'f'", source.pos(8), false));
    }
    diagnostic.frames.push(frame("while calling the 'throw' builtin", source.pos(26), false));
    diagnostic
}

#[test]
fn reference_leaves_out_repeated_frames() {
    let expected = r#"error:
       … from call site
         at /t.nix:2:4:
            1| let f = n: if n == 0 then throw "boom" else 1 + f (n - 1);
            2| in f 9
             |    ^
            3|

       … while calling 'f'
         at /t.nix:1:9:
            1| let f = n: if n == 0 then throw "boom" else 1 + f (n - 1);
             |         ^
            2| in f 9

       … from call site
         at /t.nix:1:49:
            1| let f = n: if n == 0 then throw "boom" else 1 + f (n - 1);
             |                                                 ^
            2| in f 9

       (17 duplicate frames omitted)

       … while calling the 'throw' builtin
         at /t.nix:1:27:
            1| let f = n: if n == 0 then throw "boom" else 1 + f (n - 1);
             |                           ^
            2| in f 9

       error: boom"#;
    assert_eq!(render_reference(&recursion(), true), expected);
}

#[test]
fn reference_cuts_frames_but_shows_those_the_author_added() {
    let source = source("/t.nix", "in\nhead (map f [ 9 ])\n");
    let mut diagnostic = Diagnostic::error("boom", Pos::NONE);
    diagnostic.frames.push(frame("while calling the 'head' builtin", source.pos(3), false));
    diagnostic.frames.push(frame("first", Pos::NONE, true));
    diagnostic.frames.push(frame("second", Pos::NONE, true));
    diagnostic.frames.push(frame("cut", Pos::NONE, false));
    diagnostic.frames.push(frame("third", Pos::NONE, true));
    let expected = "error:
       … while calling the 'head' builtin
         at /t.nix:2:1:
            1| in
            2| head (map f [ 9 ])
             | ^
            3|

       … first

       … second

       … third

       (stack trace truncated; use '--show-trace' to show the full, detailed trace)

       error: boom";
    assert_eq!(render_reference(&diagnostic, false), expected);
}

#[test]
fn reference_suggests() {
    let source = source("/t.nix", "{foo=1;fob=2;}.foc\n");
    let suggestions = nival_syntax::suggestions("foc", [&b"foo"[..], b"fob"]);
    let diagnostic =
        Diagnostic::error("attribute 'foc' missing", source.pos(0)).with_suggestions(suggestions);
    let expected = "error: attribute 'foc' missing
       at /t.nix:1:1:
            1| {foo=1;fob=2;}.foc
             | ^
            2|
       Did you mean one of fob or foo?";
    assert_eq!(render_reference(&diagnostic, false), expected);
}

#[test]
fn human_shows_the_cause_and_both_places() {
    let options = ParseOptions { base_path: "/", home: None, pipe_operators: false, max_depth: MAX_DEPTH };
    let source = source("/home/user/x.nix", "{\n  a = 1;\n  b = 2;\n  a = 3;\n}\n");
    let error = parse(source, &options).expect_err("`a` is there twice");
    let expected = "\
error[E0002]: attribute 'a' already defined at /home/user/x.nix:2:3
 --> /home/user/x.nix:4:3
  |
2 |   a = 1;
  |   - first defined here
3 |   b = 2;
4 |   a = 3;
  |   ^";
    assert_eq!(render_human(&error, HumanStyle::default()), expected);
}

#[test]
fn human_shows_own_frames_innermost_first_and_hints_last() {
    let own = source("/home/user/y.nix", "f 1\ng 2\n");
    let other = source("/nix/store/x-nixpkgs/z.nix", "h 3\n");
    let mut diagnostic = Diagnostic::error("undefined variable 'fo'", own.pos(0))
        .with_code(Code::UNDEFINED_VARIABLE)
        .with_hint("define it")
        .with_suggestions(vec!["foo".to_owned(), "for".to_owned()]);
    diagnostic.push_outer_frame("while calling 'inner'", own.pos(4));
    diagnostic.push_outer_frame("while calling 'h'", other.pos(0));
    diagnostic.push_outer_frame("while calling 'outer'", own.pos(0));
    let expected = "\
error[E0020]: undefined variable 'fo'
 --> /home/user/y.nix:1:1
  |
1 | f 1
  | ^

… while calling 'inner'
    at /home/user/y.nix:2:1
… while calling 'outer'
    at /home/user/y.nix:1:1
(1 more frame; `--show-trace` shows all)

hint: define it
hint: did you mean `foo` or `for`?";
    assert_eq!(render_human(&diagnostic, HumanStyle::default()), expected);
}

#[test]
fn human_tells_options_and_definitions_instead_of_what_the_library_did() {
    let home = source("/home/user/home.nix", "{\n  programs.git.userName =\n    \"x\" + 1;\n}\n");
    let modules = source("/home/user/nixpkgs/lib/modules.nix", "a\nb\n");
    let types = source("/home/user/nixpkgs/lib/types.nix", "c\n");
    let mut diagnostic = Diagnostic::error("cannot coerce an integer to a string: 1", types.pos(0));
    diagnostic.push_outer_frame("while evaluating a path segment", home.pos(38));
    diagnostic.push_outer_frame("while calling the 'isAttrs' builtin", modules.pos(0));
    diagnostic.push_outer_frame("while evaluating definitions from `/home/user/home.nix':", Pos::NONE);
    diagnostic.push_outer_frame("in the right operand of the AND (&&) operator", modules.pos(2));
    diagnostic.push_outer_frame("while evaluating the option `programs.git.userName':", Pos::NONE);
    diagnostic.push_outer_frame("while calling anonymous lambda", types.pos(0));
    diagnostic.push_outer_frame("while evaluating the option `home.file':", Pos::NONE);
    let expected = "\
error: cannot coerce an integer to a string: 1
 --> /home/user/home.nix:3:11
  |
3 |     \"x\" + 1;
  |           ^ while evaluating a path segment
  |
 ::: /home/user/nixpkgs/lib/types.nix:1:1
  |
1 | c
  | - the error is raised here

… in the option `programs.git.userName`
    defined in /home/user/home.nix:3
… in the option `home.file`
(3 more frames; `--show-trace` shows all)";
    assert_eq!(render_human(&diagnostic, HumanStyle::default()), expected);
}

#[test]
fn human_survives_any_text_and_end_of_file() {
    let options = ParseOptions { base_path: "/", home: None, pipe_operators: false, max_depth: MAX_DEPTH };
    for text in [&b""[..], b"\xff", b"\"\xc3", b"\n\n(", b"\xe2\x82\xac", b"\x1b[31m", b"''\xf0\x9f"] {
        let source = Source::add(Origin::Stdin, text).expect("room");
        let error = parse(source, &options).expect_err("not an expression");
        for colour in [false, true] {
            assert!(!render_human(&error, HumanStyle { colour, show_trace: true }).is_empty());
        }
        assert!(render_reference(&error, true).starts_with("error: syntax error"));
    }
}
