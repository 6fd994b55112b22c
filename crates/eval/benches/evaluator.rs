//! How long the evaluator takes for one kind of work each.
//!
//! Each run has an evaluator of its own over a host in memory, and its value is computed as a whole. What a run
//! allocates stays until the process ends, so there are only a few of each.

use std::sync::Arc;

use nival_eval::memory_host::MemoryHost;
use nival_eval::{Evaluator, Settings};

fn main() {
    nival_eval::with_big_stack(divan::main);
}

type Case = (&'static str, &'static str);

const CALLS: &[Case] = &[
    ("recursion", "let count = n: if n < 2 then 1 else count (n - 1) + count (n - 2); in count 21"),
    (
        "two arguments",
        "let go = left: n: if n == 0 then left else go (left + n) (n - 1); in map (go 0) (builtins.genList (n: n - n / 100 * 100) 2000)",
    ),
    (
        "formal arguments",
        "let f = { a, b ? a, ... }: a + b; in map (n: f { a = n; c = n; }) (builtins.genList (n: n) 50000)",
    ),
    (
        "fixed point",
        "let fix = f: let x = f x; in x; in map (n: (fix (self: { a = n; b = self.a + 1; c = self.b + 1; })).c) (builtins.genList (n: n) 30000)",
    ),
    ("deep", "let down = n: if n == 0 then 0 else 1 + down (n - 1); in down 9000"),
];

const SETS: &[Case] = &[
    (
        "literal and select",
        "map (n: let s = { a = n; b = 2; c = 3; }; in s.a + s.b + s.c) (builtins.genList (n: n) 50000)",
    ),
    ("small update", "map (n: ({ a = 1; b = 2; } // { b = n; c = 3; }).b) (builtins.genList (n: n) 50000)"),
    (
        "large update",
        "let big = builtins.listToAttrs (builtins.genList (n: { name = \"n${toString n}\"; value = n; }) 3000); in map (n: (big // { x = n; }).x) (builtins.genList (n: n) 1000)",
    ),
    (
        "growing one by one",
        "builtins.foldl' (set: n: set // { \"n${toString n}\" = n; }) { } (builtins.genList (n: n) 3000)",
    ),
    (
        "computed names",
        "let s = builtins.listToAttrs (builtins.genList (n: { name = \"n${toString n}\"; value = n; }) 20000); in map (n: s.${\"n${toString n}\"}) (builtins.genList (n: n) 20000)",
    ),
    (
        "mapAttrs",
        "builtins.mapAttrs (name: value: value + 1) (builtins.listToAttrs (builtins.genList (n: { name = \"n${toString n}\"; value = n; }) 20000))",
    ),
    (
        "recursive",
        "map (n: (rec { a = n; b = a + 1; c = b + a; d = c + b; }).d) (builtins.genList (n: n) 20000)",
    ),
];

const STRINGS: &[Case] = &[
    ("interpolation", "map (n: \"before ${toString n} after\") (builtins.genList (n: n) 50000)"),
    ("concatStringsSep", "builtins.concatStringsSep \", \" (builtins.genList (n: \"word\") 200000)"),
    ("appending", "builtins.foldl' (text: n: text + \"x\") \"\" (builtins.genList (n: n) 10000)"),
    (
        "replaceStrings",
        "builtins.replaceStrings [ \"one\" \"two\" ] [ \"1\" \"2\" ] (builtins.concatStringsSep \" one two \" (builtins.genList (n: \"three\") 30000))",
    ),
    (
        "match",
        "map (n: builtins.match \"([a-z]+)-([0-9.]+)(-.*)?\" \"name-${toString n}.1-rest\") (builtins.genList (n: n) 5000)",
    ),
    (
        "split",
        "builtins.split \"[ \\n]+\" (builtins.concatStringsSep \"\\n\" (builtins.genList (n: \"a few words\") 5000))",
    ),
    ("hashString", "map (n: builtins.hashString \"sha256\" (toString n)) (builtins.genList (n: n) 20000)"),
];

const BUILTINS: &[Case] = &[
    ("foldl'", "builtins.foldl' (sum: n: sum + n) 0 (builtins.genList (n: n) 200000)"),
    ("map and filter", "builtins.filter (n: n > 10) (map (n: n * 2) (builtins.genList (n: n) 100000))"),
    ("sort", "builtins.sort (a: b: a < b) (builtins.genList (n: n * 7919 - n * 7919 / 10007 * 10007) 30000)"),
    ("concatMap", "builtins.concatMap (n: [ n (n + 1) ]) (builtins.genList (n: n) 50000)"),
    ("groupBy", "builtins.groupBy (n: toString (n - n / 100 * 100)) (builtins.genList (n: n) 30000)"),
    (
        "genericClosure",
        "builtins.genericClosure { startSet = [ { key = 0; } ]; operator = item: if item.key < 10000 then [ { key = item.key + 1; } { key = item.key + 2; } ] else [ ]; }",
    ),
    (
        "toJSON and fromJSON",
        "builtins.fromJSON (builtins.toJSON (builtins.genList (n: { number = n; list = [ true null \"text\" ]; }) 20000))",
    ),
    (
        "tryEval",
        "map (n: builtins.tryEval (if n / 2 * 2 == n then throw \"even\" else n)) (builtins.genList (n: n) 20000)",
    ),
];

const DERIVATIONS: &[Case] = &[
    (
        "alone",
        "map (n: (derivation { name = \"d${toString n}\"; system = \"s\"; builder = \"/b\"; value = n; }).drvPath) (builtins.genList (n: n) 2000)",
    ),
    (
        "in a chain",
        "builtins.foldl' (inner: n: derivation { name = \"d${toString n}\"; system = \"s\"; builder = \"/b\"; inherit inner; }) \"none\" (builtins.genList (n: n) 1000)",
    ),
    (
        "with many inputs",
        "let inputs = builtins.genList (n: derivation { name = \"i${toString n}\"; system = \"s\"; builder = \"/b\"; outputs = [ \"out\" \"dev\" ]; }) 100; in map (n: (derivation { name = \"d${toString n}\"; system = \"s\"; builder = \"/b\"; inherit inputs n; }).drvPath) (builtins.genList (n: n) 200)",
    ),
    (
        "structured attributes",
        "map (n: (derivation { name = \"d${toString n}\"; system = \"s\"; builder = \"/b\"; __structuredAttrs = true; list = [ n { deep.er = \"x\"; } ]; }).drvPath) (builtins.genList (n: n) 1000)",
    ),
    (
        "toFile",
        "map (n: builtins.toFile \"f${toString n}\" \"contents ${toString n}\") (builtins.genList (n: n) 5000)",
    ),
];

macro_rules! groups {
    ($($group:ident: $cases:ident;)*) => {
        $(
            #[divan::bench(args = $cases.iter().map(|case| case.0), sample_count = 10, sample_size = 1)]
            fn $group(bencher: divan::Bencher<'_, '_>, name: &str) {
                run(bencher, $cases, name);
            }
        )*
    };
}

groups! {
    calls: CALLS;
    attribute_sets: SETS;
    strings: STRINGS;
    builtins: BUILTINS;
    derivations: DERIVATIONS;
}

fn run(bencher: divan::Bencher<'_, '_>, cases: &[Case], name: &str) {
    let text = cases.iter().find(|case| case.0 == name).map_or("", |case| case.1);
    bencher
        .with_inputs(|| {
            let settings = Settings { eval_cores: 1, ..Settings::default() };
            Evaluator::new(Arc::new(MemoryHost::with_files([])), settings)
        })
        .bench_local_values(|ev| {
            let value = ev.eval_str(text, "/").and_then(|value| ev.force_deep(value));
            if let Err(error) = value {
                panic!("{name}: {error}");
            }
        });
}
