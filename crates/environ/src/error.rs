//! What can go wrong with an environment, each with its cause, its place and where there is one a way on.

use std::io;
use std::path::{Path, PathBuf};

use crate::plan::Conflict;
use crate::provenance::Reason;
use crate::undo::WentBack;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error about an environment.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read, written, moved or removed.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A generation's `manifest.json` or its file tree is not as it should be.
    #[error("the generation's file `{}` is not valid: {problem}", path.display())]
    Manifest {
        /// The file that is wrong.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Files that are not Nival's are where the new generation wants its own.
    #[error("{}", crate::render::conflicts(.0))]
    Conflicts(Vec<Conflict>),
    /// The home directory does not exist.
    #[error("the home directory `{}` does not exist", .0.display())]
    HomeMissing(PathBuf),
    /// The home directory can't be written to.
    #[error("the home directory `{}` is read-only: {source}", home.display())]
    HomeReadOnly {
        /// The home directory.
        home: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The generation was made for somebody else.
    #[error("this generation is for {what} `{wanted}`, but {what} here is `{found}`")]
    WrongOwner {
        /// `the user` or `the home directory`.
        what: &'static str,
        /// What the generation says.
        wanted: String,
        /// What the context says.
        found: String,
    },
    /// Another switch is under way.
    #[error("another switch of this home is under way ({holder})")]
    Busy {
        /// Who holds the lock, as that program wrote it down.
        holder: String,
    },
    /// A step of a switch failed; the home was led back.
    #[error("{}", crate::render::step_failure(.0))]
    Step(Box<StepError>),
    /// The caller asked to stop.
    #[error("interrupted before {0}")]
    Interrupted(String),
    /// A script exited with a failure.
    #[error("the script {status}")]
    Script {
        /// How it ended: `exited with code 3`, `was killed by signal 9`.
        status: String,
        /// The last lines that it printed.
        last_lines: Vec<String>,
    },
    /// systemd's user manager refused a request.
    #[error("`systemctl --user {request}` failed: {problem}")]
    Units {
        /// The verb and the units.
        request: String,
        /// What systemctl printed.
        problem: String,
    },
    /// There is no generation of that number.
    #[error("there is no generation {0}")]
    NoGeneration(u64),
    /// There is no generation at all.
    #[error("this home has no generation yet")]
    NoCurrent,
    /// There is no generation before the running one.
    #[error("there is no generation before generation {0}")]
    NoPrevious(u64),
    /// The running generation can't be removed.
    #[error("generation {0} is the running one and can't be removed")]
    RemoveCurrent(u64),
    /// An age that can't be read.
    #[error("`{0}` is not an age")]
    Age(String),
    /// The profile could not be read or changed.
    #[error("cannot {doing} the profile `{}`: {problem}", profile.display())]
    Profile {
        /// What was being done.
        doing: &'static str,
        /// The profile's link.
        profile: PathBuf,
        /// Why it failed.
        problem: String,
    },
    /// The journal of a switch that was cut short can't be read.
    #[error("the journal `{}` of a switch that was cut short can't be read: {problem}", path.display())]
    Journal {
        /// The journal's path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// A step of a switch that failed.
#[derive(Debug)]
pub struct StepError {
    /// The step's name, as in the manifest's activation list.
    pub step: String,
    /// Why it failed.
    pub cause: Error,
    /// Where the step was declared.
    pub reasons: Vec<Reason>,
    /// What was done to lead the home back.
    pub went_back: WentBack,
}

impl Error {
    /// For `map_err`: an I/O error with its place.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// A way on, where there is one.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Conflicts(conflicts) => return crate::render::ways_on(conflicts),
            Self::HomeMissing(home) => {
                format!(
                    "create it (`mkdir -p {}`) or set `home.homeDirectory` to the right place",
                    home.display()
                )
            }
            Self::HomeReadOnly { .. } => {
                "nothing was changed; mount the file system writable or mend the directory's permissions"
                    .into()
            }
            Self::WrongOwner { .. } => {
                "set `home.username` and `home.homeDirectory` to those of the user who switches".into()
            }
            Self::Busy { .. } => {
                "nothing was changed; try again when it has ended, or ask to wait for it".into()
            }
            Self::Step(step) => return step.cause.hint(),
            Self::Units { .. } => "`systemctl --user status` and `journalctl --user -xe` say more".into(),
            Self::NoGeneration(_) | Self::NoPrevious(_) => {
                "`nival home generations` lists those there are".into()
            }
            Self::NoCurrent => "`nival home switch` makes the first one".into(),
            Self::RemoveCurrent(_) => {
                "switch to another generation first, or remove everything with `nival home uninstall`".into()
            }
            Self::Age(_) => "give a number of days (`-30 days`, `30d`), or a date (`2026-11-20`)".into(),
            Self::Journal { path, .. } => {
                format!("look at the home by hand, then remove `{}`", path.display())
            }
            _ => return None,
        })
    }
}
