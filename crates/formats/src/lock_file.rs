//! `flake.lock`: which sources the inputs of a flake stand for.
//!
//! The format is that of C++ Nix 2.34 (`src/libflake/lockfile.cc`; its manual, `nix flake`, "Lock files").

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::flake_ref::FlakeRef;
use crate::input::{AttrValue, Features, InputAttrs, InputError, attrs_to_json};

/// Names of inputs, from the flake inwards.
pub type InputPath = Vec<String>;

/// A lock file: a graph of nodes. The first of them is the flake itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockFile {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// A flake, or another source, with its inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// What its inputs are.
    pub inputs: BTreeMap<String, Edge>,
    /// Where it comes from; nothing for the flake itself.
    pub source: Option<LockedSource>,
}

/// What an input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The number of a node.
    Node(usize),
    /// The same as another input.
    Follows(InputPath),
}

/// Where a node comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedSource {
    /// Exactly what it is.
    pub locked: FlakeRef,
    /// What the flake asked for.
    pub original: FlakeRef,
    /// Whether it is a flake, or just files.
    pub is_flake: bool,
    /// For a relative path: the input it starts from.
    pub parent: Option<InputPath>,
}

/// Why a lock file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LockFileError {
    /// Not JSON.
    #[error("Could not parse '{path}': {problem}")]
    Syntax {
        /// The file.
        path: String,
        /// What the parser says.
        problem: String,
    },
    /// A version that nobody knows.
    #[error("lock file '{path}' has unsupported version {version}")]
    Version {
        /// The file.
        path: String,
        /// Its version.
        version: i64,
    },
    /// A node that has not the form of one.
    #[error("{0}")]
    Form(String),
    /// An input that isn't one.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl Default for LockFile {
    fn default() -> LockFile {
        LockFile { nodes: vec![Node::default()] }
    }
}

impl LockFile {
    /// Parses a lock file, and says what is dubious in it.
    pub fn parse(
        text: &str,
        path: &str,
        features: Features<'_>,
    ) -> Result<(LockFile, Vec<String>), LockFileError> {
        let syntax = |problem: String| LockFileError::Syntax { path: path.to_owned(), problem };
        let json: Value = serde_json::from_str(text).map_err(|error| syntax(error.to_string()))?;
        let version = json.get("version").and_then(Value::as_i64).unwrap_or(0);
        if !(5..=7).contains(&version) {
            return Err(LockFileError::Version { path: path.to_owned(), version });
        }
        let root = json.get("root").and_then(Value::as_str);
        let root = root.ok_or_else(|| syntax("'root' is not a string".into()))?;
        let nodes = json.get("nodes").and_then(Value::as_object);
        let nodes = nodes.ok_or_else(|| syntax("'nodes' is not an object".into()))?;
        let mut reader = Reader {
            json: nodes,
            features,
            file: LockFile::default(),
            known: BTreeMap::from([(root, 0)]),
            warnings: Vec::new(),
        };
        reader.inputs(root)?;
        Ok((reader.file, reader.warnings))
    }

    /// As JSON, and the name that each node has there. What no input leads to is left out.
    pub fn to_json(&self) -> (String, BTreeMap<usize, String>) {
        let mut writer =
            Writer { file: self, keys: BTreeMap::new(), taken: BTreeSet::new(), nodes: BTreeMap::new() };
        let root = writer.node("root", 0);
        let mut json = Map::new();
        json.insert("nodes".into(), Value::Object(writer.nodes.into_iter().collect()));
        json.insert("root".into(), root.into());
        json.insert("version".into(), 7.into());
        let text = serde_json::to_string_pretty(&Value::Object(json)).expect("names are strings");
        (text, writer.keys)
    }

    /// All inputs by their paths; a node's own inputs are listed where it is met first.
    pub fn all_inputs(&self) -> BTreeMap<InputPath, &Edge> {
        fn visit<'a>(
            file: &'a LockFile,
            node: usize,
            prefix: &InputPath,
            seen: &mut BTreeSet<usize>,
            found: &mut BTreeMap<InputPath, &'a Edge>,
        ) {
            if !seen.insert(node) {
                return;
            }
            for (name, edge) in &file.nodes[node].inputs {
                let path: InputPath = prefix.iter().chain([name]).cloned().collect();
                found.entry(path.clone()).or_insert(edge);
                if let Edge::Node(node) = edge {
                    visit(file, *node, &path, seen, found);
                }
            }
        }
        let mut found = BTreeMap::new();
        visit(self, 0, &InputPath::new(), &mut BTreeSet::new(), &mut found);
        found
    }

    /// Checks that what follows an input follows one that is there.
    pub fn check(&self) -> Result<(), LockFileError> {
        for (path, edge) in self.all_inputs() {
            if let Edge::Follows(target) = edge
                && !target.is_empty()
                && self.find(target, &mut Vec::new())?.is_none()
            {
                return Err(LockFileError::Form(format!(
                    "input '{}' follows a non-existent input '{}'",
                    path.join("/"),
                    target.join("/")
                )));
            }
        }
        Ok(())
    }

    fn find(&self, path: &InputPath, visited: &mut Vec<InputPath>) -> Result<Option<usize>, LockFileError> {
        if let Some(start) = visited.iter().position(|other| other == path) {
            let cycle: Vec<String> =
                visited[start..].iter().chain([path]).map(|path| path.join("/")).collect();
            return Err(LockFileError::Form(format!("follow cycle detected: [{}]", cycle.join(" -> "))));
        }
        visited.push(path.clone());
        let mut node = 0;
        for name in path {
            match self.nodes[node].inputs.get(name) {
                None => return Ok(None),
                Some(Edge::Node(next)) => node = *next,
                Some(Edge::Follows(target)) => match self.find(target, visited)? {
                    Some(next) => node = next,
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(node))
    }

    /// What is different in a newer lock file, a line or more for each input.
    pub fn difference(&self, newer: &LockFile) -> String {
        let (old, new) = (self.all_inputs(), newer.all_inputs());
        let paths: BTreeSet<&InputPath> = old.keys().chain(new.keys()).collect();
        let mut text = String::new();
        for path in paths {
            let name = path.join("/");
            let before = old.get(path).map(|edge| self.describe(edge));
            let after = new.get(path).map(|edge| newer.describe(edge));
            let _ = match (before, after) {
                (None, Some(after)) => writeln!(text, "• Added input '{name}':\n    {after}"),
                (Some(_), None) => writeln!(text, "• Removed input '{name}'"),
                (Some(before), Some(after)) if before != after => {
                    writeln!(text, "• Updated input '{name}':\n    {before}\n  → {after}")
                }
                _ => continue,
            };
        }
        text
    }

    fn describe(&self, edge: &Edge) -> String {
        match edge {
            Edge::Follows(target) => format!("follows '{}'", target.join("/")),
            Edge::Node(node) => {
                let Some(source) = &self.nodes[*node].source else { return String::new() };
                let mut text = format!("'{}'", source.locked);
                if let Ok(Some(seconds)) = source.locked.input.int("lastModified") {
                    let date = crate::date::Date::of(seconds as i64);
                    let _ = write!(text, " ({:04}-{:02}-{:02})", date.year, date.month, date.day);
                }
                text
            }
        }
    }
}

struct Reader<'a> {
    json: &'a Map<String, Value>,
    features: Features<'a>,
    file: LockFile,
    known: BTreeMap<&'a str, usize>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    fn inputs(&mut self, key: &'a str) -> Result<(), LockFileError> {
        let Some(inputs) = self.json.get(key).and_then(|node| node.get("inputs")) else { return Ok(()) };
        let form = |problem: &str| LockFileError::Form(format!("lock file node '{key}' {problem}"));
        let inputs = inputs.as_object().ok_or_else(|| form("has 'inputs' that are not an object"))?;
        let node = self.known[key];
        for (name, value) in inputs {
            let edge = match value {
                Value::Array(path) => {
                    let path: Option<InputPath> =
                        path.iter().map(|part| part.as_str().map(str::to_owned)).collect();
                    Edge::Follows(path.ok_or_else(|| form("follows what is not a list of names"))?)
                }
                Value::String(target) => Edge::Node(self.node(target)?),
                _ => return Err(form("has an input that is neither a name nor a list of names")),
            };
            self.file.nodes[node].inputs.insert(name.clone(), edge);
        }
        Ok(())
    }

    fn node(&mut self, key: &'a str) -> Result<usize, LockFileError> {
        match self.known.get(key) {
            Some(0) => Err(LockFileError::Form("lock file contains cycle to root node".into())),
            Some(node) => Ok(*node),
            None => {
                let json = self.json.get(key).ok_or_else(|| {
                    LockFileError::Form(format!("lock file references missing node '{key}'"))
                })?;
                let source = self.source(json)?;
                let node = self.file.nodes.len();
                self.file.nodes.push(Node { inputs: BTreeMap::new(), source: Some(source) });
                self.known.insert(key, node);
                self.inputs(key)?;
                Ok(node)
            }
        }
    }

    fn source(&mut self, json: &Value) -> Result<LockedSource, LockFileError> {
        let mut locked = attrs_of(json, "locked")?;
        if json.get("info").is_some() {
            locked.extend(attrs_of(json, "info")?);
        }
        let mut locked = FlakeRef::from_attrs(locked, self.features)?;
        let original = FlakeRef::from_attrs(attrs_of(json, "original")?, self.features)?;
        if !locked.input.is_locked()? && locked.input.relative_path().is_none() {
            if locked.input.nar_hash()?.is_none() {
                return Err(LockFileError::Form(format!(
                    "Lock file contains unlocked input '{}'. Use '--allow-dirty-locks' to accept this lock file.",
                    attrs_to_json(&locked.input.attrs)
                )));
            }
            self.warnings.push(format!(
                "Lock file entry '{locked}' is unlocked (e.g. lacks a Git revision) but is checked by NAR hash. This is not \
                 reproducible and will break after garbage collection or when shared."
            ));
        }
        locked.input.set("__final", AttrValue::Bool(true));
        let parent = match json.get("parent") {
            None => None,
            Some(parent) => {
                let names = parent
                    .as_array()
                    .map(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
                let names: Option<InputPath> = names.unwrap_or_default();
                Some(names.ok_or_else(|| LockFileError::Form("a 'parent' is not a list of names".into()))?)
            }
        };
        let is_flake = json.get("flake").and_then(Value::as_bool).unwrap_or(true);
        Ok(LockedSource { locked, original, is_flake, parent })
    }
}

struct Writer<'a> {
    file: &'a LockFile,
    keys: BTreeMap<usize, String>,
    taken: BTreeSet<String>,
    nodes: BTreeMap<String, Value>,
}

impl Writer<'_> {
    fn node(&mut self, name: &str, number: usize) -> String {
        if let Some(key) = self.keys.get(&number) {
            return key.clone();
        }
        let mut key = name.to_owned();
        let mut count = 2;
        while !self.taken.insert(key.clone()) {
            key = format!("{name}_{count}");
            count += 1;
        }
        self.keys.insert(number, key.clone());
        let node = &self.file.nodes[number];
        let mut json = Map::new();
        if let Some(source) = &node.source
            && !source.is_flake
        {
            json.insert("flake".into(), false.into());
        }
        if !node.inputs.is_empty() {
            let mut inputs = Map::new();
            for (name, edge) in &node.inputs {
                let value = match edge {
                    Edge::Node(child) => self.node(name, *child).into(),
                    Edge::Follows(path) => path.clone().into(),
                };
                inputs.insert(name.clone(), value);
            }
            json.insert("inputs".into(), Value::Object(inputs));
        }
        if let Some(source) = &node.source {
            json.insert("locked".into(), attrs_value(source.locked.to_attrs()));
            json.insert("original".into(), attrs_value(source.original.to_attrs()));
            if let Some(parent) = &source.parent {
                json.insert("parent".into(), parent.clone().into());
            }
        }
        self.nodes.insert(key.clone(), Value::Object(json));
        key
    }
}

fn attrs_of(json: &Value, name: &str) -> Result<InputAttrs, LockFileError> {
    let object = json
        .get(name)
        .and_then(Value::as_object)
        .ok_or_else(|| LockFileError::Form(format!("attribute '{name}' missing in lock file")))?;
    let mut attrs = InputAttrs::new();
    for (name, value) in object {
        let value = match value {
            Value::String(text) => AttrValue::Text(text.clone()),
            Value::Bool(value) => AttrValue::Bool(*value),
            Value::Number(number) if number.as_u64().is_some() => {
                AttrValue::Int(number.as_u64().unwrap_or_default())
            }
            _ => return Err(LockFileError::Form("unsupported input attribute type in lock file".into())),
        };
        attrs.insert(name.clone(), value);
    }
    Ok(attrs)
}

/// Attributes as JSON, without the mark of those that come from a lock file.
fn attrs_value(attrs: InputAttrs) -> Value {
    let members = attrs.into_iter().filter(|(name, _)| name != "__final").map(|(name, value)| {
        let value = match value {
            AttrValue::Text(text) => text.into(),
            AttrValue::Int(value) => value.into(),
            AttrValue::Bool(value) => value.into(),
        };
        (name, value)
    });
    Value::Object(members.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `flake.lock` files are written, but for the line break at their end.
    const FILE: &str = r#"{
  "nodes": {
    "a": {
      "inputs": {
        "b": "b",
        "c": [
          "c"
        ]
      },
      "locked": {
        "lastModified": 5,
        "narHash": "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "path": "/a",
        "type": "path"
      },
      "original": {
        "path": "/a",
        "type": "path"
      }
    },
    "b": {
      "flake": false,
      "locked": {
        "path": "./b",
        "type": "path"
      },
      "original": {
        "path": "./b",
        "type": "path"
      },
      "parent": [
        "a"
      ]
    },
    "c": {
      "locked": {
        "owner": "o",
        "repo": "r",
        "rev": "0123456789012345678901234567890123456789",
        "type": "github"
      },
      "original": {
        "owner": "o",
        "repo": "r",
        "type": "github"
      }
    },
    "root": {
      "inputs": {
        "a": "a",
        "c": "c"
      }
    }
  },
  "root": "root",
  "version": 7
}"#;

    fn parse(text: &str) -> Result<LockFile, String> {
        LockFile::parse(text, "flake.lock", &|_| true)
            .map(|(file, _)| file)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn files_are_printed_as_they_were() {
        let file = parse(FILE).expect("a good file");
        assert_eq!(file.to_json().0, FILE);
        assert_eq!(file.check(), Ok(()));
        let paths: Vec<String> = file.all_inputs().keys().map(|path| path.join("/")).collect();
        assert_eq!(paths, ["a", "a/b", "a/c", "c"]);
    }

    #[test]
    fn differences() {
        let (old, new) = (LockFile::default(), parse(FILE).expect("a good file"));
        assert_eq!(new.difference(&new), "");
        let added = old.difference(&new);
        assert!(added.starts_with("• Added input 'a':\n    'path:/a?lastModified=5&narHash="), "{added}");
        assert!(added.contains("' (1970-01-01)\n• Added input 'a/b':\n"), "{added}");
        assert!(added.contains("• Added input 'a/c':\n    follows 'c'\n"), "{added}");
        assert!(new.difference(&old).starts_with("• Removed input 'a'\n"));
    }

    #[test]
    fn files_that_cannot_be_used() {
        for (text, error) in [
            ("{", "Could not parse 'flake.lock'"),
            ("[]", "lock file 'flake.lock' has unsupported version 0"),
            (r#"{ "version": 8 }"#, "lock file 'flake.lock' has unsupported version 8"),
            (r#"{ "version": 7 }"#, "'root' is not a string"),
            (r#"{ "version": 7, "root": "r" }"#, "'nodes' is not an object"),
            (
                r#"{ "version": 7, "root": "r", "nodes": { "r": { "inputs": { "a": "r" } } } }"#,
                "cycle to root",
            ),
            (
                r#"{ "version": 7, "root": "r", "nodes": { "r": { "inputs": { "a": "x" } } } }"#,
                "missing node 'x'",
            ),
            (
                r#"{ "version": 7, "root": "r", "nodes": { "r": { "inputs": { "a": 1 } } } }"#,
                "neither a name nor a list",
            ),
            (
                &FILE.replace(r#""rev": "0123456789012345678901234567890123456789","#, ""),
                "contains unlocked input",
            ),
            (
                &FILE.replace("\"lastModified\": 5", "\"lastModified\": -5"),
                "unsupported input attribute type",
            ),
        ] {
            let message = parse(text).expect_err("a bad file");
            assert!(message.contains(error), "{text}: {message}");
        }
        let dangling =
            parse(&FILE.replace("\"c\"\n        ]", "\"d\"\n        ]")).expect("a good file").check();
        let message = dangling.expect_err("a bad file").to_string();
        assert_eq!(message, "input 'a/c' follows a non-existent input 'd'");
    }
}
