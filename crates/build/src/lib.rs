//! Builds: goal graph, sandbox, builtin builders and logs.

mod log;
mod options;
mod run;
pub mod sandbox;

pub use log::{LogFormat, log};
pub use options::{BuildOptions, CancelToken, SandboxMode, SandboxPath};
