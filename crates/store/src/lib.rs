//! The Nix store on disk: paths, database, locks, roots, profiles and garbage collection.
