//! The evaluator's way out: files, environment and store, with the library in the binary at `/__nival__/`.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nival_eval::host::{
    Download, Downloaded, EMBEDDED, FetchedInput, FileType, Host, HostError, KeptFile, Listing, MessageKind,
    Realised, Registries, Shown, SourceRequest,
};
use nival_eval::{ContextElement, is_pseudo_url};
use nival_fetch::{FetchError, FetchedFile, FetchedTree, GitOptions};
use nival_formats::flake_ref::Paths;
use nival_formats::input::{InputKind, Wanted};
use nival_formats::{
    ContentAddress, ContentAddressMethod, Derivation, DraftFile, FlakeRef, Hash, HashAlgo, Hasher, Input,
    StoreDir, StorePath,
};
use nival_store::{ClosureOptions, Filter, LocalStore, Source, StoreError, Tree};
use nival_syntax::{Diagnostic, Level, Pos, filter_escapes, raw_text, render_reference};

use crate::building;
use crate::cache_folder::Folder;
use crate::error::CommandError;
use crate::features;
use crate::fingerprint::{Fingerprint, reliable};
use crate::freed;
use crate::parse_cache::{Asked, Listed, ParseCache};
use crate::reading;
use crate::world::World;

/// The [`Host`] over a [`World`].
pub(crate) struct WorldHost(pub(crate) Arc<World>);

/// What fetches found out, beside the answers of the evaluation cache.
struct FetchMemory(Folder);

impl nival_fetch::Memory for FetchMemory {
    fn recall(&self, key: &[u8; 32]) -> Option<Vec<u8>> {
        let found = self.0.read(key)?;
        self.0.mark_used(key);
        Some(found.into_owned())
    }

    fn keep(&self, key: &[u8; 32], value: &[u8]) {
        self.0.write(key, value);
    }
}

impl From<CommandError> for HostError {
    fn from(error: CommandError) -> Self {
        HostError { message: error.message, frames: Vec::new(), hints: error.hints }
    }
}

fn store_error(error: nival_store::StoreError) -> HostError {
    CommandError::from(error).into()
}

fn fetch_error(error: FetchError) -> HostError {
    if let FetchError::Submodule { url, error } = error {
        let mut error = fetch_error(*error);
        error.frames.insert(0, format!("while fetching the input '{url}'"));
        return error;
    }
    let no_transport = matches!(error, FetchError::NoTransport { .. });
    let error = HostError::new(error.to_string());
    if no_transport { error.with_hint("a path on this machine can be used in its place") } else { error }
}

fn embedded(path: &Path) -> Option<&str> {
    let path = path.to_str()?;
    if path == EMBEDDED.trim_end_matches('/') { Some("") } else { path.strip_prefix(EMBEDDED) }
}

fn embedded_type(kind: nival_library::EntryKind) -> FileType {
    match kind {
        nival_library::EntryKind::File => FileType::Regular,
        nival_library::EntryKind::Directory => FileType::Directory,
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

pub(crate) fn file_type(kind: std::fs::FileType) -> FileType {
    if kind.is_symlink() {
        FileType::Symlink
    } else if kind.is_dir() {
        FileType::Directory
    } else if kind.is_file() {
        FileType::Regular
    } else {
        FileType::Unknown
    }
}

impl WorldHost {
    /// The store that is fetched into, also while evaluation alone leaves it as it is.
    fn fetching_store(&self, operation: &str) -> Result<&LocalStore, HostError> {
        if self.0.store_config().is_none() {
            let message = format!("operation '{operation}' is not supported by store 'dummy://'");
            return Err(HostError::new(message));
        }
        // What is fetched may be what evaluation has just added.
        self.0.write_derivations()?;
        Ok(self.0.store()?)
    }

    fn git_options<'a>(&self, memory: &'a FetchMemory) -> GitOptions<'a> {
        let (context, settings) = (&self.0.context, &self.0.settings);
        GitOptions {
            allow_dirty: settings.allow_dirty,
            warn_dirty: settings.warn_dirty,
            config_files: vec![
                "/etc/gitconfig".into(),
                context.xdg("XDG_CONFIG_HOME", ".config").join("git/config"),
                context.home().join(".gitconfig"),
            ],
            directory: context.directory.clone(),
            memory: (!self.0.refresh && settings.eval_cache).then_some(memory),
        }
    }

    /// Where a file of the store is on this machine, once it is there; other paths are what they are.
    fn real<'a>(&self, path: &'a Path) -> io::Result<Cow<'a, Path>> {
        let Some(config) = self.0.store_config() else { return Ok(Cow::Borrowed(path)) };
        let Ok(rest) = path.strip_prefix(self.0.store_dir().as_str()) else { return Ok(Cow::Borrowed(path)) };
        self.settle(rest)?;
        Ok(Cow::Owned(config.real_store_dir.join(rest)))
    }

    /// What is in a folder, from the packs if they have it.
    pub(crate) fn list(&self, path: &Path, real: &Path, asked: Asked) -> io::Result<Listed> {
        if let Some(cache) = self.0.parse_cache() {
            return cache.list(path, real, asked);
        }
        let (entries, stat) = reading::read_dir(real)?;
        Ok(Listed { entries, fingerprint: reliable(real, Fingerprint::of_stat(&stat)), hash: None })
    }

    /// Waits for what evaluation has added to the store, if a path in the store's folder is in that.
    pub(crate) fn settle(&self, inside: &Path) -> io::Result<()> {
        let name = inside.components().next().and_then(|name| name.as_os_str().to_str()?.parse().ok());
        let Some(path) = name else { return Ok(()) };
        self.0.settle(&path).map_err(|error| io::Error::other(error.message))
    }
}

impl WorldHost {
    /// The path that a source would have, for a store that keeps nothing.
    fn source_path(
        &self,
        name: &str,
        path: &Path,
        method: ContentAddressMethod,
        filter: Option<Filter<'_>>,
    ) -> Result<StorePath, HostError> {
        let hash = if method == ContentAddressMethod::Flat {
            Hash::sha256(&std::fs::read(path)?)
        } else {
            self.hash_of_tree(&Tree::look(path, filter).map_err(store_error)?)?
        };
        let path = self
            .0
            .store_dir()
            .fixed_output_path(name, &ContentAddress { method, hash })
            .map_err(|error| HostError::new(error.to_string()))?;
        self.0.note_computed(&path);
        Ok(path)
    }

    /// The hash of a tree's NAR. What did not change since a process kept it is not read again.
    fn hash_of_tree(&self, tree: &Tree) -> Result<Hash, HostError> {
        let known = self.0.parse_cache().and_then(|cache| Some((cache, cache.key_of_source(tree)?)));
        if let Some((cache, key)) = &known
            && let Some(hash) = cache.hash_of_source(key)
        {
            return Ok(Hash::from_bytes(HashAlgo::Sha256, &hash).expect("SHA-256 has 32 bytes"));
        }
        let hash = tree.dump(Hasher::new(HashAlgo::Sha256)).map_err(store_error)?.finish();
        if let Some((cache, key)) = known
            && let Ok(hash) = hash.as_bytes().try_into()
        {
            cache.keep_hash_of_source(key, hash);
        }
        Ok(hash)
    }
}

impl Host for WorldHost {
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        match embedded(path) {
            Some(inside) => nival_library::get(inside).map(<[u8]>::to_vec).ok_or_else(not_found),
            None => Ok(reading::read(&self.real(path)?)?.0),
        }
    }

    fn read_plain_file(&self, path: &Path) -> Option<Vec<u8>> {
        if embedded(path).is_some() {
            return self.read_file(path).ok();
        }
        let real = self.real(path).ok()?;
        let (contents, stat) = reading::read_plain(&real)?;
        if let Some(cache) = self.0.parse_cache() {
            cache.note_read(path, &real, &contents, &stat, Asked::Contents);
        }
        Some(contents)
    }

    fn kept_tree(&self, path: &Path) -> Option<&'static [u8]> {
        if embedded(path).is_some() {
            return None;
        }
        Some(self.0.parse_cache()?.tree(path, &self.real(path).ok()?, Asked::Contents)?.bytes)
    }

    fn text_later(&self, path: &Path) -> Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync> {
        let real = self.real(path).ok().map(Cow::into_owned);
        Box::new(move || reading::read_plain(real.as_deref()?).map(|(text, _)| text))
    }

    fn keep_tree(&self, path: &Path, parts: &[&[u8]]) -> Option<KeptFile> {
        // There are many, of which few are ever asked for a text.
        let moved = match self.real(path).ok()? {
            Cow::Borrowed(_) => None,
            Cow::Owned(real) => Some(real.into_boxed_path()),
        };
        let added = self.0.parse_cache()?.keep_tree(path, parts)?;
        let text = move || {
            let (path, stamp) = added.stamp()?;
            let (text, stat) = reading::read_plain(moved.as_deref().unwrap_or(path))?;
            stamp.is_of(&text, &stat).then_some(text)
        };
        Some(KeptFile { tree: added.kept, text: Box::new(text) })
    }

    fn keeps_trees(&self) -> bool {
        self.0.parse_cache().is_some_and(ParseCache::has_room)
    }

    fn put_away(&self) {
        if let Some(cache) = self.0.parse_cache() {
            cache.put_away();
        }
    }

    fn give_back(&self) {
        freed::give_back();
    }

    fn read_dir(&self, path: &Path) -> io::Result<Listing> {
        if let Some(inside) = embedded(path) {
            let entries = nival_library::read_dir(inside).ok_or_else(not_found)?;
            return Ok(entries
                .into_iter()
                .map(|(name, kind)| (name.as_bytes().into(), embedded_type(kind)))
                .collect());
        }
        Ok(self.list(path, &self.real(path)?, Asked::Contents)?.entries)
    }

    fn file_type(&self, path: &Path) -> io::Result<Option<FileType>> {
        if let Some(inside) = embedded(path) {
            return Ok(nival_library::kind(inside).map(embedded_type));
        }
        match std::fs::symlink_metadata(self.real(path)?) {
            Ok(metadata) => Ok(Some(file_type(metadata.file_type()))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::read_link(self.real(path)?)
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        self.0.context.environment.get(name).map(|value| value.as_bytes().to_vec())
    }

    fn current_time(&self) -> i64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs().cast_signed())
    }

    fn store_dir(&self) -> &StoreDir {
        self.0.store_dir()
    }

    fn add_text(
        &self,
        name: &str,
        contents: &[u8],
        references: &[StorePath],
    ) -> Result<StorePath, HostError> {
        if self.0.keeps_what_is_added() {
            return self.0.deferred()?.add_text(name, contents, references).map_err(store_error);
        }
        let path = self
            .0
            .store_dir()
            .text_path(name, contents, references.iter().cloned().collect())
            .map_err(|error| HostError::new(error.to_string()))?;
        self.0.note_computed(&path);
        Ok(path)
    }

    fn add_source(&self, source: SourceRequest<'_>) -> Result<StorePath, HostError> {
        if embedded(source.path).is_some() {
            return Err(HostError::new(format!(
                "'{}' is in the binary and cannot be copied to the store as it is",
                source.path.display()
            )));
        }
        let SourceRequest { name, path, method, filter, expected } = source;
        let path = self.real(path)?;
        let mut filter = filter.map(|filter| {
            let store = self.0.store_config().map(|config| config.real_store_dir.clone());
            let logical = PathBuf::from(self.0.store_dir().as_str());
            move |path: &Path, kind: &'static str| {
                let shown = match store.as_ref().and_then(|real| path.strip_prefix(real).ok()) {
                    Some(rest) => logical.join(rest),
                    None => path.to_owned(),
                };
                let kind = match kind {
                    "regular" => FileType::Regular,
                    "directory" => FileType::Directory,
                    "symlink" => FileType::Symlink,
                    _ => FileType::Unknown,
                };
                filter(&shown, kind)
                    .map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
            }
        });
        if !self.0.keeps_what_is_added() {
            return self.source_path(name, &path, method, filter.as_mut().map(|filter| filter as _));
        }
        let algo = expected.map_or(HashAlgo::Sha256, Hash::algo);
        let source = Source {
            name,
            path: &path,
            method,
            algo,
            filter: filter.as_mut().map(|filter| filter as _),
            expected: expected.copied(),
        };
        self.0.deferred()?.add_source(source).map_err(store_error)
    }

    fn write_derivation(&self, file: DraftFile<'_, '_>) -> Result<(), HostError> {
        if self.0.keeps_what_is_added() {
            return self.0.deferred()?.add_derivation(file.on_its_own()).map_err(store_error);
        }
        self.0.note_computed(&file.path);
        Ok(())
    }

    fn has_derivation(&self, path: &StorePath) -> bool {
        self.0.is_added(path)
    }

    fn read_derivation(&self, path: &StorePath) -> Result<Derivation, HostError> {
        if self.0.store_config().is_none() {
            return Err(HostError::new(format!(
                "derivation '{}' is not valid",
                self.store_dir().display(path)
            )));
        }
        self.0.settle(path)?;
        self.0.store()?.read_derivation(path).map_err(store_error)
    }

    fn realise(&self, elements: &[&ContextElement]) -> Result<Realised, HostError> {
        let targets = building::targets(self.store_dir(), elements.iter().copied())?;
        let outputs = if targets.is_empty() { Vec::new() } else { building::realise(&self.0, &targets)? };
        Ok(Realised { outputs, replacements: Vec::new() })
    }

    fn is_valid_path(&self, path: &StorePath) -> Result<bool, HostError> {
        if self.0.store_config().is_none() {
            return self.ensure_path(path);
        }
        self.0.settle(path)?;
        self.0.store()?.is_valid_path(path).map_err(store_error)
    }

    fn is_read_only(&self) -> bool {
        !self.0.keeps_what_is_added()
    }

    fn ensure_path(&self, path: &StorePath) -> Result<bool, HostError> {
        if self.0.is_added(path) {
            return Ok(true);
        }
        if self.0.store_config().is_none() {
            return Ok(false);
        }
        self.0.store()?.is_valid_path(path).map_err(store_error)
    }

    fn closure(&self, path: &StorePath) -> Result<Vec<StorePath>, HostError> {
        if self.0.store_config().is_none() {
            let path = self.0.store_dir().display(path);
            return Err(HostError::new(format!("path '{path}' is not valid")));
        }
        self.0.write_derivations()?;
        let closure =
            self.0.store()?.closure([path], ClosureOptions::default()).map_err(|error| match error {
                StoreError::NotValid(path) => HostError::new(format!("path '{path}' is not valid")),
                error => store_error(error),
            })?;
        Ok(closure.into_iter().collect())
    }

    fn is_content_addressed(&self, path: &StorePath) -> Result<bool, HostError> {
        self.0.settle(path)?;
        let info = self.0.store()?.query_path_info(path).map_err(store_error)?;
        Ok(info.content_address.is_some() && info.content_address_holds(self.0.store_dir()))
    }

    fn embedded_flake(&self, input: &Input) -> Option<PathBuf> {
        let is_nival =
            input.kind() == Some(InputKind::Indirect) && matches!(input.text("id"), Ok(Some("nival")));
        is_nival.then(|| Path::new(EMBEDDED).join("flake-outputs.nix"))
    }

    fn resolve_input(&self, input: &Input, _: Registries) -> Result<(Input, Option<String>), HostError> {
        let url = input.to_url().map_err(|error| HostError::new(error.to_string()))?;
        Err(HostError::new(format!("cannot find flake '{url}' in the flake registries"))
            .with_hint("registries are not read yet; a path on this machine can be used in its place"))
    }

    fn fetch_input(&self, input: &Input) -> Result<FetchedInput, HostError> {
        nival_fetch::check_kind(input).map_err(fetch_error)?;
        let store = self.fetching_store("addToStoreFromDump")?;
        let mut warnings = Vec::new();
        let context = &self.0.context;
        let folder = context.xdg("XDG_CACHE_HOME", ".cache").join("nival/fetch");
        let memory = FetchMemory(Folder::new(folder, context.uid));
        let fetched = nival_fetch::fetch_tree(store, input, &self.git_options(&memory), &mut warnings);
        let FetchedTree { path, nar_hash, input, shown, read } = fetched.map_err(|error| {
            for warning in &warnings {
                self.message(MessageKind::Warning, warning.as_bytes());
            }
            fetch_error(error)
        })?;
        let shown = match shown {
            nival_fetch::Shown::Store => Shown::Store,
            nival_fetch::Shown::Url(url) => Shown::Url(url),
            nival_fetch::Shown::WorkTree(root) => Shown::WorkTree(root),
        };
        Ok(FetchedInput { path, nar_hash, input, shown, warnings, read })
    }

    fn download(&self, download: &Download<'_>) -> Result<Downloaded, HostError> {
        let Download { url, name, unpack } = *download;
        let fetched = if unpack {
            nival_fetch::fetch_archive(self.fetching_store("addToStoreFromDump")?, url, name)
        } else {
            nival_fetch::fetch_file(self.fetching_store("addToStore")?, url, name)
        };
        let FetchedFile { path, hash } = fetched.map_err(fetch_error)?;
        Ok(Downloaded { path, hash })
    }

    fn copy_closure(&self, from_store: &str, path: &StorePath) -> Result<(), HostError> {
        let path = self.0.store_dir().display(path);
        Err(HostError::new(format!("cannot copy '{path}' from '{from_store}' yet"))
            .with_hint("other stores are not read yet"))
    }

    fn resolve_search_entry(&self, value: &str) -> Result<PathBuf, HostError> {
        let path = if let Some(flake) = value.strip_prefix("flake:") {
            if !self.0.settings.has_feature("flakes") {
                return Err(HostError::new(features::disabled("flakes")));
            }
            let failed = |error: nival_formats::input::InputError| HostError::new(error.to_string());
            let has = |name: &str| self.0.settings.has_feature(name);
            let mut input =
                FlakeRef::parse(flake, Paths::Absolute, Wanted::Tree, &has).map_err(failed)?.flake.input;
            if input.kind() == Some(InputKind::Indirect) {
                input = self.resolve_input(&input, Registries::All)?.0;
            }
            self.fetch_input(&input)?.path
        } else if is_pseudo_url(value) {
            let channel = value.strip_prefix("channel:");
            let url = channel.map(|name| format!("https://channels.nixos.org/{name}/nixexprs.tar.xz"));
            let url = url.as_deref().unwrap_or(value);
            let frame = || format!("while fetching the input '{url}'");
            let failed = |error: HostError| HostError { frames: vec![frame()], ..error };
            self.download(&Download { url, name: "source", unpack: true }).map_err(failed)?.path
        } else {
            return Ok(self.0.context.absolute(OsStr::from_bytes(value.as_bytes())));
        };
        Ok(self.store_dir().display(&path).into())
    }

    fn message(&self, kind: MessageKind, text: &[u8]) {
        let text = raw_text(text);
        let text = match kind {
            MessageKind::Trace => format!("trace: {text}"),
            MessageKind::EvaluationWarning if self.0.as_reference => {
                let warning = Diagnostic {
                    level: Level::EvaluationWarning,
                    ..Diagnostic::error(text.into_owned(), Pos::NONE)
                };
                render_reference(&warning, false)
            }
            MessageKind::EvaluationWarning => format!("evaluation warning: {text}"),
            MessageKind::Warning => format!("warning: {text}"),
            MessageKind::Notice => text.into_owned(),
        };
        let text = if self.0.as_reference { filter_escapes(&text) } else { text.into() };
        match kind {
            MessageKind::Trace => self.0.output.alert(text),
            MessageKind::EvaluationWarning | MessageKind::Warning => self.0.output.warn(text),
            MessageKind::Notice => self.0.output.say(text),
        }
    }
}
