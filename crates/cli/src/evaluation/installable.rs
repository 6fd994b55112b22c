//! What the words of a command line stand for: attributes of a file, of an expression, of standard input or of a flake
//! (C++ Nix manual, `nix`, "Installables").

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nival_build::WantedOutputs;
use nival_eval::host::Registries;
use nival_eval::{ErrorKind, EvalError, Evaluator, LockOptions, Value, is_pseudo_url, parse_path};
use nival_formats::FlakeRef;
use nival_formats::flake_ref::ParsedFlakeRef;
use nival_syntax::{Origin, Pos, Symbol, suggestions};

use super::flake_reference::{Finder, Words};
use super::{Evaluated, quote};
use crate::arguments::SourceArguments;
use crate::context::Context;
use crate::error::{CommandError, Kind, Result};
use crate::features;
use crate::world::World;

/// An argument for the functions that files evaluate to.
#[derive(Debug)]
pub(crate) enum Argument {
    /// The text of an expression.
    Expression(String),
    /// A string.
    Text(Vec<u8>),
}

/// The arguments of a command line by name.
pub(crate) type Arguments = BTreeMap<String, Argument>;

/// The values of the arguments; expressions among them are evaluated when they are asked for.
pub(crate) fn argument_values(
    evaluator: &Evaluator,
    arguments: &Arguments,
    base: &str,
) -> Evaluated<BTreeMap<Symbol, Value>> {
    let value = |argument: &Argument| match argument {
        Argument::Text(text) => Ok(evaluator.string(text)),
        Argument::Expression(text) => {
            evaluator.eval_text_lazily(Origin::String, text.as_bytes().to_vec(), base)
        }
    };
    arguments.iter().map(|(name, argument)| Ok((Symbol::intern(name), value(argument)?))).collect()
}

/// The arguments for functions that the options of a command give.
pub(crate) fn given_arguments(context: &Context, given: &SourceArguments) -> Result<Arguments> {
    let mut arguments = Arguments::new();
    for pair in given.arg.chunks_exact(2) {
        arguments.insert(pair[0].clone(), Argument::Expression(pair[1].clone()));
    }
    for pair in given.argstr.chunks_exact(2) {
        arguments.insert(pair[0].clone(), Argument::Text(pair[1].clone().into_bytes()));
    }
    for pair in given.arg_from_file.chunks_exact(2) {
        arguments.insert(pair[0].clone(), argument_file(context, &pair[1])?);
    }
    for name in &given.arg_from_stdin {
        arguments.insert(name.clone(), Argument::Text(read_stdin()?));
    }
    Ok(arguments)
}

/// The contents of a file that the command line names as an argument.
pub(crate) fn argument_file(context: &Context, file: &str) -> Result<Argument> {
    let failed = |error: std::io::Error| {
        let reason = crate::error::reason(&error);
        CommandError::failure(match error.kind() {
            std::io::ErrorKind::IsADirectory => format!("read of 65536 bytes: {reason}"),
            _ => format!("opening file \"{file}\": {reason}"),
        })
    };
    Ok(Argument::Text(std::fs::read(context.absolute(file)).map_err(failed)?))
}

/// All of standard input.
pub(crate) fn read_stdin() -> Result<Vec<u8>> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).map_err(|error| {
        CommandError::failure(format!("reading standard input: {}", crate::error::reason(&error)))
    })?;
    Ok(text)
}

/// Where attributes are looked for.
#[derive(Debug)]
pub(crate) enum Source {
    /// In an expression.
    Expression(String),
    /// In a file: a path, `<name>` or a URL.
    File(String),
    /// In the expression that standard input gave.
    Stdin(Vec<u8>),
    /// Each name says its own flake.
    Flake,
}

/// What a flake without a fragment stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FlakeDefault {
    /// Its default package, as for most commands.
    Package,
    /// Its outputs.
    Outputs,
}

/// A source, and what its functions are called with.
#[derive(Debug)]
pub(crate) struct Installables {
    pub(crate) source: Source,
    pub(crate) arguments: Arguments,
    pub(crate) base: String,
    pub(crate) system: String,
    pub(crate) flake_default: FlakeDefault,
    pub(crate) words: Words,
}

impl Installables {
    /// From the options of a command, and the arguments for functions among them.
    pub(crate) fn new(world: &World, given: &SourceArguments, arguments: Arguments) -> Result<Self> {
        let source = match (&given.expr, given.file.as_deref()) {
            (Some(expression), None) => Source::Expression(expression.clone()),
            (None, Some("-")) => Source::Stdin(read_stdin()?),
            (None, Some(file)) => Source::File(file.to_owned()),
            (None, None) => Source::Flake,
            (Some(_), Some(_)) => {
                return Err(CommandError::new(Kind::Usage, "'--file' and '--expr' are exclusive"));
            }
        };
        Ok(Self {
            source,
            arguments,
            base: world.context.directory.to_string_lossy().into_owned(),
            system: world.settings.this_system(),
            flake_default: FlakeDefault::Package,
            words: words(world),
        })
    }

    /// Whether names are references to flakes or paths in the store.
    pub(crate) fn are_flakes(&self) -> bool {
        matches!(self.source, Source::Flake)
    }

    /// The value that a name stands for.
    pub(crate) fn value(&self, evaluator: &Evaluator, context: &Context, name: &str) -> Evaluated<Value> {
        let (name, _) = split_outputs(name)?;
        let root = match &self.source {
            Source::Expression(text) => {
                evaluator.eval_text(Origin::String, text.as_bytes().to_vec(), &self.base)?
            }
            Source::Stdin(text) => evaluator.eval_text(Origin::Stdin, text.clone(), &self.base)?,
            Source::File(file) => evaluator.eval_file(&file_argument(evaluator, context, file)?)?,
            Source::Flake => return self.flake_attribute(evaluator, context, name),
        };
        let arguments = argument_values(evaluator, &self.arguments, &self.base)?;
        let path = if name == "." { "" } else { name };
        evaluator.find_along_path(path, &arguments, root)
    }

    /// Whether names are attributes of a file.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.source, Source::File(_) | Source::Stdin(_))
    }

    /// What is said of a name.
    pub(crate) fn describe(&self, evaluator: &Evaluator, context: &Context, name: &str) -> String {
        let name = split_outputs(name).map_or(name, |(name, _)| name);
        if self.are_flakes() {
            let features = |name: &str| evaluator.settings().has_feature(name);
            let finder = Finder { host: evaluator.host(), features: &features, context, words: self.words };
            if let Ok(parsed) = finder.parse(name, &mut Vec::new()) {
                return format!("{}#{}", describe_flake(evaluator, &parsed.flake), parsed.fragment);
            }
        }
        if name == "." { "" } else { name }.to_owned()
    }

    fn flake_attribute(&self, evaluator: &Evaluator, context: &Context, name: &str) -> Evaluated<Value> {
        let ParsedFlakeRef { flake: reference, fragment, .. } =
            find_reference(evaluator, context, self.words, name)?;
        if !self.arguments.is_empty() {
            let message = "'--arg' and '--argstr' are incompatible with flakes";
            return Err(EvalError::new(ErrorKind::Usage, message));
        }
        let flake = flake_value(evaluator, &self.system, &reference)?;
        let outputs =
            flake.as_attrs().and_then(|flake| flake.get(Symbol::intern("outputs"))).unwrap_or(flake);
        let paths = self.flake_paths(&fragment);
        let mut similar = Vec::new();
        for path in &paths {
            match walk(evaluator, outputs, path)? {
                Ok(value) => return Ok(value),
                Err(names) => similar.extend(names),
            }
        }
        similar.dedup();
        let shown_paths = listed(&paths);
        let shown = describe_flake(evaluator, &reference);
        let message = format!("flake '{shown}' does not provide attribute {shown_paths}");
        Err(EvalError::other(message).with_suggestions(similar))
    }

    /// The places where a flake's attribute may be, first ones first.
    fn flake_paths(&self, fragment: &str) -> Vec<String> {
        let system = &self.system;
        if let Some(exact) = fragment.strip_prefix('.') {
            return vec![exact.to_owned()];
        }
        if fragment.is_empty() && self.flake_default == FlakeDefault::Outputs {
            return vec![String::new()];
        }
        if fragment.is_empty() {
            return vec![format!("packages.{system}.default"), format!("defaultPackage.{system}")];
        }
        vec![
            format!("packages.{system}.{fragment}"),
            format!("legacyPackages.{system}.{fragment}"),
            fragment.to_owned(),
        ]
    }
}

/// How the program takes words that may be names of flakes.
fn words(world: &World) -> Words {
    if world.as_reference { Words::Names } else { Words::Folders }
}

fn find_reference(
    evaluator: &Evaluator,
    context: &Context,
    words: Words,
    name: &str,
) -> Evaluated<ParsedFlakeRef> {
    let features = |name: &str| evaluator.settings().has_feature(name);
    Finder { host: evaluator.host(), features: &features, context, words }.find(name)
}

fn describe_flake(evaluator: &Evaluator, reference: &FlakeRef) -> String {
    match evaluator.host().embedded_flake(&reference.input) {
        Some(_) => "nival".to_owned(),
        None => reference.to_string(),
    }
}

/// The flake that a word of the command line names, with its outputs, inputs and source.
pub(crate) fn named_flake(evaluator: &Evaluator, world: &World, name: &str) -> Evaluated<Value> {
    let ParsedFlakeRef { flake, fragment, .. } =
        find_reference(evaluator, &world.context, words(world), name)?;
    if !fragment.is_empty() {
        let message = format!("unexpected fragment '{fragment}' in flake reference '{name}'");
        return Err(EvalError::other(message));
    }
    flake_value(evaluator, &world.settings.this_system(), &flake)
}

fn flake_value(evaluator: &Evaluator, system: &str, reference: &FlakeRef) -> Evaluated<Value> {
    if !evaluator.settings().has_feature("flakes") {
        return Err(EvalError::other(features::disabled("flakes")));
    }
    if evaluator.host().embedded_flake(&reference.input).is_some() {
        let system = quote(system);
        let text = format!("{{ outputs = import /__nival__/flake-outputs.nix {{ system = {system}; }}; }}");
        // Named as part of the library, so that errors show the user's own text first.
        let origin = Origin::File("/__nival__/«flake»".to_owned());
        return evaluator.eval_text(origin, text.into_bytes(), "/");
    }
    evaluator.get_flake(reference, LockOptions { registries: Registries::All, allow_unlocked: true })
}

/// `'a', 'b' or 'c'`
fn listed(paths: &[String]) -> String {
    let quoted: Vec<String> = paths.iter().map(|path| format!("'{path}'")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Follows a path through sets; where it ends, the names that are like the one that is missing.
fn walk(
    evaluator: &Evaluator,
    root: Value,
    path: &str,
) -> Evaluated<std::result::Result<Value, Vec<String>>> {
    let mut value = evaluator.force(root, Pos::NONE)?;
    let names = parse_path(path)?;
    for (depth, name) in names.iter().enumerate() {
        let Some(attrs) = value.as_attrs() else {
            let before = names[..depth].join(".");
            return Err(EvalError::of_type(format!("'{before}' is not an attribute set")));
        };
        let Some(next) = attrs.get(Symbol::intern(name)) else {
            return Ok(Err(suggestions(name, attrs.iter().map(|attr| attr.name.as_bytes()))));
        };
        value = evaluator.force(next, Pos::NONE)?;
    }
    Ok(Ok(value))
}

/// A name, and the outputs that it selects: `name^out,dev`, `name^*`.
pub(crate) fn split_outputs(text: &str) -> Evaluated<(&str, Option<WantedOutputs>)> {
    let Some((name, outputs)) = text.rsplit_once('^') else { return Ok((text, None)) };
    if outputs == "*" {
        return Ok((name, Some(WantedOutputs::All)));
    }
    let is_name = |output: &str| {
        !output.is_empty()
            && output.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte))
    };
    if !outputs.split(',').all(is_name) {
        return Err(EvalError::other(format!("invalid extended outputs specifier '{text}'")));
    }
    Ok((name, Some(WantedOutputs::Names(outputs.split(',').map(str::to_owned).collect()))))
}

/// The file that an argument of the command line means: a path, `<name>`, or what can be fetched.
pub(crate) fn file_argument(evaluator: &Evaluator, context: &Context, name: &str) -> Evaluated<PathBuf> {
    if let Some(name) = name.strip_prefix('<').and_then(|name| name.strip_suffix('>')) {
        let found = evaluator.find_file(&evaluator.settings().search_path, name)?;
        return Ok(PathBuf::from(std::ffi::OsStr::from_bytes(found.bytes())));
    }
    if is_pseudo_url(name) || name.starts_with("flake:") {
        return Ok(evaluator.host().resolve_search_entry(name)?);
    }
    Ok(context.absolute(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_cut_off() {
        let names =
            |names: &[&str]| Some(WantedOutputs::Names(names.iter().map(ToString::to_string).collect()));
        for (text, expected) in [
            ("a.b", ("a.b", None)),
            ("a^out,dev", ("a", names(&["out", "dev"]))),
            ("a^*", ("a", Some(WantedOutputs::All))),
            ("^x", ("", names(&["x"]))),
        ] {
            assert_eq!(split_outputs(text).expect("it is well-formed"), expected);
        }
        for text in ["a^", "a^b c", "a^b,", "a^*,b"] {
            assert!(split_outputs(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_are_listed() {
        let paths = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(listed(&paths), "'a', 'b' or 'c'");
        assert_eq!(listed(&paths[..1]), "'a'");
    }
}
