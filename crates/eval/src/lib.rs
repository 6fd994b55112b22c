//! The Nix language's meaning: lazy evaluation of expressions to values.
//!
//! [`Evaluator`] turns text into [`Value`]s. It asks everything of the world through a [`Host`] and touches
//! neither disk nor network nor environment itself. Built-in functions are in [`builtins`].

#![expect(clippy::inline_always, reason = "the few words of work in hot paths must not become calls")]

mod attr_path;
pub mod builtins;
mod code;
mod compile;
mod context;
pub mod debug;
pub mod ere;
mod error;
mod evaluator;
mod flake;
mod hash;
pub mod host;
mod interactive;
pub mod json;
mod lately;
mod memory;
pub mod memory_host;
mod packages;
mod path;
mod print;
mod stack;
pub mod toml;
mod value;
pub mod versions;
pub mod watch;

pub use attr_path::parse_path;
pub use context::{Context, ContextElement, DerivationRef};
pub use error::{ErrorKind, EvalError, FrameText, InFrame, Result};
pub use evaluator::{
    Coercion, Evaluator, Interrupt, LintLevel, SearchEntry, Settings, SharedState, Verbosity, describe_type,
    is_pseudo_url,
};
pub use flake::LockOptions;
pub use host::Host;
pub use interactive::{Documentation, Line, Variables};
pub use memory::{Collection, Statistics, Wiping};
pub use packages::Package;
pub use print::{PrintErrors, PrintOptions};
pub use stack::with_big_stack;
pub use value::{
    Attr, Attrs, AttrsBuilder, AttrsIter, Builtin, Constant, Lambda, List, ListBuilder, Partial, Str, Value,
    View,
};
