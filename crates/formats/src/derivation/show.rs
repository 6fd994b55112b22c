//! The JSON form of a derivation, as `nix derivation show` prints and `nix derivation add` reads it.
//!
//! Source: C++ Nix 2.34, manual page "Derivation JSON Format", version 4. Store paths stand there without the
//! store directory.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Derivation, DerivationError, DerivationOutput, InputOutputs, StructuredAttrs};
use crate::{content_address::ContentAddress, hash::Hash};

/// The version of the format.
pub const JSON_VERSION: u64 = 4;

/// Dynamic derivations nest; no honest one does so deeply.
const MAX_DEPTH: usize = 64;

impl Derivation {
    /// The JSON form. Print it with [`crate::json::print`], which lays out floats as the reference does.
    pub fn to_json(&self) -> Result<Value, DerivationError> {
        let text = |bytes: &[u8], place: &str| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::from(text)),
            Err(_) => Err(DerivationError::NotUtf8 { name: self.name.clone(), place: place.into() }),
        };
        let args: Vec<Value> = self.args.iter().map(|arg| text(arg, "args")).collect::<Result<_, _>>()?;
        let mut env = Map::new();
        for (key, value) in &self.env {
            let name = String::from_utf8_lossy(key);
            text(key, "env")?;
            env.insert(name.to_string(), text(value, &format!("environment variable '{name}'"))?);
        }
        let drvs: Map<String, Value> = self
            .input_derivations
            .iter()
            .map(|(path, node)| (path.to_string(), input_to_json(node)))
            .collect();
        let srcs: Vec<&str> = self.input_sources.iter().map(crate::StorePath::as_str).collect();
        let outputs: Map<String, Value> =
            self.outputs.iter().map(|(name, output)| (name.clone(), output_to_json(output))).collect();

        let mut json = json!({
            "args": args,
            "builder": text(&self.builder, "builder")?,
            "env": env,
            "inputs": { "drvs": drvs, "srcs": srcs },
            "name": self.name,
            "outputs": outputs,
        });
        if let Some(attrs) = &self.structured_attrs {
            json["structuredAttrs"] = Value::Object(attrs.to_map()?);
        }
        json["system"] = self.system.as_str().into();
        json["version"] = JSON_VERSION.into();
        Ok(json)
    }

    /// Reads the JSON form.
    pub fn from_json(json: &Value) -> Result<Self, DerivationError> {
        let root = Field { value: json, place: String::new() };
        let version = root.get("version")?;
        if version.value.as_u64() != Some(JSON_VERSION) {
            return Err(version.error(format!("only format version {JSON_VERSION} is supported")));
        }
        let inputs = root.get("inputs")?;
        let mut derivation = Self {
            name: root.get("name")?.string()?.into(),
            system: root.get("system")?.string()?.into(),
            builder: root.get("builder")?.string()?.into(),
            ..Self::default()
        };
        for (name, output) in root.get("outputs")?.entries()? {
            derivation.outputs.insert(name.clone(), output_from_json(&output)?);
        }
        for (path, node) in inputs.get("drvs")?.entries()? {
            derivation.input_derivations.insert(path.parse()?, input_from_json(&node, 0)?);
        }
        for path in inputs.get("srcs")?.strings()? {
            derivation.input_sources.insert(path.parse()?);
        }
        derivation.args = root.get("args")?.strings()?.into_iter().map(Into::into).collect();
        for (name, value) in root.get("env")?.entries()? {
            derivation.env.insert(name.clone().into(), value.string()?.into());
        }
        if let Some(attrs) = json.get("structuredAttrs") {
            derivation.structured_attrs = Some(StructuredAttrs::from_value(attrs)?);
        }
        Ok(derivation)
    }
}

fn output_to_json(output: &DerivationOutput) -> Value {
    match output {
        DerivationOutput::InputAddressed(path) => json!({ "path": path.as_str() }),
        DerivationOutput::CaFixed(ContentAddress { method, hash }) => {
            json!({ "hash": hash.to_sri(), "method": method.name() })
        }
        DerivationOutput::CaFloating(method, algo) => {
            json!({ "hashAlgo": algo.name(), "method": method.name() })
        }
        DerivationOutput::Deferred => json!({}),
        DerivationOutput::Impure(method, algo) => {
            json!({ "hashAlgo": algo.name(), "impure": true, "method": method.name() })
        }
    }
}

fn output_from_json(output: &Field<'_>) -> Result<DerivationOutput, DerivationError> {
    let mut keys: Vec<&str> = output.entries()?.map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    let method = || Ok::<_, DerivationError>(output.get("method")?.string()?.parse()?);
    let algo = || Ok::<_, DerivationError>(output.get("hashAlgo")?.string()?.parse()?);
    match keys[..] {
        ["path"] => Ok(DerivationOutput::InputAddressed(output.get("path")?.string()?.parse()?)),
        ["hash", "method"] => {
            let hash = Hash::parse_sri(output.get("hash")?.string()?)?;
            Ok(DerivationOutput::CaFixed(ContentAddress { method: method()?, hash }))
        }
        ["hashAlgo", "method"] => Ok(DerivationOutput::CaFloating(method()?, algo()?)),
        [] => Ok(DerivationOutput::Deferred),
        ["hashAlgo", "impure", "method"] => Ok(DerivationOutput::Impure(method()?, algo()?)),
        _ => Err(output.error("invalid JSON for derivation output")),
    }
}

fn input_to_json(node: &InputOutputs) -> Value {
    let dynamic: Map<String, Value> =
        node.dynamic.iter().map(|(output, node)| (output.clone(), input_to_json(node))).collect();
    json!({ "dynamicOutputs": dynamic, "outputs": node.outputs.iter().collect::<Vec<_>>() })
}

fn input_from_json(node: &Field<'_>, depth: usize) -> Result<InputOutputs, DerivationError> {
    if depth > MAX_DEPTH {
        return Err(node.error("dynamic derivations are nested too deeply"));
    }
    let outputs: BTreeSet<String> = node.get("outputs")?.strings()?.into_iter().map(Into::into).collect();
    let mut dynamic = BTreeMap::new();
    for (output, inner) in node.get("dynamicOutputs")?.entries()? {
        dynamic.insert(output.clone(), input_from_json(&inner, depth + 1)?);
    }
    Ok(InputOutputs { outputs, dynamic })
}

/// A value that knows where it stands, for messages.
struct Field<'a> {
    value: &'a Value,
    place: String,
}

impl<'a> Field<'a> {
    fn error(&self, problem: impl Into<String>) -> DerivationError {
        DerivationError::Json { problem: problem.into(), place: self.place.clone() }
    }

    fn child(&self, key: &str, value: &'a Value) -> Self {
        let dot = if self.place.is_empty() { "" } else { "." };
        Self { value, place: format!("{}{dot}{key}", self.place) }
    }

    fn get(&self, key: &str) -> Result<Self, DerivationError> {
        let map = self.value.as_object().ok_or_else(|| self.error("expected an object"))?;
        let value = map.get(key).ok_or_else(|| self.error(format!("missing key '{key}'")))?;
        Ok(self.child(key, value))
    }

    fn entries(&self) -> Result<impl Iterator<Item = (&'a String, Self)>, DerivationError> {
        let map = self.value.as_object().ok_or_else(|| self.error("expected an object"))?;
        Ok(map.iter().map(|(key, value)| (key, self.child(key, value))))
    }

    fn string(&self) -> Result<&'a str, DerivationError> {
        self.value.as_str().ok_or_else(|| self.error("expected a string"))
    }

    fn strings(&self) -> Result<Vec<&'a str>, DerivationError> {
        let items = self.value.as_array().ok_or_else(|| self.error("expected a list"))?;
        items.iter().map(|item| item.as_str().ok_or_else(|| self.error("expected strings"))).collect()
    }
}
