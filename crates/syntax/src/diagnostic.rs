//! What went wrong, as data: one structure for errors and warnings of the language, shown by one of two
//! renderers.

use crate::{Code, Pos};

/// An error or a warning with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// What kind of problem it is, if it has a number.
    pub code: Option<Code>,
    /// The message, as the reference words it.
    pub message: String,
    /// Where it is.
    pub pos: Pos,
    /// Other places that have a part in it. The reference's renderer leaves them out.
    pub labels: Vec<Label>,
    /// How evaluation got there, outermost first (the order in which they are printed).
    pub frames: Vec<Frame>,
    /// Ways on. The reference's renderer leaves them out.
    pub hints: Vec<String>,
    /// Names that may have been meant, best first.
    pub suggestions: Vec<String>,
}

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// A warning that the evaluated expression itself gave.
    EvaluationWarning,
}

/// A second place in the text with a remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub pos: Pos,
    /// The remark.
    pub text: String,
}

/// One step of how evaluation got to an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The step, such as `while calling the 'map' builtin`.
    pub text: String,
    /// Where, if known.
    pub pos: Pos,
    /// Whether it is shown even where frames are cut off (`addErrorContext`).
    pub always: bool,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(message: impl Into<String>, pos: Pos) -> Diagnostic {
        Diagnostic {
            level: Level::Error,
            code: None,
            message: message.into(),
            pos,
            labels: Vec::new(),
            frames: Vec::new(),
            hints: Vec::new(),
            suggestions: Vec::new(),
        }
    }

    /// The same with a code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Diagnostic {
        self.code = Some(code);
        self
    }

    /// The same with one more label.
    #[must_use]
    pub fn with_label(mut self, pos: Pos, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { pos, text: text.into() });
        self
    }

    /// The same with one more hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hints.push(hint.into());
        self
    }

    /// The same with suggestions.
    #[must_use]
    pub fn with_suggestions(mut self, suggestions: Vec<String>) -> Diagnostic {
        self.suggestions = suggestions;
        self
    }

    /// Adds an outer step: one that led to all the steps so far.
    pub fn push_outer_frame(&mut self, text: impl Into<String>, pos: Pos) {
        self.frames.insert(0, Frame { text: text.into(), pos, always: false });
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}
