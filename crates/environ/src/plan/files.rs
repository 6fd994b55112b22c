//! The part of a plan that is about files: what is there, whose it is, and what has to be done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{
    Conflict, ConflictKind, DirectoryAction, DirectoryChange, FileAction, FileChange, Options,
    content_changes,
};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::home_files::{Leaf, same_content};
use crate::manifest::Manifest;
use crate::operation::{Operation, read_link};
use crate::provenance::Reason;
use crate::record::{Record, leads_to_home_files};

/// The files' part of a plan.
pub(super) struct Work {
    pub(super) files: Vec<FileChange>,
    pub(super) directories: Vec<DirectoryChange>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) operations: Vec<Operation>,
    pub(super) replaced: Vec<PathBuf>,
    pub(super) record: Record,
}

/// What is at the place of a directory that a file is wanted in, once the old links are gone.
#[derive(Clone)]
enum Parent {
    Present,
    Absent,
    Blocked(PathBuf),
}

struct Survey<'a> {
    context: &'a Context<'a>,
    record: &'a Record,
    old: &'a BTreeMap<String, Leaf>,
    parents: HashMap<String, Parent>,
    /// Links of ours that go, with their text.
    removed: BTreeMap<String, PathBuf>,
    made: BTreeSet<String>,
    emptied: BTreeSet<String>,
}

pub(super) fn survey(
    context: &Context<'_>,
    record: &Record,
    old: &BTreeMap<String, Leaf>,
    new: &BTreeMap<String, Leaf>,
    manifest: &Manifest,
    options: &Options,
) -> Result<Work> {
    let mut survey = Survey {
        context,
        record,
        old,
        parents: HashMap::new(),
        removed: BTreeMap::new(),
        made: BTreeSet::new(),
        emptied: BTreeSet::new(),
    };
    let mut files = Vec::new();
    let mut conflicts = Vec::new();
    let (mut moves, mut links, mut replaced) = (Vec::new(), Vec::new(), Vec::new());

    let gone: BTreeSet<&String> =
        record.links.keys().chain(old.keys()).filter(|target| !new.contains_key(*target)).collect();
    for target in gone {
        let Some(data) = look(&context.home.join(target))? else { continue };
        let action = match survey.ours(target, &data)? {
            Some(text) => {
                survey.removed.insert(target.clone(), text);
                FileAction::Remove
            }
            None => FileAction::Leave,
        };
        files.push(FileChange {
            target: target.clone(),
            action,
            source: None,
            backup: None,
            runs_on_change: false,
            reasons: Vec::new(),
        });
    }

    for (index, (target, leaf)) in new.iter().enumerate() {
        let declared = manifest.file_of(target);
        let reasons = options.provenance.of("file", declared.map_or(target, |file| &file.target));
        let place = survey.place(target, leaf, declared.is_some_and(|file| file.force), options)?;
        let path = context.home.join(target);
        let beside = |kind: &str| {
            path.with_file_name(format!(
                ".nival-{}-{}-{index}.{kind}",
                context.pid,
                context.now.as_millisecond()
            ))
        };
        let mut change = FileChange {
            target: target.clone(),
            action: FileAction::Keep,
            source: Some(leaf.source.clone()),
            backup: None,
            runs_on_change: false,
            reasons,
        };
        let mut put = |was: Option<PathBuf>| {
            links.push(Operation::PutLink {
                path: path.clone(),
                link: leaf.link.clone(),
                was,
                temp: beside("new"),
            });
        };
        change.action = match place {
            Place::Free => {
                put(None);
                FileAction::Add
            }
            Place::Wanted => FileAction::Keep,
            Place::Ours(text) => {
                let same = old.get(target).is_some_and(|old| old.source == leaf.source);
                put(Some(text));
                if same { FileAction::Relink } else { FileAction::Change }
            }
            Place::Same => FileAction::Same,
            Place::BackUp(backup) => {
                moves.push(Operation::MoveAside { from: path.clone(), to: context.home.join(&backup) });
                change.backup = Some(backup);
                put(None);
                FileAction::BackUp
            }
            Place::Overwrite => {
                let aside = beside("old");
                moves.push(Operation::MoveAside { from: path.clone(), to: aside.clone() });
                replaced.push(aside);
                put(None);
                FileAction::Overwrite
            }
            Place::Taken(kind, path) => {
                conflicts.push(conflict(target, path, kind, &change.reasons));
                FileAction::Conflict
            }
        };
        change.runs_on_change = declared.is_some_and(|file| !file.on_change.is_empty())
            && !matches!(change.action, FileAction::Keep | FileAction::Relink | FileAction::Same)
            && content_changes(context, target, leaf);
        files.push(change);
    }
    files.sort_by(|one, other| one.target.cmp(&other.target));
    survey.find_emptied(new)?;

    let operations = survey.operations(moves, links)?;
    let keeps = |action| !matches!(action, FileAction::Same | FileAction::Conflict | FileAction::Leave);
    let record = Record {
        links: files
            .iter()
            .filter(|file| keeps(file.action))
            .filter_map(|file| Some((file.target.clone(), new.get(&file.target)?.link.clone())))
            .collect(),
        directories: record.directories.difference(&survey.emptied).chain(&survey.made).cloned().collect(),
    };
    let directory = |action| move |path: &String| DirectoryChange { path: path.clone(), action };
    let directories = (survey.emptied.iter().map(directory(DirectoryAction::Remove)))
        .chain(survey.made.iter().map(directory(DirectoryAction::Make)))
        .collect();
    Ok(Work { files, directories, conflicts, operations, replaced, record })
}

fn conflict(target: &str, path: PathBuf, kind: ConflictKind, reasons: &[Reason]) -> Conflict {
    Conflict { target: target.to_owned(), path, kind, reasons: reasons.to_vec() }
}

/// What is at the place of a wanted file.
enum Place {
    Free,
    Wanted,
    Ours(PathBuf),
    Same,
    BackUp(String),
    Overwrite,
    Taken(ConflictKind, PathBuf),
}

impl Survey<'_> {
    /// The text of the entry at `target` if it is a link of ours.
    fn ours(&self, target: &str, data: &Metadata) -> Result<Option<PathBuf>> {
        if !data.is_symlink() {
            return Ok(None);
        }
        let Some(text) = read_link(&self.context.home.join(target))? else { return Ok(None) };
        let ours = self.record.links.get(target) == Some(&text)
            || self.old.get(target).is_some_and(|leaf| leaf.link == text)
            || leads_to_home_files(&self.context.store, &text, target);
        Ok(ours.then_some(text))
    }

    fn parent(&mut self, directory: &str) -> Result<Parent> {
        if directory.is_empty() {
            return Ok(Parent::Present);
        }
        if let Some(known) = self.parents.get(directory) {
            return Ok(known.clone());
        }
        let above = self.parent(parent_of(directory))?;
        let parent = match above {
            Parent::Present => self.look_at_parent(directory)?,
            above => above,
        };
        if matches!(parent, Parent::Absent) {
            self.made.insert(directory.to_owned());
        }
        self.parents.insert(directory.to_owned(), parent.clone());
        Ok(parent)
    }

    fn look_at_parent(&mut self, directory: &str) -> Result<Parent> {
        if self.removed.contains_key(directory) {
            return Ok(Parent::Absent);
        }
        let path = self.context.home.join(directory);
        let Some(data) = look(&path)? else { return Ok(Parent::Absent) };
        if data.is_dir() {
            return Ok(Parent::Present);
        }
        if let Some(text) = self.ours(directory, &data)? {
            self.removed.insert(directory.to_owned(), text);
            return Ok(Parent::Absent);
        }
        // A directory that the user keeps elsewhere is used through his link, as Home Manager does.
        let leads_to_directory = data.is_symlink() && fs::metadata(&path).is_ok_and(|data| data.is_dir());
        Ok(if leads_to_directory { Parent::Present } else { Parent::Blocked(path) })
    }

    fn place(&mut self, target: &str, leaf: &Leaf, force: bool, options: &Options) -> Result<Place> {
        match self.parent(parent_of(target))? {
            Parent::Absent => return Ok(Place::Free),
            Parent::Blocked(path) => return Ok(Place::Taken(ConflictKind::Parent, path)),
            Parent::Present => {}
        }
        let path = self.context.home.join(target);
        let Some(data) = look(&path)? else { return Ok(Place::Free) };
        if data.is_symlink() && read_link(&path)?.as_ref() == Some(&leaf.link) {
            return Ok(Place::Wanted);
        }
        if let Some(text) = self.ours(target, &data)? {
            return Ok(Place::Ours(text));
        }
        if data.is_dir() {
            let mut directories = Vec::new();
            if self.holds_only_removed(target, &mut directories)? == Some(true) {
                self.emptied.extend(directories);
                return Ok(Place::Free);
            }
        } else if same_content(&self.context.store.real(&leaf.source), &path) {
            return Ok(Place::Same);
        }
        if force && !data.is_dir() {
            return Ok(Place::Overwrite);
        }
        if let Some(extension) = &options.backup_extension {
            let backup = format!("{target}.{extension}");
            let there = self.context.home.join(&backup);
            return Ok(if look(&there)?.is_some() {
                Place::Taken(ConflictKind::Backup, there)
            } else {
                Place::BackUp(backup)
            });
        }
        let kind = if data.is_dir() {
            ConflictKind::Directory
        } else if data.is_symlink() {
            ConflictKind::Link
        } else {
            ConflictKind::File
        };
        Ok(Place::Taken(kind, path))
    }

    /// Whether a directory would be empty without the links that go: none if something else is in it, else
    /// whether there were such links at all. Directories in it, and itself, are added to the list.
    fn holds_only_removed(&self, directory: &str, directories: &mut Vec<String>) -> Result<Option<bool>> {
        let path = self.context.home.join(directory);
        let mut found = false;
        for entry in fs::read_dir(&path).map_err(Error::io("list", &path))? {
            let entry = entry.map_err(Error::io("list", &path))?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { return Ok(None) };
            let inner = format!("{directory}/{name}");
            if self.removed.contains_key(&inner) {
                found = true;
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                match self.holds_only_removed(&inner, directories)? {
                    // An empty directory of somebody else is somebody else's.
                    Some(false) if !self.record.directories.contains(&inner) => return Ok(None),
                    None => return Ok(None),
                    Some(inner_found) => found |= inner_found,
                }
            } else {
                return Ok(None);
            }
        }
        directories.push(directory.to_owned());
        Ok(Some(found))
    }

    /// Finds directories that we made and that nothing is left in.
    fn find_emptied(&mut self, new: &BTreeMap<String, Leaf>) -> Result<()> {
        let mut needed = BTreeSet::new();
        for target in new.keys() {
            let mut parent = parent_of(target);
            while !parent.is_empty() && needed.insert(parent) {
                parent = parent_of(parent);
            }
        }
        let mut recorded: Vec<&String> = self.record.directories.iter().collect();
        recorded.sort_by_key(|path| std::cmp::Reverse(path.matches('/').count()));
        for directory in recorded {
            if needed.contains(&**directory) || self.emptied.contains(directory) {
                continue;
            }
            let path = self.context.home.join(directory);
            if !look(&path)?.is_some_and(|data| data.is_dir()) {
                continue;
            }
            let mut empty = true;
            for entry in fs::read_dir(&path).map_err(Error::io("list", &path))? {
                let name = entry.map_err(Error::io("list", &path))?.file_name();
                let inner = format!("{directory}/{}", name.to_string_lossy());
                empty &= self.removed.contains_key(&inner) || self.emptied.contains(&inner);
            }
            if empty {
                self.emptied.insert(directory.clone());
            }
        }
        Ok(())
    }

    /// All changes in an order in which each can be done: what goes, from the leaves up, then what comes.
    fn operations(&self, moves: Vec<Operation>, links: Vec<Operation>) -> Result<Vec<Operation>> {
        let home = &self.context.home;
        let mut operations: Vec<Operation> = self
            .removed
            .iter()
            .map(|(target, text)| Operation::RemoveLink { path: home.join(target), was: text.clone() })
            .collect();
        // Reversed order puts what is inside before its directory.
        for directory in self.emptied.iter().rev() {
            let path = home.join(directory);
            let data = fs::symlink_metadata(&path).map_err(Error::io("look at", &path))?;
            operations.push(Operation::RemoveDirectory { path, mode: data.permissions().mode() & 0o7777 });
        }
        operations.extend(moves);
        operations.extend(self.made.iter().map(|path| Operation::MakeDirectory { path: home.join(path) }));
        operations.extend(links);
        Ok(operations)
    }
}

fn parent_of(target: &str) -> &str {
    target.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn look(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(data) => Ok(Some(data)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}
