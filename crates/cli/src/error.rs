//! Errors as the user meets them: the cause, where, hints, and the exit code that follows from the kind.

use std::fmt::Display;
use std::process::ExitCode;

/// Why a command ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line is off: exit code 2 under `nival`, as clap has it.
    Usage,
    /// The input, the machine or the network is off: exit code 1.
    Failure,
    /// A builder failed: exit code 100, as in C++ Nix (manual, `nix-build`, "Special exit codes").
    BuildFailure,
    /// A builder ran into its time limit: exit code 101, same source.
    BuildTimeout,
    /// A fixed-output derivation has another hash than declared: exit code 102, same source.
    HashMismatch,
}

/// An error ready to be printed.
#[derive(Debug)]
pub struct CommandError {
    /// Decides the exit code.
    pub kind: Kind,
    /// Rendered text without the leading `error: `; may have several lines.
    pub message: String,
    /// Ways on, one sentence each.
    pub hints: Vec<String>,
}

/// What commands return.
pub type Result<T = ()> = std::result::Result<T, CommandError>;

impl CommandError {
    /// A failure of the given kind.
    pub fn new(kind: Kind, message: impl Display) -> Self {
        Self { kind, message: message.to_string(), hints: Vec::new() }
    }

    /// A plain failure.
    pub fn failure(message: impl Display) -> Self {
        Self::new(Kind::Failure, message)
    }

    /// The same error with one more way on.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// What the process answers to its caller.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Usage => 2,
            Kind::Failure => 1,
            Kind::BuildFailure => 100,
            Kind::BuildTimeout => 101,
            Kind::HashMismatch => 102,
        })
    }

    /// The text for standard error.
    pub fn render(&self) -> String {
        let mut text = if self.message.starts_with("error") {
            self.message.trim_end_matches('\n').to_owned()
        } else {
            format!("error: {}", self.message.trim_end_matches('\n'))
        };
        text.push('\n');
        if !self.hints.is_empty() {
            text.push('\n');
        }
        for hint in &self.hints {
            text.push_str("hint: ");
            text.push_str(hint);
            text.push('\n');
        }
        text
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        Self::failure(error)
    }
}

/// What the system says of an input or output error, as the C library words it.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or(&text).to_owned()
}
