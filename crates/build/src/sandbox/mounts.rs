//! The file system of the sandbox: what is bound where, and the empty tree it is bound onto.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use super::child::PreparedMount;

/// Something of the host that is seen inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The path on the host.
    pub source: PathBuf,
    /// May the builder write there?
    pub access: Access,
    /// What if the host doesn't have it.
    pub presence: Presence,
}

/// Whether a bound path can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    ReadOnly,
    /// Written, as far as the permissions allow.
    ReadWrite,
}

/// Whether a bound path has to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Its absence is an error.
    Required,
    /// It is left out if it isn't there, or if another bind already covers its place.
    IfThere,
}

/// The binds of a sandbox, by their place inside.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    binds: BTreeMap<PathBuf, Bind>,
}

impl Mounts {
    /// Adds or replaces a bind.
    pub(crate) fn add(&mut self, place: impl Into<PathBuf>, bind: Bind) {
        self.binds.insert(place.into(), bind);
    }

    pub(crate) fn add_read_only(
        &mut self,
        place: impl Into<PathBuf>,
        source: impl Into<PathBuf>,
        presence: Presence,
    ) {
        self.add(place, Bind { source: source.into(), access: Access::ReadOnly, presence });
    }

    /// Adds the binds of `other`, which win.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.binds.extend(other.binds.iter().map(|(place, bind)| (place.clone(), bind.clone())));
    }

    pub(crate) fn contains(&self, place: &Path) -> bool {
        self.binds.contains_key(place)
    }

    /// Makes the mount points below `root` and returns the mounts, outer ones first.
    ///
    /// Symlinks can't be bound, so they are copied; nothing is ever created through one of them, since an
    /// absolute link would lead out of the sandbox.
    pub(crate) fn prepare(&self, root: &Path) -> io::Result<Vec<PreparedMount>> {
        let mut mounts = Vec::new();
        let mut covered: Vec<(&Path, bool)> = Vec::new();
        for (place, bind) in &self.binds {
            check_place(place)?;
            let outer = covered.iter().find(|(outer, _)| place.starts_with(outer));
            let metadata = match fs::symlink_metadata(&bind.source) {
                Ok(metadata) => metadata,
                Err(error) if bind.presence == Presence::IfThere && is_absent(&error) => continue,
                Err(error) => return Err(named(error, &bind.source)),
            };
            if outer.is_some() && bind.presence == Presence::IfThere {
                continue;
            }
            let target = root.join(place.strip_prefix("/").unwrap_or(place));
            if let Some((outer, outer_is_link)) = outer {
                // The mount point must be in what is bound there; only the kernel can tell.
                if *outer_is_link || metadata.is_symlink() {
                    let message =
                        format!("`{}` is already bound through `{}`", place.display(), outer.display());
                    return Err(io::Error::other(message));
                }
            } else {
                make_mount_point(&target, &bind.source, &metadata)?;
            }
            covered.push((place, metadata.is_symlink()));
            if !metadata.is_symlink() {
                mounts.push(PreparedMount::Bind {
                    source: c_string(&bind.source)?,
                    target: c_string(&target)?,
                    read_only: bind.access == Access::ReadOnly,
                });
            }
        }
        Ok(mounts)
    }
}

fn make_mount_point(target: &Path, source: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let parent = target.parent().unwrap_or(target);
    make_directories(parent)?;
    if metadata.is_dir() {
        make_directories(target)
    } else if metadata.is_symlink() {
        symlink(fs::read_link(source)?, target).map_err(|error| named(error, target))
    } else {
        File::create(target).map(drop).map_err(|error| named(error, target))
    }
}

/// `mkdir -p` with mode 0755 whatever the umask is.
pub(crate) fn make_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directories(parent)?;
    }
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(named(error, path)),
        _ => fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(|error| named(error, path)),
    }
}

fn check_place(place: &Path) -> io::Result<()> {
    let plain = place.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if place.is_absolute() && plain && place != Path::new("/") {
        return Ok(());
    }
    Err(io::Error::other(format!("`{}` is no place for a path of the sandbox", place.display())))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn named(error: io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

/// A path as the system calls take it.
pub(crate) fn c_string(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` has a null byte", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_only(source: &Path, presence: Presence) -> Bind {
        Bind { source: source.to_owned(), access: Access::ReadOnly, presence }
    }

    #[test]
    fn mount_points_are_made_and_links_copied_but_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (host, root) = (folder.path().join("host"), folder.path().join("root"));
        fs::create_dir_all(host.join("usr/bin")).unwrap();
        fs::create_dir(&root).unwrap();
        fs::write(host.join("usr/bin/sh"), "").unwrap();
        symlink(host.join("usr/bin"), host.join("bin")).unwrap();

        let mut mounts = Mounts::default();
        mounts.add("/usr", read_only(&host.join("usr"), Presence::Required));
        mounts.add("/bin", read_only(&host.join("bin"), Presence::Required));
        mounts.add("/bin/sh", read_only(&host.join("usr/bin/sh"), Presence::IfThere));
        mounts.add("/opt", read_only(&host.join("opt"), Presence::IfThere));
        mounts.add("/etc/file", read_only(&host.join("usr/bin/sh"), Presence::Required));
        let prepared = mounts.prepare(&root).unwrap();

        let targets: Vec<_> = prepared.iter().map(|mount| mount.target().to_owned()).collect();
        let expected = ["etc/file", "usr"].map(|path| c_string(&root.join(path)).unwrap());
        assert_eq!(targets, expected);
        assert_eq!(fs::read_link(root.join("bin")).unwrap(), host.join("usr/bin"));
        assert_eq!(fs::read_dir(host.join("usr/bin")).unwrap().count(), 1);
        assert!(!root.join("opt").exists());
    }

    #[test]
    fn bad_binds_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink("/nowhere", &link).unwrap();
        for (place, source) in [
            ("/missing", folder.path().join("missing")),
            ("relative", folder.path().to_owned()),
            ("/a/../b", folder.path().to_owned()),
            ("/", folder.path().to_owned()),
        ] {
            let mut mounts = Mounts::default();
            mounts.add(place, read_only(&source, Presence::Required));
            let root = tempfile::tempdir().unwrap();
            assert!(mounts.prepare(root.path()).is_err(), "{place}");
        }
        let mut mounts = Mounts::default();
        mounts.add("/a", read_only(&link, Presence::Required));
        mounts.add("/a/b", read_only(folder.path(), Presence::Required));
        let root = tempfile::tempdir().unwrap();
        assert!(mounts.prepare(root.path()).is_err());
    }
}
