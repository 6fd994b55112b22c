//! Errors of evaluation.
//!
//! An error is one word, so that results stay in registers. Frames ("while calling …") are put on while it
//! travels outwards and are formatted only when it is shown. A thunk that failed keeps its error, and with it
//! the frames of the first time, as in the reference; asked again it gives a copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use nival_syntax::{Code, Diagnostic, Frame, Pos, Symbol};

/// What evaluation results in.
pub type Result<T, E = EvalError> = std::result::Result<T, E>;

/// An error of evaluation.
pub struct EvalError(Arc<Body>);

struct Body {
    kind: ErrorKind,
    pos: Pos,
    problem: Arc<Problem>,
    /// The outermost frame, or null.
    frames: AtomicPtr<Link>,
    /// Whether a debugger has seen it.
    is_debugged: AtomicBool,
}

impl Clone for Body {
    fn clone(&self) -> Body {
        let frames = AtomicPtr::new(self.frames.load(Ordering::Acquire));
        let is_debugged = AtomicBool::new(self.is_debugged.load(Ordering::Relaxed));
        Body { kind: self.kind, pos: self.pos, problem: self.problem.clone(), frames, is_debugged }
    }
}

impl Clone for EvalError {
    /// A copy: frames put on one of them are not seen in the other.
    fn clone(&self) -> EvalError {
        EvalError(Arc::new(Body::clone(&self.0)))
    }
}

#[derive(Clone)]
struct Problem {
    message: String,
    suggestions: Vec<String>,
    hints: Vec<String>,
    /// Made by the parser: shown as it is.
    diagnostic: Option<Diagnostic>,
}

/// A frame and those inside of it. These are leaked: errors are few, and most end the process.
struct Link {
    text: FrameText,
    pos: Pos,
    always: bool,
    inner: Option<&'static Link>,
}

/// What kind of error it is: decides what `tryEval` catches, and the code that is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// `throw`
    Throw,
    /// `assert`
    Assertion,
    /// `abort`
    Abort,
    /// A value of another type than was wanted.
    Type,
    /// A variable that nothing defines.
    UndefinedVariable,
    /// An attribute that isn't there.
    MissingAttribute,
    /// A function called without a needed argument.
    MissingArgument,
    /// A function called with an argument it doesn't know.
    UnexpectedArgument,
    /// A value that needs itself.
    InfiniteRecursion,
    /// Calls nested too deeply.
    StackOverflow,
    /// A file that isn't there.
    MissingFile,
    /// A `<name>` that was not found.
    SearchPath,
    /// Division by zero, overflow.
    Arithmetic,
    /// A string context where none is allowed.
    Context,
    /// Something that pure evaluation forbids.
    Impure,
    /// Text that is not an expression.
    Syntax,
    /// What was fetched is not what was asked for.
    HashMismatch,
    /// Said by the host: reading, fetching, building, storing.
    Host,
    /// The user wants it to end.
    Interrupted,
    /// More was asked for than there can be. This has no frames, as in the reference.
    OutOfMemory,
    /// Evaluation that came to nothing: it was ahead of need, or is tried in another way. No caller ever sees it.
    Abandoned,
    /// What the reference takes for a mistake in the command line.
    Usage,
    /// Anything else.
    Other,
}

/// The text of a frame.
pub enum FrameText {
    /// Known before.
    Static(&'static str),
    /// A name between two texts.
    Named(&'static str, Symbol, &'static str),
    /// "while calling the '…' builtin"
    Builtin(&'static str),
    /// Anything else.
    Owned(Box<str>),
}

impl From<&'static str> for FrameText {
    fn from(text: &'static str) -> FrameText {
        FrameText::Static(text)
    }
}

impl From<String> for FrameText {
    fn from(text: String) -> FrameText {
        FrameText::Owned(text.into())
    }
}

impl FrameText {
    fn format(&self) -> String {
        match self {
            FrameText::Static(text) => (*text).to_owned(),
            FrameText::Named(before, name, after) => format!("{before}{}{after}", name.to_identifier()),
            FrameText::Builtin(name) => format!("while calling the '{name}' builtin"),
            FrameText::Owned(text) => text.to_string(),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, FrameText::Static(""))
    }
}

impl EvalError {
    /// An error without a position.
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> EvalError {
        let problem =
            Problem { message: message.into(), suggestions: Vec::new(), hints: Vec::new(), diagnostic: None };
        let frames = AtomicPtr::default();
        let is_debugged = AtomicBool::new(false);
        EvalError(Arc::new(Body { kind, pos: Pos::NONE, problem: Arc::new(problem), frames, is_debugged }))
    }

    /// Whether no debugger has seen it so far; one has, from now on.
    pub(crate) fn is_new_to_debugger(&self) -> bool {
        !self.0.is_debugged.swap(true, Ordering::Relaxed)
    }

    /// The same error: frames put on one are seen in both.
    pub(crate) fn share(&self) -> EvalError {
        EvalError(self.0.clone())
    }

    /// An error of no special kind.
    #[cold]
    pub fn other(message: impl Into<String>) -> EvalError {
        EvalError::new(ErrorKind::Other, message)
    }

    /// An error about a value's type.
    #[cold]
    pub fn of_type(message: impl Into<String>) -> EvalError {
        EvalError::new(ErrorKind::Type, message)
    }

    /// What the parser found.
    #[cold]
    pub fn syntax(diagnostic: Diagnostic) -> EvalError {
        let pos = diagnostic.pos;
        let mut error = EvalError::new(ErrorKind::Syntax, diagnostic.message.clone()).at(pos);
        error.problem().diagnostic = Some(diagnostic);
        error
    }

    fn problem(&mut self) -> &mut Problem {
        Arc::make_mut(&mut Arc::make_mut(&mut self.0).problem)
    }

    /// The same at a place.
    #[must_use]
    pub fn at(mut self, pos: Pos) -> EvalError {
        Arc::make_mut(&mut self.0).pos = pos;
        self
    }

    pub(crate) fn append(mut self, text: &str) -> EvalError {
        self.problem().message.push_str(text);
        self
    }

    /// The same with names that may have been meant.
    #[must_use]
    pub fn with_suggestions(mut self, suggestions: Vec<String>) -> EvalError {
        self.problem().suggestions = suggestions;
        self
    }

    /// The same with one more way on.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> EvalError {
        self.problem().hints.push(hint.into());
        self
    }

    /// The same with one more step outside of those so far. An empty text without a place is no step.
    #[must_use]
    pub fn with_frame(self, text: impl Into<FrameText>, pos: Pos) -> EvalError {
        self.push(text.into(), pos, false);
        self
    }

    /// The same with a step that is always shown (`addErrorContext`).
    #[must_use]
    pub fn with_lasting_frame(self, text: impl Into<FrameText>, pos: Pos) -> EvalError {
        self.push(text.into(), pos, true);
        self
    }

    fn push(&self, text: FrameText, pos: Pos, always: bool) {
        if text.is_empty() || self.0.kind == ErrorKind::OutOfMemory {
            return;
        }
        let link = Link { text, pos, always, inner: self.outermost() };
        self.0.frames.store(Box::leak(Box::new(link)), Ordering::Release);
    }

    fn outermost(&self) -> Option<&'static Link> {
        // SAFETY: the pointer is null or comes from `Box::leak` in `push`.
        unsafe { self.0.frames.load(Ordering::Acquire).as_ref() }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message without place and frames.
    pub fn message(&self) -> &str {
        &self.0.problem.message
    }

    /// Where it is.
    pub fn pos(&self) -> Pos {
        self.0.pos
    }

    /// Whether `tryEval` makes a value of it.
    pub fn is_catchable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Throw | ErrorKind::Assertion | ErrorKind::SearchPath)
    }

    /// Whether the outermost frame begins so.
    pub(crate) fn frame_says(&self, text: &str) -> bool {
        self.outermost().is_some_and(|link| link.text.format().starts_with(text))
    }

    /// What the innermost frame says.
    pub(crate) fn innermost_frame(&self) -> Option<String> {
        let mut link = self.outermost()?;
        while let Some(inner) = link.inner {
            link = inner;
        }
        Some(link.text.format())
    }

    /// All that is known, for showing.
    pub fn to_diagnostic(&self) -> Diagnostic {
        let problem = &*self.0.problem;
        let mut diagnostic = problem.diagnostic.clone().unwrap_or_else(|| {
            let mut diagnostic = Diagnostic::error(problem.message.clone(), self.0.pos);
            diagnostic.code = self.0.kind.code();
            diagnostic
        });
        diagnostic.suggestions.extend(problem.suggestions.iter().cloned());
        diagnostic.hints.extend(problem.hints.iter().cloned());
        let mut frames = Vec::new();
        let mut next = self.outermost();
        while let Some(link) = next {
            frames.push(Frame { text: link.text.format(), pos: link.pos, always: link.always });
            next = link.inner;
        }
        diagnostic.frames.splice(0..0, frames);
        diagnostic
    }
}

impl ErrorKind {
    fn code(self) -> Option<Code> {
        Some(match self {
            ErrorKind::Throw => Code::THROW,
            ErrorKind::Assertion => Code::ASSERTION,
            ErrorKind::Abort => Code::ABORT,
            ErrorKind::Type => Code::TYPE,
            ErrorKind::UndefinedVariable => Code::UNDEFINED_VARIABLE,
            ErrorKind::MissingAttribute => Code::MISSING_ATTRIBUTE,
            ErrorKind::MissingArgument => Code::MISSING_ARGUMENT,
            ErrorKind::UnexpectedArgument => Code::UNEXPECTED_ARGUMENT,
            ErrorKind::InfiniteRecursion => Code::INFINITE_RECURSION,
            ErrorKind::StackOverflow => Code::STACK_OVERFLOW,
            ErrorKind::MissingFile => Code::MISSING_FILE,
            ErrorKind::SearchPath => Code::SEARCH_PATH,
            ErrorKind::Arithmetic => Code::ARITHMETIC,
            ErrorKind::Context => Code::CONTEXT,
            ErrorKind::Impure => Code::IMPURE,
            ErrorKind::Syntax => Code::SYNTAX,
            ErrorKind::HashMismatch
            | ErrorKind::Host
            | ErrorKind::Abandoned
            | ErrorKind::OutOfMemory
            | ErrorKind::Interrupted
            | ErrorKind::Usage
            | ErrorKind::Other => return None,
        })
    }
}

impl From<crate::host::HostError> for EvalError {
    #[cold]
    fn from(error: crate::host::HostError) -> EvalError {
        let mut result = EvalError::new(ErrorKind::Host, error.message);
        for frame in error.frames.into_iter().rev() {
            result = result.with_frame(frame, Pos::NONE);
        }
        for hint in error.hints {
            result = result.with_hint(hint);
        }
        result
    }
}

impl std::fmt::Debug for EvalError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?}: {}", self.0.kind, self.message())
    }
}

impl std::fmt::Display for EvalError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.message())
    }
}

impl std::error::Error for EvalError {}

/// Puts a frame on the error of a result.
pub trait InFrame<T> {
    /// The result, whose error has one more step.
    fn frame(self, text: impl Into<FrameText>, pos: Pos) -> Result<T>;
    /// The result, whose error has one more step that is only worded if there is an error.
    fn frame_with(self, text: impl FnOnce() -> String, pos: Pos) -> Result<T>;
    /// The same where the position has to be looked up, too.
    fn frame_at(self, frame: impl FnOnce() -> (String, Pos)) -> Result<T>;
}

impl<T> InFrame<T> for Result<T> {
    #[inline]
    fn frame(self, text: impl Into<FrameText>, pos: Pos) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(error.with_frame(text, pos)),
        }
    }

    #[inline]
    fn frame_with(self, text: impl FnOnce() -> String, pos: Pos) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(error.with_frame(text(), pos)),
        }
    }

    #[inline]
    fn frame_at(self, frame: impl FnOnce() -> (String, Pos)) -> Result<T> {
        self.map_err(|error| {
            let (text, pos) = frame();
            error.with_frame(text, pos)
        })
    }
}
