//! Names that registries know: `flake:nixpkgs`.

use super::{Input, InputAttrs, InputError, Result, is_legal_reference_name, is_revision, required_text};
use crate::hash::{Hash, HashAlgo};
use crate::url::Url;

pub(super) const ATTRS: &[&str] = &["id", "ref", "rev", "narHash"];

pub(super) fn from_url(url: &Url) -> Result<Option<InputAttrs>> {
    if url.scheme != "flake" {
        return Ok(None);
    }
    let bad = |text: String| InputError::BadUrl(text);
    let path: Vec<&str> = url.segments().collect();
    let (reference, revision) = match path.as_slice() {
        [_] => (None, None),
        [_, last] if is_revision(last) => (None, Some(*last)),
        [_, last] if is_legal_reference_name(last) => (Some(*last), None),
        [_, last] => {
            let message = format!("in flake URL '{url}', '{last}' is not a commit hash or branch/tag name");
            return Err(bad(message));
        }
        [_, name, _] if !is_legal_reference_name(name) => {
            return Err(bad(format!("in flake URL '{url}', '{name}' is not a branch/tag name")));
        }
        [_, name, revision] => {
            if !is_revision(revision) {
                return Err(bad(format!("in flake URL '{url}', '{revision}' is not a commit hash")));
            }
            (Some(*name), Some(*revision))
        }
        _ => return Err(bad(format!("GitHub URL '{url}' is invalid"))),
    };
    check_id(path[0])?;
    let mut attrs =
        InputAttrs::from([("type".to_owned(), "indirect".into()), ("id".to_owned(), path[0].into())]);
    if let Some(revision) = revision {
        let revision = Hash::parse_any(revision, Some(HashAlgo::Sha1))?;
        attrs.insert("rev".to_owned(), revision.to_base16().into());
    }
    if let Some(reference) = reference {
        attrs.insert("ref".to_owned(), reference.into());
    }
    Ok(Some(attrs))
}

pub(super) fn check_id(id: &str) -> Result<()> {
    if is_id(id) { Ok(()) } else { Err(InputError::BadUrl(format!("'{id}' is not a valid flake ID"))) }
}

pub(super) fn is_id(id: &str) -> bool {
    id.starts_with(|first: char| first.is_ascii_alphabetic())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

pub(super) fn to_url(input: &Input) -> Result<Url> {
    let mut url = Url { scheme: "flake".into(), ..Url::default() };
    url.path.push(required_text(&input.attrs, "id")?.to_owned());
    url.path.extend(input.text("ref")?.map(str::to_owned));
    url.path.extend(input.rev()?.map(|revision| revision.to_base16()));
    Ok(url)
}
