//! Reading of a repository of this machine: references, commits, trees, files.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::objs::Kind;
use gix::refs::TargetRef;

use super::error::{GitError, Problem, Result};

/// An open repository.
pub(super) struct Repository {
    /// As it was asked for.
    pub(super) path: PathBuf,
    pub(super) git: gix::Repository,
}

impl Repository {
    /// Opens the repository in a folder. `config_files` are the user's own: they say whose repositories are trusted.
    pub(super) fn open(path: &Path, config_files: &[PathBuf]) -> Result<Repository> {
        if path.symlink_metadata().is_err() {
            return Err(GitError::Missing(path.to_owned()));
        }
        let failed = |problem| GitError::Open { path: path.to_owned(), problem };
        // Ownership is checked below; the environment is none of our business.
        let options = gix::open::Options::isolated()
            .with(gix::sec::Trust::Full)
            .config_overrides(["core.useReplaceRefs=false"]);
        let git = options.open(path).map(gix::ThreadSafeRepository::into).map_err(|error| {
            let shown = path.display().to_string();
            failed(match gix::discover::is_git(&path.join(".git")).or_else(|_| gix::discover::is_git(path)) {
                Ok(_) => Problem::Other(error.to_string()),
                Err(_) => Problem::NoRepository(shown),
            })
        })?;
        let repository = Repository { path: path.to_owned(), git };
        match repository.foreign_path() {
            Some(foreign) if !repository.is_safe(config_files) => {
                Err(failed(Problem::Owner(foreign.display().to_string())))
            }
            _ => Ok(repository),
        }
    }

    /// What of the repository belongs to another user.
    fn foreign_path(&self) -> Option<PathBuf> {
        let user = rustix::process::geteuid().as_raw();
        let link = self.path.join(".git");
        let parts = [self.git.workdir(), Some(&link).filter(|link| link.is_file()).map(PathBuf::as_path)];
        let parts = parts.into_iter().flatten().chain([self.git.git_dir()]);
        let mut foreign =
            parts.filter(|part| part.symlink_metadata().is_ok_and(|metadata| metadata.uid() != user));
        foreign.next().map(Path::to_owned)
    }

    /// Whether `safe.directory` names it.
    fn is_safe(&self, config_files: &[PathBuf]) -> bool {
        let place = self.git.workdir().unwrap_or_else(|| self.git.git_dir());
        let mut is_safe = false;
        for file in config_files {
            let Ok(config) =
                gix::config::File::from_path_no_includes(file.clone(), gix::config::Source::User)
            else {
                continue;
            };
            for value in config.strings("safe.directory").unwrap_or_default() {
                let value = value.to_string();
                is_safe = match value.trim_end_matches('/') {
                    "" if value.is_empty() => false,
                    "*" => true,
                    path => is_safe || Path::new(path) == place,
                };
            }
        }
        is_safe
    }

    /// The files that decide what names stand for, wherever they lead.
    pub(super) fn files_of_references(&self) -> Vec<PathBuf> {
        let (own, common) = (self.git.git_dir(), self.git.common_dir());
        let mut files = vec![self.path.join(".git"), own.join("HEAD"), common.join("packed-refs")];
        files.extend([common.join("config"), common.join("shallow")]);
        files
    }

    /// The files that a name of a reference may be found in.
    pub(super) fn files_of_reference(&self, name: &str) -> Vec<PathBuf> {
        let mut names = vec![name.to_owned()];
        for prefix in ["refs/", "refs/tags/", "refs/heads/", "refs/remotes/"] {
            names.push(format!("{prefix}{name}"));
        }
        // What a symbolic reference leads to.
        let mut next = name.to_owned();
        for _ in 0..10 {
            let Ok(Some(found)) = self.git.try_find_reference(next.as_str()) else { break };
            names.push(found.name().as_bstr().to_string());
            let TargetRef::Symbolic(target) = found.target() else { break };
            next = target.as_bstr().to_string();
            names.push(next.clone());
        }
        let mut files = Vec::new();
        for name in names {
            files.push(self.git.common_dir().join(&name));
            files.push(self.git.git_dir().join(&name));
        }
        files.sort_unstable();
        files.dedup();
        files
    }

    /// The files outside of commits that say something of files.
    pub(super) fn files_of_attributes(&self) -> Vec<PathBuf> {
        vec![self.git.common_dir().join("info/attributes"), self.git.index_path()]
    }

    /// The folder with the files.
    pub(super) fn work_tree(&self) -> &Path {
        self.git.workdir().unwrap_or(&self.path)
    }

    /// The name that `HEAD` stands for; nothing if it stands for a commit.
    pub(super) fn head_name(&self) -> Result<Option<String>> {
        let head = self.git.try_find_reference("HEAD").map_err(|error| GitError::Read {
            doing: "looking up HEAD".into(),
            problem: Problem::Other(error.to_string()),
        })?;
        Ok(head.and_then(|head| match head.target() {
            TargetRef::Symbolic(name) => Some(name.as_bstr().to_string()),
            TargetRef::Object(_) => None,
        }))
    }

    /// The commit that `HEAD` leads to, if there is one yet.
    pub(super) fn head(&self) -> Result<Option<ObjectId>> {
        self.follow("HEAD").map_err(|problem| GitError::Read { doing: "resolving HEAD".into(), problem })
    }

    /// What a name of a reference stands for, links followed.
    fn follow(&self, name: &str) -> Result<Option<ObjectId>, Problem> {
        let mut name = name.to_owned();
        for _ in 0..10 {
            let found = match self.git.try_find_reference(name.as_str()) {
                Ok(found) => found,
                // It may also be that no reference can have the name.
                Err(_) if gix::refs::FullName::try_from(name.as_str()).is_err() => return Ok(None),
                Err(_) => return Err(Problem::BadReference(name)),
            };
            let Some(found) = found else { return Ok(None) };
            name = match found.target() {
                TargetRef::Object(id) => return Ok(Some(id.to_owned())),
                TargetRef::Symbolic(name) => name.as_bstr().to_string(),
            };
        }
        Err(Problem::NoReference(name))
    }

    /// The commit that a name stands for: a branch, a tag, or the beginning of a revision.
    pub(super) fn resolve(&self, name: &str) -> Result<ObjectId> {
        let found = self.look_up(name).and_then(|id| self.peel_to_commit(id));
        found
            .map_err(|problem| GitError::Read { doing: format!("resolving Git reference '{name}'"), problem })
    }

    fn look_up(&self, name: &str) -> Result<ObjectId, Problem> {
        if let Ok(id) = ObjectId::from_hex(name.as_bytes()) {
            return if self.git.has_object(id) { Ok(id) } else { Err(Problem::NoObject(id)) };
        }
        if let Some(id) = self.follow(name)? {
            return Ok(id);
        }
        let described = name.rsplit_once("-g").map_or(name, |(_, abbreviation)| abbreviation);
        gix::hash::Prefix::from_hex(described)
            .ok()
            .and_then(|prefix| self.git.objects.lookup_prefix(prefix, None).ok().flatten()?.ok())
            .ok_or_else(|| Problem::NoReference(name.to_owned()))
    }

    fn peel_to_commit(&self, mut id: ObjectId) -> Result<ObjectId, Problem> {
        for _ in 0..100 {
            let object = self.object(id)?;
            match object.kind {
                Kind::Commit => return Ok(id),
                Kind::Tag => {
                    let target = gix::objs::TagRefIter::from_bytes(&object.data, id.kind()).target_id();
                    id = target.map_err(|error| damaged(id, &error))?;
                }
                Kind::Tree | Kind::Blob => {
                    return Err(Problem::BadObject(format!(
                        "the git_object of id '{id}' can not be successfully peeled into a commit (git_object_t=1)."
                    )));
                }
            }
        }
        Err(Problem::BadObject(format!("tags of tags without end at '{id}'")))
    }

    pub(super) fn object(&self, id: ObjectId) -> Result<gix::Object<'_>, Problem> {
        match self.git.try_find_object(id) {
            Ok(Some(object)) => Ok(object),
            Ok(None) => Err(Problem::NoObject(id)),
            Err(error) => Err(damaged(id, &error)),
        }
    }

    /// An object, with the words that C++ Nix has where there is none.
    pub(super) fn get(&self, id: ObjectId) -> Result<gix::Object<'_>> {
        self.object(id).map_err(|problem| getting(id, problem))
    }

    /// The commit that a revision is: tags lead to theirs.
    fn commit(&self, revision: ObjectId) -> Result<gix::Commit<'_>> {
        let id = self.peel_to_commit(revision).map_err(|problem| getting(revision, problem))?;
        Ok(self.get(id)?.into_commit())
    }

    /// When a revision was committed, in seconds since 1970.
    pub(super) fn last_modified(&self, revision: ObjectId) -> Result<u64> {
        let time =
            self.commit(revision)?.time().map_err(|error| getting(revision, damaged(revision, &error)))?;
        Ok(time.seconds.cast_unsigned())
    }

    /// The number of commits that lead to a revision, with itself.
    pub(super) fn revision_count(&self, revision: ObjectId) -> Result<u64> {
        let mut seen = HashSet::from([self.commit(revision)?.id]);
        let mut waiting: Vec<ObjectId> = seen.iter().copied().collect();
        // As Git has it, the history of a shallow clone begins where it was cut.
        let cut = self.git.shallow_commits().ok().flatten();
        let is_cut = |id: &ObjectId| cut.as_ref().is_some_and(|cut| cut.contains(id));
        // With the file of commits that `git gc` writes, no commit needs to be unpacked.
        let graph = self.git.commit_graph_if_enabled().ok().flatten();
        while let Some(id) = waiting.pop() {
            if is_cut(&id) {
                continue;
            }
            if let Some(commit) = graph.as_ref().and_then(|graph| graph.commit_by_id(id)) {
                for parent in commit.iter_parents() {
                    let parent = parent.map_err(|error| getting(id, damaged(id, &error)))?;
                    let known = graph.as_ref().filter(|graph| parent.0 < graph.num_commits());
                    let parent = known.map(|graph| graph.id_at(parent).to_owned());
                    waiting.extend(parent.filter(|parent| seen.insert(*parent)));
                }
                continue;
            }
            let object = self.get(id)?;
            if object.kind != Kind::Commit {
                return Err(getting(id, wrong_kind()));
            }
            let parents = gix::objs::CommitRefIter::from_bytes(&object.data, id.kind()).parent_ids();
            waiting.extend(parents.filter(|parent| seen.insert(*parent)));
        }
        Ok(seen.len() as u64)
    }

    /// The tree of a revision, which may be that of a commit, a tag or a tree.
    pub(super) fn tree_of(&self, revision: ObjectId) -> Result<ObjectId> {
        let object = self.get(revision)?;
        match object.kind {
            Kind::Tree => Ok(revision),
            Kind::Blob => Err(getting(revision, wrong_kind())),
            Kind::Commit | Kind::Tag => {
                let commit = self.commit(revision)?;
                let tree = commit.tree_id().map_err(|error| getting(revision, damaged(revision, &error)))?;
                Ok(tree.detach())
            }
        }
    }

    /// The contents of a file.
    pub(super) fn blob(&self, id: ObjectId) -> Result<Vec<u8>> {
        let mut object = self.get(id)?;
        if object.kind != Kind::Blob {
            return Err(getting(id, wrong_kind()));
        }
        Ok(std::mem::take(&mut object.data))
    }
}

fn getting(id: ObjectId, problem: Problem) -> GitError {
    GitError::Read { doing: format!("getting Git object '{id}'"), problem }
}

fn wrong_kind() -> Problem {
    Problem::BadObject("the requested type does not match the type in the ODB".into())
}

fn damaged(id: ObjectId, error: &dyn std::fmt::Display) -> Problem {
    Problem::BadObject(format!("object '{id}' is damaged: {error}"))
}
