//! The environment of a builder: variables, and the files that stand for large ones.
//!
//! Source: `initEnv` in `libstore/unix/build/derivation-builder.cc`, `libstore/build/derivation-env-desugar.cc` and
//! `libstore/parsed-derivations.cc` of C++ Nix.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use nival_formats::derivation::DerivationKind;
use nival_formats::placeholder::output_placeholder;
use nival_formats::{Derivation, Hash, HashFormat, StorePath};
use nival_store::LocalStore;
use serde_json::{Map, Value, json};

use crate::derivation_options::DerivationOptions;
use crate::error::FailureKind;
use crate::options::BuildOptions;

/// Replaces placeholders of outputs by their paths.
#[derive(Debug, Default)]
pub(crate) struct Rewrites(Vec<(Vec<u8>, Vec<u8>)>);

impl Rewrites {
    pub(crate) fn new<'a>(outputs: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let pair = |(name, path): (&str, String)| (output_placeholder(name).into_bytes(), path.into_bytes());
        Self(outputs.into_iter().map(pair).collect())
    }

    pub(crate) fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut rewritten = Vec::with_capacity(text.len());
        let mut rest = text;
        // Placeholders start with a slash, as little else does.
        while let Some(at) = rest.iter().position(|byte| *byte == b'/') {
            rewritten.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            match self.0.iter().find(|(placeholder, _)| rest.starts_with(placeholder)) {
                Some((placeholder, path)) => {
                    rewritten.extend_from_slice(path);
                    rest = &rest[placeholder.len()..];
                }
                None => {
                    rewritten.push(b'/');
                    rest = &rest[1..];
                }
            }
        }
        rewritten.extend_from_slice(rest);
        rewritten
    }
}

/// Variables, and files of the build folder by name.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub(crate) variables: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// What the environment is made from.
pub(crate) struct Source<'a> {
    pub(crate) store: &'a LocalStore,
    pub(crate) derivation: &'a Derivation,
    pub(crate) derivation_options: &'a DerivationOptions,
    pub(crate) options: &'a BuildOptions,
    pub(crate) inputs: &'a BTreeSet<StorePath>,
    pub(crate) rewrites: &'a Rewrites,
    /// The build folder as the builder sees it.
    pub(crate) build_dir: &'a Path,
}

impl Environment {
    pub(crate) fn new(source: &Source<'_>) -> Result<Self, FailureKind> {
        let mut environment = Self::default();
        let kind = source.derivation.kind().map_err(|error| FailureKind::Rejected(error.to_string()))?;
        let build_dir = source.build_dir.display().to_string();
        let cores = match source.options.cores {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            cores => cores,
        };
        environment.set("PATH", "/path-not-set");
        environment.set("HOME", "/homeless-shelter");
        environment.set("NIX_STORE", source.store.store_dir().as_str());
        environment.set("NIX_BUILD_CORES", &cores.to_string());
        environment.add_attributes(source, &build_dir)?;
        for name in ["NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP", "PWD"] {
            environment.set(name, &build_dir);
        }
        if kind == DerivationKind::Fixed {
            environment.set("NIX_OUTPUT_CHECKED", "1");
        }
        if matches!(kind, DerivationKind::Fixed | DerivationKind::Impure) {
            for name in &source.derivation_options.impure_env_vars {
                let value = source.options.host_environment.get(name).map_or("", String::as_str);
                environment.set(name, value);
            }
        }
        environment.set("NIX_LOG_FD", "2");
        environment.set("TERM", "xterm-256color");
        for text in environment.variables.values_mut().chain(environment.files.values_mut()) {
            *text = source.rewrites.apply(text);
        }
        Ok(environment)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.into(), value.into());
    }

    fn add_attributes(&mut self, source: &Source<'_>, build_dir: &str) -> Result<(), FailureKind> {
        if source.derivation.structured_attrs.is_some() {
            let attributes = structured_attributes(source)?;
            self.files.insert(".attrs.sh".into(), shell_text(&attributes).into_bytes());
            self.files.insert(".attrs.json".into(), Value::Object(attributes).to_string().into_bytes());
            self.set("NIX_ATTRS_SH_FILE", &format!("{build_dir}/.attrs.sh"));
            self.set("NIX_ATTRS_JSON_FILE", &format!("{build_dir}/.attrs.json"));
            return Ok(());
        }
        for (name, value) in &source.derivation.env {
            let text = String::from_utf8_lossy(name);
            if source.derivation_options.pass_as_file.contains(text.as_ref()) {
                let file = format!(".attr-{}", Hash::sha256(name).to_nix32());
                self.set(&format!("{text}Path"), &format!("{build_dir}/{file}"));
                self.files.insert(file, value.clone());
            } else {
                self.variables.insert(name.clone(), value.clone());
            }
        }
        for (file, paths) in &source.derivation_options.export_references_graph {
            let closure = exported_closure(source, paths)?;
            self.files.insert(file.clone(), registration(source.store, &closure)?.into_bytes());
        }
        Ok(())
    }
}

/// The attributes with `outputs` and the graphs that were asked for.
fn structured_attributes(source: &Source<'_>) -> Result<Map<String, Value>, FailureKind> {
    let attributes = source.derivation.structured_attrs.as_ref();
    let attributes = attributes.map(nival_formats::StructuredAttrs::to_map).transpose();
    let mut attributes =
        attributes.map_err(|error| FailureKind::Rejected(error.to_string()))?.unwrap_or_default();
    let outputs: Map<String, Value> = source
        .derivation
        .outputs
        .keys()
        .map(|name| (name.clone(), Value::String(output_placeholder(name))))
        .collect();
    attributes.insert("outputs".into(), Value::Object(outputs));
    for (name, paths) in &source.derivation_options.export_references_graph {
        let closure = exported_closure(source, paths)?;
        attributes.insert(name.clone(), path_infos(source.store, &closure)?);
    }
    attributes.sort_keys();
    Ok(attributes)
}

/// The closure of paths among the inputs; of a derivation with the outputs it has.
fn exported_closure(
    source: &Source<'_>,
    paths: &BTreeSet<String>,
) -> Result<BTreeSet<StorePath>, FailureKind> {
    let mut start = Vec::new();
    for text in paths {
        let (path, _) = source
            .store
            .store_dir()
            .split(text)
            .map_err(|error| FailureKind::Rejected(format!("in 'exportReferencesGraph': {error}")))?;
        if !source.inputs.contains(&path) {
            return Err(FailureKind::Rejected(format!(
                "cannot export references of path '{}' because it is not in the input closure of the derivation",
                source.store.display(&path)
            )));
        }
        start.push(path);
    }
    let mut closure = source.store.closure(&start, nival_store::ClosureOptions::default())?;
    let mut outputs = Vec::new();
    for path in closure.iter().filter(|path| path.is_derivation()) {
        let known = source.store.query_derivation_outputs(path)?;
        outputs.extend(source.store.query_valid_paths(known.values())?);
    }
    closure.extend(source.store.closure(&outputs, nival_store::ClosureOptions::default())?);
    Ok(closure)
}

/// The lines of `nix-store --load-db`, without hashes and derivers.
fn registration(store: &LocalStore, paths: &BTreeSet<StorePath>) -> Result<String, FailureKind> {
    let mut text = String::new();
    for path in paths {
        let references = store.query_references(path)?;
        let _ = write!(text, "{}\n\n{}\n", store.display(path), references.len());
        for reference in references {
            let _ = writeln!(text, "{}", store.display(&reference));
        }
    }
    Ok(text)
}

fn path_infos(store: &LocalStore, paths: &BTreeSet<StorePath>) -> Result<Value, FailureKind> {
    let mut list = Vec::new();
    for path in paths {
        let info = store.query_path_info(path)?;
        let mut closure_size = 0;
        for member in store.closure([path], nival_store::ClosureOptions::default())? {
            closure_size += store.query_path_info(&member)?.nar_size;
        }
        let mut entry = Map::new();
        if let Some(address) = &info.content_address {
            entry.insert("ca".into(), json!(address.to_string()));
        }
        let references: Vec<String> = info.references.iter().map(|path| store.display(path)).collect();
        entry.insert("closureSize".into(), json!(closure_size));
        entry.insert("narHash".into(), json!(info.nar_hash.to_prefixed(HashFormat::Nix32)));
        entry.insert("narSize".into(), json!(info.nar_size));
        entry.insert("path".into(), json!(store.display(path)));
        entry.insert("references".into(), json!(references));
        entry.insert("valid".into(), json!(true));
        list.push(Value::Object(entry));
    }
    Ok(Value::Array(list))
}

/// The attributes that bash can hold, as declarations.
fn shell_text(attributes: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (name, value) in attributes {
        let mut letters = name.bytes();
        let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_');
        if !first || !letters.all(|c| c.is_ascii_alphanumeric() || c == b'_') {
            continue;
        }
        let declaration = match value {
            Value::Array(items) => {
                let items: Option<Vec<_>> = items.iter().map(simple).collect();
                items.map(|items| format!("declare -a {name}=({})", joined(items.into_iter())))
            }
            Value::Object(members) => {
                let pair =
                    |(key, value): (&String, &Value)| Some(format!("[{}]={}", quoted(key), simple(value)?));
                let members: Option<Vec<_>> = members.iter().map(pair).collect();
                members.map(|members| format!("declare -A {name}=({})", joined(members.into_iter())))
            }
            _ => simple(value).map(|value| format!("declare {name}={value}")),
        };
        if let Some(declaration) = declaration {
            text.push_str(&declaration);
            text.push('\n');
        }
    }
    text
}

/// Each word with a space after it, as the reference writes them.
fn joined(words: impl Iterator<Item = String>) -> String {
    words.fold(String::new(), |text, word| text + &word + " ")
}

fn simple(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(quoted(text)),
        Value::Null => Some("''".into()),
        Value::Bool(true) => Some("1".into()),
        Value::Bool(false) => Some(String::new()),
        Value::Number(number) => match number.as_i64() {
            // The reference has 32 bits here.
            Some(integer) => Some((integer as i32).to_string()),
            None => {
                number.as_f64().filter(|float| float.fract() == 0.0).map(|float| (float as i32).to_string())
            }
        },
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_paths() {
        let rewrites =
            Rewrites::new([("out", "/nix/store/x".to_owned()), ("dev", "/nix/store/y".to_owned())]);
        let (out, dev) = (output_placeholder("out"), output_placeholder("dev"));
        for (text, expected) in [
            (format!("-{out}/bin:{dev}"), "-/nix/store/x/bin:/nix/store/y".to_owned()),
            (format!("{out}{out}"), "/nix/store/x/nix/store/x".to_owned()),
            ("/a//b/".to_owned(), "/a//b/".to_owned()),
            (out[..20].to_owned(), out[..20].to_owned()),
            (String::new(), String::new()),
        ] {
            assert_eq!(rewrites.apply(text.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn attributes_are_declared_for_bash() {
        let attributes = json!({
            "a": "it's", "b": true, "c": false, "d": null, "e": 5, "f": 2.5, "g": 2.0, "h": [1, "x y"],
            "i": {"k": "v", "l m": 1}, "j": [[1]], "k": {"a": {}}, "not-a-name": 1, "l": [], "m": {}
        });
        let expected = "declare a='it'\\''s'\ndeclare b=1\ndeclare c=\ndeclare d=''\ndeclare e=5\ndeclare g=2\n\
             declare -a h=(1 'x y' )\ndeclare -A i=(['k']='v' ['l m']=1 )\ndeclare -a l=()\ndeclare -A m=()\n";
        assert_eq!(shell_text(attributes.as_object().unwrap()), expected);
    }
}
