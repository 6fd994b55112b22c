//! The main job, end to end: the real program on scratch stores and scratch homes.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod bad_builds;
mod bad_declarations;
mod bad_homes;
mod bad_stores;
mod cut_short;
mod example;
mod flakes;
mod main_job;
mod stage;
mod units;
