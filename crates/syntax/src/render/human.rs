//! Diagnostics in Nival's own form: the cause, where it is, how evaluation got there, and ways on.

use std::fmt::Write;

use annotate_snippets::{AnnotationKind, Group, Level as Grade, Renderer, Snippet};

use crate::{Diagnostic, Level, Origin, Place, Pos};

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
    let mut out = renderer.render(&[group(diagnostic)]);
    frames(&mut out, diagnostic, style);
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

fn group(diagnostic: &Diagnostic) -> Group<'_> {
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
    let labels = diagnostic.labels.iter().filter_map(|label| {
        Some((label.pos.resolve()?, label.pos, AnnotationKind::Context, Some(label.text.as_str())))
    });
    let mut sources: Vec<(Place, Snippet<'_, _>)> = Vec::new();
    for (place, pos, kind, text) in primary.into_iter().chain(labels) {
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

fn frames(out: &mut String, diagnostic: &Diagnostic, style: HumanStyle) {
    // Innermost first: the cause stands above, and from there one reads outwards.
    let all = diagnostic.frames.iter().rev().filter(|frame| !frame.text.is_empty());
    let all: Vec<(&str, bool, Option<Place>)> =
        all.map(|frame| (frame.text.as_str(), frame.always, frame.pos.resolve())).collect();
    let own: Vec<_> = if style.show_trace {
        all.clone()
    } else {
        let own = all.iter().filter(|(_, always, place)| *always || place.is_some_and(is_own)).copied();
        own.take(SHOWN).collect()
    };
    if !own.is_empty() {
        out.push('\n');
    }
    for (text, _, place) in &own {
        _ = write!(out, "\n… {}", plain(text));
        if let Some(place) = place {
            _ = write!(out, "\n    at {place}");
        }
    }
    let hidden = all.len() - own.len();
    if hidden > 0 {
        let frames = if hidden == 1 { "frame" } else { "frames" };
        _ = write!(out, "\n({hidden} more {frames}; `--show-trace` shows all)");
    }
}

/// Whether a place is in a text that the user may have written: not in a store and not in the library that
/// comes with the program.
fn is_own(place: Place) -> bool {
    match place.source.origin() {
        Origin::File(path) => {
            !path.contains("/nix/store/")
                && !path.starts_with("/__nival__/")
                && !path.starts_with("«nix-internal»/")
        }
        Origin::String | Origin::Stdin => true,
    }
}

/// The word or sign at a position.
fn span(place: Place, pos: Pos) -> std::ops::Range<usize> {
    let text = place.source.text();
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
    let mut text = String::with_capacity(place.source.text().len());
    for chunk in place.source.text().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

/// Without control characters, which could move a terminal's cursor or colour what follows.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}
