//! Builds: goal graph, sandbox, builtin builders and logs.
//!
//! [`realise`] makes outputs of derivations valid in a [`nival_store::LocalStore`]. Each derivation is built by one
//! thread (`goals`, `job`): under the locks of its outputs, in namespaces of its own ([`sandbox`]) or, for
//! `builtin:` builders, in this process; what comes out is judged (`outputs`) before the store sees it. The crate
//! reads neither the environment nor settings, and prints nothing: [`BuildOptions`] go in, [`BuildEvent`]s come
//! out.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod build_dir;
mod builtin;
mod derivation_options;
mod environment;
mod error;
mod event;
mod goals;
mod job;
mod log;
mod options;
mod outputs;
mod run;
pub mod sandbox;
mod users;

pub use error::{BuildError, BuildFailure, FailureKind, HashMismatch};
pub use event::{BuildEvent, EventSink};
pub use goals::{DerivedPath, Missing, Realised, WantedOutputs, query_missing, realise};
pub use log::{LogFormat, log};
pub use options::{BuildOptions, CancelToken, SandboxMode, SandboxPath};
