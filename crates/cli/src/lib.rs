//! The commands: nival and the nix names.
