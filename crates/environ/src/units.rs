//! User units and systemd's user manager.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What is asked of the manager for a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// Stop it.
    Stop,
    /// Have it read its configuration again.
    Reload,
    /// Stop and start it in one job.
    Restart,
    /// Start it.
    Start,
}

impl Verb {
    /// The word that `systemctl` has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::Start => "start",
        }
    }
}

/// A request that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitAction {
    /// The unit's name.
    pub unit: String,
    /// What was asked.
    pub verb: Verb,
}

/// What this crate asks of systemd's user manager.
pub trait UnitManager {
    /// Why there is no manager to ask, if so.
    fn unavailable(&self) -> Option<String>;
    /// Has the manager read the unit files again.
    fn daemon_reload(&self) -> Result<()>;
    /// Which of these units are active.
    fn active(&self, units: &[String]) -> Result<BTreeSet<String>>;
    /// Asks one thing for several units, and waits for it.
    fn request(&self, verb: Verb, units: &[String]) -> Result<()>;
}

/// The manager, reached through `systemctl --user`.
pub struct Systemctl {
    /// The program.
    pub program: PathBuf,
    /// Its environment; `XDG_RUNTIME_DIR` tells it where the manager is.
    pub environment: Vec<(OsString, OsString)>,
}

impl Systemctl {
    fn run(&self, arguments: &[&str], units: &[String]) -> Result<Output> {
        let request = || {
            std::iter::once(arguments.join(" ")).chain(units.iter().cloned()).collect::<Vec<_>>().join(" ")
        };
        Command::new(&self.program)
            .arg("--user")
            .args(arguments)
            .arg("--")
            .args(units)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Error::Units { request: request(), problem: error.to_string() })
    }

    fn succeed(&self, arguments: &[&str], units: &[String]) -> Result<()> {
        let output = self.run(arguments, units)?;
        if output.status.success() {
            return Ok(());
        }
        let request =
            std::iter::once(arguments.join(" ")).chain(units.iter().cloned()).collect::<Vec<_>>().join(" ");
        Err(Error::Units { request, problem: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
    }
}

impl UnitManager for Systemctl {
    fn unavailable(&self) -> Option<String> {
        match self.run(&["is-system-running"], &[]) {
            Err(error) => Some(error.to_string()),
            Ok(output) => {
                let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                match &*state {
                    "running" | "degraded" | "starting" => None,
                    "" => Some("systemd's user manager does not run here".into()),
                    _ => Some(format!("systemd's user manager is {state}")),
                }
            }
        }
    }

    fn daemon_reload(&self) -> Result<()> {
        self.succeed(&["daemon-reload"], &[])
    }

    fn active(&self, units: &[String]) -> Result<BTreeSet<String>> {
        if units.is_empty() {
            return Ok(BTreeSet::new());
        }
        // One line a unit, in the order of the question; the exit code tells of all at once.
        let output = self.run(&["is-active"], units)?;
        let states = String::from_utf8_lossy(&output.stdout).into_owned();
        let active = |state: &str| matches!(state, "active" | "activating" | "reloading");
        Ok(units
            .iter()
            .zip(states.lines())
            .filter(|(_, state)| active(state))
            .map(|(unit, _)| unit.clone())
            .collect())
    }

    fn request(&self, verb: Verb, units: &[String]) -> Result<()> {
        if units.is_empty() { Ok(()) } else { self.succeed(&[verb.word()], units) }
    }
}

/// For a home that systemd's user manager does not read: its units can be linked, but not started.
#[derive(Debug)]
pub struct OtherHome;

impl UnitManager for OtherHome {
    fn unavailable(&self) -> Option<String> {
        Some("systemd's user manager reads another home than this one".into())
    }

    fn daemon_reload(&self) -> Result<()> {
        Ok(())
    }

    fn active(&self, _units: &[String]) -> Result<BTreeSet<String>> {
        Ok(BTreeSet::new())
    }

    fn request(&self, _verb: Verb, _units: &[String]) -> Result<()> {
        Ok(())
    }
}

/// What a unit file says of how it wants to be switched. Keys as Home Manager and NixOS write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manners {
    pub(crate) on_change: OnChange,
    pub(crate) may_start: bool,
    pub(crate) may_stop: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnChange {
    Keep,
    Reload,
    Restart,
    StopAndStart,
}

pub(crate) fn manners(text: &str) -> Manners {
    let mut manners = Manners { on_change: OnChange::Restart, may_start: true, may_stop: true };
    let mut method = None;
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let yes = matches!(&*value.trim().to_ascii_lowercase(), "true" | "yes" | "on" | "1");
        match key.trim() {
            "X-SwitchMethod" => {
                method = match value.trim() {
                    "reload" => Some(OnChange::Reload),
                    "restart" => Some(OnChange::Restart),
                    "stop-start" => Some(OnChange::StopAndStart),
                    "keep-old" => Some(OnChange::Keep),
                    _ => method,
                }
            }
            "X-RestartIfChanged" if !yes => manners.on_change = OnChange::Keep,
            "X-ReloadIfChanged" if yes => manners.on_change = OnChange::Reload,
            "X-StopIfChanged" if yes && manners.on_change == OnChange::Restart => {
                manners.on_change = OnChange::StopAndStart;
            }
            "RefuseManualStart" => manners.may_start = !yes,
            "RefuseManualStop" => manners.may_stop = !yes,
            _ => {}
        }
    }
    manners.on_change = method.unwrap_or(manners.on_change);
    manners
}

/// Undoes requests, once the old unit files are back.
pub(crate) fn go_back(manager: &dyn UnitManager, actions: &[UnitAction]) -> Result<()> {
    let with = |verb| names(actions, verb);
    // A unit that was stopped and started again has the old file once more.
    let stopped = with(Verb::Stop);
    let (again, started): (Vec<_>, Vec<_>) =
        with(Verb::Start).into_iter().partition(|unit| stopped.contains(unit));
    let restart: Vec<_> = with(Verb::Restart).into_iter().chain(again.iter().cloned()).collect();
    let start: Vec<_> = stopped.into_iter().filter(|unit| !again.contains(unit)).collect();
    // One that fails must not keep the others from going back.
    let asked = [
        manager.request(Verb::Stop, &started),
        manager.daemon_reload(),
        manager.request(Verb::Reload, &with(Verb::Reload)),
        manager.request(Verb::Restart, &restart),
        manager.request(Verb::Start, &start),
    ];
    asked.into_iter().collect()
}

pub(crate) fn names(actions: &[UnitAction], verb: Verb) -> Vec<String> {
    actions.iter().filter(|action| action.verb == verb).map(|action| action.unit.clone()).collect()
}
