//! Environments: manifests, plans, activation, generations and undo.
//!
//! A generation is a store path with a [`manifest::Manifest`]. A [`plan::Plan`] is the difference between the
//! running generation, another one and the machine; [`switch::switch`] applies it, step by step, under a
//! [`lock`] and with a [`journal`] from which a switch that failed or was killed is led back.
//!
//! Nothing here reads the process' environment, the clock or the working directory: all of that comes in by
//! the [`context::Context`].

pub mod context;
pub mod error;
pub mod generations;
mod home_files;
pub mod journal;
pub mod lock;
pub mod manifest;
pub mod operation;
pub mod plan;
pub mod profile;
pub mod provenance;
pub mod record;
pub mod render;
pub mod scripts;
pub mod switch;
pub mod undo;
pub mod units;

pub use context::{Context, Event, Progress, Silent, StoreView};
pub use error::{Error, Result};
pub use manifest::Manifest;
pub use plan::{Options, Plan, Target};
pub use profile::{LinkProfile, Profile};
pub use provenance::{Provenance, Reason};
pub use switch::{Outcome, switch, uninstall};
