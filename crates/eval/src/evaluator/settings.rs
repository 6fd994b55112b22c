//! What evaluation depends on besides the expression and the host.

use std::sync::Arc;

use crate::debug::Debugging;
use crate::memory::Collection;
use crate::watch::Watch;

/// Settings of an evaluator. Names are those of the reference's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `pure-eval`: no environment, no files but those in the store.
    pub pure_eval: bool,
    /// `restrict-eval`: no files outside of the search path.
    pub restrict_eval: bool,
    /// `allowed-uris`: what restricted evaluation may fetch.
    pub allowed_uris: Vec<String>,
    /// `allow-import-from-derivation`
    pub allow_import_from_derivation: bool,
    /// `trace-import-from-derivation`
    pub trace_import_from_derivation: bool,
    /// `max-call-depth`
    pub max_call_depth: u32,
    /// `eval-system` or `system`, such as `x86_64-linux`.
    pub current_system: String,
    /// `NIX_PATH` and `-I`, in the order in which they are tried.
    pub search_path: Vec<SearchEntry>,
    /// `trace-verbose`
    pub trace_verbose: bool,
    /// `show-trace`: keeps a frame for each call.
    pub show_trace: bool,
    /// `abort-on-warn`
    pub abort_on_warn: bool,
    /// `lint-url-literals`
    pub lint_url_literals: LintLevel,
    /// `lint-absolute-path-literals`
    pub lint_absolute_path_literals: LintLevel,
    /// `lint-short-path-literals`
    pub lint_short_path_literals: LintLevel,
    /// Whether messages show the files of fetched source trees where these come from, not in the store: C++ Nix does so in
    /// pure evaluation.
    pub shows_sources: bool,
    /// The folder that `~/` stands for, if it may be known.
    pub home: Option<String>,
    /// `eval-cores`: how many threads evaluate; 0 stands for one for each core. Who watches evaluation
    /// (a debugger, a profiler) wants 1.
    pub eval_cores: usize,
    /// How much is said of what is being done.
    pub verbosity: Verbosity,
    /// `experimental-features`
    pub experimental_features: Vec<String>,
    /// When memory of values that nothing refers to is used again. This holds for the whole process.
    pub collection: Collection,
    /// Who counts and times what evaluation does, if anybody.
    pub watch: Option<Arc<Watch>>,
    /// Who wants to look around where evaluation stops, if anybody.
    pub debugging: Option<Arc<Debugging>>,
}

/// How much is said of what is being done: the levels from the usual one on, and less (C++ Nix, `libutil/include/nix/util/logging.hh`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verbosity {
    /// Less than usual.
    Quiet,
    /// Nothing more than usual.
    Usual,
    /// Which files are evaluated.
    Talkative,
    /// What is put into the store.
    Chatty,
    /// What helps to find faults.
    Debug,
    /// All there is.
    Everything,
}

/// What becomes of a literal that is advised against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LintLevel {
    /// Nothing.
    Ignore,
    /// There is a warning.
    Warn,
    /// It is an error.
    Fatal,
}

/// An entry of the search path: `prefix=path` or `path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchEntry {
    /// What a name must start with; may be empty.
    pub prefix: String,
    /// Where it is looked for: a path or a URL.
    pub path: String,
}

impl SearchEntry {
    /// Parses an entry as in `NIX_PATH` or `-I`.
    pub fn parse(text: &str) -> SearchEntry {
        let (prefix, path) = text.split_once('=').unwrap_or(("", text));
        SearchEntry { prefix: prefix.to_owned(), path: path.to_owned() }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            pure_eval: false,
            shows_sources: true,
            restrict_eval: false,
            allowed_uris: Vec::new(),
            allow_import_from_derivation: true,
            trace_import_from_derivation: false,
            max_call_depth: 10_000,
            current_system: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            search_path: Vec::new(),
            trace_verbose: false,
            show_trace: false,
            abort_on_warn: false,
            lint_url_literals: LintLevel::Ignore,
            lint_absolute_path_literals: LintLevel::Ignore,
            lint_short_path_literals: LintLevel::Ignore,
            home: None,
            eval_cores: 0,
            verbosity: Verbosity::Usual,
            experimental_features: Vec::new(),
            collection: Collection::default(),
            watch: None,
            debugging: None,
        }
    }
}

impl Settings {
    /// Whether an experimental feature is on.
    pub fn has_feature(&self, name: &str) -> bool {
        self.experimental_features.iter().any(|feature| feature == name)
    }
}
