//! `path:` inputs.

use super::{AttrValue, Input, InputAttrs, InputError, Result, required_text};
use crate::url::Url;

pub(super) const ATTRS: &[&str] = &["path", "rev", "revCount", "lastModified", "narHash"];

pub(super) fn from_url(url: &Url) -> Result<Option<InputAttrs>> {
    if url.scheme != "path" {
        return Ok(None);
    }
    if let Some(authority) = url.authority.as_ref().filter(|authority| !authority.host.is_empty()) {
        let message = format!("path URL '{url}' should not have an authority ('{authority}')");
        return Err(InputError::Invalid(message));
    }
    let mut attrs =
        InputAttrs::from([("type".to_owned(), "path".into()), ("path".to_owned(), url.file_path()?.into())]);
    for (name, value) in &url.query {
        let value = match name.as_str() {
            "rev" | "narHash" => value.as_str().into(),
            "revCount" | "lastModified" => AttrValue::Int(value.parse().map_err(|_| {
                InputError::Invalid(format!("path URL '{url}' has invalid parameter '{name}'"))
            })?),
            _ => {
                let message = format!("path URL '{url}' has unsupported parameter '{name}'");
                return Err(InputError::Invalid(message));
            }
        };
        attrs.insert(name.clone(), value);
    }
    Ok(Some(attrs))
}

pub(super) fn to_url(input: &Input) -> Result<Url> {
    let path = required_text(&input.attrs, "path")?;
    let mut url = Url { scheme: "path".into(), ..Url::default() };
    url.path = path.split('/').map(str::to_owned).collect();
    for (name, value) in &input.attrs {
        if !matches!(name.as_str(), "path" | "type" | "__final") {
            let value = match value {
                AttrValue::Text(text) => text.clone(),
                AttrValue::Int(value) => value.to_string(),
                AttrValue::Bool(value) => u8::from(*value).to_string(),
            };
            url.query.insert(name.clone(), value);
        }
    }
    Ok(url)
}
