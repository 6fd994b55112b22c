//! `builtin:buildenv`: one tree of links to many packages, as the reference makes profiles
//! (`libstore/builtins/buildenv.cc` of C++ Nix).
//!
//! `derivations` lists for each package: `true` or `false` (active), its priority, the number of its outputs and
//! that many paths. `manifest`, if given, becomes the target of `manifest.nix`. A lower number wins; two files of
//! the same priority at one place are an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{At as _, BuiltinError, Context};

/// Files that don't belong into an environment: useless there, or in every package.
const IGNORED: &[&str] = &[
    "/propagated-build-inputs",
    "/nix-support",
    "/perllocal.pod",
    "/info/dir",
    "/log",
    "/manifest.nix",
    "/manifest.json",
];

/// Packages that others propagate come after all that were asked for.
const FIRST_PROPAGATED_PRIORITY: i64 = 1000;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    priority: i64,
    path: PathBuf,
}

struct Environment<'a> {
    context: &'a Context<'a>,
    /// By place in the output, the priority of each link there.
    priorities: BTreeMap<PathBuf, i64>,
}

pub(super) fn build(context: &Context<'_>) -> Result<(), BuiltinError> {
    let mut packages = parse_packages(context.text("derivations")?)?;
    packages.sort();
    let out = context.out()?;
    fs::create_dir_all(out).at("create the directory", out)?;

    let mut environment = Environment { context, priorities: BTreeMap::new() };
    let mut done = BTreeSet::new();
    let mut postponed = BTreeSet::new();
    for Package { priority, path } in packages {
        environment.add_package(out, path, priority, &mut done, &mut postponed)?;
    }
    let mut priority = FIRST_PROPAGATED_PRIORITY;
    while !postponed.is_empty() {
        for path in std::mem::take(&mut postponed) {
            environment.add_package(out, path, priority, &mut done, &mut postponed)?;
            priority += 1;
        }
    }
    match context.optional_text("manifest")? {
        None | Some("") => Ok(()),
        Some(manifest) => {
            let link = out.join("manifest.nix");
            symlink(manifest, &link).at("create the link", link)
        }
    }
}

fn parse_packages(text: &str) -> Result<Vec<Package>, BuiltinError> {
    let wrong = |what: &str| BuiltinError::failed(format!("attribute 'derivations' is malformed: {what}"));
    let mut packages = Vec::new();
    let mut words = text.split_ascii_whitespace();
    while let Some(active) = words.next() {
        let priority = words.next().and_then(|word| word.parse::<i64>().ok());
        let priority = priority.ok_or_else(|| wrong("a priority is missing"))?;
        let count = words.next().and_then(|word| word.parse::<usize>().ok());
        for _ in 0..count.ok_or_else(|| wrong("a number of outputs is missing"))? {
            let path = words.next().ok_or_else(|| wrong("a path is missing"))?;
            if active != "false" {
                packages.push(Package { priority, path: path.into() });
            }
        }
    }
    Ok(packages)
}

impl Environment<'_> {
    fn add_package(
        &mut self,
        out: &Path,
        path: PathBuf,
        priority: i64,
        done: &mut BTreeSet<PathBuf>,
        postponed: &mut BTreeSet<PathBuf>,
    ) -> Result<(), BuiltinError> {
        if done.contains(&path) {
            return Ok(());
        }
        self.link_directory(&path, out, priority)?;
        let propagated = path.join("nix-support/propagated-user-env-packages");
        done.insert(path);
        let Some(file) = self.context.inputs.resolve(&propagated)? else { return Ok(()) };
        if !file.metadata.is_file() {
            return Ok(());
        }
        let text = fs::read_to_string(&file.real).at("read", &file.real)?;
        let words = text.split([' ', '\n']).filter(|word| !word.is_empty()).map(PathBuf::from);
        postponed.extend(words.filter(|path| !done.contains(path)));
        Ok(())
    }

    /// Links what is in `source`, a path as builders see it, into the directory `target`.
    fn link_directory(&mut self, source: &Path, target: &Path, priority: i64) -> Result<(), BuiltinError> {
        self.context.check_cancelled()?;
        let found = self.context.inputs.require(source)?;
        if !found.metadata.is_dir() {
            (self.context.say)(&format!(
                "warning: not including \"{}\" in the user environment because it's not a directory",
                source.display()
            ));
            return Ok(());
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&found.real).at("read", &found.real)? {
            names.push(entry.at("read", &found.real)?.file_name());
        }
        names.sort();
        for name in names {
            if !name.as_encoded_bytes().starts_with(b".") {
                self.link_entry(&source.join(&name), &target.join(&name), priority)?;
            }
        }
        Ok(())
    }

    fn link_entry(&mut self, source: &Path, target: &Path, priority: i64) -> Result<(), BuiltinError> {
        let Some(found) = self.context.inputs.resolve(source)? else {
            (self.context.say)(&format!("warning: skipping dangling symlink '{}'", source.display()));
            return Ok(());
        };
        let text = source.as_os_str().as_encoded_bytes();
        if IGNORED.iter().any(|ignored| text.ends_with(ignored.as_bytes())) {
            return Ok(());
        }
        let there = match fs::symlink_metadata(target) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).at("examine", target),
        };
        let previous = self.priorities.get(target).copied().unwrap_or(0);
        match there {
            None => {}
            Some(there) if found.metadata.is_dir() => {
                if there.is_dir() {
                    return self.link_directory(source, target, priority);
                }
                // What was a link to one directory becomes a directory of links to both.
                let first = fs::read_link(target).at("read the link", target)?;
                let first = self.context.inputs.require(&first)?;
                if !first.metadata.is_dir() {
                    return Err(BuiltinError::failed(format!(
                        "collision between \"{}\" and non-directory \"{}\"",
                        source.display(),
                        first.logical.display()
                    )));
                }
                fs::remove_file(target).at("remove", target)?;
                fs::create_dir(target).at("create the directory", target)?;
                self.link_directory(&first.logical, target, previous)?;
                return self.link_directory(source, target, priority);
            }
            Some(there) if there.is_dir() => {
                return Err(BuiltinError::failed(format!(
                    "collision between non-directory '{}' and directory '{}'",
                    source.display(),
                    self.place(target)
                )));
            }
            Some(_) if previous < priority => return Ok(()),
            Some(_) if previous == priority => {
                let first = fs::read_link(target).at("read the link", target)?;
                return Err(BuiltinError::failed(format!(
                    "collision: \"{}\" and \"{}\" have the same priority {priority}, and both want to be `{}`\n\
                     hint: leave one of the packages out, or give one a lower number as its priority (`lib.hiPrio`, \
                     `meta.priority`) so that it wins",
                    first.display(),
                    source.display(),
                    self.place(target)
                )));
            }
            Some(_) => fs::remove_file(target).at("remove", target)?,
        }
        symlink(source, target).at("create the link", target)?;
        self.priorities.insert(target.to_owned(), priority);
        Ok(())
    }

    /// A place in the output, from its top.
    fn place(&self, target: &Path) -> String {
        let out = self.context.out().unwrap_or(Path::new("/"));
        target.strip_prefix(out).unwrap_or(target).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{A, B, SECRET, Stage};

    fn stage() -> Stage {
        let stage = Stage::new();
        for (path, text) in [
            ("a/bin/tool", "a"),
            ("a/bin/only-a", ""),
            ("a/share/a/doc", ""),
            ("a/.hidden", ""),
            ("a/nix-support/x", ""),
            ("a/share/info/dir", ""),
            ("b/bin/only-b", ""),
            ("b/share/b/doc", ""),
        ] {
            let (package, rest) = path.split_once('/').unwrap();
            let package = if package == "a" { A } else { B };
            stage.write(&format!("{package}/{rest}"), text);
        }
        stage
    }

    fn run(stage: &Stage, derivations: &str) -> Result<Vec<String>, String> {
        stage.run("builtin:buildenv", &[("derivations", derivations), ("manifest", "/m")])
    }

    #[test]
    fn packages_are_merged_link_by_link() {
        let stage = stage();
        run(&stage, &format!("true 5 1 {A}")).unwrap();
        let alone = [
            "/".to_owned(),
            format!("/bin -> {A}/bin"),
            "/manifest.nix -> /m".into(),
            format!("/share -> {A}/share"),
        ];
        assert_eq!(stage.list(), alone);
        run(&stage, &format!("true 5 1 {A} true 5 1 {B}")).unwrap();
        let merged = [
            "/".to_owned(),
            "/bin/".into(),
            format!("/bin/only-a -> {A}/bin/only-a"),
            format!("/bin/only-b -> {B}/bin/only-b"),
            format!("/bin/tool -> {A}/bin/tool"),
            "/manifest.nix -> /m".into(),
            "/share/".into(),
            format!("/share/a -> {A}/share/a"),
            format!("/share/b -> {B}/share/b"),
            format!("/share/info -> {A}/share/info"),
        ];
        assert_eq!(stage.list(), merged);
        run(&stage, &format!("false 5 1 {A} true 5 1 {B}")).unwrap();
        assert!(stage.list().contains(&format!("/bin -> {B}/bin")));
    }

    #[test]
    fn priorities_decide_and_equal_ones_collide() {
        let stage = stage();
        stage.write(&format!("{B}/bin/tool"), "b");
        let error = run(&stage, &format!("true 5 1 {A} true 5 1 {B}")).unwrap_err();
        for part in [&format!("{A}/bin/tool"), &format!("{B}/bin/tool"), "priority 5", "`bin/tool`"] {
            assert!(error.contains(part), "{error}");
        }
        for (derivations, winner) in [
            (format!("true 5 1 {A} true 4 1 {B}"), B),
            (format!("true 5 1 {A} true 6 1 {B}"), A),
            (format!("true -1 1 {B} true 0 1 {A}"), B),
        ] {
            run(&stage, &derivations).unwrap();
            assert!(stage.list().contains(&format!("/bin/tool -> {winner}/bin/tool")));
        }
    }

    #[test]
    fn propagated_packages_come_last() {
        let stage = stage();
        stage.write(&format!("{A}/nix-support/propagated-user-env-packages"), &format!("{B} {A}\n"));
        stage.write(&format!("{B}/bin/tool"), "b");
        run(&stage, &format!("true 5 1 {A}")).unwrap();
        assert!(stage.list().contains(&format!("/bin/tool -> {A}/bin/tool")));
        assert!(stage.list().contains(&format!("/bin/only-b -> {B}/bin/only-b")));
    }

    #[test]
    fn odd_packages() {
        let stage = stage();
        stage.link(&format!("{A}/dangling"), "/nowhere");
        stage.link(&format!("{A}/secret"), SECRET);
        let said = run(&stage, &format!("true 5 1 {A}")).unwrap();
        assert_eq!(said.len(), 2, "{said:?}");
        stage.write(&format!("{B}/share/a"), "a file");
        assert!(run(&stage, &format!("true 5 1 {A} true 5 1 {B}")).unwrap_err().contains("same priority"));
        assert!(run(&stage, &format!("true 5 1 {A} true 6 1 {B}")).is_ok());
        assert!(run(&stage, &format!("true 6 1 {A} true 5 1 {B}")).unwrap_err().contains("non-directory"));
        for bad in
            ["true", "true x 1 /p", "true 5 x", "true 5 2 /p", &format!("true 5 1 {SECRET}"), "true 5 1 /etc"]
        {
            assert!(run(&stage, bad).is_err(), "{bad}");
        }
        let file = Stage::new();
        file.write(A, "a file");
        assert!(run(&file, &format!("true 5 1 {A}")).unwrap()[0].contains("not a directory"));
    }
}
