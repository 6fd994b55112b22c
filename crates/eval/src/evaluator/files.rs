//! Files: resolving, importing, the search path, what may be read, and copies in the store.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nival_formats::url::{Strictness, Url};
use nival_formats::{ContentAddressMethod, StorePath};
use nival_syntax::{Expr, Origin, Pos, ReadText, Source, Symbol, print};

use super::{Env, Evaluator, SearchEntry, Sought, Verbosity};
use crate::code::Run;
use crate::compile::{Scope, Unit};
use crate::context::{Context, ContextElement};
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::hash::WordHash;
use crate::host::{EMBEDDED, FileType, Listing, MessageKind, SourceRequest};
use crate::path::{shown_text, split_last, to_bytes, to_path, to_path_buf};
use crate::value::{Attrs, Str, Value};

/// `<nix/fetchurl.nix>`, which is a part of the language.
const FETCHURL: &[u8] = include_bytes!("../embedded/fetchurl.nix");
const FETCHURL_PATH: &str = "/__nival__/nix/fetchurl.nix";

/// How many symbolic links are followed in one path before it counts as a cycle.
const MAX_LINKS: u32 = 1024;
/// A text with so many bytes takes a good part of the memory while it is parsed.
const LARGE_TEXT: usize = 4 << 20;

/// What is known of files.
#[derive(Default)]
pub(crate) struct Files {
    /// The values of files, by the path given to `import` and by what that is with links followed and
    /// `default.nix` added.
    values: Mutex<HashMap<Box<[u8]>, Value, WordHash>>,
    folders: Mutex<HashMap<Box<[u8]>, Folder, WordHash>>,
    /// Copies of paths in the store.
    stored: Mutex<HashMap<Vec<u8>, Str, WordHash>>,
    /// Entries of the search path that a warning was given of.
    told_entries: Mutex<BTreeSet<String>>,
    /// What may be read in pure or restricted evaluation.
    allowed: Mutex<BTreeSet<PathBuf>>,
}

/// What is known of a folder.
#[derive(Default)]
struct Folder {
    /// What it is with all links in its name followed, if that is something else.
    moved: Option<PathBuf>,
    /// What `readDir` said of it, if there are no links in its name.
    listed: Option<Attrs>,
}

impl Files {
    pub(super) fn each_root(&self, see: &mut dyn FnMut(u64)) {
        lock(&self.values).values().for_each(|value| see(value.to_bits()));
        let folders = lock(&self.folders);
        let listed = folders.values().filter_map(|folder| folder.listed);
        listed.for_each(|listed| see(Value::from(listed).to_bits()));
        lock(&self.stored).values().for_each(|path| see(Value::from(*path).to_bits()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Evaluator {
    /// Evaluates an expression given as text. Relative paths in it start from `base`.
    pub fn eval_str(&self, text: &str, base: &str) -> Result<Value> {
        self.eval_text(Origin::String, text.as_bytes().to_vec(), base)
    }

    /// Evaluates an expression from wherever.
    pub fn eval_text(&self, origin: Origin, text: Vec<u8>, base: &str) -> Result<Value> {
        let unit = self.parse(origin, text, base, &Scope::default(), None)?;
        unit.run(self, Env::ROOT)
    }

    /// Parses an expression that is evaluated when its value is asked for, as those of `--arg` are.
    pub fn eval_text_lazily(&self, origin: Origin, text: Vec<u8>, base: &str) -> Result<Value> {
        let unit = self.parse(origin, text, base, &Scope::default(), None)?;
        Ok(self.native_thunk(TextValue(unit)))
    }

    /// Parses a text without evaluating it, and shows how it was understood, as `nix-instantiate --parse` does.
    pub fn show_parsed(&self, origin: Origin, text: Vec<u8>, base: &str) -> Result<Vec<u8>> {
        Ok(print::print(&self.parse(origin, text, base, &Scope::default(), None)?.ast))
    }

    /// As [`Evaluator::show_parsed`], for a file.
    pub fn show_parsed_file(&self, path: &Path) -> Result<Vec<u8>> {
        Ok(print::print(&self.parse_import(path, &Scope::default())?.ast))
    }

    /// Parses a text, of a file at a path if its tree may be kept.
    pub(crate) fn parse(
        &self,
        origin: Origin,
        text: Vec<u8>,
        base: &str,
        scope: &Scope,
        path: Option<&Path>,
    ) -> Result<&'static Unit> {
        let source = Source::add(origin, text).map_err(|error| EvalError::other(error.to_string()))?;
        Unit::parse(self, source, base, scope, path)
    }

    /// Forgets what was read, so that changed files are read again.
    pub fn forget_files(&self) {
        let files = &self.shared.files;
        lock(&files.values).clear();
        lock(&files.folders).clear();
        lock(&files.stored).clear();
    }

    /// Evaluates a file (or the `default.nix` of a folder); each is evaluated once.
    pub fn eval_file(&self, path: &Path) -> Result<Value> {
        let bytes = path.as_os_str().as_encoded_bytes();
        let known = lock(&self.shared.files.values).get(bytes).copied();
        if let Some(value) = known {
            return self.force(value, Pos::NONE);
        }
        let (resolved, found) = self.find_import(path, &Scope::default())?;
        let resolved_bytes = resolved.as_os_str().as_encoded_bytes();
        let mut values = lock(&self.shared.files.values);
        let value = match values.get(resolved_bytes) {
            Some(value) => *value,
            None => {
                let value = self.native_thunk(FileValue {
                    path: resolved.to_path_buf(),
                    found: Mutex::new(found),
                    unit: OnceLock::new(),
                });
                values.insert(resolved_bytes.into(), value);
                value
            }
        };
        if bytes != resolved_bytes {
            values.insert(bytes.into(), value);
        }
        drop(values);
        self.force(value, Pos::NONE)
    }

    /// Parses and evaluates a file as `nix-instantiate` does with the one it is given: nothing is remembered,
    /// and errors don't name the file.
    pub fn eval_file_by_itself(&self, path: &Path) -> Result<Value> {
        self.parse_import(path, &Scope::default())?.run(self, Env::ROOT)
    }

    /// Parses and evaluates a file with variables of its own, as `scopedImport` does; nothing is remembered.
    pub fn eval_file_in_scope(&self, path: &Path, scope: Attrs) -> Result<Value> {
        self.talk(Verbosity::Talkative, || evaluating(path))?;
        let unit = self.parse_import(path, &Scope::of(scope))?;
        let env = Env::escaped(&self.heap, Env::ROOT, scope.len() as u32);
        for (index, attr) in scope.iter().enumerate() {
            env.set(index as u32, attr.value);
        }
        unit.run(self, env)
    }

    fn parse_import(&self, path: &Path, scope: &Scope) -> Result<&'static Unit> {
        let (path, found) = self.find_import(path, scope)?;
        self.parse_file(&path, found, scope)
    }

    /// Parses a file that may have been read already, or whose tree was kept.
    fn parse_file(&self, path: &Path, found: Option<Found>, scope: &Scope) -> Result<&'static Unit> {
        let base = shown_text(path.parent().unwrap_or(Path::new("/")));
        let origin = self.origin(path);
        let Some(Found { here, contents }) = found else {
            return self.parse(origin, self.read_file(path)?, &base, scope, None);
        };
        let here = here.as_deref().unwrap_or(path);
        let text = match contents {
            Contents::Text(text) => text,
            Contents::Tree(tree) => {
                let read = ReadText(self.host().text_later(here));
                if let Some(unit) = Unit::of_kept(self, tree, origin.clone(), &base, here, read) {
                    return unit;
                }
                match self.host().read_plain_file(here) {
                    Some(text) => text,
                    None => self.read_file(path)?,
                }
            }
        };
        let is_large = text.len() >= LARGE_TEXT;
        if is_large {
            self.host().put_away();
        }
        let is_kept = self.host().keeps_trees() && scope.keeps(self);
        let unit = self.parse(origin, text, &base, scope, is_kept.then_some(here))?;
        if is_large {
            self.host().give_back();
        }
        Ok(unit)
    }

    /// Parses a file that must be written as a set: one that can be read without evaluating anything.
    pub(crate) fn parse_plain_file(&self, path: &Path) -> Result<&'static Unit> {
        let unit = self.parse_import(path, &Scope::default())?;
        if matches!(unit.ast.expr(unit.ast.root()), Expr::Set(_)) {
            return Ok(unit);
        }
        let message = format!("file '{}' must be an attribute set", path.display());
        let frame = format!("while evaluating the file '{}':", path.display());
        Err(EvalError::other(message).with_frame(frame, Pos::NONE))
    }

    /// The contents of a file that may be read.
    pub fn read_file(&self, path: &Path) -> Result<Vec<u8>> {
        if path == Path::new(FETCHURL_PATH) {
            return Ok(FETCHURL.to_vec());
        }
        self.check_access(path)?;
        self.host().read_file(path).map_err(|error| self.file_error(path, Sought::Contents, &error))
    }

    /// What is in a folder that may be read.
    pub fn read_dir(&self, path: &Path) -> Result<Listing> {
        self.check_access(path)?;
        let mut entries = self.host().read_dir(path).map_err(|error| match error.kind() {
            kind @ std::io::ErrorKind::NotADirectory => {
                let message = self.unexpected(path, kind);
                let message = message.unwrap_or_else(|| {
                    format!("cannot read directory \"{}\": Not a directory", path.display())
                });
                EvalError::new(ErrorKind::Host, message)
            }
            _ => self.file_error(path, Sought::Contents, &error),
        })?;
        if self.settings().pure_eval || self.settings().restrict_eval {
            entries.retain(|(name, _)| self.check_access(&path.join(to_path(name))).is_ok());
        }
        Ok(entries)
    }

    /// What is at a path, without following a link at its end.
    pub fn file_type(&self, path: &Path) -> Result<Option<FileType>> {
        if path == Path::new(FETCHURL_PATH) {
            return Ok(Some(FileType::Regular));
        }
        self.check_access(path)?;
        self.host().file_type(path).map_err(|error| self.file_error(path, Sought::Kind, &error))
    }

    #[cold]
    fn file_error(&self, path: &Path, sought: Sought, error: &std::io::Error) -> EvalError {
        // A file where a folder should be: nothing can be below it.
        if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) {
            return self.missing(path, sought);
        }
        let shown = path.display();
        let message = self.unexpected(path, error.kind()).unwrap_or_else(|| match error.kind() {
            std::io::ErrorKind::InvalidFilename => {
                format!("getting status of \"{shown}\": File name too long")
            }
            std::io::ErrorKind::IsADirectory => "read of 4096 bytes: Is a directory".to_owned(),
            _ => format!("opening file '{shown}': {error}"),
        });
        EvalError::new(ErrorKind::Host, message)
    }

    /// The file that an import of a path means, and what is in it if that was found on the way: a name that ends as
    /// those of files do is opened without being looked at first.
    fn find_import<'p>(&self, path: &'p Path, scope: &Scope) -> Result<(Cow<'p, Path>, Option<Found>)> {
        if let Some(found) = self.find_file_at(path, scope)? {
            return Ok((path.into(), Some(found)));
        }
        let resolved = self.resolve_import(path)?;
        // Whoever reads it later words the errors.
        let found =
            if *resolved == *path { None } else { self.find_file_at(&resolved, scope).ok().flatten() };
        Ok((resolved, found))
    }

    /// A plain file with a name that ends as those of files do, or the tree that was kept of it.
    fn find_file_at(&self, path: &Path, scope: &Scope) -> Result<Option<Found>> {
        let bytes = path.as_os_str().as_encoded_bytes();
        if !bytes.ends_with(b".nix") || bytes.starts_with(EMBEDDED.as_bytes()) {
            return Ok(None);
        }
        let here = self.resolve_ancestors(path)?;
        self.check_access(&here)?;
        if self.check_access(path).is_err() {
            return Ok(None);
        }
        let tree = if scope.keeps(self) { self.host().kept_tree(&here) } else { None };
        if let Some(tree) = tree {
            self.note_loaded(tree);
        }
        let read = || self.host().read_plain_file(&here).map(Contents::Text);
        let contents = tree.map(Contents::Tree).or_else(read);
        let moved = (*here != *path).then(|| here.to_path_buf());
        Ok(contents.map(|contents| Found { here: moved, contents }))
    }

    /// Notes that the host has a tree in memory.
    pub(crate) fn note_loaded(&self, tree: &[u8]) {
        self.loaded.set(self.loaded.get() + tree.len());
        self.put_away();
    }

    /// Follows links at the end of a path and adds `default.nix` to a folder.
    fn resolve_import<'p>(&self, path: &'p Path) -> Result<Cow<'p, Path>> {
        let mut path = Cow::Borrowed(path);
        for _ in 1..MAX_LINKS {
            if path.parent().is_none() {
                return Ok(path.join("default.nix").into());
            }
            let here = self.resolve_ancestors(&path)?;
            match self.file_type(&here)? {
                Some(FileType::Symlink) => {
                    let target = self
                        .host()
                        .read_link(&here)
                        .map_err(|error| self.file_error(&here, Sought::Kind, &error))?;
                    let joined = path.parent().unwrap_or(Path::new("/")).join(target);
                    path = to_path_buf(&crate::path::canonical(joined.as_os_str().as_encoded_bytes())).into();
                }
                Some(FileType::Directory) => {
                    self.note_folder(&here);
                    return Ok(path.join("default.nix").into());
                }
                Some(_) => return Ok(path),
                None => return Err(self.missing(&path, Sought::Kind)),
            }
        }
        let shown = path.display();
        Err(EvalError::other(format!(
            "too many symbolic links encountered while traversing the path '{shown}'"
        )))
    }

    /// What a folder is with its links followed, if that is something else.
    fn moved_directory(&self, directory: &Path) -> Result<Option<PathBuf>> {
        let bytes = directory.as_os_str().as_encoded_bytes();
        if bytes == b"/" {
            return Ok(None);
        }
        if let Some(folder) = lock(&self.shared.files.folders).get(bytes) {
            return Ok(folder.moved.clone());
        }
        let resolved = self.resolve_links_cached(directory)?;
        let moved = (resolved != directory).then(|| resolved.into_owned());
        lock(&self.shared.files.folders)
            .entry(bytes.into())
            .or_insert_with(|| Folder { moved: moved.clone(), listed: None });
        Ok(moved)
    }

    /// The path with the links in all but its last part followed.
    pub(crate) fn resolve_ancestors<'p>(&self, path: &'p Path) -> Result<Cow<'p, Path>> {
        let Some((directory, name)) = split_last(path) else { return Ok(path.into()) };
        Ok(match self.moved_directory(directory)? {
            Some(moved) => moved.join(name).into(),
            None => path.into(),
        })
    }

    /// As [`Evaluator::resolve_links`], for a path beside others that were asked for.
    pub(crate) fn resolve_links_cached<'p>(&self, path: &'p Path) -> Result<Cow<'p, Path>> {
        self.try_resolve_links(path).map_err(|error| {
            // The links on the way to it are not what was asked for.
            if error.message().starts_with(ENDLESS_LINKS) { endless_links(path) } else { error }
        })
    }

    fn try_resolve_links<'p>(&self, path: &'p Path) -> Result<Cow<'p, Path>> {
        let path = self.resolve_ancestors(path)?;
        let kind = if self.is_listed_as_folder(&path) {
            Some(FileType::Directory)
        } else {
            self.host().file_type(&path).map_err(|error| self.file_error(&path, Sought::Kind, &error))?
        };
        match kind {
            Some(FileType::Symlink) => return Ok(self.resolve_links(&path)?.into()),
            Some(FileType::Directory) => self.note_folder(&path),
            _ => {}
        }
        Ok(path)
    }

    /// Notes that a path without links in its name is a folder: files in it will be asked for next.
    fn note_folder(&self, path: &Path) {
        let bytes = path.as_os_str().as_encoded_bytes();
        lock(&self.shared.files.folders).entry(bytes.into()).or_default();
    }

    /// Keeps what a folder has, so that the folders in it need not be looked at.
    pub(crate) fn note_listing(&self, folder: &Path, entries: Attrs) {
        let bytes = folder.as_os_str().as_encoded_bytes();
        let mut folders = lock(&self.shared.files.folders);
        match folders.get_mut(bytes) {
            Some(folder) => folder.listed = Some(entries),
            None => {
                folders.insert(bytes.into(), Folder { moved: None, listed: Some(entries) });
            }
        }
    }

    fn is_listed_as_folder(&self, path: &Path) -> bool {
        let Some((folder, name)) = split_last(path) else { return false };
        let bytes = folder.as_os_str().as_encoded_bytes();
        let listed = lock(&self.shared.files.folders).get(bytes).and_then(|folder| folder.listed);
        let kind =
            listed.and_then(|entries| entries.get(Symbol::intern(name.as_os_str().as_encoded_bytes())));
        kind.and_then(Value::as_str).is_some_and(|kind| kind.bytes() == FileType::Directory.name().as_bytes())
    }

    /// The path with all symbolic links in it followed. What isn't there is left as it is.
    pub fn resolve_links(&self, path: &Path) -> Result<PathBuf> {
        let mut resolved = PathBuf::from("/");
        let mut rest: Vec<std::ffi::OsString> =
            path.components().rev().filter_map(|part| part_name(&part)).collect();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == ".." {
                resolved.pop();
                continue;
            }
            resolved.push(&name);
            let kind = self
                .host()
                .file_type(&resolved)
                .map_err(|error| self.file_error(&resolved, Sought::Kind, &error))?;
            if kind != Some(FileType::Symlink) {
                continue;
            }
            self.check_access(&resolved)?;
            links += 1;
            if links > MAX_LINKS {
                return Err(endless_links(path));
            }
            let target = self
                .host()
                .read_link(&resolved)
                .map_err(|error| self.file_error(&resolved, Sought::Kind, &error))?;
            resolved.pop();
            if target.is_absolute() {
                resolved = PathBuf::from("/");
            }
            rest.extend(target.components().rev().filter_map(|part| part_name(&part)));
        }
        Ok(resolved)
    }

    /// Looks a `<name>` up along search path entries.
    pub fn find_file(&self, entries: &[SearchEntry], name: &str) -> Result<Str> {
        for entry in entries {
            let Some(rest) = name.strip_prefix(&entry.prefix) else { continue };
            let suffix = match rest.strip_prefix('/') {
                Some(suffix) => suffix,
                None if rest.is_empty() || entry.prefix.is_empty() => rest,
                None => continue,
            };
            let Some(root) = self.search_entry_root(&entry.path)? else { continue };
            self.check_access(&root)?;
            let found = if suffix.is_empty() { root } else { root.join(suffix) };
            let found = self.resolve_links(&found)?;
            if self.host().file_type(&found).is_ok_and(|kind| kind.is_some()) {
                return Ok(self.text(to_bytes(found), crate::context::Context::EMPTY));
            }
        }
        let first = name.split('/').next().unwrap_or(name);
        if first == "nival" || first == "nix" {
            let rest = name.strip_prefix("nival").map_or(name, |rest| rest.trim_start_matches('/'));
            let path = Path::new(EMBEDDED).join(rest);
            if self.file_type(&path).is_ok_and(|kind| kind.is_some()) {
                let bytes = crate::path::canonical(path.as_os_str().as_encoded_bytes());
                return Ok(self.text(bytes, crate::context::Context::EMPTY));
            }
        }
        let message = if self.settings().pure_eval {
            format!("cannot look up '<{name}>' in pure evaluation mode (use '--impure' to override)")
        } else {
            format!("file '{name}' was not found in the Nix search path (add it using $NIX_PATH or -I)")
        };
        Err(EvalError::new(ErrorKind::SearchPath, message))
    }

    fn search_entry_root(&self, value: &str) -> Result<Option<PathBuf>> {
        let path = if value.starts_with('/') {
            to_path_buf(&crate::path::canonical(value.as_bytes()))
        } else {
            self.must_not_be_ahead()?;
            match self.host().resolve_search_entry(value) {
                Ok(path) => path,
                Err(_) if is_pseudo_url(value) => {
                    return self.warn_of_entry(value, &["cannot be downloaded", "does not exist"]);
                }
                Err(error) => return Err(error.into()),
            }
        };
        if self.host().file_type(&path).is_ok_and(|kind| kind.is_some()) {
            if self.settings().verbosity >= Verbosity::Debug
                && lock(&self.shared.files.told_entries).insert(value.to_owned())
            {
                let resolved = || format!("resolved search path element '{value}' to '{}'", path.display());
                self.talk(Verbosity::Debug, resolved)?;
            }
            return Ok(Some(path));
        }
        self.warn_of_entry(value, &["does not exist"])
    }

    /// Says once why an entry is left out.
    fn warn_of_entry(&self, value: &str, reasons: &[&str]) -> Result<Option<PathBuf>> {
        if !lock(&self.shared.files.told_entries).contains(value) {
            for reason in reasons {
                let warning = format!("Nix search path entry '{value}' {reason}, ignoring");
                self.say(MessageKind::Warning, warning.as_bytes())?;
            }
            self.talk(Verbosity::Debug, || format!("failed to resolve search path element '{value}'"))?;
            lock(&self.shared.files.told_entries).insert(value.to_owned());
        }
        Ok(None)
    }

    /// Lets what the search path names be read in restricted evaluation.
    pub fn allow_search_path(&self) -> Result<()> {
        for entry in &self.settings().search_path {
            if let Some(root) = self.search_entry_root(&entry.path)? {
                self.allow_path(&self.resolve_links(&root)?);
                self.allow_path(&root);
                let stored = root.to_str().map(|root| self.host().store_dir().split(root));
                if let Some(Ok((stored, _))) = stored
                    && let Ok(closure) = self.host().closure(&stored)
                {
                    for path in &closure {
                        self.allow_store_path(path);
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets a path be read in pure or restricted evaluation.
    pub fn allow_path(&self, path: &Path) {
        lock(&self.shared.files.allowed).insert(path.to_path_buf());
    }

    /// Lets a store path be read in pure or restricted evaluation.
    pub fn allow_store_path(&self, path: &StorePath) {
        if self.settings().pure_eval || self.settings().restrict_eval {
            self.allow_path(Path::new(&self.host().store_dir().display(path)));
        }
    }

    /// Whether pure or restricted evaluation may read a path: it is in one that was allowed, or leads to one.
    fn is_allowed(&self, path: &Path) -> bool {
        let allowed = lock(&self.shared.files.allowed);
        path.ancestors().any(|ancestor| allowed.contains(ancestor))
            || allowed.iter().any(|inner| inner.starts_with(path))
    }

    /// Refuses what pure or restricted evaluation must not read.
    pub fn check_access(&self, path: &Path) -> Result<()> {
        let settings = self.settings();
        if !settings.pure_eval && !settings.restrict_eval || path.starts_with(EMBEDDED) {
            return Ok(());
        }
        if self.is_allowed(path) {
            return Ok(());
        }
        let why = if settings.pure_eval {
            "pure evaluation mode (use '--impure' to override)"
        } else {
            "restricted mode"
        };
        let message = format!("access to absolute path '{}' is forbidden in {why}", path.display());
        Err(EvalError::new(ErrorKind::Impure, message))
    }

    /// Refuses what restricted evaluation must not fetch.
    pub fn check_uri(&self, uri: &str) -> Result<()> {
        if !self.settings().restrict_eval || is_allowed_uri(uri, &self.settings().allowed_uris) {
            return Ok(());
        }
        if uri.starts_with('/') {
            return self.check_access(&to_path_buf(&crate::path::canonical(uri.as_bytes())));
        }
        if let Ok(url) = Url::parse(uri, Strictness::Strict)
            && url.scheme == "file"
            && let Ok(path) = url.file_path()
        {
            let path = Path::new("/").join(path);
            return self
                .check_access(&to_path_buf(&crate::path::canonical(path.as_os_str().as_encoded_bytes())));
        }
        let message = format!("access to URI '{uri}' is forbidden in restricted mode");
        Err(EvalError::new(ErrorKind::Impure, message))
    }

    /// Copies a path to the store, once, under its own name. Gives the name of the copy, as a string that refers to it.
    pub fn copy_to_store(&self, path: Str) -> Result<Str> {
        if let Some(stored) = lock(&self.shared.files.stored).get(path.bytes()) {
            return Ok(*stored);
        }
        let source = to_path(path.bytes());
        let name = source.file_name().map_or_else(|| "source".into(), std::ffi::OsStr::to_string_lossy);
        if Path::new(&*name).extension().is_some_and(|extension| extension == "drv") {
            return Err(EvalError::other("file names are not allowed to end in '.drv'"));
        }
        let real = self.resolve_ancestors(source)?;
        self.check_access(&real)?;
        let look = || match self.file_type(&real) {
            Ok(None) => Err(self.missing(source, Sought::Kind)),
            kind => kind,
        };
        // Whoever copies it looks at it, too: only messages need to know before.
        if self.settings().verbosity >= Verbosity::Chatty {
            look()?;
        }
        if !source.starts_with(self.host().store_dir().as_str()) {
            self.talk(Verbosity::Debug, || format!("source path '{}' is uncacheable", source.display()))?;
        }
        self.talk(Verbosity::Chatty, || {
            if self.host().is_read_only() {
                format!("hashing '{}'...", source.display())
            } else {
                format!("copying '{}' to the store...", source.display())
            }
        })?;
        let method = ContentAddressMethod::NixArchive;
        let request = SourceRequest { name: &name, path: &real, method, filter: None, expected: None };
        let stored = match self.host().add_source(request) {
            Ok(stored) => stored,
            Err(error) => return Err(look().err().unwrap_or_else(|| error.into())),
        };
        let shown = self.host().store_dir().display(&stored);
        self.talk(Verbosity::Chatty, || format!("copied source '{}' -> '{shown}'", source.display()))?;
        self.allow_store_path(&stored);
        let string = self.text(shown, Context::of(ContextElement::Path(stored)));
        lock(&self.shared.files.stored).insert(path.bytes().to_vec(), string);
        Ok(string)
    }
}

/// Whether a text is taken for the URL of an archive, where files are named (C++ Nix, `eval-settings.cc`).
pub fn is_pseudo_url(text: &str) -> bool {
    const SCHEMES: [&str; 7] = ["http", "https", "file", "channel", "git", "s3", "ssh"];
    text.starts_with("channel:")
        || text.split_once("://").is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}

/// Whether a URI is one of those that are allowed, or below one: `https://github.co` does not allow `https://github.com`.
fn is_allowed_uri(uri: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|prefix| {
        let Some(rest) = uri.strip_prefix(prefix.as_str()) else { return false };
        let scheme = prefix.strip_suffix(':').unwrap_or_default();
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte));
        rest.is_empty() || !prefix.is_empty() && (prefix.ends_with('/') || rest.starts_with('/') || is_scheme)
    })
}

fn part_name(part: &Component<'_>) -> Option<std::ffi::OsString> {
    match part {
        Component::Normal(name) => Some((*name).to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    }
}

const ENDLESS_LINKS: &str = "infinite symlink recursion in path ";

#[cold]
fn endless_links(path: &Path) -> EvalError {
    EvalError::other(format!("{ENDLESS_LINKS}'{}'", path.display()))
}

struct TextValue(&'static Unit);

impl Run for TextValue {
    fn run(&self, ev: &Evaluator, _: Env) -> Result<Value> {
        self.0.run(ev, Env::ROOT)
    }
}

/// A file as it was found.
struct Found {
    /// The path with the links in it followed, if that is another one.
    here: Option<PathBuf>,
    contents: Contents,
}

enum Contents {
    Text(Vec<u8>),
    /// What an earlier process made of it.
    Tree(&'static [u8]),
}

struct FileValue {
    path: PathBuf,
    /// What was read when the file was found, until it is parsed.
    found: Mutex<Option<Found>>,
    /// An evaluation ahead of need may be given up after the file was parsed.
    unit: OnceLock<&'static Unit>,
}

impl FileValue {
    fn unit(&self, ev: &Evaluator) -> Result<&'static Unit> {
        if let Some(unit) = self.unit.get() {
            return Ok(unit);
        }
        let found = lock(&self.found).take();
        let unit = ev.parse_file(&self.path, found, &Scope::default())?;
        Ok(self.unit.get_or_init(|| unit))
    }
}

fn evaluating(path: &Path) -> String {
    if path == Path::new(FETCHURL_PATH) {
        return "evaluating file '<nix/fetchurl.nix>'".to_owned();
    }
    format!("evaluating file '{}'", path.display())
}

impl Run for FileValue {
    fn run(&self, ev: &Evaluator, _: Env) -> Result<Value> {
        ev.talk(Verbosity::Talkative, || evaluating(&self.path))?;
        let unit = self.unit(ev)?;
        crate::debug::in_file(ev, &self.path, unit, || unit.run(ev, Env::ROOT))
            .frame_with(|| format!("while evaluating the file '{}':", self.path.display()), Pos::NONE)
    }
}
