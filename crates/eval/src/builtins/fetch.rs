//! Built-in functions that fetch: they check their arguments and leave the rest to the host.
//!
//! What each takes and says is C++ Nix 2.34's `src/libexpr/primops/fetch*.cc`.

use nival_formats::date::Date;
use nival_formats::input::{AttrValue, InputError, Wanted};
use nival_formats::url::{Strictness, Url, parse_git_url};
use nival_formats::{
    ContentAddress, ContentAddressMethod, Hash, HashAlgo, HashFormat, Input, InputAttrs, StorePath,
    store_path,
};
use nival_syntax::{Pos, Symbol};

use super::derivation::{parse_hash, require_feature};
use super::{any_text, text};
use crate::context::Context;
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::evaluator::{Coercion, Evaluator, describe_type};
use crate::host::{Download, Registries};
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
        feature: Some("fetch-tree"),
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
                b"name" => {
                    let frame = "while evaluating the name of the content we should fetch";
                    name = Some(any_text(ev.force_plain_string(value, place, frame)?.bytes()));
                }
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
    ev.check_uri(&url)?;
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
    let unpack = method == ContentAddressMethod::NixArchive;
    if let Some(hash) = hash {
        let path = ev.host().store_dir().fixed_output_path(&name, &ContentAddress { method, hash });
        let path = path.map_err(|error| EvalError::other(error.to_string()))?;
        if ev.host().ensure_path(&path)? {
            return Ok(allowed_path(ev, &path));
        }
    }
    let downloaded =
        ev.host().download(&Download { url: &url, name: &name, unpack }).map_err(EvalError::from);
    // An archive is an input of its own.
    let downloaded = if unpack {
        downloaded.frame_with(|| format!("while fetching the input '{url}'"), Pos::NONE)?
    } else {
        downloaded?
    };
    if let Some(expected) = hash.filter(|expected| *expected != downloaded.hash) {
        let message = format!(
            "hash mismatch in file downloaded from '{url}':\n  specified: {}\n  got:       {}",
            expected.to_prefixed(HashFormat::Nix32),
            downloaded.hash.to_prefixed(HashFormat::Nix32)
        );
        return Err(EvalError::new(ErrorKind::HashMismatch, message));
    }
    Ok(allowed_path(ev, &downloaded.path))
}

fn last_part(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}

fn allowed_path(ev: &Evaluator, path: &StorePath) -> Value {
    ev.allow_store_path(path);
    ev.store_path_string(path)
}

fn fetch_git(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    tree(ev, arguments[0], pos, TreeFunction::Git)
}

fn fetch_tree(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    tree(ev, arguments[0], pos, TreeFunction::Tree)
}

/// Fetches what a lock file names. It is given to the function that calls flakes, and in no scope.
pub(crate) static FETCH_FINAL_TREE: Builtin = Builtin::new(
    "fetchFinalTree",
    &["input"],
    "Gets a source tree that a lock file names.",
    |ev, arguments, pos| tree(ev, arguments[0], pos, TreeFunction::FinalTree),
);

/// The functions that give a source tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TreeFunction {
    Tree,
    FinalTree,
    Git,
}

impl TreeFunction {
    fn name(self) -> &'static str {
        if self == TreeFunction::Git { "fetchGit" } else { "fetchTree" }
    }
}

fn tree(ev: &Evaluator, argument: Value, pos: Pos, function: TreeFunction) -> Result<Value> {
    let is_git = function == TreeFunction::Git;
    let features = |name: &str| ev.settings().has_feature(name);
    let argument = ev.force(argument, pos)?;
    let mut input = if let View::Attrs(attrs) = argument.view() {
        Input::from_attrs(tree_attrs(ev, attrs, pos, function)?, &features)?
    } else {
        let frame = format!("while evaluating the first argument passed to '{}'", function.name());
        let url = text(ev.coerce_to_string(argument, Coercion::Plain, pos, frame)?.bytes())?;
        if is_git {
            let attrs = InputAttrs::from([
                ("type".to_owned(), "git".into()),
                ("url".to_owned(), parse_git_url(&url).map_err(InputError::from)?.to_string().into()),
                ("exportIgnore".to_owned(), AttrValue::Bool(true)),
            ]);
            Input::from_attrs(attrs, &features)?
        } else {
            if !features("flakes") {
                let message =
                    "passing a string argument to 'fetchTree' requires the 'flakes' experimental feature";
                return Err(EvalError::other(message).at(pos));
            }
            let url = Url::parse(&url, Strictness::Strict).map_err(InputError::from)?;
            super::flakes::warn(ev, &url.warnings())?;
            Input::from_url(&url, Wanted::Tree, &features)?
        }
    };
    let pure = ev.settings().pure_eval;
    if !pure && !input.is_direct() && features("flakes") {
        ev.must_not_be_ahead()?;
        input = ev.host().resolve_input(&input, Registries::Limited)?.0;
    }
    if pure && !input.is_locked()? {
        let url = input.to_url()?;
        if input.nar_hash()?.is_none() {
            let name = function.name();
            let message = format!("in pure evaluation mode, '{name}' doesn't fetch unlocked input '{url}'");
            return Err(EvalError::new(ErrorKind::Impure, message).at(pos));
        }
        super::flakes::warn(
            ev,
            &[format!(
                "Input '{url}' is unlocked (e.g. lacks a Git revision) but is checked by NAR hash. This is not \
                 reproducible and will break after garbage collection or when shared."
            )],
        )?;
    }
    ev.check_uri(&input.to_url()?.to_string())?;
    if function == TreeFunction::FinalTree {
        input.set("__final", AttrValue::Bool(true));
    } else if input.is_final()? {
        let message = format!("input '{}' is not allowed to use the '__final' attribute", input.to_url()?);
        return Err(EvalError::other(message));
    }
    let tree = ev.fetch_tree(&input)?;
    let without_revision = if is_git { WithoutRevision::Zeros } else { WithoutRevision::Nothing };
    tree_value(ev, &tree.path, &tree.input, without_revision)
}

/// The attributes of an input that a set of the language stands for.
fn tree_attrs(ev: &Evaluator, attrs: Attrs, pos: Pos, function: TreeFunction) -> Result<InputAttrs> {
    let is_git = function == TreeFunction::Git;
    let caller = function.name();
    let failed = |message: String| EvalError::other(message).at(pos);
    let kind = match attrs.get_attr(Symbol::TYPE) {
        Some(_) if is_git => return Err(failed("unexpected argument 'type'".into())),
        None if is_git => "git".to_owned(),
        Some(kind) => {
            let frame = format!("while evaluating the `type` argument passed to '{caller}'");
            text(ev.force_plain_string(kind.value, kind.pos(), frame)?.bytes())?
        }
        None => return Err(failed(format!("argument 'type' is missing in call to '{caller}'"))),
    };
    let mut result = InputAttrs::new();
    for attr in attrs {
        let name = attr.name;
        if name == Symbol::TYPE {
            continue;
        }
        let value = ev.force(attr.value, attr.pos())?;
        let value = match value.view() {
            View::String(_) | View::Path(_) => {
                let coerced = text(ev.coerce_to_string(value, Coercion::Plain, attr.pos(), "")?.bytes())?;
                if is_git && name.as_bytes() == b"url" {
                    parse_git_url(&coerced).map_err(InputError::from)?.to_string().into()
                } else {
                    AttrValue::Text(coerced)
                }
            }
            View::Bool(value) => AttrValue::Bool(value),
            View::Int(value) => AttrValue::Int(u64::try_from(value).map_err(|_| {
                failed(format!("negative value given for '{caller}' argument '{name}': {value}"))
            })?),
            _ if name.as_bytes() == b"publicKeys" => {
                require_feature(ev, "verified-fetches")?;
                AttrValue::Text(text(&ev.to_json(value, true)?)?)
            }
            _ => {
                return Err(EvalError::of_type(format!(
                    "argument '{name}' to '{caller}' is {} while a string, Boolean or integer is expected",
                    describe_type(value)
                )));
            }
        };
        result.insert(text(name.as_bytes())?, value);
    }
    let has_submodules = result.get("submodules") == Some(&AttrValue::Bool(true));
    if is_git && !has_submodules {
        result.entry("exportIgnore".to_owned()).or_insert(AttrValue::Bool(true));
    }
    if kind == "git" && !is_git {
        result.entry("shallow".to_owned()).or_insert(AttrValue::Bool(true));
    }
    if !is_git && result.contains_key("name") {
        return Err(failed(format!("argument 'name' isn’t supported in call to '{caller}'")));
    }
    result.insert("type".to_owned(), kind.into());
    Ok(result)
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
    ev.check_uri(&url)?;
    let is_hash = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if ev.settings().pure_eval && !revision.as_deref().is_some_and(is_hash) {
        let message = "in pure evaluation mode, 'fetchMercurial' requires a Mercurial revision";
        return Err(EvalError::new(ErrorKind::Impure, message));
    }
    let url = if url.contains("://") { url } else { format!("file://{url}") };
    let mut attrs = InputAttrs::from([
        ("type".to_owned(), "hg".into()),
        ("url".to_owned(), url.into()),
        ("name".to_owned(), name.into()),
    ]);
    if let Some(revision) = revision {
        // A branch or tag may be named too.
        let (key, value) =
            if is_hash(&revision) { ("rev", revision.to_lowercase()) } else { ("ref", revision) };
        attrs.insert(key.to_owned(), value.into());
    }
    let tree = ev.fetch_tree(&Input::from_attrs(attrs, &|name: &str| ev.settings().has_feature(name))?)?;
    let mut attrs = AttrsBuilder::new();
    attrs.add("outPath", ev.store_path_string(&tree.path));
    if let Some(branch) = tree.input.text("ref")? {
        attrs.add("branch", ev.string(branch));
    }
    let revision = tree.input.rev()?.unwrap_or(Hash::zero(HashAlgo::Sha1));
    add_revision(ev, &mut attrs, revision, 12);
    if let Some(count) = tree.input.int("revCount")? {
        attrs.add("revCount", ev.int(count as i64));
    }
    Ok(ev.attrs(attrs))
}

fn add_revision(ev: &Evaluator, attrs: &mut AttrsBuilder, revision: Hash, short: usize) {
    let revision = revision.to_base16();
    attrs.add("rev", ev.string(&revision));
    attrs.add("shortRev", ev.string(&revision[..short]));
}

/// What is said of a tree that has no revision, such as a folder with changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithoutRevision {
    /// No attribute at all.
    Nothing,
    /// A revision of zeros, as `fetchGit` has it.
    Zeros,
    /// The same, even if there is one: the tree is not what was fetched.
    Hidden,
}

/// What is known of a source tree, as a set.
pub(crate) fn tree_value(
    ev: &Evaluator,
    path: &StorePath,
    input: &Input,
    without: WithoutRevision,
) -> Result<Value> {
    let mut attrs = AttrsBuilder::new();
    attrs.add("outPath", ev.store_path_string(path));
    if let Some(hash) = input.nar_hash()? {
        attrs.add("narHash", ev.string(hash.to_sri()));
    }
    if input.text("type")? == Some("git") {
        attrs.add("submodules", Value::bool(input.bool("submodules")?.unwrap_or(false)));
    }
    if without != WithoutRevision::Hidden {
        let zeros = without == WithoutRevision::Zeros;
        if let Some(revision) = input.rev()?.or(zeros.then_some(Hash::zero(HashAlgo::Sha1))) {
            add_revision(ev, &mut attrs, revision, 7);
        }
        if let Some(count) = input.int("revCount")?.or(zeros.then_some(0)) {
            attrs.add("revCount", ev.int(count as i64));
        }
    }
    if let Some(revision) = input.text("dirtyRev")? {
        attrs.add("dirtyRev", ev.string(revision));
        attrs.add("dirtyShortRev", ev.string(input.text("dirtyShortRev")?.unwrap_or_default()));
    }
    if let Some(seconds) = input.int("lastModified")? {
        attrs.add("lastModified", ev.int(seconds as i64));
        attrs.add("lastModifiedDate", ev.string(Date::of(seconds as i64).compact()));
    }
    Ok(ev.attrs(attrs))
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
    let (url, query) = from_store.split_once('?').unwrap_or((&from_store, ""));
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    // As the reference's tests have it.
    let is_test = url.starts_with("file://") && ev.host().env("_NIX_IN_TEST").is_some();
    if !is_web && !is_test {
        return Err(failed("'fetchClosure' only supports http:// and https:// stores".into()));
    }
    if !query.is_empty() {
        return Err(failed(format!(
            "'fetchClosure' does not support URL query parameters (in '{from_store}')"
        )));
    }
    let closure = Closure { from_store: &from_store, from_path, pos };
    let path = match to_path {
        Some(to_path) => closure.rewritten(ev, to_path)?,
        None if input_addressed => closure.input_addressed(ev)?,
        None => closure.content_addressed(ev)?,
    };
    for path in ev.host().closure(&path)? {
        ev.allow_store_path(&path);
    }
    Ok(ev.store_path_string(&path))
}

/// What `fetchClosure` is to get.
struct Closure<'a> {
    from_store: &'a str,
    from_path: StorePath,
    pos: Pos,
}

impl Closure<'_> {
    fn failed(&self, message: String) -> EvalError {
        EvalError::other(message).at(self.pos)
    }

    fn copy(&self, ev: &Evaluator) -> Result<()> {
        ev.must_not_be_ahead()?;
        if !ev.host().ensure_path(&self.from_path)? {
            ev.host().copy_closure(self.from_store, &self.from_path)?;
        }
        Ok(())
    }

    fn content_addressed(self, ev: &Evaluator) -> Result<StorePath> {
        self.copy(ev)?;
        if ev.host().is_content_addressed(&self.from_path)? {
            return Ok(self.from_path);
        }
        Err(self.failed(format!(
            "The 'fromPath' value '{}' is input-addressed, but 'inputAddressed' is set to 'false' (default).\n\n\
             If you do intend to fetch an input-addressed store path, add\n\n    inputAddressed = true;\n\n\
             to the 'fetchClosure' arguments.\n\n\
             Note that to ensure authenticity input-addressed store paths, users must configure a trusted binary cache \
             public key on their systems. This is not needed for content-addressed paths.",
            ev.host().store_dir().display(&self.from_path)
        )))
    }

    fn input_addressed(self, ev: &Evaluator) -> Result<StorePath> {
        self.copy(ev)?;
        if !ev.host().is_content_addressed(&self.from_path)? {
            return Ok(self.from_path);
        }
        Err(self.failed(format!(
            "The store object referred to by 'fromPath' at '{}' is not input-addressed, but 'inputAddressed' is set to \
             'true'.\n\nRemove the 'inputAddressed' attribute (it defaults to 'false') to expect 'fromPath' to be \
             content-addressed",
            ev.host().store_dir().display(&self.from_path)
        )))
    }

    /// The content-addressed path that the other store's is rewritten to, if it is here already.
    fn rewritten(self, ev: &Evaluator, to_path: Option<StorePath>) -> Result<StorePath> {
        let store_dir = ev.host().store_dir();
        let to_path = match to_path {
            Some(path) if ev.host().ensure_path(&path)? => path,
            _ => {
                return Err(self.failed(format!(
                    "cannot rewrite '{}' to content-addressed form yet",
                    store_dir.display(&self.from_path)
                )));
            }
        };
        if ev.host().is_content_addressed(&to_path)? {
            return Ok(to_path);
        }
        Err(self.failed(format!(
            "The 'toPath' value '{}' is input-addressed, so it can't possibly be the result of rewriting to a \
             content-addressed path.\n\nSet 'toPath' to an empty string to make Nix report the correct \
             content-addressed path.",
            store_dir.display(&to_path)
        )))
    }
}
