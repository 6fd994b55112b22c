//! Finding out what the inputs of a flake, and their inputs, stand for: from its lock file, or by fetching them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nival_formats::flake_ref::FlakeRef;
use nival_formats::input::InputAttrs;
use nival_formats::lock_file::{Edge, InputPath, LockFile, LockedSource, Node};
use nival_syntax::Pos;

use super::read::{self, Flake, FlakeInput, FlakeInputs};
use super::{LockOptions, Place, fetch_flake, read_lock_file};
use crate::builtins::warn;
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::evaluator::Evaluator;
use crate::host::Registries;

/// A flake whose inputs are known.
pub(crate) struct Locked {
    pub(crate) file: LockFile,
    /// Where the sources are that were fetched on the way, by node.
    pub(crate) trees: BTreeMap<usize, Place>,
    /// The inputs that are parts of the program, by node.
    pub(crate) embedded: BTreeMap<usize, PathBuf>,
    /// Whether its lock file would have to be written anew.
    pub(crate) is_changed: bool,
}

/// Fetches a flake and finds out what its inputs stand for. Its lock file is used, but not written.
pub(super) fn lock_flake(ev: &Evaluator, reference: &FlakeRef, options: LockOptions) -> Result<Locked> {
    let flake = fetch_flake(ev, reference, options.registries, &[])?;
    let url = flake.locked.to_string();
    lock_inputs(ev, reference, flake, options)
        .frame_with(|| format!("while updating the lock file of flake '{url}'"), Pos::NONE)
}

fn lock_inputs(ev: &Evaluator, reference: &FlakeRef, flake: Flake, options: LockOptions) -> Result<Locked> {
    let old = read_lock_file(ev, &flake.place.folder(ev))?;
    let mut locker = Locker {
        ev,
        options,
        file: LockFile::default(),
        trees: BTreeMap::from([(0, flake.place.clone())]),
        embedded: BTreeMap::new(),
        overrides: BTreeMap::new(),
        parents: Vec::new(),
    };
    let start = Start {
        node: 0,
        path: &[],
        follows_prefix: &[],
        place: &flake.place,
        old: Some((&old, 0)),
        trusts_lock: false,
    };
    locker.lock(&flake.inputs, &start)?;
    let Locker { file, trees, embedded, .. } = locker;
    file.check()?;
    let is_changed = file.to_json().0 != old.to_json().0;
    // Those of the program itself are always the same, and no other one knows them.
    if is_changed && embedded.is_empty() {
        let difference = old.difference(&file);
        let text =
            format!("not writing modified lock file of flake '{reference}':\n{}", difference.trim_end());
        warn(ev, &[text])?;
    }
    Ok(Locked { file, trees, embedded, is_changed })
}

/// What an input is to be instead of what its flake says.
#[derive(Clone)]
struct Override {
    input: FlakeInput,
    /// Where the flake is that says so.
    place: Place,
    parent: InputPath,
}

/// A flake whose inputs are to be found.
struct Start<'a> {
    node: usize,
    /// The way to it.
    path: &'a [String],
    /// Where the ways in its lock file start.
    follows_prefix: &'a [String],
    place: &'a Place,
    /// The node that it was in its lock file.
    old: Option<(&'a LockFile, usize)>,
    /// Whether the inputs are those of the lock file, and not of the flake.
    trusts_lock: bool,
}

struct Locker<'a> {
    ev: &'a Evaluator,
    options: LockOptions,
    file: LockFile,
    trees: BTreeMap<usize, Place>,
    embedded: BTreeMap<usize, PathBuf>,
    overrides: BTreeMap<InputPath, Override>,
    /// The flakes that are being fetched, to find circles.
    parents: Vec<FlakeRef>,
}

impl Locker<'_> {
    fn lock(&mut self, inputs: &FlakeInputs, start: &Start<'_>) -> Result<()> {
        for (name, input) in inputs {
            self.add_overrides(input, &append(start.path, name), start);
        }
        for path in self.overrides.keys() {
            let Some((name, parent)) = path.split_last() else { continue };
            if parent == start.path && !inputs.contains_key(name) {
                let parent = parent.join("/");
                let text = format!("input '{parent}' has an override for a non-existent input '{name}'");
                warn(self.ev, &[text])?;
            }
        }
        for (name, input) in inputs {
            let path = append(start.path, name);
            self.lock_input(name, input, &path, start)
                .map_err(|error| match error.kind() {
                    ErrorKind::Host => error.with_hint(format!("it is the flake input '{}'", path.join("/"))),
                    _ => error,
                })
                .frame_with(|| format!("while updating the flake input '{}'", path.join("/")), Pos::NONE)?;
        }
        Ok(())
    }

    fn add_overrides(&mut self, input: &FlakeInput, path: &InputPath, start: &Start<'_>) {
        for (name, wanted) in &input.overrides {
            let path = append(path, name);
            if wanted.reference.is_some() || wanted.follows.is_some() {
                self.overrides.entry(path.clone()).or_insert_with(|| Override {
                    input: wanted.clone(),
                    place: start.place.clone(),
                    parent: start.path.to_vec(),
                });
            }
            self.add_overrides(wanted, &path, start);
        }
    }

    fn set(&mut self, start: &Start<'_>, name: &str, edge: Edge) {
        self.file.nodes[start.node].inputs.insert(name.to_owned(), edge);
    }

    fn add_node(&mut self, start: &Start<'_>, name: &str, source: LockedSource) -> usize {
        let node = self.file.nodes.len();
        self.file.nodes.push(Node { inputs: BTreeMap::new(), source: Some(source) });
        self.set(start, name, Edge::Node(node));
        node
    }

    fn lock_input(
        &mut self,
        name: &str,
        declared: &FlakeInput,
        path: &InputPath,
        start: &Start<'_>,
    ) -> Result<()> {
        let ev = self.ev;
        let replacement = self.overrides.get(path).cloned();
        let (input, place, overrider) = match &replacement {
            Some(replacement) => (&replacement.input, &replacement.place, replacement.parent.as_slice()),
            None => (declared, start.place, start.path),
        };
        if let Some(target) = &input.follows {
            self.set(start, name, Edge::Follows(target.clone()));
            return Ok(());
        }
        let reference = match &input.reference {
            Some(reference) => reference.clone(),
            None => {
                let attrs = InputAttrs::from([
                    ("type".to_owned(), "indirect".into()),
                    ("id".to_owned(), name.into()),
                ]);
                FlakeRef::from_attrs(attrs, &|name: &str| ev.settings().has_feature(name))?
            }
        };
        let relative = reference.input.relative_path().map(str::to_owned);
        let parent = relative.is_some().then(|| overrider.to_vec());
        let is_flake = declared.is_flake;

        if let Some((old, number)) = start.old
            && let Some(Edge::Node(old_node)) = old.nodes[number].inputs.get(name)
            && let Some(source) = &old.nodes[*old_node].source
            && source.original.canonical() == reference.canonical()
            && source.parent == parent
        {
            return self.keep(name, path, start, (old, *old_node), source);
        }

        if let Some(embedded) = ev.host().embedded_flake(&reference.input) {
            let source = LockedSource { locked: reference.clone(), original: reference, is_flake, parent };
            let node = self.add_node(start, name, source);
            self.embedded.insert(node, embedded);
            return Ok(());
        }
        if !self.options.allow_unlocked && !reference.input.is_locked()? && relative.is_none() {
            let message = format!("cannot update unlocked flake input '{}' in pure mode", path.join("/"));
            return Err(EvalError::other(message));
        }
        let registries = self.input_registries();
        if is_flake {
            let flake = match &relative {
                Some(relative) => read::read(ev, &reference, place.join(relative)?, path)?,
                None => fetch_flake(ev, &reference, registries, path)?,
            };
            let locked = if relative.is_some() { reference.clone() } else { flake.locked.clone() };
            let source = LockedSource { locked, original: reference.clone(), is_flake: true, parent };
            let node = self.add_node(start, name, source);
            if self.parents.contains(&reference) {
                return Err(EvalError::other(format!("found circular import of flake '{reference}'")));
            }
            self.trees.insert(node, flake.place.clone());
            let old = read_lock_file(ev, &flake.place.folder(ev))?;
            self.parents.push(reference);
            let result = self.lock(
                &flake.inputs,
                &Start {
                    node,
                    path,
                    follows_prefix: path,
                    place: &flake.place,
                    old: Some((&old, 0)),
                    trusts_lock: false,
                },
            );
            self.parents.pop();
            return result;
        }
        let (locked, place) = match &relative {
            Some(relative) => (reference.clone(), place.join(relative)?),
            None => {
                let mut input = reference.input.clone();
                if !input.is_direct() {
                    input = ev.host().resolve_input(&input, registries)?.0;
                }
                let tree = ev.fetch_tree(&input)?;
                let locked = FlakeRef { input: tree.input.clone(), subdir: reference.subdir.clone() };
                (locked, Place { tree, subdir: String::new() })
            }
        };
        let source = LockedSource { locked, original: reference, is_flake: false, parent };
        let node = self.add_node(start, name, source);
        self.trees.insert(node, place);
        Ok(())
    }

    fn input_registries(&self) -> Registries {
        match self.options.registries {
            Registries::None => Registries::None,
            _ => Registries::Limited,
        }
    }

    /// Takes an input from the lock file. It is fetched only if its own inputs may be others than those.
    fn keep(
        &mut self,
        name: &str,
        path: &InputPath,
        start: &Start<'_>,
        (old, old_node): (&LockFile, usize),
        source: &LockedSource,
    ) -> Result<()> {
        let node = self.add_node(start, name, source.clone());
        let mut inputs = FlakeInputs::new();
        let mut must_fetch = false;
        for (name, edge) in &old.nodes[old_node].inputs {
            let input = match edge {
                Edge::Node(child) => {
                    let child = old.nodes[*child].source.as_ref();
                    FlakeInput {
                        reference: child.map(|child| child.original.clone()),
                        is_flake: child.is_none_or(|child| child.is_flake),
                        ..FlakeInput::default()
                    }
                }
                Edge::Follows(target) => {
                    // Without an override it would be the flake's own, which may have changed.
                    if !start.trusts_lock && !self.overrides.contains_key(&append(path, name)) {
                        must_fetch = true;
                        break;
                    }
                    let target = start.follows_prefix.iter().chain(target).cloned().collect();
                    FlakeInput { follows: Some(target), ..FlakeInput::default() }
                }
            };
            inputs.insert(name.clone(), input);
        }
        let next = Start {
            node,
            path,
            follows_prefix: start.follows_prefix,
            place: start.place,
            old: Some((old, old_node)),
            trusts_lock: true,
        };
        if !must_fetch {
            return self.lock(&inputs, &next);
        }
        let flake = match source.locked.input.relative_path() {
            Some(relative) => {
                let place = start.place.join(relative)?;
                read::read(self.ev, &source.locked, place, path)?
            }
            None => fetch_flake(self.ev, &source.locked, self.input_registries(), path)?,
        };
        self.trees.insert(node, flake.place.clone());
        self.lock(&flake.inputs, &Start { place: &flake.place, trusts_lock: false, ..next })
    }
}

fn append(path: &[String], name: &str) -> InputPath {
    path.iter().map(String::as_str).chain([name]).map(str::to_owned).collect()
}
