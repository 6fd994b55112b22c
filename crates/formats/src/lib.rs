//! The formats of Nix: hashes, store paths, NAR, derivations, as pure values without I/O.
