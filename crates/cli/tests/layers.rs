//! Keeps the layer rules of docs/architecture.md: a crate imports only crates of the layers above its own.

use std::fs;
use std::path::Path;

/// The layers from top (imported by all) to bottom (imports all), as docs/architecture.md lists them.
const LAYERS: [&str; 9] =
    ["formats", "syntax", "eval", "library", "store", "fetch", "build", "environ", "cli"];

/// Pairs that the order alone would allow and that the architecture still forbids.
const FORBIDDEN: [(&str, &str, &str); 8] = [
    ("formats", "rustix", "formats do no I/O"),
    ("formats", "rusqlite", "formats do no I/O"),
    ("syntax", "nival-formats", "syntax knows neither values nor the store"),
    ("eval", "nival-store", "the evaluator reaches the world through its host only"),
    ("library", "nival-eval", "the library is text"),
    ("store", "nival-eval", "the store evaluates nothing"),
    ("build", "nival-eval", "builds know derivations, not expressions"),
    ("environ", "nival-eval", "environments know generations, not expressions"),
];

fn dependencies(krate: &str) -> Vec<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(krate).join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("every layer is a crate");
    let section = text.split("[dependencies]").nth(1).unwrap_or("").split("\n[").next().unwrap_or("");
    section
        .lines()
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn imports_point_up() {
    for (position, krate) in LAYERS.iter().enumerate() {
        for dependency in dependencies(krate) {
            let Some(name) = dependency.strip_prefix("nival-") else { continue };
            let other = LAYERS.iter().position(|layer| *layer == name).expect("a layer that is listed");
            assert!(other < position, "`{krate}` imports `{name}`, which lies below it");
        }
    }
}

#[test]
fn forbidden_imports_are_absent() {
    for (krate, dependency, why) in FORBIDDEN {
        assert!(!dependencies(krate).iter().any(|name| name == dependency), "{krate} → {dependency}: {why}");
    }
}

#[test]
fn every_crate_has_a_layer() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for entry in fs::read_dir(crates).expect("crates/") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        assert!(LAYERS.contains(&name.as_str()), "crates/{name} has no layer");
    }
}
