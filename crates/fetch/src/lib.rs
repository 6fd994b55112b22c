//! Sources: flake references and how a flake's outputs are called.
//!
//! What is here serves flakes in a folder whose only input is the library in the binary. Fetchers, registries and lock
//! files get their room here too.

mod flake_ref;

pub use flake_ref::{FlakeRef, FlakeRefError};

/// The function that turns a flake's source into the flake: `{ source, embedded } -> self`, in Nix.
///
/// `source` is the folder's store path, as a string with context or a path; `embedded` the outputs of the library in the
/// binary. The result has what C++ Nix gives a flake (manual, `nix flake`, "Flake format"): the outputs, `inputs`,
/// `outputs`, `sourceInfo`, `outPath` and `_type`.
pub const CALL_FLAKE: &str = include_str!("call-flake.nix");
