//! The text of syntax errors.

use crate::lexer::{Lexer, Token};
use crate::{Code, Diagnostic, ParseOptions, Source};

pub(crate) fn syntax_error(source: &Source, options: &ParseOptions<'_>) -> Box<Diagnostic> {
    let mut lexer = Lexer::new(source, options.pipe_operators);
    while let Ok(token) = lexer.next() {
        if token == Token::End {
            break;
        }
    }
    Box::new(Diagnostic::error("syntax error", source.pos(lexer.start)).with_code(Code::SYNTAX))
}
