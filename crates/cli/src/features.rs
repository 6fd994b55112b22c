//! Experimental features: which there are, and what needs one.
//!
//! Names and messages are those of C++ Nix 2.34 (`libutil/experimental-features.cc`, `libutil/configuration.cc`).

use std::collections::BTreeSet;

use crate::error::{CommandError, Result};

/// Those that are on under the name `nival`; the programs of C++ Nix start with none.
pub(crate) const DEFAULT: &str = "nix-command flakes";

/// The features that C++ Nix knows, in its order.
const KNOWN: &[&str] = &[
    "ca-derivations",
    "impure-derivations",
    "flakes",
    "fetch-tree",
    "nix-command",
    "git-hashing",
    "recursive-nix",
    "fetch-closure",
    "auto-allocate-uids",
    "cgroups",
    "daemon-trust-override",
    "dynamic-derivations",
    "parse-toml-timestamps",
    "read-only-local-store",
    "local-overlay-store",
    "configurable-impure-env",
    "mounted-ssh-store",
    "verified-fetches",
    "pipe-operators",
    "external-builders",
    "blake3-hashes",
];

/// Settings that count only while a feature is on.
const OF_SETTINGS: &[(&str, &str)] = &[
    ("accept-flake-config", "flakes"),
    ("allow-dirty-locks", "flakes"),
    ("auto-allocate-uids", "auto-allocate-uids"),
    ("commit-lock-file-summary", "flakes"),
    ("flake-registry", "flakes"),
    ("impure-env", "configurable-impure-env"),
    ("use-registries", "flakes"),
];

/// Features in order, with those that others bring along, and warnings about names that are none.
pub(crate) fn parse(text: &str) -> (Vec<String>, Vec<String>) {
    let mut features = BTreeSet::new();
    let mut warnings = Vec::new();
    for name in text.split_whitespace().collect::<BTreeSet<_>>() {
        if KNOWN.contains(&name) {
            features.insert(name.to_owned());
            if name == "flakes" {
                features.insert("fetch-tree".to_owned());
            }
        } else if name == "no-url-literals" {
            warnings.push(format!(
                "experimental feature '{name}' has been stabilized and renamed; use 'lint-url-literals = fatal' setting \
                 instead"
            ));
        } else {
            warnings.push(format!("unknown experimental feature '{name}'"));
        }
    }
    (features.into_iter().collect(), warnings)
}

/// The same features in the order of C++ Nix.
pub(crate) fn in_order<'a>(features: impl Iterator<Item = &'a str>) -> Vec<&'static str> {
    let on: BTreeSet<&str> = features.collect();
    KNOWN.iter().copied().filter(|feature| on.contains(feature)).collect()
}

/// The feature that a setting belongs to.
pub(crate) fn of_setting(name: &str) -> Option<&'static str> {
    OF_SETTINGS.iter().find(|(setting, _)| *setting == name).map(|(_, feature)| *feature)
}

/// Refuses what needs one of these features, if it is off: the first one in the order of C++ Nix.
pub(crate) fn require(needed: &BTreeSet<&str>, is_on: impl Fn(&str) -> bool) -> Result {
    match KNOWN.iter().find(|feature| needed.contains(*feature) && !is_on(feature)) {
        None => Ok(()),
        Some(feature) => Err(CommandError::failure(disabled(feature))),
    }
}

/// What is said where a feature is needed that is off.
pub(crate) fn disabled(feature: &str) -> String {
    format!(
        "experimental Nix feature '{feature}' is disabled; add '--extra-experimental-features {feature}' to enable it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let (features, warnings) = parse("repl-flake pipe-operators flakes no-url-literals");
        assert_eq!(features, ["fetch-tree", "flakes", "pipe-operators"]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert_eq!(warnings[1], "unknown experimental feature 'repl-flake'");
    }

    #[test]
    fn the_first_one_that_is_off() {
        let all = BTreeSet::from(["nix-command", "flakes"]);
        let message =
            |on: &[&str]| require(&all, |feature| on.contains(&feature)).err().map(|error| error.message);
        assert!(message(&[]).expect("both are off").contains("'flakes' is disabled"));
        assert!(message(&["flakes"]).expect("one is off").contains("'nix-command' is disabled"));
        assert!(message(&["flakes", "nix-command"]).is_none());
    }
}
