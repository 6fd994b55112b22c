//! Environments: manifests, plans, activation, generations and undo.
