//! Activation scripts, run by the host's shell with the functions that Home Manager's scripts rely on.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::context::{Context, Event};
use crate::error::{Error, Result};

/// Lines of a failed script that are kept for its error.
const KEPT_LINES: usize = 20;

/// Written for a POSIX shell; names and meaning as in Home Manager's manual, "Activation scripts".
const PRELUDE: &str = r#"set -eu
if [ -n "${BASH_VERSION-}" ]; then set -o pipefail; fi
errorEcho() { printf '%s\n' "$*"; }
warnEcho() { printf '%s\n' "$*"; }
noteEcho() { printf '%s\n' "$*"; }
verboseEcho() { if [ -n "${VERBOSE+x}" ]; then printf '%s\n' "$*"; fi; }
_i() { _nivalFormat="$1"; shift; printf "$_nivalFormat\n" "$@"; }
_iError() { _i "$@"; }
_iWarn() { _i "$@"; }
_iNote() { _i "$@"; }
_iVerbose() { if [ -n "${VERBOSE+x}" ]; then _i "$@"; fi; }
run() {
  case "${1-}" in
    --quiet) shift; if [ -n "${DRY_RUN+x}" ]; then printf '%s\n' "$*"; else "$@" >/dev/null; fi ;;
    --silence) shift; if [ -n "${DRY_RUN+x}" ]; then printf '%s\n' "$*"; else "$@" >/dev/null 2>&1; fi ;;
    *) if [ -n "${DRY_RUN+x}" ]; then printf '%s\n' "$*"; else "$@"; fi ;;
  esac
}
"#;

/// What a script is told of the switch it belongs to.
pub(crate) struct Switching<'a> {
    pub(crate) old: Option<&'a Path>,
    pub(crate) new: &'a Path,
    pub(crate) user: &'a str,
    pub(crate) verbose: bool,
}

/// Runs a script to its end; its output goes to the context's progress, line by line.
pub(crate) fn run(context: &Context<'_>, step: &str, script: &str, switching: &Switching<'_>) -> Result<()> {
    let shell = shell(context);
    let mut words = context.script_prefix.iter().map(OsString::as_os_str).chain([shell.as_os_str()]);
    let first = words.next().expect("the shell is among the words");
    let io_error = |error| Error::io("run", &shell)(error);
    let (output, input) = std::io::pipe().map_err(io_error)?;
    let errors = input.try_clone().map_err(io_error)?;
    let mut command = Command::new(first);
    command
        .args(words)
        .arg("-c")
        .arg(format!("{PRELUDE}{script}\n"))
        .arg(step)
        .current_dir(&context.home)
        .env_clear()
        .envs(context.environment.iter().map(|(name, value)| (name, value)))
        .env("HOME", &context.home)
        .env("USER", switching.user)
        .env("newGenPath", switching.new)
        .env("genProfilePath", context.profile.link())
        .env("DRY_RUN_CMD", "")
        .env("DRY_RUN_NULL", "/dev/null")
        .env("VERBOSE_ARG", if switching.verbose { "--verbose" } else { "" })
        .env("VERBOSE_ECHO", if switching.verbose { "echo" } else { "true" })
        .env_remove("DRY_RUN")
        .env_remove("VERBOSE")
        .env_remove("oldGenPath")
        .stdin(Stdio::null())
        .stdout(input)
        .stderr(errors);
    if switching.verbose {
        command.env("VERBOSE", "1");
    }
    if let Some(old) = switching.old {
        command.env("oldGenPath", old);
    }
    let mut child = command.spawn().map_err(io_error)?;
    // The command holds our ends of the pipe; without them its end would never be seen.
    drop(command);

    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });

    let mut last_lines = VecDeque::new();
    let mut ended: Option<ExitStatus> = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(20)) {
            Ok(line) => {
                context.progress.event(Event::Output { step, line: &line });
                if last_lines.len() == KEPT_LINES {
                    last_lines.pop_front();
                }
                last_lines.push_back(line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            // A service that the script left behind may hold the pipe open for good.
            Err(RecvTimeoutError::Timeout) if ended.is_some() => break,
            Err(RecvTimeoutError::Timeout) => {
                ended = child.try_wait().map_err(io_error)?;
                if let Err(reason) = context.progress.checkpoint(step) {
                    // Both fail only when the child is gone already.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(Error::Interrupted(format!("the end of `{step}`: {reason}")));
                }
            }
        }
    }
    let status = match ended {
        Some(status) => status,
        None => child.wait().map_err(io_error)?,
    };
    if status.success() {
        return Ok(());
    }
    let status = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "did not succeed".to_owned(),
    };
    Err(Error::Script { status, last_lines: last_lines.into() })
}

/// Bash where there is one, for Home Manager's scripts are written for it; else `sh`.
fn shell(context: &Context<'_>) -> PathBuf {
    let search =
        context.environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let folders: Vec<PathBuf> = std::env::split_paths(search.unwrap_or(OsStr::new("")))
        .filter(|folder| folder.is_absolute())
        .chain(["/bin".into(), "/usr/bin".into(), "/run/current-system/sw/bin".into()])
        .collect();
    ["bash", "sh"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
        .unwrap_or_else(|| "/bin/sh".into())
}
