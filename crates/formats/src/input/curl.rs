//! Files and archives at URLs.

use super::{AttrValue, Input, InputAttrs, InputKind, Result, Wanted, url_attr};
use crate::url::Url;

pub(super) const ATTRS: &[&str] = &["url", "narHash", "name", "unpack", "rev", "revCount", "lastModified"];

const ARCHIVES: [&str; 7] = [".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst"];

pub(super) fn from_url(kind: InputKind, url: &Url, wanted: Wanted) -> Option<InputAttrs> {
    if !matches!(url.transport(), "file" | "http" | "https") {
        return None;
    }
    let is_this = match url.application() {
        Some(application) => application == kind.name(),
        None => {
            let last = url.path.last().map_or("", String::as_str);
            let is_archive = wanted == Wanted::Tree || ARCHIVES.iter().any(|ending| last.ends_with(ending));
            is_archive == (kind == InputKind::Tarball)
        }
    };
    if !is_this {
        return None;
    }
    let mut url = url.clone();
    url.scheme = url.transport().to_owned();
    let mut attrs = InputAttrs::from([("type".to_owned(), kind.name().into())]);
    for name in ATTRS {
        let Some(value) = url.query.remove(*name) else { continue };
        let value = match *name {
            "narHash" | "rev" => AttrValue::Text(value),
            "revCount" | "lastModified" => match value.parse() {
                Ok(value) => AttrValue::Int(value),
                Err(_) => continue,
            },
            _ => continue,
        };
        attrs.insert((*name).to_owned(), value);
    }
    attrs.insert("url".to_owned(), url.to_string().into());
    Some(attrs)
}

pub(super) fn to_url(input: &Input) -> Result<Url> {
    let mut url = url_attr(&input.attrs)?;
    if let Some(hash) = input.nar_hash()? {
        url.query.insert("narHash".into(), hash.to_sri());
    }
    Ok(url)
}
