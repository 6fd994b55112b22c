//! The Nix language's text: lexer, parser, spans, source map and diagnostics.
