//! Sources: flake references, inputs and lock files.
