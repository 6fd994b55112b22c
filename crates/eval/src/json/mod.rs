//! JSON as the language reads and writes it: to the byte what nlohmann's library does in C++ Nix,
//! with its error messages.

mod float;
mod parse;
mod write;

pub use float::write_float;
pub use parse::{JsonError, JsonValue, parse};
pub use write::{Utf8Error, write_string};

#[cfg(test)]
mod tests;
