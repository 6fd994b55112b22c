//! Which files `export-ignore` keeps out of exports (`gitattributes(5)`).
//!
//! As in C++ Nix 2.34, which asks libgit2, the files `.gitattributes` that count for a commit are those of the work tree,
//! of the index and of the commit, in this order; for a work tree they are those of the index. The ones of deeper folders
//! come before those of the folders around them.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use gix::attrs::{Search, StateRef, search::MetadataCollection, search::Outcome};
use gix::bstr::ByteSlice as _;

use super::error::Result;
use super::repository::Repository;

const NAME: &str = "export-ignore";

/// The rules on the way to where a walk is.
pub(super) enum ExportIgnore {
    /// Nothing is kept out.
    Off,
    /// What the rules say.
    On(Box<Rules>),
}

/// The rules of the files that were read.
pub(super) struct Rules {
    search: Search,
    names: MetadataCollection,
    outcome: Outcome,
    /// How many files of rules each folder on the way has.
    counts: Vec<usize>,
    index: Option<gix::index::File>,
    work_tree: Option<PathBuf>,
}

impl ExportIgnore {
    /// For an export from a repository. `is_commit`: of a commit, not of its work tree.
    pub(super) fn new(repository: &Repository, is_commit: bool) -> ExportIgnore {
        let (mut search, mut names) = (Search::default(), MetadataCollection::default());
        let info = repository.git.common_dir().join("info/attributes");
        if let Ok(text) = std::fs::read(&info) {
            // Reading from memory does not fail.
            let _ = search.add_patterns_buffer(&text, info, None, &mut names, true);
        }
        let index = repository.git.open_index().ok();
        let work_tree = repository.git.workdir().filter(|_| is_commit).map(Path::to_owned);
        let counts = Vec::new();
        ExportIgnore::On(Box::new(Rules {
            search,
            names,
            outcome: Outcome::default(),
            counts,
            index,
            work_tree,
        }))
    }

    pub(super) fn is_wanted(&self) -> bool {
        matches!(self, ExportIgnore::On(_))
    }

    /// Goes into a folder, which has the rules of `from_commit`, if it has any.
    pub(super) fn enter(
        &mut self,
        repository: &Repository,
        folder: &[u8],
        from_commit: Option<&[u8]>,
    ) -> Result<()> {
        let ExportIgnore::On(rules) = self else { return Ok(()) };
        let mut path = folder.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(b".gitattributes");
        let mut texts: Vec<Vec<u8>> = from_commit.map(<[u8]>::to_vec).into_iter().collect();
        let in_index = rules.index.as_ref().and_then(|index| index.entry_by_path(path.as_bstr()));
        if let Some(entry) = in_index {
            texts.push(repository.blob(entry.id)?);
        }
        if let Some(root) = &rules.work_tree
            && let Ok(text) = std::fs::read(root.join(std::ffi::OsStr::from_bytes(&path)))
        {
            texts.push(text);
        }
        // Those that come later count more.
        let source = Path::new("/").join(std::ffi::OsStr::from_bytes(&path));
        for text in &texts {
            let _ = rules.search.add_patterns_buffer(
                text,
                source.clone(),
                Some(Path::new("/")),
                &mut rules.names,
                folder.is_empty(),
            );
        }
        rules.counts.push(texts.len());
        rules.outcome.initialize_with_selection(&rules.names, [NAME]);
        Ok(())
    }

    /// Goes back to the folder around.
    pub(super) fn leave(&mut self) {
        let ExportIgnore::On(rules) = self else { return };
        for _ in 0..rules.counts.pop().unwrap_or(0) {
            rules.search.pop_pattern_list();
        }
    }

    /// Whether a file or folder is kept out.
    pub(super) fn has(&mut self, path: &[u8], is_folder: bool) -> bool {
        let ExportIgnore::On(rules) = self else { return false };
        if rules.search.num_pattern_lists() == 0 {
            return false;
        }
        rules.outcome.reset();
        let case = gix::glob::pattern::Case::Sensitive;
        rules.search.pattern_matching_relative_path(
            path.as_bstr(),
            case,
            Some(is_folder),
            &mut rules.outcome,
        );
        rules.outcome.iter_selected().any(|found| found.assignment.state == StateRef::Set)
    }
}
