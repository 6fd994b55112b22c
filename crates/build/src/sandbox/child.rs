//! What the child does between `clone` and `execve`.
//!
//! **Invariant.** The parent is multithreaded, so the child holds a copy of memory in which any lock may be taken
//! for ever. Everything here therefore only makes system calls on buffers that [`ChildPlan`] prepared before the
//! clone: no allocation, no locks, no formatting, no panics, none of libc's wrappers that keep state in the
//! process (`setuid` and friends broadcast to threads that don't exist here; the raw system calls don't).

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Resource, Rlimit, Signal};

/// `linux/personality.h`.
const PER_LINUX32: usize = 0x0008;
const ADDR_NO_RANDOMIZE: usize = 0x0004_0000;

/// What the child was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    Start,
    Groups,
    Loopback,
    HostName,
    PrivateMounts,
    BindRoot,
    Mount,
    PivotRoot,
    NoNewPrivileges,
    Seccomp,
    WorkingDirectory,
    User,
    Execute,
}

impl Step {
    const ALL: [Self; 13] = [
        Self::Start,
        Self::Groups,
        Self::Loopback,
        Self::HostName,
        Self::PrivateMounts,
        Self::BindRoot,
        Self::Mount,
        Self::PivotRoot,
        Self::NoNewPrivileges,
        Self::Seccomp,
        Self::WorkingDirectory,
        Self::User,
        Self::Execute,
    ];

    /// The words after "cannot".
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Start => "start the child",
            Self::Groups => "drop the supplementary groups",
            Self::Loopback => "bring up the loopback interface",
            Self::HostName => "set the host name",
            Self::PrivateMounts => "make the mounts private",
            Self::BindRoot => "bind the root of the sandbox",
            Self::Mount => "mount",
            Self::PivotRoot => "change the root",
            Self::NoNewPrivileges => "forbid new privileges",
            Self::Seccomp => "filter system calls",
            Self::WorkingDirectory => "change into the build directory",
            Self::User => "switch to the build user",
            Self::Execute => "execute",
        }
    }
}

/// A failure of the child, as it comes through the status pipe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChildFailure {
    pub(crate) step: Step,
    /// Which of the mounts, for [`Step::Mount`].
    pub(crate) index: u16,
    pub(crate) errno: i32,
}

impl ChildFailure {
    pub(crate) const SIZE: usize = 8;

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let ([i0, i1], [e0, e1, e2, e3]) = (self.index.to_le_bytes(), self.errno.to_le_bytes());
        [self.step as u8, 0, i0, i1, e0, e1, e2, e3]
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [step, _, i0, i1, e0, e1, e2, e3] = bytes;
        let step = Step::ALL.get(usize::from(step)).copied().unwrap_or(Step::Start);
        Self { step, index: u16::from_le_bytes([i0, i1]), errno: i32::from_le_bytes([e0, e1, e2, e3]) }
    }
}

/// One mount of the sandbox; targets are paths of the host below the root of the sandbox.
#[derive(Debug)]
pub(crate) enum PreparedMount {
    Bind { source: CString, target: CString, read_only: bool },
    Proc { target: CString },
    Tmpfs { target: CString, options: CString },
    Devpts { target: CString },
}

impl PreparedMount {
    pub(crate) fn target(&self) -> &CStr {
        match self {
            Self::Bind { target, .. }
            | Self::Proc { target }
            | Self::Tmpfs { target, .. }
            | Self::Devpts { target } => target,
        }
    }
}

/// The part of the plan that only sandboxed builds have.
#[derive(Debug)]
pub(crate) struct Isolation {
    pub(crate) root: CString,
    pub(crate) mounts: Vec<PreparedMount>,
    pub(crate) private_network: bool,
}

/// Everything the child needs, prepared by the parent.
#[derive(Debug)]
pub(crate) struct ChildPlan {
    pub(crate) program: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    pub(crate) working_directory: CString,
    pub(crate) isolation: Option<Isolation>,
    /// User and group to become, as seen inside.
    pub(crate) identity: Option<(u32, u32)>,
    /// Whether `setgroups` has to work.
    pub(crate) drop_groups: bool,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Vec<libc::sock_filter>,
    /// Run as a 32-bit machine (`personality(2)`).
    pub(crate) linux32: bool,
}

/// The descriptors of the child.
#[derive(Debug)]
pub(crate) struct ChildFds {
    /// A byte comes when the parent has written the user mapping.
    pub(crate) go: OwnedFd,
    /// The parent's end of the same pipe, which must not keep it open in the child.
    pub(crate) go_parent_end: OwnedFd,
    /// Where a failure is told; closed by a successful `execve`.
    pub(crate) status: OwnedFd,
    pub(crate) stdin: OwnedFd,
    pub(crate) output: OwnedFd,
}

/// Null-terminated pointer arrays for `execve`; built before the clone.
#[derive(Debug)]
pub(crate) struct ExecArrays {
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
}

impl ExecArrays {
    pub(crate) fn new(plan: &ChildPlan) -> Self {
        let pointers = |strings: &[CString]| {
            strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>()
        };
        Self { arguments: pointers(&plan.arguments), environment: pointers(&plan.environment) }
    }
}

/// Runs in the child; never returns.
pub(crate) fn run(plan: &ChildPlan, arrays: &ExecArrays, fds: &ChildFds) -> ! {
    let Err(failure) = set_up_and_execute(plan, arrays, fds);
    let _ = rustix::io::write(&fds.status, &failure.to_bytes());
    // SAFETY: `_exit` runs no handlers and touches no state of the process.
    unsafe { libc::_exit(127) }
}

fn set_up_and_execute(
    plan: &ChildPlan,
    arrays: &ExecArrays,
    fds: &ChildFds,
) -> Result<Infallible, ChildFailure> {
    let at = |step: Step| move |errno: Errno| ChildFailure { step, index: 0, errno: errno.raw_os_error() };

    die_with_parent().map_err(at(Step::Start))?;
    // SAFETY: closes this process's copy of a descriptor that nothing below uses again.
    unsafe { libc::close(fds.go_parent_end.as_raw_fd()) };
    let mut byte = [0u8; 1];
    match rustix::io::read(&fds.go, &mut byte[..]) {
        Ok(1) => {}
        Ok(_) => return Err(at(Step::Start)(Errno::CANCELED)),
        Err(errno) => return Err(at(Step::Start)(errno)),
    }

    reset_signals();
    rustix::process::setsid().map_err(at(Step::Start))?;
    for (fd, number) in [(&fds.stdin, 0), (&fds.output, 1), (&fds.output, 2)] {
        // SAFETY: plain `dup2` onto the standard descriptors, whose Rust owners are gone with the other threads.
        if unsafe { libc::dup2(fd.as_raw_fd(), number) } < 0 {
            return Err(at(Step::Start)(last_errno()));
        }
    }
    if plan.drop_groups {
        raw(libc::SYS_setgroups, [0, 0, 0]).map_err(at(Step::Groups))?;
    }
    if let Some(isolation) = &plan.isolation {
        enter(isolation)?;
    }
    if plan.no_new_privileges {
        raw(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0])
            .map_err(at(Step::NoNewPrivileges))?;
    }
    if !plan.seccomp.is_empty() {
        let program =
            libc::sock_fprog { len: plan.seccomp.len() as u16, filter: plan.seccomp.as_ptr().cast_mut() };
        let pointer = std::ptr::from_ref(&program) as usize;
        raw(libc::SYS_seccomp, [libc::SECCOMP_SET_MODE_FILTER as usize, 0, pointer])
            .map_err(at(Step::Seccomp))?;
    }
    // Address space randomisation is off, as in the reference: one nondeterminism less.
    let persona = if plan.linux32 { PER_LINUX32 } else { 0 } | ADDR_NO_RANDOMIZE;
    let _ = raw(libc::SYS_personality, [persona, 0, 0]);

    rustix::process::umask(Mode::from_raw_mode(0o022));
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: None });
    rustix::process::chdir(plan.working_directory.as_c_str()).map_err(at(Step::WorkingDirectory))?;
    if let Some((user, group)) = plan.identity {
        let (user, group) = (user as usize, group as usize);
        raw(libc::SYS_setresgid, [group, group, group]).map_err(at(Step::User))?;
        raw(libc::SYS_setresuid, [user, user, user]).map_err(at(Step::User))?;
        // The kernel forgets the death signal with every change of user.
        die_with_parent().map_err(at(Step::User))?;
    }
    // Every descriptor of this program is close-on-exec; this also catches those of the caller's C libraries.
    // Kernels before 5.11 answer with an error, which is fine then.
    let _ = raw(libc::SYS_close_range, [3, u32::MAX as usize, libc::CLOSE_RANGE_CLOEXEC as usize]);

    // SAFETY: both arrays end in a null pointer and point into strings that `plan` keeps alive.
    unsafe {
        libc::execve(plan.program.as_ptr(), arrays.arguments.as_ptr(), arrays.environment.as_ptr());
    }
    Err(at(Step::Execute)(last_errno()))
}

fn enter(isolation: &Isolation) -> Result<(), ChildFailure> {
    let at = |step: Step| move |errno: Errno| ChildFailure { step, index: 0, errno: errno.raw_os_error() };
    if isolation.private_network {
        bring_up_loopback().map_err(at(Step::Loopback))?;
    }
    rustix::system::sethostname(b"localhost").map_err(at(Step::HostName))?;
    raw(libc::SYS_setdomainname, [c"(none)".as_ptr() as usize, 6, 0]).map_err(at(Step::HostName))?;

    let root = isolation.root.as_c_str();
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change(c"/", private).map_err(at(Step::PrivateMounts))?;
    rustix::mount::mount_bind_recursive(root, root).map_err(at(Step::BindRoot))?;
    for (index, mount) in isolation.mounts.iter().enumerate() {
        perform(mount).map_err(|errno| ChildFailure {
            step: Step::Mount,
            index: index as u16,
            errno: errno.raw_os_error(),
        })?;
    }
    // The old root is mounted over the new one and then taken away: `pivot_root(2)`, NOTES.
    rustix::process::chdir(root).map_err(at(Step::PivotRoot))?;
    rustix::process::pivot_root(c".", c".").map_err(at(Step::PivotRoot))?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH).map_err(at(Step::PivotRoot))?;
    rustix::process::chdir(c"/").map_err(at(Step::PivotRoot))
}

fn perform(mount: &PreparedMount) -> Result<(), Errno> {
    let hardened = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match mount {
        PreparedMount::Bind { source, target, read_only } => {
            rustix::mount::mount_bind_recursive(source.as_c_str(), target.as_c_str())?;
            if *read_only { make_read_only(target) } else { Ok(()) }
        }
        PreparedMount::Proc { target } => {
            rustix::mount::mount(c"none", target.as_c_str(), c"proc", hardened, None)
        }
        PreparedMount::Tmpfs { target, options } => rustix::mount::mount(
            c"none",
            target.as_c_str(),
            c"tmpfs",
            MountFlags::NOSUID | MountFlags::NODEV,
            options.as_c_str(),
        ),
        PreparedMount::Devpts { target } => {
            let options = c"newinstance,mode=0620,ptmxmode=0666";
            let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
            match rustix::mount::mount(c"none", target.as_c_str(), c"devpts", flags, options) {
                // A kernel without instances of devpts: builds that want a terminal will say so.
                Err(Errno::INVAL) => Ok(()),
                other => other,
            }
        }
    }
}

/// Read-only without losing the flags that the kernel has locked in a user namespace.
fn make_read_only(target: &CStr) -> Result<(), Errno> {
    const MOUNT_ATTR_RDONLY: u64 = 1;
    const AT_RECURSIVE: usize = 0x8000;
    #[repr(C)]
    struct MountAttributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let attributes = MountAttributes { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: path and attributes outlive the call, and the size given is that of the attributes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            target.as_ptr(),
            AT_RECURSIVE,
            std::ptr::from_ref(&attributes),
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    match last_errno() {
        // Before Linux 5.12: remount, naming every flag that is there already.
        Errno::NOSYS => {
            let there = rustix::fs::statvfs(target)?.f_flag.bits() as u32;
            let kept = [
                (libc::ST_NOSUID, MountFlags::NOSUID),
                (libc::ST_NODEV, MountFlags::NODEV),
                (libc::ST_NOEXEC, MountFlags::NOEXEC),
                (libc::ST_NOATIME, MountFlags::NOATIME),
                (libc::ST_NODIRATIME, MountFlags::NODIRATIME),
                (libc::ST_RELATIME, MountFlags::RELATIME),
            ];
            let mut flags = MountFlags::BIND | MountFlags::RDONLY;
            for (bit, flag) in kept {
                if u64::from(there) & bit != 0 {
                    flags |= flag;
                }
            }
            rustix::mount::mount_remount(target, flags, c"")
        }
        errno => Err(errno),
    }
}

fn bring_up_loopback() -> Result<(), Errno> {
    // SAFETY: a fresh datagram socket; the request is a zeroed plain structure with a terminated name.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(last_errno());
        }
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as c_char;
        request.ifr_name[1] = b'o' as c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_LOOPBACK | libc::IFF_RUNNING) as i16;
        let result = libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw mut request);
        let errno = last_errno();
        libc::close(socket);
        if result < 0 { Err(errno) } else { Ok(()) }
    }
}

fn die_with_parent() -> Result<(), Errno> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
}

/// Ignored signals and the signal mask would be inherited by the builder.
fn reset_signals() {
    // SAFETY: `signal` and `sigprocmask` on a local, fully initialised set are async-signal-safe.
    unsafe {
        for signal in 1..32 {
            if signal != libc::SIGKILL && signal != libc::SIGSTOP {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

fn raw(number: libc::c_long, arguments: [usize; 3]) -> Result<(), Errno> {
    let [a, b, c] = arguments;
    // SAFETY: called with system calls that take integers, or pointers the caller keeps alive for the call.
    if unsafe { libc::syscall(number, a, b, c, 0, 0) } < 0 { Err(last_errno()) } else { Ok(()) }
}

fn last_errno() -> Errno {
    // SAFETY: reads the thread's own errno.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}
