//! What the process was given: arguments, environment, folders, terminal. Read once, passed down, never asked again.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// The release of C++ Nix that the programs of its names stand in for: scripts look for it in what `--version` says.
pub(crate) const REFERENCE_VERSION: &str = "2.34.8";

/// The surroundings of one run of the program.
#[derive(Debug, Clone)]
pub struct Context {
    /// Command line, the program's name first.
    pub arguments: Vec<String>,
    /// Environment variables (those that are valid UTF-8).
    pub environment: BTreeMap<String, String>,
    /// The program's own file.
    pub program: PathBuf,
    /// Working directory.
    pub directory: PathBuf,
    /// The user's name, from the environment or else the password database's line for the effective user.
    pub user: String,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// The machine's name as the kernel knows it.
    pub host: String,
    /// Whether standard error is a terminal.
    pub terminal: bool,
    /// Whether standard output is a terminal.
    pub output_terminal: bool,
    /// Whether standard input is a terminal.
    pub input_terminal: bool,
}

impl Context {
    /// Reads the process's own surroundings.
    pub fn from_process() -> std::io::Result<Self> {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let uid = rustix::process::geteuid().as_raw();
        let user = match environment.get("USER") {
            Some(user) if !user.is_empty() => user.clone(),
            _ => passwd_field(uid, 0).unwrap_or_else(|| uid.to_string()),
        };
        Ok(Self {
            arguments: std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect(),
            program: std::env::current_exe()?,
            directory: std::env::current_dir()?,
            user,
            uid,
            gid: rustix::process::getegid().as_raw(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            terminal: std::io::stderr().is_terminal(),
            output_terminal: std::io::stdout().is_terminal(),
            input_terminal: std::io::stdin().is_terminal(),
            environment,
        })
    }

    /// The name that the program was called by.
    pub fn called_as(&self) -> &str {
        let name = self.arguments.first().and_then(|path| Path::new(path).file_name()?.to_str());
        name.unwrap_or_default()
    }

    /// Whether it was called as one of C++ Nix's programs.
    pub fn is_called_as_reference(&self) -> bool {
        self.called_as() == "nix" || self.called_as().starts_with("nix-")
    }

    /// A non-empty environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The user's home directory: `$HOME`, or the password database's.
    pub fn home(&self) -> PathBuf {
        match self.variable("HOME") {
            Some(home) => PathBuf::from(home),
            None => passwd_field(self.uid, 5).map_or_else(|| PathBuf::from("/"), PathBuf::from),
        }
    }

    /// An XDG base directory: the variable if it is an absolute path, else `fallback` below the home directory.
    pub fn xdg(&self, variable: &str, fallback: &str) -> PathBuf {
        match self.variable(variable) {
            Some(path) if Path::new(path).is_absolute() => PathBuf::from(path),
            _ => self.home().join(fallback),
        }
    }

    /// The same surroundings with another home directory, for `--home DIR`: XDG folders follow it.
    #[must_use]
    pub fn with_home(&self, home: &Path) -> Self {
        let mut other = self.clone();
        for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
            other.environment.remove(variable);
        }
        other.environment.insert("HOME".into(), home.to_string_lossy().into_owned());
        other
    }

    /// `path` as seen from the working directory.
    pub fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        let mut clean = PathBuf::new();
        for part in self.directory.join(path).components() {
            match part {
                std::path::Component::CurDir => {}
                std::path::Component::ParentDir => {
                    clean.pop();
                }
                other => clean.push(other),
            }
        }
        clean
    }
}

/// A field of the user's line in `/etc/passwd` (passwd(5)); read by hand because a static binary has no NSS.
fn passwd_field(uid: u32, field: usize) -> Option<String> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(uid.to_string().as_str()))?;
    line.split(':').nth(field).map(str::to_owned)
}
