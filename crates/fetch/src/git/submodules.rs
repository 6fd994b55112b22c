//! Submodules: what `.gitmodules` says of them, and where their repositories are (`gitmodules(5)`).

use std::collections::BTreeMap;

use gix::config::{File, file::Metadata};

use super::error::{GitError, Problem, Result};
use super::repository::Repository;

/// A submodule.
pub(super) struct Submodule {
    /// Where it is in the work tree.
    pub(super) path: String,
    /// Where its repository is, as it is written.
    pub(super) url: String,
    /// The branch that it follows; empty if none is named.
    pub(super) branch: String,
}

/// Reads a file `.gitmodules`.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Submodule>> {
    let file =
        File::from_bytes_no_includes(text, Metadata::api(), gix::config::file::init::Options::default())
            .map_err(|error| GitError::Read {
                doing: "parsing .gitmodules file".into(),
                problem: Problem::Other(error.to_string()),
            })?;
    let mut found = BTreeMap::new();
    for section in file.sections_by_name("submodule").into_iter().flatten() {
        let Some(name) = section.header().subsection_name() else { continue };
        let value = |key: &str| section.value(key).map(|value| value.to_string()).unwrap_or_default();
        let path = canonical(&value("path"));
        if !path.is_empty() {
            let submodule = Submodule { path, url: value("url"), branch: value("branch") };
            found.entry(name.to_string()).or_insert(submodule);
        }
    }
    Ok(found.into_values().collect())
}

/// A path that stays where it starts.
fn canonical(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("/")
}

/// The URL of a submodule, which may start from that of the repository it is in.
pub(super) fn resolve_url(repository: &Repository, base: Option<&str>, url: &str) -> Result<String> {
    let url = url.replace('\\', "/");
    if !url.starts_with("./") && !url.starts_with("../") {
        if url.contains(':') || url.starts_with('/') {
            return Ok(url);
        }
        return Err(GitError::SubmoduleUrl(url));
    }
    let remote = repository.git.config_snapshot().string("remote.origin.url").map(|url| url.to_string());
    let work_tree = || repository.work_tree().display().to_string();
    let mut base = base.map(str::to_owned).or(remote).unwrap_or_else(work_tree);
    for name in url.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                let end = base.trim_end_matches('/').rfind(['/', ':']);
                base.truncate(end.ok_or_else(|| GitError::SubmoduleUrl(url.clone()))?);
            }
            name => {
                if !base.ends_with('/') {
                    base.push('/');
                }
                base.push_str(name);
            }
        }
    }
    Ok(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules() {
        let text = b"[submodule \"b\"]\n\tpath = x/../y\n\turl = ../y.git\n[submodule \"a\"]\n\tpath = a\n\turl = /r\n\
            \tbranch = main\n[submodule]\n\tpath = none\n[other \"c\"]\n\tpath = none\n";
        let found = parse(text).unwrap_or_default();
        let shown: Vec<_> =
            found.iter().map(|found| [found.path.as_str(), &found.url, &found.branch]).collect();
        assert_eq!(shown, [["a", "/r", "main"], ["y", "../y.git", ""]]);
        assert!(parse(b"[submodule \"a").is_err());
    }
}
