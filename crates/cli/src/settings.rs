//! Settings as in `nix.conf`: each is defined once here; the parser, `nival config`, and the reference book read the table.
//!
//! Sources, later ones winning (C++ Nix manual, `nix.conf`): `$NIX_CONF_DIR/nix.conf` (default `/etc/nix`), the files of
//! `$NIX_USER_CONF_FILES` or `$XDG_CONFIG_HOME/nix/nix.conf`, `$NIX_CONFIG`, then the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nival_eval::LintLevel;

use crate::context::Context;
use crate::error::{CommandError, Kind, Result};
use crate::features;

/// A value that a setting can have.
trait SettingValue: Sized {
    /// Whether `extra-…` adds to it.
    const IS_LIST: bool = false;
    fn parse(name: &str, text: &str) -> std::result::Result<Self, String>;
    fn show(&self) -> String;
}

/// What is said of a value that a setting cannot have.
fn invalid(kind: &str, name: &str, text: &str) -> String {
    format!("{kind} '{name}' has invalid value '{text}'")
}

impl SettingValue for bool {
    fn parse(name: &str, text: &str) -> std::result::Result<Self, String> {
        match text {
            "true" | "yes" | "1" => Ok(true),
            "false" | "no" | "0" => Ok(false),
            _ => Err(invalid("Boolean setting", name, text)),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for u64 {
    fn parse(name: &str, text: &str) -> std::result::Result<Self, String> {
        without_unit(text).parse().map_err(|_| invalid("setting", name, text))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for String {
    fn parse(name: &str, text: &str) -> std::result::Result<Self, String> {
        let is_valid = match name {
            "max-jobs" if text != "auto" && text.parse::<u32>().is_err() => {
                return Err("configuration setting 'max-jobs' should be 'auto' or an integer".into());
            }
            "sandbox" => text == "relaxed" || bool::parse(name, text).is_ok(),
            _ => true,
        };
        if is_valid { Ok(text.to_owned()) } else { Err(invalid("option", name, text)) }
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl SettingValue for LintLevel {
    fn parse(name: &str, text: &str) -> std::result::Result<Self, String> {
        match text {
            "ignore" => Ok(Self::Ignore),
            "warn" => Ok(Self::Warn),
            "fatal" => Ok(Self::Fatal),
            _ => Err(format!("{} (expected 'ignore', 'warn', or 'fatal')", invalid("option", name, text))),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Ignore => "ignore",
            Self::Warn => "warn",
            Self::Fatal => "fatal",
        }
        .into()
    }
}

impl SettingValue for Vec<String> {
    const IS_LIST: bool = true;
    fn parse(_: &str, text: &str) -> std::result::Result<Self, String> {
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }
    fn show(&self) -> String {
        self.join(" ")
    }
}

/// How evaluation is profiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvalProfiler {
    /// Not at all.
    Disabled,
    /// By the stacks of calls.
    Flamegraph,
}

impl SettingValue for EvalProfiler {
    fn parse(name: &str, text: &str) -> std::result::Result<Self, String> {
        match text {
            "disabled" => Ok(Self::Disabled),
            "flamegraph" => Ok(Self::Flamegraph),
            _ => Err(invalid("option", name, text)),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Disabled => "disabled",
            Self::Flamegraph => "flamegraph",
        }
        .into()
    }
}

/// One line of the settings table, for the reference.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// The name in `nix.conf`.
    pub name: &'static str,
    /// The default, as it would be written there.
    pub default: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Whether it is a list of words, which `extra-…` adds to.
    pub is_list: bool,
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $field:ident: $type:ty = $name:literal, $default:literal;)+) => {
        /// All settings with their values.
        #[derive(Debug, Clone)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $field: $type,)+
            /// The names of those that a file, the environment or the command line has set.
            pub given: BTreeSet<&'static str>,
            /// The values of settings of C++ Nix that change nothing here.
            pub accepted: BTreeMap<&'static str, String>,
        }

        /// Every setting in the order of the book.
        pub const DEFINITIONS: &[Definition] = &[
            $(Definition {
                name: $name,
                default: $default,
                description: concat!($($doc, "\n"),+),
                is_list: <$type>::IS_LIST,
            },)+
        ];

        impl Default for Settings {
            fn default() -> Self {
                Self {
                    $($field: <$type>::parse($name, $default).expect("defaults are well-formed"),)+
                    given: BTreeSet::new(),
                    accepted: BTreeMap::new(),
                }
            }
        }

        impl Settings {
            /// Sets one setting from its text. `Ok(false)`: no such setting.
            pub fn set(&mut self, name: &str, value: &str) -> std::result::Result<bool, String> {
                match name {
                    $($name => {
                        self.$field = <$type>::parse($name, value)?;
                        self.given.insert($name);
                    })+
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// Name and value of every setting.
            pub fn show(&self) -> Vec<(&'static str, String)> {
                vec![$(($name, self.$field.show()),)+]
            }
        }
    };
}

settings! {
    /// Whether `builtins.warn` ends evaluation with an error; `NIX_ABORT_ON_WARN=1` asks for it, too.
    abort_on_warn: bool = "abort-on-warn", "false";
    /// Whether a Git repository with uncommitted changes may be used as it is.
    allow_dirty: bool = "allow-dirty", "true";
    /// Host folders that a derivation may name in `__impureHostDeps`; they are bound read-only into its sandbox.
    allowed_impure_host_deps: Vec<String> = "allowed-impure-host-deps",
        "/usr /bin /sbin /lib /lib32 /lib64 /libx32 /etc/alternatives /etc/ld.so.cache";
    /// What evaluation may fetch although `restrict-eval` is on: URIs, each with all that is below it.
    allowed_uris: Vec<String> = "allowed-uris", "";
    /// Whether an expression may read what a derivation builds while it is being evaluated.
    allow_import_from_derivation: bool = "allow-import-from-derivation", "true";
    /// Cores that one builder may use (`NIX_BUILD_CORES`); 0 stands for all.
    cores: u64 = "cores", "0";
    /// Whether a command that was evaluated before is answered from the evaluation cache, as long as everything that it
    /// read is unchanged.
    eval_cache: bool = "eval-cache", "true";
    /// How many threads evaluate an expression; 0 stands for one for each core. Results, messages and errors are the same.
    eval_cores: u64 = "eval-cores", "0";
    /// Where the profile of an evaluation is written.
    eval_profile_file: String = "eval-profile-file", "nix.profile";
    /// Whether an evaluation is profiled: `disabled`, or `flamegraph` for the stacks of calls in folded form.
    eval_profiler: EvalProfiler = "eval-profiler", "disabled";
    /// How many times a second the profiler looks at the stack; 0 stands for each call.
    eval_profiler_frequency: u64 = "eval-profiler-frequency", "99";
    /// Whether the debugger stops at `builtins.trace`.
    debugger_on_trace: bool = "debugger-on-trace", "false";
    /// Whether the debugger stops at `builtins.warn`.
    debugger_on_warn: bool = "debugger-on-warn", "false";
    /// What `builtins.currentSystem` is; empty for `system`.
    eval_system: String = "eval-system", "";
    /// Features of the language and the commands that are not stable yet. None are on under the names of C++ Nix's programs,
    /// `nix-command flakes` are under the name `nival`.
    experimental_features: Vec<String> = "experimental-features", "";
    /// Whether the debugger passes over errors within `tryEval`.
    ignore_try: bool = "ignore-try", "false";
    /// Whether garbage collection keeps the derivations of what is kept.
    keep_derivations: bool = "keep-derivations", "true";
    /// Whether the build folder of a failed build is kept.
    keep_failed: bool = "keep-failed", "false";
    /// Whether other builds go on after one failed.
    keep_going: bool = "keep-going", "false";
    /// Whether garbage collection keeps the outputs of the derivations that are kept.
    keep_outputs: bool = "keep-outputs", "false";
    /// What becomes of absolute paths and those in `~` in expressions: `ignore`, `warn` or `fatal`.
    lint_absolute_path_literals: LintLevel = "lint-absolute-path-literals", "ignore";
    /// What becomes of relative paths without `./` in expressions: `ignore`, `warn` or `fatal`.
    lint_short_path_literals: LintLevel = "lint-short-path-literals", "ignore";
    /// What becomes of URLs without quotes in expressions: `ignore`, `warn` or `fatal`.
    lint_url_literals: LintLevel = "lint-url-literals", "ignore";
    /// How many of a failed builder's last lines are shown.
    log_lines: u64 = "log-lines", "25";
    /// The deepest nesting of function calls before evaluation stops with an error.
    max_call_depth: u64 = "max-call-depth", "10000";
    /// How many derivations are built at the same time; `auto` stands for one per core.
    max_jobs: String = "max-jobs", "auto";
    /// Seconds that a builder may be silent; 0 stands for no limit.
    max_silent_time: u64 = "max-silent-time", "0";
    /// Where `<name>` is looked up, when neither `-I` nor `NIX_PATH` says it.
    nix_path: Vec<String> = "nix-path", "";
    /// Whether files that were parsed before are not parsed again, folders that were listed before not listed again, and
    /// sources whose hash was computed before not hashed again, as long as they are unchanged.
    parse_cache: bool = "parse-cache", "true";
    /// Whether evaluation may only see what is pinned: no environment, time, or files outside of the store.
    pure_eval: bool = "pure-eval", "false";
    /// Whether evaluation may only read what `nix-path` names.
    restrict_eval: bool = "restrict-eval", "false";
    /// Whether builders run in a sandbox: `true`, `relaxed` (derivations may ask to be outside), or `false`.
    sandbox: String = "sandbox", "true";
    /// Further host paths that every sandbox sees, as `path`, `inside=outside`; a `?` at the end makes one optional.
    sandbox_paths: Vec<String> = "sandbox-paths", "";
    /// Whether errors print every frame of the evaluation.
    show_trace: bool = "show-trace", "false";
    /// The kind of machine that things are built for, such as `x86_64-linux`; empty for this one.
    system: String = "system", "";
    /// Features of this machine that derivations may require.
    system_features: Vec<String> = "system-features", "nixos-test benchmark big-parallel uid-range";
    /// Seconds that a builder may take; 0 stands for no limit.
    timeout: u64 = "timeout", "0";
    /// Whether there is a warning for each derivation that is built because an expression reads its output.
    trace_import_from_derivation: bool = "trace-import-from-derivation", "false";
    /// Whether each call tells of its beginning and its end.
    trace_function_calls: bool = "trace-function-calls", "false";
    /// Whether `builtins.traceVerbose` prints.
    trace_verbose: bool = "trace-verbose", "false";
    /// Whether there is a warning when a Git repository with uncommitted changes is used.
    warn_dirty: bool = "warn-dirty", "true";
    /// A former way to say `lint-short-path-literals = warn`.
    warn_short_path_literals: bool = "warn-short-path-literals", "false";
}

/// Former names of settings, which still work (C++ Nix, `globals.hh` and its kin).
const FORMER: &[(&str, &str)] = &[
    ("binary-cache-public-keys", "trusted-public-keys"),
    ("binary-caches", "substituters"),
    ("binary-caches-parallel-connections", "http-connections"),
    ("build-chroot-dirs", "sandbox-paths"),
    ("build-compress-log", "compress-build-log"),
    ("build-cores", "cores"),
    ("build-fallback", "fallback"),
    ("build-impersonate-linux-26", "impersonate-linux-26"),
    ("build-keep-log", "keep-build-log"),
    ("build-max-jobs", "max-jobs"),
    ("build-max-log-size", "max-build-log-size"),
    ("build-max-silent-time", "max-silent-time"),
    ("build-sandbox-paths", "sandbox-paths"),
    ("build-timeout", "timeout"),
    ("build-use-chroot", "sandbox"),
    ("build-use-sandbox", "sandbox"),
    ("build-use-substitutes", "substitute"),
    ("commit-lockfile-summary", "commit-lock-file-summary"),
    ("env-keep-derivations", "keep-env-derivations"),
    ("gc-keep-derivations", "keep-derivations"),
    ("gc-keep-outputs", "keep-outputs"),
    ("substitution-max-jobs", "max-substitution-jobs"),
    ("trusted-binary-caches", "trusted-substituters"),
];

/// `64K` and its like in full, as C++ Nix shows them.
fn without_unit(value: &str) -> String {
    let power = value.chars().last().and_then(|unit| "KMGT".find(unit));
    let number = power.and_then(|_| value[..value.len() - 1].parse::<u64>().ok());
    let product = power.zip(number).and_then(|(power, number)| number.checked_mul(1024 << (10 * power)));
    product.map_or_else(|| value.to_owned(), |product| product.to_string())
}

/// The name of a setting that may be given by a former one.
fn in_use(name: &str) -> std::borrow::Cow<'_, str> {
    let (prefix, base) = name.strip_prefix("extra-").map_or(("", name), |base| ("extra-", base));
    match FORMER.iter().find(|(former, _)| *former == base) {
        Some((_, now)) => format!("{prefix}{now}").into(),
        None => name.into(),
    }
}

/// How a setting is written as a flag of the command line, if there is one of that name.
pub(crate) fn flag_takes_value(name: &str) -> Option<bool> {
    let name = &*in_use(name);
    let base = name.strip_prefix("extra-").filter(|base| is_list(base)).unwrap_or(name);
    match DEFINITIONS.iter().find(|definition| definition.name == base) {
        Some(definition) => Some(!matches!(definition.default, "true" | "false")),
        None => ACCEPTED
            .iter()
            .find(|(known, _)| *known == base)
            .map(|(_, default)| !matches!(*default, "true" | "false")),
    }
}

/// Settings of C++ Nix 2.34 that change nothing here yet, with its defaults; accepted in silence so that shared `nix.conf` files work.
const ACCEPTED: &[(&str, &str)] = &[
    ("accept-flake-config", "false"),
    ("access-tokens", ""),
    ("allow-dirty-locks", "false"),
    ("allow-new-privileges", "false"),
    ("allow-symlinked-store", "false"),
    ("allow-unsafe-native-code-during-evaluation", "false"),
    ("allowed-users", "*"),
    ("always-allow-substitutes", "false"),
    ("auto-allocate-uids", "false"),
    ("auto-optimise-store", "false"),
    ("bash-prompt", ""),
    ("bash-prompt-prefix", ""),
    ("bash-prompt-suffix", ""),
    ("build-dir", ""),
    ("build-hook", ""),
    ("build-poll-interval", "5"),
    ("build-users-group", ""),
    ("builders", "@/etc/nix/machines"),
    ("builders-use-substitutes", "false"),
    ("commit-lock-file-summary", ""),
    ("compress-build-log", "true"),
    ("connect-timeout", "15"),
    ("diff-hook", ""),
    ("download-attempts", "5"),
    ("download-buffer-size", "1048576"),
    ("download-speed", "0"),
    ("eval-attrset-update-layer-rhs-threshold", "16"),
    ("external-builders", ""),
    ("extra-platforms", ""),
    ("fallback", "false"),
    ("filter-syscalls", "true"),
    ("flake-registry", "https://channels.nixos.org/flake-registry.json"),
    ("fsync-metadata", "true"),
    ("fsync-store-paths", "false"),
    ("gc-reserved-space", "8388608"),
    ("hashed-mirrors", ""),
    ("http-connections", "25"),
    ("http2", "true"),
    ("id-count", "8388608"),
    ("ignored-acls", "security.csm security.selinux system.nfs4_acl"),
    ("impersonate-linux-26", "false"),
    ("impure-env", ""),
    ("json-log-path", ""),
    ("keep-build-log", "true"),
    ("keep-env-derivations", "false"),
    ("max-build-log-size", "0"),
    ("max-free", "9223372036854775807"),
    ("max-substitution-jobs", "16"),
    ("min-free", "0"),
    ("min-free-check-interval", "5"),
    ("nar-buffer-size", "33554432"),
    ("narinfo-cache-meta-ttl", "604800"),
    ("narinfo-cache-negative-ttl", "3600"),
    ("narinfo-cache-positive-ttl", "2592000"),
    ("netrc-file", "/etc/nix/netrc"),
    ("nix-shell-always-looks-for-shell-nix", "true"),
    ("nix-shell-shebang-arguments-relative-to-script", "true"),
    ("plugin-files", ""),
    ("post-build-hook", ""),
    ("pre-build-hook", ""),
    ("preallocate-contents", "false"),
    ("print-missing", "true"),
    ("require-drop-supplementary-groups", "true"),
    ("require-sigs", "true"),
    ("run-diff-hook", "false"),
    ("sandbox-build-dir", "/build"),
    ("sandbox-dev-shm-size", "50%"),
    ("sandbox-fallback", "true"),
    ("secret-key-files", ""),
    ("ssl-cert-file", ""),
    ("stalled-download-timeout", "300"),
    ("start-id", "872415232"),
    ("store", "auto"),
    ("substitute", "true"),
    ("substituters", "https://cache.nixos.org/"),
    ("sync-before-registering", "false"),
    ("tarball-ttl", "3600"),
    ("trust-tarballs-from-git-forges", "true"),
    ("trusted-public-keys", "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="),
    ("trusted-substituters", ""),
    ("trusted-users", "root"),
    (
        "upgrade-nix-store-path-url",
        "https://github.com/NixOS/nixpkgs/raw/master/nixos/modules/installer/tools/nix-fallback-paths.nix",
    ),
    ("use-case-hack", "false"),
    ("use-cgroups", "false"),
    ("use-registries", "true"),
    ("use-sqlite-wal", "true"),
    ("use-xdg-base-directories", "false"),
    ("user-agent-suffix", ""),
    ("warn-large-path-threshold", "0"),
];

/// Those among them that are lists or tables.
const ACCEPTED_LISTS: &[&str] = &[
    "access-tokens",
    "allowed-users",
    "build-hook",
    "extra-platforms",
    "hashed-mirrors",
    "ignored-acls",
    "impure-env",
    "plugin-files",
    "secret-key-files",
    "substituters",
    "trusted-public-keys",
    "trusted-substituters",
    "trusted-users",
];

/// Settings that may have no value at all.
pub(crate) const OPTIONAL: &[&str] = &["build-dir", "diff-hook", "json-log-path"];

/// Settings whose default differs between machines, so that manuals leave it out.
pub(crate) const DEPENDS_ON_MACHINE: &[&str] =
    &["build-users-group", "builders", "extra-platforms", "nix-path", "ssl-cert-file", "system-features"];

/// The defaults of the settings that change nothing here, in their order.
pub(crate) fn accepted_defaults() -> impl Iterator<Item = &'static str> {
    ACCEPTED.iter().map(|(_, default)| *default)
}

/// The former names of a setting.
pub(crate) fn former_names(name: &str) -> Vec<&'static str> {
    FORMER.iter().filter(|(_, now)| *now == name).map(|(former, _)| *former).collect()
}

/// What was read before the command line.
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What was dubious on the way.
    pub warnings: Vec<String>,
    /// Names of settings that there are none of.
    pub unknown: BTreeSet<String>,
}

impl Settings {
    /// Reads all sources but the command line.
    pub fn load(context: &Context) -> Result<Loaded> {
        let mut loading = Loading {
            settings: Self::default(),
            warnings: Vec::new(),
            unknown: BTreeSet::new(),
            has_search_path: context.environment.contains_key("NIX_PATH"),
        };
        if !context.is_called_as_reference() {
            (loading.settings.experimental_features, _) = features::parse(features::DEFAULT);
        }
        let system =
            context.variable("NIX_CONF_DIR").map_or_else(|| PathBuf::from("/etc/nix"), PathBuf::from);
        loading.file(&system.join("nix.conf"))?;
        match context.variable("NIX_USER_CONF_FILES") {
            Some(files) => {
                for file in files.split(':').rev() {
                    loading.file(Path::new(file))?;
                }
            }
            None => loading.file(&context.xdg("XDG_CONFIG_HOME", ".config").join("nix/nix.conf"))?,
        }
        if let Some(text) = context.variable("NIX_CONFIG") {
            loading.text(text, Path::new("NIX_CONFIG"))?;
        }
        let Loading { mut settings, warnings, unknown, .. } = loading;
        // As in C++ Nix, an empty variable says that there is no path.
        if let Some(text) = context.environment.get("NIX_PATH") {
            settings.nix_path = split_search_path(text);
            settings.given.insert("nix-path");
        }
        Ok(Loaded { settings, warnings, unknown })
    }

    /// Whether an experimental feature is on.
    pub fn has_feature(&self, name: &str) -> bool {
        self.experimental_features.iter().any(|feature| feature == name)
    }

    /// Refuses what needs one of these features, if it is off.
    pub(crate) fn require(&self, features: &BTreeSet<&str>) -> Result {
        features::require(features, |feature| self.has_feature(feature))
    }

    /// The kind of machine that things are built for.
    pub fn this_system(&self) -> String {
        [&self.eval_system, &self.system]
            .into_iter()
            .find(|system| !system.is_empty())
            .cloned()
            .unwrap_or_else(|| nival_eval::Settings::default().current_system)
    }

    /// Name and value of every setting of C++ Nix that changes nothing here.
    pub fn show_accepted(&self) -> impl Iterator<Item = (&'static str, String)> {
        ACCEPTED.iter().map(|(name, default)| {
            (*name, self.accepted.get(name).map_or_else(|| (*default).to_owned(), String::clone))
        })
    }

    /// Applies one setting, also in its `extra-` form. Answers with what there is to warn of; an error says what is wrong
    /// with the value.
    pub fn apply(&mut self, name: &str, value: &str) -> std::result::Result<Vec<String>, String> {
        let name = &*in_use(name);
        let (base, adds) = match name.strip_prefix("extra-") {
            Some(base) if is_list(base) => (base, true),
            _ => (name, false),
        };
        if let Some(feature) = features::of_setting(base).filter(|feature| !self.has_feature(feature)) {
            return Ok(vec![format!(
                "Ignoring setting '{base}' because experimental feature '{feature}' is not enabled"
            )]);
        }
        let value = if adds {
            let shown = self.show().into_iter().chain(self.show_accepted()).find(|(known, _)| *known == base);
            format!("{} {value}", shown.map(|(_, old)| old).unwrap_or_default()).trim().to_owned()
        } else {
            value.to_owned()
        };
        if base == "experimental-features" {
            let (features, warnings) = features::parse(&value);
            self.set(base, &features.join(" "))?;
            return Ok(warnings);
        }
        if self.set(base, &value)? {
            let deprecated = (base == "warn-short-path-literals").then(|| {
                let level = if self.warn_short_path_literals { "warn" } else { "ignore" };
                format!("'{base}' is deprecated, use 'lint-short-path-literals = {level}' instead")
            });
            return Ok(deprecated.into_iter().collect());
        }
        match ACCEPTED.iter().find(|(known, _)| *known == base) {
            None => Err(format!("unknown setting '{name}'")),
            Some((known, default)) => {
                match *default {
                    "true" | "false" => bool::parse(base, &value).map(drop)?,
                    number if number.parse::<u64>().is_ok() => u64::parse(base, &value).map(drop)?,
                    _ => {}
                }
                self.accepted.insert(known, without_unit(&value));
                Ok(Vec::new())
            }
        }
    }

    /// Whether there is a setting of that name, also of a former one, or of its `extra-` form.
    pub fn knows(name: &str) -> bool {
        let name = &*in_use(name);
        let exists = |name| {
            DEFINITIONS.iter().any(|known| known.name == name)
                || ACCEPTED.iter().any(|(known, _)| *known == name)
        };
        exists(name) || name.strip_prefix("extra-").is_some_and(|base| exists(base) && is_list(base))
    }
}

/// Settings while they are read from files and texts.
struct Loading {
    settings: Settings,
    warnings: Vec<String>,
    unknown: BTreeSet<String>,
    /// `NIX_PATH` counts more than what files say.
    has_search_path: bool,
}

impl Loading {
    /// Applies a file; one that cannot be read is as good as absent.
    fn file(&mut self, file: &Path) -> Result {
        match std::fs::read_to_string(file) {
            Ok(text) => self.text(&text, file),
            Err(_) => Ok(()),
        }
    }

    /// Applies a text: first what it says of experimental features, which other settings may need.
    fn text(&mut self, text: &str, file: &Path) -> Result {
        let mut lines = Vec::new();
        parse_lines(text, file, 0, &mut lines)?;
        let of_features =
            |name: &str| matches!(name, "experimental-features" | "extra-experimental-features");
        let (first, rest): (Vec<_>, Vec<_>) = lines.into_iter().partition(|(name, _)| of_features(name));
        for (name, value) in first.into_iter().chain(rest) {
            if self.has_search_path && matches!(name.as_str(), "nix-path" | "extra-nix-path") {
                continue;
            }
            if !Settings::knows(&name) {
                self.unknown.insert(name);
                continue;
            }
            let warnings = self.settings.apply(&name, &value);
            self.warnings.extend(warnings.map_err(|problem| CommandError::new(Kind::Usage, problem))?);
        }
        Ok(())
    }
}

/// How deeply files may include each other.
const MAX_INCLUDES: usize = 100;

/// The names and values of a text and of the files that it includes.
fn parse_lines(text: &str, file: &Path, depth: usize, lines: &mut Vec<(String, String)>) -> Result {
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let shown = format!("\"{}\"", file.display());
        let malformed = || {
            CommandError::new(Kind::Usage, format!("syntax error in configuration line '{line}' in {shown}"))
                .hint("a setting is written `name = value`")
        };
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [] => {}
            ["include" | "!include", name] if file.is_relative() && !name.starts_with('/') => {
                // The text of a variable is in no folder.
                return Err(CommandError::failure(format!("not an absolute path: \"{name}\"")));
            }
            [word @ ("include" | "!include"), name] => {
                if depth == MAX_INCLUDES {
                    return Err(CommandError::failure(format!("files that include each other at {shown}")));
                }
                let included = file.parent().unwrap_or(Path::new("/")).join(name);
                match std::fs::read_to_string(&included) {
                    Ok(text) => parse_lines(&text, &included, depth + 1, lines)?,
                    Err(_) if word == "!include" || included.exists() => {}
                    Err(_) => {
                        let message =
                            format!("file \"{}\" included from {shown} not found", included.display());
                        return Err(CommandError::failure(message));
                    }
                }
            }
            ["include" | "!include", ..] => return Err(malformed()),
            [name, "=", ref value @ ..] => lines.push((name.to_owned(), value.join(" "))),
            _ => return Err(malformed()),
        }
    }
    Ok(())
}

/// Whether a setting is a list of words.
pub(crate) fn is_list(name: &str) -> bool {
    match DEFINITIONS.iter().find(|definition| definition.name == name) {
        Some(definition) => definition.is_list,
        None => ACCEPTED_LISTS.contains(&name),
    }
}

/// Splits `NIX_PATH` at colons, but not at those of URLs.
pub(crate) fn split_search_path(text: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for part in text.split(':') {
        match entries.last_mut() {
            Some(last) if part.starts_with("//") => {
                last.push(':');
                last.push_str(part);
            }
            _ => entries.push(part.to_owned()),
        }
    }
    entries.retain(|entry| !entry.is_empty());
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let malformed = |line| Err(format!("syntax error in configuration line '{line}' in \"f\""));
        let table = [
            ("cores = 3", Ok("3")),
            ("cores = 3 # at most", Ok("3")),
            ("cores = three", Err("setting 'cores' has invalid value 'three'".into())),
            ("show-trace = 3", Err("Boolean setting 'show-trace' has invalid value '3'".into())),
            ("warn-dirty = 3", Err("Boolean setting 'warn-dirty' has invalid value '3'".into())),
            ("sandbox = 3", Err("option 'sandbox' has invalid value '3'".into())),
            ("max-jobs = 3K", Err("configuration setting 'max-jobs' should be 'auto' or an integer".into())),
            ("# nothing\n\nextra-experimental-features = a\nextra-experimental-features = b", Ok("0")),
            ("cores", malformed("cores")),
            ("cores=3", malformed("cores=3")),
            ("include a b", malformed("include a b")),
            ("include nowhere.conf", Err("not an absolute path: \"nowhere.conf\"".into())),
            ("include /dev/null/f", Err("file \"/dev/null/f\" included from \"f\" not found".into())),
            ("!include /dev/null/f", Ok("0")),
        ];
        for (text, expected) in table {
            let mut loading = Loading {
                settings: Settings::default(),
                warnings: Vec::new(),
                unknown: BTreeSet::new(),
                has_search_path: false,
            };
            let outcome = loading.text(text, Path::new("f"));
            match (outcome, expected) {
                (Ok(()), Ok(cores)) => assert_eq!(loading.settings.cores.to_string(), cores, "{text}"),
                (Err(error), Err(message)) => assert_eq!(error.message, message),
                (outcome, expected) => panic!("{text}: {outcome:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn settings_of_features() {
        for (text, expected) in [
            ("accept-flake-config = true\nexperimental-features = flakes", "true"),
            ("accept-flake-config = true\nexperimental-features = nix-command", "false"),
        ] {
            let mut loading = Loading {
                settings: Settings::default(),
                warnings: Vec::new(),
                unknown: BTreeSet::new(),
                has_search_path: false,
            };
            loading.text(text, Path::new("f")).expect("it is well-formed");
            let shown = loading.settings.show_accepted().find(|(name, _)| *name == "accept-flake-config");
            assert_eq!(shown.expect("it is there").1, expected);
            assert_eq!(loading.warnings.is_empty(), expected == "true");
        }
    }

    #[test]
    fn search_paths() {
        assert_eq!(split_search_path("a=/b:/c::x=https://e.org/y"), ["a=/b", "/c", "x=https://e.org/y"]);
    }

    #[test]
    fn former_names() {
        let mut settings = Settings::default();
        assert_eq!(settings.apply("build-cores", "7"), Ok(Vec::new()));
        assert_eq!(settings.apply("extra-binary-caches", "a"), Ok(Vec::new()));
        assert_eq!(settings.apply("extra-substituters", "b"), Ok(Vec::new()));
        assert_eq!(settings.cores, 7);
        assert_eq!(settings.accepted["substituters"], "https://cache.nixos.org/ a b");
        assert!(settings.show_accepted().any(|shown| shown == ("use-sqlite-wal", "true".to_owned())));
        assert_eq!(settings.apply("min-free", "3K"), Ok(Vec::new()));
        assert_eq!(settings.accepted["min-free"], "3072");
        assert_eq!(flag_takes_value("build-cores"), Some(true));
    }

    #[test]
    fn extra_appends_and_unknown_warns() {
        let mut settings = Settings::default();
        assert_eq!(settings.apply("extra-experimental-features", "pipe-operators"), Ok(Vec::new()));
        assert_eq!(settings.apply("extra-experimental-features", "flakes"), Ok(Vec::new()));
        assert_eq!(settings.experimental_features.join(" "), "fetch-tree flakes pipe-operators");
        assert_eq!(settings.apply("no-such", "1"), Err("unknown setting 'no-such'".into()));
        assert!(!Settings::knows("no-such") && !Settings::knows("extra-cores"));
        assert_eq!(settings.apply("substituters", "https://cache.example.org"), Ok(Vec::new()));
    }
}
