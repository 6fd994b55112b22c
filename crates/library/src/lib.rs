//! The Nix library that is part of the binary: module system, builders, home modules.
