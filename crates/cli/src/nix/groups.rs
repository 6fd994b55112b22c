//! Sub-commands of `nix` that have sub-commands of their own, and former names (C++ Nix 2.34, `src/nix/main.cc`).

use nival_syntax::suggestions;

use super::flags::misuse;
use crate::context::Context;
use crate::error::{CommandError, Result};

const GROUPS: &[(&str, &[&str])] = &[
    ("config", &["check", "show"]),
    ("derivation", &["add", "show"]),
    ("env", &["shell"]),
    (
        "flake",
        &[
            "archive",
            "check",
            "clone",
            "info",
            "init",
            "lock",
            "metadata",
            "new",
            "prefetch",
            "prefetch-inputs",
            "show",
            "update",
        ],
    ),
    ("formatter", &["build", "run"]),
    ("hash", &["convert", "file", "path", "to-base16", "to-base32", "to-base64", "to-sri"]),
    ("key", &["convert-secret-to-public", "generate-secret"]),
    ("nar", &["cat", "dump-path", "ls", "pack"]),
    (
        "profile",
        &["add", "diff-closures", "history", "list", "remove", "rollback", "upgrade", "wipe-history"],
    ),
    ("realisation", &["info"]),
    ("registry", &["add", "list", "pin", "remove", "resolve"]),
    (
        "store",
        &[
            "add",
            "add-file",
            "add-path",
            "cat",
            "copy-log",
            "copy-sigs",
            "delete",
            "diff-closures",
            "dump-path",
            "gc",
            "info",
            "ls",
            "make-content-addressed",
            "optimise",
            "path-from-hash-part",
            "prefetch-file",
            "repair",
            "roots-daemon",
            "sign",
            "verify",
        ],
    ),
];

/// Former names that are taken in silence or with a warning.
const ALIASES: &[(&str, &[&str])] = &[
    ("add-to-store", &["store", "add-path"]),
    ("cat-nar", &["nar", "cat"]),
    ("cat-store", &["store", "cat"]),
    ("copy-sigs", &["store", "copy-sigs"]),
    ("dev-shell", &["develop"]),
    ("diff-closures", &["store", "diff-closures"]),
    ("doctor", &["config", "check"]),
    ("dump-path", &["store", "dump-path"]),
    ("hash-file", &["hash", "file"]),
    ("hash-path", &["hash", "path"]),
    ("ls-nar", &["nar", "ls"]),
    ("ls-store", &["store", "ls"]),
    ("make-content-addressable", &["store", "make-content-addressed"]),
    ("optimise-store", &["store", "optimise"]),
    ("ping-store", &["store", "info"]),
    ("shell", &["env", "shell"]),
    ("show-config", &["config", "show"]),
    ("show-derivation", &["derivation", "show"]),
    ("sign-paths", &["store", "sign"]),
    ("to-base16", &["hash", "to-base16"]),
    ("to-base32", &["hash", "to-base32"]),
    ("to-base64", &["hash", "to-base64"]),
    ("verify", &["store", "verify"]),
];

/// What a former name stands for, and what is said of it.
pub(super) fn alias(name: &str) -> Option<(&'static [&'static str], Option<String>)> {
    let (_, path) = ALIASES.iter().find(|(alias, _)| *alias == name)?;
    let warning = format!("warning: '{name}' is a deprecated alias for '{}'", path.join(" "));
    Some((path, (name != "shell").then_some(warning)))
}

fn members(group: &str) -> Option<&'static [&'static str]> {
    GROUPS.iter().find(|(name, _)| *name == group).map(|(_, members)| *members)
}

/// Whether a sub-command has sub-commands.
pub(super) fn is_group(name: &str) -> bool {
    members(name).is_some()
}

/// The line that names what may have been meant.
pub(super) fn did_you_mean(similar: &[String]) -> String {
    match similar {
        [] => String::new(),
        [one] => format!("\n       Did you mean {one}?"),
        [others @ .., last] => format!("\n       Did you mean one of {} or {last}?", others.join(", ")),
    }
}

/// A sub-command of a group.
pub(super) fn member(group: &str, name: &str) -> Result<String> {
    let members = members(group).unwrap_or_default();
    if members.contains(&name) {
        return Ok(name.to_owned());
    }
    let similar = suggestions(name, members.iter().map(|member| member.as_bytes()));
    Err(misuse(format!("'{name}' is not a recognised command{}", did_you_mean(&similar))))
}

/// The error where a sub-command is missing. C++ Nix has it from Markdown, which its tests want to see as it is.
pub(super) fn no_member(context: &Context, group: &str) -> CommandError {
    let is_raw = context.variable("_NIX_TEST_RAW_MARKDOWN") == Some("1");
    let (quote, indent, item) = if is_raw { ("`", "       ", "- ") } else { ("", "         ", "· ") };
    let mut sorted = members(group).unwrap_or_default().to_vec();
    // In the order of the Markdown, where `-` comes before the end of a name.
    sorted.sort_unstable_by_key(|name| format!("{name}{quote}"));
    let mut text = format!("{quote}nix {group}{quote} requires a sub-command. Available sub-commands:\n");
    for name in sorted {
        text.extend(["\n", indent, item, quote, name, quote]);
    }
    misuse(text)
}
