//! Signatures of commits. The program `git` verifies them, as for C++ Nix 2.34 (`src/libfetchers/git-utils.cc`,
//! `verifyCommit`).

use std::io::Write as _;
use std::process::Command;

use gix::ObjectId;
use nival_formats::input::PublicKey;

use super::error::{GitError, Result};
use super::repository::Repository;

/// What `ssh` calls the kinds of keys.
const KINDS: [(&str, &str); 6] = [
    ("ssh-dsa", "ssh-dsa"),
    ("ssh-ecdsa", "ssh-ecdsa"),
    ("ssh-ecdsa-sk", "sk-ecdsa-sha2-nistp256@openssh.com"),
    ("ssh-ed25519", "ssh-ed25519"),
    ("ssh-ed25519-sk", "sk-ssh-ed25519@openssh.com"),
    ("ssh-rsa", "ssh-rsa"),
];

/// Fails unless one of the keys signed the commit.
pub(super) fn verify(repository: &Repository, revision: ObjectId, keys: &[PublicKey]) -> Result<()> {
    let mut signers = Vec::new();
    let mut good = Vec::new();
    for key in keys {
        let Some((_, kind)) = KINDS.iter().find(|(kind, _)| *kind == key.kind) else {
            let kinds: Vec<_> = KINDS.iter().map(|(kind, _)| format!("  {kind}\n")).collect();
            return Err(GitError::KeyKind(key.kind.clone(), kinds.concat()));
        };
        if key.text.contains(char::is_whitespace) {
            return Err(GitError::BadKey(key.text.clone()));
        }
        signers.push(format!("* {kind} {}\n", key.text));
        let fingerprint = key.fingerprint().ok_or_else(|| GitError::BadKey(key.text.clone()))?;
        good.push(format!(" key SHA256:{fingerprint}"));
    }
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(signers.concat().as_bytes())?;
    let mut setting = std::ffi::OsString::from("gpg.ssh.allowedSignersFile=");
    setting.push(file.path());
    let mut command = Command::new("git");
    command
        .arg("-c")
        .arg(setting)
        .arg("-C")
        .arg(&repository.path)
        .args(["verify-commit", &revision.to_string()]);
    // They would name another repository.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"] {
        command.env_remove(variable);
    }
    let said = command.output().map_err(|error| GitError::Program(error.to_string()))?;
    let output = [said.stdout, said.stderr].concat();
    let output = String::from_utf8_lossy(&output).into_owned();
    // The key has to be one of these: `git` also takes those that the user trusts.
    let is_good = |line: &str| {
        line.starts_with("Good \"git\" signature for * with ")
            && good.iter().any(|key| line.trim_end().ends_with(key))
    };
    if said.status.success() && output.lines().any(is_good) {
        return Ok(());
    }
    Err(GitError::Unverified { revision, output })
}
