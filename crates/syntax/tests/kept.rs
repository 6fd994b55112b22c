//! Trees as bytes: what is read is what was written, and whatever else the bytes are, nothing panics or hangs.

use std::path::Path;
use std::sync::LazyLock;

use nival_syntax::{
    Ast, Condensed, Expr, KeptParts, KeptTree, Leak, MAX_DEPTH, Origin, ParseOptions, ReadText, Source,
    Symbol, parse, parse_for_now, print,
};
use proptest::prelude::*;

const OPTIONS: ParseOptions<'static> =
    ParseOptions { base_path: "/base", home: Some("/home/me"), pipe_operators: true, max_depth: MAX_DEPTH };

fn parsed(text: &[u8]) -> Option<(&'static Source, Ast<'static>)> {
    let source = Source::add(Origin::File("/base/file.nix".to_owned()), text).expect("room");
    Some((source, parse(source, &OPTIONS).ok()?))
}

fn kept(source: &Source) -> Vec<u8> {
    let parsed = parse_for_now(source, &OPTIONS).expect("it was parsed before");
    let condensed = Condensed::of(&parsed, source);
    KeptParts::of(&parsed.ast(), source, &condensed).put(|parts| parts.concat())
}

/// The bytes at a multiple of 16, as in a file that is mapped.
fn aligned(bytes: &[u8]) -> &'static [u8] {
    let words: &'static mut [u128] = vec![0_u128; bytes.len().div_ceil(16)].leak();
    let mut chunks = bytes.chunks(16);
    for word in &mut *words {
        let chunk = chunks.next().expect("as many chunks as words");
        let mut bytes = [0; 16];
        bytes[..chunk.len()].copy_from_slice(chunk);
        *word = u128::from_ne_bytes(bytes);
    }
    // SAFETY: numbers can be looked at as bytes.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), bytes.len()) }
}

fn read(bytes: &'static [u8]) -> Option<(&'static Source, Ast<'static>)> {
    let tree = KeptTree::open(bytes)?;
    let symbols = tree.symbols(&Leak)?;
    let origin = Origin::File("/base/file.nix".to_owned());
    let source = tree.source(origin, ReadText(Box::new(|| None)))?.expect("room");
    Some((source, tree.ast(source, symbols)?))
}

/// All that can be asked of a tree, with positions as they show.
fn told(ast: &Ast<'static>) -> Vec<String> {
    let lints = ast.lints().map(|lint| format!("{:?} {}", lint.kind, lint.pos.display()));
    ast.ids()
        .map(|id| format!("{} {}", ast.pos(id).display(), of_node(ast, ast.expr(id))))
        .chain(lints)
        .collect()
}

fn of_node(ast: &Ast<'static>, expr: Expr) -> String {
    let about = match expr {
        Expr::String(range) | Expr::Path(range) | Expr::SearchPath(range) => {
            format!("{:?}", ast.bytes(range))
        }
        Expr::Select { path, .. } | Expr::HasAttr { path, .. } => {
            format!("{:?}", ast.path(path).collect::<Vec<_>>())
        }
        Expr::Call { arguments, .. } => format!("{:?}", ast.list(arguments)),
        Expr::List(range) => format!("{:?}", ast.list(range)),
        Expr::Concat { parts, .. } => format!("{:?}", ast.parts(parts).collect::<Vec<_>>()),
        Expr::Lambda(id) => {
            let lambda = ast.lambda(id);
            let formals = lambda.formals.into_iter().flat_map(|formals| ast.formals(formals));
            format!("{lambda:?} {:?}", formals.collect::<Vec<_>>())
        }
        Expr::Set(set) | Expr::Let { bindings: set, .. } => format!(
            "{:?} {:?} {:?} {:?}",
            ast.set(set),
            ast.attrs(set).collect::<Vec<_>>(),
            ast.dynamic_attrs(set).collect::<Vec<_>>(),
            ast.inherit_from(set)
        ),
        _ => String::new(),
    };
    format!("{expr:?} {about}")
}

/// Looks at what is at the ends of whatever a node has.
fn touch(ast: &Ast<'static>, expr: Expr) {
    match expr {
        Expr::String(range) | Expr::Path(range) | Expr::SearchPath(range) => _ = ast.bytes(range).last(),
        Expr::Select { path, .. } | Expr::HasAttr { path, .. } => {
            _ = (ast.only_name(path), ast.path(path).last());
        }
        Expr::Call { arguments: range, .. } | Expr::List(range) => _ = ast.list(range).last(),
        Expr::Concat { parts, .. } => _ = ast.parts(parts).next(),
        Expr::Lambda(id) => _ = ast.lambda(id).formals.map(|formals| ast.formals(formals).next()),
        Expr::Set(set) | Expr::Let { bindings: set, .. } => {
            _ = (ast.attrs(set).next(), ast.dynamic_attrs(set).next(), ast.inherit_from(set).last());
        }
        _ => {}
    }
}

fn check_text(text: &[u8]) {
    let Some((source, ast)) = parsed(text) else { return };
    let (_, again) = read(aligned(&kept(source))).expect("what was written can be read");
    assert_eq!(told(&ast), told(&again), "{}", String::from_utf8_lossy(text));
    assert_eq!(print::print(&ast), print::print(&again));
    assert_eq!((ast.root(), ast.symbols()), (again.root(), again.symbols()));
}

/// The expressions of all tables of a folder.
fn expressions(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("the folder is there")
    {
        let table = std::fs::read_to_string(entry.expect("an entry").path()).expect("a table");
        for line in table.lines() {
            if let Some(expression) = line.strip_prefix(">>> ") {
                found.push(expression.to_owned());
            } else if let (Some(more), Some(last)) = (line.strip_prefix("... "), found.last_mut()) {
                last.push('\n');
                last.push_str(more);
            }
        }
    }
    assert!(found.len() > 100, "{folder}");
    found
}

#[test]
fn the_whole_corpus_comes_back() {
    for folder in ["../eval/tests/language/okay", "../eval/tests/language/fail"] {
        for expression in expressions(folder) {
            check_text(expression.as_bytes());
        }
    }
}

#[test]
fn all_kinds_come_back() {
    check_text(TEXT.as_bytes());
    check_text(b"1");
    check_text(b"\r\n\r\n{\r\n a.\"b c\" = 1;\r a.d = 2; }");
    let long = "x".repeat(3000);
    check_text(format!("{{ {long} = \"{long}\"; y = {long}z; }}").as_bytes());
}

const TEXT: &str = r#"
let
  inherit (import ./a.nix) x y;
  f = { a, b ? a, ... }@args: z: a.b.${z} or args // { inherit a; inherit (z) b c; "q r".s = -1; };
  /** Adds. */ add = p: q: p + q;
in
assert x ? a."b" && !(x <= y) || 1.5 > 2;
with f { a = <nixpkgs/lib>; };
if add 1 2 == 3 then rec { a = [ 1 "two ${toString 3}" ''
    three
      ${x}
  '' ./four ./five/${x} ~/six http://seven.org ]; ${x} = __curPos; }
else let { body = map or [ ]; }
"#;

#[test]
fn names_keep_their_order() {
    let text = "{ kept-b, kept-a ? kept-c }@kept-d: { kept-e.kept-a = kept-b; \"kept f\" = 1; kept-long-name-of-more = 2; }";
    let (source, ast) = parsed(text.as_bytes()).expect("parses");
    let names: Vec<String> = ast.symbols().iter().map(Symbol::to_string).collect();
    let expected = ["kept-b", "kept-c", "kept-a", "kept-e", "kept f", "kept-long-name-of-more", "kept-d"];
    assert_eq!(names, expected);
    assert!(ast.symbols().is_sorted(), "names become symbols in this order");
    let (_, again) = read(aligned(&kept(source))).expect("it can be read");
    assert_eq!(again.symbols(), ast.symbols());
}

#[test]
fn other_bytes_are_no_tree() {
    let (source, _) = parsed(TEXT.as_bytes()).expect("parses");
    let bytes = kept(source);
    assert!(read(aligned(&bytes)).is_some());
    for length in (0..bytes.len()).step_by(7) {
        assert!(read(aligned(&bytes[..length])).is_none(), "{length}");
    }
    let shifted = aligned(&[&[0], bytes.as_slice()].concat());
    assert!(read(&shifted[1..]).is_none());
}

/// A tree that is so large that it has no checksum.
static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let text = format!("[ {} ]", format!("({TEXT}) ").repeat(4200));
    let (source, _) = parsed(text.as_bytes()).expect("parses");
    let bytes = kept(source);
    assert!(bytes.len() > 5 << 20);
    bytes
});

proptest! {
    #[test]
    fn damage_is_noticed(place in any::<prop::sample::Index>(), bits in 1_u8..) {
        let (source, ast) = parsed(TEXT.as_bytes()).expect("parses");
        let mut bytes = kept(source);
        prop_assert!(read(aligned(&bytes)).is_some());
        let place = place.index(bytes.len());
        bytes[place] ^= bits;
        // What is between the tables counts for nothing.
        if let Some((_, again)) = read(aligned(&bytes)) {
            prop_assert_eq!(told(&ast), told(&again));
        }
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(read(aligned(&bytes)).is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn damage_in_large_trees_does_no_harm(
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>(), any::<bool>()), 1..40)
    ) {
        let mut bytes = LARGE.clone();
        for (place, bits, in_head) in damages {
            let words = if in_head { 60 } else { bytes.len() / 4 };
            let start = place.index(words) * 4;
            for (byte, bits) in bytes[start..start + 4].iter_mut().zip(bits.to_ne_bytes()) {
                *byte = bits;
            }
        }
        if let Some((source, ast)) = read(aligned(&bytes)) {
            for id in ast.ids().step_by(5) {
                touch(&ast, ast.expr(id));
                let _ = ast.pos(id).id();
            }
            let _ = (source.line(3), source.pos(source.len()).display(), ast.lints().count());
        }
    }
}
