//! Repositories at GitHub, GitLab and SourceHut.

use super::{
    Input, InputAttrs, InputError, InputKind, Result, attrs_to_json, is_legal_reference_name, is_revision,
    optional_text, required_text,
};
use crate::hash::{Hash, HashAlgo};
use crate::url::Url;

pub(super) const ATTRS: &[&str] =
    &["owner", "repo", "ref", "rev", "narHash", "lastModified", "host", "treeHash"];

pub(super) fn from_url(kind: InputKind, url: &Url) -> Result<Option<InputAttrs>> {
    if url.scheme != kind.name() {
        return Ok(None);
    }
    let path: Vec<&str> = url.segments().collect();
    let (mut revision, mut reference) = match path.as_slice() {
        [] | [_] => return Err(InputError::BadUrl(format!("URL '{url}' is invalid"))),
        [_, _] => (None, None),
        [_, _, last] if is_revision(last) => (Some((*last).to_owned()), None),
        [_, _, rest @ ..] => (None, Some(rest.join("/"))),
    };
    let mut attrs = InputAttrs::from([
        ("type".to_owned(), kind.name().into()),
        ("owner".to_owned(), path[0].into()),
        ("repo".to_owned(), path[1].into()),
    ]);
    for (name, value) in &url.query {
        match name.as_str() {
            "rev" if revision.is_some() => {
                return Err(InputError::BadUrl(format!("URL '{url}' contains multiple commit hashes")));
            }
            "rev" => revision = Some(value.clone()),
            "ref" if reference.is_some() => {
                return Err(InputError::BadUrl(format!("URL '{url}' contains multiple branch/tag names")));
            }
            "ref" => reference = Some(value.clone()),
            "host" | "narHash" => drop(attrs.insert(name.clone(), value.as_str().into())),
            _ => {}
        }
    }
    attrs.extend(revision.map(|revision| ("rev".to_owned(), revision.into())));
    attrs.extend(reference.map(|reference| ("ref".to_owned(), reference.into())));
    check(&attrs)?;
    Ok(Some(attrs))
}

pub(super) fn check(attrs: &InputAttrs) -> Result<()> {
    required_text(attrs, "owner")?;
    required_text(attrs, "repo")?;
    let (reference, revision) = (optional_text(attrs, "ref")?, optional_text(attrs, "rev")?);
    let bad = |what: String| InputError::BadUrl(format!("input {} contains {what}", attrs_to_json(attrs)));
    if let (Some(reference), Some(revision)) = (reference, revision) {
        return Err(bad(format!("both a commit hash ('{revision}') and a branch/tag name ('{reference}')")));
    }
    if let Some(revision) = revision {
        Hash::parse_any(revision, Some(HashAlgo::Sha1))?;
    }
    if reference.is_some_and(|reference| !is_legal_reference_name(reference)) {
        return Err(bad("an invalid branch/tag name".into()));
    }
    let is_host = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    if optional_text(attrs, "host")?.is_some_and(|host| !is_host(host)) {
        return Err(bad("an invalid instance host".into()));
    }
    Ok(())
}

pub(super) fn to_url(input: &Input, kind: InputKind) -> Result<Url> {
    let mut url = Url { scheme: kind.name().into(), ..Url::default() };
    url.path.push(required_text(&input.attrs, "owner")?.to_owned());
    url.path.push(required_text(&input.attrs, "repo")?.to_owned());
    url.path.extend(input.text("ref")?.map(str::to_owned));
    url.path.extend(input.rev()?.map(|revision| revision.to_base16()));
    if let Some(hash) = input.nar_hash()? {
        url.query.insert("narHash".into(), hash.to_sri());
    }
    if let Some(host) = input.text("host")? {
        url.query.insert("host".into(), host.to_owned());
    }
    Ok(url)
}
