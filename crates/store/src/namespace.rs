//! Lets a store that is elsewhere appear at `/nix`, for this process and those it starts.
//!
//! That takes a mount namespace and, for an ordinary user, a user namespace in which the user keeps their own ids.
//! Everything else looks as before.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, unmount,
};
use rustix::thread::UnshareFlags;

/// Why there is no namespace.
#[derive(Debug, thiserror::Error)]
#[error("cannot let the store appear at `/nix`: cannot {step}: {source}")]
pub struct NamespaceError {
    step: String,
    source: io::Error,
    hint: Option<String>,
}

impl NamespaceError {
    fn new(step: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let hint = explain(&source);
        Self { step: step.into(), source, hint }
    }

    /// What the user can do about it, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Lets `<root>/nix` appear at `/nix`, keeping the working directory.
///
/// For a process with one thread, before it starts others or another program: the kernel refuses a user namespace
/// to a process with several threads, and the mount namespace would be that of the calling thread alone. After an
/// error the process may be in a namespace that is only half set up, and should end.
pub fn enter(root: &Path) -> Result<(), NamespaceError> {
    let root = fs::canonicalize(root)
        .map_err(|error| NamespaceError::new(format!("find `{}`", root.display()), error))?;
    let nix = root.join("nix");
    let cwd =
        std::env::current_dir().map_err(|error| NamespaceError::new("find the working directory", error))?;
    unshare()?;
    // What is mounted from here on is nobody else's business.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| NamespaceError::new("make the mounts private", error))?;
    if Path::new("/nix").is_dir() {
        bind(&nix, Path::new("/nix"))?;
    } else {
        rebuild_root(&root, &nix)?;
    }
    // The name leads to where it did before, but perhaps through the new mounts.
    std::env::set_current_dir(&cwd)
        .map_err(|error| NamespaceError::new(format!("go back to `{}`", cwd.display()), error))
}

fn unshare() -> Result<(), NamespaceError> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    if user.is_root() {
        match unshare_namespaces(UnshareFlags::NEWNS) {
            Ok(()) => return Ok(()),
            // Root in a container without the right to mount; it may have user namespaces.
            Err(Errno::PERM) => {}
            Err(error) => return Err(NamespaceError::new("make a mount namespace", error)),
        }
    }
    unshare_namespaces(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)
        .map_err(|error| NamespaceError::new("make a user namespace", error))?;
    let write = |file: &str, text: String| {
        fs::write(file, text).map_err(|error| NamespaceError::new(format!("write `{file}`"), error))
    };
    // Without the right to set groups, a user may map their own group.
    write("/proc/self/setgroups", "deny".into())?;
    write("/proc/self/uid_map", format!("{0} {0} 1", user.as_raw()))?;
    write("/proc/self/gid_map", format!("{0} {0} 1", group.as_raw()))
}

fn unshare_namespaces(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: only the unsharing of the descriptor table can break what this process relies on, and neither of the
    // two flags used here does that.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Makes a root directory that holds all that the old one does, and `/nix`.
fn rebuild_root(root: &Path, nix: &Path) -> Result<(), NamespaceError> {
    let new = root.join(".namespace");
    fs::create_dir_all(&new)
        .map_err(|error| NamespaceError::new(format!("create `{}`", new.display()), error))?;
    mount("nival", &new, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=0755,size=1m"))
        .map_err(|error| NamespaceError::new(format!("mount a file system at `{}`", new.display()), error))?;
    let entries = fs::read_dir("/").map_err(|error| NamespaceError::new("read `/`", error))?;
    for entry in entries.flatten() {
        mirror(&entry.path(), &new.join(entry.file_name()))?;
    }
    let place = new.join("nix");
    fs::create_dir(&place)
        .map_err(|error| NamespaceError::new(format!("create `{}`", place.display()), error))?;
    bind(nix, &place)?;

    std::env::set_current_dir(&new).map_err(|error| NamespaceError::new("enter the new root", error))?;
    // With both names the same, the old root is mounted over the new one and can be taken away at once: see
    // pivot_root(2).
    rustix::process::pivot_root(".", ".").map_err(|error| NamespaceError::new("change the root", error))?;
    unmount(".", UnmountFlags::DETACH).map_err(|error| NamespaceError::new("leave the old root", error))
}

/// Lets what is at `old` be at `new` too; what can't be, such as a file that only root may reach, is left out.
fn mirror(old: &Path, new: &Path) -> Result<(), NamespaceError> {
    let failed = |error: io::Error| NamespaceError::new(format!("keep `{}`", old.display()), error);
    let Ok(metadata) = fs::symlink_metadata(old) else { return Ok(()) };
    if metadata.is_symlink() {
        let target: PathBuf = fs::read_link(old).map_err(failed)?;
        return std::os::unix::fs::symlink(target, new).map_err(failed);
    }
    if metadata.is_dir() {
        fs::create_dir(new).map_err(failed)?;
    } else {
        File::create(new).map(drop).map_err(failed)?;
    }
    bind(old, new)
}

fn bind(from: &Path, to: &Path) -> Result<(), NamespaceError> {
    mount_bind_recursive(from, to).map_err(|error| {
        NamespaceError::new(format!("mount `{}` at `{}`", from.display(), to.display()), error)
    })
}

/// What the machine's settings say about a refusal.
fn explain(error: &io::Error) -> Option<String> {
    let refused = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::StorageFull);
    let setting = |name: &str| fs::read_to_string(Path::new("/proc/sys").join(name)).ok();
    let is = |name: &str, value: &str| setting(name).is_some_and(|text| text.trim() == value);
    if error.kind() == io::ErrorKind::InvalidInput {
        return Some("this must be called while the process has one thread".into());
    }
    if !refused {
        return None;
    }
    let text = if is("user/max_user_namespaces", "0") {
        "user namespaces are switched off: as root, `sysctl user.max_user_namespaces=15000`"
    } else if is("kernel/unprivileged_userns_clone", "0") {
        "user namespaces are for root alone: as root, `sysctl kernel.unprivileged_userns_clone=1`"
    } else if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor restricts user namespaces: as root, \
         `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or give the program a profile that allows `userns`"
    } else {
        "a container or a security module forbids it; as root, make `/nix` and give it to yourself: \
         `mkdir -m 0755 /nix && chown $USER /nix`"
    };
    Some(text.into())
}
