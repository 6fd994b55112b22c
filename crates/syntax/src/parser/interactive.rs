//! What interactive programs ask of the parser: lines of bindings, and the comments that document things.

use super::{Failure, ParseOptions, Parser, Result};
use crate::ast::{AttrName, DocComment, Expr, Leak, Spot, tag};
use crate::lexer::Token;
use crate::{Ast, ExprId, Pos, Source, Symbol};

/// What errors of texts that end too early say.
const END: &str = "unexpected end of file";

/// Why a line is not read as bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBindings {
    /// It may become bindings when more is typed.
    Incomplete,
    /// It is something else, or wrong.
    Other,
}

/// Parses bindings such as `a = 1; inherit (b) c`, of which the last needs no semicolon. They become a set that is
/// not recursive.
pub fn parse_bindings(source: &Source, options: &ParseOptions<'_>) -> Result<Ast<'static>, NoBindings> {
    if let (Ok(ast), _) = bindings_alone(source, options) {
        return Ok(ast);
    }
    match bindings_alone(&source.followed_by(b";"), options) {
        (Ok(ast), _) => Ok(ast),
        (Err(()), true) => Err(NoBindings::Incomplete),
        (Err(()), false) => Err(NoBindings::Other),
    }
}

/// The set of the bindings that are the whole source, and whether the source ended too early.
fn bindings_alone(source: &Source, options: &ParseOptions<'_>) -> (Result<Ast<'static>, ()>, bool) {
    let text = source.text();
    let mut parser = Parser::of(source, &text, options, Box::default());
    match parser.only_bindings() {
        Ok(root) if parser.lexer.failure.is_none() => {
            let mut room = parser.room;
            room.finish();
            let (root, base) = ((root, parser.deepest), source.pos(0).id());
            (Ok(Ast::keep(root, base, &mut room.symbols, &mut room.ast, &Leak)), false)
        }
        Err(Failure::Syntax) if parser.lexer.failure.is_none() => (Err(()), parser.token == Token::End),
        Err(Failure::Other(diagnostic)) if parser.lexer.failure.is_none() => {
            (Err(()), diagnostic.message.contains(END))
        }
        _ => (Err(()), parser.lexer.failure.is_some_and(|failure| failure.message.contains(END))),
    }
}

/// The text of the `/** … */` that stands before what is at a place, if its source can be parsed.
pub fn doc_comment_before(pos: Pos, options: &ParseOptions<'_>) -> Option<String> {
    let source = pos.source()?;
    let text = source.text();
    let mut parser = Parser::of(source, &text, options, Box::default());
    parser.file().ok()?;
    parser.doc_before(source.offset(pos)?)?.text()
}

impl Parser<'_> {
    fn only_bindings(&mut self) -> Result<ExprId> {
        self.advance();
        let pos = Spot::at(self.start());
        let set = self.new_set(false);
        self.bindings(set)?;
        if self.token == Token::End { Ok(self.add(pos, tag::SET, set.0, 0)) } else { Err(Failure::Syntax) }
    }
}

impl Ast<'static> {
    /// For a selection such as `a.b.c` without a default: what stands before the last name, and that name.
    pub fn before_last_name(mut self) -> Option<(Ast<'static>, Symbol)> {
        let Expr::Select { subject, path, default: None } = self.expr(self.root()) else { return None };
        let AttrName::Static(name) = self.path(path).last()? else { return None };
        if self.path(path).len() == 1 {
            self.set_root(subject);
        } else {
            self.shorten_path(path);
        }
        Some((self, name))
    }
}

impl DocComment {
    /// What it says: without its marks and without the indentation that all of its lines have.
    pub fn text(&self) -> Option<String> {
        let source = self.start.source()?;
        let text = source.text();
        let comment = text.get(source.offset(self.start)?..source.offset(self.end)?)?;
        let inner = comment.strip_prefix(b"/**")?.strip_suffix(b"*/")?;
        if inner.is_empty() {
            return Some(String::new());
        }
        // The opening mark counts as indentation of the first line.
        Some(without_indentation(&format!("   {}", String::from_utf8_lossy(inner))))
    }
}

/// The lines without the spaces that all of them start with but empty ones.
fn without_indentation(text: &str) -> String {
    let spaces = |line: &&str| line.len() - line.trim_start_matches(' ').len();
    let filled = text.split('\n').filter(|line| !line.trim_start_matches(' ').is_empty());
    let common = filled.map(|line| spaces(&line)).min().unwrap_or(0);
    let mut out = String::new();
    for line in text.split('\n') {
        out.push_str(line.get(common..).unwrap_or(""));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

    const OPTIONS: ParseOptions<'static> =
        ParseOptions { base_path: "/", home: None, pipe_operators: false, max_depth: crate::MAX_DEPTH };

    #[test]
    fn lines_of_bindings() {
        let table = [
            ("a = 1", Ok("{ a = 1; }")),
            ("a = 1;", Ok("{ a = 1; }")),
            ("a.b = 1; c = x: x", Ok("{ a = { b = 1; }; c = (x: x); }")),
            ("inherit (a) b c", Ok("{ inherit (a) b c; }")),
            ("# nothing", Ok("{ }")),
            ("a", Err(NoBindings::Other)),
            ("a b", Err(NoBindings::Other)),
            ("1 + 1", Err(NoBindings::Other)),
            ("{", Err(NoBindings::Other)),
            ("a = {", Err(NoBindings::Other)),
            ("a = ''", Err(NoBindings::Incomplete)),
            ("\"a", Err(NoBindings::Incomplete)),
            ("a = (1", Err(NoBindings::Other)),
        ];
        for (text, expected) in table {
            let source = Source::add(Origin::String, text).expect("room");
            let shown = parse_bindings(source, &OPTIONS)
                .map(|ast| String::from_utf8_lossy(&crate::print::print(&ast)).into_owned());
            assert_eq!(shown, expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn comments() {
        let text = "{\n  /**\n    One.\n\n      Two.\n  */\n  a = 1;\n  b = 2;\n}";
        let source = Source::add(Origin::String, text).expect("room");
        let at = |what: &str| source.pos(text.find(what).expect("it is there"));
        let found = doc_comment_before(at("a = 1"), &OPTIONS);
        assert_eq!(found.as_deref(), Some("\nOne.\n\n  Two.\n\n"));
        assert_eq!(doc_comment_before(at("b = 2"), &OPTIONS), None);
    }
}
