//! Flakes: reading `flake.nix`, finding what its inputs stand for, and calling its outputs.
//!
//! What each step takes and says is C++ Nix 2.34's `src/libflake/flake.cc`.

mod lock;
mod read;

use std::path::{Path, PathBuf};

use nival_formats::flake_ref::FlakeRef;
use nival_formats::lock_file::{LockFile, LockFileError};
use nival_syntax::{Origin, Pos, Symbol};

use crate::builtins::{FETCH_FINAL_TREE, WithoutRevision, tree_value};
use crate::error::{EvalError, Result};
use crate::evaluator::{Evaluator, Tree};
use crate::host::Registries;
use crate::json;
use crate::value::{AttrsBuilder, Value};

pub(crate) use lock::Locked;
use lock::lock_flake;
use read::Flake;

/// The function that makes the flakes of a lock file's nodes, in the language itself.
const CALL_FLAKE: &str = include_str!("call-flake.nix");

/// What may be done to find out what inputs stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockOptions {
    /// Which registries the flake itself may be looked up in.
    pub registries: Registries,
    /// Whether inputs may be sources that can change.
    pub allow_unlocked: bool,
}

impl Evaluator {
    /// The flake that a reference names: its outputs, its inputs, and what is known of its source.
    pub fn get_flake(&self, reference: &FlakeRef, options: LockOptions) -> Result<Value> {
        let locked = lock_flake(self, reference, options)?;
        self.call_flake(&locked)
    }

    fn call_flake(&self, locked: &Locked) -> Result<Value> {
        let (lock_file, keys) = locked.file.to_json();
        let mut overrides = AttrsBuilder::with_capacity(locked.trees.len());
        for (node, place) in &locked.trees {
            let Some(key) = keys.get(node) else { continue };
            let input = match &locked.file.nodes[*node].source {
                Some(source) => &source.locked.input,
                None => &place.tree.input,
            };
            let is_changed = *node == 0 && locked.is_changed;
            let revision = if is_changed { WithoutRevision::Hidden } else { WithoutRevision::Nothing };
            let mut attrs = AttrsBuilder::with_capacity(2);
            attrs.add("sourceInfo", tree_value(self, &place.tree.path, input, revision)?);
            attrs.add("dir", self.string(&place.subdir));
            overrides.add(Symbol::intern(key), self.attrs(attrs));
        }
        let mut embedded = AttrsBuilder::new();
        for (node, path) in &locked.embedded {
            if let Some(key) = keys.get(node) {
                embedded.add(Symbol::intern(key), self.path(path.as_os_str().as_encoded_bytes()));
            }
        }
        let origin = Origin::File("«flakes-internal»/call-flake.nix".to_owned());
        let call = self.eval_text(origin, CALL_FLAKE.as_bytes().to_vec(), "/")?;
        let arguments = [
            self.string(lock_file),
            self.attrs(overrides),
            self.attrs(embedded),
            self.builtin(&FETCH_FINAL_TREE),
        ];
        self.call(call, &arguments, Pos::NONE)
    }
}

/// Where a flake, or another source, is: a tree in the store, and a folder in it.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) tree: Tree,
    /// Relative to the tree; empty for the tree itself.
    pub(crate) subdir: String,
}

impl Place {
    fn folder(&self, ev: &Evaluator) -> PathBuf {
        let root = PathBuf::from(ev.host().store_dir().display(&self.tree.path));
        if self.subdir.is_empty() { root } else { root.join(&self.subdir) }
    }

    /// The place that a relative path leads to from here.
    fn join(&self, relative: &str) -> Result<Place> {
        let mut parts: Vec<&str> = self.subdir.split('/').filter(|part| !part.is_empty()).collect();
        for part in relative.split('/') {
            match part {
                "" | "." => {}
                ".." if parts.pop().is_none() => {
                    let message =
                        format!("relative path '{relative}' of a flake input leads out of its tree");
                    return Err(EvalError::other(message));
                }
                ".." => {}
                part => parts.push(part),
            }
        }
        Ok(Place { tree: self.tree.clone(), subdir: parts.join("/") })
    }
}

/// Fetches a flake and reads its `flake.nix`.
fn fetch_flake(
    ev: &Evaluator,
    original: &FlakeRef,
    registries: Registries,
    lock_root: &[String],
) -> Result<Flake> {
    let mut resolved = original.clone();
    if !original.input.is_direct() {
        if registries == Registries::None {
            let url = original.input.to_url()?;
            let message =
                format!("'{url}' is an indirect flake reference, but registry lookups are not allowed");
            return Err(EvalError::other(message));
        }
        let (input, subdir) = ev.host().resolve_input(&original.input, registries)?;
        resolved = FlakeRef { input, subdir: subdir.unwrap_or_else(|| original.subdir.clone()) };
    }
    let tree = ev.fetch_tree(&resolved.input)?;
    let place = Place { tree, subdir: resolved.subdir.clone() };
    let flake = read::read(ev, &resolved, place, lock_root)?;
    if flake.self_attrs.is_empty() {
        return Ok(flake);
    }
    // The flake says how it wants to be fetched.
    let mut wanted = resolved.clone();
    for (name, value) in &flake.self_attrs {
        if name != "submodules" && name != "lfs" {
            return Err(EvalError::other(format!("flake 'self' attribute '{name}' is not supported")));
        }
        wanted.input.attrs.insert(name.clone(), value.clone());
    }
    if wanted == resolved {
        return Ok(flake);
    }
    wanted.input.attrs.remove("narHash");
    let tree = ev.fetch_tree(&wanted.input)?;
    let place = Place { tree, subdir: resolved.subdir.clone() };
    read::read(ev, &resolved, place, lock_root)
}

/// The lock file of a flake; empty if it has none.
fn read_lock_file(ev: &Evaluator, folder: &Path) -> Result<LockFile> {
    let path = folder.join("flake.lock");
    if ev.file_type(&path)?.is_none() {
        return Ok(LockFile::default());
    }
    let text = ev.read_file(&path)?;
    let shown = path.display().to_string();
    let features = |name: &str| ev.settings().has_feature(name);
    let parsed = LockFile::parse(&String::from_utf8_lossy(&text), &shown, &features);
    if let Err(LockFileError::Syntax { .. }) = &parsed
        && let Err(problem) = json::parse::<Value>(&text, ev)
    {
        return Err(EvalError::other(format!("Could not parse '{shown}': {problem}")));
    }
    let (file, warnings) = parsed?;
    crate::builtins::warn(ev, &warnings)?;
    Ok(file)
}

impl From<LockFileError> for EvalError {
    #[cold]
    fn from(error: LockFileError) -> EvalError {
        EvalError::other(error.to_string())
    }
}
