//! Diagnostics as C++ Nix 2.34 prints them without colour (`error.cc`).

use std::collections::HashSet;
use std::fmt::Write;

use super::terminal::filter_escapes;
use crate::{Diagnostic, Frame, Level, Pos};

/// Frames up to here are shown without `--show-trace`; one with a place counts as two.
const SHOWN: usize = 3;
/// So many repeated frames in a row are still printed.
const REPEATED: usize = 5;

/// The diagnostic as the reference prints it, without colour and without a line end after it. What is not UTF-8
/// is in it as [`raw_text`](crate::raw_text) has it.
pub fn render_reference(diagnostic: &Diagnostic, show_trace: bool) -> String {
    let prefix = match diagnostic.level {
        Level::Error => "error: ",
        Level::Warning => "warning: ",
        Level::EvaluationWarning => "evaluation warning: ",
    };
    let mut out = String::new();
    if !diagnostic.frames.is_empty() {
        frames(&mut out, &diagnostic.frames, show_trace);
        out.push('\n');
        out.push_str(prefix);
    }
    out.push_str(&diagnostic.message);
    out.push('\n');
    place(&mut out, "", diagnostic.pos);
    match diagnostic.suggestions.as_slice() {
        [] => {}
        [one] => _ = writeln!(out, "Did you mean {one}?"),
        [most @ .., last] => _ = writeln!(out, "Did you mean one of {} or {last}?", most.join(", ")),
    }
    filter_escapes(&indent(prefix, chomp(&out))).into_owned()
}

fn frames(out: &mut String, frames: &[Frame], show_trace: bool) {
    let mut seen: HashSet<(Pos, &str)> = HashSet::new();
    let mut skipped = Vec::new();
    let mut count = 0;
    let mut cut = false;
    for entry in frames.iter().filter(|entry| !entry.text.is_empty()) {
        cut |= !show_trace && count > SHOWN;
        if cut && !entry.always {
            continue;
        }
        if !seen.insert((entry.pos, &entry.text)) {
            skipped.push(entry);
            continue;
        }
        repeated(out, &mut skipped, &mut count);
        count += 1;
        frame(out, entry, &mut count);
    }
    repeated(out, &mut skipped, &mut count);
    if cut {
        out.push_str("\n(stack trace truncated; use '--show-trace' to show the full, detailed trace)\n");
    }
}

fn repeated(out: &mut String, skipped: &mut Vec<&Frame>, count: &mut usize) {
    if skipped.len() <= REPEATED {
        for entry in skipped.iter() {
            frame(out, entry, count);
        }
    } else {
        _ = writeln!(out, "\n({} duplicate frames omitted)", skipped.len());
    }
    skipped.clear();
}

fn frame(out: &mut String, frame: &Frame, count: &mut usize) {
    _ = writeln!(out, "\n… {}", frame.text);
    if place(out, "  ", frame.pos) {
        *count += 1;
    }
}

/// `at FILE:LINE:COLUMN:` and up to three lines of text. Says whether there was a place.
fn place(out: &mut String, indent: &str, pos: Pos) -> bool {
    let Some(place) = pos.resolve() else { return false };
    _ = write!(out, "{indent}at {place}:");
    // An empty text has no lines to show.
    let text = !place.source.text().is_empty();
    for number in place.line.saturating_sub(1)..=place.line + 1 {
        let Some(line) = place.source.line(number).filter(|_| text) else { continue };
        _ = write!(out, "\n {number:>5}| {}", crate::raw_text(&line));
        if number == place.line {
            _ = write!(out, "\n      |{}^", " ".repeat(place.column as usize));
        }
    }
    out.push('\n');
    true
}

/// Puts the prefix before the first line and as many spaces before the others.
fn indent(prefix: &str, text: &str) -> String {
    let spaces = " ".repeat(prefix.len());
    let lines = text.split('\n').enumerate().map(|(number, line)| {
        let before = if number == 0 { prefix } else { &spaces };
        chomp(&format!("{before}{line}")).to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn chomp(text: &str) -> &str {
    text.trim_end_matches([' ', '\n', '\r', '\t'])
}
