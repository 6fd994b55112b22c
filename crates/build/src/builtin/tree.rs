//! `builtin:nival-tree`: a directory of files, links, directories and copies, described by JSON in `entries`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde::Deserialize;

use super::text::{below_output, write_file};
use super::{At as _, BuiltinError, Context, copy_tree};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    #[serde(rename = "type")]
    kind: Kind,
    text: Option<String>,
    target: Option<String>,
    executable: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    File,
    Link,
    Directory,
    Copy,
}

pub(super) fn build(context: &Context<'_>) -> Result<(), BuiltinError> {
    let entries = context.attribute("entries");
    let entries = entries.ok_or_else(|| BuiltinError::failed("attribute 'entries' missing"))?;
    let mut entries: Vec<Entry> = serde_json::from_slice(entries).map_err(|error| {
        BuiltinError::failed(format!("attribute 'entries' is not as it should be: {error}"))
    })?;
    // Directories come before what is in them, whatever the order given.
    entries.sort_by(|a, b| a.path.cmp(&b.path));

    let out = context.out()?;
    fs::create_dir(out).at("create the directory", out)?;
    for entry in entries {
        context.check_cancelled()?;
        place(context, out, &entry)?;
    }
    Ok(())
}

fn place(context: &Context<'_>, out: &Path, entry: &Entry) -> Result<(), BuiltinError> {
    let below = below_output(&entry.path)?;
    make_parents(out, &below)?;
    let to = out.join(&below);
    match fs::symlink_metadata(&to) {
        Ok(there) if there.is_dir() && entry.kind == Kind::Directory => return Ok(()),
        Ok(_) => return Err(BuiltinError::failed(format!("the entry '{}' is given twice", entry.path))),
        Err(_) => {}
    }
    let needed = |value: &Option<String>, name: &str| {
        let missing = || BuiltinError::failed(format!("the entry '{}' has no '{name}'", entry.path));
        value.clone().ok_or_else(missing)
    };
    match entry.kind {
        Kind::File => {
            write_file(&to, needed(&entry.text, "text")?.as_bytes(), entry.executable.unwrap_or(false))
        }
        Kind::Link => symlink(needed(&entry.target, "target")?, &to).at("create the link", &to),
        Kind::Directory => fs::create_dir(&to).at("create the directory", &to),
        Kind::Copy => {
            let source = context.inputs.require(Path::new(&needed(&entry.target, "target")?))?;
            copy_tree(&source.real, &to)?;
            match entry.executable {
                Some(executable) if source.metadata.is_file() => {
                    use std::os::unix::fs::PermissionsExt as _;
                    let mode = if executable { 0o755 } else { 0o644 };
                    fs::set_permissions(&to, fs::Permissions::from_mode(mode)).at("change the mode of", &to)
                }
                _ => Ok(()),
            }
        }
    }
}

/// Makes the directories above a path, and refuses to go through anything that isn't one.
fn make_parents(out: &Path, below: &Path) -> Result<(), BuiltinError> {
    let mut at = out.to_owned();
    for part in below.parent().into_iter().flat_map(Path::components) {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => {
                let (inner, outer) = (below.display(), at.strip_prefix(out).unwrap_or(&at).display());
                return Err(BuiltinError::failed(format!(
                    "the entry '{inner}' is below '{outer}', which is no directory"
                )));
            }
            Err(_) => fs::create_dir(&at).at("create the directory", &at)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{A, SECRET, Stage};

    #[test]
    fn a_tree_is_built() {
        let stage = Stage::new();
        stage.write(&format!("{A}/x"), "copied");
        stage.link(&format!("{A}/l"), "x");
        let entries = format!(
            r#"[ {{"path":"/bin/x","type":"file","text":"run","executable":true}},
                 {{"path":"etc/link","type":"link","target":"/anywhere"}},
                 {{"path":"bin","type":"directory"}}, {{"path":"empty","type":"directory"}},
                 {{"path":"tree","type":"copy","target":"{A}"}},
                 {{"path":"one","type":"copy","target":"{A}/l","executable":true}} ]"#
        );
        stage.run("builtin:nival-tree", &[("entries", &entries)]).unwrap();
        let expected = [
            "/",
            "/bin/",
            "/bin/x*: run",
            "/empty/",
            "/etc/",
            "/etc/link -> /anywhere",
            "/one*: copied",
            "/tree/",
            "/tree/l -> x",
            "/tree/x: copied",
        ];
        assert_eq!(stage.list(), expected);
        stage.run("builtin:nival-tree", &[("entries", "[]")]).unwrap();
        assert_eq!(stage.list(), ["/"]);
    }

    #[test]
    fn bad_entries_are_errors() {
        let stage = Stage::new();
        stage.write(&format!("{SECRET}/x"), "");
        for (entries, error) in [
            ("{}".to_owned(), "attribute 'entries' is not as it should be"),
            (r#"[{"path":"a","type":"socket"}]"#.to_owned(), "unknown variant"),
            (r#"[{"path":"../a","type":"directory"}]"#.to_owned(), "leads out of the output"),
            (r#"[{"path":"a","type":"file"}]"#.to_owned(), "has no 'text'"),
            (
                r#"[{"path":"a","type":"link","target":"/"},{"path":"a/b","type":"file","text":""}]"#
                    .to_owned(),
                "the entry 'a/b' is below 'a', which is no directory",
            ),
            (
                r#"[{"path":"a","type":"file","text":""},{"path":"/a","type":"file","text":""}]"#.to_owned(),
                "is given twice",
            ),
            (r#"[{"path":"a","type":"copy","target":"/etc/passwd"}]"#.to_owned(), "not in the inputs"),
            (format!(r#"[{{"path":"a","type":"copy","target":"{SECRET}/x"}}]"#), "not in the inputs"),
        ] {
            let message = stage.run("builtin:nival-tree", &[("entries", &entries)]).unwrap_err();
            assert!(message.contains(error), "{message}");
        }
    }
}
