//! The part of a plan that is about user units.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::UnitChange;
use crate::context::Context;
use crate::home_files::{Leaf, resolve, same_content};
use crate::manifest::{Manifest, Unit};
use crate::provenance::Provenance;
use crate::units::{Manners, OnChange, Verb, manners};

const DIRECTORY: &str = ".config/systemd/user/";

type Generation<'a> = (&'a Manifest, &'a BTreeMap<String, Leaf>);

pub(super) fn changes(
    context: &Context<'_>,
    before: Generation<'_>,
    after: Generation<'_>,
    provenance: &Provenance,
) -> Vec<UnitChange> {
    let (old, new) = (units(before), units(after));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let place = |source: &Path| context.store.real(&resolve(&context.store, source));
    let read = |unit: &Unit| {
        // A unit file that can't be read has no wishes; the manager will say what is wrong with it.
        manners(&std::fs::read_to_string(place(&unit.source)).unwrap_or_default())
    };
    let mut changes = Vec::new();
    for name in names {
        let (action, stop_first) = match (old.get(name), new.get(name)) {
            (None, None) => continue,
            (None, Some(new)) => (read(new).may_start.then_some(Verb::Start), false),
            (Some(old), None) => (read(old).may_stop.then_some(Verb::Stop), false),
            (Some(old), Some(new)) if same_content(&place(&old.source), &place(&new.source)) => continue,
            (Some(_), Some(new)) => on_change(name, read(new)),
        };
        changes.push(UnitChange {
            unit: name.clone(),
            action,
            stop_first,
            wanted_by: new.get(name).map(|unit| unit.wanted_by.clone()).unwrap_or_default(),
            reasons: provenance.of("unit", name),
        });
    }
    changes
}

fn on_change(name: &str, manners: Manners) -> (Option<Verb>, bool) {
    // A target has nothing to run: its units are looked after one by one.
    if name.ends_with(".target") || !manners.may_stop || !manners.may_start {
        return (None, false);
    }
    match manners.on_change {
        OnChange::Keep => (None, false),
        OnChange::Reload => (Some(Verb::Reload), false),
        OnChange::Restart => (Some(Verb::Restart), false),
        OnChange::StopAndStart => (Some(Verb::Restart), true),
    }
}

/// The units of a generation: those that its manifest names, or those in its tree.
fn units((manifest, leaves): Generation<'_>) -> BTreeMap<String, Unit> {
    if !manifest.derived {
        return manifest.units.iter().map(|unit| (unit.name.clone(), unit.clone())).collect();
    }
    let mut units: BTreeMap<String, Unit> = BTreeMap::new();
    for (target, leaf) in leaves {
        let Some(name) = target.strip_prefix(DIRECTORY).filter(|name| !name.contains('/')) else { continue };
        let kinds = [".service", ".socket", ".timer", ".path", ".target", ".slice", ".mount", ".automount"];
        if kinds.iter().any(|kind| name.ends_with(kind)) {
            let unit = Unit { name: name.to_owned(), source: leaf.source.clone(), wanted_by: Vec::new() };
            units.insert(name.to_owned(), unit);
        }
    }
    for target in leaves.keys() {
        let Some((wants, name)) = target.strip_prefix(DIRECTORY).and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        if let (Some(wanting), Some(unit)) = (wants.strip_suffix(".wants"), units.get_mut(name)) {
            unit.wanted_by.push(wanting.to_owned());
        }
    }
    units
}
