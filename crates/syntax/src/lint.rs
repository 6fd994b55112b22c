//! Literals that settings can advise against (C++ Nix manual, `lint-…` in `nix.conf`).

use crate::Pos;

/// A literal that some would rather not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Why.
    pub kind: LintKind,
    /// Where it is.
    pub pos: Pos,
    pub(crate) length: u32,
}

/// What is unwanted in a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LintKind {
    /// `http://example.org` without quotes.
    Url,
    /// `/a/b`
    AbsolutePath,
    /// `~/a`
    HomePath,
    /// `a/b` instead of `./a/b`
    ShortPath,
}

impl Lint {
    /// The setting that decides about it.
    pub fn setting(&self) -> &'static str {
        match self.kind {
            LintKind::Url => "lint-url-literals",
            LintKind::AbsolutePath | LintKind::HomePath => "lint-absolute-path-literals",
            LintKind::ShortPath => "lint-short-path-literals",
        }
    }

    /// The literal as written.
    pub fn literal(&self) -> String {
        let literal = self.pos.source().and_then(|source| {
            let start = source.offset(self.pos)?;
            source.text().get(start..start + self.length as usize)
        });
        String::from_utf8_lossy(literal.unwrap_or_default()).into_owned()
    }

    /// The message for a warning or an error.
    pub fn message(&self, fatal: bool) -> String {
        let literal = self.literal();
        let portable = |what: &str| {
            format!(
                "{what} path literals are not portable. Consider replacing path literal '{literal}' by a \
                 string, relative path, or parameter"
            )
        };
        let text = match self.kind {
            LintKind::Url => format!(
                "URL literals are {}. Consider using a string literal \"{literal}\" instead",
                if fatal { "disallowed" } else { "discouraged" }
            ),
            LintKind::AbsolutePath => portable("absolute"),
            LintKind::HomePath => portable("home"),
            LintKind::ShortPath => format!(
                "relative path literal '{literal}' should be prefixed with '.' for clarity: './{literal}'"
            ),
        };
        format!("{text} ({})", self.setting())
    }
}
