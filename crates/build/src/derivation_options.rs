//! What a derivation says about its own build: checks of its outputs, features, holes in the sandbox.
//!
//! With structured attributes it is read from those, else from the environment
//! (`libstore/derivation-options.cc` of C++ Nix).

use std::collections::{BTreeMap, BTreeSet};

use nival_formats::Derivation;
use serde_json::{Map, Value};

/// The options of one derivation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DerivationOptions {
    pub(crate) checks: Checks,
    /// By output, whether its references are ignored.
    pub(crate) discard_references: BTreeMap<String, bool>,
    pub(crate) pass_as_file: BTreeSet<String>,
    /// By file or attribute name, the paths whose closures are described there.
    pub(crate) export_references_graph: BTreeMap<String, BTreeSet<String>>,
    pub(crate) no_chroot: bool,
    pub(crate) impure_host_deps: BTreeSet<String>,
    pub(crate) impure_env_vars: BTreeSet<String>,
    pub(crate) required_system_features: BTreeSet<String>,
}

/// The checks of outputs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checks {
    /// The same for all.
    All(OutputChecks),
    /// By output.
    Each(BTreeMap<String, OutputChecks>),
}

impl Default for Checks {
    fn default() -> Self {
        Self::All(OutputChecks::default())
    }
}

/// The checks of one output. References are store paths or names of outputs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct OutputChecks {
    pub(crate) ignore_self_references: bool,
    pub(crate) max_size: Option<u64>,
    pub(crate) max_closure_size: Option<u64>,
    pub(crate) allowed_references: Option<BTreeSet<String>>,
    pub(crate) allowed_requisites: Option<BTreeSet<String>>,
    pub(crate) disallowed_references: BTreeSet<String>,
    pub(crate) disallowed_requisites: BTreeSet<String>,
}

/// An attribute of the wrong shape.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("attribute '{attribute}' of the derivation is wrong: {problem}")]
pub(crate) struct OptionError {
    attribute: String,
    problem: String,
}

fn wrong(attribute: &str, problem: &str) -> OptionError {
    OptionError { attribute: attribute.to_owned(), problem: problem.to_owned() }
}

impl DerivationOptions {
    pub(crate) fn of(derivation: &Derivation) -> Result<Self, OptionError> {
        match &derivation.structured_attrs {
            Some(attributes) => {
                let attributes = attributes.to_map().map_err(|error| wrong("__json", &error.to_string()))?;
                Self::of_structured(&Structured(&attributes))
            }
            None => Self::of_environment(derivation),
        }
    }

    fn of_environment(derivation: &Derivation) -> Result<Self, OptionError> {
        let text = |name: &str| {
            derivation.env.get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let words = |name: &str| text(name).map(|value| split_words(&value));
        let set = |name: &str| words(name).unwrap_or_default();

        let mut export_references_graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let graph = text("exportReferencesGraph").unwrap_or_default();
        let graph: Vec<&str> = graph.split_ascii_whitespace().collect();
        for pair in graph.chunks(2) {
            let [file, path] = pair else {
                return Err(wrong("exportReferencesGraph", "it has an odd number of words"));
            };
            let mut letters = file.bytes();
            let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_');
            if !first || !letters.all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c)) {
                return Err(wrong("exportReferencesGraph", &format!("'{file}' is no valid file name")));
            }
            export_references_graph.insert((*file).to_owned(), BTreeSet::from([(*path).to_owned()]));
        }
        Ok(Self {
            checks: Checks::All(OutputChecks {
                ignore_self_references: true,
                max_size: None,
                max_closure_size: None,
                allowed_references: words("allowedReferences"),
                allowed_requisites: words("allowedRequisites"),
                disallowed_references: set("disallowedReferences"),
                disallowed_requisites: set("disallowedRequisites"),
            }),
            discard_references: BTreeMap::new(),
            pass_as_file: set("passAsFile"),
            export_references_graph,
            no_chroot: text("__noChroot").is_some_and(|value| value == "1"),
            impure_host_deps: set("__impureHostDeps"),
            impure_env_vars: set("impureEnvVars"),
            required_system_features: set("requiredSystemFeatures"),
        })
    }

    fn of_structured(attributes: &Structured<'_>) -> Result<Self, OptionError> {
        let mut each = BTreeMap::new();
        for (output, checks) in attributes.object("outputChecks")?.into_iter().flatten() {
            let checks = checks.as_object().ok_or_else(|| wrong("outputChecks", "it isn't made of sets"))?;
            each.insert(output.clone(), OutputChecks::of(&Structured(checks))?);
        }
        let mut discard_references = BTreeMap::new();
        for (output, discard) in attributes.object("unsafeDiscardReferences")?.into_iter().flatten() {
            let discard = discard.as_bool().ok_or_else(|| wrong("unsafeDiscardReferences", "no Boolean"))?;
            discard_references.insert(output.clone(), discard);
        }
        let mut export_references_graph = BTreeMap::new();
        // Anything but a set is ignored, as in the reference.
        if let Some(Value::Object(graph)) = attributes.0.get("exportReferencesGraph") {
            for (name, paths) in graph {
                let mut found = BTreeSet::new();
                flatten(paths, &mut found)?;
                export_references_graph.insert(name.clone(), found);
            }
        }
        let set = |name: &str| Ok::<_, OptionError>(attributes.strings(name)?.unwrap_or_default());
        Ok(Self {
            checks: Checks::Each(each),
            discard_references,
            pass_as_file: BTreeSet::new(),
            export_references_graph,
            no_chroot: attributes.boolean("__noChroot")?,
            impure_host_deps: set("__impureHostDeps")?,
            impure_env_vars: set("impureEnvVars")?,
            required_system_features: set("requiredSystemFeatures")?,
        })
    }
}

impl OutputChecks {
    fn of(attributes: &Structured<'_>) -> Result<Self, OptionError> {
        Ok(Self {
            ignore_self_references: false,
            max_size: attributes.number("maxSize")?,
            max_closure_size: attributes.number("maxClosureSize")?,
            allowed_references: attributes.strings("allowedReferences")?,
            allowed_requisites: attributes.strings("allowedRequisites")?,
            disallowed_references: attributes.strings("disallowedReferences")?.unwrap_or_default(),
            disallowed_requisites: attributes.strings("disallowedRequisites")?.unwrap_or_default(),
        })
    }
}

struct Structured<'a>(&'a Map<String, Value>);

impl Structured<'_> {
    fn strings(&self, name: &str) -> Result<Option<BTreeSet<String>>, OptionError> {
        let no_strings = || wrong(name, "it isn't a list of strings");
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(no_strings))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(no_strings()),
        }
    }

    fn boolean(&self, name: &str) -> Result<bool, OptionError> {
        let value =
            self.0.get(name).map(|value| value.as_bool().ok_or_else(|| wrong(name, "it isn't a Boolean")));
        value.unwrap_or(Ok(false))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, OptionError> {
        self.0.get(name).map(|value| value.as_u64().ok_or_else(|| wrong(name, "it isn't a size"))).transpose()
    }

    fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, OptionError> {
        self.0
            .get(name)
            .map(|value| value.as_object().ok_or_else(|| wrong(name, "it isn't a set")))
            .transpose()
    }
}

fn flatten(value: &Value, into: &mut BTreeSet<String>) -> Result<(), OptionError> {
    match value {
        Value::String(text) => {
            into.insert(text.clone());
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| flatten(item, into)),
        _ => Err(wrong("exportReferencesGraph", "it has neither strings nor lists")),
    }
}

fn split_words(text: &str) -> BTreeSet<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use nival_formats::StructuredAttrs;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<DerivationOptions, OptionError> {
        let env = variables.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        DerivationOptions::of(&Derivation { env, ..Derivation::default() })
    }

    fn structured(json: &str) -> Result<DerivationOptions, OptionError> {
        let attributes = StructuredAttrs::parse(json.as_bytes()).unwrap();
        DerivationOptions::of(&Derivation { structured_attrs: Some(attributes), ..Derivation::default() })
    }

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn both_forms_are_read() {
        let options = environment(&[
            ("allowedReferences", ""),
            ("disallowedRequisites", "a\n b"),
            ("passAsFile", "x y"),
            ("__noChroot", "1"),
            ("exportReferencesGraph", "f /p g.x /q"),
            ("requiredSystemFeatures", "kvm"),
        ])
        .unwrap();
        let Checks::All(checks) = &options.checks else { panic!() };
        assert_eq!(checks.allowed_references, Some(set(&[])));
        assert_eq!(checks.allowed_requisites, None);
        assert_eq!(checks.disallowed_requisites, set(&["a", "b"]));
        assert_eq!(options.pass_as_file, set(&["x", "y"]));
        assert!(options.no_chroot);
        assert_eq!(options.export_references_graph["g.x"], set(&["/q"]));

        let options = structured(
            r#"{"outputChecks":{"out":{"maxSize":3,"allowedReferences":["out"]}},"__noChroot":true,
                "unsafeDiscardReferences":{"out":true},"exportReferencesGraph":{"g":["/p",["/q"]]},
                "requiredSystemFeatures":["kvm"],"passAsFile":["ignored"]}"#,
        )
        .unwrap();
        let Checks::Each(each) = &options.checks else { panic!() };
        assert_eq!(each["out"].max_size, Some(3));
        assert_eq!(each["out"].allowed_references, Some(set(&["out"])));
        assert!(options.no_chroot && options.discard_references["out"]);
        assert_eq!(options.export_references_graph["g"], set(&["/p", "/q"]));
        assert_eq!(options.pass_as_file, set(&[]));
    }

    #[test]
    fn wrong_shapes_are_errors() {
        for value in ["odd", "../x /p", "1x /p", "a b c"] {
            assert!(environment(&[("exportReferencesGraph", value)]).is_err(), "{value}");
        }
        for json in [
            r#"{"outputChecks":1}"#,
            r#"{"outputChecks":{"out":1}}"#,
            r#"{"outputChecks":{"out":{"maxSize":-1}}}"#,
            r#"{"outputChecks":{"out":{"allowedReferences":"x"}}}"#,
            r#"{"__noChroot":"1"}"#,
            r#"{"exportReferencesGraph":{"g":1}}"#,
            r#"{"unsafeDiscardReferences":{"out":"1"}}"#,
        ] {
            assert!(structured(json).is_err(), "{json}");
        }
    }
}
