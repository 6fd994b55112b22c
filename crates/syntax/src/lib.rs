//! The Nix language's text: lexer, parser, spans, source map and diagnostics.
//!
//! [`parse`] turns a [`Source`] into an [`Ast`], or into a [`Diagnostic`] worded as C++ Nix words it. Nothing
//! here knows of values, scopes or the store, or touches the disk.

pub mod ast;
mod code;
mod diagnostic;
mod expected;
mod lalr;
mod lexer;
mod lint;
mod parser;
mod prefetch;
pub mod print;
mod raw;
mod render;
mod scan;
mod source;
mod suggest;
mod symbol;

pub use ast::{Ast, Condensed, Expr, ExprId, Keep, KeptParts, KeptTree, Leak, Plain, checksum};
pub use code::Code;
pub use diagnostic::{Diagnostic, Frame, Label, Level};
pub use lint::{Lint, LintKind};
pub use parser::{
    MAX_DEPTH, NoBindings, ParseOptions, Parsed, doc_comment_before, parse, parse_and_keep, parse_bindings,
    parse_for_now,
};
pub use prefetch::prefetch;
pub use raw::{raw_bytes, raw_text};
pub use render::{HumanStyle, filter_escapes, render_human, render_reference};
pub use source::{Origin, Place, Pos, ReadText, Source, TooMuchText};
pub use suggest::suggestions;
pub use symbol::Symbol;
