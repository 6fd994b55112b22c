//! `derivation` and `derivationStrict`: from an attribute set to a derivation in the store.
//!
//! Which attributes are special is C++ Nix 2.34's `derivationStrictInternal` (`src/libexpr/primops.cc`).

use std::collections::BTreeSet;
use std::sync::LazyLock;

use nival_formats::derivation::{DerivationError, STRUCTURED_ATTRS_VARIABLE};
use nival_formats::placeholder::output_placeholder;
use nival_formats::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationOutput, Hash, HashAlgo, HashModuloMemo,
    StorePath, StructuredAttrs, json, store_path,
};
use nival_syntax::{Origin, Pos, Symbol};

use super::text;
use crate::context::{Context, ContextElement, DerivationRef};
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::evaluator::{Coercion, Evaluator, Need};
use crate::value::{Attr, Attrs, AttrsBuilder, Builtin, Constant, Value, View};

pub(super) static FUNCTIONS: &[Builtin] = &[Builtin {
    name: "derivationStrict",
    arguments: &["attributes"],
    doc: "Makes a derivation of a set of attributes and puts it into the store. The result has `drvPath` and the path of \
          each output. `derivation` is the lazy form of it.",
    global: true,
    internal: false,
    feature: None,
    traced: true,
    run: derivation_strict,
}];

pub(super) static CONSTANTS: &[Constant] = &[Constant {
    name: "derivation",
    doc: "Describes a build step: takes a set with at least `name`, `system` and `builder`, and gives it back with \
          `drvPath`, `outPath` and an attribute for each output. Nothing is put into the store before a path is asked for.",
    global: true,
    value: |ev| {
        let origin = Origin::File(DERIVATION_NAME.to_owned());
        ev.eval_text(origin, DERIVATION.as_bytes().to_vec(), "/")
    },
}];

/// What the text of `derivation` is called in messages.
pub(crate) const DERIVATION_NAME: &str = "«nix-internal»/derivation-internal.nix";

/// `derivation`, in the language itself.
const DERIVATION: &str = include_str!("../embedded/derivation.nix");

/// Hashes of the derivations made so far. A path names the contents, so one memo serves all evaluators.
static HASHES: LazyLock<HashModuloMemo> = LazyLock::new(HashModuloMemo::default);

fn derivation_strict(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to builtins.derivationStrict";
    let attrs = ev.force_attrs(arguments[0], pos, frame)?;
    let name_attr = attrs.get_attr(Symbol::NAME).ok_or_else(|| {
        EvalError::new(ErrorKind::MissingAttribute, "attribute 'name' missing")
            .at(pos)
            .with_frame("in the attrset passed as argument to builtins.derivationStrict", Pos::NONE)
    })?;
    let frame = "while evaluating the `name` attribute passed to builtins.derivationStrict";
    let name = ev
        .force_plain_string(name_attr.value, pos, frame)
        .frame("while evaluating the derivation attribute 'name'", name_attr.pos())?;
    let name = text(name.bytes())?;
    make(ev, &name, attrs, pos).frame_with(
        || {
            format!(
                "while evaluating derivation '{name}'\n  whose name attribute is located at {}",
                name_attr.pos().display()
            )
        },
        Pos::NONE,
    )
}

/// What the attributes say about outputs.
struct OutputSpec {
    names: BTreeSet<String>,
    hash: Option<String>,
    algo: Option<HashAlgo>,
    method: Option<ContentAddressMethod>,
    content_addressed: bool,
    impure: bool,
}

impl OutputSpec {
    fn set_names<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        self.names.clear();
        for name in names {
            if self.names.contains(name) {
                return Err(EvalError::other(format!("duplicate derivation output '{name}'")));
            }
            if name == "drvPath" {
                // It would be the same attribute as the derivation's own path.
                return Err(EvalError::other("invalid derivation output name 'drvPath'"));
            }
            self.names.insert(name.to_owned());
        }
        if self.names.is_empty() {
            return Err(EvalError::other("derivation cannot have an empty set of outputs"));
        }
        Ok(())
    }

    fn set_method(&mut self, ev: &Evaluator, mode: &str, name: &str) -> Result<()> {
        self.method = Some(match mode {
            "recursive" | "nar" => ContentAddressMethod::NixArchive,
            "flat" => ContentAddressMethod::Flat,
            "text" => {
                let what = format!("text-hashed derivation '{name}', outputHashMode = \"text\"");
                require_feature_for(ev, "dynamic-derivations", &what)?;
                ContentAddressMethod::Text
            }
            "git" => {
                require_feature(ev, "git-hashing")?;
                ContentAddressMethod::Git
            }
            _ => {
                return Err(EvalError::other(format!(
                    "invalid value '{mode}' for 'outputHashMode' attribute"
                )));
            }
        });
        Ok(())
    }
}

/// Refuses what needs an experimental feature that is off.
pub(crate) fn require_feature(ev: &Evaluator, feature: &str) -> Result<()> {
    require_feature_for(ev, feature, "")
}

/// The same, telling what needs it.
fn require_feature_for(ev: &Evaluator, feature: &str, what: &str) -> Result<()> {
    if ev.settings().has_feature(feature) {
        return Ok(());
    }
    let what = if what.is_empty() { String::new() } else { format!(" ({what})") };
    Err(EvalError::other(format!(
        "experimental Nix feature '{feature}' is disabled{what}; add '--extra-experimental-features {feature}' to enable \
         it"
    )))
}

fn make(ev: &Evaluator, name: &str, attrs: Attrs, pos: Pos) -> Result<Value> {
    let invalid = |message: String| EvalError::other(message).at(pos);
    store_path::check_name(name).map_err(|error| {
        invalid(format!("invalid derivation name: {error}. Please pass a different 'name'."))
    })?;
    let structured = flag(ev, attrs, Symbol::STRUCTURED_ATTRS)?;
    let ignore_nulls = flag(ev, attrs, Symbol::IGNORE_NULLS)?;
    let mut drv = Derivation { name: name.to_owned(), ..Derivation::default() };
    let mut context = Context::EMPTY;
    let mut members = structured.then(Vec::new);
    let mut spec = OutputSpec {
        names: BTreeSet::from(["out".to_owned()]),
        hash: None,
        algo: None,
        method: None,
        content_addressed: false,
        impure: false,
    };
    let by_name: Vec<Attr> = attrs.by_name().collect();
    let _offer = ev.offer(Need::Text(Coercion::Derivation), by_name.iter().map(|attr| attr.value));
    for attr in by_name.iter().copied() {
        if attr.name == Symbol::IGNORE_NULLS {
            continue;
        }
        let key = super::utf8(attr.name.as_bytes())?;
        let members = members.as_mut();
        take_attribute(ev, &mut drv, &mut spec, &mut context, members, ignore_nulls, key, attr, pos)
            .frame_with(
                || format!("while evaluating attribute '{key}' of derivation '{name}'"),
                attr.pos(),
            )?;
    }
    if let Some(members) = members {
        drv.structured_attrs = Some(StructuredAttrs::from_canonical(object(&members)));
    }
    add_inputs(ev, &mut drv, context)?;
    if drv.builder.is_empty() {
        return Err(invalid("required attribute 'builder' missing".into()));
    }
    if drv.system.is_empty() {
        return Err(invalid("required attribute 'system' missing".into()));
    }
    let single = spec.names.len() == 1 && spec.names.contains("out");
    if name.ends_with(".drv") && !(spec.method == Some(ContentAddressMethod::Text) && single) {
        return Err(invalid(
            "derivation names are allowed to end in '.drv' only if they produce a single derivation file"
                .into(),
        ));
    }
    let store_dir = ev.host().store_dir();
    if let Some(hash) = &spec.hash {
        if !single {
            return Err(invalid("multiple outputs are not supported in fixed-output derivations".into()));
        }
        let hash = parse_hash(ev, hash, spec.algo, pos)?;
        let method = spec.method.unwrap_or(ContentAddressMethod::Flat);
        let output = DerivationOutput::CaFixed(ContentAddress { method, hash });
        let path = output.path(store_dir, name, "out").map_err(|error| invalid(error.to_string()))?;
        let path = path.map(|path| store_dir.display(&path)).unwrap_or_default();
        drv.env.insert(b"out".to_vec(), path.into_bytes());
        drv.outputs.insert("out".into(), output);
    } else if spec.content_addressed || spec.impure {
        if spec.content_addressed && spec.impure {
            return Err(invalid("derivation cannot be both content-addressed and impure".into()));
        }
        let algo = spec.algo.unwrap_or(HashAlgo::Sha256);
        let method = spec.method.unwrap_or(ContentAddressMethod::NixArchive);
        for output in &spec.names {
            drv.env.insert(output.clone().into_bytes(), output_placeholder(output).into_bytes());
            let made = if spec.impure {
                DerivationOutput::Impure(method, algo)
            } else {
                DerivationOutput::CaFloating(method, algo)
            };
            drv.outputs.insert(output.clone(), made);
        }
    } else {
        for output in spec.names {
            drv.outputs.insert(output, DerivationOutput::Deferred);
        }
    }
    let mut read =
        |path: &StorePath| -> Result<Derivation, ReadError> { Ok(ev.host().read_derivation(path)?) };
    let file = drv.complete(store_dir, &HASHES, &mut read).map_err(ReadError::into_error)?;
    let path = file.path.clone();
    ev.host().write_derivation(file)?;

    let mut result = AttrsBuilder::with_capacity(1 + drv.outputs.len());
    let closure = Context::of(ContextElement::Closure(path.clone()));
    result.add("drvPath", ev.string_with_context(store_dir.display(&path), closure));
    for (output, made) in &drv.outputs {
        result.add(Symbol::intern(output), output_string(ev, &path, name, output, made)?);
    }
    Ok(ev.attrs(result))
}

/// The path of an output, or what stands for it as long as it isn't known, with its context.
pub(super) fn output_string(
    ev: &Evaluator,
    derivation: &StorePath,
    name: &str,
    output: &str,
    made: &DerivationOutput,
) -> Result<Value> {
    let known = made
        .path(ev.host().store_dir(), name, output)
        .map_err(|error| EvalError::other(error.to_string()))?;
    let derivation = DerivationRef::File(derivation.clone());
    let shown = shown_output(ev, &derivation, output, known.as_ref())?;
    let element = ContextElement::Output { derivation, output: output.to_owned() };
    Ok(ev.string_with_context(shown, Context::of(element)))
}

/// The path of an output where it is known, else what stands for it.
pub(super) fn shown_output(
    ev: &Evaluator,
    derivation: &DerivationRef,
    output: &str,
    known: Option<&StorePath>,
) -> Result<String> {
    if let Some(known) = known {
        return Ok(ev.host().store_dir().display(known));
    }
    require_feature(ev, "ca-derivations")?;
    let placeholder = derivation.placeholder(output);
    Ok(placeholder.map_err(|error| EvalError::other(error.to_string()))?.to_string())
}

/// An error while input derivations are read.
enum ReadError {
    Derivation(DerivationError),
    Evaluation(EvalError),
}

impl ReadError {
    fn into_error(self) -> EvalError {
        match self {
            ReadError::Derivation(error) => EvalError::other(error.to_string()),
            ReadError::Evaluation(error) => error,
        }
    }
}

impl From<DerivationError> for ReadError {
    fn from(error: DerivationError) -> ReadError {
        ReadError::Derivation(error)
    }
}

impl From<crate::host::HostError> for ReadError {
    fn from(error: crate::host::HostError) -> ReadError {
        ReadError::Evaluation(error.into())
    }
}

fn flag(ev: &Evaluator, attrs: Attrs, name: Symbol) -> Result<bool> {
    match attrs.get_attr(name) {
        None => Ok(false),
        Some(attr) => ev.force_bool(
            attr.value,
            Pos::NONE,
            format!("while evaluating the `{name}` attribute passed to builtins.derivationStrict"),
        ),
    }
}

#[expect(clippy::too_many_arguments, reason = "all of what an attribute may change")]
fn take_attribute(
    ev: &Evaluator,
    drv: &mut Derivation,
    spec: &mut OutputSpec,
    context: &mut Context,
    members: Option<&mut Vec<(String, String)>>,
    ignore_nulls: bool,
    key: &str,
    attr: Attr,
    pos: Pos,
) -> Result<()> {
    let value = attr.value;
    if ignore_nulls && ev.force(value, pos)? == Value::NULL {
        return Ok(());
    }
    if key == "__contentAddressed" || key == "__impure" {
        let asked = ev.force_bool(value, pos, "")?;
        if key == "__impure" {
            spec.impure = asked;
        } else {
            spec.content_addressed = asked;
        }
        let feature = if key == "__impure" { "impure-derivations" } else { "ca-derivations" };
        return if asked { require_feature(ev, feature) } else { Ok(()) };
    }
    if key == "args" {
        for argument in ev.force_list(value, pos, "")?.iter() {
            let frame = "while evaluating an element of the argument list";
            let argument = ev.coerce_to_string(argument, Coercion::Derivation, pos, frame)?;
            *context = context.union(argument.context());
            drv.args.push(argument.bytes().to_vec());
        }
        return Ok(());
    }
    let Some(members) = members else {
        let string = ev.coerce_to_string(value, Coercion::Derivation, pos, "")?;
        *context = context.union(string.context());
        let bytes = string.bytes().to_vec();
        if key == STRUCTURED_ATTRS_VARIABLE {
            let text = format!(
                "In derivation '{}': setting structured attributes via '__json' is deprecated, and may be disallowed in \
                 future versions of Nix. Set '__structuredAttrs = true' instead.",
                drv.name
            );
            ev.say(crate::host::MessageKind::Warning, text.as_bytes())?;
            drv.structured_attrs = Some(parse_structured(ev, &bytes)?);
            return Ok(());
        }
        match key {
            "builder" => drv.builder.clone_from(&bytes),
            "system" => drv.system = text(&bytes)?,
            "outputHash" => spec.hash = Some(text(&bytes)?),
            "outputHashAlgo" => spec.algo = output_hash_algo(ev, &text(&bytes)?)?,
            "outputHashMode" => spec.set_method(ev, &text(&bytes)?, &drv.name)?,
            "outputs" => spec.set_names(text(&bytes)?.split_ascii_whitespace())?,
            _ => {}
        }
        drv.env.insert(key.as_bytes().to_vec(), bytes);
        return Ok(());
    };
    if key == "__structuredAttrs" {
        return Ok(());
    }
    let (printed, references) = super::json::write(ev, value, true, pos)?;
    *context = context.union(references);
    members.push((key.to_owned(), text(&printed)?));
    let plain =
        |ev: &Evaluator| ev.force_plain_string(value, pos, "").and_then(|string| text(string.bytes()));
    match key {
        "builder" => {
            let builder = ev.force_string(value, pos, "")?;
            *context = context.union(builder.context());
            drv.builder = builder.bytes().to_vec();
        }
        "system" => drv.system = plain(ev)?,
        "outputHash" => spec.hash = Some(plain(ev)?),
        "outputHashAlgo" => spec.algo = output_hash_algo(ev, &plain(ev)?)?,
        "outputHashMode" => spec.set_method(ev, &plain(ev)?, &drv.name)?,
        "outputs" => {
            let names = ev
                .force_list(value, pos, "")?
                .iter()
                .map(|name| text(ev.force_plain_string(name, pos, "")?.bytes()))
                .collect::<Result<Vec<_>>>()?;
            spec.set_names(names.iter().map(String::as_str))?;
        }
        "allowedReferences"
        | "allowedRequisites"
        | "disallowedReferences"
        | "disallowedRequisites"
        | "maxSize"
        | "maxClosureSize" => {
            let text = format!(
                "In a derivation named '{}', 'structuredAttrs' disables the effect of the derivation attribute '{key}'; \
                 use 'outputChecks.<output>.{key}' instead",
                drv.name
            );
            ev.say(crate::host::MessageKind::Warning, text.as_bytes())?;
        }
        _ => {}
    }
    Ok(())
}

/// The algorithm that `outputHashAlgo` names; none for a name that nobody knows.
fn output_hash_algo(ev: &Evaluator, name: &str) -> Result<Option<HashAlgo>> {
    let algo = name.parse().ok();
    if algo == Some(HashAlgo::Blake3) {
        require_feature(ev, "blake3-hashes")?;
    }
    Ok(algo)
}

/// Structured attributes that are given as JSON text.
fn parse_structured(ev: &Evaluator, text: &[u8]) -> Result<StructuredAttrs> {
    StructuredAttrs::parse(text).map_err(|error| {
        let problem = match crate::json::parse::<Value>(text, ev) {
            Err(problem) => problem.to_string(),
            Ok(value) => {
                let found = match value.view() {
                    View::List(_) => "array",
                    View::String(_) => "string",
                    View::Bool(_) => "boolean",
                    View::Int(_) | View::Float(_) => "number",
                    View::Null => "null",
                    _ => return EvalError::other(error.to_string()),
                };
                format!("[json.exception.type_error.302] type must be object, but is {found}")
            }
        };
        EvalError::other(format!("cannot process {STRUCTURED_ATTRS_VARIABLE} attribute: {problem}"))
    })
}

/// A JSON object of members that are JSON already; they come sorted by name.
fn object(members: &[(String, String)]) -> String {
    let mut out = String::from("{");
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::write_string(&mut out, key);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}

/// What the strings of the attributes refer to becomes the inputs.
fn add_inputs(ev: &Evaluator, drv: &mut Derivation, context: Context) -> Result<()> {
    for element in context.unsorted_elements() {
        match element {
            ContextElement::Path(path) => {
                drv.input_sources.insert(path.clone());
            }
            ContextElement::Output { derivation, output } => {
                let mut node = drv.input_derivations.entry(derivation.file().clone()).or_default();
                for through in derivation.outputs() {
                    node = node.dynamic.entry(through.to_owned()).or_default();
                }
                node.outputs.insert(output.clone());
            }
            ContextElement::Closure(derivation) => {
                for path in ev.host().closure(derivation)? {
                    if path.is_derivation() {
                        let names = match HASHES.get(&path) {
                            Some(known) => known.outputs.to_vec(),
                            None => ev.host().read_derivation(&path)?.outputs.into_keys().collect(),
                        };
                        drv.input_derivations.entry(path.clone()).or_default().outputs.extend(names);
                    }
                    drv.input_sources.insert(path);
                }
            }
        }
    }
    Ok(())
}

/// A hash of any notation; an empty one stands for zeros, so that the right one can be read from the error.
pub(super) fn parse_hash(ev: &Evaluator, hash: &str, algo: Option<HashAlgo>, pos: Pos) -> Result<Hash> {
    if !hash.is_empty() {
        return Hash::parse_any(hash, algo).map_err(|error| EvalError::other(error.to_string()).at(pos));
    }
    let algo = algo.ok_or_else(|| EvalError::other("empty hash requires explicit hash algorithm").at(pos))?;
    let zero = Hash::zero(algo);
    let text = format!("found empty hash, assuming '{}'", zero.to_sri());
    ev.say(crate::host::MessageKind::Warning, text.as_bytes())?;
    Ok(zero)
}
