//! The Nix language's meaning: lazy evaluation of expressions to values.
