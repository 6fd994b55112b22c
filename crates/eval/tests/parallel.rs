//! With several threads a program has the results, messages and errors that it has with one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nival_eval::memory_host::MemoryHost;
use nival_eval::{Evaluator, PrintOptions, Settings, with_big_stack};
use nival_syntax::render_reference;

/// What a program prints: its value or error, and its messages.
fn run(expression: &str, eval_cores: usize) -> (String, Vec<String>) {
    with_big_stack(|| {
        let host = Arc::new(MemoryHost::with_files([]));
        let ev =
            Evaluator::new(host.clone(), Settings { eval_cores, show_trace: true, ..Settings::default() });
        let result = ev.eval_str(expression, "/").and_then(|value| ev.force_deep(value));
        let result = match result.and_then(|value| ev.print(value, &PrintOptions::default())) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => render_reference(&error.to_diagnostic(), true),
        };
        let messages = host.take_messages().into_iter();
        (result, messages.map(|(_, text)| String::from_utf8_lossy(&text).into_owned()).collect())
    })
}

/// Enough work for others to come in between.
const WORK: &str = "work = n: if n < 2 then n else work (n - 1) + work (n - 2);";

#[test]
fn nobody_sees_that_there_are_several_threads() {
    let programs = [
        // Values that need each other.
        "let xs = builtins.genList (i: if i < 2 then i else at (i - 1) + at (i - 2)) 80; at = builtins.elemAt xs; in xs",
        "let s = { a = s.b ++ [ (work 12) ]; b = s.c ++ [ (work 13) ]; c = s.d; d = [ (work 14) ]; }; in s",
        "builtins.mapAttrs (name: value: { inherit name; value = work value; }) { a = 11; b = 12; c = 13; d = 14; }",
        "builtins.concatStringsSep \",\" (map (i: toString (work i)) [ 3 12 5 13 7 14 9 15 ])",
        "builtins.concatLists (builtins.genList (i: builtins.genList (j: work (i + j)) 6) 6)",
        "let d = name: inputs: derivation { inherit name inputs; system = \"x\"; builder = \"/b\"; n = work 10; }; \
         l = builtins.genList (i: d \"l${toString i}\" [ ]) 8; m = map (x: d \"m\" [ l x ]) l; in (d \"top\" m).drvPath",
        // Lists that functions are called on, one element after the other.
        "builtins.concatMap (i: [ (work i) i ]) [ 3 12 5 13 7 14 9 15 ]",
        "builtins.filter (i: builtins.trace i (work i > 100)) [ 14 3 12 5 13 7 14 9 15 ]",
        "builtins.filter (i: if i == 5 then { } else work i > 100) [ 14 3 12 5 13 7 14 9 15 ]",
        "builtins.concatMap (i: if i == 13 then throw \"at ${toString (work i)}\" else [ (work i) ]) [ 15 12 13 14 13 ]",
        "builtins.partition (i: work i > 100) [ 14 3 12 5 13 7 ]",
        "builtins.groupBy (i: toString (work i)) [ 14 3 12 5 13 7 14 ]",
        "builtins.groupBy (i: work i) [ 14 3 12 5 13 7 14 ]",
        "builtins.catAttrs \"a\" (map (i: if work i > 200 then { a = i; } else { }) [ 14 3 12 5 13 7 ])",
        "builtins.catAttrs \"a\" (map (i: if work i > 300 then throw \"large\" else { a = i; }) [ 12 3 14 5 13 7 ])",
        "builtins.zipAttrsWith (n: v: work (builtins.length v)) (map (i: { ${toString (work i)} = i; }) [ 14 3 12 5 13 7 ])",
        "builtins.toJSON (map (i: { a.b.c = work i; d = [ (work (i + 1)) { __toString = s: \"x\"; e = throw \"no\"; } ]; }) [ 9 12 5 13 ])",
        "builtins.toJSON [ (work 13) { outPath = work 14; x = throw \"no\"; } { a = work 12; b = work; c = throw \"later\"; } ]",
        // Calls of which each needs what the last one gave.
        "builtins.foldl' (acc: i: let w = work i; in if w > 1 then acc + w else acc) 0 [ 14 13 15 14 3 12 5 13 7 14 9 15 ]",
        "builtins.foldl' (acc: i: builtins.seq (work i) (builtins.trace \"${toString i} ${toString acc}\" (acc + i))) 0 \
         [ 14 13 14 13 12 5 13 9 15 ]",
        "builtins.foldl' (acc: i: let t = builtins.tryEval (if i == 5 then throw \"x\" else work i); in \
         if t.success then acc ++ [ t.value ] else acc) [ ] [ 14 13 14 13 5 12 5 13 9 5 ]",
        "let s = builtins.mapAttrs (n: work) { a = 14; b = 13; c = 14; d = 13; e = 12; f = 13; g = 15; }; in \
         builtins.foldl' (acc: n: let v = s.${n}; in builtins.seq v { sum = acc.sum + v; }) { sum = 0; } (builtins.attrNames s)",
        "builtins.foldl' (acc: i: if work i == 233 then throw \"after ${toString acc}\" else acc + i) 0 [ 14 12 15 14 12 13 14 13 ]",
        "builtins.foldl' (acc: i: work i) 0 [ 14 13 14 13 12 13 14 ]",
        "let s = builtins.foldl' (acc: i: let w = work i; in if i == 5 then s else acc + w) 0 [ 14 14 14 14 13 5 13 ]; in s",
        "builtins.foldl' (acc: i: builtins.foldl' (acc: j: let w = work (i + j); in acc + w) acc [ 3 2 4 3 2 3 ]) 0 [ 10 9 10 9 8 7 ]",
        // Messages come in the order of the program, each once.
        "builtins.genList (i: builtins.trace \"${toString i}\" (work (i + 5))) 9",
        "let w = builtins.warn \"once\" (work 12); in [ (work 8) w w { a = w; b = builtins.trace \"b\" w; } ]",
        "builtins.concatStringsSep \" \" (builtins.genList (i: builtins.trace i (toString (work i))) 12)",
        // The first error is the one that is reported, with the frames it has.
        "builtins.genList (i: if i > 3 then throw \"at ${toString (work i)}\" else work (14 - i)) 9",
        "[ (work 15) (throw \"first\") (abort \"second\") (1 + \"x\") ({ }.third) ]",
        "builtins.concatStringsSep \" \" [ (toString (work 14)) (toString (builtins.add 1 \"x\")) (throw \"later\") ]",
        "map (i: (builtins.tryEval (if i == 5 then throw \"x\" else work i)).success) [ 14 13 5 12 5 11 ]",
        // That a function was called before shows in frames.
        "{ a = work 21; } // builtins.mapAttrs (n: v: throw \"${n} ${toString (work 5)}\") { b = 1; c = 2; d = 3; }",
        "let f = i: if i > 1 then throw i else work i; in [ (work 21) ] ++ builtins.genList f 6",
        "[ (work 17) ] ++ map (i: if i == 12 then throw i else work i) [ 12 9 12 9 12 ]",
        // Cycles are reported where they are.
        "let a = [ (work 12) b ]; b = builtins.length c + work 5; c = [ b ] ++ d; d = [ (work 14) ] ++ e; e = if b == 0 then c else d; \
         in [ (work 14) e d c a ]",
        "let x = { a = x.b + work 9; b = x.c + work 10; c = x.a + work 11; }; in [ (work 13) x x.c x.b ]",
        "builtins.concatStringsSep \"\" (let xs = map (i: toString (work i) + (if i == 9 then all else \"\")) [ 12 11 9 8 ]; \
         all = builtins.concatStringsSep \"\" xs; in xs)",
        // What is too deep for one is too deep for several.
        "let f = n: if n == 0 then 0 else 1 + f (n - 1); in [ (f 9000) (work 14) (f 9500) (f 20000) (f 30) ]",
    ];
    for program in programs {
        let program = format!("let {WORK} in {program}");
        let alone = run(&program, 1);
        for round in 0..6 {
            assert_eq!(run(&program, 2 + round), alone, "{program}");
        }
    }
}

#[test]
fn what_never_ends_does_not_keep_the_program() {
    let start = Instant::now();
    let program =
        format!("let {WORK} in [ (work 16) (throw \"enough\") (work 16) (work 60) (work 61) (work 62) ]");
    let (text, _) = run(&program, 4);
    assert!(text.contains("enough"), "{text}");
    // Alone, `work 60` takes days.
    assert!(start.elapsed() < Duration::from_mins(1));
}
