use std::collections::BTreeMap;
use std::time::Duration;

use nival_formats::StorePath;

use crate::error::BuildFailure;

/// What happens while building; the caller decides whether and how to show it. Comes from several threads.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum BuildEvent<'a> {
    /// A build starts.
    Started {
        /// Of this derivation.
        derivation: &'a StorePath,
    },
    /// Another process is building the same outputs.
    Waiting {
        /// Of this derivation.
        derivation: &'a StorePath,
    },
    /// A builder wrote a line.
    LogLine {
        /// Of this derivation.
        derivation: &'a StorePath,
        /// Without its end.
        line: &'a str,
    },
    /// A builder says which phase it is in.
    Phase {
        /// Of this derivation.
        derivation: &'a StorePath,
        /// Such as `buildPhase`.
        phase: &'a str,
    },
    /// A build has ended well.
    Finished {
        /// Of this derivation.
        derivation: &'a StorePath,
        /// All its outputs.
        outputs: &'a BTreeMap<String, StorePath>,
        /// How long it took; nothing where another process had built it meanwhile.
        duration: Option<Duration>,
    },
    /// A build has failed, or was not begun since one that it needs has.
    Failed {
        /// Of this derivation.
        derivation: &'a StorePath,
        /// Why.
        failure: &'a BuildFailure,
        /// How long it took.
        duration: Duration,
    },
    /// Something that the user should know.
    Warning(&'a str),
}

/// Takes the events.
pub type EventSink<'a> = &'a (dyn Fn(BuildEvent<'_>) + Sync);
