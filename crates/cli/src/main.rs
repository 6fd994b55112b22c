//! The `nival` program.
fn main() {}
