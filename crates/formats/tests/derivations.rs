//! Derivations, against `.drv` files and JSON that the reference made from `golden/derivations.nix`.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use nival_formats::{
    ContentAddress, ContentAddressMethod as Method, Derivation, DerivationFile, DerivationOutput, Hash,
    HashAlgo, HashModuloMemo, InputOutputs, StoreDir, StorePath, StructuredAttrs,
    derivation::{DerivationError, Outputs, hash_derivation_modulo},
    json,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn golden_files() -> BTreeMap<StorePath, Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/drv");
    let files: BTreeMap<_, _> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_str().unwrap().parse().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    assert!(files.len() >= 14);
    files
}

fn parse(path: &StorePath, bytes: &[u8]) -> Derivation {
    Derivation::parse(&StoreDir::default(), path.derivation_name().unwrap(), bytes).unwrap()
}

fn complete(
    store: &StoreDir,
    derivation: &Derivation,
    memo: &HashModuloMemo,
    read: &mut dyn FnMut(&StorePath) -> Result<Derivation, DerivationError>,
) -> DerivationFile {
    let mut draft = derivation.draft(store).unwrap();
    let prepared = draft.prepare(store, memo, read).unwrap();
    draft.finish(store, prepared, memo).unwrap().on_its_own()
}

#[test]
fn files_print_as_they_were_read() {
    for (path, bytes) in golden_files() {
        let (computed, printed) = parse(&path, &bytes).to_file(&StoreDir::default()).unwrap();
        assert_eq!(String::from_utf8(printed), String::from_utf8(bytes), "{path}");
        assert_eq!(computed, path);
    }
}

#[test]
fn output_paths_are_computed_again() {
    let (store, files, memo) = (StoreDir::default(), golden_files(), HashModuloMemo::default());
    let mut read = |path: &StorePath| Ok::<_, DerivationError>(parse(path, &files[path]));
    for (path, bytes) in &files {
        let expected = parse(path, bytes);
        let mut derivation = expected.clone();
        for (name, output) in &mut derivation.outputs {
            if let DerivationOutput::InputAddressed(_) = output {
                *output = DerivationOutput::Deferred;
                derivation.env.remove(name.as_bytes());
            }
        }
        let blank = derivation.clone();
        derivation.fill_output_paths(&store, &memo, &mut read).unwrap();
        assert_eq!(derivation, expected);
        expected.check_output_paths(&store, &memo, &mut read).unwrap();

        // All in one go, with what is there to know of the file.
        let own = HashModuloMemo::default();
        let file = complete(&store, &blank, &own, &mut read);
        assert_eq!((&file.path, &file.contents), (path, bytes));
        assert_eq!(file, expected.file(&store).unwrap());
        assert_eq!(file.hash, Hash::sha256(bytes));
        let hash = hash_derivation_modulo(&store, &expected, Outputs::Shown, &memo, &mut read).unwrap();
        assert_eq!(own.get(path), Some(hash), "{path}");
    }
}

#[test]
fn inputs_with_one_hash_are_hashed_as_one() {
    // Two derivations that fetch the same thing from different places.
    let (store, memo) = (StoreDir::default(), HashModuloMemo::default());
    let mut read = |path: &StorePath| -> Result<Derivation, DerivationError> { unreachable!("{path}") };
    let fetch = |place: &str| {
        let address = ContentAddress { method: Method::Flat, hash: Hash::sha256(b"it") };
        Derivation {
            name: "it".into(),
            system: "builtin".into(),
            builder: b"builtin:fetchurl".to_vec(),
            outputs: [("out".into(), DerivationOutput::CaFixed(address))].into(),
            env: [(b"url".to_vec(), place.as_bytes().to_vec())].into(),
            ..Derivation::default()
        }
    };
    let inputs: BTreeMap<StorePath, InputOutputs> = ["https://a.org/it", "https://b.org/it"]
        .map(|place| {
            let file = complete(&store, &fetch(place), &memo, &mut read);
            (file.path, InputOutputs { outputs: ["out".into()].into(), ..InputOutputs::default() })
        })
        .into();
    assert_eq!(inputs.len(), 2);
    let outputs = |inputs: BTreeMap<StorePath, InputOutputs>| {
        let user = Derivation {
            name: "user".into(),
            system: "x86_64-linux".into(),
            builder: b"/bin/sh".to_vec(),
            outputs: [("out".into(), DerivationOutput::Deferred)].into(),
            input_derivations: inputs,
            ..Derivation::default()
        };
        let mut read = |path: &StorePath| -> Result<Derivation, DerivationError> { unreachable!("{path}") };
        complete(&store, &user, &memo, &mut read).outputs
    };
    let first: BTreeMap<_, _> = inputs.clone().into_iter().take(1).collect();
    assert_eq!(outputs(first), outputs(inputs));
}

#[test]
fn wrong_output_paths_are_found() {
    let (store, files, memo) = (StoreDir::default(), golden_files(), HashModuloMemo::default());
    let mut read = |path: &StorePath| Ok::<_, DerivationError>(parse(path, &files[path]));
    let mut check = |name: &str, change: &dyn Fn(&mut Derivation), expected: &str| {
        let (path, bytes) = files.iter().find(|(path, _)| path.name() == name).unwrap();
        let mut derivation = parse(path, bytes);
        change(&mut derivation);
        let error = derivation.check_output_paths(&store, &memo, &mut read).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let forged: StorePath = "6svpppbkcr14mckimkgqvj9kqxf3m97q-bytes".parse().unwrap();
    check(
        "bytes.drv",
        &|drv| {
            drv.outputs.insert("out".into(), DerivationOutput::InputAddressed(forged.clone()));
        },
        "derivation has incorrect output '/nix/store/6svpppbkcr14mckimkgqvj9kqxf3m97q-bytes', should be \
         '/nix/store/6svpppbkcr14mckimkgqvj9kqxf3m97p-bytes'",
    );
    check(
        "deferred.drv",
        &|drv| {
            drv.outputs.insert("out".into(), DerivationOutput::InputAddressed(forged.clone()));
        },
        "derivation has incorrect output '/nix/store/6svpppbkcr14mckimkgqvj9kqxf3m97q-bytes', should be deferred",
    );
    check(
        "fixed.drv",
        &|drv| {
            drv.env.insert("out".into(), "x".into());
        },
        "derivation has incorrect environment variable 'out', should be \
         '/nix/store/jspds48qb346qg0qzb3v8ibysj3zcq7y-fixed' but is actually 'x'",
    );
    check(
        "multi.drv",
        &|drv| {
            drv.outputs.insert("more".into(), DerivationOutput::Deferred);
        },
        "can't mix derivation output types",
    );
    check("user.drv", &|drv| drv.outputs.clear(), "must have at least one output");
}

#[test]
fn circles_are_errors() {
    let store = StoreDir::default();
    let path: StorePath = format!("{}-a.drv", "0".repeat(32)).parse().unwrap();
    let mut derivation = Derivation { name: "a".into(), ..Derivation::default() };
    derivation.outputs.insert("out".into(), DerivationOutput::Deferred);
    derivation.input_derivations.insert(path.clone(), InputOutputs::default());
    let circular = derivation.clone();
    let mut read = |_: &StorePath| Ok::<_, DerivationError>(circular.clone());
    let error = derivation.fill_output_paths(&store, &HashModuloMemo::default(), &mut read).unwrap_err();
    assert_eq!(error, DerivationError::Cycle(store.display(&path)));
}

#[test]
fn json_is_that_of_derivation_show() {
    let expected = include_str!("golden/show.json");
    let shown: Value = serde_json::from_str(expected).unwrap();
    let mut derivations = serde_json::Map::new();
    for (path, bytes) in golden_files() {
        let derivation = parse(&path, &bytes);
        let json = derivation.to_json().unwrap();
        assert_eq!(Derivation::from_json(&json), Ok(derivation));
        if shown["derivations"].get(path.as_str()).is_some() {
            derivations.insert(path.to_string(), json);
        }
    }
    let printed = json::print(&json!({ "derivations": derivations, "version": 4 }));
    assert_eq!(printed + "\n", expected);
}

#[test]
fn floats_have_the_layout_of_the_reference() {
    // `builtins.toJSON` of the reference.
    let expected = "[1.0,0.1,100.0,1e+15,100000000000000.0,123456789012345.0,1.234567890123456e+15,1e+16,0.001,0.0001,\
                    1e-05,1.5e-05,0.0,-2.5,1e+100,1e-100,3.141592653589793,1.7976931348623157e+308,4e-07,123456.789,\
                    0.00012345]";
    let value: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(json::print(&value), expected);
}

#[test]
fn structured_attrs_are_made_canonical() {
    let attrs = StructuredAttrs::parse(br#" { "b" : [1, 2.0, {}], "a":"\u00e9\u0001\/" } "#).unwrap();
    assert_eq!(attrs.as_str(), r#"{"a":"é\u0001/","b":[1,2.0,{}]}"#);
    assert!(StructuredAttrs::parse(b"[]").is_err());
    assert!(StructuredAttrs::parse(&b"[".repeat(100_000)).is_err());
}

#[test]
fn pretty_json() {
    let value = json!({ "b": [], "a": { "x": [1, {}] } });
    assert_eq!(
        json::print_pretty(&value),
        "{\n  \"a\": {\n    \"x\": [\n      1,\n      {}\n    ]\n  },\n  \"b\": []\n}"
    );
}

#[test]
fn broken_files() {
    let deep = format!(
        "DrvWithVersion(\"xp-dyn-drv\",[],[(\"/nix/store/{}-a.drv\",{}",
        "0".repeat(32),
        "([],[(\"out\",".repeat(100_000)
    );
    let table = [
        ("", "derivation does not start with 'Derive' or 'DrvWithVersion' (at byte 0 of the derivation)"),
        ("Derive(", "expected string '[' (at byte 7 of the derivation)"),
        ("Derive([(\"out", "unterminated string in derivation (at byte 10 of the derivation)"),
        ("Derive([(\"out\\", "unterminated string in derivation (at byte 10 of the derivation)"),
        ("Derive([(\"o\",\"x\",\"\",\"\")", "bad path 'x' in derivation (at byte 23 of the derivation)"),
        (
            "DrvWithVersion(\"2\"",
            "Unknown derivation ATerm format version '2' (at byte 18 of the derivation)",
        ),
        (
            "Derive([(\"o\",\"/x\",\"sha256\",\"\")",
            "content-addressing derivation output should not specify output path (at byte 30 of the derivation)",
        ),
        (
            "Derive([],[],[],\"\",\"\",[],[(\"a\",\"\"),(\"a\",\"\")])",
            "the same environment variable is given twice (at byte 43 of the derivation)",
        ),
        ("Derive([],[],[],\"\",\"\",[],[])x", "unexpected text after the end (at byte 28 of the derivation)"),
        (&deep, "dynamic derivations are nested too deeply (at byte 853 of the derivation)"),
    ];
    for (text, expected) in table {
        let error = Derivation::parse(&StoreDir::default(), "x", text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

fn store_path(suffix: &'static str) -> impl Strategy<Value = StorePath> {
    (any::<[u8; 20]>(), "[a-z][a-z0-9.-]{0,8}")
        .prop_map(move |(digest, name)| StorePath::from_digest(&digest, &format!("{name}{suffix}")).unwrap())
}

fn output() -> impl Strategy<Value = DerivationOutput> {
    let method = prop::sample::select(vec![Method::Flat, Method::NixArchive]);
    let algo = prop::sample::select(HashAlgo::ALL.to_vec());
    prop_oneof![
        store_path("").prop_map(DerivationOutput::InputAddressed),
        (method.clone(), algo.clone(), any::<u8>()).prop_map(|(method, algo, seed)| {
            DerivationOutput::CaFixed(ContentAddress { method, hash: Hash::of(algo, &[seed]) })
        }),
        (method.clone(), algo.clone()).prop_map(|(method, algo)| DerivationOutput::CaFloating(method, algo)),
        (method, algo).prop_map(|(method, algo)| DerivationOutput::Impure(method, algo)),
        Just(DerivationOutput::Deferred),
    ]
}

fn names() -> impl Strategy<Value = BTreeSet<String>> {
    prop::collection::btree_set("[a-z]{1,4}", 0..3)
}

fn inputs() -> impl Strategy<Value = InputOutputs> {
    let leaf = names().prop_map(|outputs| InputOutputs { outputs, dynamic: BTreeMap::new() });
    leaf.prop_recursive(3, 8, 2, |inner| {
        (names(), prop::collection::btree_map("[a-z]{1,4}", inner, 0..3))
            .prop_map(|(outputs, dynamic)| InputOutputs { outputs, dynamic })
    })
}

prop_compose! {
    fn derivation()(
        outputs in prop::collection::btree_map("[a-z]{1,4}", output(), 0..3),
        input_derivations in prop::collection::btree_map(store_path(".drv"), inputs(), 0..3),
        input_sources in prop::collection::btree_set(store_path(""), 0..3),
        // Systems are not escaped.
        system in "[ -!#-Z_-~é\n]{0,8}",
        builder: Vec<u8>,
        args: Vec<Vec<u8>>,
        env: BTreeMap<Vec<u8>, Vec<u8>>,
        structured in prop::option::of(any::<BTreeMap<String, f64>>()),
    ) -> Derivation {
        let structured_attrs = structured.map(|map| StructuredAttrs::from_value(&json!(map)).unwrap());
        let name = "some-name".into();
        Derivation {
            name, outputs, input_derivations, input_sources, system, builder, args, env, structured_attrs,
        }
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_the_same(derivation in derivation()) {
        let store = StoreDir::default();
        let text = derivation.print(&store).unwrap();
        prop_assert_eq!(Derivation::parse(&store, "some-name", &text).unwrap(), derivation);
    }

    #[test]
    fn damaged_files_never_panic(derivation in derivation(), at: prop::sample::Index, byte: u8) {
        let store = StoreDir::default();
        let mut text = derivation.print(&store).unwrap();
        let at = at.index(text.len());
        text[at] = byte;
        let _ = Derivation::parse(&store, "some-name", &text);
        let _ = Derivation::parse(&store, "some-name", &text[..at]);
    }
}
