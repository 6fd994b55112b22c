//! Flake references as the command line takes them: also relative paths, and folders within a flake.
//!
//! How a path becomes a reference is C++ Nix 2.34's `src/libflake/flakeref.cc`, `parsePathFlakeRefWithFragment`: a folder in
//! the work tree of a Git repository stands for that repository.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use nival_eval::EvalError;
use nival_eval::host::{FileType, Host, MessageKind};
use nival_formats::FlakeRef;
use nival_formats::flake_ref::{ParsedFlakeRef, PathReference, Paths, from_url};
use nival_formats::input::{Features, InputError, Wanted};
use nival_formats::url::{Authority, Url, path_segments};

use super::Evaluated;
use crate::context::Context;

/// More links than that in one path are a circle.
const MAX_LINKS: usize = 1024;

/// What a word like `a/b` is first of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Words {
    /// The name of a flake in a registry, as for C++ Nix.
    Names,
    /// A folder, if there is one of that name.
    Folders,
}

/// What the user is to be told.
pub(crate) type Said = Vec<(MessageKind, String)>;

/// Finds what words of the command line stand for.
pub(crate) struct Finder<'a> {
    pub(crate) host: &'a dyn Host,
    pub(crate) features: Features<'a>,
    pub(crate) context: &'a Context,
    pub(crate) words: Words,
}

impl Finder<'_> {
    /// What a word of the command line stands for; says what is dubious about it.
    pub(crate) fn find(&self, text: &str) -> Evaluated<ParsedFlakeRef> {
        let mut said = Vec::new();
        let parsed = self.parse(text, &mut said);
        let warnings = parsed.iter().flat_map(|parsed| &parsed.warnings);
        let warnings = warnings.map(|warning| (MessageKind::Warning, warning.clone()));
        for (kind, text) in said.into_iter().chain(warnings) {
            self.host.message(kind, text.as_bytes());
        }
        parsed
    }

    /// The same, without a word.
    pub(crate) fn parse(&self, text: &str, said: &mut Said) -> Evaluated<ParsedFlakeRef> {
        // Names and URLs begin with a letter.
        let is_path = !text.starts_with(|first: char| first.is_ascii_alphabetic());
        let is_path = match PathReference::parse(text) {
            Ok(parts) => is_path || self.is_nearby(&parts.path)?,
            Err(_) => is_path,
        };
        if !is_path {
            let parsed = FlakeRef::parse_with_fragment(text, Paths::Absolute, Wanted::Tree, self.features);
            if !matches!(parsed, Err(InputError::BadUrl(_))) {
                return self.absolute(parsed?);
            }
        }
        self.folder(text, PathReference::parse(text)?, said)
    }

    /// Whether a word that may be the name of a flake is a folder here: `nival` takes it as that.
    fn is_nearby(&self, path: &str) -> Evaluated<bool> {
        let is_name = path.starts_with(|first: char| first.is_ascii_alphanumeric());
        if self.words == Words::Names || !is_name || path.contains(':') || path == "nival" {
            return Ok(false);
        }
        Ok(self.kind(&self.context.absolute(path))? == Some(FileType::Directory))
    }

    /// The same with paths that start where the program was called.
    fn absolute(&self, mut parsed: ParsedFlakeRef) -> Evaluated<ParsedFlakeRef> {
        if let Some(path) = parsed.flake.input.relative_path() {
            let absolute = self.context.absolute(path).to_string_lossy().into_owned();
            parsed.flake.input.set("path", plain(Path::new(&absolute)));
        }
        if let Some(url) = parsed.flake.input.text("url")?
            && let Some(path) = url.strip_prefix("file:").filter(|path| !path.starts_with('/'))
        {
            let absolute = plain(&self.context.absolute(path));
            parsed.flake.input.set("url", format!("file://{absolute}"));
        }
        Ok(parsed)
    }

    fn kind(&self, path: &Path) -> Evaluated<Option<FileType>> {
        let failed = |error: std::io::Error| {
            let reason = crate::error::reason(&error);
            EvalError::other(format!("getting status of \"{}\": {reason}", path.display()))
        };
        self.host.file_type(path).map_err(failed)
    }

    fn exists(&self, path: &Path) -> Evaluated<bool> {
        Ok(self.kind(path)?.is_some())
    }

    /// The path with all links in it followed.
    fn resolved(&self, path: &Path) -> Evaluated<PathBuf> {
        let mut resolved = PathBuf::from("/");
        let mut waiting: Vec<std::ffi::OsString> = names(path);
        let mut links = 0;
        while let Some(name) = waiting.pop() {
            if name == ".." {
                resolved.pop();
                continue;
            }
            resolved.push(name);
            if self.kind(&resolved)? == Some(FileType::Symlink) {
                links += 1;
                if links > MAX_LINKS {
                    let message = format!("infinite symlink recursion in path \"{}\"", path.display());
                    return Err(EvalError::other(message));
                }
                let target = self.host.read_link(&resolved).map_err(|error| {
                    EvalError::other(format!("reading symbolic link \"{}\": {error}", resolved.display()))
                })?;
                resolved.pop();
                if target.is_absolute() {
                    resolved = PathBuf::from("/");
                }
                waiting.extend(names(&target));
            }
        }
        Ok(resolved)
    }

    /// The flake that a path leads to.
    fn folder(&self, text: &str, parts: PathReference, said: &mut Said) -> Evaluated<ParsedFlakeRef> {
        let mut path = self.resolved(&self.context.absolute(&parts.path))?;
        let shown = |path: &Path| format!("\"{}\"", path.display());
        match self.kind(&path)? {
            Some(FileType::Directory) => {}
            None => {
                let message = format!("getting status of {}: No such file or directory", shown(&path));
                return Err(EvalError::other(message));
            }
            Some(_) if path.ends_with("flake.nix") => {
                let parent = path.parent().unwrap_or(Path::new("/")).to_owned();
                said.push((
                    MessageKind::Warning,
                    format!(
                        "Path {} should point at the directory containing the 'flake.nix' file, not the file itself. \
                         Pretending that you meant {}",
                        shown(&path),
                        shown(&parent)
                    ),
                ));
                path = parent;
            }
            Some(_) => {
                let message = format!("path {} is not a flake (because it's not a directory)", shown(&path));
                return Err(EvalError::other(message));
            }
        }
        if !self.exists(&path.join("flake.nix"))? {
            path = self.search_up(path, said)?;
        }
        let Some((root, subdir)) = self.repository(&path)? else {
            let url =
                Url { path: path_segments(&path.to_string_lossy()), ..with_authority("path", parts.rest) };
            return Ok(from_url(url, Wanted::Tree, self.features)?);
        };
        let mut url =
            Url { path: path_segments(&root.to_string_lossy()), ..with_authority("git+file", parts.rest) };
        if !subdir.is_empty() && url.query.insert("dir".into(), subdir).is_some() {
            let message = format!("flake URL '{text}' has an inconsistent 'dir' parameter");
            return Err(EvalError::other(message));
        }
        if self.exists(&root.join(".git/shallow"))? {
            url.query.insert("shallow".into(), "1".into());
        }
        Ok(from_url(url, Wanted::Tree, self.features)?)
    }

    /// The folder around a path that has a `flake.nix`.
    fn search_up(&self, start: PathBuf, said: &mut Said) -> Evaluated<PathBuf> {
        let device = |path: &Path| path.symlink_metadata().map(|metadata| metadata.dev()).ok();
        let first = device(&start);
        let shown = start.display();
        let notice = format!("path \"{shown}\" does not contain a 'flake.nix', searching up");
        said.push((MessageKind::Notice, notice));
        for path in start.ancestors().take_while(|path| path.parent().is_some()) {
            let shown = path.display();
            if self.exists(&path.join("flake.nix"))? {
                return Ok(path.to_owned());
            }
            if self.exists(&path.join(".git"))? {
                return Err(EvalError::other(format!(
                    "path \"{shown}\" is not part of a flake (neither it nor its parent directories contain a \
                     'flake.nix' file)"
                )));
            }
            if device(path) != first {
                return Err(EvalError::other(format!(
                    "unable to find a flake before encountering filesystem boundary at \"{shown}\""
                )));
            }
        }
        Err(EvalError::other("could not find a flake.nix file"))
    }

    /// The work tree of Git that a folder is in, and where in it.
    fn repository(&self, folder: &Path) -> Evaluated<Option<(PathBuf, String)>> {
        for root in folder.ancestors().take_while(|root| root.parent().is_some()) {
            if self.exists(&root.join(".git"))? {
                let subdir = folder.strip_prefix(root).unwrap_or(Path::new(""));
                return Ok(Some((root.to_owned(), subdir.to_string_lossy().into_owned())));
            }
        }
        Ok(None)
    }
}

fn with_authority(scheme: &str, rest: Url) -> Url {
    Url { scheme: scheme.into(), authority: Some(Authority::default()), ..rest }
}

/// The names in a path, the last one first.
fn names(path: &Path) -> Vec<std::ffi::OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().rev().filter_map(name).collect()
}

/// An absolute path without `.` and `..`.
fn plain(path: &Path) -> String {
    let mut plain = PathBuf::from("/");
    for name in names(path).into_iter().rev() {
        if name == ".." {
            plain.pop();
        } else {
            plain.push(name);
        }
    }
    String::from_utf8_lossy(plain.as_os_str().as_bytes()).into_owned()
}
