//! What is accepted but advised against: literals, by settings (C++ Nix manual, `lint-…` in `nix.conf`), and
//! `or` as a variable.

use crate::Pos;

/// A text that some would rather not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Why.
    pub kind: LintKind,
    /// Where it is.
    pub pos: Pos,
    pub(crate) length: u32,
}

/// What is unwanted.
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
    /// `f or` where it is an argument, an element or a default.
    Or,
}

impl Lint {
    /// The text as written.
    pub fn text(&self) -> String {
        let text = self.pos.source().and_then(|source| {
            let start = source.offset(self.pos)?;
            Some(crate::raw_text(source.text().get(start..start + self.length as usize)?).into_owned())
        });
        text.unwrap_or_default()
    }

    /// The message for a warning or an error.
    pub fn message(&self, fatal: bool) -> String {
        let literal = self.text();
        let portable = |what: &str| {
            format!(
                "{what} path literals are not portable. Consider replacing path literal '{literal}' by a \
                 string, relative path, or parameter (lint-absolute-path-literals)"
            )
        };
        match self.kind {
            LintKind::Url => format!(
                "URL literals are {}. Consider using a string literal \"{literal}\" instead (lint-url-literals)",
                if fatal { "disallowed" } else { "discouraged" }
            ),
            LintKind::AbsolutePath => portable("absolute"),
            LintKind::HomePath => portable("home"),
            LintKind::ShortPath => format!(
                "relative path literal '{literal}' should be prefixed with '.' for clarity: './{literal}' \
                 (lint-short-path-literals)"
            ),
            LintKind::Or => format!(
                "at {}: This expression uses `or` as an identifier in a way that will change in a future Nix \
                 release.\nWrap this entire expression in parentheses to preserve its current meaning:\n    \
                 ({})\nGive feedback at https://github.com/NixOS/nix/pull/11121",
                self.pos.display(),
                literal.replace("\r\n", "\n").replace('\r', "\n")
            ),
        }
    }
}
