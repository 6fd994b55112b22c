//! What the caller decides about builds. Nothing here is read from the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::log::LogFormat;

/// When builders are isolated (setting `sandbox`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxMode {
    /// Always; a derivation that asks for less is an error.
    Enabled,
    /// Unless a derivation has a fixed output or asks for less with `__noChroot`.
    Relaxed,
    /// Never.
    Disabled,
}

/// A path of the host in every sandbox (setting `sandbox-paths`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxPath {
    /// Where it is seen inside.
    pub target: PathBuf,
    /// Where it is on the host.
    pub source: PathBuf,
    /// Whether it may be missing.
    pub optional: bool,
}

/// The settings of builds.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Builds at a time (`max-jobs`); with 0, builtin ones alone.
    pub max_jobs: usize,
    /// Cores that each build is told to use (`cores`); 0 is all.
    pub cores: usize,
    /// Go on with what doesn't need a failed build (`keep-going`).
    pub keep_going: bool,
    /// Leave the build folder of a failed build (`keep-failed`).
    pub keep_failed: bool,
    /// The longest a build may take (`timeout`).
    pub timeout: Option<Duration>,
    /// The longest a build may say nothing (`max-silent-time`).
    pub max_silent_time: Option<Duration>,
    /// The largest log in bytes (`max-build-log-size`).
    pub max_log_size: Option<u64>,
    /// How logs are kept.
    pub log_format: LogFormat,
    /// Lines of the log in an error (`log-lines`).
    pub log_lines: usize,
    /// When to isolate.
    pub sandbox: SandboxMode,
    /// Build without a sandbox where none can be had, and say so (`sandbox-fallback`).
    pub sandbox_fallback: bool,
    /// The build folder as builders see it (`sandbox-build-dir`).
    pub sandbox_build_dir: PathBuf,
    /// `size=` of the sandbox's `/dev/shm` (`sandbox-dev-shm-size`).
    pub sandbox_shm_size: String,
    /// More paths of the host for every sandbox.
    pub sandbox_paths: Vec<SandboxPath>,
    /// The host's shell that becomes `/bin/sh`.
    pub shell: Option<PathBuf>,
    /// What derivations may ask for with `__impureHostDeps` (`allowed-impure-host-deps`).
    pub allowed_impure_host_deps: Vec<PathBuf>,
    /// Forbid set-user-id files and extended attributes (`filter-syscalls`).
    pub filter_syscalls: bool,
    /// This machine, such as `x86_64-linux`.
    pub system: String,
    /// What else it can run (`extra-platforms`).
    pub extra_platforms: BTreeSet<String>,
    /// What `requiredSystemFeatures` may name (`system-features`).
    pub system_features: BTreeSet<String>,
    /// Where build folders are made; `builds` in the store's state folder by default (`build-dir`).
    pub build_dir: Option<PathBuf>,
    /// The variables that `impureEnvVars` of fixed-output derivations may take.
    pub host_environment: BTreeMap<String, String>,
    /// Certificates for fixed-output derivations (`ssl-cert-file`).
    pub ca_file: Option<PathBuf>,
    /// Mirrors by hash that `builtin:fetchurl` asks first (`hashed-mirrors`).
    pub hashed_mirrors: Vec<String>,
    /// Stops everything.
    pub cancel: CancelToken,
}

impl Default for BuildOptions {
    fn default() -> Self {
        let system = format!("{}-linux", std::env::consts::ARCH);
        let extra = if cfg!(target_arch = "x86_64") { &["i686-linux"][..] } else { &[] };
        let deps = [
            "/usr",
            "/bin",
            "/sbin",
            "/lib",
            "/lib32",
            "/lib64",
            "/libx32",
            "/etc/alternatives",
            "/etc/ld.so.cache",
        ];
        Self {
            max_jobs: 1,
            cores: 0,
            keep_going: false,
            keep_failed: false,
            timeout: None,
            max_silent_time: None,
            max_log_size: None,
            log_format: LogFormat::Bzip2,
            log_lines: 25,
            sandbox: SandboxMode::Enabled,
            sandbox_fallback: false,
            sandbox_build_dir: "/build".into(),
            sandbox_shm_size: "50%".into(),
            sandbox_paths: Vec::new(),
            shell: Some("/bin/sh".into()),
            allowed_impure_host_deps: deps.map(PathBuf::from).into(),
            filter_syscalls: true,
            system,
            extra_platforms: extra.iter().map(|name| (*name).to_owned()).collect(),
            system_features: ["benchmark", "big-parallel", "nixos-test"].map(str::to_owned).into(),
            build_dir: None,
            host_environment: BTreeMap::new(),
            ca_file: None,
            hashed_mirrors: Vec::new(),
            cancel: CancelToken::default(),
        }
    }
}

/// Stops builds from elsewhere, such as a signal handler.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Kills what runs and starts nothing more.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether [`CancelToken::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
