//! Everything an environment asks of the machine, read once by the caller and handed in.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::profile::Profile;
use crate::units::UnitManager;

/// The user, the home, the store and the services that an environment is switched with.
pub struct Context<'a> {
    /// The user's name.
    pub user: String,
    /// The home directory.
    pub home: PathBuf,
    /// `$XDG_STATE_HOME`, or its default under the home.
    pub state_home: PathBuf,
    /// The process id that is written into the lock, and makes temporary names of two processes differ.
    pub pid: u32,
    /// The environment that scripts are run with; `PATH` among it is where their shell is looked for.
    pub environment: Vec<(OsString, OsString)>,
    /// Put before the shell that runs scripts, for a store that is seen at its place only by a wrapper.
    pub script_prefix: Vec<OsString>,
    /// Where the store's files are.
    pub store: StoreView,
    /// The generations' profile.
    pub profile: &'a dyn Profile,
    /// systemd's user manager.
    pub units: &'a dyn UnitManager,
    /// The time.
    pub now: jiff::Timestamp,
    /// Who is told what happens, and may stop it.
    pub progress: &'a dyn Progress,
}

impl Context<'_> {
    /// Where Nival keeps what it must remember of this home: lock, journal, record.
    pub fn state_dir(&self) -> PathBuf {
        self.state_home.join("nival/home")
    }
}

/// A store's name and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreView {
    /// The name in store paths, as `/nix/store`.
    pub logical: PathBuf,
    /// Where the files are.
    pub physical: PathBuf,
}

impl StoreView {
    /// Where the file of this name is; paths outside of the store stay as they are.
    pub fn real(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.logical).map_or_else(|_| path.to_owned(), |rest| self.physical.join(rest))
    }

    /// The name of the file at this place.
    pub fn name_of(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.physical).map_or_else(|_| path.to_owned(), |rest| self.logical.join(rest))
    }

    /// Whether every program sees the store's files by their names.
    pub fn is_in_place(&self) -> bool {
        self.logical == self.physical
    }
}

/// What happens during a switch, for the user's eyes.
#[derive(Debug)]
pub enum Event<'e> {
    /// A switch that was cut short was led back before anything else was done.
    Recovered(&'e crate::undo::WentBack),
    /// The plan that is now applied.
    Planned(&'e crate::plan::Plan),
    /// A step of the activation starts.
    Step {
        /// Its name.
        name: &'e str,
    },
    /// A script printed a line.
    Output {
        /// The step's name.
        step: &'e str,
        /// The line, without its end.
        line: &'e str,
    },
    /// A step failed and the home is led back.
    GoingBack {
        /// The step's name.
        step: &'e str,
    },
}

/// Follows a switch.
pub trait Progress {
    /// Told of what happens.
    fn event(&self, event: Event<'_>);

    /// Asked before each change, and while scripts run. An error stops the switch there, which then leads
    /// the home back: so a caller answers to an interrupt.
    fn checkpoint(&self, _before: &str) -> io::Result<()> {
        Ok(())
    }
}

/// Follows nothing.
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: Event<'_>) {}
}
