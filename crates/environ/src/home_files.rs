//! The tree of links that a generation wants in the home.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::context::StoreView;
use crate::error::{Error, Result};
use crate::manifest::Manifest;

/// A file or link of the tree, seen as what the home shall have in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The text of the link in the home.
    pub link: PathBuf,
    /// The file at the end of all links, by its name in the store, or outside of it.
    pub source: PathBuf,
}

/// The leaves of a generation, by their place in the home.
///
/// Where the store is in its place, a leaf is a link to the generation's tree, as Home Manager makes it. In a
/// store that is kept elsewhere such a link would lead nowhere for most programs, so there it goes straight to
/// the place of the last file.
pub(crate) fn leaves(store: &StoreView, manifest: &Manifest) -> Result<BTreeMap<String, Leaf>> {
    let root = store.real(&manifest.home_files);
    // Home Manager's own generation may name the tree by a further link.
    let root = std::fs::canonicalize(&root).map_err(Error::io("find", &root))?;
    let mut leaves = BTreeMap::new();
    let mut open = vec![String::new()];
    while let Some(directory) = open.pop() {
        let place = root.join(&directory);
        for entry in std::fs::read_dir(&place).map_err(Error::io("list", &place))? {
            let entry = entry.map_err(Error::io("list", &place))?;
            let name = entry.file_name().into_string().map_err(|name| Error::Manifest {
                path: place.join(&name),
                problem: "its name is not UTF-8".into(),
            })?;
            let target = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            let kind = entry.file_type().map_err(Error::io("look at", &entry.path()))?;
            if kind.is_dir() {
                open.push(target);
                continue;
            }
            let named = store.name_of(&root).join(&target);
            let source = resolve(store, &named);
            let link = if store.is_in_place() { named } else { store.real(&source) };
            leaves.insert(target, Leaf { link, source });
        }
    }
    Ok(leaves)
}

/// Follows every link on the way to `path` while it stays in the store, by names in the store.
///
/// A link that leaves the store (Home Manager's `mkOutOfStoreSymlink`) ends the walk: that file is the user's.
/// So does one that leads nowhere, or in a circle.
pub(crate) fn resolve(store: &StoreView, path: &Path) -> PathBuf {
    const MOST_LINKS: usize = 40;
    let mut links = 0;
    let mut done = PathBuf::new();
    let mut rest: VecDeque<OsString> = parts(path);
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            done.pop();
            continue;
        }
        done.push(&part);
        if !done.starts_with(&store.logical) || done == store.logical {
            continue;
        }
        let Ok(target) = std::fs::read_link(store.real(&done)) else { continue };
        links += 1;
        if links > MOST_LINKS {
            return path.to_owned();
        }
        if target.is_absolute() {
            if !target.starts_with(&store.logical) {
                return rest.iter().fold(target, |all, part| all.join(part));
            }
            done = PathBuf::new();
        } else {
            done.pop();
        }
        let mut ahead = parts(&target);
        ahead.append(&mut rest);
        rest = ahead;
    }
    done
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| !matches!(part, Component::CurDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

/// Whether two files, or two trees, have the same content; what can't be read is not the same.
pub(crate) fn same_content(one: &Path, other: &Path) -> bool {
    compare(one, other).unwrap_or(false)
}

fn compare(one: &Path, other: &Path) -> io::Result<bool> {
    let (kind, other_kind) = (std::fs::metadata(one)?, std::fs::metadata(other)?);
    if kind.is_dir() && other_kind.is_dir() {
        let names = |path: &Path| -> io::Result<Vec<OsString>> {
            let mut names = std::fs::read_dir(path)?
                .map(|entry| Ok(entry?.file_name()))
                .collect::<io::Result<Vec<_>>>()?;
            names.sort();
            Ok(names)
        };
        let list = names(one)?;
        if list != names(other)? {
            return Ok(false);
        }
        for name in list {
            if !compare(&one.join(&name), &other.join(&name))? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    if !kind.is_file() || !other_kind.is_file() || kind.len() != other_kind.len() {
        return Ok(false);
    }
    same_bytes(&mut std::fs::File::open(one)?, &mut std::fs::File::open(other)?)
}

fn same_bytes(one: &mut impl io::Read, other: &mut impl io::Read) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let read = one.read(&mut left)?;
        if read == 0 {
            return Ok(other.read(&mut right[..1])? == 0);
        }
        if other.read_exact(&mut right[..read]).is_err() || left[..read] != right[..read] {
            return Ok(false);
        }
    }
}
