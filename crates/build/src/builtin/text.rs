//! `builtin:nival-text`: one file. `text`, `destination` (a path below the output), `executable` (`1`).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use super::{At as _, BuiltinError, Context};

pub(super) fn build(context: &Context<'_>) -> Result<(), BuiltinError> {
    let text = context.attribute("text").ok_or_else(|| BuiltinError::failed("attribute 'text' missing"))?;
    let out = context.out()?;
    let file = match context.optional_text("destination")? {
        None | Some("") => out.to_owned(),
        Some(destination) => out.join(below_output(destination)?),
    };
    if let Some(parent) = file.parent().filter(|_| file != out) {
        fs::create_dir_all(parent).at("create the directory", parent)?;
    }
    write_file(&file, text, context.is_set("executable"))
}

/// A path below the output, from one that may start with a slash; `..` is refused.
pub(super) fn below_output(path: &str) -> Result<PathBuf, BuiltinError> {
    let mut below = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => below.push(name),
            Component::ParentDir | Component::Prefix(_) => {
                return Err(BuiltinError::failed(format!("the path '{path}' leads out of the output")));
            }
        }
    }
    if below.as_os_str().is_empty() {
        return Err(BuiltinError::failed(format!("the path '{path}' names nothing below the output")));
    }
    Ok(below)
}

pub(super) fn write_file(file: &Path, contents: &[u8], executable: bool) -> Result<(), BuiltinError> {
    fs::write(file, contents).at("write", file)?;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(file, Permissions::from_mode(mode)).at("change the mode of", file)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;

    #[test]
    fn one_file_is_written() {
        let stage = Stage::new();
        for (attributes, expected) in [
            (&[("text", "hello")][..], &[": hello"][..]),
            (&[("text", "hello"), ("executable", "1")], &["*: hello"]),
            (&[("text", ""), ("destination", "/bin/x"), ("executable", "1")], &["/", "/bin/", "/bin/x*: "]),
            (&[("text", "t"), ("destination", "")], &[": t"]),
        ] {
            stage.run("builtin:nival-text", attributes).unwrap();
            assert_eq!(stage.list(), expected);
        }
    }

    #[test]
    fn bad_attributes_are_errors() {
        let stage = Stage::new();
        for (attributes, error) in [
            (&[][..], "attribute 'text' missing"),
            (&[("text", ""), ("destination", "../x")], "the path '../x' leads out of the output"),
            (&[("text", ""), ("destination", "/")], "the path '/' names nothing below the output"),
        ] {
            assert_eq!(stage.run("builtin:nival-text", attributes).unwrap_err(), error);
        }
        assert_eq!(stage.run("builtin:nothing", &[]).unwrap_err(), "unsupported builtin builder 'nothing'");
    }
}
