//! Inputs: where a source tree comes from, as attributes (`{ type = "github"; owner = …; }`) and as a URL.
//!
//! One module a kind of source. What each takes, checks and prints is C++ Nix 2.34's `src/libfetchers`.

mod curl;
mod forge;
mod git;
mod indirect;
mod path;
mod reference_name;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::hash::{Hash, HashAlgo};
use crate::json;
use crate::url::{Strictness, Url, UrlError};

pub use git::PublicKey;
pub use reference_name::is_legal_reference_name;

/// The attributes of an input.
pub type InputAttrs = BTreeMap<String, AttrValue>;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttrValue {
    /// A text.
    Text(String),
    /// A number.
    Int(u64),
    /// A flag.
    Bool(bool),
}

impl From<&str> for AttrValue {
    fn from(text: &str) -> AttrValue {
        AttrValue::Text(text.to_owned())
    }
}

impl From<String> for AttrValue {
    fn from(text: String) -> AttrValue {
        AttrValue::Text(text)
    }
}

/// Why there is no such input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InputError {
    /// A URL that cannot be understood: as a flake reference the text may still be a path.
    #[error("{0}")]
    BadUrl(String),
    /// An experimental feature that is off.
    #[error(
        "experimental Nix feature '{0}' is disabled; add '--extra-experimental-features {0}' to enable it"
    )]
    MissingFeature(&'static str),
    /// What was fetched is not what was asked for.
    #[error("{0}")]
    HashMismatch(String),
    /// Anything else.
    #[error("{0}")]
    Invalid(String),
}

impl From<UrlError> for InputError {
    fn from(error: UrlError) -> InputError {
        InputError::BadUrl(error.0)
    }
}

impl From<crate::hash::HashError> for InputError {
    fn from(error: crate::hash::HashError) -> InputError {
        InputError::Invalid(error.to_string())
    }
}

type Result<T, E = InputError> = std::result::Result<T, E>;

/// Whether an experimental feature is on.
pub type Features<'a> = &'a dyn Fn(&str) -> bool;

/// Whether a tree of files is wanted, so that a URL without a known ending is an archive, or any file will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A tree.
    Tree,
    /// A tree or a file.
    Any,
}

/// Where a source tree comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// What is known of it, `type` included.
    pub attrs: InputAttrs,
    kind: Option<InputKind>,
}

/// A kind of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A file at a URL.
    File,
    /// A Git repository.
    Git,
    /// A repository at GitHub.
    GitHub,
    /// A repository at GitLab.
    GitLab,
    /// A Mercurial repository.
    Mercurial,
    /// A name that registries know.
    Indirect,
    /// A file or folder of this machine.
    Path,
    /// A repository at SourceHut.
    SourceHut,
    /// An archive at a URL.
    Tarball,
}

impl InputKind {
    /// In the order in which they are tried for a URL.
    const ALL: [InputKind; 9] = [
        InputKind::File,
        InputKind::Git,
        InputKind::GitHub,
        InputKind::GitLab,
        InputKind::Mercurial,
        InputKind::Indirect,
        InputKind::Path,
        InputKind::SourceHut,
        InputKind::Tarball,
    ];

    /// As `type` says it.
    pub fn name(self) -> &'static str {
        match self {
            InputKind::File => "file",
            InputKind::Git => "git",
            InputKind::GitHub => "github",
            InputKind::GitLab => "gitlab",
            InputKind::Mercurial => "hg",
            InputKind::Indirect => "indirect",
            InputKind::Path => "path",
            InputKind::SourceHut => "sourcehut",
            InputKind::Tarball => "tarball",
        }
    }

    fn needs_flakes(self) -> bool {
        !matches!(self, InputKind::File | InputKind::Git | InputKind::Mercurial | InputKind::Tarball)
    }

    fn allowed_attrs(self) -> &'static [&'static str] {
        match self {
            InputKind::File | InputKind::Tarball => curl::ATTRS,
            InputKind::Git => git::ATTRS,
            InputKind::GitHub | InputKind::GitLab | InputKind::SourceHut => forge::ATTRS,
            InputKind::Mercurial => git::MERCURIAL_ATTRS,
            InputKind::Indirect => indirect::ATTRS,
            InputKind::Path => path::ATTRS,
        }
    }

    fn attrs_from_url(self, url: &Url, wanted: Wanted, features: Features<'_>) -> Result<Option<InputAttrs>> {
        match self {
            InputKind::File | InputKind::Tarball => Ok(curl::from_url(self, url, wanted)),
            InputKind::Git => git::from_url(url, features),
            InputKind::GitHub | InputKind::GitLab | InputKind::SourceHut => forge::from_url(self, url),
            InputKind::Mercurial => git::mercurial_from_url(url),
            InputKind::Indirect => indirect::from_url(url),
            InputKind::Path => path::from_url(url),
        }
    }

    fn check_attrs(self, attrs: &mut InputAttrs, features: Features<'_>) -> Result<()> {
        match self {
            InputKind::File | InputKind::Tarball => Ok(()),
            InputKind::Git => git::check(attrs, features),
            InputKind::GitHub | InputKind::GitLab | InputKind::SourceHut => forge::check(attrs),
            InputKind::Mercurial => git::check_mercurial(attrs),
            InputKind::Indirect => indirect::check_id(required_text(attrs, "id")?),
            InputKind::Path => required_text(attrs, "path").map(drop),
        }
    }
}

impl Input {
    /// What a URL stands for.
    pub fn from_url(url: &Url, wanted: Wanted, features: Features<'_>) -> Result<Input> {
        for kind in InputKind::ALL {
            let Some(attrs) = kind.attrs_from_url(url, wanted, features)? else { continue };
            if kind.needs_flakes() {
                require(features, "flakes")?;
            }
            let input = Input { attrs, kind: Some(kind) };
            input.check_common()?;
            return Ok(input);
        }
        let hint = if url.application() == Some("file") && url.transport() == "git" {
            "; did you mean 'git+file' instead of 'file+git'?"
        } else {
            ""
        };
        Err(InputError::Invalid(format!("input '{url}' is unsupported{hint}")))
    }

    /// What attributes stand for. A `type` that nobody knows is no error as long as nothing is fetched.
    pub fn from_attrs(mut attrs: InputAttrs, features: Features<'_>) -> Result<Input> {
        let Some(name) = optional_text(&attrs, "type")? else {
            return Err(InputError::Invalid(
                "'type' attribute to specify input scheme is required but not provided".into(),
            ));
        };
        let kind = InputKind::ALL.into_iter().find(|kind| kind.name() == name);
        if let Some(kind) = kind {
            if kind.needs_flakes() {
                require(features, "flakes")?;
            }
            for name in attrs.keys() {
                let is_common = name == "type" || name == "__final";
                if !is_common && !kind.allowed_attrs().contains(&name.as_str()) {
                    return Err(InputError::Invalid(format!(
                        "input attribute '{name}' not supported by scheme '{}'",
                        kind.name()
                    )));
                }
            }
            kind.check_attrs(&mut attrs, features)?;
        }
        let input = Input { attrs, kind };
        input.check_common()?;
        Ok(input)
    }

    fn check_common(&self) -> Result<()> {
        required_text(&self.attrs, "type")?;
        self.text("ref")?;
        self.int("revCount")?;
        self.int("lastModified")?;
        Ok(())
    }

    /// What kind it is, if it is a known one.
    pub fn kind(&self) -> Option<InputKind> {
        self.kind
    }

    /// The URL that stands for it.
    pub fn to_url(&self) -> Result<Url> {
        let Some(kind) = self.kind else {
            return Err(InputError::Invalid(format!(
                "cannot show unsupported input '{}'",
                attrs_to_json(&self.attrs)
            )));
        };
        match kind {
            InputKind::File | InputKind::Tarball => curl::to_url(self),
            InputKind::Git => git::to_url(self),
            InputKind::GitHub | InputKind::GitLab | InputKind::SourceHut => forge::to_url(self, kind),
            InputKind::Mercurial => git::mercurial_to_url(self),
            InputKind::Indirect => indirect::to_url(self),
            InputKind::Path => path::to_url(self),
        }
    }

    /// Whether what it stands for can't change.
    pub fn is_locked(&self) -> Result<bool> {
        Ok(match self.kind {
            None | Some(InputKind::Indirect) => false,
            Some(InputKind::File | InputKind::Path | InputKind::Tarball) => self.nar_hash()?.is_some(),
            Some(InputKind::Git) => self.rev()?.is_some_and(|rev| rev != Hash::zero(HashAlgo::Sha1)),
            // A revision is enough: tarballs of these places are trusted (`trust-tarballs-from-git-forges`).
            Some(_) => self.rev()?.is_some(),
        })
    }

    /// Whether it can be fetched without asking a registry what it is.
    pub fn is_direct(&self) -> bool {
        self.kind != Some(InputKind::Indirect)
    }

    /// Whether it comes from a lock file, with all there is to know of it.
    pub fn is_final(&self) -> Result<bool> {
        Ok(self.bool("__final")?.unwrap_or(false))
    }

    /// The path of a `path:` input that starts from the flake it is in.
    pub fn relative_path(&self) -> Option<&str> {
        if self.kind != Some(InputKind::Path) {
            return None;
        }
        match self.attrs.get("path") {
            Some(AttrValue::Text(path)) if !path.starts_with('/') => Some(path),
            _ => None,
        }
    }

    /// The name it has in the store.
    pub fn name(&self) -> Result<&str> {
        Ok(self.text("name")?.unwrap_or("source"))
    }

    /// The hash of its contents as an archive.
    pub fn nar_hash(&self) -> Result<Option<Hash>> {
        let Some(text) = self.text("narHash")? else { return Ok(None) };
        let hash = if text.is_empty() { Hash::zero(HashAlgo::Sha256) } else { Hash::parse_sri(text)? };
        if hash.algo() != HashAlgo::Sha256 {
            return Err(InputError::Invalid("narHash must use SHA-256".into()));
        }
        Ok(Some(hash))
    }

    /// The revision.
    pub fn rev(&self) -> Result<Option<Hash>> {
        let Some(text) = self.text("rev")? else { return Ok(None) };
        let prefixed = Hash::parse_any(text, None);
        Ok(Some(prefixed.or_else(|_| Hash::parse_any(text, Some(HashAlgo::Sha1)))?))
    }

    /// An attribute that is a text.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        optional_text(&self.attrs, name)
    }

    /// An attribute that is a number.
    pub fn int(&self, name: &str) -> Result<Option<u64>> {
        match self.attrs.get(name) {
            None => Ok(None),
            Some(AttrValue::Int(value)) => Ok(Some(*value)),
            Some(_) => Err(InputError::Invalid(format!("input attribute '{name}' is not an integer"))),
        }
    }

    /// An attribute that is a flag.
    pub fn bool(&self, name: &str) -> Result<Option<bool>> {
        optional_bool(&self.attrs, name)
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &str, value: impl Into<AttrValue>) {
        self.attrs.insert(name.to_owned(), value.into());
    }
}

/// Attributes as a JSON object, as messages show them.
pub fn attrs_to_json(attrs: &InputAttrs) -> String {
    let mut out = String::from("{");
    for (index, (name, value)) in attrs.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::write_string(&mut out, name);
        out.push(':');
        match value {
            AttrValue::Text(text) => json::write_string(&mut out, text),
            AttrValue::Int(value) => out.push_str(&value.to_string()),
            AttrValue::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        }
    }
    out.push('}');
    out
}

fn require(features: Features<'_>, feature: &'static str) -> Result<()> {
    if features(feature) { Ok(()) } else { Err(InputError::MissingFeature(feature)) }
}

pub(crate) fn optional_text<'a>(attrs: &'a InputAttrs, name: &str) -> Result<Option<&'a str>> {
    match attrs.get(name) {
        None => Ok(None),
        Some(AttrValue::Text(text)) => Ok(Some(text)),
        Some(_) => Err(InputError::Invalid(format!(
            "input attribute '{name}' is not a string {}",
            attrs_to_json(attrs)
        ))),
    }
}

fn required_text<'a>(attrs: &'a InputAttrs, name: &str) -> Result<&'a str> {
    optional_text(attrs, name)?
        .ok_or_else(|| InputError::Invalid(format!("input attribute '{name}' is missing")))
}

fn optional_bool(attrs: &InputAttrs, name: &str) -> Result<Option<bool>> {
    match attrs.get(name) {
        None => Ok(None),
        Some(AttrValue::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(InputError::Invalid(format!("input attribute '{name}' is not a Boolean"))),
    }
}

/// Whether a text is a full SHA-1 revision.
fn is_revision(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The URL that an attribute holds.
fn url_attr(attrs: &InputAttrs) -> Result<Url> {
    Ok(Url::parse(required_text(attrs, "url")?, Strictness::Strict)?)
}

/// Compares what was fetched with what was asked for. An input from a lock file stays as it is there.
pub fn check_locks(asked: &Input, fetched: &mut Input) -> Result<()> {
    if asked.is_final()? {
        let mut asked = asked.clone();
        // Some old lock files have hashes without the `=` at their end.
        if let Some(hash) = asked.nar_hash()? {
            asked.set("narHash", hash.to_sri());
        }
        if let Some(hash) = fetched.nar_hash()? {
            fetched.set("narHash", hash.to_sri());
        }
        for (name, value) in &asked.attrs {
            if fetched.attrs.get(name).is_some_and(|other| other != value) {
                return Err(InputError::Invalid(format!(
                    "mismatch in field '{name}' of input '{}', got '{}'",
                    attrs_to_json(&asked.attrs),
                    attrs_to_json(&fetched.attrs)
                )));
            }
        }
        fetched.attrs = asked.attrs;
        return Ok(());
    }
    if let Some(expected) = asked.nar_hash()? {
        let got = fetched.nar_hash()?;
        if got != Some(expected) {
            let got = got.map_or_else(|| "none".to_owned(), |hash| format!("'{}'", hash.to_sri()));
            return Err(InputError::HashMismatch(format!(
                "NAR hash mismatch in input '{}', expected '{}' but got {got}",
                asked.to_url()?,
                expected.to_sri()
            )));
        }
    }
    let mismatch = |name: &str, rest: String| -> Result<InputError> {
        let url = fetched.to_url()?;
        Ok(InputError::Invalid(format!("'{name}' attribute mismatch in input '{url}', expected {rest}")))
    };
    if let Some(expected) = asked.int("lastModified")? {
        let got = fetched.int("lastModified")?;
        if got != Some(expected) {
            let got = got.map_or(-1, |got| got as i64);
            return Err(mismatch("lastModified", format!("{expected}, got {got}"))?);
        }
    }
    if let Some(expected) = asked.rev()?
        && fetched.rev()? != Some(expected)
    {
        return Err(mismatch("rev", expected.to_base16())?);
    }
    if let Some(expected) = asked.int("revCount")?
        && fetched.int("revCount")? != Some(expected)
    {
        return Err(mismatch("revCount", expected.to_string())?);
    }
    Ok(())
}
