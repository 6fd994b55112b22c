//! What the reference's answers don't show: threads, small stacks, hints, selection paths.

use std::collections::BTreeMap;
use std::sync::Arc;

use nival_eval::memory_host::MemoryHost;
use nival_eval::{ErrorKind, Evaluator, Settings, Value, View, with_big_stack};
use nival_syntax::{Pos, Symbol};

fn evaluator() -> Evaluator {
    let host =
        MemoryHost::with_files([("/base/default.nix", "{ a.\"b.c\" = [ 1 ({ x ? 2 }: { y = x; }) ]; }")])
            .with_link("/link", "/base");
    Evaluator::new(Arc::new(host), Settings::default())
}

fn int(value: Value) -> i64 {
    match value.view() {
        View::Int(value) => value,
        _ => panic!("an integer was expected, not {value:?}"),
    }
}

#[test]
fn threads_share_thunks() {
    let ev = evaluator();
    let text = "let f = n: if n < 2 then n else f (n - 1) + f (n - 2); in builtins.genList (i: f (i + 5)) 16";
    let list = ev.eval_str(text, "/").expect("a list").as_list().expect("a list");
    let shared = ev.shared();
    let sums: Vec<i64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    with_big_stack(|| {
                        let ev = Evaluator::fork(&shared);
                        list.iter().map(|value| int(ev.force(value, Pos::NONE).expect("a number"))).sum()
                    })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(sums, [17_703; 4]);
}

#[test]
fn a_cycle_across_threads_ends() {
    for _ in 0..20 {
        let ev = evaluator();
        let list = ev.eval_str("let a = b + 1; b = a + 1; in [ a b ]", "/").expect("a list");
        let list = list.as_list().expect("a list");
        let shared = ev.shared();
        std::thread::scope(|scope| {
            for value in list.iter() {
                let shared = &shared;
                scope.spawn(move || {
                    let error = Evaluator::fork(shared).force(value, Pos::NONE).expect_err("it needs itself");
                    assert_eq!(error.kind(), ErrorKind::InfiniteRecursion);
                });
            }
        });
    }
}

#[test]
fn a_small_stack_is_an_error_and_no_crash() {
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(|| {
        let ev = evaluator();
        let error = ev.eval_str("let f = n: 1 + f (n + 1); in f 0", "/").expect_err("it never ends");
        assert_eq!(error.kind(), ErrorKind::StackOverflow);
        // The evaluator can go on.
        assert_eq!(int(ev.eval_str("1 + 1", "/").expect("a number")), 2);
    });
    thread.expect("a thread").join().expect("no panic");
}

#[test]
fn calls_are_counted() {
    with_big_stack(|| {
        let ev = evaluator();
        let count = |n| format!("let f = n: if n == 0 then 0 else 1 + f (n - 1); in f {n}");
        assert_eq!(int(ev.eval_str(&count(9_000), "/").expect("within the limit")), 9_000);
        let error = ev.eval_str(&count(11_000), "/").expect_err("beyond the limit");
        assert_eq!(error.message(), "stack overflow; max-call-depth exceeded");
    });
}

#[test]
fn a_comparison_made_before_takes_as_many_calls() {
    with_big_stack(|| {
        let is_within = |before: &str, calls: u32| {
            let text = format!(
                "let a = {{ a = 1; b = 2; c = 3; d = 4; e = 5; f = 6; g = 7; h = [ [ [ 1 ] ] ]; }};
                b = a // {{ h = [ [ [ 1 ] ] ]; }};
                within = n: if n == 0 then a == b else within (n - 1);
                in {before} within {calls}"
            );
            match evaluator().eval_str(&text, "/") {
                Ok(equal) => equal == Value::TRUE,
                Err(error) => {
                    assert_eq!(error.message(), "stack overflow; max-call-depth exceeded");
                    false
                }
            }
        };
        let limit = (9_900..10_100).find(|calls| !is_within("", *calls)).expect("there is a limit");
        for before in ["assert a == b;", "assert within 9000;"] {
            assert!(is_within(before, limit - 1) && !is_within(before, limit), "{before}");
        }
    });
}

#[test]
fn sets_give_hints_for_what_they_lack() {
    let ev = evaluator();
    let set = "{ a = 1; __missingAttributeHint = \"add it\"; }";
    for (expression, message) in
        [(format!("{set}.b"), "attribute 'b' missing"), (format!("with {set}; b"), "undefined variable 'b'")]
    {
        let error = ev.eval_str(&expression, "/").expect_err("it is not there");
        assert_eq!(error.message(), message);
        assert_eq!(error.to_diagnostic().hints, ["add it"]);
    }
    let error = ev.eval_str("{ a = 1; }.b", "/").expect_err("it is not there");
    assert!(error.to_diagnostic().hints.is_empty());
}

#[test]
fn selection_paths_call_functions_on_the_way() {
    let ev = evaluator();
    let arguments = BTreeMap::from([(Symbol::intern("x"), ev.int(7))]);
    let file = ev.eval_file(std::path::Path::new("/link")).expect("a set");
    let value = ev.find_along_path("a.\"b.c\".1.y", &arguments, file).expect("it is there");
    assert_eq!(int(value), 7);
    let error = ev.find_along_path("a.b", &arguments, file).expect_err("it is not there");
    assert_eq!(error.message(), "attribute 'b' in selection path 'a.b' not found");
}

#[test]
fn a_missing_file_is_named() {
    let ev = evaluator();
    let error = ev.eval_file(std::path::Path::new("/base/nope.nix")).expect_err("it is not there");
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::MissingFile, "path '/base/nope.nix' does not exist")
    );
}

#[test]
fn large_sets_on_either_side_are_layers() {
    let ev = evaluator();
    let text = "
        let
          large = start: builtins.listToAttrs
            (builtins.genList (i: { name = \"n${toString (start + i)}\"; value = start; }) 600);
          left = { n0 = -1; a = 1; } // large 0;
          both = large 0 // large 300;
          right = builtins.foldl' (s: i: { \"x${toString i}\" = i; n5 = i; } // s) both (builtins.genList (i: i) 20);
          many = builtins.foldl' (s: i: s // large (i * 100)) left (builtins.genList (i: i) 20);
          count = set: builtins.length (builtins.attrNames set);
          sum = set: builtins.foldl' (a: b: a + b) 0 (builtins.attrValues set);
          look = set: (set.a or 0) + set.n5 + (set.n700 or 0) + (set.x7 or 0) + (set.n2499 or 0);
        in [
          (look left) (count left) (sum left)
          (look both) (count both) (sum both)
          (look right) (count right) (sum right)
          (look many) (count many) (sum many)
          (if both == both // { } && both != left && removeAttrs many [ \"a\" ] == removeAttrs (many // { a = 2; }) [ \"a\" ] then 1 else 0)
        ]";
    let list = ev.eval_str(text, "/").expect("a list").as_list().expect("a list");
    let numbers: Vec<i64> =
        list.iter().map(|value| int(ev.force(value, Pos::NONE).expect("a number"))).collect();
    let expected = [1, 601, 1, 300, 900, 180_000, 307, 920, 180_190, 2601, 2501, 2_850_001, 1];
    assert_eq!(numbers, expected);
}

#[test]
fn large_sets_in_layers_are_as_any_other() {
    let ev = evaluator();
    let text = "
        let
          base = builtins.listToAttrs (builtins.genList (i: { name = \"n${toString i}\"; value = i; }) 200);
          layers = builtins.foldl' (s: i: s // { \"n${toString i}\" = -i; \"x${toString i}\" = i; }) base
            (builtins.genList (i: i + 1) 30);
        in [
          (builtins.length (builtins.attrNames layers))
          (layers.n3 + layers.n100 + layers.x30)
          (builtins.foldl' (a: b: a + b) 0 (builtins.attrValues layers))
        ]";
    let list = ev.eval_str(text, "/").expect("a list").as_list().expect("a list");
    let numbers: Vec<i64> =
        list.iter().map(|value| int(ev.force(value, Pos::NONE).expect("a number"))).collect();
    assert_eq!(numbers, [230, 127, 19_900 - 465]);
}

#[test]
fn large_sets_in_layers_know_where_attributes_were_written() {
    let text = "let
      big = builtins.listToAttrs (builtins.genList (i: { name = \"k${toString i}\"; value = i; }) 600);
      less = removeAttrs (big // { x = 1; k3 = 2; }) [ \"k1\" ];
    in map (name: (builtins.unsafeGetAttrPos name less).column) [ \"x\" \"k3\" \"k4\" ]";
    let host = MemoryHost::with_files([("/layers.nix", text)]);
    let ev = Evaluator::new(Arc::new(host), Settings::default());
    let list = ev.eval_str("import /layers.nix", "/").expect("a list").as_list().expect("a list");
    let columns: Vec<i64> =
        list.iter().map(|value| int(ev.force(value, Pos::NONE).expect("a number"))).collect();
    assert_eq!(columns, [36, 43, 83]);
}
