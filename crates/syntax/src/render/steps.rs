//! How evaluation got to an error, as its reader thinks of it: through options and definitions of modules, and
//! through their own files. What a library did in between is left out.

use crate::{Diagnostic, Frame, Place};

/// A step on the way to an error.
pub(super) enum Step<'a> {
    /// An option of the module system was evaluated.
    Option(OptionStep<'a>),
    /// Anything else: what was done, and where.
    Frame(&'a str, Option<Place>),
}

/// An option and its definition that was at fault, as far as they are known.
#[derive(Default)]
pub(super) struct OptionStep<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
}

/// The steps, innermost first and without the one that is shown already, and how many frames are in none of them.
pub(super) fn steps<'a>(diagnostic: &'a Diagnostic, shown: Option<&Frame>) -> (Vec<Step<'a>>, usize) {
    let own = OwnFiles::of(diagnostic);
    let mut steps: Vec<Step<'a>> = Vec::new();
    let mut hidden = 0;
    // Outermost first, as the name of an option comes before its definitions.
    for frame in diagnostic.frames.iter().filter(|frame| !frame.text.is_empty()) {
        let place = frame.pos.resolve();
        let text = frame.text.as_str();
        if let Some(name) = quoted(text, "while evaluating the option `") {
            let is_repeated = matches!(steps.last(), Some(Step::Option(last)) if last.name == Some(name));
            if !is_repeated {
                steps.push(Step::Option(OptionStep { name: Some(name), ..OptionStep::default() }));
            }
        } else if let Some(file) = definition(text) {
            match steps.last_mut() {
                _ if file == "<unknown-file>" => {}
                Some(Step::Option(option)) if option.file == Some(file) => {}
                Some(Step::Option(option)) if option.file.is_none() => option.file = Some(file),
                _ => steps.push(Step::Option(OptionStep { file: Some(file), ..OptionStep::default() })),
            }
        } else if frame.always || place.is_some_and(|place| own.has(place)) {
            if let Some(place) = place {
                complete(&mut steps, place);
            }
            if !shown.is_some_and(|shown| std::ptr::eq(shown, frame)) {
                steps.push(Step::Frame(text, place));
            }
        } else {
            hidden += 1;
        }
    }
    if let Some(place) = diagnostic.pos.resolve().filter(|place| own.has(*place)) {
        complete(&mut steps, place);
    }
    steps.reverse();
    (steps, hidden)
}

/// The first place in the file of a definition tells its line.
fn complete(steps: &mut [Step<'_>], place: Place) {
    let innermost = steps.iter_mut().rev().find_map(|step| match step {
        Step::Option(option) => Some(option),
        Step::Frame(..) => None,
    });
    if let Some(option) = innermost
        && option.line.is_none()
        && let (Some(file), Some(path)) = (option.file, place.source.origin().path())
        && file == path
    {
        option.line = Some(place.line);
    }
}

/// The file of a definition, if the module system knows it.
fn definition(text: &str) -> Option<&str> {
    quoted(text, "while evaluating definitions from `")
        .or_else(|| quoted(text, "while evaluating a definition from `"))
}

/// What stands between the backquote that the start ends with and a quote.
fn quoted<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(start)?;
    rest.strip_suffix("':").or_else(|| rest.strip_suffix('\''))
}

/// Files that are the core of nixpkgs: what is around them is a library.
const LANDMARKS: [&str; 4] = [
    "/lib/modules.nix",
    "/lib/customisation.nix",
    "/lib/attrsets.nix",
    "/pkgs/stdenv/generic/make-derivation.nix",
];

/// Which texts the user may have written: those not in a store, not in the library that comes with the program,
/// and not in a copy of nixpkgs that took part.
pub(super) struct OwnFiles<'a> {
    libraries: Vec<&'a str>,
}

impl OwnFiles<'_> {
    pub(super) fn of(diagnostic: &Diagnostic) -> OwnFiles<'static> {
        let places = diagnostic.frames.iter().map(|frame| frame.pos).chain([diagnostic.pos]);
        let mut libraries: Vec<&str> = places
            .filter_map(|pos| {
                let path = pos.source()?.origin().path()?;
                LANDMARKS.iter().find_map(|landmark| path.strip_suffix(landmark))
            })
            .collect();
        libraries.sort_unstable();
        libraries.dedup();
        OwnFiles { libraries }
    }

    pub(super) fn has(&self, place: Place) -> bool {
        let Some(path) = place.source.origin().path() else { return true };
        let is_in = |folder: &&str| path.strip_prefix(*folder).is_some_and(|rest| rest.starts_with('/'));
        !path.contains("/nix/store/")
            && !path.starts_with("/__nival__/")
            && !path.starts_with("«nix-internal»/")
            && !self.libraries.iter().any(is_in)
    }
}
