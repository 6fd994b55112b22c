//! What the evaluator asks of the world: the one way out of it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use nival_formats::{ContentAddressMethod, Derivation, DraftFile, Hash, Input, StoreDir, StorePath};

use crate::context::ContextElement;

/// The world as the evaluator sees it: files, the environment, the store, fetches and messages.
///
/// Paths are absolute and without `.` and `..`. Those in the store are given by their logical name
/// (`/nix/store/…`), wherever the store really is; those that start with [`EMBEDDED`] name files of the
/// embedded library.
pub trait Host: Send + Sync {
    /// The contents of a file.
    fn read_file(&self, path: &Path) -> std::io::Result<Vec<u8>>;
    /// The contents of what is itself a file, and no link to one. Whoever gets nothing asks the slower way, with
    /// [`Host::file_type`] first, and learns why.
    fn read_plain_file(&self, path: &Path) -> Option<Vec<u8>> {
        (self.file_type(path).ok()? == Some(FileType::Regular)).then(|| self.read_file(path).ok())?
    }
    /// What was kept of a file by [`Host::keep_tree`], if the path, with links in its folders followed, still is that
    /// very plain file. It begins at a multiple of 16 and does not change until the process ends.
    fn kept_tree(&self, _path: &Path) -> Option<&'static [u8]> {
        None
    }
    /// How the text of such a file is read again where a message shows a part of it, which can be when the host is no
    /// more. Nothing is shown of a file that is gone.
    fn text_later(&self, _path: &Path) -> Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync> {
        Box::new(|| None)
    }
    /// Keeps what was made of a file that this process read by [`Host::read_plain_file`], for later processes of the
    /// same program: parts that follow one another. This process uses what is kept as well.
    fn keep_tree(&self, _path: &Path, _parts: &[&[u8]]) -> Option<KeptFile> {
        None
    }
    /// Whether trees are kept at all, so that nobody makes them for nothing.
    fn keeps_trees(&self) -> bool {
        false
    }
    /// Values take more memory than they did: what the host gave out and can have again, trees first of all, need not stay in
    /// memory where nobody looks at it.
    fn put_away(&self) {}
    /// Much memory was freed that will not be needed again soon.
    fn give_back(&self) {}
    /// The names in a folder, in any order.
    fn read_dir(&self, path: &Path) -> std::io::Result<Listing>;
    /// What is at a path, without following a symbolic link at its end; `None` if there is nothing.
    fn file_type(&self, path: &Path) -> std::io::Result<Option<FileType>>;
    /// Where a symbolic link points.
    fn read_link(&self, path: &Path) -> std::io::Result<PathBuf>;

    /// An environment variable.
    fn env(&self, name: &str) -> Option<Vec<u8>>;
    /// Seconds since 1970, for `builtins.currentTime`.
    fn current_time(&self) -> i64;

    /// The name of the store's folder.
    fn store_dir(&self) -> &StoreDir;
    /// Puts a text file into the store, as `builtins.toFile` does.
    fn add_text(&self, name: &str, contents: &[u8], references: &[StorePath])
    -> Result<StorePath, HostError>;
    /// Copies a file or folder into the store.
    fn add_source(&self, source: SourceRequest<'_>) -> Result<StorePath, HostError>;
    /// Puts a derivation into the store. The host may write it later.
    fn write_derivation(&self, file: DraftFile<'_, '_>) -> Result<(), HostError>;
    /// Whether [`Host::write_derivation`] got this path already and needs it no more.
    fn has_derivation(&self, path: &StorePath) -> bool;
    /// Reads a derivation that the store has.
    fn read_derivation(&self, path: &StorePath) -> Result<Derivation, HostError>;
    /// Builds or fetches what a string refers to, so that its files can be read.
    fn realise(&self, elements: &[&ContextElement]) -> Result<Realised, HostError>;
    /// Whether the store has a path now.
    fn is_valid_path(&self, path: &StorePath) -> Result<bool, HostError>;
    /// Whether the store is left as it is, so that paths that evaluation would add to it are not there.
    fn is_read_only(&self) -> bool {
        false
    }
    /// Whether the store has a path (it may fetch it).
    fn ensure_path(&self, path: &StorePath) -> Result<bool, HostError>;
    /// All store paths that a path refers to, directly or not, with itself.
    fn closure(&self, path: &StorePath) -> Result<Vec<StorePath>, HostError>;

    /// Whether what the path has decides its name, so that it can be trusted wherever it comes from.
    fn is_content_addressed(&self, path: &StorePath) -> Result<bool, HostError>;

    /// What a registry says of an input that is only named: another input, and the folder in it.
    fn resolve_input(
        &self,
        input: &Input,
        registries: Registries,
    ) -> Result<(Input, Option<String>), HostError>;
    /// The file with a function from `{ }` to the outputs of a flake that is a part of the program.
    fn embedded_flake(&self, _input: &Input) -> Option<PathBuf> {
        None
    }
    /// Brings a source tree into the store.
    fn fetch_input(&self, input: &Input) -> Result<FetchedInput, HostError>;
    /// Brings a file, or what is in an archive, into the store.
    fn download(&self, download: &Download<'_>) -> Result<Downloaded, HostError>;
    /// Copies a store path and all it refers to from another store.
    fn copy_closure(&self, from_store: &str, path: &StorePath) -> Result<(), HostError>;
    /// Turns an entry of the search path that is not a plain path (a URL, `flake:x`) into a folder.
    fn resolve_search_entry(&self, value: &str) -> Result<PathBuf, HostError>;

    /// Says something to the user.
    fn message(&self, kind: MessageKind, text: &[u8]);
}

/// What the host keeps of a file.
pub struct KeptFile {
    /// What it was given. It begins at a multiple of 16 and does not change until the process ends.
    pub tree: &'static [u8],
    /// How the text that it was made of is read again: nothing, if the file has another one by now.
    pub text: Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync>,
}

/// Paths that start with this name files of the embedded library.
pub const EMBEDDED: &str = "/__nival__/";

/// The names in a folder and what they are.
pub type Listing = Vec<(Cow<'static, [u8]>, FileType)>;

/// What a path is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileType {
    /// A file.
    Regular,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Anything else.
    Unknown,
}

impl FileType {
    /// As `builtins.readDir` says it.
    pub fn name(self) -> &'static str {
        match self {
            FileType::Regular => "regular",
            FileType::Directory => "directory",
            FileType::Symlink => "symlink",
            FileType::Unknown => "unknown",
        }
    }
}

/// Decides whether a file goes into the store. Its error stops the copy; the evaluator keeps the reason.
pub type Filter<'a> = dyn FnMut(&Path, FileType) -> Result<bool, HostError> + 'a;

/// A file or folder to be copied into the store.
pub struct SourceRequest<'a> {
    /// The name in the store.
    pub name: &'a str,
    /// Where it is.
    pub path: &'a Path,
    /// How its address is computed.
    pub method: ContentAddressMethod,
    /// Which of the files in it to take: all if there is none.
    pub filter: Option<&'a mut Filter<'a>>,
    /// The hash it must have: if the store has it already, nothing is read.
    pub expected: Option<&'a Hash>,
}

/// What was built so that it can be read.
#[derive(Clone, Debug, Default)]
pub struct Realised {
    /// The paths of the outputs.
    pub outputs: Vec<StorePath>,
    /// What stood for outputs that were unknown before, and their paths.
    pub replacements: Vec<(String, String)>,
}

/// Which registries an input may be looked up in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registries {
    /// None.
    None,
    /// The global one, and what the command line says: those that are the same for everyone.
    Limited,
    /// Those of the user and the machine, too.
    All,
}

/// A source tree that was fetched.
#[derive(Clone, Debug)]
pub struct FetchedInput {
    /// Where it is in the store.
    pub path: StorePath,
    /// The hash of its archive.
    pub nar_hash: Hash,
    /// What was asked for, with all that is known of it now (`rev`, `lastModified`…).
    pub input: Input,
    /// Where messages say that its files are.
    pub shown: Shown,
    /// What is dubious about it.
    pub warnings: Vec<String>,
    /// Files outside of the store that decide what the tree is, also those that are not there.
    pub read: Vec<PathBuf>,
}

impl FetchedInput {
    /// A tree that is shown where it is in the store.
    pub fn new(path: StorePath, nar_hash: Hash, input: Input) -> FetchedInput {
        FetchedInput { path, nar_hash, input, shown: Shown::Store, warnings: Vec::new(), read: Vec::new() }
    }
}

/// Where messages say that the files of a source tree are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In the store.
    Store,
    /// At a URL.
    Url(String),
    /// In a work tree of Git: files that are not tracked are not in the store.
    WorkTree(PathBuf),
}

/// A file or archive to be downloaded.
#[derive(Clone, Copy, Debug)]
pub struct Download<'a> {
    /// Where it is.
    pub url: &'a str,
    /// The name it gets in the store.
    pub name: &'a str,
    /// Whether what is in the archive is wanted.
    pub unpack: bool,
}

/// What was downloaded.
#[derive(Clone, Debug)]
pub struct Downloaded {
    /// Where it is in the store.
    pub path: StorePath,
    /// The SHA-256 hash of the file, or of the archive form of what was unpacked.
    pub hash: Hash,
}

/// What kind of message it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageKind {
    /// `builtins.trace`
    Trace,
    /// `builtins.warn`
    EvaluationWarning,
    /// Something that the language advises against.
    Warning,
    /// Something that the user may want to know.
    Notice,
}

/// Why the host could not do it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    /// What went wrong.
    pub message: String,
    /// What was being done, the outermost first.
    pub frames: Vec<String>,
    /// Ways on.
    pub hints: Vec<String>,
}

impl HostError {
    /// With a message.
    pub fn new(message: impl Into<String>) -> HostError {
        HostError { message: message.into(), frames: Vec::new(), hints: Vec::new() }
    }

    /// The same with one more way on.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> HostError {
        self.hints.push(hint.into());
        self
    }
}

impl From<std::io::Error> for HostError {
    fn from(error: std::io::Error) -> HostError {
        HostError::new(error.to_string())
    }
}
