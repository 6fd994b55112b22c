//! Diagnostics as text, in the reference's words or in Nival's own form.

mod human;
mod reference;
mod steps;
mod terminal;

pub use human::{HumanStyle, render_human};
pub use reference::render_reference;
pub use terminal::filter_escapes;
