//! From what a builder left to valid store paths: shape, hashes, references, checks, registration.
//!
//! Nothing of the store changes before every output has passed every check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nival_formats::{
    ContentAddress, ContentAddressMethod, DerivationOutput, Hash, HashAlgo, Hasher, StorePath,
};
use nival_store::{
    Existing, InodesSeen, LocalStore, Owner, PathInfo, ReferenceScanner, Tee, canonicalise, delete_tree,
    dump_path, hash_path,
};

use crate::builtin::copy_tree;
use crate::derivation_options::{Checks, DerivationOptions, OutputChecks};
use crate::error::{FailureKind, HashMismatch};

/// An output to be registered.
pub(crate) struct Made<'a> {
    pub(crate) name: &'a str,
    pub(crate) output: &'a DerivationOutput,
    pub(crate) path: &'a StorePath,
    /// Where the builder left it.
    pub(crate) scratch: PathBuf,
}

/// What outputs are judged by.
pub(crate) struct Judge<'a> {
    pub(crate) store: &'a LocalStore,
    pub(crate) derivation: &'a StorePath,
    pub(crate) options: &'a DerivationOptions,
    /// The closure of the inputs.
    pub(crate) inputs: &'a BTreeSet<StorePath>,
    /// All outputs by name, those included that were valid before.
    pub(crate) outputs: &'a BTreeMap<String, StorePath>,
    /// The user that built, if it isn't this one.
    pub(crate) build_user: Option<u32>,
    /// Whether a process outside may still hold files of the outputs open.
    pub(crate) copy_fixed: bool,
}

/// Checks the outputs, moves them into the store and registers them.
pub(crate) fn register(judge: &Judge<'_>, made: &[Made<'_>]) -> Result<(), FailureKind> {
    let mut seen = InodesSeen::new();
    let mut infos = BTreeMap::new();
    for output in made {
        infos.insert(output.name, examine(judge, output, &mut seen)?);
    }
    for (name, info) in &infos {
        check(judge, name, info, &infos)?;
    }
    move_and_register(judge, made, &infos)
}

fn examine(judge: &Judge<'_>, made: &Made<'_>, seen: &mut InodesSeen) -> Result<PathInfo, FailureKind> {
    let scratch = &made.scratch;
    let metadata = match fs::symlink_metadata(scratch) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (output, path) = (made.name.to_owned(), judge.store.display(made.path));
            return Err(FailureKind::OutputMissing { output, path });
        }
        Err(error) => return Err(FailureKind::io("examine an output")(error)),
    };
    let foreign = judge.build_user.is_some_and(|user| metadata.uid() != user);
    if foreign || (!metadata.is_symlink() && metadata.mode() & 0o022 != 0) {
        let path = judge.store.display(made.path);
        return Err(FailureKind::OutputRejected(format!(
            "suspicious ownership or permission on '{path}' for output '{}'; rejecting this build output",
            made.name
        )));
    }
    let owner = judge.build_user.map_or(Owner::Any, |user| Owner::Uids { first: user, last: user });
    let ignored = &judge.store.config().ignored_acls;
    canonicalise(scratch, owner, ignored, seen)?;
    if matches!(made.output, DerivationOutput::CaFixed(_)) && judge.copy_fixed {
        // The network was shared with processes outside, to which the builder could have passed open files.
        let copy = scratch.with_extension("copy");
        copy_tree(scratch, &copy).map_err(|error| FailureKind::OutputRejected(error.to_string()))?;
        delete_tree(scratch)?;
        rename(&copy, scratch).map_err(FailureKind::io("replace an output by its copy"))?;
        canonicalise(scratch, Owner::Any, ignored, &mut InodesSeen::new())?;
    }

    let candidates = judge.inputs.iter().chain(judge.outputs.values()).cloned();
    let Tee(hasher, scanner) =
        dump_path(scratch, None, Tee(Hasher::new(HashAlgo::Sha256), ReferenceScanner::new(candidates)))?;
    let size = hasher.written();
    let mut info = PathInfo::new(made.path.clone(), hasher.finish(), size);
    if judge.options.discard_references.get(made.name) != Some(&true) {
        info.references = scanner.finish();
    }
    info.deriver = Some(judge.derivation.clone());
    info.ultimate = true;
    if let DerivationOutput::CaFixed(address) = made.output {
        check_fixed(judge, made, address, &info)?;
        info.content_address = Some(*address);
    }
    Ok(info)
}

fn check_fixed(
    judge: &Judge<'_>,
    made: &Made<'_>,
    address: &ContentAddress,
    info: &PathInfo,
) -> Result<(), FailureKind> {
    let algo = address.hash.algo();
    let got = match address.method {
        ContentAddressMethod::Flat | ContentAddressMethod::Text => {
            let metadata =
                fs::symlink_metadata(&made.scratch).map_err(FailureKind::io("examine an output"))?;
            if !metadata.is_file() || metadata.mode() & 0o100 != 0 {
                return Err(FailureKind::OutputRejected(format!(
                    "output path '{}' should be a non-executable regular file since recursive hashing is not enabled \
                     (one of outputHashMode={{flat,text}} is true)",
                    judge.store.display(made.path)
                )));
            }
            hash_file(&made.scratch, algo).map_err(FailureKind::io("read an output"))?
        }
        ContentAddressMethod::NixArchive => hash_path(&made.scratch, algo)?.0,
        ContentAddressMethod::Git => {
            return Err(FailureKind::Rejected("outputs hashed as Git does are not supported".into()));
        }
    };
    if got != address.hash {
        let specified = address.hash;
        return Err(FailureKind::HashMismatch(Box::new(HashMismatch { specified, got })));
    }
    match info.references.first() {
        None => Ok(()),
        Some(first) => Err(FailureKind::OutputRejected(format!(
            "fixed-output derivations must not reference store paths: it references {} distinct paths, e.g. '{}'",
            info.references.len(),
            judge.store.display(first)
        ))),
    }
}

fn hash_file(file: &Path, algo: HashAlgo) -> io::Result<Hash> {
    let mut hasher = Hasher::new(algo);
    io::copy(&mut fs::File::open(file)?, &mut hasher)?;
    Ok(hasher.finish())
}

fn check(
    judge: &Judge<'_>,
    name: &str,
    info: &PathInfo,
    infos: &BTreeMap<&str, PathInfo>,
) -> Result<(), FailureKind> {
    let checks = match &judge.options.checks {
        Checks::All(checks) => checks,
        Checks::Each(each) => match each.get(name) {
            Some(checks) => checks,
            None => return Ok(()),
        },
    };
    let too_large = |what: String, size: u64, limit: u64| {
        FailureKind::OutputRejected(format!("{what} is too large at {size} bytes; limit is {limit} bytes"))
    };
    let path = judge.store.display(&info.path);
    if let Some(limit) = checks.max_size.filter(|limit| info.nar_size > *limit) {
        return Err(too_large(format!("path '{path}'"), info.nar_size, limit));
    }
    let needs_closure = checks.max_closure_size.is_some()
        || checks.allowed_requisites.is_some()
        || !checks.disallowed_requisites.is_empty();
    let (mut closure, size) = if needs_closure { closure(judge, info, infos)? } else { (BTreeSet::new(), 0) };
    if let Some(limit) = checks.max_closure_size.filter(|limit| size > *limit) {
        return Err(too_large(format!("closure of path '{path}'"), size, limit));
    }
    if checks.ignore_self_references {
        closure.remove(&info.path);
    }
    check_references(judge, name, info, checks, &closure)
}

fn check_references(
    judge: &Judge<'_>,
    name: &str,
    info: &PathInfo,
    checks: &OutputChecks,
    closure: &BTreeSet<StorePath>,
) -> Result<(), FailureKind> {
    let mut bad = BTreeSet::new();
    for (allowed, used) in
        [(&checks.allowed_references, &info.references), (&checks.allowed_requisites, closure)]
    {
        if let Some(allowed) = allowed {
            let allowed = resolve(judge, name, allowed)?;
            bad.extend(used.difference(&allowed).cloned());
        }
    }
    for (forbidden, used) in
        [(&checks.disallowed_references, &info.references), (&checks.disallowed_requisites, closure)]
    {
        let forbidden = resolve(judge, name, forbidden)?;
        bad.extend(used.intersection(&forbidden).cloned());
    }
    if bad.is_empty() {
        return Ok(());
    }
    let list = bad.iter().fold(String::new(), |list, path| list + "\n  " + &judge.store.display(path));
    let path = judge.store.display(&info.path);
    Err(FailureKind::OutputRejected(format!(
        "output '{path}' is not allowed to refer to the following paths:{list}"
    )))
}

/// Store paths, or names of outputs, as store paths.
fn resolve(
    judge: &Judge<'_>,
    name: &str,
    words: &BTreeSet<String>,
) -> Result<BTreeSet<StorePath>, FailureKind> {
    let mut paths = BTreeSet::new();
    for word in words {
        if let Ok((path, _)) = judge.store.store_dir().split(word) {
            paths.insert(path);
        } else if let Some(path) = judge.outputs.get(word) {
            paths.insert(path.clone());
        } else {
            let valid = judge.outputs.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(FailureKind::OutputRejected(format!(
                "derivation '{}' output check for '{name}' contains output name '{word}', but this is not a valid \
                 output of this derivation. (Valid outputs are [{valid}].)",
                judge.store.display(judge.derivation)
            )));
        }
    }
    Ok(paths)
}

/// The closure of an output and its size, through outputs that aren't registered yet.
fn closure(
    judge: &Judge<'_>,
    info: &PathInfo,
    infos: &BTreeMap<&str, PathInfo>,
) -> Result<(BTreeSet<StorePath>, u64), FailureKind> {
    let (mut seen, mut size) = (BTreeSet::new(), 0);
    let mut todo = vec![info.path.clone()];
    while let Some(path) = todo.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        match infos.values().find(|info| info.path == path) {
            Some(info) => {
                size += info.nar_size;
                todo.extend(info.references.iter().cloned());
            }
            None => {
                let info = judge.store.query_path_info(&path)?;
                size += info.nar_size;
                todo.extend(info.references);
            }
        }
    }
    Ok((seen, size))
}

fn move_and_register(
    judge: &Judge<'_>,
    made: &[Made<'_>],
    infos: &BTreeMap<&str, PathInfo>,
) -> Result<(), FailureKind> {
    let mut moved = Vec::new();
    let mut install = || {
        for output in made {
            if judge.store.config().auto_optimise {
                judge.store.optimise_tree(&output.scratch, Existing::Keep)?;
            }
            if judge.store.config().fsync_store_paths {
                sync_tree(&output.scratch).map_err(FailureKind::io("synchronise an output"))?;
            }
            let real = judge.store.real_path(output.path);
            if real != output.scratch {
                delete_tree(&real)?;
                moved.push(real.clone());
                rename(&output.scratch, &real).map_err(FailureKind::io("move an output into the store"))?;
            }
        }
        let infos: Vec<PathInfo> = infos.values().cloned().collect();
        judge.store.register_valid_paths(&infos).map_err(FailureKind::from)
    };
    install().inspect_err(|_| {
        for real in &moved {
            let _ = delete_tree(real);
        }
    })
}

/// Moves a tree to another directory; only a writable directory can get another parent.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    let lift = metadata.is_dir() && metadata.mode() & 0o200 == 0;
    if lift {
        fs::set_permissions(from, Permissions::from_mode(metadata.mode() | 0o200))?;
    }
    fs::rename(from, to)?;
    if lift { fs::set_permissions(to, metadata.permissions()) } else { Ok(()) }
}

fn sync_tree(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_tree(&entry?.path())?;
        }
    }
    if metadata.is_symlink() { Ok(()) } else { fs::File::open(path)?.sync_all() }
}
