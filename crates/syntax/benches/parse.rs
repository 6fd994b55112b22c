//! How fast text becomes a tree, by what the text is made of.
//!
//! `NIVAL_NIXPKGS` names a nixpkgs checkout, all files of which are then parsed as well.

use std::cell::{Cell, UnsafeCell};
use std::path::Path;

use divan::counter::BytesCount;
use nival_syntax::{Keep, MAX_DEPTH, Origin, ParseOptions, Source, parse_and_keep};

fn main() {
    divan::main();
}

/// Names of texts and what one item of each looks like; `%` is the item's number.
const TEXTS: &[(&str, &str)] = &[
    ("bindings", "  name-% = value-%;\n"),
    ("attribute paths", "  a.b%.c = lib.types.nullOr (lib.types.attrsOf config.x%.y.z);\n"),
    ("inherit", "  inherit (scope%) alpha% beta% gamma% delta%;\n"),
    ("strings", "  s% = \"a line of text without anything special, number %\";\n"),
    ("interpolation", "  i% = \"before ${pkgs.name-%} between ${toString (a% + 1)} after\";\n"),
    (
        "indented strings",
        "  t% = ''\n    first line of number %\n      a line further in with ${x%}\n\n    last line\n  '';\n",
    ),
    ("comments", "  # What number % is good for, said in about so many words.\n  c% = /* here */ 1;\n"),
    ("operators", "  o% = if a% == b && !c || d -> e then x ++ y ++ [ 1 2 % ] else f // g // { };\n"),
    ("functions", "  f% = { lib, stdenv, fetchurl, option% ? null, ... }@args: x: stdenv.mk% (args // x);\n"),
    (
        "packages",
        "  package% = callPackage ({ lib, stdenv, fetchurl, zlib }: stdenv.mkDerivation (final: {\n    \
         pname = \"package-%\";\n    version = \"1.2.%\";\n    src = fetchurl {\n      url = \
         \"https://example.org/${final.pname}-${final.version}.tar.gz\";\n      hash = \
         \"sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\";\n    };\n    buildInputs = [ zlib ];\n    \
         doCheck = true;\n    meta = {\n      description = \"The package with the number %\";\n      license = \
         lib.licenses.mit;\n      platforms = lib.platforms.unix;\n    };\n  })) { };\n",
    ),
];

#[divan::bench(args = TEXTS.iter().map(|(name, _)| *name))]
fn text(bencher: divan::Bencher<'_, '_>, name: &str) {
    let item = TEXTS.iter().find(|(other, _)| *other == name).map_or("", |(_, item)| *item);
    let items: String =
        (0..400_000 / item.len()).map(|number| item.replace('%', &number.to_string())).collect();
    let source = add(Origin::String, format!("{{ {items} }}").into_bytes());
    run(bencher, &[source]);
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn nixpkgs(bencher: divan::Bencher<'_, '_>) {
    let mut sources = Vec::new();
    if let Some(folder) = std::env::var_os("NIVAL_NIXPKGS") {
        read(folder.as_ref(), &mut sources);
    }
    run(bencher, &sources);
}

fn read(folder: &Path, sources: &mut Vec<&'static Source>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
        if kind.is_dir() {
            read(&path, sources);
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "nix") {
            let text = std::fs::read(&path).expect("a file");
            sources.push(add(Origin::File(path.to_string_lossy().into_owned()), text));
        }
    }
}

fn add(origin: Origin, text: Vec<u8>) -> &'static Source {
    Source::add(origin, text).expect("there is room for it")
}

fn run(bencher: divan::Bencher<'_, '_>, sources: &[&'static Source]) {
    let options =
        ParseOptions { base_path: "/base", home: Some("/home"), pipe_operators: true, max_depth: MAX_DEPTH };
    let bytes: usize = sources.iter().map(|source| source.text().len()).sum();
    let arena = Arena { words: UnsafeCell::new(vec![0; 4 << 20]), used: Cell::new(0) };
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        for source in sources {
            arena.used.set(0);
            if let Err(error) = parse_and_keep(source, &options, &arena) {
                panic!("{}: {}", source.origin(), error.message);
            }
        }
    });
}

/// Keeps one tree at a time, as an evaluator's arena would keep all.
struct Arena {
    words: UnsafeCell<Vec<u64>>,
    used: Cell<usize>,
}

impl Keep for Arena {
    fn keep_table<T: Copy + 'static>(&self, table: &mut Vec<T>) -> &'static [T] {
        const { assert!(align_of::<T>() <= 8) };
        let start = self.used.get();
        let end = start + size_of_val(&**table).div_ceil(8);
        self.used.set(end);
        // SAFETY: the vector is not touched but here, and never grows.
        let words = unsafe { &mut *self.words.get() };
        let Some(room) = words.get_mut(start..end) else { return std::mem::take(table).leak() };
        let room = room.as_mut_ptr().cast::<T>();
        // SAFETY: the room is large enough and aligned. Each tree is dropped before the next one begins, and
        // tables before the arena is.
        let kept = unsafe {
            room.copy_from_nonoverlapping(table.as_ptr(), table.len());
            std::slice::from_raw_parts(room, table.len())
        };
        table.clear();
        kept
    }
}
