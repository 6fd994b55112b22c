//! Built-in functions that fetch: they check their arguments and leave the rest to the host.
//!
//! What each takes and says is C++ Nix 2.34's `src/libexpr/primops/fetch*.cc`.

use nival_formats::{ContentAddress, ContentAddressMethod, HashAlgo, StorePath, store_path};
use nival_syntax::{Pos, Symbol};

use super::derivation::{parse_hash, require_feature};
use super::text;
use crate::context::Context;
use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::{Coercion, Evaluator, describe_type};
use crate::host::{FetchRequest, FetchValue, Fetched};
use crate::value::{Attrs, AttrsBuilder, Builtin, Value, View};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "fetchurl",
        arguments: &["arguments"],
        doc: "Downloads a file into the store: takes its URL, or a set of `url`, `name` and `sha256`.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: fetch_url,
    },
    Builtin {
        name: "fetchTarball",
        arguments: &["arguments"],
        doc: "Downloads an archive and unpacks it into the store: takes its URL, or a set of `url`, `name` and `sha256` (of what is \
              in it).",
        global: true,
        internal: false,
        feature: None,
        traced: true,
        run: fetch_tarball,
    },
    Builtin {
        name: "fetchGit",
        arguments: &["arguments"],
        doc: "Gets a commit of a Git repository: takes its URL, or a set of `url`, `ref`, `rev`, `submodules`, `shallow`, `allRefs` \
              and `name`.",
        global: true,
        internal: false,
        feature: None,
        traced: true,
        run: fetch_git,
    },
    Builtin {
        name: "fetchMercurial",
        arguments: &["arguments"],
        doc: "Gets a revision of a Mercurial repository: takes its URL, or a set of `url`, `rev` and `name`.",
        global: true,
        internal: false,
        feature: None,
        traced: true,
        run: fetch_mercurial,
    },
    Builtin {
        name: "fetchTree",
        arguments: &["input"],
        doc: "Gets a source tree: takes a flake reference, as a text or as a set with `type`.",
        global: true,
        internal: false,
        feature: None,
        traced: true,
        run: fetch_tree,
    },
    Builtin {
        name: "fetchClosure",
        arguments: &["arguments"],
        doc: "Gets a store path with all it needs from a binary cache: takes a set of `fromStore`, `fromPath`, `toPath` and \
              `inputAddressed`.",
        global: false,
        internal: false,
        feature: Some("fetch-closure"),
        traced: true,
        run: fetch_closure,
    },
];

/// What the reference gives as revision where there is none.
const NO_REVISION: &str = "0000000000000000000000000000000000000000";

fn fetch_url(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    download(ev, arguments[0], pos, "fetchurl", ContentAddressMethod::Flat, "")
}

fn fetch_tarball(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    download(ev, arguments[0], pos, "fetchTarball", ContentAddressMethod::NixArchive, "source")
}

fn download(
    ev: &Evaluator,
    argument: Value,
    pos: Pos,
    kind: &'static str,
    method: ContentAddressMethod,
    default_name: &str,
) -> Result<Value> {
    let (mut url, mut name, mut hash) = (None, None, None);
    let argument = ev.force(argument, pos)?;
    if let View::Attrs(attrs) = argument.view() {
        for attr in attrs {
            let (key, value, place) = (attr.name, attr.value, attr.pos());
            let plain = |frame: &'static str| text(ev.force_plain_string(value, place, frame)?.bytes());
            match key.as_bytes() {
                b"url" => url = Some(plain("while evaluating the url we should fetch")?),
                b"sha256" => {
                    let given = plain("while evaluating the sha256 of the content we should fetch")?;
                    hash = Some(parse_hash(ev, &given, Some(HashAlgo::Sha256), Pos::NONE)?);
                }
                b"name" => name = Some(plain("while evaluating the name of the content we should fetch")?),
                _ => {
                    let message = format!("unsupported argument '{key}' to '{kind}'");
                    return Err(EvalError::other(message).at(pos));
                }
            }
        }
        if url.is_none() {
            return Err(EvalError::other("'url' argument required").at(pos));
        }
    }
    let mut url = match url {
        Some(url) => url,
        None => {
            let frame = "while evaluating the url we should fetch";
            text(ev.force_plain_string(argument, pos, frame)?.bytes())?
        }
    };
    if method == ContentAddressMethod::NixArchive
        && let Some(channel) = url.strip_prefix("channel:")
    {
        url = format!("https://channels.nixos.org/{channel}/nixexprs.tar.xz");
    }
    check_url(ev, &url)?;
    let advice = match (&name, argument.as_attrs()) {
        (Some(_), _) => format!("Please change the value for the 'name' attribute passed to '{kind}',"),
        (None, Some(_)) => format!("Please add a valid 'name' attribute to the argument for '{kind}',"),
        (None, None) => {
            format!("Please pass an attribute set with 'url' and 'name' attributes to '{kind}', ")
        }
    };
    let name = name.unwrap_or_else(|| default_name.to_owned());
    let name = if name.is_empty() { last_part(&url).to_owned() } else { name };
    store_path::check_name(&name).map_err(|error| {
        EvalError::other(format!(
            "invalid store path name when fetching URL '{url}': {error}. {advice} so that it can create a valid \
             store path."
        ))
        .at(pos)
    })?;
    if ev.settings().pure_eval && hash.is_none() {
        let message = format!("in pure evaluation mode, '{kind}' requires a 'sha256' argument");
        return Err(EvalError::new(ErrorKind::Impure, message).at(pos));
    }
    let mut expected = None;
    let mut request = vec![text_argument("url", &url), text_argument("name", &name)];
    if let Some(hash) = hash {
        let address = ContentAddress { method, hash };
        let path = ev.host().store_dir().fixed_output_path(&name, &address);
        let path = path.map_err(|error| EvalError::other(error.to_string()))?;
        if ev.host().ensure_path(&path)? {
            return Ok(allowed_path(ev, &path));
        }
        request.push(text_argument("sha256", &hash.to_sri()));
        expected = Some(path);
    }
    let fetched = fetch(ev, kind, request)?;
    if expected.is_some_and(|expected| expected != fetched.path) {
        let message = format!("hash mismatch in file downloaded from '{url}'");
        return Err(EvalError::new(ErrorKind::Host, message));
    }
    Ok(allowed_path(ev, &fetched.path))
}

fn last_part(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}

fn text_argument(name: &str, value: &str) -> (String, FetchValue) {
    (name.to_owned(), FetchValue::Text(value.to_owned()))
}

fn fetch(ev: &Evaluator, kind: &'static str, arguments: Vec<(String, FetchValue)>) -> Result<Fetched> {
    ev.must_not_be_ahead()?;
    Ok(ev.host().fetch(&FetchRequest { kind, arguments, pure: ev.settings().pure_eval })?)
}

fn allowed_path(ev: &Evaluator, path: &StorePath) -> Value {
    ev.allow_store_path(path);
    ev.store_path_string(path)
}

/// Restricted evaluation reaches nothing but files that it may read.
fn check_url(ev: &Evaluator, url: &str) -> Result<()> {
    if !ev.settings().restrict_eval {
        return Ok(());
    }
    let path = url.strip_prefix("file://").unwrap_or(url);
    if path.starts_with('/') {
        return ev.check_access(std::path::Path::new(path));
    }
    let message = format!("access to URI '{url}' is forbidden in restricted mode");
    Err(EvalError::new(ErrorKind::Impure, message))
}

fn fetch_git(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let argument = ev.force(arguments[0], pos)?;
    let mut request = match argument.view() {
        View::Attrs(attrs) => {
            if attrs.contains(Symbol::TYPE) {
                return Err(EvalError::other("unexpected argument 'type'").at(pos));
            }
            tree_arguments(ev, attrs, pos, "fetchGit")?
        }
        _ => vec![text_argument("url", &reference(ev, argument, pos, "fetchGit")?)],
    };
    let mut has_url = false;
    for (name, value) in &mut request {
        if let FetchValue::Text(url) = value
            && name == "url"
        {
            *url = git_url(url);
            check_url(ev, url)?;
            has_url = true;
        }
    }
    if !has_url {
        return Err(EvalError::other("input attribute 'url' is missing"));
    }
    let value_of = |wanted: &str| request.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    if value_of("exportIgnore").is_none() && value_of("submodules") != Some(&FetchValue::Bool(true)) {
        request.push(("exportIgnore".to_owned(), FetchValue::Bool(true)));
    }
    let fetched = fetch(ev, "fetchGit", request)?;
    Ok(tree(ev, &fetched, WithoutRevision::Zeros))
}

fn fetch_tree(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let argument = ev.force(arguments[0], pos)?;
    let View::Attrs(attrs) = argument.view() else {
        let url = reference(ev, argument, pos, "fetchTree")?;
        if !ev.settings().has_feature("flakes") {
            let message =
                "passing a string argument to 'fetchTree' requires the 'flakes' experimental feature";
            return Err(EvalError::other(message).at(pos));
        }
        check_url(ev, &url)?;
        let fetched = fetch(ev, "fetchTree", vec![text_argument("reference", &url)])?;
        return Ok(tree(ev, &fetched, WithoutRevision::Nothing));
    };
    let kind = attrs
        .get_attr(Symbol::TYPE)
        .ok_or_else(|| EvalError::other("argument 'type' is missing in call to 'fetchTree'").at(pos))?;
    let frame = "while evaluating the `type` argument passed to 'fetchTree'";
    let kind = text(ev.force_plain_string(kind.value, kind.pos(), frame)?.bytes())?;
    let mut request = tree_arguments(ev, attrs, pos, "fetchTree")?;
    let has = |request: &[(String, FetchValue)], wanted: &str| request.iter().any(|(name, _)| name == wanted);
    if kind == "git" && !has(&request, "shallow") {
        request.push(("shallow".to_owned(), FetchValue::Bool(true)));
    }
    if has(&request, "name") {
        let message = "argument 'name' isn’t supported in call to 'fetchTree'";
        return Err(EvalError::other(message).at(pos));
    }
    if let Some((_, FetchValue::Text(url))) = request.iter().find(|(name, _)| name == "url") {
        check_url(ev, url)?;
    }
    request.insert(0, text_argument("type", &kind));
    let fetched = fetch(ev, "fetchTree", request)?;
    Ok(tree(ev, &fetched, WithoutRevision::Nothing))
}

fn reference(ev: &Evaluator, argument: Value, pos: Pos, kind: &'static str) -> Result<String> {
    let frame = format!("while evaluating the first argument passed to '{kind}'");
    let coerced = ev.coerce_to_string(argument, Coercion::Plain, pos, frame)?;
    text(coerced.bytes())
}

/// All attributes but `type`.
fn tree_arguments(
    ev: &Evaluator,
    attrs: Attrs,
    pos: Pos,
    kind: &'static str,
) -> Result<Vec<(String, FetchValue)>> {
    let mut arguments = Vec::new();
    for attr in attrs.by_name() {
        let name = attr.name;
        if name == Symbol::TYPE {
            continue;
        }
        let value = ev.force(attr.value, attr.pos())?;
        let value = match value.view() {
            View::String(_) | View::Path(_) => {
                let coerced = ev.coerce_to_string(value, Coercion::Plain, attr.pos(), "")?;
                FetchValue::Text(text(coerced.bytes())?)
            }
            View::Bool(value) => FetchValue::Bool(value),
            View::Int(value) if value < 0 => {
                let message = format!("negative value given for '{kind}' argument '{name}': {value}");
                return Err(EvalError::other(message).at(pos));
            }
            View::Int(value) => FetchValue::Int(value),
            _ if name.as_bytes() == b"publicKeys" => {
                require_feature(ev, "verified-fetches")?;
                let printed = ev.call(ev.global(Symbol::intern("__toJSON"))?, &[value], pos)?;
                FetchValue::Text(text(ev.force_string(printed, pos, "")?.bytes())?)
            }
            _ => {
                return Err(EvalError::of_type(format!(
                    "argument '{name}' to '{kind}' is {} while a string, Boolean or integer is expected",
                    describe_type(value)
                )));
            }
        };
        arguments.push((text(name.as_bytes())?, value));
    }
    Ok(arguments)
}

/// A URL of what may also be a path or, as `ssh` takes it, `user@host:path`.
fn git_url(url: &str) -> String {
    if !url.starts_with('/')
        && !url.contains("://")
        && let Some((login, path)) = url.rsplit_once(':')
        && let Some((user, host)) = login.rsplit_once('@')
        && !user.contains('/')
    {
        return format!("ssh://{user}@{host}/{path}");
    }
    if url.starts_with("file:") || url.starts_with("git+file:") || url.contains("://") {
        return url.to_owned();
    }
    format!("file://{url}")
}

fn fetch_mercurial(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let argument = ev.force(arguments[0], pos)?;
    let (mut url, mut name, mut revision) = (String::new(), "source".to_owned(), None);
    if let View::Attrs(attrs) = argument.view() {
        for attr in attrs {
            let (key, value, place) = (attr.name, attr.value, attr.pos());
            match key.as_bytes() {
                b"url" => {
                    let frame = "while evaluating the `url` attribute passed to builtins.fetchMercurial";
                    url = text(ev.coerce_to_string(value, Coercion::Plain, place, frame)?.bytes())?;
                }
                b"rev" => {
                    let frame = "while evaluating the `rev` attribute passed to builtins.fetchMercurial";
                    revision = Some(text(ev.force_plain_string(value, place, frame)?.bytes())?);
                }
                b"name" => {
                    let frame = "while evaluating the `name` attribute passed to builtins.fetchMercurial";
                    name = text(ev.force_plain_string(value, place, frame)?.bytes())?;
                }
                _ => {
                    let message = format!("unsupported argument '{key}' to 'fetchMercurial'");
                    return Err(EvalError::other(message).at(place));
                }
            }
        }
        if url.is_empty() {
            return Err(EvalError::other("'url' argument required").at(pos));
        }
    } else {
        let frame = "while evaluating the first argument passed to builtins.fetchMercurial";
        url = text(ev.coerce_to_string(argument, Coercion::Plain, pos, frame)?.bytes())?;
    }
    check_url(ev, &url)?;
    let is_hash = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if ev.settings().pure_eval && !revision.as_deref().is_some_and(is_hash) {
        let message = "in pure evaluation mode, 'fetchMercurial' requires a Mercurial revision";
        return Err(EvalError::new(ErrorKind::Impure, message));
    }
    let url = if url.contains("://") { url } else { format!("file://{url}") };
    let mut request = vec![text_argument("url", &url), text_argument("name", &name)];
    if let Some(revision) = revision {
        // A branch or tag may be named too.
        request.push(text_argument(if is_hash(&revision) { "rev" } else { "ref" }, &revision));
    }
    let fetched = fetch(ev, "fetchMercurial", request)?;
    let mut attrs = AttrsBuilder::new();
    attrs.add("outPath", allowed_path(ev, &fetched.path));
    if let Some(branch) = attribute(&fetched, "ref") {
        attrs.add("branch", fetch_value(ev, branch));
    }
    add_revision(ev, &mut attrs, attribute_text(&fetched, "rev").unwrap_or(NO_REVISION), 12);
    if let Some(count) = attribute(&fetched, "revCount") {
        attrs.add("revCount", fetch_value(ev, count));
    }
    Ok(ev.attrs(attrs))
}

fn attribute<'a>(fetched: &'a Fetched, wanted: &str) -> Option<&'a FetchValue> {
    fetched.attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
}

fn attribute_text<'a>(fetched: &'a Fetched, wanted: &str) -> Option<&'a str> {
    match attribute(fetched, wanted)? {
        FetchValue::Text(text) => Some(text),
        _ => None,
    }
}

fn fetch_value(ev: &Evaluator, value: &FetchValue) -> Value {
    match value {
        FetchValue::Text(text) => ev.string(text),
        FetchValue::Int(value) => ev.int(*value),
        FetchValue::Bool(value) => Value::bool(*value),
    }
}

fn add_revision(ev: &Evaluator, attrs: &mut AttrsBuilder, revision: &str, short: usize) {
    attrs.add("rev", ev.string(revision));
    attrs.add("shortRev", ev.string(revision.get(..short).unwrap_or(revision)));
}

/// What is said of a tree that has no revision, such as a folder with changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WithoutRevision {
    /// No attribute at all.
    Nothing,
    /// A revision of zeros, as `fetchGit` has it.
    Zeros,
}

/// What `fetchTree` and `fetchGit` give.
fn tree(ev: &Evaluator, fetched: &Fetched, without: WithoutRevision) -> Value {
    let mut attrs = AttrsBuilder::new();
    attrs.add("outPath", allowed_path(ev, &fetched.path));
    for name in ["narHash", "submodules", "dirtyRev", "dirtyShortRev"] {
        if let Some(value) = attribute(fetched, name) {
            attrs.add(name, fetch_value(ev, value));
        }
    }
    let zeros = without == WithoutRevision::Zeros;
    if let Some(revision) = attribute_text(fetched, "rev").or(zeros.then_some(NO_REVISION)) {
        add_revision(ev, &mut attrs, revision, 7);
    }
    match attribute(fetched, "revCount") {
        Some(count) => attrs.add("revCount", fetch_value(ev, count)),
        None if zeros => attrs.add("revCount", ev.int(0)),
        None => {}
    }
    if let Some(FetchValue::Int(seconds)) = attribute(fetched, "lastModified") {
        attrs.add("lastModified", ev.int(*seconds));
        attrs.add("lastModifiedDate", ev.string(date(*seconds)));
    }
    ev.attrs(attrs)
}

/// Seconds since 1970 as `YYYYMMDDhhmmss` in UTC.
fn date(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years are counted from March, so that a leap day is the last of its year; eras have 400 years.
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

fn fetch_closure(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to builtins.fetchClosure";
    let attrs = ev.force_attrs(arguments[0], pos, frame)?;
    let failed = |message: String| EvalError::other(message).at(pos);
    let (mut from_store, mut from_path, mut to_path, mut input_addressed) = (None, None, None, false);
    for attr in attrs {
        let name = attr.name;
        let frame = format!("while evaluating the attribute '{name}' passed to builtins.fetchClosure");
        let mut context = Context::EMPTY;
        match name.as_bytes() {
            b"fromPath" => {
                from_path = Some(ev.coerce_to_store_path(attr.value, &mut context, attr.pos(), frame)?);
            }
            b"toPath" => {
                let value = ev.force(attr.value, attr.pos())?;
                let is_empty = value.as_str().is_some_and(|text| text.bytes().is_empty());
                to_path = Some(if is_empty {
                    None
                } else {
                    Some(ev.coerce_to_store_path(value, &mut context, attr.pos(), frame)?)
                });
            }
            b"fromStore" => {
                from_store = Some(text(ev.force_plain_string(attr.value, attr.pos(), frame)?.bytes())?);
            }
            b"inputAddressed" => input_addressed = ev.force_bool(attr.value, attr.pos(), frame)?,
            _ => return Err(failed(format!("attribute '{name}' isn't supported in call to 'fetchClosure'"))),
        }
    }
    let missing = |name: &str| failed(format!("attribute '{name}' is missing in call to 'fetchClosure'"));
    let from_path = from_path.ok_or_else(|| missing("fromPath"))?;
    if input_addressed && to_path.is_some() {
        return Err(failed(
            "attribute 'inputAddressed' is set to true, but 'toPath' is also set. Please remove one of them"
                .into(),
        ));
    }
    let from_store = from_store.ok_or_else(|| missing("fromStore"))?;
    if !from_store.starts_with("http://") && !from_store.starts_with("https://") {
        return Err(failed("'fetchClosure' only supports http:// and https:// stores".into()));
    }
    if from_store.contains('?') {
        return Err(failed(format!(
            "'fetchClosure' does not support URL query parameters (in '{from_store}')"
        )));
    }
    let store_dir = ev.host().store_dir();
    let mut request = vec![
        text_argument("fromStore", &from_store),
        text_argument("fromPath", &store_dir.display(&from_path)),
        ("inputAddressed".to_owned(), FetchValue::Bool(input_addressed)),
    ];
    if let Some(path) = to_path {
        let path = path.map(|path| store_dir.display(&path)).unwrap_or_default();
        request.push(text_argument("toPath", &path));
    }
    let fetched = fetch(ev, "fetchClosure", request)?;
    for path in ev.host().closure(&fetched.path)? {
        ev.allow_store_path(&path);
    }
    Ok(ev.store_path_string(&fetched.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "19700101000000"),
            (951_827_696, "20000229123456"),
            (1_709_164_800, "20240229000000"),
            (4_107_542_399, "21000228235959"),
            (-1, "19691231235959"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn git_urls() {
        for (given, expected) in [
            ("git@example.org:me/repo.git", "ssh://git@example.org/me/repo.git"),
            ("https://example.org/me@x:y", "https://example.org/me@x:y"),
            ("/home/me/repo", "file:///home/me/repo"),
            ("file:///home/me/repo", "file:///home/me/repo"),
        ] {
            assert_eq!(git_url(given), expected);
        }
    }
}
