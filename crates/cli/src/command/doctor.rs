//! `nival doctor`: looks at the machine, the store and the sandbox, and says what is off.

use std::path::Path;

use nival_store::VerifyDepth;
use serde::Serialize;

use crate::error::{CommandError, Result};
use crate::world::World;

/// One thing that was looked at. `--json` prints a list of these.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at.
    check: &'static str,
    /// Whether all is well.
    ok: bool,
    /// What was found.
    found: String,
    /// The way on, if something is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, ok: true, found: found.into(), hint: None }
    }

    fn bad(check: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, ok: false, found: found.into(), hint: Some(hint.into()) }
    }
}

pub(crate) fn run(world: &World, check_contents: bool, json: bool) -> Result {
    let mut findings = vec![Finding::good("store", world.place().describe())];
    findings.push(store(world, check_contents));
    findings.push(user_namespaces());
    findings.push(systemd(world));
    if json {
        world.output.line(serde_json::to_string_pretty(&findings).map_err(CommandError::failure)?);
    } else {
        for finding in &findings {
            let mark = if finding.ok { "ok  " } else { "off " };
            world.output.line(format!("{mark} {}: {}", finding.check, finding.found));
            if let Some(hint) = &finding.hint {
                world.output.line(format!("     hint: {hint}"));
            }
        }
    }
    match findings.iter().filter(|finding| !finding.ok).count() {
        0 => Ok(()),
        count => {
            Err(CommandError::failure(format!("{count} of {} checks found something off", findings.len())))
        }
    }
}

fn store(world: &World, check_contents: bool) -> Finding {
    // Looking makes nothing: a store comes into being with its first path.
    if !world.store_config().is_some_and(|config| config.db_dir().join("db.sqlite").exists()) {
        return Finding::good("paths", "there is no store yet; the first build or switch makes it");
    }
    let depth = if check_contents { VerifyDepth::Contents } else { VerifyDepth::Existence };
    let checked = world.store().and_then(|store| Ok(store.verify(depth)?));
    match checked {
        Ok(report) if report.problems.is_empty() => {
            Finding::good("paths", format!("{} valid paths, none damaged", report.valid))
        }
        Ok(report) => {
            let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
            Finding::bad(
                "paths",
                problems.join("\n     "),
                "delete the damaged paths and build them again; generations that use them need a switch",
            )
        }
        Err(error) => Finding::bad("paths", error.message, error.hints.join("; ")),
    }
}

fn user_namespaces() -> Finding {
    let limit = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let clone = std::fs::read_to_string("/proc/sys/kernel/unprivileged_userns_clone").unwrap_or_default();
    if limit.trim() == "0" {
        return Finding::bad(
            "sandbox",
            "user namespaces are switched off",
            "`sysctl user.max_user_namespaces=15000`",
        );
    }
    if clone.trim() == "0" {
        return Finding::bad(
            "sandbox",
            "user namespaces are for root alone",
            "`sysctl kernel.unprivileged_userns_clone=1`",
        );
    }
    Finding::good("sandbox", "user namespaces are allowed")
}

fn systemd(world: &World) -> Finding {
    let running = world
        .context
        .variable("XDG_RUNTIME_DIR")
        .is_some_and(|folder| Path::new(folder).join("systemd/private").exists());
    Finding::good(
        "services",
        if running {
            "systemd's user manager runs; units are started and stopped through it"
        } else {
            "no user manager of systemd runs; units are linked and not started"
        },
    )
}
