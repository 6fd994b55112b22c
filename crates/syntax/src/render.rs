//! Diagnostics as text, in the reference's words or in Nival's own form.

mod human;
mod reference;
mod steps;

pub use human::{HumanStyle, render_human};
pub use reference::render_reference;
