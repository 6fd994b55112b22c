//! Source trees that evaluation asks for: fetched once, checked, and allowed to be read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nival_formats::input::{AttrValue, attrs_to_json, check_locks};
use nival_formats::{ContentAddress, ContentAddressMethod, Input, StorePath};
use nival_syntax::Origin;

use super::Evaluator;
use crate::compile::Scope;
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::host::{FetchedInput, Shown};
use crate::path::shown_text;

/// What was fetched so far.
#[derive(Default)]
pub(crate) struct Inputs {
    /// By what was asked for.
    fetched: Mutex<HashMap<String, FetchedInput>>,
    /// Trees that messages show elsewhere than in the store, by their path there.
    shown: Mutex<HashMap<PathBuf, Shown>>,
}

/// How a file was looked for that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sought {
    /// What is there was asked.
    Kind,
    /// It was to be read.
    Contents,
}

/// A source tree in the store.
#[derive(Clone)]
pub(crate) struct Tree {
    pub(crate) path: StorePath,
    /// What is known of it.
    pub(crate) input: Input,
}

impl Evaluator {
    /// Brings a source tree into the store, if it isn't there.
    pub(crate) fn fetch_tree(&self, asked: &Input) -> Result<Tree> {
        self.must_not_be_ahead()?;
        let key = attrs_to_json(&asked.attrs);
        let known = lock(&self.shared.inputs.fetched).get(&key).cloned();
        let fetched = match known {
            Some(known) => known,
            None => {
                let fetched =
                    self.fetch_input(asked).frame_with(|| fetching(asked), nival_syntax::Pos::NONE)?;
                crate::builtins::warn(self, &fetched.warnings)?;
                lock(&self.shared.inputs.fetched).entry(key).or_insert(fetched).clone()
            }
        };
        self.allow_store_path(&fetched.path);
        let FetchedInput { path, nar_hash, mut input, shown, .. } = fetched;
        lock(&self.shared.inputs.shown).insert(self.host().store_dir().display(&path).into(), shown);
        input.set("narHash", nar_hash.to_sri());
        if let Some(expected) = asked.nar_hash()?
            && expected != nar_hash
        {
            let message = format!(
                "NAR hash mismatch in input '{}', expected '{}' but got '{}'",
                asked.to_url()?,
                nar_hash.to_sri(),
                expected.to_sri()
            );
            return Err(EvalError::new(ErrorKind::HashMismatch, message));
        }
        Ok(Tree { path, input })
    }

    fn fetch_input(&self, asked: &Input) -> Result<FetchedInput> {
        if let Some(present) = self.locked_tree(asked)? {
            return Ok(present);
        }
        if asked.kind().is_none() {
            let message = format!("cannot fetch unsupported input '{}'", attrs_to_json(&asked.attrs));
            return Err(EvalError::other(message));
        }
        let mut fetched = self.host().fetch_input(asked)?;
        fetched.input.set("__final", AttrValue::Bool(true));
        check_locks(asked, &mut fetched.input)?;
        Ok(fetched)
    }

    /// The tree of a lock file's entry, if the store has it.
    fn locked_tree(&self, asked: &Input) -> Result<Option<FetchedInput>> {
        let (true, Some(hash)) = (asked.is_final()?, asked.nar_hash()?) else { return Ok(None) };
        let address = ContentAddress { method: ContentAddressMethod::NixArchive, hash };
        let path = self
            .host()
            .store_dir()
            .fixed_output_path(asked.name()?, &address)
            .map_err(|error| EvalError::other(error.to_string()))?;
        let is_there = self.host().ensure_path(&path)?;
        if !is_there {
            return Ok(None);
        }
        let shown = Shown::Url(asked.to_url()?.to_string());
        Ok(Some(FetchedInput { shown, ..FetchedInput::new(path, hash, asked.clone()) }))
    }

    /// As C++ Nix does, says of a `flake.nix` that is missing or cannot be parsed where it comes from, in all modes of
    /// evaluation.
    pub(crate) fn check_where_it_comes_from(&self, path: &Path) -> Result<()> {
        let Some((shown, inside)) = self.source_of(path).filter(|(shown, _)| *shown != Shown::Store) else {
            return Ok(());
        };
        if matches!(self.host().file_type(path), Ok(None)) {
            return Err(self.missing_in(&shown, inside, Sought::Kind));
        }
        if !self.settings().shows_sources {
            let text = self.read_file(path)?;
            let base = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
            self.parse(origin_in(path, &shown, inside), text, &base, &Scope::default(), None)?;
        }
        Ok(())
    }

    /// Where messages show a file that is in a source tree: the tree, and the path in it.
    fn shown<'p>(&self, path: &'p Path) -> Option<(Shown, &'p Path)> {
        if self.settings().shows_sources { self.source_of(path) } else { None }
    }

    /// Where the source tree comes from that a file is in, and the path in it.
    fn source_of<'p>(&self, path: &'p Path) -> Option<(Shown, &'p Path)> {
        let shown = lock(&self.shared.inputs.shown);
        if shown.is_empty() {
            return None;
        }
        let store = Path::new(self.host().store_dir().as_str());
        let name = path.strip_prefix(store).ok()?.components().next()?;
        let root = store.join(name);
        Some((shown.get(&root)?.clone(), path.strip_prefix(&root).ok()?))
    }

    /// Where the text of a file was found.
    pub(crate) fn origin(&self, path: &Path) -> Origin {
        match self.shown(path) {
            None => Origin::File(shown_text(path).into_owned()),
            Some((shown, inside)) => origin_in(path, &shown, inside),
        }
    }

    /// Says that a file is not there.
    #[cold]
    pub(crate) fn missing(&self, path: &Path, sought: Sought) -> EvalError {
        match self.shown(path) {
            None | Some((Shown::Store, _)) => {
                let message = format!("path '{}' does not exist", path.display());
                EvalError::new(ErrorKind::MissingFile, message)
            }
            Some((shown, inside)) => self.missing_in(&shown, inside, sought),
        }
    }

    /// What is said of a file of a commit that is another thing than it was taken for.
    pub(crate) fn unexpected(&self, path: &Path, error: std::io::ErrorKind) -> Option<String> {
        let (Shown::Url(url), inside) = self.shown(path)? else { return None };
        let problem = match error {
            std::io::ErrorKind::IsADirectory => "is not a regular file",
            std::io::ErrorKind::NotADirectory if matches!(self.host().file_type(path), Ok(Some(_))) => {
                "is not a directory"
            }
            std::io::ErrorKind::NotADirectory => "does not exist",
            _ => return None,
        };
        Some(format!("'«{url}»/{}' {problem}", inside.display()))
    }

    #[cold]
    fn missing_in(&self, shown: &Shown, inside: &Path, sought: Sought) -> EvalError {
        let message = match shown {
            Shown::Store => format!("path '{}' does not exist", inside.display()),
            Shown::Url(url) => {
                let what = if sought == Sought::Kind { "path " } else { "" };
                format!("{what}'«{url}»/{}' does not exist", inside.display())
            }
            Shown::WorkTree(root) => {
                let (shown, root_shown) = (inside.display(), root.display());
                if matches!(self.host().file_type(&root.join(inside)), Ok(Some(_))) {
                    format!(
                        "Path '{shown}' in the repository \"{root_shown}\" is not tracked by Git.\n\nTo make it visible to \
                         Nix, run:\n\ngit -C \"{root_shown}\" add \"{shown}\""
                    )
                } else {
                    format!("Path '{shown}' does not exist in Git repository \"{root_shown}\".")
                }
            }
        };
        EvalError::new(ErrorKind::MissingFile, message)
    }
}

/// Where the text of a file of a source tree was found.
fn origin_in(path: &Path, shown: &Shown, inside: &Path) -> Origin {
    let path = path.to_string_lossy().into_owned();
    let shown = match shown {
        Shown::Store => return Origin::File(path),
        Shown::Url(url) => format!("«{url}»/{}", inside.display()),
        Shown::WorkTree(root) => root.join(inside).to_string_lossy().into_owned(),
    };
    Origin::Fetched { path, shown }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fetching(asked: &Input) -> String {
    match asked.to_url() {
        Ok(url) => format!("while fetching the input '{url}'"),
        Err(_) => "while fetching an input".to_owned(),
    }
}
