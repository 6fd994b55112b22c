//! Any text ends as a tree that prints, or as a message with words and a place. Sources are kept for good, so
//! give libFuzzer a limit (`-runs=…`).
#![no_main]

use libfuzzer_sys::fuzz_target;
use nival_syntax::{HumanStyle, Origin, ParseOptions, Source, parse, print, render_human, render_reference};

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = Source::add(Origin::String, bytes) else { return };
    let options = ParseOptions { base_path: "/", home: Some("/home/user"), pipe_operators: true, max_depth: nival_syntax::MAX_DEPTH };
    match parse(source, &options) {
        Ok(ast) => assert!(!print::print(&ast).is_empty()),
        Err(error) => {
            assert!(error.message != "syntax error", "the two parsers disagree");
            assert!(error.pos.resolve().is_some());
            assert!(!render_reference(&error, true).is_empty());
            assert!(!render_human(&error, HumanStyle::default()).is_empty());
        }
    }
});
