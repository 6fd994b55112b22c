//! Git and Mercurial repositories.

use super::{
    AttrValue, Features, Input, InputAttrs, InputError, Result, is_legal_reference_name, optional_bool,
    optional_text, require, required_text, url_attr,
};
use crate::hash::{Hash, base64};
use crate::json;
use crate::url::{Url, parse_git_url};

pub(super) const ATTRS: &[&str] = &[
    "url",
    "ref",
    "rev",
    "shallow",
    "submodules",
    "lfs",
    "exportIgnore",
    "lastModified",
    "revCount",
    "narHash",
    "allRefs",
    "name",
    "dirtyRev",
    "dirtyShortRev",
    "verifyCommit",
    "keytype",
    "publicKey",
    "publicKeys",
];

pub(super) const MERCURIAL_ATTRS: &[&str] = &["url", "ref", "rev", "revCount", "narHash", "name"];

pub(super) fn from_url(url: &Url, features: Features<'_>) -> Result<Option<InputAttrs>> {
    if url.scheme != "git" && url.application() != Some("git") {
        return Ok(None);
    }
    let mut attrs = InputAttrs::from([("type".to_owned(), "git".into())]);
    let mut url = url.clone();
    for (name, value) in std::mem::take(&mut url.query) {
        let value = match name.as_str() {
            "rev" | "ref" | "keytype" | "publicKey" | "publicKeys" => AttrValue::Text(value),
            "shallow" | "submodules" | "lfs" | "exportIgnore" | "allRefs" | "verifyCommit" => {
                AttrValue::Bool(value == "1")
            }
            _ => {
                url.query.insert(name, value);
                continue;
            }
        };
        attrs.insert(name, value);
    }
    attrs.insert("url".to_owned(), url.to_string().into());
    check(&mut attrs, features)?;
    Ok(Some(attrs))
}

pub(super) fn check(attrs: &mut InputAttrs, features: Features<'_>) -> Result<()> {
    if ["verifyCommit", "keytype", "publicKey", "publicKeys"].iter().any(|name| attrs.contains_key(*name)) {
        require(features, "verified-fetches")?;
    }
    optional_bool(attrs, "verifyCommit")?;
    if let Some(reference) = optional_text(attrs, "ref")?.filter(|name| !is_legal_reference_name(name)) {
        return Err(InputError::BadUrl(format!("invalid Git branch/tag name '{reference}'")));
    }
    let url = parse_git_url(required_text(attrs, "url")?)?.to_string();
    attrs.insert("url".to_owned(), url.into());
    for flag in ["shallow", "submodules", "allRefs"] {
        optional_bool(attrs, flag)?;
    }
    Ok(())
}

pub(super) fn to_url(input: &Input) -> Result<Url> {
    let mut url = url_attr(&input.attrs)?;
    if url.scheme != "git" {
        url.scheme = format!("git+{}", url.scheme);
    }
    add_revision(&mut url, input)?;
    for flag in ["shallow", "lfs", "submodules", "exportIgnore", "verifyCommit"] {
        if input.bool(flag)? == Some(true) {
            url.query.insert(flag.into(), "1".into());
        }
    }
    let keys = public_keys(&input.attrs)?;
    if let [(kind, key)] = keys.as_slice() {
        url.query.insert("keytype".into(), kind.clone());
        url.query.insert("publicKey".into(), key.clone());
    } else if !keys.is_empty() {
        url.query.insert("publicKeys".into(), keys_to_json(&keys));
    }
    Ok(url)
}

fn add_revision(url: &mut Url, input: &Input) -> Result<()> {
    if let Some(revision) = input.rev()? {
        url.query.insert("rev".into(), revision.to_base16());
    }
    if let Some(reference) = input.text("ref")? {
        url.query.insert("ref".into(), reference.to_owned());
    }
    Ok(())
}

/// A key that may have signed a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// As OpenSSH calls it: `ssh-ed25519`.
    pub kind: String,
    /// The key in Base64.
    pub text: String,
}

impl PublicKey {
    /// The SHA-256 hash by which OpenSSH names it; nothing if it is no Base64 text.
    pub fn fingerprint(&self) -> Option<String> {
        let hash = Hash::sha256(&base64::decode(self.text.as_bytes())?);
        Some(hash.to_base64().trim_end_matches('=').to_owned())
    }
}

impl Input {
    /// The keys that may have signed the commit.
    pub fn public_keys(&self) -> Result<Vec<PublicKey>> {
        let keys = public_keys(&self.attrs)?;
        Ok(keys.into_iter().map(|(kind, text)| PublicKey { kind, text }).collect())
    }
}

/// Kinds and texts of the keys that may have signed a commit.
fn public_keys(attrs: &InputAttrs) -> Result<Vec<(String, String)>> {
    const DEFAULT_KIND: &str = "ssh-ed25519";
    let mut keys = Vec::new();
    if let Some(text) = optional_text(attrs, "publicKeys")? {
        let invalid = |what: &str| InputError::Invalid(format!("public keys '{text}': {what}"));
        let parsed: Vec<serde_json::Value> =
            serde_json::from_str(text).map_err(|error| invalid(&error.to_string()))?;
        for key in &parsed {
            let kind = key.get("type").map_or(Some(DEFAULT_KIND), serde_json::Value::as_str);
            let kind = kind.ok_or_else(|| invalid("a 'type' is not a string"))?;
            let text = key.get("key").and_then(serde_json::Value::as_str);
            let text = text.ok_or_else(|| invalid("a key without the string 'key'"))?;
            keys.push((kind.to_owned(), text.to_owned()));
        }
    }
    if let Some(key) = optional_text(attrs, "publicKey")? {
        keys.push((optional_text(attrs, "keytype")?.unwrap_or(DEFAULT_KIND).to_owned(), key.to_owned()));
    }
    Ok(keys)
}

fn keys_to_json(keys: &[(String, String)]) -> String {
    let mut out = String::from("[");
    for (index, (kind, key)) in keys.iter().enumerate() {
        out.push_str(if index > 0 { ",{\"key\":" } else { "{\"key\":" });
        json::write_string(&mut out, key);
        out.push_str(",\"type\":");
        json::write_string(&mut out, kind);
        out.push('}');
    }
    out.push(']');
    out
}

pub(super) fn mercurial_from_url(url: &Url) -> Result<Option<InputAttrs>> {
    if !matches!(url.scheme.as_str(), "hg+http" | "hg+https" | "hg+ssh" | "hg+file") {
        return Ok(None);
    }
    let mut attrs = InputAttrs::from([("type".to_owned(), "hg".into())]);
    let mut url = url.clone();
    url.scheme = url.transport().to_owned();
    for name in ["rev", "ref"] {
        attrs.extend(url.query.remove(name).map(|value| (name.to_owned(), value.into())));
    }
    attrs.insert("url".to_owned(), url.to_string().into());
    check_mercurial(&attrs)?;
    Ok(Some(attrs))
}

pub(super) fn check_mercurial(attrs: &InputAttrs) -> Result<()> {
    url_attr(attrs)?;
    let is_name = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '@')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./@+-".contains(&byte))
    };
    match optional_text(attrs, "ref")?.filter(|name| !is_name(name)) {
        Some(name) => Err(InputError::BadUrl(format!("invalid Mercurial branch/tag name '{name}'"))),
        None => Ok(()),
    }
}

pub(super) fn mercurial_to_url(input: &Input) -> Result<Url> {
    let mut url = url_attr(&input.attrs)?;
    url.scheme = format!("hg+{}", url.scheme);
    add_revision(&mut url, input)?;
    Ok(url)
}
