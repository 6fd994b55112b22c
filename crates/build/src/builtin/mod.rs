//! Builders that are part of the program: they run in this process and need no bootstrap.
//!
//! What the sandbox is to other builders, [`Inputs`] is to these: they see the closure of their inputs and write
//! their outputs, and no other path of the host. Their outputs go through the same checks.

mod buildenv;
mod fetchurl;
mod inputs;
mod text;
mod tree;
mod unpack_channel;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use nival_formats::Derivation;

use crate::options::{BuildOptions, CancelToken};

pub(crate) use inputs::{Inputs, copy_tree};

/// Why a builtin builder failed; shown as the last line of its log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuiltinError {
    #[error("{0}")]
    Failed(String),
    #[error("cannot {action} `{path}`: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("interrupted")]
    Cancelled,
}

impl BuiltinError {
    fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

/// Names the file of an I/O error.
trait At<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T, BuiltinError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T, BuiltinError> {
        self.map_err(|source| BuiltinError::Io { action, path: path.into(), source })
    }
}

/// What a builtin builder works with.
pub(crate) struct Context<'a> {
    pub(crate) derivation: &'a Derivation,
    /// The attributes, with placeholders replaced; from the environment or from structured attributes.
    pub(crate) attributes: BTreeMap<String, Vec<u8>>,
    /// Where to write each output.
    pub(crate) outputs: BTreeMap<String, PathBuf>,
    pub(crate) inputs: &'a Inputs,
    pub(crate) options: &'a BuildOptions,
    pub(crate) cancel: [CancelToken; 2],
    /// Takes a line of the log.
    pub(crate) say: &'a (dyn Fn(&str) + Sync),
}

impl Context<'_> {
    fn attribute(&self, name: &str) -> Option<&[u8]> {
        self.attributes.get(name).map(Vec::as_slice)
    }

    fn text(&self, name: &str) -> Result<&str, BuiltinError> {
        self.optional_text(name)?.ok_or_else(|| BuiltinError::failed(format!("attribute '{name}' missing")))
    }

    fn optional_text(&self, name: &str) -> Result<Option<&str>, BuiltinError> {
        let Some(value) = self.attribute(name) else { return Ok(None) };
        let text = std::str::from_utf8(value);
        text.map(Some).map_err(|_| BuiltinError::failed(format!("attribute '{name}' is not valid UTF-8")))
    }

    fn is_set(&self, name: &str) -> bool {
        self.attribute(name) == Some(b"1")
    }

    fn out(&self) -> Result<&Path, BuiltinError> {
        let out = self.outputs.get("out").map(PathBuf::as_path);
        out.ok_or_else(|| BuiltinError::failed("the builder needs an output called 'out'"))
    }

    fn check_cancelled(&self) -> Result<(), BuiltinError> {
        if self.cancel.iter().any(CancelToken::is_cancelled) { Err(BuiltinError::Cancelled) } else { Ok(()) }
    }
}

/// Runs the builder that the derivation names.
pub(crate) fn run(context: &Context<'_>) -> Result<(), BuiltinError> {
    context.check_cancelled()?;
    match context.derivation.builder.as_slice() {
        b"builtin:buildenv" => buildenv::build(context),
        b"builtin:fetchurl" => fetchurl::build(context),
        b"builtin:unpack-channel" => unpack_channel::build(context),
        b"builtin:nival-text" => text::build(context),
        b"builtin:nival-tree" => tree::build(context),
        other => {
            let name = String::from_utf8_lossy(other.strip_prefix(b"builtin:").unwrap_or(other)).into_owned();
            Err(BuiltinError::failed(format!("unsupported builtin builder '{name}'")))
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A stage for builtin builders: a folder with an input store and an output.

    use std::fs;

    use nival_formats::{StoreDir, StorePath};

    use super::*;

    pub(crate) const A: &str = "/nix/store/00000000000000000000000000000000-a";
    pub(crate) const B: &str = "/nix/store/11111111111111111111111111111111-b";
    /// Exists on disk but is no input.
    pub(crate) const SECRET: &str = "/nix/store/22222222222222222222222222222222-secret";

    pub(crate) struct Stage {
        folder: tempfile::TempDir,
        inputs: Inputs,
    }

    impl Stage {
        pub(crate) fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = StoreDir::default();
            let real = folder.path().join("store");
            fs::create_dir(&real).unwrap();
            let paths: Vec<StorePath> = [A, B].iter().map(|path| store.parse(path).unwrap()).collect();
            let inputs = Inputs::new(&store, &real, &paths);
            Self { folder, inputs }
        }

        /// Where a logical path below the store is on disk.
        pub(crate) fn real(&self, logical: &str) -> PathBuf {
            let path = self.folder.path().join("store").join(logical.strip_prefix("/nix/store/").unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        }

        pub(crate) fn write(&self, logical: &str, text: &str) {
            fs::write(self.real(logical), text).unwrap();
        }

        pub(crate) fn link(&self, logical: &str, target: &str) {
            std::os::unix::fs::symlink(target, self.real(logical)).unwrap();
        }

        pub(crate) fn out(&self) -> PathBuf {
            self.folder.path().join("out")
        }

        pub(crate) fn run(&self, builder: &str, attributes: &[(&str, &str)]) -> Result<Vec<String>, String> {
            self.run_derivation(Derivation { builder: builder.into(), ..Derivation::default() }, attributes)
        }

        pub(crate) fn run_derivation(
            &self,
            derivation: Derivation,
            attributes: &[(&str, &str)],
        ) -> Result<Vec<String>, String> {
            let said = std::sync::Mutex::new(Vec::new());
            let _ = fs::remove_file(self.out());
            let _ = fs::remove_dir_all(self.out());
            let context = Context {
                derivation: &derivation,
                attributes: attributes
                    .iter()
                    .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
                    .collect(),
                outputs: BTreeMap::from([("out".to_owned(), self.out())]),
                inputs: &self.inputs,
                options: &BuildOptions::default(),
                cancel: [CancelToken::default(), CancelToken::default()],
                say: &|line| said.lock().unwrap().push(line.to_owned()),
            };
            run(&context).map_err(|error| error.to_string())?;
            Ok(said.into_inner().unwrap())
        }

        /// The output as lines: `path -> target`, `path*` for executables, `path/`, `path: contents`.
        pub(crate) fn list(&self) -> Vec<String> {
            let mut lines = Vec::new();
            list(&self.out(), "", &mut lines);
            lines
        }
    }

    fn list(path: &Path, name: &str, lines: &mut Vec<String>) {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = fs::symlink_metadata(path).unwrap();
        if metadata.is_symlink() {
            lines.push(format!("{name} -> {}", fs::read_link(path).unwrap().display()));
        } else if metadata.is_dir() {
            lines.push(format!("{name}/"));
            let mut entries: Vec<_> =
                fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            entries.sort();
            for entry in entries {
                list(&path.join(&entry), &format!("{name}/{}", entry.display()), lines);
            }
        } else {
            let star = if metadata.permissions().mode() & 0o100 == 0 { "" } else { "*" };
            lines.push(format!("{name}{star}: {}", fs::read_to_string(path).unwrap()));
        }
    }
}
