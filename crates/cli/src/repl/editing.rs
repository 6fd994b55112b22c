//! `:edit`: the file that something comes from, in the user's editor.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

use nival_eval::{EvalError, Value, View};
use nival_syntax::{Pos, Symbol};

use super::{Answer, Problem, Repl};

/// Opens a path, the place of a function, or the `meta.position` of a package.
pub(super) fn edit(repl: &Repl<'_>, value: Value, text: &str) -> Answer {
    let (path, line) = place(repl, value, text)?;
    let editor = repl.world.context.variable("EDITOR").unwrap_or("cat").to_owned();
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("cat");
    let mut command = Command::new(program);
    command.args(words);
    if line > 0 && ["emacs", "nano", "vim", "kak"].iter().any(|known| editor.contains(known)) {
        command.arg(format!("+{line}"));
    }
    let status = command.arg(path).status().map_err(|error| {
        Problem::message(format!("executing '{program}': {}", crate::error::reason(&error)))
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(Problem::message(format!("program '{program}' failed with {status}")))
    }
}

fn place(repl: &Repl<'_>, value: Value, text: &str) -> Answer<(PathBuf, u32)> {
    match value.view() {
        View::Path(path) | View::String(path) => {
            Ok((absolute(path.bytes(), "while evaluating the filename to edit")?, 0))
        }
        View::Lambda(lambda) => {
            let pos = lambda.pos();
            match pos.resolve().map(|place| (place.source.origin().path(), place.line)) {
                Some((Some(path), line)) => Ok((path.into(), line)),
                _ => Err(Problem::message(format!("'{}' cannot be shown in an editor", pos.display()))),
            }
        }
        _ => package_place(repl, value, text),
    }
}

fn package_place(repl: &Repl<'_>, value: Value, text: &str) -> Answer<(PathBuf, u32)> {
    let unknown = || Problem::message(format!("package '{text}' has no source location information"));
    let attribute = |value: Value, name: &str| {
        let attr = value.as_attrs()?.get(Symbol::intern(name))?;
        repl.evaluator.force(attr, Pos::NONE).ok()
    };
    let position = attribute(value, "meta").and_then(|meta| attribute(meta, "position"));
    let position = position.and_then(Value::as_str).ok_or_else(unknown)?;
    let position = position.to_text().into_owned();
    absolute(position.as_bytes(), "while evaluating the 'meta.position' attribute of a derivation")?;
    let parsed = position.rsplit_once(':').and_then(|(path, line)| Some((path.into(), line.parse().ok()?)));
    parsed.ok_or_else(|| Problem::message(format!("cannot parse 'meta.position' attribute '{position}'")))
}

fn absolute(path: &[u8], frame: &'static str) -> Answer<PathBuf> {
    if path.starts_with(b"/") {
        return Ok(OsStr::from_bytes(path).into());
    }
    let message = format!("string '{}' doesn't represent an absolute path", String::from_utf8_lossy(path));
    Err(EvalError::other(message).with_frame(frame, Pos::NONE).into())
}
