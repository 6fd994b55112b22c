//! The part of a plan that is about packages.

use std::collections::{BTreeMap, BTreeSet};

use super::PackageChange;
use crate::manifest::{Manifest, Package};
use crate::provenance::Provenance;

/// Splits `hello-2.12` into name and version: the version starts after the first dash that no letter follows,
/// as in C++ Nix (`src/libstore/names.cc`).
pub fn split_name(full: &str) -> (&str, &str) {
    let starts_version = |(at, _): &(usize, &str)| {
        full[at + 1..].chars().next().is_some_and(|next| !next.is_ascii_alphabetic())
    };
    match full.match_indices('-').find(starts_version) {
        Some((at, _)) => (&full[..at], &full[at + 1..]),
        None => (full, ""),
    }
}

pub(super) fn changes(before: &Manifest, after: &Manifest, provenance: &Provenance) -> Vec<PackageChange> {
    let old = differing(before, after);
    let new = differing(after, before);
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let mut changes = Vec::new();
    for name in names {
        let none = Vec::new();
        let (old, new) = (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
        for at in 0..old.len().max(new.len()) {
            let version =
                |list: &[&Package]| list.get(at).map(|package| split_name(&package.name).1.to_owned());
            changes.push(PackageChange {
                name: name.to_owned(),
                old_version: version(old),
                new_version: version(new),
                reasons: new
                    .get(at)
                    .map(|package| provenance.of("package", &package.name))
                    .unwrap_or_default(),
            });
        }
    }
    changes
}

/// The packages of one manifest that the other does not have, by name.
fn differing<'a>(one: &'a Manifest, other: &Manifest) -> BTreeMap<&'a str, Vec<&'a Package>> {
    let mut by_name: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in &one.packages {
        if !other.packages.iter().any(|there| there.path == package.path) {
            by_name.entry(split_name(&package.name).0).or_default().push(package);
        }
    }
    by_name
}
