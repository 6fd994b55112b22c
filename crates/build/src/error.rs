use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nival_formats::Hash;
use nival_store::StoreError;

use crate::sandbox::{ExitStatus, SpawnError};

/// Why what was asked for isn't there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Builds failed: causes first, then what needed them.
    #[error("{}", join(.0))]
    Failed(Vec<BuildFailure>),
    /// The builds were stopped from outside.
    #[error("interrupted")]
    Cancelled,
    /// A derivation has no such output.
    #[error("derivation '{derivation}' does not have an output named '{output}'")]
    NoSuchOutput {
        /// The path of the derivation.
        derivation: String,
        /// What was asked for.
        output: String,
    },
    /// A derivation that can't be built here, whatever its builder does.
    #[error("derivation '{derivation}' can't be built: {reason}")]
    Unsupported {
        /// The path of the derivation.
        derivation: String,
        /// What it needs.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(Box<StoreError>),
}

impl From<StoreError> for BuildError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl BuildError {
    /// The exit code of the reference: 100 and up, with a bit for each kind of failure
    /// (`failingExitStatus` in `libstore/build/worker.cc`).
    pub fn exit_code(&self) -> u8 {
        let Self::Failed(failures) = self else { return 1 };
        let bits = failures.iter().map(|failure| match failure.kind {
            FailureKind::TimedOut(_) | FailureKind::Silent(_) => 0b101,
            FailureKind::HashMismatch(_) => 0b110,
            FailureKind::Builder(_) | FailureKind::OutputRejected(_) | FailureKind::LogTooLong(_) => 0b100,
            FailureKind::OutputMissing { .. } => 0b100,
            _ => 0,
        });
        match bits.fold(0, |all, one| all | one) {
            0 => 1,
            bits => 0x60 | bits,
        }
    }
}

fn join(failures: &[BuildFailure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

/// One derivation that wasn't built.
#[derive(Debug)]
pub struct BuildFailure {
    /// The full path of the derivation.
    pub derivation: String,
    /// Why.
    pub kind: FailureKind,
    /// The full paths that it should have made.
    pub outputs: Vec<String>,
    /// The last lines of its log.
    pub log_tail: Vec<String>,
    /// Where its log is kept.
    pub log_file: Option<PathBuf>,
    /// The build folder, if it was kept.
    pub kept_build_dir: Option<PathBuf>,
}

/// Why a derivation wasn't built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// The builder ended so.
    #[error("builder {0}")]
    Builder(ExitStatus),
    /// The builder could not be started.
    #[error(transparent)]
    Start(#[from] SpawnError),
    /// It took too long.
    #[error("timed out after {} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    /// It said nothing for too long.
    #[error("timed out after {} seconds of silence", .0.as_secs_f64())]
    Silent(Duration),
    /// It said too much.
    #[error("killed after writing more than {0} bytes of log output")]
    LogTooLong(u64),
    /// It ended well, but an output isn't there.
    #[error("builder failed to produce output path for output '{output}' at '{path}'")]
    OutputMissing {
        /// The name of the output.
        output: String,
        /// Where it should be.
        path: String,
    },
    /// An output isn't as it must be.
    #[error("{0}")]
    OutputRejected(String),
    /// An output with a fixed hash has another one.
    #[error("{0}")]
    HashMismatch(Box<HashMismatch>),
    /// So many of the derivations that it needs failed.
    #[error("{} failed", dependencies(*.0))]
    Dependencies(usize),
    /// It asks for what this machine or its settings don't grant.
    #[error("{0}")]
    Rejected(String),
    /// Another build failed, or the user stopped.
    #[error("interrupted")]
    Cancelled,
    /// A file of the build failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(Box<StoreError>),
}

impl From<StoreError> for FailureKind {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// A fixed hash and the one that came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashMismatch {
    /// What the derivation says.
    pub specified: Hash,
    /// What was made.
    pub got: Hash,
}

impl std::fmt::Display for HashMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (specified, got) = (self.specified.to_sri(), self.got.to_sri());
        write!(f, "hash mismatch in fixed-output derivation:\n  specified: {specified}\n     got:    {got}")
    }
}

fn dependencies(count: usize) -> String {
    format!("{count} {}", if count == 1 { "dependency" } else { "dependencies" })
}

impl FailureKind {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}

impl BuildFailure {
    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            FailureKind::Start(SpawnError::Unavailable { .. }) => Some(
                "let the kernel grant user namespaces, or build without isolation: `--no-sandbox`, or `sandbox = \
                 false` in nix.conf"
                    .into(),
            ),
            FailureKind::Start(SpawnError::Execute { .. }) => Some(
                "a builder must be among the inputs of its derivation, or be `/bin/sh`; the host's programs are \
                 only there with `__impureHostDeps`"
                    .into(),
            ),
            FailureKind::HashMismatch(mismatch) => {
                Some(format!("if the new contents are right, put `{}` there", mismatch.got.to_sri()))
            }
            FailureKind::TimedOut(_) => Some("the limit is the setting `timeout`".into()),
            FailureKind::Silent(_) => Some("the limit is the setting `max-silent-time`".into()),
            FailureKind::LogTooLong(_) => Some("the limit is the setting `max-build-log-size`".into()),
            FailureKind::Store(error) => error.hint(),
            _ if self.is_out_of_space() => {
                Some("free some space, for instance with `nival gc`, and run this again".into())
            }
            _ => None,
        }
    }

    fn is_out_of_space(&self) -> bool {
        let said = || self.log_tail.iter().any(|line| line.contains("No space left on device"));
        match &self.kind {
            FailureKind::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull || said(),
            FailureKind::Builder(_) => said(),
            _ => false,
        }
    }

    /// The message with where to look further, without the hint.
    pub fn describe(&self, program: &str) -> String {
        let mut text = self.render(program).trim_end().to_owned();
        if let Some(file) = &self.log_file {
            let _ = write!(text, "\nThe whole log is in `{}`.", file.display());
        }
        if let Some(folder) = &self.kept_build_dir {
            let _ = write!(text, "\nThe build folder is kept in `{}`.", folder.display());
        }
        text
    }

    /// The message in the words of the reference; `program` is the command that shows logs.
    pub fn render(&self, program: &str) -> String {
        let mut text = format!("Cannot build '{}'.\nReason: {}.", self.derivation, self.kind);
        if !self.outputs.is_empty() {
            text.push_str("\nOutput paths:");
            for path in &self.outputs {
                let _ = write!(text, "\n  {path}");
            }
        }
        if !self.log_tail.is_empty() {
            let _ = writeln!(text, "\nLast {} log lines:", self.log_tail.len());
            for line in &self.log_tail {
                let _ = writeln!(text, "> {line}");
            }
            if self.log_file.is_some() {
                let _ = write!(text, "For full logs, run:\n  {program} log {}", self.derivation);
            }
        }
        text
    }
}

impl std::fmt::Display for BuildFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe("nival"))?;
        if let Some(hint) = self.hint() {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}
