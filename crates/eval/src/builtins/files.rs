//! Built-in functions on paths, files and the store.
//!
//! What each takes and says is C++ Nix 2.34's `src/libexpr/primops.cc`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use nival_formats::{ContentAddress, ContentAddressMethod, Hash, HashAlgo, StorePath};
use nival_syntax::{Origin, Pos, Symbol};

use super::derivation::parse_hash;
use super::{any_text, text};
use crate::context::{Context, ContextElement};
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::evaluator::{Coercion, Evaluator, SearchEntry, Sought};
use crate::host::{FileType, HostError, SourceRequest};
use crate::path::{canonical, to_path_buf};
use crate::value::{AttrsBuilder, Builtin, Constant, Value, View};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "import",
        arguments: &["path"],
        doc: "Evaluates the file at a path, or the `default.nix` of a folder. Each file is evaluated once. A `.drv` file of the \
              store gives the derivation it describes.",
        global: true,
        internal: false,
        feature: None,
        traced: true,
        run: import,
    },
    Builtin {
        name: "scopedImport",
        arguments: &["scope", "path"],
        doc: "As `import`, but the file also sees the attributes of `scope` as variables. Nothing is remembered between \
              calls.",
        global: true,
        internal: false,
        feature: None,
        traced: true,
        run: scoped_import,
    },
    Builtin {
        name: "readFile",
        arguments: &["path"],
        doc: "The contents of a file.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: read_file,
    },
    Builtin {
        name: "readDir",
        arguments: &["path"],
        doc: "The names in a folder, each with its kind: `regular`, `directory`, `symlink` or `unknown`.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: read_dir,
    },
    Builtin {
        name: "readFileType",
        arguments: &["path"],
        doc: "What a path is: `regular`, `directory`, `symlink` or `unknown`.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: read_file_type,
    },
    Builtin {
        name: "pathExists",
        arguments: &["path"],
        doc: "Whether there is something at a path.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: path_exists,
    },
    Builtin {
        name: "hashFile",
        arguments: &["type", "path"],
        doc: "The hash of a file in base 16, by the algorithm `md5`, `sha1`, `sha256` or `sha512`.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: hash_file,
    },
    Builtin {
        name: "findFile",
        arguments: &["search-path", "name"],
        doc: "Looks a name up along a list of `{ prefix, path }`: `<name>` is `findFile nixPath \"name\"`.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: find_file,
    },
    Builtin {
        name: "path",
        arguments: &["arguments"],
        doc: "Copies `path` to the store, as `name`, with only the files that `filter` takes; not as an archive if `recursive` is \
              false. `sha256` is the hash it must have.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: path,
    },
    Builtin {
        name: "filterSource",
        arguments: &["filter", "path"],
        doc: "Copies a path to the store with only those files for which `filter path type` is true.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: filter_source,
    },
    Builtin {
        name: "toFile",
        arguments: &["name", "contents"],
        doc: "Puts a text into the store as a file.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: to_file,
    },
    Builtin {
        name: "storePath",
        arguments: &["path"],
        doc: "A path that is in the store already, as a string that refers to it.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: store_path,
    },
    Builtin {
        name: "toPath",
        arguments: &["path"],
        doc: "An absolute path as a string without `.` and `..` in it. Out of use: `/. + path` does the same.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: to_path,
    },
    Builtin {
        name: "dirOf",
        arguments: &["path"],
        doc: "The path or text before the last slash.",
        global: true,
        internal: false,
        feature: None,
        traced: true,
        run: dir_of,
    },
    Builtin {
        name: "baseNameOf",
        arguments: &["path"],
        doc: "What follows the last slash; one slash at the end does not count.",
        global: true,
        internal: false,
        feature: None,
        traced: true,
        run: base_name_of,
    },
];

pub(super) static CONSTANTS: &[Constant] = &[
    Constant {
        name: "nixPath",
        doc: "The search path that `<name>` is looked up in: a list of `{ prefix, path }`.",
        global: false,
        value: |ev| {
            let entry = |entry: &SearchEntry| {
                let mut attrs = AttrsBuilder::with_capacity(2);
                attrs.add("path", ev.string(&entry.path));
                attrs.add("prefix", ev.string(&entry.prefix));
                ev.attrs(attrs)
            };
            Ok(ev.list(&ev.settings().search_path.iter().map(entry).collect::<Vec<_>>()))
        },
    },
    Constant {
        name: "storeDir",
        doc: "The folder of the store.",
        global: false,
        value: |ev| Ok(ev.string(ev.host().store_dir().as_str())),
    },
];

fn import(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let path = ev.realise_path(arguments[0], pos)?;
    match stored_derivation(ev, &path)? {
        Some(derivation) => import_derivation(ev, &derivation, pos),
        None => ev.eval_file(&path),
    }
}

fn scoped_import(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let path = ev.realise_path(arguments[1], pos)?;
    if let Some(derivation) = stored_derivation(ev, &path)? {
        return import_derivation(ev, &derivation, pos);
    }
    let frame = "while evaluating the first argument passed to builtins.scopedImport";
    let scope = ev.force_attrs(arguments[0], pos, frame)?;
    ev.eval_file_in_scope(&path, scope)
}

/// The store path that `path` names, if it is that of a derivation the store has.
fn stored_derivation(ev: &Evaluator, path: &Path) -> Result<Option<StorePath>> {
    if path.extension().is_none_or(|extension| extension != "drv") {
        return Ok(None);
    }
    let Some(Ok(parsed)) = path.to_str().map(|path| ev.host().store_dir().parse(path)) else {
        return Ok(None);
    };
    Ok(ev.host().ensure_path(&parsed)?.then_some(parsed))
}

/// What `derivation` made once, from the file it left in the store.
fn import_derivation(ev: &Evaluator, path: &StorePath, pos: Pos) -> Result<Value> {
    let derivation = ev.host().read_derivation(path)?;
    let closure = Context::of(ContextElement::Closure(path.clone()));
    let mut attrs = AttrsBuilder::with_capacity(3 + derivation.outputs.len());
    attrs.add("drvPath", ev.store_path_text(path, closure).into());
    attrs.add("name", ev.string(derivation.env.get(b"name".as_slice()).map_or(&[][..], Vec::as_slice)));
    let names: Vec<Value> = derivation.outputs.keys().map(|name| ev.string(name)).collect();
    attrs.add("outputs", ev.list(&names));
    for (name, output) in &derivation.outputs {
        let known = output
            .path(ev.host().store_dir(), &derivation.name, name)
            .map_err(|error| EvalError::other(error.to_string()))?;
        let value = super::derivation::output_string(ev, path, name, known.as_ref())?;
        attrs.add(Symbol::intern(name), value);
    }
    let origin = Origin::File("«nix-internal»/imported-drv-to-derivation.nix".to_owned());
    let function = ev.eval_text(origin, IMPORTED_DERIVATION.as_bytes().to_vec(), "/")?;
    ev.call(function, &[ev.attrs(attrs)], pos)
}

const IMPORTED_DERIVATION: &str = r#"drv@{ drvPath, name, outputs, ... }:
let
  common = builtins.listToAttrs views // {
    all = map (view: view.value) views;
    inherit drvPath name;
    type = "derivation";
  };
  views = map (outputName: {
    name = outputName;
    value = common // {
      outPath = builtins.getAttr outputName drv;
      inherit outputName;
    };
  }) outputs;
in
(builtins.head views).value
"#;

fn read_file(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let path = ev.realise_file(arguments[0], pos)?;
    let contents = ev.read_file(&path)?;
    if contents.contains(&0) {
        return Err(EvalError::other(format!(
            "the contents of the file '{}' cannot be represented as a Nix string",
            path.display()
        ))
        .at(pos));
    }
    let context = references_in(ev, &path, &contents);
    Ok(ev.string_with_context(contents, context))
}

/// The store paths that a file of the store mentions, among those its store path refers to.
fn references_in(ev: &Evaluator, path: &Path, contents: &[u8]) -> Context {
    let Some(Ok((stored, _))) = path.to_str().map(|path| ev.host().store_dir().split(path)) else {
        return Context::EMPTY;
    };
    let mut found = hash_parts(contents).peekable();
    if found.peek().is_none() {
        return Context::EMPTY;
    }
    // A path that isn't valid has no references to look for.
    let Ok(closure) = ev.host().closure(&stored) else { return Context::EMPTY };
    let found: HashSet<&[u8]> = found.collect();
    let mentioned = closure.into_iter().filter(|path| found.contains(path.hash_part().as_bytes()));
    mentioned.map(ContextElement::Path).collect()
}

/// All that may be the hash of a store path.
fn hash_parts(contents: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_digit =
        |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z') && !matches!(byte, b'e' | b'o' | b't' | b'u');
    contents.split(move |byte| !is_digit(byte)).flat_map(|run| run.windows(32))
}

fn read_dir(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let path = ev.realise_file(arguments[0], pos)?;
    let entries = ev.read_dir(&path)?;
    let names = Symbol::of_many(entries.iter().map(|(name, _)| &**name));
    let mut attrs = AttrsBuilder::with_capacity(entries.len());
    let mut last = None;
    for (name, (_, kind)) in names.into_iter().zip(entries) {
        // Most folders have one kind of thing in them.
        let shown = match last {
            Some((last, shown)) if last == kind => shown,
            _ => ev.string(kind.name()),
        };
        last = Some((kind, shown));
        attrs.add(name, shown);
    }
    let entries = attrs.build(&ev.heap);
    ev.note_listing(&path, entries);
    Ok(entries.into())
}

fn read_file_type(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let path = ev.realise_path(arguments[0], pos)?;
    match ev.file_type(&path)? {
        Some(kind) => Ok(ev.string(kind.name())),
        None => Err(ev.missing(&path, Sought::Kind)),
    }
}

fn path_exists(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let value = ev.force(arguments[0], pos)?;
    let needs_directory =
        value.as_str().is_some_and(|text| text.bytes().ends_with(b"/") || text.bytes().ends_with(b"/."));
    let exists = || -> Result<bool> {
        if needs_directory {
            let path = ev.realise_file(value, pos)?;
            return Ok(ev.file_type(&path)? == Some(FileType::Directory));
        }
        let path = ev.realise_path(value, pos)?;
        let frame = || format!("while realising the context of path '{}'", path.display());
        let here = ev.resolve_ancestors(&path).frame_with(frame, pos)?;
        Ok(ev.file_type(&here)?.is_some())
    };
    match exists() {
        // What may not be read is as if it weren't there.
        Err(error) if error.kind() == ErrorKind::Impure => Ok(Value::FALSE),
        result => Ok(Value::bool(result?)),
    }
}

fn hash_file(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.hashFile";
    let algo = super::hash_algo(ev, arguments[0], pos, frame)?;
    let contents = ev.read_file(&ev.realise_file(arguments[1], pos)?)?;
    Ok(ev.string(Hash::of(algo, &contents).to_base16()))
}

fn find_file(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.findFile";
    let mut entries = Vec::new();
    for element in ev.force_list(arguments[0], pos, frame)?.iter() {
        let frame = "while evaluating an element of the list passed to builtins.findFile";
        let attrs = ev.force_attrs(element, pos, frame)?;
        let mut prefix = String::new();
        if let Some(value) = attrs.get(Symbol::intern("prefix")) {
            let frame = "while evaluating the `prefix` attribute of an element of the list passed to builtins.findFile";
            prefix = text(ev.force_plain_string(value, pos, frame)?.bytes())?;
        }
        let value = ev.required_attr(attrs, Symbol::intern("path"), "in an element of the __nixPath")?;
        let frame =
            "while evaluating the `path` attribute of an element of the list passed to builtins.findFile";
        let path = ev.coerce_to_string(value, Coercion::Plain, pos, frame)?;
        if let Some(invalid) = ev.first_invalid(path.context())? {
            let message = format!("cannot find '{}', since path '{invalid}' is not valid", path.to_text());
            return Err(EvalError::new(ErrorKind::Host, message));
        }
        let path = ev.realise(path.bytes(), path.context())?;
        entries.push(SearchEntry { prefix, path: text(&path)? });
    }
    let frame = "while evaluating the second argument passed to builtins.findFile";
    let name = text(ev.force_plain_string(arguments[1], pos, frame)?.bytes())?;
    Ok(ev.path(ev.find_file(&entries, &name)?.bytes()))
}

/// A path that goes to the store, and how.
struct Source<'a> {
    name: String,
    path: PathBuf,
    filter: Option<Value>,
    method: ContentAddressMethod,
    expected: Option<&'a Hash>,
}

fn path(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to 'builtins.path'";
    let attrs = ev.force_attrs(arguments[0], pos, frame)?;
    let mut context = Context::EMPTY;
    let (mut path, mut name, mut filter, mut expected) = (None, String::new(), None, None);
    let mut method = ContentAddressMethod::NixArchive;
    for attr in attrs {
        match attr.name.as_bytes() {
            b"path" => {
                let frame = "while evaluating the 'path' attribute passed to 'builtins.path'";
                path = Some(ev.coerce_to_path(attr.value, &mut context, attr.pos(), frame)?);
            }
            b"name" => {
                let frame = "while evaluating the `name` attribute passed to builtins.path";
                name = any_text(ev.force_plain_string(attr.value, attr.pos(), frame)?.bytes());
            }
            b"filter" => {
                let frame = "while evaluating the `filter` parameter passed to builtins.path";
                filter = Some(ev.force_function(attr.value, attr.pos(), frame)?);
            }
            b"recursive" => {
                let frame = "while evaluating the `recursive` attribute passed to builtins.path";
                if !ev.force_bool(attr.value, attr.pos(), frame)? {
                    method = ContentAddressMethod::Flat;
                }
            }
            b"sha256" => {
                let frame = "while evaluating the `sha256` attribute passed to builtins.path";
                let hash = text(ev.force_plain_string(attr.value, attr.pos(), frame)?.bytes())?;
                expected = Some(parse_hash(ev, &hash, Some(HashAlgo::Sha256), Pos::NONE)?);
            }
            _ => {
                let message =
                    format!("unsupported argument '{}' to 'builtins.path'", attr.name.to_identifier());
                return Err(EvalError::other(message).at(attr.pos()));
            }
        }
    }
    let Some(path) = path else {
        let message = "missing required 'path' attribute in the first argument to 'builtins.path'";
        return Err(EvalError::other(message).at(pos));
    };
    let path = to_path_buf(path.bytes());
    if name.is_empty() {
        name = base_name(&path);
    }
    add_source(ev, Source { name, path, filter, method, expected: expected.as_ref() }, context, pos)
}

fn filter_source(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let mut context = Context::EMPTY;
    let frame = "while evaluating the second argument (the path to filter) passed to 'builtins.filterSource'";
    let path = ev.coerce_to_path(arguments[1], &mut context, pos, frame)?;
    let frame = "while evaluating the first argument passed to builtins.filterSource";
    let filter = Some(ev.force_function(arguments[0], pos, frame)?);
    let path = to_path_buf(path.bytes());
    let method = ContentAddressMethod::NixArchive;
    add_source(ev, Source { name: base_name(&path), path, filter, method, expected: None }, context, pos)
}

fn base_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn add_source(ev: &Evaluator, source: Source<'_>, context: Context, pos: Pos) -> Result<Value> {
    let shown = source.path.clone();
    copy_source(ev, source, context, pos)
        .frame_with(|| format!("while adding path '{}'", shown.display()), pos)
}

fn copy_source(ev: &Evaluator, source: Source<'_>, context: Context, pos: Pos) -> Result<Value> {
    let mut path = source.path;
    if !context.is_empty() && path.starts_with(ev.host().store_dir().as_str()) {
        path = to_path_buf(&ev.realise(path.as_os_str().as_encoded_bytes(), context)?);
    }
    let mut expected_path = None;
    if let Some(hash) = source.expected {
        let address = ContentAddress { method: source.method, hash: *hash };
        let expected = ev
            .host()
            .store_dir()
            .fixed_output_path(&source.name, &address)
            .map_err(|error| EvalError::other(error.to_string()))?;
        if ev.host().ensure_path(&expected)? {
            ev.allow_store_path(&expected);
            return Ok(ev.store_path_string(&expected));
        }
        expected_path = Some(expected);
    }
    let path = ev.resolve_links_cached(&path)?;
    if ev.file_type(&path)?.is_none() {
        return Err(ev.missing(&path, Sought::Kind));
    }
    // The host only learns that there was an error: what it was is kept here.
    let mut failure = None;
    let mut takes = |path: &Path, kind: FileType| -> Result<bool, HostError> {
        let Some(filter) = source.filter else { return Ok(true) };
        let arguments = [ev.string(path.as_os_str().as_encoded_bytes()), ev.string(kind.name())];
        let frame = "while evaluating the return value of the path filter function";
        let taken = ev.call(filter, &arguments, pos).and_then(|taken| ev.force_bool(taken, pos, frame));
        taken.map_err(|error| {
            let told = HostError::new(error.message());
            failure = Some(error);
            told
        })
    };
    let added = ev.host().add_source(SourceRequest {
        name: &source.name,
        path: &path,
        method: source.method,
        filter: if source.filter.is_some() { Some(&mut takes) } else { None },
        expected: None,
    });
    let stored = match (added, failure) {
        (Err(_), Some(failure)) => return Err(failure),
        (added, _) => added?,
    };
    if expected_path.is_some_and(|expected| expected != stored) {
        let message =
            format!("store path mismatch in (possibly filtered) path added from '{}'", path.display());
        return Err(EvalError::other(message).at(pos));
    }
    ev.allow_store_path(&stored);
    Ok(ev.store_path_string(&stored))
}

fn to_file(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.toFile";
    let name = any_text(ev.force_plain_string(arguments[0], pos, frame)?.bytes());
    let frame = "while evaluating the second argument passed to builtins.toFile";
    let contents = ev.force_string(arguments[1], pos, frame)?;
    let mut references = Vec::new();
    for element in contents.context().elements() {
        let shown = match element {
            ContextElement::Path(path) => {
                references.push(path.clone());
                continue;
            }
            ContextElement::Closure(derivation) => format!("={derivation}"),
            ContextElement::Output { derivation, output } => format!("!{output}!{}", derivation.legacy()),
        };
        let message = format!(
            "files created by builtins.toFile may not reference derivations, but {name} references {shown}"
        );
        return Err(EvalError::new(ErrorKind::Context, message).at(pos));
    }
    let path = ev.host().add_text(&name, contents.bytes(), &references)?;
    ev.allow_store_path(&path);
    Ok(ev.store_path_string(&path))
}

fn store_path(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    if ev.settings().pure_eval {
        let message = "'builtins.storePath' is not allowed in pure evaluation mode";
        return Err(EvalError::new(ErrorKind::Impure, message).at(pos));
    }
    let mut context = Context::EMPTY;
    let frame = "while evaluating the first argument passed to 'builtins.storePath'";
    let path = text(ev.coerce_to_path(arguments[0], &mut context, pos, frame)?.bytes())?;
    let store_dir = ev.host().store_dir();
    // A link that is itself a store path stands for itself.
    let path = if store_dir.parse(&path).is_ok() {
        path
    } else {
        text(ev.resolve_links(Path::new(&path))?.as_os_str().as_encoded_bytes())?
    };
    if !Path::new(&path).starts_with(store_dir.as_str()) || path == store_dir.as_str() {
        return Err(EvalError::other(format!("path '{path}' is not in the Nix store")).at(pos));
    }
    let (stored, _) = store_dir.split(&path).map_err(|error| EvalError::other(error.to_string()).at(pos))?;
    if !ev.host().is_read_only() && !ev.host().ensure_path(&stored)? {
        let path = store_dir.display(&stored);
        let message = format!("path '{path}' is required, but there is no substituter that can build it");
        return Err(EvalError::new(ErrorKind::Host, message));
    }
    let context = context.union(Context::of(ContextElement::Path(stored)));
    Ok(ev.string_with_context(path, context))
}

fn to_path(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let mut context = Context::EMPTY;
    let frame = "while evaluating the first argument passed to builtins.toPath";
    let path = ev.coerce_to_path(arguments[0], &mut context, pos, frame)?;
    Ok(ev.string_with_context(canonical(path.bytes()), context))
}

fn dir_of(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let value = ev.force(arguments[0], pos)?;
    if let View::Path(path) = value.view() {
        return Ok(ev.path(&path.bytes()[..last_slash(path.bytes()).unwrap_or(0).max(1)]));
    }
    let frame = "while evaluating the first argument passed to 'builtins.dirOf'";
    let path = ev.coerce_to_string(value, Coercion::Plain, pos, frame)?;
    let directory = match last_slash(path.bytes()) {
        None => b".",
        Some(slash) => &path.bytes()[..slash.max(1)],
    };
    Ok(ev.string_with_context(directory, path.context()))
}

fn base_name_of(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.baseNameOf";
    let path = ev.coerce_to_string(arguments[0], Coercion::Plain, pos, frame)?;
    let mut name = path.bytes();
    if name.len() > 1 {
        name = name.strip_suffix(b"/").unwrap_or(name);
    }
    let start = last_slash(name).map_or(0, |slash| slash + 1);
    Ok(ev.string_with_context(&name[start..], path.context()))
}

fn last_slash(path: &[u8]) -> Option<usize> {
    path.iter().rposition(|byte| *byte == b'/')
}
