//! Programs print the same if garbage is collected all the time and what is free is spoiled; and it is freed indeed.
//!
//! This is one test, since collections are for a whole process: threads with other tests would hold them up.

use std::path::Path;
use std::sync::Arc;

use nival_eval::memory_host::MemoryHost;
use nival_eval::{Collection, Evaluator, PrintOptions, Settings, with_big_stack};
use nival_syntax::render_reference;

/// What programs print, one after the other, and how often garbage was collected so far.
fn run<T: AsRef<str> + Sync>(
    programs: &[T],
    collection: Collection,
    eval_cores: usize,
) -> (Vec<String>, u64) {
    with_big_stack(|| {
        let host = Arc::new(MemoryHost::with_files([]));
        let ev = Evaluator::new(host.clone(), Settings { collection, eval_cores, ..Settings::default() });
        let print = |program: &T| {
            let result = ev.eval_str(program.as_ref(), "/").and_then(|value| ev.force_deep(value));
            let mut shown = match result.and_then(|value| ev.print(value, &PrintOptions::default())) {
                Ok(text) => String::from_utf8_lossy(&text).into_owned(),
                Err(error) => render_reference(&error.to_diagnostic(), true),
            };
            for (_, message) in host.take_messages() {
                shown.push('\n');
                shown.push_str(&String::from_utf8_lossy(&message));
            }
            shown
        };
        let shown = programs.iter().map(print).collect();
        (shown, ev.memory_statistics().cycles)
    })
}

/// All expressions of the tables in `tests/language`, which are one after `>>> ` each, and more lines after `... `.
fn expressions() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language");
    let mut expressions: Vec<String> = Vec::new();
    for folder in ["okay", "fail"].map(|name| folder.join(name)) {
        for table in std::fs::read_dir(folder).expect("the folder is there") {
            let table = std::fs::read_to_string(table.expect("the folder can be read").path());
            for line in table.expect("the table can be read").lines() {
                if let Some(first) = line.strip_prefix(">>> ") {
                    expressions.push(first.to_owned());
                } else if let (Some(more), Some(last)) = (line.strip_prefix("... "), expressions.last_mut()) {
                    last.push('\n');
                    last.push_str(more);
                }
            }
        }
    }
    expressions
}

/// What allocates a lot, keeps some of it, and needs it again in the end.
const PROGRAMS: &[&str] = &[
    "builtins.foldl' (sum: i: sum + builtins.length (builtins.genList (j: i + j) 50)) 0 (builtins.genList (i: i) 20000)",
    "let xs = builtins.genList (i: { name = \"k${toString i}\"; value = { inherit i; text = toString (i * i); }; }) 4000; \
     set = builtins.listToAttrs xs; in builtins.foldl' (sum: x: sum + set.${x.name}.value.i or 0 + builtins.stringLength set.${x.name}.text) 0 xs",
    "let grow = set: i: if i == 0 then set else grow (set // { \"a${toString i}\" = i; common = set; }) (i - 1); \
     depth = set: if set ? common then 1 + depth set.common else 0; in [ (depth (grow { } 900)) (builtins.attrNames (grow { } 60)) ]",
    "builtins.length (builtins.genericClosure { startSet = [ { key = 0; } ]; \
     operator = x: if x.key > 6000 then [ ] else [ { key = x.key + 1; from = x; } { key = x.key + 2; } ]; })",
    "builtins.stringLength (builtins.concatStringsSep \",\" (builtins.genList (i: builtins.concatStringsSep \"-\" (builtins.genList toString 30)) 3000))",
    "builtins.sort (a: b: toString a < toString b) (builtins.filter (i: builtins.bitAnd i 127 == 5) (builtins.genList (i: i * 7) 9000))",
    "let fibs = builtins.genList (i: if i < 2 then i else builtins.elemAt fibs (i - 1) + builtins.elemAt fibs (i - 2)) 85; in fibs",
    "let big = builtins.genList (i: i) 100000; in builtins.foldl' (a: b: a + b) 0 (builtins.tail (big ++ map (x: x + 1) big))",
    "map (i: (builtins.tryEval (if builtins.bitAnd i 1 == 0 then throw \"even ${toString i}\" else [ i ])).success) (builtins.genList (i: i) 3000)",
    "let d = i: derivation { name = \"d${toString i}\"; system = \"x\"; builder = \"/b\"; inputs = builtins.genList (j: d (i - j - 1)) (if i > 3 then 3 else i); }; in (d 9).drvPath",
    "builtins.length (builtins.fromJSON (builtins.toJSON (builtins.genList (i: { a = i; b = [ \"x${toString i}\" ]; }) 5000)))",
    "builtins.mapAttrs (n: v: builtins.length v) (builtins.groupBy (i: builtins.substring 0 2 (toString i)) (builtins.genList (i: i) 5000))",
    "builtins.foldl' (sum: i: builtins.deepSeq [ (i + sum) ] (sum + i)) 0 (builtins.genList (i: i) 9000)",
    "let f = n: if n == 0 then [ ] else [ n (f (n - 1)) ]; deep = f 3000; len = x: if x == [ ] then 0 else 1 + len (builtins.elemAt x 1); in len deep",
];

#[test]
fn what_is_needed_is_not_freed() {
    let check = |programs: &[String], collection, eval_cores| {
        let (expected, before) = run(programs, Collection::NEVER, 1);
        let (shown, after) = run(programs, collection, eval_cores);
        for (program, (shown, expected)) in programs.iter().zip(shown.iter().zip(&expected)) {
            assert_eq!(shown, expected, "{program}");
        }
        after - before
    };
    let programs: Vec<String> = PROGRAMS.iter().map(|program| (*program).to_owned()).collect();
    // After values that were evaluated to be shown. This comes before other threads have values, and before there is much.
    let jobs: Vec<String> = programs.iter().map(|program| format!("[ ({program}) ]")).collect();
    let after_job = |jobs_from| Collection { jobs_from, stress: Some(usize::MAX), ..Collection::NEVER };
    let all = expressions();
    for (programs, jobs_from, eval_cores, least) in
        [(&all, 0, 1, 100), (&jobs, 1 << 20, 1, 3), (&jobs, 1 << 20, 3, 3)]
    {
        let after_jobs = check(programs, after_job(jobs_from), eval_cores);
        assert!(after_jobs > least, "{after_jobs} collections");
    }
    most_of_what_is_over_is_freed(after_job(1 << 20), 3);

    let every = |bytes| Collection { from: 0, stress: Some(bytes), ..Collection::NEVER };
    let alone = check(&programs, every(1 << 20), 1);
    assert!(alone > 20, "{alone} collections");
    let together = check(&programs, every(2 << 20), 3);
    assert!(together > 5, "{together} collections");
    check(&all, every(256 << 10), 1);
    two_evaluators_in_one_thread();
    most_of_what_is_over_is_freed(Collection { from: 1 << 20, ..Collection::NEVER }, 1);
}

/// What the first has given back is garbage for a collection of the second as well.
fn two_evaluators_in_one_thread() {
    const RECURSES: &str = "let list = builtins.genList (i: i) 15; \
         make = n: if n == 0 then 0 else builtins.length (list ++ list) + make (n - 1); \
         sum = n: if n == 0 then 0 else make 99 + sum (n - 1); in sum 100";
    let collection = Collection { from: 0, stress: Some(4 << 20), ..Collection::NEVER };
    with_big_stack(|| {
        let host = Arc::new(MemoryHost::with_files([]));
        let settings = Settings { collection, eval_cores: 1, ..Settings::default() };
        let [first, second] = [(); 2].map(|()| Evaluator::new(host.clone(), settings.clone()));
        let value = |ev: &Evaluator, program| {
            let text = ev.eval_str(program, "/").and_then(|value| ev.print(value, &PrintOptions::default()));
            String::from_utf8(text.expect("it has a value")).expect("it is a number")
        };
        for _ in 0..2 {
            assert_eq!(value(&first, RECURSES), "297000");
            assert_eq!(value(&second, PROGRAMS[0]), "1000000");
        }
    });
}

/// Each element of the list needs some megabytes while it is computed, and nothing after.
fn most_of_what_is_over_is_freed(collection: Collection, eval_cores: usize) {
    const PROGRAM: &str = "map (i: let xs = builtins.genList (j: { sum = i + j; text = \"value ${toString j}\"; }) 30000; in \
         builtins.foldl' (sum: x: sum + x.sum + builtins.stringLength x.text) 0 xs) (builtins.genList (i: i) 40)";
    with_big_stack(|| {
        let host = Arc::new(MemoryHost::with_files([]));
        let ev = Evaluator::new(host, Settings { collection, eval_cores, ..Settings::default() });
        let (before, made) = (ev.memory_statistics(), ev.allocated_bytes());
        let list =
            ev.eval_str(PROGRAM, "/").and_then(|value| ev.force_deep(value)).expect("a list of numbers");
        let (after, made) = (ev.memory_statistics(), ev.allocated_bytes() - made);
        assert_eq!(list.as_list().map(nival_eval::List::len), Some(40));
        assert!(after.cycles > before.cycles + 1, "{after:?}");
        assert!(after.live_bytes < before.live_bytes + made as u64 / 4, "{made} bytes were made, {after:?}");
    });
}
