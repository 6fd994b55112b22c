//! Statistics, flamegraphs and profiles of an evaluation. Numbers and stacks of [`EXPRESSION`] and [`CALLEES`] were recorded from
//! C++ Nix 2.34.8.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use stage::{Said, Stage};

const EXPRESSION: &str = r#"let
  lib = import ./l.nix;
  add = a: b: a + b;
  f = { x, y ? 2 }: add x y;
in
map (n: f { x = n; }) [ 1 2 ] ++ [ (lib.twice (builtins.stringLength) "abc") ] ++ [ (builtins.foldl' add 0 [ 1 2 3 ]) ] ++ [ (derivation { name = "d"; system = "x"; builder = "b"; }).drvPath ]
"#;

/// Without what is inside of `derivation`.
const STACKS: &str = "\
DIR/m.nix:2:9:primop import 1
DIR/m.nix:6:127 1
DIR/m.nix:6:1:primop map 1
DIR/m.nix:6:37:twice 1
DIR/m.nix:6:37:twice;DIR/l.nix:1:17:primop stringLength 1
DIR/m.nix:6:37:twice;DIR/l.nix:1:23:primop stringLength 1
DIR/m.nix:6:6 2
DIR/m.nix:6:6;DIR/m.nix:6:9:f 2
DIR/m.nix:6:6;DIR/m.nix:6:9:f;DIR/m.nix:4:21:add 2
DIR/m.nix:6:86:primop foldl' 1
DIR/m.nix:6:86:primop foldl';DIR/m.nix:3:9:add 3
";

const CALLEES: &str = r#"let
  f = { __functor = self: x: x * self.by; by = 2; };
  g = x: if x <= 0 then -x else g (x - 1);
in
[ (f 3) (g 1) (builtins.mapAttrs (n: v: v) { a = 1; }) (map (builtins.add 1) [ 1 ]) (builtins.sort (a: b: a < b) [ 2 1 ])
  (builtins.tryEval (builtins.foldl' (a: x: throw "no") 0 [ f ])) ]
"#;

const STACKS_OF_CALLEES: &str = "\
DIR/m.nix:5:10:g 1
DIR/m.nix:5:10:g;DIR/m.nix:3:15:primop lessThan 1
DIR/m.nix:5:10:g;DIR/m.nix:3:33:g 1
DIR/m.nix:5:10:g;DIR/m.nix:3:33:g;DIR/m.nix:3:15:primop lessThan 1
DIR/m.nix:5:10:g;DIR/m.nix:3:33:g;DIR/m.nix:3:15:primop lessThan;DIR/m.nix:3:38:primop sub 1
DIR/m.nix:5:10:g;DIR/m.nix:3:33:g;DIR/m.nix:3:25:primop sub 1
DIR/m.nix:5:16:primop mapAttrs 1
DIR/m.nix:5:4:functor 1
DIR/m.nix:5:4:functor;DIR/m.nix:2:9 1
DIR/m.nix:5:4:functor;DIR/m.nix:2:9;DIR/m.nix:2:32:primop mul 1
DIR/m.nix:5:57:primop map 1
DIR/m.nix:5:57:primop map;DIR/m.nix:5:62:primop add 1
DIR/m.nix:5:86:primop sort 1
DIR/m.nix:5:86:primop sort;DIR/m.nix:5:101 1
DIR/m.nix:5:86:primop sort;DIR/m.nix:5:101;DIR/m.nix:5:109:primop lessThan 1
DIR/m.nix:6:4:primop tryEval 1
DIR/m.nix:6:4:primop tryEval;DIR/m.nix:6:22:primop foldl' 1
DIR/m.nix:6:4:primop tryEval;DIR/m.nix:6:22:primop foldl';DIR/m.nix:6:39 1
DIR/m.nix:6:4:primop tryEval;DIR/m.nix:6:22:primop foldl';DIR/m.nix:6:39;DIR/m.nix:6:45:primop throw 1
primop add 1
«none»:0 1
«none»:0;«none»:0 1
";

const KEYS: [&str; 17] = [
    "cpuTime",
    "envs",
    "gc",
    "list",
    "nrAvoided",
    "nrExprs",
    "nrFunctionCalls",
    "nrLookups",
    "nrOpUpdateValuesCopied",
    "nrOpUpdates",
    "nrPrimOpCalls",
    "nrThunks",
    "sets",
    "sizes",
    "symbols",
    "time",
    "values",
];

/// With [`EXPRESSION`] to evaluate.
fn stage() -> Stage {
    let stage = Stage::new(&[("NIX_REMOTE", "dummy://")]);
    stage.write("m.nix", EXPRESSION);
    stage.write("l.nix", "{ twice = f: x: f x + f x; }\n");
    stage
}

const EVALUATE: [&str; 4] = ["nix-instantiate", "--eval", "--strict", "m.nix"];
const ANSWER: &str = "[ 3 4 6 6 \"/nix/store/nzvhjdd45mdh8mkqm4vz4hdqsjrvkm8j-d.drv\" ]\n";

#[track_caller]
fn good(said: Said) -> [String; 2] {
    assert_eq!(said.code, Some(0), "{said:?}");
    [said.out, said.err]
}

#[test]
fn every_call_in_a_flamegraph() {
    let stage = stage();
    let mut command = stage.command(&EVALUATE);
    command.args(["--option", "eval-profiler", "flamegraph", "--option", "eval-profiler-frequency", "0"]);
    for (file, more) in [("nix.profile", &[][..]), ("stacks", &["--option", "eval-profile-file", "stacks"])] {
        command.args(more);
        assert_eq!(good(Stage::say(&mut command)), [ANSWER, ""]);
        let folded = fs::read_to_string(stage.path(file)).unwrap();
        let folded = folded.replace(stage.path("").to_str().unwrap().trim_end_matches('/'), "DIR");
        let shown: Vec<&str> = folded.lines().filter(|line| !line.contains("«nix-internal»")).collect();
        assert_eq!(shown, STACKS.lines().collect::<Vec<_>>());
        assert!(folded.lines().any(|line| line.contains("primop derivationStrict:d 1")), "{folded}");
    }
}

#[test]
fn every_kind_of_callee_in_a_flamegraph() {
    let stage = stage();
    stage.write("m.nix", CALLEES);
    let mut command = stage.command(&EVALUATE);
    command.args(["--option", "eval-profiler", "flamegraph", "--option", "eval-profiler-frequency", "0"]);
    let answer = "[ 6 0 { a = 1; } [ 2 ] [ 1 2 ] { success = false; value = false; } ]\n";
    assert_eq!(good(Stage::say(&mut command)), [answer, ""]);
    let folded = fs::read_to_string(stage.path("nix.profile")).unwrap();
    let folded = folded.replace(stage.path("").to_str().unwrap().trim_end_matches('/'), "DIR");
    assert_eq!(folded.lines().collect::<Vec<_>>(), STACKS_OF_CALLEES.lines().collect::<Vec<_>>());
}

#[test]
fn a_flamegraph_of_samples() {
    let stage = stage();
    stage.write("m.nix", "let fib = n: if n < 2 then n else fib (n - 1) + fib (n - 2); in fib 20");
    let mut command = stage.command(&EVALUATE);
    command.args(["--option", "eval-profiler", "flamegraph", "--option", "eval-profiler-frequency", "1000"]);
    assert_eq!(good(Stage::say(&mut command)), ["6765\n", ""]);
    let folded = fs::read_to_string(stage.path("nix.profile")).unwrap();
    for line in folded.lines() {
        let (stack, times) = line.rsplit_once(' ').unwrap();
        assert!(
            stack.split(';').all(|frame| frame.ends_with(":fib") || frame.contains(":primop ")),
            "{line}"
        );
        assert!(times.parse::<u64>().unwrap() > 0, "{line}");
    }
}

#[test]
fn a_profile_that_cannot_be_written() {
    let stage = stage();
    let mut command = stage.command(&EVALUATE);
    command.args([
        "--option",
        "eval-profiler",
        "flamegraph",
        "--option",
        "eval-profile-file",
        "no/such/file",
    ]);
    let said = Stage::say(&mut command);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("opening file '"));
    assert_eq!(said.out, "", "it was not evaluated first");
}

#[test]
fn statistics() {
    let stage = stage();
    let mut command = stage.command(&EVALUATE);
    command.env("NIX_SHOW_STATS", "1").env("NIX_COUNT_CALLS", "1");
    // Twice: nothing of it comes out of the evaluation cache.
    for _ in 0..2 {
        let [out, err] = good(Stage::say(&mut command));
        assert_eq!(out, ANSWER);
        let statistics: Value = serde_json::from_str(&err).unwrap();
        assert_eq!(statistics["nrFunctionCalls"], 18);
        assert_eq!(statistics["nrPrimOpCalls"], 9);
        assert_eq!(statistics["nrLookups"], 8);
        assert_eq!(statistics["list"]["concats"], 3);
        assert_eq!(statistics["attributes"], Value::Null);
        let primops = json!({
            "derivationStrict": 1, "foldl'": 1, "head": 1, "import": 1, "listToAttrs": 1, "map": 2, "stringLength": 2,
        });
        assert_eq!(statistics["primops"], primops);
        let calls = |function: &Value| {
            let file = function["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            let [line, column, count] =
                ["line", "column", "count"].map(|key| function[key].as_u64().unwrap());
            (file, line, column, function["name"].as_str().unwrap_or("").to_owned(), count)
        };
        let functions: BTreeSet<_> = statistics["functions"].as_array().unwrap().iter().map(calls).collect();
        for (file, line, column, name, count) in [
            ("m.nix", 4, 7, "f", 2),
            ("m.nix", 3, 9, "add", 5),
            ("m.nix", 3, 12, "add", 5),
            ("m.nix", 6, 6, "", 2),
            ("l.nix", 1, 11, "twice", 1),
            ("l.nix", 1, 14, "twice", 1),
        ] {
            let wanted = (file.to_owned(), line, column, name.to_owned(), count);
            assert!(functions.contains(&wanted), "{wanted:?} in {functions:?}");
        }
    }
}

#[test]
fn statistics_have_the_references_keys_and_go_where_they_are_wanted() {
    let stage = stage();
    let with = |variables: &[(&str, &str)]| {
        let mut command = stage.command(&EVALUATE);
        command.envs(variables.iter().copied());
        let [out, err] = good(Stage::say(&mut command));
        assert_eq!(out, ANSWER);
        err
    };
    assert_eq!(with(&[("NIX_SHOW_STATS", "0")]), "");
    assert_eq!(with(&[("NIX_COUNT_CALLS", "1")]), "");
    assert_eq!(with(&[("NIX_SHOW_STATS", "1"), ("NIX_SHOW_STATS_PATH", "stats.json")]), "");
    let in_file = fs::read_to_string(stage.path("stats.json")).unwrap();
    for shown in [in_file, with(&[("NIX_SHOW_STATS", "1"), ("NIX_SHOW_STATS_PATH", "-")])] {
        let statistics: Value = serde_json::from_str(&shown).unwrap();
        let keys: Vec<_> = statistics.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, KEYS);
        assert!(statistics["cpuTime"].as_f64().unwrap() > 0.0);
        assert!(statistics["symbols"]["bytes"].as_u64() > statistics["symbols"]["number"].as_u64());
    }
    let symbols: Value =
        serde_json::from_str(&with(&[("NIX_SHOW_STATS", "1"), ("NIX_SHOW_SYMBOLS", "1")])).unwrap();
    assert!(symbols["symbols"].as_array().unwrap().contains(&json!("twice")));
}

#[test]
fn garbage_is_collected_from_a_size_on() {
    let stage = stage();
    // 160 MB, of which 800 kB are in use at a time.
    let program = "builtins.foldl' (sum: i: sum + builtins.length (builtins.genList (x: i) 100000)) 0 (builtins.genList (i: i) 200)";
    let cycles = |variables: &[(&str, &str)]| {
        let mut command = stage.command(&["nix-instantiate", "--eval", "--expr", program]);
        let [out, err] = good(Stage::say(command.env("NIX_SHOW_STATS", "1").envs(variables.iter().copied())));
        assert_eq!(out, "20000000\n");
        let statistics: Value = serde_json::from_str(&err).unwrap();
        statistics["gc"]["cycles"].as_u64().unwrap()
    };
    assert!(cycles(&[("GC_INITIAL_HEAP_SIZE", "20M")]) > 0);
    assert_eq!(cycles(&[("GC_INITIAL_HEAP_SIZE", "20M"), ("GC_DONT_GC", "1")]), 0);
    assert_eq!(cycles(&[]), 0, "there is room for all of it");
}

#[test]
fn where_the_time_went() {
    let stage = stage();
    stage.write(
        "modules.nix",
        r#"let
  inherit ((import <nival> { }).lib) evalModules mkOption types;
  slow = n: if n == 0 then 0 else slow (n - 1);
in
(evalModules {
  modules = [
    ./module.nix
    { _file = "another.nix"; options.plain = mkOption { type = types.int; default = slow 100; }; }
    ({ config, ... }: {
      options.path = mkOption { type = types.str; };
      config.path = (derivation { name = "some-package"; system = "x"; builder = "b-${config.text}"; }).drvPath;
    })
  ];
}).config"#,
    );
    stage.write(
        "module.nix",
        "{ lib, ... }: { options.text = lib.mkOption { type = lib.types.str; }; config.text = \"words\"; }",
    );
    let words = ["nival", "eval", "--profile", "--json", "-f", "modules.nix"];
    for _ in 0..2 {
        let [out, err] = good(stage.run(&words));
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["text"], "words");
        assert!(err.starts_with("evaluation took "), "{err}");
        let parts: Vec<&str> = err.split("\n\n").skip(1).collect();
        let module = stage.path("module.nix").display().to_string();
        let file = stage.path("modules.nix").display().to_string();
        for (index, title, names) in [
            (0, "option", &["text", "path", "plain"][..]),
            (1, "definitions of a module", &[&module]),
            (2, "derivation", &["some-package"]),
            (3, "file", &[&module, &file]),
        ] {
            let mut lines = parts[index].lines();
            assert!(lines.next().unwrap().ends_with(&format!("times  {title}")), "{err}");
            let shown: Vec<&str> = lines.filter_map(|line| line.split_whitespace().last()).collect();
            for name in names {
                // The library's own files may have taken longer than all of these.
                assert!(shown.contains(name) || shown.contains(&"more") && index == 3, "{name} in\n{err}");
            }
        }
    }
}
