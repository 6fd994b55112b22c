//! `derivation` and `derivationStrict`: from an attribute set to a derivation in the store.
//!
//! Which attributes are special is C++ Nix 2.34's `derivationStrictInternal` (`src/libexpr/primops.cc`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use nival_formats::derivation::{DerivationError, STRUCTURED_ATTRS_VARIABLE};
use nival_formats::json::StringForm;
use nival_formats::placeholder::output_placeholder;
use nival_formats::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationOutput, Draft, DraftAttrs, DraftInput,
    DraftOutput, Hash, HashAlgo, HashError, HashModuloMemo, InputOutputs, StoreDir, StorePath,
    StructuredAttrs, store_path,
};
use nival_syntax::{Origin, Pos, Symbol, raw_text};

use super::utf8;
use crate::context::{Context, ContextElement, Contexts, DerivationRef};
use crate::error::{ErrorKind, EvalError, FrameText, InFrame, Result};
use crate::evaluator::{Coercion, Evaluator, Need, Text, Verbosity};
use crate::value::{Attr, Attrs, AttrsBuilder, Builtin, Constant, Str, Value, View};

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
        let function = ev.eval_text(origin, DERIVATION.as_bytes().to_vec(), "/")?;
        function.see();
        Ok(function)
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
        .frame_at(|| ("while evaluating the derivation attribute 'name'".to_owned(), name_attr.pos()))?;
    let name = raw_text(name.bytes());
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
#[derive(Default)]
struct OutputSpec {
    /// Sorted; none is one that is called `out`.
    names: Vec<Cow<'static, str>>,
    hash: Option<String>,
    algo: Option<HashAlgo>,
    method: Option<ContentAddressMethod>,
    content_addressed: bool,
    impure: bool,
}

impl OutputSpec {
    /// How the paths of the outputs are decided.
    fn output(&self, ev: &Evaluator, pos: Pos) -> Result<DerivationOutput> {
        if let Some(hash) = &self.hash {
            let hash = parse_hash(ev, hash, self.algo, pos)?;
            let method = self.method.unwrap_or(ContentAddressMethod::Flat);
            return Ok(DerivationOutput::CaFixed(ContentAddress { method, hash }));
        }
        let algo = self.algo.unwrap_or(HashAlgo::Sha256);
        let method = self.method.unwrap_or(ContentAddressMethod::NixArchive);
        match (self.content_addressed, self.impure) {
            (false, false) => Ok(DerivationOutput::Deferred),
            (true, false) => Ok(DerivationOutput::CaFloating(method, algo)),
            (false, true) => Ok(DerivationOutput::Impure(method, algo)),
            (true, true) => {
                Err(EvalError::other("derivation cannot be both content-addressed and impure").at(pos))
            }
        }
    }

    fn names(&self) -> &[Cow<'static, str>] {
        if self.names.is_empty() { &[Cow::Borrowed("out")] } else { &self.names }
    }

    fn set_names(&mut self, names: impl IntoIterator<Item = Cow<'static, str>>) -> Result<()> {
        self.names.clear();
        for name in names {
            let Err(place) = self.names.binary_search(&name) else {
                return Err(EvalError::other(format!("duplicate derivation output '{name}'")));
            };
            if name == "drvPath" {
                // It would be the same attribute as the derivation's own path.
                return Err(EvalError::other("invalid derivation output name 'drvPath'"));
            }
            self.names.insert(place, name);
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

/// What the attributes of a derivation come to.
struct Parts<'a> {
    ev: &'a Evaluator,
    name: &'a str,
    pos: Pos,
    ignore_nulls: bool,
    /// Variables of the environment, sorted by name as attributes are.
    env: Vec<(&'static [u8], Text)>,
    args: Vec<Str>,
    system: Option<Text>,
    builder: Option<Text>,
    spec: OutputSpec,
    contexts: Contexts,
    /// The members of a JSON object, where the attributes are structured, as the file has them.
    members: Option<Vec<u8>>,
    /// Whether the name of a member isn't text.
    invalid_name: bool,
    structured_attrs: Option<StructuredAttrs>,
}

fn make(ev: &Evaluator, name: &str, attrs: Attrs, pos: Pos) -> Result<Value> {
    let invalid = |message: String| EvalError::other(message).at(pos);
    store_path::check_name(name).map_err(|error| {
        invalid(format!("invalid derivation name: {error}. Please pass a different 'name'."))
    })?;
    let structured = flag(ev, attrs, Symbol::STRUCTURED_ATTRS)?;
    let ignore_nulls = flag(ev, attrs, Symbol::IGNORE_NULLS)?;
    let by_name = attrs.by_name();
    let mut parts = Parts {
        ev,
        name,
        pos,
        ignore_nulls,
        env: Vec::with_capacity(if structured { 0 } else { by_name.len() }),
        args: Vec::new(),
        system: None,
        builder: None,
        spec: OutputSpec::default(),
        contexts: Contexts::for_many(),
        members: structured.then(|| Vec::with_capacity(4096)),
        invalid_name: false,
        structured_attrs: None,
    };
    let _offer = ev.offer(Need::Text(Coercion::Derivation), attrs.by_name().map(|attr| attr.value));
    for attr in by_name {
        ev.talk(Verbosity::Everything, || format!("processing attribute '{}'", attr.name))?;
        if attr.name == Symbol::IGNORE_NULLS {
            continue;
        }
        parts.take(attr).frame_at(|| {
            (format!("while evaluating attribute '{}' of derivation '{name}'", attr.name), attr.pos())
        })?;
    }
    parts.finish()
}

impl Parts<'_> {
    fn finish(mut self) -> Result<Value> {
        let (ev, name) = (self.ev, self.name);
        let invalid = |message: String| EvalError::other(message).at(self.pos);
        let inputs = Inputs::of(ev, &self.contexts)?;
        let builder = self.builder.as_ref().map_or(&[][..], Text::bytes);
        if builder.is_empty() {
            return Err(invalid("required attribute 'builder' missing".into()));
        }
        let system = raw_text(self.system.as_ref().map_or(&[][..], Text::bytes));
        if system.is_empty() {
            return Err(invalid("required attribute 'system' missing".into()));
        }
        let spec = std::mem::take(&mut self.spec);
        let single = spec.names() == ["out"];
        if name.ends_with(".drv") && !(spec.method == Some(ContentAddressMethod::Text) && single) {
            return Err(invalid(
                "derivation names are allowed to end in '.drv' only if they produce a single derivation file"
                    .into(),
            ));
        }
        if spec.hash.is_some() && !single {
            return Err(invalid("multiple outputs are not supported in fixed-output derivations".into()));
        }
        let made = spec.output(ev, self.pos)?;
        let store_dir = ev.host().store_dir();
        let outputs =
            spec.names().iter().map(|output| DraftOutput::new(store_dir, name, output, made.clone()));
        let outputs: Vec<DraftOutput<'_>> =
            outputs.collect::<Result<_, _>>().map_err(|error| invalid(error.to_string()))?;

        // The variables of outputs whose paths will be computed are filled in then.
        let known: Vec<(&str, String)> = match made {
            DerivationOutput::Deferred => Vec::new(),
            _ => outputs.iter().map(|output| (output.name, shown_to_builder(store_dir, output))).collect(),
        };
        let mut env: Vec<(&[u8], &[u8])> = Vec::with_capacity(self.env.len() + outputs.len());
        env.extend(self.env.iter().map(|(name, value)| (*name, value.bytes())));
        for (name, shown) in &known {
            let variable = (name.as_bytes(), shown.as_bytes());
            match env.binary_search_by_key(&variable.0, |(name, _)| *name) {
                Ok(place) => env[place] = variable,
                Err(place) => env.insert(place, variable),
            }
        }
        if self.invalid_name {
            return Err(EvalError::other("an attribute's name is not valid UTF-8"));
        }
        let members = self.members.map(object);
        let json = self.structured_attrs.as_ref().map(StructuredAttrs::as_str);
        let input_outputs = inputs.outputs();
        let mut draft = Draft {
            name,
            outputs,
            input_derivations: inputs.derivations(&input_outputs),
            input_sources: inputs.sources(),
            system: &system,
            builder,
            args: self.args.iter().map(|argument| argument.bytes()).collect(),
            env,
            structured_attrs: members.as_deref().map(DraftAttrs::Escaped).or(json.map(DraftAttrs::Json)),
        };
        let mut read =
            |path: &StorePath| -> Result<Derivation, ReadError> { Ok(ev.host().read_derivation(path)?) };
        let prepared = draft.prepare(store_dir, &HASHES, &mut read).map_err(ReadError::into_error)?;
        let talk = |path: &StorePath| {
            ev.talk(Verbosity::Chatty, || format!("instantiated '{name}' -> '{}'", store_dir.display(path)))
        };
        let hash = prepared.hash().copied();
        if let Some((path, made)) = hash.and_then(|hash| ev.shared.made.find(name, &hash, &inputs.elements))
            && ev.host().has_derivation(&path)
        {
            talk(&path)?;
            return Ok(made);
        }
        let file = draft
            .finish(store_dir, prepared, &HASHES)
            .map_err(|error| EvalError::other(error.to_string()))?;
        let path = file.path.clone();
        ev.host().write_derivation(file)?;
        talk(&path)?;

        let mut result = AttrsBuilder::with_capacity(1 + draft.outputs.len());
        let closure = Context::of(ContextElement::Closure(path.clone()));
        result.add("drvPath", ev.store_path_text(&path, closure).into());
        for output in &draft.outputs {
            let value = output_string(ev, &path, output.name, output.path())?;
            result.add(Symbol::intern(output.name), value);
        }
        let result = ev.attrs(result);
        drop(draft);
        if let Some(hash) = hash {
            ev.shared.made.keep(path, &hash, inputs.elements, result);
        }
        Ok(result)
    }
}

/// What the variable of an output holds whose path the derivation's inputs don't decide.
fn shown_to_builder(store_dir: &StoreDir, output: &DraftOutput<'_>) -> String {
    output.path().map_or_else(|| output_placeholder(output.name), |path| store_dir.display(path))
}

/// The path of an output, or what stands for it as long as it isn't known, with its context.
pub(super) fn output_string(
    ev: &Evaluator,
    derivation: &StorePath,
    output: &str,
    known: Option<&StorePath>,
) -> Result<Value> {
    let derivation = DerivationRef::File(derivation.clone());
    let context = |derivation| Context::of(ContextElement::Output { derivation, output: output.to_owned() });
    if let Some(known) = known {
        return Ok(ev.store_path_text(known, context(derivation)).into());
    }
    let shown = shown_output(ev, &derivation, output, None)?;
    Ok(ev.string_with_context(shown, context(derivation)))
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
        Some(attr) => {
            let after = "` attribute passed to builtins.derivationStrict";
            ev.force_bool(attr.value, Pos::NONE, FrameText::Named("while evaluating the `", name, after))
        }
    }
}

impl Parts<'_> {
    fn take(&mut self, attr: Attr) -> Result<()> {
        let (ev, pos, value) = (self.ev, self.pos, attr.value);
        if self.ignore_nulls && ev.force(value, pos)? == Value::NULL {
            return Ok(());
        }
        match attr.name {
            Symbol::CONTENT_ADDRESSED => {
                self.spec.content_addressed = ev.force_bool(value, pos, "")?;
                if self.spec.content_addressed { require_feature(ev, "ca-derivations") } else { Ok(()) }
            }
            Symbol::IMPURE => {
                self.spec.impure = ev.force_bool(value, pos, "")?;
                if self.spec.impure { require_feature(ev, "impure-derivations") } else { Ok(()) }
            }
            Symbol::ARGS => {
                for argument in ev.force_list(value, pos, "")?.iter() {
                    let frame = "while evaluating an element of the argument list";
                    let argument = ev.coerce_to_string(argument, Coercion::Derivation, pos, frame)?;
                    self.contexts.add(argument.context());
                    self.args.push(argument);
                }
                Ok(())
            }
            Symbol::STRUCTURED_ATTRS if self.members.is_some() => Ok(()),
            name if self.members.is_some() => self.take_structured(name, value),
            name => self.take_variable(name, value),
        }
    }

    fn take_variable(&mut self, name: Symbol, value: Value) -> Result<()> {
        let ev = self.ev;
        let text = ev.coerce_to_text(value, Coercion::Derivation, self.pos, "", &mut self.contexts)?;
        let bytes = text.bytes();
        if name == Symbol::JSON {
            let text = format!(
                "In derivation '{}': setting structured attributes via '__json' is deprecated, and may be disallowed in \
                 future versions of Nix. Set '__structuredAttrs = true' instead.",
                self.name
            );
            ev.say(crate::host::MessageKind::Warning, text.as_bytes())?;
            self.structured_attrs = Some(parse_structured(ev, bytes)?);
            return Ok(());
        }
        match name {
            Symbol::BUILDER => self.builder = Some(text.clone()),
            Symbol::OUTPUTS => {
                let names = raw_text(bytes);
                self.spec.set_names(names.split_ascii_whitespace().map(|name| name.to_owned().into()))?;
            }
            _ => self.take_text(name, &text)?,
        }
        self.env.push((name.as_bytes(), text));
        Ok(())
    }

    /// What is said in text, structured or not.
    fn take_text(&mut self, name: Symbol, value: &Text) -> Result<()> {
        let text = || raw_text(value.bytes());
        match name {
            Symbol::SYSTEM => self.system = Some(value.clone()),
            Symbol::OUTPUT_HASH => self.spec.hash = Some(text().into_owned()),
            Symbol::OUTPUT_HASH_ALGO => self.spec.algo = output_hash_algo(self.ev, &text())?,
            Symbol::OUTPUT_HASH_MODE => self.spec.set_method(self.ev, &text(), self.name)?,
            _ => {}
        }
        Ok(())
    }

    fn take_structured(&mut self, name: Symbol, value: Value) -> Result<()> {
        let (ev, pos) = (self.ev, self.pos);
        let key = name.as_bytes();
        if let Some(members) = &mut self.members {
            members.push(if members.is_empty() { b'{' } else { b',' });
            let is_ascii = StringForm::IN_DERIVATION.write(members, key);
            self.invalid_name |= !is_ascii && utf8(key).is_err();
            members.push(b':');
            super::json::write_in_derivation(members, &mut self.contexts, ev, value, pos)?;
        }
        match name {
            Symbol::BUILDER => {
                let builder = ev.force_string(value, pos, "")?;
                self.contexts.add(builder.context());
                self.builder = Some(Text::Kept(builder));
            }
            Symbol::OUTPUTS => {
                let names = ev.force_list(value, pos, "")?.iter().map(|name| {
                    let name = ev.force_plain_string(name, pos, "")?;
                    Ok(raw_text(name.bytes()))
                });
                let names = names.collect::<Result<Vec<_>>>()?;
                self.spec.set_names(names)?;
            }
            Symbol::SYSTEM | Symbol::OUTPUT_HASH | Symbol::OUTPUT_HASH_ALGO | Symbol::OUTPUT_HASH_MODE => {
                let value = ev.force_plain_string(value, pos, "")?;
                self.take_text(name, &Text::Kept(value))?;
            }
            Symbol::ALLOWED_REFERENCES
            | Symbol::ALLOWED_REQUISITES
            | Symbol::DISALLOWED_REFERENCES
            | Symbol::DISALLOWED_REQUISITES
            | Symbol::MAX_SIZE
            | Symbol::MAX_CLOSURE_SIZE => {
                let text = format!(
                    "In a derivation named '{}', 'structuredAttrs' disables the effect of the derivation attribute \
                     '{name}'; use 'outputChecks.<output>.{name}' instead",
                    self.name
                );
                ev.say(crate::host::MessageKind::Warning, text.as_bytes())?;
            }
            _ => {}
        }
        Ok(())
    }
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

/// A JSON object of its members, of which each follows a brace or a comma.
fn object(mut members: Vec<u8>) -> Vec<u8> {
    if members.is_empty() {
        members.push(b'{');
    }
    members.push(b'}');
    members
}

/// What the strings of the attributes refer to: the inputs.
struct Inputs {
    elements: Vec<&'static ContextElement>,
    /// What belongs to the closures of derivations, and the outputs of the derivations among it.
    closures: Vec<(StorePath, Vec<String>)>,
    /// Of which derivations outputs of outputs are needed.
    dynamic: BTreeMap<StorePath, InputOutputs>,
}

impl Inputs {
    fn of(ev: &Evaluator, contexts: &Contexts) -> Result<Inputs> {
        let elements = contexts.unsorted_elements();
        let mut closures = Vec::new();
        let mut dynamic: BTreeMap<StorePath, InputOutputs> = BTreeMap::new();
        for element in &elements {
            match element {
                ContextElement::Output { derivation: derivation @ DerivationRef::Output { .. }, output } => {
                    let mut node = dynamic.entry(derivation.file().clone()).or_default();
                    for through in derivation.outputs() {
                        node = node.dynamic.entry(through.to_owned()).or_default();
                    }
                    node.outputs.insert(output.clone());
                }
                ContextElement::Closure(derivation) => {
                    for path in ev.host().closure(derivation)? {
                        let outputs = match HASHES.get(&path) {
                            _ if !path.is_derivation() => Vec::new(),
                            Some(known) => known.outputs.to_vec(),
                            None => ev.host().read_derivation(&path)?.outputs.into_keys().collect(),
                        };
                        closures.push((path, outputs));
                    }
                }
                ContextElement::Path(_) | ContextElement::Output { .. } => {}
            }
        }
        Ok(Inputs { elements, closures, dynamic })
    }

    /// The outputs that are needed as they are: the paths of their derivations and their names, sorted by both.
    fn outputs(&self) -> Vec<(&StorePath, &str)> {
        let mut outputs: Vec<(&StorePath, &str)> = Vec::with_capacity(self.elements.len());
        outputs.extend(self.elements.iter().filter_map(|element| match element {
            ContextElement::Output { derivation: DerivationRef::File(path), output } => {
                Some((path, output.as_str()))
            }
            _ => None,
        }));
        for (path, names) in &self.closures {
            outputs.extend(names.iter().map(|name| (path, name.as_str())));
        }
        outputs.sort_unstable();
        outputs.dedup();
        outputs
    }

    /// The derivations of these outputs, and those of which outputs of outputs are needed.
    fn derivations<'a>(&'a self, outputs: &'a [(&'a StorePath, &'a str)]) -> Vec<DraftInput<'a>> {
        let mut derivations: Vec<DraftInput<'a>> = Vec::with_capacity(outputs.len());
        derivations.extend(outputs.chunk_by(|(path, _), (next, _)| path == next).map(|same| {
            let path = same[0].0;
            let outputs = match same {
                [(_, name)] => Cow::Borrowed(std::slice::from_ref(name)),
                several => several.iter().map(|(_, name)| *name).collect(),
            };
            DraftInput { path, outputs, dynamic: self.dynamic.get(path).map(|node| &node.dynamic) }
        }));
        for (path, node) in &self.dynamic {
            if let Err(place) = derivations.binary_search_by_key(&path, |input| input.path) {
                let dynamic = Some(&node.dynamic);
                derivations.insert(place, DraftInput { path, outputs: Cow::Borrowed(&[]), dynamic });
            }
        }
        derivations
    }

    /// The paths that no derivation makes, sorted.
    fn sources(&self) -> Vec<&StorePath> {
        let paths = self.elements.iter().filter_map(|element| match element {
            ContextElement::Path(path) => Some(path),
            _ => None,
        });
        let mut sources: Vec<&StorePath> = paths.chain(self.closures.iter().map(|(path, _)| path)).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }
}

/// A hash of any notation; an empty one stands for zeros, so that the right one can be read from the error.
pub(super) fn parse_hash(ev: &Evaluator, hash: &str, algo: Option<HashAlgo>, pos: Pos) -> Result<Hash> {
    if !hash.is_empty() {
        return parse_notated_hash(ev, hash, algo);
    }
    let algo = algo.ok_or_else(|| EvalError::other("empty hash requires explicit hash algorithm").at(pos))?;
    let zero = Hash::zero(algo);
    let text = format!("found empty hash, assuming '{}'", zero.to_sri());
    ev.say(crate::host::MessageKind::Warning, text.as_bytes())?;
    Ok(zero)
}

/// A hash of any notation.
pub(super) fn parse_notated_hash(ev: &Evaluator, hash: &str, algo: Option<HashAlgo>) -> Result<Hash> {
    if hash.starts_with("blake3-") || hash.starts_with("blake3:") {
        require_feature(ev, "blake3-hashes")?;
    }
    Hash::parse_any(hash, algo).map_err(|error| {
        let kind = match error {
            HashError::UnknownAlgorithm(_) => ErrorKind::Usage,
            _ => ErrorKind::Other,
        };
        EvalError::new(kind, error.to_string())
    })
}
