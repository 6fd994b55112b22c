//! What a test of the whole program plays on.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A folder with the program under its names, files to evaluate, a store and caches.
pub(crate) struct Stage {
    folder: TempDir,
    variables: &'static [(&'static str, &'static str)],
}

/// How a command ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Stage {
    /// An empty one, whose commands have these variables besides those of all.
    pub(crate) fn new(variables: &'static [(&'static str, &'static str)]) -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap(), variables };
        for name in ["nival", "nix-instantiate"] {
            symlink(env!("CARGO_BIN_EXE_nival"), stage.path(name)).unwrap();
        }
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.path(words[0]));
        command
            .args(&words[1..])
            .current_dir(self.path(""))
            .env_clear()
            .env("HOME", self.path("elsewhere"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("NIX_CONF_DIR", self.path("no-settings"))
            .env("NIX_REMOTE", self.path("root"))
            .envs(self.variables.iter().copied())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn say(command: &mut Command) -> Said {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        Self::say(&mut self.command(words))
    }
}
