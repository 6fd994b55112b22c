//! Starting a builder, isolated or not.
//!
//! The child is made by a raw `clone` with all namespaces at once, waits until its user mapping is written, sets
//! itself up (`child`) and executes the builder as process 1 of its own process namespace: killing that one
//! process kills the whole build. A failure on the way comes back through a pipe that a successful `execve`
//! closes.

mod child;
pub mod mounts;
mod seccomp;
mod shell;

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use child::{ChildFailure, ChildFds, ChildPlan, ExecArrays, Isolation, PreparedMount, Step};
use mounts::{Access, Bind, Mounts, Presence, c_string};

pub(crate) use shell::closure as shell_closure;

/// Who the builder is, outside and inside of its namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    /// The ids on the host.
    pub(crate) host: (u32, u32),
    /// Whether the ids are those of a build user, not this process's own.
    pub(crate) is_build_user: bool,
}

/// User and group as the builder of a sandbox sees itself, as in the reference.
pub(crate) const INSIDE: (u32, u32) = (1000, 100);

/// What is run, isolated or not.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) file: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    /// As the builder sees it.
    pub(crate) working_directory: PathBuf,
    pub(crate) linux32: bool,
    pub(crate) filter_syscalls: bool,
}

/// The isolation asked for.
#[derive(Debug)]
pub(crate) struct SandboxPlan {
    /// An empty directory that becomes the root.
    pub(crate) root: PathBuf,
    pub(crate) mounts: Mounts,
    pub(crate) private_network: bool,
    /// `size=` of `/dev/shm`.
    pub(crate) shm_size: String,
    /// Where `/build` and the like is inside, for the home of the user in `/etc/passwd`.
    pub(crate) build_dir: PathBuf,
    pub(crate) kvm: bool,
    /// Make the kernel's switches in `/proc` read-only: they belong to root, and to root's processes even after
    /// those have lost every capability.
    pub(crate) protect_proc: bool,
}

/// Why a builder could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The kernel doesn't grant the namespaces, or something they need.
    #[error("the build sandbox can't be had: {reason}")]
    Unavailable {
        /// What was refused, and why as far as that is known.
        reason: String,
    },
    /// The builder itself can't be executed.
    #[error("executing '{builder}': {source}")]
    Execute {
        /// The builder.
        builder: String,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else on the way.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// What the system said.
        source: io::Error,
    },
}

fn io_error(action: impl Into<String>) -> impl FnOnce(io::Error) -> SpawnError {
    move |source| SpawnError::Io { action: action.into(), source }
}

/// A running builder. Dropping it kills and reaps the whole build.
#[derive(Debug)]
pub(crate) struct Running {
    pid: Pid,
    pub(crate) pidfd: OwnedFd,
    /// Standard output and error together; a terminal's main side.
    pub(crate) output: File,
    reaped: bool,
}

impl Running {
    /// Kills every process of the build: the process namespace of a sandbox goes with its process 1, else the
    /// session's process group.
    pub(crate) fn kill(&self) {
        if !self.reaped {
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        }
    }

    /// Waits for the end of the builder. `0x100 × exit code`, or the signal's number.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            let options = WaitIdOptions::EXITED;
            match rustix::process::waitid(WaitId::PidFd(std::os::fd::AsFd::as_fd(&self.pidfd)), options) {
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(status) => {
                    // Whatever the builder left in its process group.
                    let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
                    self.reaped = true;
                    let status = status.as_ref();
                    let code = status.and_then(rustix::process::WaitIdStatus::exit_status);
                    let signal = status.and_then(rustix::process::WaitIdStatus::terminating_signal);
                    return Ok(match (code, signal) {
                        (Some(code), _) => ExitStatus::Code(code),
                        (None, Some(signal)) => ExitStatus::Signal(signal),
                        (None, None) => ExitStatus::Code(-1),
                    });
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            let _ = self.wait();
        }
    }
}

/// How a builder ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl std::fmt::Display for ExitStatus {
    /// The words of the reference (`statusToString` in `libutil/unix/processes.cc`).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(0) => f.write_str("succeeded"),
            Self::Code(code) => write!(f, "failed with exit code {code}"),
            Self::Signal(number) => {
                // SAFETY: glibc and musl return a static or thread-local string, copied at once.
                let name = unsafe {
                    let name = libc::strsignal(*number);
                    if name.is_null() { None } else { Some(std::ffi::CStr::from_ptr(name)) }
                };
                let name = name.map_or_else(|| "unknown".into(), std::ffi::CStr::to_string_lossy);
                write!(f, "failed due to signal {number} ({name})")
            }
        }
    }
}

/// Starts a builder.
pub(crate) fn spawn(
    program: Program,
    sandbox: Option<SandboxPlan>,
    identity: Identity,
) -> Result<Running, SpawnError> {
    // Root with a build user needs no user namespace; everybody else does.
    let user_namespace = sandbox.is_some() && (!identity.is_build_user || user_namespaces_allowed());
    let mut flags = 0;
    if let Some(plan) = &sandbox {
        flags |= libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        if Path::new("/proc/self/ns/cgroup").exists() {
            flags |= libc::CLONE_NEWCGROUP;
        }
        if plan.private_network {
            flags |= libc::CLONE_NEWNET;
        }
        if user_namespace {
            flags |= libc::CLONE_NEWUSER;
        }
    }
    let inside = if user_namespace { INSIDE } else { identity.host };
    let isolation = match &sandbox {
        Some(plan) => Some(isolate(plan, inside).map_err(io_error("set up the sandbox"))?),
        None => None,
    };
    let plan = ChildPlan {
        program: program.file,
        arguments: program.arguments,
        environment: program.environment,
        working_directory: c_string(&program.working_directory).map_err(io_error("start the builder"))?,
        isolation,
        identity: (sandbox.is_some() || identity.is_build_user).then_some(inside),
        drop_groups: identity.is_build_user,
        no_new_privileges: true,
        seccomp: if program.filter_syscalls { seccomp::filter() } else { Vec::new() },
        linux32: program.linux32,
    };
    let arrays = ExecArrays::new(&plan);

    let (main_side, terminal) = open_terminal().map_err(io_error("open a pseudoterminal"))?;
    if identity.is_build_user {
        let (user, group) = identity.host;
        std::os::unix::fs::fchown(&terminal, Some(user), Some(group))
            .map_err(io_error("hand the pseudoterminal to the build user"))?;
    }
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from);
    let (go, go_parent_end) = pipe().map_err(io_error("make a pipe"))?;
    let (status_read, status) = pipe().map_err(io_error("make a pipe"))?;
    let stdin = File::open("/dev/null").map_err(io_error("open `/dev/null`"))?;
    let fds = ChildFds { go, go_parent_end, status, stdin: stdin.into(), output: terminal.into() };

    let (pid, pidfd) = clone_child(flags, &plan, &arrays, &fds).map_err(|source| {
        if flags == 0 {
            io_error("start a process")(source)
        } else {
            unavailable("create the namespaces", &source)
        }
    })?;
    let ChildFds { go, go_parent_end, status, stdin, output } = fds;
    drop((go, status, stdin, output));
    let mut running = Running { pid, pidfd, output: main_side, reaped: false };

    if user_namespace {
        write_mappings(pid, identity).map_err(|source| unavailable("map the build user", &source))?;
    }
    File::from(go_parent_end).write_all(b"g").map_err(io_error("start the builder"))?;

    let mut failure = Vec::new();
    File::from(status_read).read_to_end(&mut failure).map_err(io_error("start the builder"))?;
    let Some(bytes) = failure.first_chunk::<{ ChildFailure::SIZE }>() else { return Ok(running) };
    let _ = running.wait();
    Err(explain(ChildFailure::from_bytes(*bytes), &plan))
}

fn explain(failure: ChildFailure, plan: &ChildPlan) -> SpawnError {
    let source = io::Error::from_raw_os_error(failure.errno);
    match failure.step {
        Step::Execute => SpawnError::Execute { builder: plan.program.to_string_lossy().into_owned(), source },
        step => {
            let mut action = step.describe().to_owned();
            if step == Step::Mount
                && let Some(isolation) = &plan.isolation
                && let Some(mount) = isolation.mounts.get(usize::from(failure.index))
            {
                action = format!("mount `{}`", mount.target().to_string_lossy());
            }
            if plan.isolation.is_some() && [libc::EPERM, libc::EACCES].contains(&failure.errno) {
                unavailable(&action, &source)
            } else {
                SpawnError::Io { action, source }
            }
        }
    }
}

/// Says why, as far as the kernel's switches tell.
fn unavailable(action: &str, source: &io::Error) -> SpawnError {
    let is = |file: &str, value: &str| fs::read_to_string(file).is_ok_and(|text| text.trim() == value);
    let why = if is("/proc/sys/user/max_user_namespaces", "0") {
        ", since `/proc/sys/user/max_user_namespaces` is 0"
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        ", since `/proc/sys/kernel/unprivileged_userns_clone` is 0"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        ", since `/proc/sys/kernel/apparmor_restrict_unprivileged_userns` is 1"
    } else {
        ""
    };
    SpawnError::Unavailable { reason: format!("cannot {action}: {source}{why}") }
}

fn user_namespaces_allowed() -> bool {
    Path::new("/proc/self/ns/user").exists()
        && !fs::read_to_string("/proc/sys/user/max_user_namespaces").is_ok_and(|text| text.trim() == "0")
}

fn clone_child(
    flags: libc::c_int,
    plan: &ChildPlan,
    arrays: &ExecArrays,
    fds: &ChildFds,
) -> io::Result<(Pid, OwnedFd)> {
    let mut pidfd: libc::c_int = -1;
    let flags = flags | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: without CLONE_VM this is a fork. The child only runs `child::run`, whose invariant is that it makes
    // nothing but system calls on what was prepared, and which never returns.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone, flags as usize, 0usize, &raw mut pidfd, 0usize, 0usize) };
    if pid == 0 {
        child::run(plan, arrays, fds);
    }
    // `Pid::from_raw` panics on what is negative.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw);
    let Some(pid) = pid else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel stored a fresh descriptor there, which nobody else owns.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

fn write_mappings(child: Pid, identity: Identity) -> io::Result<()> {
    let folder = PathBuf::from(format!("/proc/{}", child.as_raw_nonzero()));
    let write = |name: &str, text: String| {
        OpenOptions::new().write(true).open(folder.join(name))?.write_all(text.as_bytes())
    };
    let ((user, group), (inside_user, inside_group)) = (identity.host, INSIDE);
    write("uid_map", format!("{inside_user} {user} 1"))?;
    if !identity.is_build_user {
        // An ordinary user may map its group only if groups can't be dropped.
        write("setgroups", "deny".to_owned())?;
    }
    write("gid_map", format!("{inside_group} {group} 1"))
}

/// A pseudoterminal in raw mode, since some builders write whole lines to terminals only: its main side and the
/// builder's side.
fn open_terminal() -> io::Result<(File, File)> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: plain calls on descriptors opened here; each is owned by a `File` as soon as it is known to be one,
    // and `tcgetattr` has filled the structure before it is used.
    unsafe {
        let main_side = libc::open(c"/dev/ptmx".as_ptr(), flags);
        if main_side < 0 {
            return Err(io::Error::last_os_error());
        }
        let main_side = File::from_raw_fd(main_side);
        let unlock: libc::c_int = 0;
        if libc::ioctl(main_side.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) < 0 {
            return Err(io::Error::last_os_error());
        }
        let terminal = libc::ioctl(main_side.as_raw_fd(), libc::TIOCGPTPEER, flags);
        if terminal < 0 {
            return Err(io::Error::last_os_error());
        }
        let terminal = File::from_raw_fd(terminal);
        let mut attributes: libc::termios = std::mem::zeroed();
        if libc::tcgetattr(terminal.as_raw_fd(), &raw mut attributes) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::cfmakeraw(&raw mut attributes);
        if libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &raw const attributes) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((main_side, terminal))
    }
}

/// Fills the root with `/dev`, `/etc`, `/tmp` and `/proc`, and turns the binds into mounts.
fn isolate(plan: &SandboxPlan, (user, group): (u32, u32)) -> io::Result<Isolation> {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let root = &plan.root;
    for name in ["tmp", "etc", "proc"] {
        mounts::make_directories(&root.join(name))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    let home = plan.build_dir.display();
    fs::write(
        root.join("etc/passwd"),
        format!(
            "root:x:0:0:Nix build user:{home}:/noshell\n\
             nixbld:x:{user}:{group}:Nix build user:{home}:/noshell\n\
             nobody:x:65534:65534:Nobody:/:/noshell\n"
        ),
    )?;
    fs::write(root.join("etc/group"), format!("root:x:0:\nnixbld:!:{group}:\nnogroup:x:65534:\n"))?;
    for file in ["etc/passwd", "etc/group"] {
        fs::set_permissions(root.join(file), fs::Permissions::from_mode(0o444))?;
    }
    let mut all = Mounts::default();
    if plan.private_network {
        fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
    } else {
        fs::write(root.join("etc/nsswitch.conf"), "hosts: files dns\nservices: files\n")?;
        for file in ["/etc/resolv.conf", "/etc/services", "/etc/hosts"] {
            if let Ok(source) = fs::canonicalize(file) {
                all.add_read_only(file, source, Presence::IfThere);
            }
        }
    }
    let own_dev = !plan.mounts.contains(Path::new("/dev"));
    if own_dev {
        for name in ["dev/shm", "dev/pts"] {
            mounts::make_directories(&root.join(name))?;
        }
        let devices = ["full", "null", "random", "tty", "urandom", "zero"];
        for name in devices.into_iter().chain(plan.kvm.then_some("kvm")) {
            let device = PathBuf::from("/dev").join(name);
            let (access, presence) = (Access::ReadWrite, Presence::IfThere);
            all.add(device.clone(), Bind { source: device, access, presence });
        }
        for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
            symlink(format!("/proc/self/fd{target}"), root.join("dev").join(name))?;
        }
        symlink("/dev/pts/ptmx", root.join("dev/ptmx"))?;
    }
    all.extend(&plan.mounts);
    let mut prepared = all.prepare(root)?;
    let target = |name: &str| c_string(&root.join(name));
    prepared.push(PreparedMount::Proc { target: target("proc")? });
    if plan.protect_proc {
        for name in ["proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus"] {
            if Path::new("/").join(name).exists() {
                let (source, target) = (target(name)?, target(name)?);
                prepared.push(PreparedMount::Bind { source, target, read_only: true });
            }
        }
    }
    if own_dev {
        let options = CString::new(format!("size={}", plan.shm_size)).map_err(io::Error::other)?;
        prepared.push(PreparedMount::Tmpfs { target: target("dev/shm")?, options });
        prepared.push(PreparedMount::Devpts { target: target("dev/pts")? });
    }
    fs::set_permissions(root.join("etc"), fs::Permissions::from_mode(0o555))?;
    Ok(Isolation { root: c_string(root)?, mounts: prepared, private_network: plan.private_network })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::log::Tail;
    use crate::options::CancelToken;
    use crate::run::{Ending, Limits, watch};

    fn own_identity() -> Identity {
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Identity { host: (user, group), is_build_user: false }
    }

    fn limits() -> Limits {
        Limits {
            timeout: Some(Duration::from_secs(20)),
            max_silent_time: None,
            max_log_size: None,
            cancel: [CancelToken::default(), CancelToken::default()],
        }
    }

    fn shell_program(script: &str) -> Program {
        Program {
            file: c"/bin/sh".into(),
            arguments: vec![c"sh".into(), c"-c".into(), CString::new(script).unwrap()],
            environment: vec![c"PATH=/path-not-set".into(), c"HOME=/homeless-shelter".into()],
            working_directory: "/".into(),
            linux32: false,
            filter_syscalls: true,
        }
    }

    fn plan(root: &Path, private_network: bool) -> SandboxPlan {
        let mut mounts = Mounts::default();
        for (place, source) in shell::closure(Path::new("/bin/sh"), Path::new("/bin/sh")).unwrap() {
            mounts.add_read_only(place, source, Presence::IfThere);
        }
        let (shm_size, build_dir) = ("50%".to_owned(), "/build".into());
        SandboxPlan {
            root: root.to_owned(),
            mounts,
            private_network,
            shm_size,
            build_dir,
            kvm: false,
            protect_proc: rustix::process::getuid().is_root(),
        }
    }

    /// Runs a script isolated; `None` where the kernel grants no sandbox, which must be said properly.
    fn isolated(script: &str, limits: &Limits) -> Option<(Ending, Vec<String>)> {
        let folder = tempfile::tempdir().unwrap();
        match spawn(shell_program(script), Some(plan(folder.path(), true)), own_identity()) {
            Ok(running) => {
                let mut tail = Tail::new(100);
                let ending = watch(running, limits, None, &mut tail, |_| {}).unwrap();
                Some((ending, tail.into_lines()))
            }
            Err(SpawnError::Unavailable { reason }) => {
                assert!(reason.starts_with("cannot "), "{reason}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn check(script: &str, expected: &[&str]) {
        if let Some((ending, lines)) = isolated(script, &limits()) {
            assert_eq!(lines, expected, "{script}");
            assert_eq!(ending, Ending::Exited(ExitStatus::Code(0)), "{script}");
        }
    }

    #[test]
    fn a_builder_sees_the_sandbox_alone() {
        check("echo $$", &["1"]);
        check("for f in /*; do echo $f; done", &["/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/tmp"]);
        check("read a < /proc/sys/kernel/hostname; echo $a", &["localhost"]);
        check("while read l; do echo $l; done < /etc/hosts", &["127.0.0.1 localhost", "::1 localhost"]);
        check("echo x > /tmp/a && echo y > /dev/null && echo z > /dev/shm/s && echo ok", &["ok"]);
        check("echo x 2>/dev/null > /bin/sh || echo refused", &["refused"]);
        check("echo x 2>/dev/null > /etc/passwd || echo refused", &["refused"]);
        check("test -t 1 && echo terminal; test -t 0 || echo no input", &["terminal", "no input"]);
        check("read a < /proc/self/uid_map; set -- $a; echo $1", &["1000"]);
    }

    #[test]
    fn the_whole_build_dies_with_its_first_process() {
        let started = Instant::now();
        check("(while :; do :; done) & echo left", &["left"]);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn limits_kill_the_build() {
        let base = limits();
        let short = Duration::from_millis(300);
        let timeout = Limits { timeout: Some(short), ..base.clone() };
        let silent = Limits { max_silent_time: Some(short), ..base.clone() };
        let size = Limits { max_log_size: Some(1000), ..base.clone() };
        let cancelled = CancelToken::default();
        cancelled.cancel();
        let cancel = Limits { cancel: [cancelled, CancelToken::default()], ..base };
        for (limits, script, expected) in [
            (timeout, "while :; do echo x; done", Ending::TimedOut(short)),
            (silent, "echo x; while :; do :; done", Ending::Silent(short)),
            (size, "while :; do echo a line of output; done", Ending::LogTooLong(1000)),
            (cancel, "while :; do :; done", Ending::Cancelled),
        ] {
            let started = Instant::now();
            if let Some((ending, _)) = isolated(script, &limits) {
                assert_eq!(ending, expected);
            }
            assert!(started.elapsed() < Duration::from_secs(10));
        }
    }

    #[test]
    fn without_a_sandbox_the_process_group_dies() {
        let running = spawn(shell_program("sleep 1000 & echo hello; exit 3"), None, own_identity()).unwrap();
        let mut tail = Tail::new(1);
        let ending = watch(running, &limits(), None, &mut tail, |_| {}).unwrap();
        assert_eq!(ending, Ending::Exited(ExitStatus::Code(3)));
    }

    #[test]
    fn a_missing_builder_is_named() {
        let mut program = shell_program("");
        program.file = c"/no/such/builder".into();
        match spawn(program, None, own_identity()) {
            Err(SpawnError::Execute { builder, source }) => {
                assert_eq!(builder, "/no/such/builder");
                assert_eq!(source.kind(), io::ErrorKind::NotFound);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn endings_have_the_words_of_the_reference() {
        for (status, words) in [
            (ExitStatus::Code(1), "failed with exit code 1"),
            (ExitStatus::Signal(9), "failed due to signal 9 (Killed)"),
            (ExitStatus::Code(0), "succeeded"),
        ] {
            assert_eq!(status.to_string(), words);
        }
    }
}
