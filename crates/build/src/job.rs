//! One derivation: lock, prepare, run the builder, judge the outputs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nival_formats::derivation::DerivationKind;
use nival_formats::{Derivation, StorePath};
use nival_store::{AfterUnlock, ClosureOptions, LocalStore, PathLocks, delete_tree};

use crate::build_dir::BuildDir;
use crate::builtin::{self, BuiltinError, Inputs};
use crate::derivation_options::DerivationOptions;
use crate::environment::{self, Environment, Rewrites};
use crate::error::FailureKind;
use crate::event::{BuildEvent, EventSink};
use crate::log::{Line, LogFile, Tail};
use crate::options::{BuildOptions, CancelToken, SandboxMode};
use crate::outputs::{Judge, Made, register};
use crate::run::{Ending, Limits, watch};
use crate::sandbox::mounts::{Access, Bind, Mounts, Presence, make_directories};
use crate::sandbox::{self, ExitStatus, Identity, Program, SandboxPlan, SpawnError};
use crate::users::BuildUser;

/// How often a build looks whether another process has finished the same one.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// A derivation to be built.
pub(crate) struct Job<'a> {
    pub(crate) store: &'a LocalStore,
    pub(crate) options: &'a BuildOptions,
    pub(crate) events: EventSink<'a>,
    pub(crate) path: &'a StorePath,
    pub(crate) derivation: &'a Derivation,
    /// All outputs.
    pub(crate) outputs: &'a BTreeMap<String, StorePath>,
    /// Stops the builds of this call when one has failed.
    pub(crate) stop: &'a CancelToken,
}

/// What was learnt on the way, for the error message.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    pub(crate) log_tail: Vec<String>,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) kept_build_dir: Option<PathBuf>,
}

/// Whether this process did the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Built,
    AlreadyValid,
}

/// What stays the same from the first attempt to one without a sandbox.
struct Prepared {
    options: DerivationOptions,
    kind: DerivationKind,
    inputs: BTreeSet<StorePath>,
    valid: BTreeSet<StorePath>,
}

impl Job<'_> {
    pub(crate) fn build(&self, trail: &mut Trail) -> Result<Outcome, FailureKind> {
        let options = DerivationOptions::of(self.derivation)
            .map_err(|error| FailureKind::Rejected(error.to_string()))?;
        let kind = self.derivation.kind().map_err(|error| FailureKind::Rejected(error.to_string()))?;
        self.check_machine(&options)?;

        let roots: Vec<&StorePath> = self.outputs.values().chain([self.path]).collect();
        self.store.add_temp_roots(&roots)?;
        let mut locks = self.lock_outputs()?;
        let valid = self.store.query_valid_paths(self.outputs.values())?;
        if self.outputs.values().all(|path| valid.contains(path)) {
            locks.set_after_unlock(AfterUnlock::Delete);
            return Ok(Outcome::AlreadyValid);
        }
        (self.events)(BuildEvent::Started { derivation: self.path });
        let prepared = Prepared { options, kind, inputs: self.input_closure()?, valid };
        for path in self.missing(&prepared).map(|(_, path)| path) {
            // Left by a build that was killed; we have the lock.
            delete_tree(&self.store.real_path(path))?;
        }
        self.build_locked(&prepared, trail)?;
        locks.set_after_unlock(AfterUnlock::Delete);
        Ok(Outcome::Built)
    }

    fn missing<'a>(&'a self, prepared: &'a Prepared) -> impl Iterator<Item = (&'a String, &'a StorePath)> {
        self.outputs.iter().filter(|(_, path)| !prepared.valid.contains(*path))
    }

    fn cancel(&self) -> [CancelToken; 2] {
        [self.options.cancel.clone(), self.stop.clone()]
    }

    fn is_cancelled(&self) -> bool {
        self.options.cancel.is_cancelled() || self.stop.is_cancelled()
    }

    fn check_machine(&self, options: &DerivationOptions) -> Result<(), FailureKind> {
        if self.derivation.is_builtin() {
            return Ok(());
        }
        if self.options.max_jobs == 0 {
            return Err(FailureKind::Rejected(
                "local builds are disabled (max-jobs = 0)\nhint: set 'max-jobs' to a non-zero value".into(),
            ));
        }
        let system = &self.derivation.system;
        if *system != self.options.system && !self.options.extra_platforms.contains(system) {
            return Err(FailureKind::Rejected(format!(
                "platform mismatch\nRequired system: '{system}'\nCurrent system: '{}'",
                self.options.system
            )));
        }
        let list = |features: &BTreeSet<String>| features.iter().cloned().collect::<Vec<_>>().join(", ");
        if !options.required_system_features.is_subset(&self.options.system_features) {
            return Err(FailureKind::Rejected(format!(
                "missing system features\nRequired features: {{{}}}\nAvailable features: {{{}}}",
                list(&options.required_system_features),
                list(&self.options.system_features)
            )));
        }
        Ok(())
    }

    fn lock_outputs(&self) -> Result<PathLocks, FailureKind> {
        let mut told = false;
        loop {
            if self.is_cancelled() {
                return Err(FailureKind::Cancelled);
            }
            if let Some(locks) = self.store.try_lock_paths(self.outputs.values())? {
                return Ok(locks);
            }
            if !told {
                (self.events)(BuildEvent::Waiting { derivation: self.path });
                told = true;
            }
            std::thread::sleep(LOCK_POLL);
        }
    }

    fn input_closure(&self) -> Result<BTreeSet<StorePath>, FailureKind> {
        let mut start: Vec<StorePath> = self.derivation.input_sources.iter().cloned().collect();
        for (input, wanted) in &self.derivation.input_derivations {
            let known = self.store.query_derivation_outputs(input)?;
            for name in &wanted.outputs {
                let path = known.get(name).ok_or_else(|| {
                    FailureKind::Rejected(format!(
                        "it requires non-existent output '{name}' from input derivation '{}'",
                        self.store.display(input)
                    ))
                })?;
                start.push(path.clone());
            }
        }
        let valid = self.store.query_valid_paths(&start)?;
        if let Some(missing) = start.iter().find(|path| !valid.contains(*path)) {
            return Err(FailureKind::Rejected(format!(
                "dependency '{}' does not exist, and substitution is disabled",
                self.store.display(missing)
            )));
        }
        let closure = self.store.closure(&start, ClosureOptions::default())?;
        self.store.add_temp_roots(&closure.iter().collect::<Vec<_>>())?;
        Ok(closure)
    }

    fn build_locked(&self, prepared: &Prepared, trail: &mut Trail) -> Result<(), FailureKind> {
        let log = LogFile::create(&self.store.config().log_dir, self.path, self.options.log_format)
            .map_err(FailureKind::io("create the log file"))?;
        trail.log_file = log.as_ref().map(|log| log.path().to_owned());
        if self.derivation.is_builtin() {
            return self.build_builtin(prepared, log, trail);
        }
        let isolated = self.wants_sandbox(prepared)?;
        match self.run_builder(prepared, isolated, log, trail) {
            Err(FailureKind::Start(SpawnError::Unavailable { reason })) if self.options.sandbox_fallback => {
                let warning = format!("building without a sandbox, as `sandbox-fallback` asks for: {reason}");
                (self.events)(BuildEvent::Warning(&warning));
                let log = LogFile::create(&self.store.config().log_dir, self.path, self.options.log_format)
                    .map_err(FailureKind::io("create the log file"))?;
                self.run_builder(prepared, false, log, trail)
            }
            other => other,
        }
    }

    fn wants_sandbox(&self, prepared: &Prepared) -> Result<bool, FailureKind> {
        let fixed = matches!(prepared.kind, DerivationKind::Fixed | DerivationKind::Impure);
        let wants = match self.options.sandbox {
            SandboxMode::Enabled if prepared.options.no_chroot => {
                return Err(FailureKind::Rejected(
                    "it has '__noChroot' set, but that's not allowed when 'sandbox' is 'true'".into(),
                ));
            }
            SandboxMode::Enabled => true,
            SandboxMode::Relaxed => !fixed && !prepared.options.no_chroot,
            SandboxMode::Disabled => false,
        };
        // A store that isn't where its paths say can only be seen there inside of a sandbox.
        Ok(wants || Path::new(self.store.store_dir().as_str()) != self.store.config().real_store_dir)
    }

    /// An empty directory in the store, for outputs before they are judged; its name is safe from the garbage
    /// collectors as long as the derivation is.
    fn scratch_root(&self) -> Result<ScratchRoot, FailureKind> {
        let top = self.store.config().real_store_dir.join(format!("{}.chroot", self.path));
        delete_tree(&top)?;
        let scratch = ScratchRoot { root: top.join("root"), top };
        let make = || {
            DirBuilder::new().mode(0o700).create(&scratch.top)?;
            make_directories(&scratch.root)?;
            make_directories(&scratch.inside(Path::new(self.store.store_dir().as_str())))
        };
        make().map_err(FailureKind::io("create the sandbox's root"))?;
        Ok(scratch)
    }

    fn judge<'a>(&'a self, prepared: &'a Prepared, user: Option<u32>, copy_fixed: bool) -> Judge<'a> {
        Judge {
            store: self.store,
            derivation: self.path,
            options: &prepared.options,
            inputs: &prepared.inputs,
            outputs: self.outputs,
            build_user: user,
            copy_fixed,
        }
    }

    fn made<'a>(&'a self, prepared: &'a Prepared, place: impl Fn(&StorePath) -> PathBuf) -> Vec<Made<'a>> {
        self.missing(prepared)
            .filter_map(|(name, path)| {
                let output = self.derivation.outputs.get(name)?;
                Some(Made { name, output, path, scratch: place(path) })
            })
            .collect()
    }

    fn rewrites(&self) -> Rewrites {
        Rewrites::new(self.outputs.iter().map(|(name, path)| (name.as_str(), self.store.display(path))))
    }

    fn build_builtin(
        &self,
        prepared: &Prepared,
        log: Option<LogFile>,
        trail: &mut Trail,
    ) -> Result<(), FailureKind> {
        let scratch = self.scratch_root()?;
        let store = self.store.store_dir();
        let place = |path: &StorePath| scratch.inside(Path::new(&store.display(path)));
        let rewrites = self.rewrites();
        let mut attributes: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (name, value) in &self.derivation.env {
            attributes.insert(String::from_utf8_lossy(name).into_owned(), rewrites.apply(value));
        }
        if let Some(structured) = &self.derivation.structured_attrs {
            let map = structured.to_map().map_err(|error| FailureKind::Rejected(error.to_string()))?;
            for (name, value) in map {
                let text = match value {
                    serde_json::Value::String(text) => text,
                    serde_json::Value::Bool(value) => if value { "1" } else { "" }.to_owned(),
                    other => other.to_string(),
                };
                attributes.insert(name, rewrites.apply(text.as_bytes()));
            }
        }
        let sink = Mutex::new((log, Tail::new(self.options.log_lines)));
        let say = |text: &str| {
            let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
            for line in text.lines() {
                (self.events)(BuildEvent::LogLine { derivation: self.path, line });
                if let Some(log) = &mut sink.0 {
                    // The builder's own result decides; a log that can't be written fails at its end.
                    let _ = log.write(line.as_bytes()).and_then(|()| log.write(b"\n"));
                }
                sink.1.push(line.to_owned());
            }
        };
        let inputs = Inputs::new(store, &self.store.config().real_store_dir, &prepared.inputs);
        let result = builtin::run(&builtin::Context {
            derivation: self.derivation,
            attributes,
            outputs: self.outputs.iter().map(|(name, path)| (name.clone(), place(path))).collect(),
            inputs: &inputs,
            options: self.options,
            cancel: self.cancel(),
            say: &say,
        });
        if let Err(error @ (BuiltinError::Failed(_) | BuiltinError::Io { .. })) = &result {
            say(&format!("error: {error}"));
        }
        let (log, tail) = sink.into_inner().unwrap_or_else(PoisonError::into_inner);
        trail.log_tail = tail.into_lines();
        if let Some(log) = log {
            log.finish().map_err(FailureKind::io("write the log file"))?;
        }
        match result {
            Ok(()) => register(&self.judge(prepared, None, false), &self.made(prepared, place)),
            Err(BuiltinError::Cancelled) => Err(FailureKind::Cancelled),
            Err(_) => Err(FailureKind::Builder(ExitStatus::Code(1))),
        }
    }

    fn run_builder(
        &self,
        prepared: &Prepared,
        isolated: bool,
        log: Option<LogFile>,
        trail: &mut Trail,
    ) -> Result<(), FailureKind> {
        if !isolated && !prepared.valid.is_empty() {
            return Err(FailureKind::Rejected(
                "some of its outputs exist already, and only a sandbox can build the others beside them"
                    .into(),
            ));
        }
        let config = self.store.config();
        let user = if isolated {
            BuildUser::acquire(&config.state_dir).map_err(FailureKind::io("take a build user"))?
        } else {
            None
        };
        let user_id = user.as_ref().map(|user| user.id);
        let builds = self.options.build_dir.clone().unwrap_or_else(|| config.state_dir.join("builds"));
        let build_dir =
            BuildDir::create(&builds, user_id).map_err(FailureKind::io("create the build folder"))?;
        let seen_dir = if isolated { self.options.sandbox_build_dir.clone() } else { build_dir.path.clone() };

        let rewrites = self.rewrites();
        let environment = Environment::new(&environment::Source {
            store: self.store,
            derivation: self.derivation,
            derivation_options: &prepared.options,
            options: self.options,
            inputs: &prepared.inputs,
            rewrites: &rewrites,
            build_dir: &seen_dir,
        })?;
        for (name, contents) in &environment.files {
            build_dir
                .write(name, contents, user_id)
                .map_err(FailureKind::io("write a file for the builder"))?;
        }
        let program = self.program(&environment, &rewrites, seen_dir)?;

        let scratch = if isolated { Some(self.scratch_root()?) } else { None };
        let plan = match &scratch {
            Some(scratch) => Some(self.sandbox_plan(prepared, scratch, &build_dir, user_id)?),
            None => None,
        };
        let own = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let identity =
            Identity { host: user_id.map_or(own, |id| (id, id)), is_build_user: user_id.is_some() };

        let limits = Limits {
            timeout: self.options.timeout,
            max_silent_time: self.options.max_silent_time,
            max_log_size: self.options.max_log_size,
            cancel: self.cancel(),
        };
        let mut tail = Tail::new(self.options.log_lines);
        let ending = sandbox::spawn(program, plan, identity).map_err(FailureKind::from).and_then(|running| {
            watch(running, &limits, log, &mut tail, |line| match line {
                Line::Text(line) => (self.events)(BuildEvent::LogLine { derivation: self.path, line: &line }),
                Line::Phase(phase) => {
                    (self.events)(BuildEvent::Phase { derivation: self.path, phase: &phase });
                }
                Line::Message => {}
            })
            .map_err(FailureKind::io("follow the builder"))
        });
        trail.log_tail = tail.into_lines();

        let copy_fixed = prepared.kind == DerivationKind::Fixed;
        let result = ending.and_then(ended_well).and_then(|()| {
            let place = |path: &StorePath| match &scratch {
                Some(scratch) => scratch.inside(Path::new(&self.store.display(path))),
                None => self.store.real_path(path),
            };
            register(&self.judge(prepared, user_id, copy_fixed), &self.made(prepared, place))
        });
        if result.is_err() {
            if self.options.keep_failed {
                trail.kept_build_dir = Some(build_dir.keep());
            }
            if scratch.is_none() {
                for (_, path) in self.missing(prepared) {
                    delete_tree(&self.store.real_path(path))?;
                }
            }
        }
        result
    }

    fn program(
        &self,
        environment: &Environment,
        rewrites: &Rewrites,
        working_directory: PathBuf,
    ) -> Result<Program, FailureKind> {
        let c_string = |text: Vec<u8>| {
            CString::new(text).map_err(|_| {
                FailureKind::Rejected("its builder, arguments or environment have a null byte".into())
            })
        };
        let builder = &self.derivation.builder;
        let name = builder.rsplit(|byte| *byte == b'/').next().unwrap_or(builder).to_vec();
        let arguments = self.derivation.args.iter().map(|argument| rewrites.apply(argument));
        let variables = environment.variables.iter().map(|(name, value)| [name, &b"="[..], value].concat());
        Ok(Program {
            file: c_string(builder.clone())?,
            arguments: [name].into_iter().chain(arguments).map(c_string).collect::<Result<_, _>>()?,
            environment: variables.map(c_string).collect::<Result<_, _>>()?,
            working_directory,
            linux32: self.derivation.system != self.options.system
                && ["i686-linux", "armv7l-linux", "armv6l-linux"].contains(&self.derivation.system.as_str()),
            filter_syscalls: self.options.filter_syscalls,
        })
    }

    fn sandbox_plan(
        &self,
        prepared: &Prepared,
        scratch: &ScratchRoot,
        build_dir: &BuildDir,
        user: Option<u32>,
    ) -> Result<SandboxPlan, FailureKind> {
        let store_dir = scratch.inside(Path::new(self.store.store_dir().as_str()));
        let sticky = || {
            fs::set_permissions(&store_dir, Permissions::from_mode(0o1775))?;
            match user {
                Some(id) => std::os::unix::fs::chown(&store_dir, None, Some(id)),
                None => Ok(()),
            }
        };
        sticky().map_err(FailureKind::io("create the sandbox's store"))?;

        let mut mounts = Mounts::default();
        for host in &prepared.options.impure_host_deps {
            let host = PathBuf::from(host);
            let plain = host.components().all(|part| part != std::path::Component::ParentDir);
            if !plain
                || !self.options.allowed_impure_host_deps.iter().any(|allowed| host.starts_with(allowed))
            {
                return Err(FailureKind::Rejected(format!(
                    "it requested impure path '{}', but it was not in allowed-impure-host-deps",
                    host.display()
                )));
            }
            mounts.add_read_only(host.clone(), host, Presence::IfThere);
        }
        if let Some(shell) = self.options.shell.as_deref().filter(|shell| shell.exists()) {
            let place = Path::new("/bin/sh");
            let files = sandbox::shell_closure(shell, place)
                .map_err(FailureKind::io("find the shell's libraries"))?;
            for (place, source) in files {
                if !mounts.contains(&place) {
                    mounts.add_read_only(place, source, Presence::IfThere);
                }
            }
        }
        for extra in &self.options.sandbox_paths {
            let presence = if extra.optional { Presence::IfThere } else { Presence::Required };
            let access = Access::ReadWrite;
            mounts.add(extra.target.clone(), Bind { source: extra.source.clone(), access, presence });
        }
        let shares_network = matches!(prepared.kind, DerivationKind::Fixed | DerivationKind::Impure);
        if let Some(file) = self.options.ca_file.as_ref().filter(|file| shares_network && file.exists()) {
            mounts.add_read_only("/etc/ssl/certs/ca-certificates.crt", file, Presence::IfThere);
        }
        for path in &prepared.inputs {
            mounts.add_read_only(self.store.display(path), self.store.real_path(path), Presence::Required);
        }
        let (source, access) = (build_dir.path.clone(), Access::ReadWrite);
        let presence = Presence::Required;
        mounts.add(self.options.sandbox_build_dir.clone(), Bind { source, access, presence });
        Ok(SandboxPlan {
            root: scratch.root.clone(),
            mounts,
            private_network: !shares_network,
            shm_size: self.options.sandbox_shm_size.clone(),
            build_dir: self.options.sandbox_build_dir.clone(),
            kvm: self.options.system_features.contains("kvm"),
            protect_proc: user.is_none() && rustix::process::getuid().is_root(),
        })
    }
}

fn ended_well(ending: Ending) -> Result<(), FailureKind> {
    Err(match ending {
        Ending::Exited(ExitStatus::Code(0)) => return Ok(()),
        Ending::Exited(status) => FailureKind::Builder(status),
        Ending::TimedOut(limit) => FailureKind::TimedOut(limit),
        Ending::Silent(limit) => FailureKind::Silent(limit),
        Ending::LogTooLong(limit) => FailureKind::LogTooLong(limit),
        Ending::Cancelled => FailureKind::Cancelled,
    })
}

/// Removed when dropped.
struct ScratchRoot {
    top: PathBuf,
    root: PathBuf,
}

impl ScratchRoot {
    fn inside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Drop for ScratchRoot {
    fn drop(&mut self) {
        // The next build of this derivation removes what can't be removed now.
        let _ = delete_tree(&self.top);
    }
}
