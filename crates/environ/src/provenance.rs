//! Why something is in a generation: the option that declared it, and where that was set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One definition that led to a file, package, unit or activation step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The option's name, as `programs.bash.enable`.
    pub option: String,
    /// The file that sets it.
    #[serde(default)]
    pub file: Option<String>,
    /// The line in that file, from 1.
    #[serde(default)]
    pub line: Option<u32>,
}

/// The `provenance` of an evaluated home: keys are `file:.bashrc`, `package:hello-2.12`, `unit:x.service`,
/// `activation:name` and `variable:EDITOR`.
///
/// It is not part of the generation, so that a moved line doesn't make a new one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Provenance(pub BTreeMap<String, Vec<Reason>>);

impl Provenance {
    /// The reasons for the thing called `name` of this kind; none are known for a generation read without
    /// its evaluation.
    pub fn of(&self, kind: &str, name: &str) -> Vec<Reason> {
        self.0.get(&format!("{kind}:{name}")).cloned().unwrap_or_default()
    }
}
