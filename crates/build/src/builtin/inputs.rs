//! The part of the file system that a builtin builder may read.

use std::collections::BTreeMap;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use nival_formats::{StoreDir, StorePath};

use super::{At as _, BuiltinError};

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// The store paths that a build may read, under their logical names.
#[derive(Debug)]
pub(crate) struct Inputs {
    store_dir: PathBuf,
    real: BTreeMap<PathBuf, PathBuf>,
}

impl Inputs {
    pub(crate) fn new<'a>(
        store_dir: &StoreDir,
        real_store_dir: &Path,
        closure: impl IntoIterator<Item = &'a StorePath>,
    ) -> Self {
        let real = closure
            .into_iter()
            .map(|path| (store_dir.display(path).into(), real_store_dir.join(path.as_str())))
            .collect();
        Self { store_dir: store_dir.as_str().into(), real }
    }

    /// Where a logical path, all links of it followed, is on this machine; with its logical name. `None` if
    /// nothing is there, or if it is outside of the inputs, which to a builder is the same.
    pub(crate) fn resolve(&self, logical: &Path) -> Result<Option<Found>, BuiltinError> {
        let mut links = 0;
        let mut rest: Vec<PathBuf> = parts(logical);
        let mut at = PathBuf::from("/");
        let mut metadata = None;
        while let Some(part) = rest.pop() {
            if part == Path::new("..") {
                at.pop();
                continue;
            }
            at.push(&part);
            let Some(real) = self.real_path(&at) else {
                if self.store_dir.starts_with(&at) {
                    continue;
                }
                return Ok(None);
            };
            let here = match fs::symlink_metadata(&real) {
                Ok(metadata) => metadata,
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(error).at("examine", real),
            };
            if here.is_symlink() {
                links += 1;
                if links > MAX_LINKS {
                    return Ok(None);
                }
                let target = fs::read_link(&real).at("read the link", &real)?;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                } else {
                    at.pop();
                }
                rest.extend(parts(&target));
                metadata = None;
            } else {
                metadata = Some(here);
            }
        }
        // `..` may have left the last file.
        let Some(real) = self.real_path(&at) else { return Ok(None) };
        let metadata = match metadata {
            Some(metadata) => metadata,
            None => fs::symlink_metadata(&real).at("examine", &real)?,
        };
        Ok(Some(Found { logical: at, real, metadata }))
    }

    /// Like [`Inputs::resolve`], but an absent file is an error.
    pub(crate) fn require(&self, logical: &Path) -> Result<Found, BuiltinError> {
        self.resolve(logical)?.ok_or_else(|| {
            BuiltinError::failed(format!("`{}` is not in the inputs of the derivation", logical.display()))
        })
    }

    fn real_path(&self, logical: &Path) -> Option<PathBuf> {
        let below = logical.strip_prefix(&self.store_dir).ok()?;
        let Component::Normal(name) = below.components().next()? else { return None };
        let top = self.store_dir.join(name);
        let real = self.real.get(&top)?;
        Some(real.join(logical.strip_prefix(&top).ok()?)).map(|path| path.components().collect())
    }
}

/// A file among the inputs.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) logical: PathBuf,
    pub(crate) real: PathBuf,
    pub(crate) metadata: Metadata,
}

/// The components in reverse order, ready to be popped.
fn parts(path: &Path) -> Vec<PathBuf> {
    let keep = |part: Component<'_>| match part {
        Component::Normal(_) | Component::ParentDir => Some(PathBuf::from(part.as_os_str())),
        _ => None,
    };
    path.components().filter_map(keep).rev().collect()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Copies a file or a tree as a store holds it: contents, executable bits and links.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<(), BuiltinError> {
    let metadata = fs::symlink_metadata(from).at("examine", from)?;
    if metadata.is_symlink() {
        let target = fs::read_link(from).at("read the link", from)?;
        symlink(target, to).at("create the link", to)
    } else if metadata.is_dir() {
        fs::create_dir(to).at("create the directory", to)?;
        for entry in fs::read_dir(from).at("read", from)? {
            let name = entry.at("read", from)?.file_name();
            copy_tree(&from.join(&name), &to.join(&name))?;
        }
        Ok(())
    } else if metadata.is_file() {
        let mut source = fs::File::open(from).at("open", from)?;
        let mut target = fs::File::create_new(to).at("create", to)?;
        io::copy(&mut source, &mut target).at("write", to)?;
        let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        target.set_permissions(Permissions::from_mode(mode)).at("change the mode of", to)
    } else {
        Err(BuiltinError::failed(format!("`{}` is neither a file, a directory nor a link", from.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{A, B, SECRET, Stage};
    use super::*;

    #[test]
    fn only_inputs_are_seen_whatever_the_links() {
        let stage = Stage::new();
        stage.write(&format!("{A}/file"), "");
        stage.write(&format!("{SECRET}/file"), "");
        for (name, target) in [
            ("to-b", B),
            ("out-of-store", "/etc/passwd"),
            ("secret", &format!("{SECRET}/file")),
            ("relative", "../00000000000000000000000000000000-a/file"),
            ("relative-secret", "../22222222222222222222222222222222-secret/file"),
            ("loop", "loop"),
            ("up", "../../../../../../etc/passwd"),
            ("dotted", "./././file"),
        ] {
            stage.link(&format!("{A}/{name}"), target);
        }
        stage.write(B, "b");
        let real = stage.real(A).parent().unwrap().to_owned();
        let store = StoreDir::default();
        let inputs = Inputs::new(&store, &real, &[store.parse(A).unwrap(), store.parse(B).unwrap()]);
        for (path, expected) in [
            (format!("{A}/file"), Some(format!("{A}/file"))),
            (format!("{A}/to-b"), Some(B.to_owned())),
            (format!("{A}/relative"), Some(format!("{A}/file"))),
            (format!("{A}/dotted"), Some(format!("{A}/file"))),
            (format!("{A}/file/.."), Some(A.to_owned())),
            (format!("{A}/missing"), None),
            (format!("{A}/file/below"), None),
            (format!("{A}/out-of-store"), None),
            (format!("{A}/secret"), None),
            (format!("{A}/relative-secret"), None),
            (format!("{A}/loop"), None),
            (format!("{A}/up"), None),
            (format!("{SECRET}/file"), None),
            ("/etc/passwd".to_owned(), None),
            ("/nix/store".to_owned(), None),
            ("/".to_owned(), None),
        ] {
            let found = inputs.resolve(Path::new(&path)).unwrap().map(|found| found.logical);
            assert_eq!(found, expected.map(PathBuf::from), "{path}");
        }
    }
}
