//! Diagnostics in Nival's own form: the cause, where it is, how evaluation got there, and ways on.

use std::fmt::Write;

use annotate_snippets::{AnnotationKind, Group, Level as Grade, Renderer, Snippet};

use super::steps::{self, OptionStep, OwnFiles, Step};
use crate::{Diagnostic, Frame, Level, Place, Pos};

/// How [`render_human`] shows a diagnostic.
#[derive(Clone, Copy, Debug, Default)]
pub struct HumanStyle {
    /// Whether to colour it for a terminal.
    pub colour: bool,
    /// Whether to show all frames rather than the nearest few of the user's own text.
    pub show_trace: bool,
}

/// So many frames are shown when not all are.
const SHOWN: usize = 5;

/// The diagnostic in Nival's own form, without a line end after it.
pub fn render_human(diagnostic: &Diagnostic, style: HumanStyle) -> String {
    let renderer = if style.colour { Renderer::styled() } else { Renderer::plain() };
    let own = own_place(diagnostic);
    let mut out = renderer.render(&[group(diagnostic, own)]);
    frames(&mut out, diagnostic, own, style);
    let mut hints = diagnostic.hints.clone();
    match diagnostic.suggestions.as_slice() {
        [] => {}
        [one] => hints.push(format!("did you mean `{one}`?")),
        [most @ .., last] => hints.push(format!("did you mean `{}` or `{last}`?", most.join("`, `"))),
    }
    if !hints.is_empty() {
        out.push('\n');
    }
    for hint in hints {
        _ = write!(out, "\nhint: {}", plain(&hint));
    }
    out
}

fn group<'a>(diagnostic: &'a Diagnostic, own: Option<(&'a Frame, Place)>) -> Group<'a> {
    let grade = match diagnostic.level {
        Level::Error => Grade::ERROR,
        Level::Warning => Grade::WARNING,
        Level::EvaluationWarning => Grade::WARNING.with_name("evaluation warning"),
    };
    let mut title = grade.primary_title(plain(&diagnostic.message));
    if let Some(code) = diagnostic.code {
        title = title.id(code.number());
    }
    let primary =
        diagnostic.pos.resolve().map(|place| (place, diagnostic.pos, AnnotationKind::Primary, None));
    let (own, library) = match own {
        Some((frame, place)) => {
            let library = primary.map(|(place, pos, _, _)| {
                (place, pos, AnnotationKind::Context, Some("the error is raised here"))
            });
            (Some((place, frame.pos, AnnotationKind::Primary, Some(frame.text.as_str()))), library)
        }
        None => (primary, None),
    };
    let labels = diagnostic.labels.iter().filter_map(|label| {
        Some((label.pos.resolve()?, label.pos, AnnotationKind::Context, Some(label.text.as_str())))
    });
    let mut sources: Vec<(Place, Snippet<'a, _>)> = Vec::new();
    for (place, pos, kind, text) in own.into_iter().chain(library).chain(labels) {
        let annotation = kind.span(span(place, pos)).label(text);
        match sources.iter_mut().find(|(other, _)| std::ptr::eq(other.source, place.source)) {
            Some((_, snippet)) => *snippet = snippet.clone().annotation(annotation),
            None => {
                let snippet = Snippet::source(valid_text(place)).path(place.source.origin().to_string());
                sources.push((place, snippet.annotation(annotation)));
            }
        }
    }
    let mut group = Group::with_title(title);
    for (_, snippet) in sources {
        group = group.element(snippet);
    }
    group
}

/// Where an error that a library raises, or nobody knows where, comes from in the user's own files: the innermost
/// place in them, and what was done there.
fn own_place(diagnostic: &Diagnostic) -> Option<(&Frame, Place)> {
    let own = OwnFiles::of(diagnostic);
    if diagnostic.pos.resolve().is_some_and(|place| own.has(place)) {
        return None;
    }
    let named = diagnostic.frames.iter().rev().filter(|frame| !frame.text.is_empty());
    named.filter_map(|frame| Some((frame, frame.pos.resolve()?))).find(|(_, place)| own.has(*place))
}

fn frames(out: &mut String, diagnostic: &Diagnostic, own: Option<(&Frame, Place)>, style: HumanStyle) {
    if style.show_trace {
        // Innermost first: the cause stands above, and from there one reads outwards.
        let frames = diagnostic.frames.iter().rev().filter(|frame| !frame.text.is_empty());
        list(out, frames.map(|frame| Step::Frame(&frame.text, frame.pos.resolve())));
        return;
    }
    let (steps, mut hidden) = steps::steps(diagnostic, own.map(|(frame, _)| frame));
    hidden += steps.len().saturating_sub(SHOWN);
    if steps.is_empty() && hidden > 0 {
        out.push('\n');
    }
    list(out, steps.into_iter().take(SHOWN));
    if hidden > 0 {
        let frames = if hidden == 1 { "frame" } else { "frames" };
        _ = write!(out, "\n({hidden} more {frames}; `--show-trace` shows all)");
    }
}

fn list<'a>(out: &mut String, steps: impl Iterator<Item = Step<'a>>) {
    for (index, step) in steps.enumerate() {
        out.push_str(if index == 0 { "\n\n… " } else { "\n… " });
        match step {
            Step::Frame(text, place) => {
                out.push_str(&plain(text));
                if let Some(place) = place {
                    _ = write!(out, "\n    at {place}");
                }
            }
            Step::Option(OptionStep { name, file, line }) => {
                match name {
                    Some(name) => _ = write!(out, "in the option `{}`", plain(name)),
                    None => out.push_str("in a definition"),
                }
                if let Some(file) = file {
                    _ = write!(out, "\n    defined in {}", plain(file));
                }
                if let Some(line) = line {
                    _ = write!(out, ":{line}");
                }
            }
        }
    }
}

/// The word or sign at a position.
fn span(place: Place, pos: Pos) -> std::ops::Range<usize> {
    let text = place.source.text_or_blanks();
    let start = place.source.offset(pos).unwrap_or_default();
    let word = text[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'\'' | b'.'))
        .count();
    let mut end = (start + word.max(1)).min(text.len());
    while end < text.len() && text[end] & 0xc0 == 0x80 {
        end += 1;
    }
    start..end
}

/// The text with `?` for each byte that isn't UTF-8, so that offsets stay.
fn valid_text(place: Place) -> String {
    let mut text = String::with_capacity(place.source.len());
    for chunk in place.source.text_or_blanks().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

/// Without control characters, which could move a terminal's cursor or colour what follows, and with
/// replacements for what is not UTF-8.
fn plain(text: &str) -> String {
    let text = crate::raw_bytes(text);
    String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}
