//! URLs as C++ Nix reads and prints them: RFC 3986, with a few characters more where it is lenient.
//!
//! What is taken apart and how it is put together again is C++ Nix 2.34's `src/libutil/url.cc`; the words of the errors
//! are those of the parser it uses.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use thiserror::Error;

/// A URL in its parts, all of them decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// What is before the first colon, such as `git+https`.
    pub scheme: String,
    /// What is between `//` and the path.
    pub authority: Option<Authority>,
    /// The path between its slashes: `/a/b` is `["", "a", "b"]`.
    pub path: Vec<String>,
    /// What is between `?` and `#`.
    pub query: BTreeMap<String, String>,
    /// What is after `#`.
    pub fragment: String,
    /// Names in the query that had no `=` and were left out.
    pub ignored: Vec<String>,
}

/// Whose the path is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// The host; an address of IPv6 without its brackets.
    pub host: String,
    /// Whether the host stood in brackets.
    pub bracketed: bool,
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The port.
    pub port: Option<u16>,
}

/// Why a text is not a URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct UrlError(pub String);

/// Whether spaces and some other characters may stand for themselves in queries and fragments, as in flake references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// As RFC 3986 says.
    Strict,
    /// Spaces and quotes need no escape in queries and fragments, nor `^` in fragments.
    Lenient,
}

impl Url {
    /// Parses a URL with a scheme.
    pub fn parse(text: &str, strictness: Strictness) -> Result<Url, UrlError> {
        let lenient = strictness == Strictness::Lenient;
        let (rest, fragment) = split_once(text, '#');
        let (rest, query) = split_once(rest, '?');
        let query = query.map(|query| if lenient { escape(query, " \"") } else { query.to_owned() });
        let fragment =
            fragment.map(|fragment| if lenient { escape(fragment, " \"^") } else { fragment.to_owned() });
        let invalid = |why: &str| UrlError(format!("'{text}' is not a valid URL: {why}"));

        let Some((scheme, rest)) = rest.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            check_characters(rest, PATH).map_err(|_| invalid("leftover"))?;
            let first = rest.split('/').next().unwrap_or_default();
            return Err(if first.contains(':') {
                invalid("mismatch")
            } else {
                UrlError(format!("'{text}' doesn't have a scheme"))
            });
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                (Some(Authority::parse(&rest[..end], &invalid)?), &rest[end..])
            }
            None => (None, rest),
        };
        check_characters(path, PATH).map_err(|problem| invalid(problem.word()))?;
        if let Some(query) = &query {
            check_characters(query, QUERY).map_err(|_| invalid("leftover"))?;
        }
        if let Some(fragment) = &fragment {
            check_characters(fragment, FRAGMENT).map_err(|problem| invalid(problem.word()))?;
        }
        let mut url = Url { scheme: scheme.to_owned(), authority, ..Url::default() };
        let is_file = url.transport() == "file";
        if is_file
            && let Some(authority) = &url.authority
            && !authority.host.is_empty()
        {
            return Err(UrlError(format!("file:// URL '{text}' has unexpected authority '{authority}'")));
        }
        let path = if is_file && path.is_empty() { "/" } else { path };
        url.path = path.split('/').map(percent_decode).collect::<Result<_, _>>()?;
        if let Some(query) = query {
            (url.query, url.ignored) = decode_query(&query, Strictness::Strict)?;
        }
        if let Some(fragment) = fragment {
            url.fragment = percent_decode(&fragment)?;
        }
        Ok(url)
    }

    /// What the scheme says before its `+`: `git` of `git+https`.
    pub fn application(&self) -> Option<&str> {
        self.scheme.split_once('+').map(|(application, _)| application)
    }

    /// What the scheme says after its `+`, or all of it.
    pub fn transport(&self) -> &str {
        self.scheme.split_once('+').map_or(&self.scheme, |(_, transport)| transport)
    }

    /// What is dubious about it.
    pub fn warnings(&self) -> Vec<String> {
        let warning = |name| format!("dubious URI query '{name}' is missing equal sign '=', ignoring");
        self.ignored.iter().map(warning).collect()
    }

    /// The parts of the path that aren't empty.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.iter().map(String::as_str).filter(|segment| !segment.is_empty())
    }

    /// The path as a path of files.
    pub fn file_path(&self) -> Result<String, UrlError> {
        for part in &self.path {
            if part.contains('/') {
                return Err(UrlError(format!(
                    "URL path component '{part}' contains '/', which is not allowed in file names"
                )));
            }
            if part.contains('\0') {
                let shown = part.replace('\0', "␀");
                return Err(UrlError(format!(
                    "URL path component '{shown}' contains NUL byte which is not allowed"
                )));
            }
        }
        let (start, parts) = match self.path.as_slice() {
            [first, rest @ ..] if first.is_empty() => ("/", rest),
            parts => ("", parts),
        };
        // Joined as paths are: without doubled slashes, keeping one at the end.
        let mut joined = start.to_owned();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 && !joined.ends_with('/') {
                joined.push('/');
            }
            joined.push_str(part);
        }
        Ok(joined)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.scheme)?;
        if let Some(authority) = &self.authority {
            write!(out, "//{authority}")?;
        }
        for (index, part) in self.path.iter().enumerate() {
            let slash = if index > 0 { "/" } else { "" };
            write!(out, "{slash}{}", percent_encode(part, ":@"))?;
        }
        if !self.query.is_empty() {
            write!(out, "?{}", encode_query(&self.query))?;
        }
        if !self.fragment.is_empty() {
            write!(out, "#{}", percent_encode(&self.fragment, ""))?;
        }
        Ok(())
    }
}

impl Authority {
    fn parse(text: &str, invalid: &dyn Fn(&str) -> UrlError) -> Result<Authority, UrlError> {
        let (login, place) = match text.split_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, text),
        };
        let mut authority = Authority::default();
        if let Some(login) = login {
            check_characters(login, USER).map_err(|problem| invalid(problem.word()))?;
            let (user, password) = split_once(login, ':');
            authority.user = Some(percent_decode(user)?);
            authority.password = password.map(percent_decode).transpose()?;
        }
        let port = if let Some(rest) = place.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(|| invalid("mismatch"))?;
            let address = host.split_once("%25").map_or(host, |(address, _)| address);
            if address.parse::<std::net::Ipv6Addr>().is_err() && !is_future_address(host) {
                return Err(invalid("mismatch"));
            }
            authority.bracketed = true;
            authority.host = percent_decode(host)?;
            if rest.is_empty() {
                None
            } else {
                Some(rest.strip_prefix(':').ok_or_else(|| invalid("leftover"))?)
            }
        } else {
            let (host, port) = split_once(place, ':');
            check_characters(host, HOST).map_err(|problem| invalid(problem.word()))?;
            authority.host = percent_decode(host)?;
            port
        };
        if let Some(port) = port.filter(|port| !port.is_empty()) {
            if !port.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(invalid("leftover"));
            }
            let number = port.parse().ok().filter(|number| *number > 0);
            authority.port = Some(number.ok_or_else(|| UrlError(format!("port '{port}' is invalid")))?);
        }
        Ok(authority)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(out, "{}", percent_encode(user, ""))?;
            if let Some(password) = &self.password {
                write!(out, ":{}", percent_encode(password, ""))?;
            }
            write!(out, "@")?;
        }
        if self.bracketed {
            write!(out, "[{}]", percent_encode(&self.host, ":"))?;
        } else {
            write!(out, "{}", percent_encode(&self.host, ""))?;
        }
        match self.port {
            Some(port) => write!(out, ":{port}"),
            None => Ok(()),
        }
    }
}

/// A URL of what may also be a path or, as `ssh` takes it, `user@host:path`.
pub fn parse_git_url(text: &str) -> Result<Url, UrlError> {
    let mut text = text.to_owned();
    if !text.starts_with('/')
        && let Some((login, path)) = text.rsplit_once(':')
        && let Some((user, host)) = login.split_once('@')
        && !user.contains('/')
    {
        text = format!("ssh://{user}@{host}/{path}");
    }
    if text.starts_with("file:") || text.starts_with("git+file:") || text.contains("://") {
        let mut url = Url::parse(&text, Strictness::Strict)?;
        if url.application() == Some("git") {
            url.scheme = url.transport().to_owned();
        }
        return Ok(url);
    }
    let path: Vec<String> = text.split('/').map(str::to_owned).collect();
    if path[0].contains(':') {
        return Err(UrlError(format!(
            "SCP-like URL '{text}' is not supported; use SSH URL syntax instead (ssh://...)"
        )));
    }
    let authority = text.starts_with('/').then(Authority::default);
    Ok(Url { scheme: "file".into(), authority, path, ..Url::default() })
}

/// The parts of a path as those of a URL.
pub fn path_segments(path: &str) -> Vec<String> {
    let mut segments = Vec::new();
    if path.starts_with('/') {
        segments.push(String::new());
    }
    segments.extend(path.split('/').filter(|part| !part.is_empty()).map(str::to_owned));
    if path.is_empty() || path.ends_with('/') {
        segments.push(String::new());
    }
    segments
}

/// Takes a query apart: names with their values, of which the first counts, and names that had none.
pub fn decode_query(
    query: &str,
    strictness: Strictness,
) -> Result<(BTreeMap<String, String>, Vec<String>), UrlError> {
    let escaped = if strictness == Strictness::Lenient { escape(query, " \"") } else { query.to_owned() };
    check_characters(&escaped, QUERY)
        .map_err(|problem| UrlError(format!("invalid URI query '{query}': {}", problem.word())))?;
    let (mut values, mut ignored) = (BTreeMap::new(), Vec::new());
    if escaped.is_empty() {
        return Ok((values, ignored));
    }
    for pair in escaped.split('&') {
        match pair.split_once('=') {
            Some((name, value)) => {
                let value = percent_decode(value)?;
                values.entry(percent_decode(name)?).or_insert(value);
            }
            None => ignored.push(pair.to_owned()),
        }
    }
    Ok((values, ignored))
}

/// Puts a query together.
pub fn encode_query(query: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name, ":@/?"), percent_encode(value, ":@/?")))
        .collect();
    pairs.join("&")
}

/// The text that escapes such as `%20` stand for.
pub fn percent_decode(text: &str) -> Result<String, UrlError> {
    let invalid = |why: &str| UrlError(format!("invalid URI parameter '{text}': {why}"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).ok_or_else(|| invalid("incomplete pct-encoding"))?;
        let digit = |byte: u8| {
            char::from(byte).to_digit(16).ok_or_else(|| invalid("bad pct-encoding hexadecimal digit"))
        };
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| invalid("not UTF-8"))
}

/// The text with all but letters, digits, `-._~` and `keep` as escapes.
pub fn percent_encode(text: &str, keep: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_unreserved(byte) || keep.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn escape(text: &str, characters: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if characters.contains(character) {
            escaped.push_str(&percent_encode(character.encode_utf8(&mut [0; 4]), ""));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn split_once(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn is_future_address(text: &str) -> bool {
    let Some((version, address)) = text.strip_prefix(['v', 'V']).and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    !version.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !address.is_empty()
        && address.bytes().all(|byte| is_unreserved(byte) || b"!$&'()*+,;=:".contains(&byte))
}

/// What may stand for itself besides letters, digits, `-._~` and the delimiters within a part.
const USER: &[u8] = b":";
const HOST: &[u8] = b"";
const PATH: &[u8] = b":@/";
const QUERY: &[u8] = b":@/?[]";
const FRAGMENT: &[u8] = b":@/?#";

enum Problem {
    Escape,
    Character,
}

impl Problem {
    fn word(&self) -> &'static str {
        match self {
            Problem::Escape => "mismatch",
            Problem::Character => "leftover",
        }
    }
}

fn check_characters(text: &str, allowed: &[u8]) -> Result<(), Problem> {
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        if *byte == b'%' {
            let digits = bytes.get(index + 1..index + 3);
            if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                return Err(Problem::Escape);
            }
        } else if !is_unreserved(*byte) && !b"!$&'()*+,;=".contains(byte) && !allowed.contains(byte) {
            return Err(Problem::Character);
        }
    }
    Ok(())
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
