//! Flake references: an input, and the folder in it that has the `flake.nix`.
//!
//! The forms are C++ Nix 2.34's `src/libflake/flakeref.cc`; the manual's `nix flake` page, "Flake references", tells of
//! them.

use std::fmt;

use crate::input::{AttrValue, Features, Input, InputAttrs, InputError, Wanted, optional_text};
use crate::url::{Authority, Strictness, Url, decode_query, path_segments, percent_decode};

/// Where a flake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlakeRef {
    /// The tree it is in.
    pub input: Input,
    /// The folder within it; empty for the tree itself.
    pub subdir: String,
}

/// A flake reference as it was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedFlakeRef {
    /// The reference.
    pub flake: FlakeRef,
    /// What was after `#`.
    pub fragment: String,
    /// What is dubious about it.
    pub warnings: Vec<String>,
}

/// What a text that is no URL may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// An absolute path.
    Absolute,
    /// Any path: one that isn't absolute starts from the flake that names it.
    Relative,
}

impl FlakeRef {
    /// Parses a reference that has no fragment.
    pub fn parse(
        text: &str,
        paths: Paths,
        wanted: Wanted,
        features: Features<'_>,
    ) -> Result<ParsedFlakeRef, InputError> {
        let parsed = FlakeRef::parse_with_fragment(text, paths, wanted, features)?;
        if parsed.fragment.is_empty() {
            return Ok(parsed);
        }
        let fragment = parsed.fragment;
        Err(InputError::Invalid(format!("unexpected fragment '{fragment}' in flake reference '{text}'")))
    }

    /// Parses a reference that may have a fragment.
    pub fn parse_with_fragment(
        text: &str,
        paths: Paths,
        wanted: Wanted,
        features: Features<'_>,
    ) -> Result<ParsedFlakeRef, InputError> {
        if let Some(parsed) = parse_id(text, wanted, features)? {
            return Ok(parsed);
        }
        match parse_url(text, wanted, features) {
            Err(InputError::BadUrl(_)) => {}
            result => return result,
        }
        let parts = PathReference::parse(text)?;
        if paths == Paths::Absolute && !parts.path.starts_with('/') {
            return Err(InputError::BadUrl(format!("flake reference '{text}' is not an absolute path")));
        }
        let url = Url {
            scheme: "path".into(),
            authority: parts.path.starts_with('/').then(Authority::default),
            path: path_segments(&parts.path),
            ..parts.rest
        };
        from_url(url, wanted, features)
    }

    /// What attributes stand for.
    pub fn from_attrs(mut attrs: InputAttrs, features: Features<'_>) -> Result<FlakeRef, InputError> {
        let subdir = optional_text(&attrs, "dir").map(|dir| dir.unwrap_or_default().to_owned());
        attrs.remove("dir");
        let input = Input::from_attrs(attrs, features)?;
        Ok(FlakeRef { input, subdir: subdir? })
    }

    /// As attributes.
    pub fn to_attrs(&self) -> InputAttrs {
        let mut attrs = self.input.attrs.clone();
        if !self.subdir.is_empty() {
            attrs.entry("dir".to_owned()).or_insert_with(|| AttrValue::Text(self.subdir.clone()));
        }
        attrs
    }

    /// As a URL.
    pub fn to_url(&self) -> Result<Url, InputError> {
        let mut url = self.input.to_url()?;
        if !self.subdir.is_empty() {
            url.query.entry("dir".into()).or_insert_with(|| self.subdir.clone());
        }
        Ok(url)
    }

    /// The same without a `dir` in its URL that says what the reference says: old lock files have both.
    #[must_use]
    pub fn canonical(&self) -> FlakeRef {
        let mut canonical = self.clone();
        if let Ok(Some(url)) = self.input.text("url")
            && let Ok(mut url) = Url::parse(url, Strictness::Lenient)
        {
            if !self.subdir.is_empty() && url.query.get("dir") == Some(&self.subdir) {
                url.query.remove("dir");
            }
            canonical.input.set("url", url.to_string());
        }
        canonical
    }
}

/// What messages show.
impl fmt::Display for FlakeRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_url() {
            Ok(url) => url.fmt(out),
            Err(error) => error.fmt(out),
        }
    }
}

/// The parts of a reference that is a path: `PATH?QUERY#FRAGMENT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathReference {
    /// The path as it was given.
    pub path: String,
    /// A URL without scheme and path, which has the query and the fragment.
    pub rest: Url,
}

impl PathReference {
    /// Takes a reference apart.
    pub fn parse(text: &str) -> Result<PathReference, InputError> {
        let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (path, query) = before.split_once('?').unwrap_or((before, ""));
        // A line break is in none of the parts.
        if fragment.contains(['\n', '\r']) {
            return Err(InputError::Invalid(format!("invalid flakeref '{text}'")));
        }
        let (query, ignored) = decode_query(query, Strictness::Lenient)?;
        let rest = Url { query, ignored, fragment: percent_decode(fragment)?, ..Url::default() };
        Ok(PathReference { path: path.to_owned(), rest })
    }
}

/// What a URL stands for, whose `dir` and fragment are the reference's.
pub fn from_url(mut url: Url, wanted: Wanted, features: Features<'_>) -> Result<ParsedFlakeRef, InputError> {
    let subdir = url.query.remove("dir").unwrap_or_default();
    let fragment = std::mem::take(&mut url.fragment);
    let warnings = url.warnings();
    let input = Input::from_url(&url, wanted, features)?;
    Ok(ParsedFlakeRef { flake: FlakeRef { input, subdir }, fragment, warnings })
}

fn parse_url(text: &str, wanted: Wanted, features: Features<'_>) -> Result<ParsedFlakeRef, InputError> {
    from_url(Url::parse(text, Strictness::Lenient)?, wanted, features)
}

/// `ID`, `ID/REF`, `ID/REV` or `ID/REF/REV`, which are short for `flake:…`.
fn parse_id(
    text: &str,
    wanted: Wanted,
    features: Features<'_>,
) -> Result<Option<ParsedFlakeRef>, InputError> {
    let (location, fragment) = text.split_once('#').unwrap_or((text, ""));
    let is_fragment = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'\"()*+,;=:@/? ^%".contains(&byte);
    let (id, rest) = location.split_once('/').map_or((location, None), |(id, rest)| (id, Some(rest)));
    let is_id = id.starts_with(|first: char| first.is_ascii_alphabetic())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let is_reference = |rest: &str| {
        rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '@')
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./@+-".contains(&byte))
    };
    if !is_id || rest.is_some_and(|rest| !is_reference(rest)) || !fragment.bytes().all(is_fragment) {
        return Ok(None);
    }
    let Ok(fragment) = percent_decode(fragment) else { return Ok(None) };
    let url = Url {
        scheme: "flake".into(),
        path: location.split('/').map(str::to_owned).collect(),
        ..Url::default()
    };
    let input = Input::from_url(&url, wanted, features)?;
    Ok(Some(ParsedFlakeRef {
        flake: FlakeRef { input, subdir: String::new() },
        fragment,
        warnings: Vec::new(),
    }))
}
