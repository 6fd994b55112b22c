//! Evaluation with the settings in force, over a [`World`].

mod home;

use std::collections::BTreeMap;
use std::sync::Arc;

use nival_eval::{Evaluator, Host, PrintErrors, PrintOptions, SearchEntry, Value, with_big_stack};
use nival_fetch::{CALL_FLAKE, FlakeRef};
use nival_syntax::{HumanStyle, Origin, Pos, Symbol, render_human, render_reference};

pub(crate) use home::{Home, home};

use crate::arguments::{BuildArguments, EvalArguments, SourceArguments};
use crate::building::{self, Target};
use crate::error::{CommandError, Kind, Result};
use crate::eval_cache::{self, Recorder};
use crate::host::WorldHost;
use crate::world::World;

/// How a value is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Show {
    /// As an expression.
    Value,
    /// A string as it is.
    Raw,
    /// JSON.
    Json,
}

/// What an evaluator is made from.
pub(crate) struct Session<'a> {
    world: &'a Arc<World>,
    settings: nival_eval::Settings,
}

pub(crate) type Evaluated<T> = nival_eval::Result<T>;

impl<'a> Session<'a> {
    pub(crate) fn new(world: &'a Arc<World>, include: &[String]) -> Self {
        let settings = &world.settings;
        let from_variable = world.context.variable("NIX_PATH").map(split_search_path).unwrap_or_default();
        let mut entries: Vec<String> = include.to_vec();
        entries.extend(if from_variable.is_empty() { settings.nix_path.clone() } else { from_variable });
        Self {
            world,
            settings: nival_eval::Settings {
                pure_eval: settings.pure_eval,
                restrict_eval: settings.restrict_eval,
                allow_import_from_derivation: settings.allow_import_from_derivation,
                max_call_depth: u32::try_from(settings.max_call_depth).unwrap_or(u32::MAX),
                search_path: entries.iter().map(|entry| SearchEntry::parse(entry)).collect(),
                trace_verbose: settings.trace_verbose,
                abort_on_warn: settings.abort_on_warn,
                lint_url_literals: settings.lint_url_literals,
                lint_absolute_path_literals: settings.lint_absolute_path_literals,
                lint_short_path_literals: settings.lint_short_path_literals,
                show_trace: settings.show_trace,
                home: Some(world.context.home().to_string_lossy().into_owned()),
                experimental_features: settings.experimental_features.clone(),
                current_system: [&settings.eval_system, &settings.system]
                    .into_iter()
                    .find(|system| !system.is_empty())
                    .cloned()
                    .unwrap_or(nival_eval::Settings::default().current_system),
            },
        }
    }

    /// Runs `work` with an evaluator on a deep stack, and renders its error.
    fn run_on<T: Send>(
        &self,
        host: Arc<dyn Host>,
        work: impl FnOnce(&Evaluator) -> Evaluated<T> + Send,
    ) -> Result<T> {
        let settings = self.settings.clone();
        let style = HumanStyle { colour: self.world.output.colour, show_trace: settings.show_trace };
        let as_reference = self.world.as_reference;
        with_big_stack(move || {
            let evaluator = Evaluator::new(host, settings);
            work(&evaluator).map_err(|error| {
                let diagnostic = error.to_diagnostic();
                CommandError::failure(if as_reference {
                    render_reference(&diagnostic, style.show_trace)
                } else {
                    render_human(&diagnostic, style)
                })
            })
        })
    }

    /// Runs `work`, unless the cache has what it said when it was asked the same `question` and everything that it
    /// read is unchanged. Each part of the answer goes to `sink`, in both cases. Derivations are in the store
    /// afterwards.
    pub(crate) fn answer(
        &self,
        question: &[impl AsRef<[u8]>],
        work: impl FnOnce(&Evaluator, &mut dyn FnMut(&[u8])) -> Evaluated<()> + Send,
        mut sink: impl FnMut(&[u8]) -> Result + Send,
    ) -> Result {
        let slot = eval_cache::slot(self.world, &self.settings, question);
        if let Some(said) = slot.as_ref().and_then(|slot| slot.recall(self.world)) {
            return eval_cache::replay(self.world, &said, sink);
        }
        let host = WorldHost(Arc::clone(self.world));
        let Some(slot) = slot else {
            return self.run_with_sink(Arc::new(host), work, sink);
        };
        let recorder = Arc::new(Recorder::new(host));
        let noted = |bytes: &[u8]| {
            recorder.say(bytes);
            sink(bytes)
        };
        self.run_with_sink(Arc::<Recorder>::clone(&recorder), work, noted)?;
        slot.keep(self.world, &recorder);
        Ok(())
    }

    fn run_with_sink(
        &self,
        host: Arc<dyn Host>,
        work: impl FnOnce(&Evaluator, &mut dyn FnMut(&[u8])) -> Evaluated<()> + Send,
        mut sink: impl FnMut(&[u8]) -> Result + Send,
    ) -> Result {
        let mut poured = Ok(());
        let outcome = self.run_on(host, |evaluator| {
            work(evaluator, &mut |bytes| {
                if poured.is_ok() {
                    poured = sink(bytes);
                }
            })
        });
        poured.and(outcome)?;
        self.world.write_derivations()
    }

    /// As [`Session::answer`], for an answer of one part.
    fn answer_once(
        &self,
        question: &[impl AsRef<[u8]>],
        work: impl FnOnce(&Evaluator) -> Evaluated<Vec<u8>> + Send,
    ) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        let say = |evaluator: &Evaluator, say: &mut dyn FnMut(&[u8])| {
            say(&work(evaluator)?);
            Ok(())
        };
        self.answer(question, say, |bytes| {
            answer.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(answer)
    }

    /// Evaluates an expression of ours to a string.
    fn string(&self, expression: &str) -> Result<Vec<u8>> {
        self.answer_once(&["string", expression], |evaluator| {
            // Named as part of the library, so that errors show the user's own text first.
            let origin = Origin::File("/__nival__/«command»".to_owned());
            let value = evaluator.eval_text(origin, expression.as_bytes().to_vec(), "/")?;
            Ok(evaluator.force_string(value, Pos::NONE, "")?.bytes().to_vec())
        })
    }
}

/// Splits `NIX_PATH` at colons, but not at those of URLs.
fn split_search_path(text: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for part in text.split(':') {
        match entries.last_mut() {
            Some(last) if part.starts_with("//") => {
                last.push(':');
                last.push_str(part);
            }
            _ => entries.push(part.to_owned()),
        }
    }
    entries.retain(|entry| !entry.is_empty());
    entries
}

/// A string as a literal of the language.
fn quote(text: &str) -> String {
    let mut literal = Vec::new();
    nival_syntax::print::string(&mut literal, text.as_bytes());
    String::from_utf8_lossy(&literal).into_owned()
}

/// The value that `nival eval` shows, as text.
pub(crate) fn show(world: &Arc<World>, arguments: &EvalArguments, show: Show) -> Result<Vec<u8>> {
    let chosen = Chosen::new(world, &arguments.source, arguments.installable.as_deref())?;
    let question = ["eval".to_owned(), format!("{chosen:?} {show:?} {:?}", arguments.apply)];
    Session::new(world, &arguments.source.include).answer_once(&question, |evaluator| {
        let mut value = chosen.select(evaluator)?;
        if let Some(function) = &arguments.apply {
            let function = evaluator.eval_str(function, &chosen.base)?;
            value = evaluator.call(function, &[value], Pos::NONE)?;
        }
        match show {
            Show::Value => evaluator.print(
                value,
                &PrintOptions {
                    force: true,
                    derivation_paths: true,
                    errors: PrintErrors::Fail,
                    ..PrintOptions::default()
                },
            ),
            Show::Raw => Ok(evaluator.force_string(value, Pos::NONE, "")?.bytes().to_vec()),
            Show::Json => {
                let to_json = evaluator.eval_str("builtins.toJSON", "/")?;
                let json = evaluator.call(to_json, &[value], Pos::NONE)?;
                Ok(evaluator.force_string(json, Pos::NONE, "")?.bytes().to_vec())
            }
        }
    })
}

/// The derivations that `nival build` is to build.
pub(crate) fn derivations(world: &Arc<World>, arguments: &BuildArguments) -> Result<Vec<Target>> {
    if let Some(path) = arguments.installable.as_deref().filter(|path| path.ends_with(".drv")) {
        let derivation = world.store()?.parse(path)?;
        return Ok(vec![Target { derivation, outputs: nival_build::WantedOutputs::All }]);
    }
    let chosen = Chosen::new(world, &arguments.source, arguments.installable.as_deref())?;
    let question = ["build".to_owned(), format!("{chosen:?}")];
    let found = Session::new(world, &arguments.source.include).answer_once(&question, |evaluator| {
        let value = chosen.select(evaluator)?;
        // A derivation, or a set or list of them.
        let function = evaluator.eval_str(
            "value: let one = d: { inherit (d) drvPath; output = d.outputName or \"out\"; }; in builtins.toJSON (\
             if value.type or null == \"derivation\" then [ (one value) ] else map one (builtins.filter \
             (v: v.type or null == \"derivation\") (if builtins.isList value then value else builtins.attrValues value)))",
            "/",
        )?;
        let json = evaluator.call(function, &[value], Pos::NONE)?;
        Ok(evaluator.force_string(json, Pos::NONE, "")?.bytes().to_vec())
    })?;
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Found {
        drv_path: String,
        output: String,
    }
    let found: Vec<Found> = serde_json::from_slice(&found).map_err(CommandError::failure)?;
    if found.is_empty() {
        return Err(CommandError::failure("there is no derivation in what was evaluated"));
    }
    let target = |found: Found| {
        let derivation = world.store_dir().parse(&found.drv_path).map_err(CommandError::failure)?;
        Ok(building::output(derivation, &found.output))
    };
    found.into_iter().map(target).collect()
}

/// An expression and what is wanted of it.
#[derive(Debug)]
struct Chosen {
    text: Vec<u8>,
    origin: Origin,
    base: String,
    attribute: Vec<String>,
    arguments: Vec<(String, String)>,
}

impl Chosen {
    fn new(world: &World, source: &SourceArguments, installable: Option<&str>) -> Result<Self> {
        let base = world.context.directory.to_string_lossy().into_owned();
        let mut arguments = Vec::new();
        for pair in source.arg.chunks_exact(2) {
            arguments.push((pair[0].clone(), pair[1].clone()));
        }
        for pair in source.argstr.chunks_exact(2) {
            arguments.push((pair[0].clone(), quote(&pair[1])));
        }
        let path = |text: Option<&str>| split_attribute_path(text.unwrap_or(""));
        let (text, attribute) = match (&source.expr, &source.file, installable) {
            (Some(expression), _, attribute) => (expression.clone(), path(attribute)?),
            (None, Some(file), attribute) => {
                let text = if file.starts_with('<') {
                    format!("import {file}")
                } else {
                    format!("import (/. + {})", quote(&world.context.absolute(file).to_string_lossy()))
                };
                (text, path(attribute)?)
            }
            (None, None, Some(reference)) => {
                let reference =
                    FlakeRef::parse(reference).map_err(|error| CommandError::new(Kind::Usage, error))?;
                let system = quote(&nival_eval::Settings::default().current_system);
                let embedded = format!("import /__nival__/flake-outputs.nix {{ system = {system}; }}");
                let text = match reference.folder {
                    None => embedded,
                    Some(folder) => format!(
                        "({CALL_FLAKE}) {{ embedded = {embedded}; source = builtins.path {{ name = \"source\"; path = {}; \
                         filter = path: type: baseNameOf path != \".git\"; }}; }}",
                        quote(&world.context.absolute(folder).to_string_lossy())
                    ),
                };
                (text, path(Some(&reference.fragment))?)
            }
            (None, None, None) => {
                return Err(CommandError::new(Kind::Usage, "nothing to evaluate was named")
                    .hint("`--expr EXPR`, `-f FILE [ATTRIBUTE]`, or `FLAKE#ATTRIBUTE`"));
            }
        };
        Ok(Self { text: text.into_bytes(), origin: Origin::String, base, attribute, arguments })
    }

    fn select(&self, evaluator: &Evaluator) -> Evaluated<Value> {
        let arguments: BTreeMap<Symbol, Value> = self
            .arguments
            .iter()
            .map(|(name, text)| Ok((Symbol::intern(name), evaluator.eval_str(text, &self.base)?)))
            .collect::<Evaluated<_>>()?;
        let mut value = evaluator.eval_text(self.origin.clone(), self.text.clone(), &self.base)?;
        value = evaluator.auto_call(&arguments, value)?;
        for name in &self.attribute {
            let select = evaluator.eval_str(
                "name: value: if builtins.isList value then builtins.elemAt value (builtins.fromJSON name) else value.${name}",
                "/",
            )?;
            value = evaluator.call(select, &[evaluator.string(name), value], Pos::NONE)?;
            value = evaluator.auto_call(&arguments, value)?;
        }
        evaluator.force(value, Pos::NONE)
    }
}

/// Splits `a."b.c".d`.
fn split_attribute_path(text: &str) -> Result<Vec<String>> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(std::mem::take(&mut part)),
            other => part.push(other),
        }
    }
    if quoted {
        return Err(CommandError::new(
            Kind::Usage,
            format!("missing closing quote in selection path '{text}'"),
        ));
    }
    if !text.is_empty() {
        parts.push(part);
    }
    if parts.iter().any(String::is_empty) {
        return Err(CommandError::new(
            Kind::Usage,
            format!("empty attribute name in selection path '{text}'"),
        ));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_paths() {
        let table: [(&str, Option<&[&str]>); 5] = [
            ("", Some(&[])),
            ("a", Some(&["a"])),
            (r#"a."b.c".d"#, Some(&["a", "b.c", "d"])),
            (r#"a."b"#, None),
            ("a..b", None),
        ];
        for (text, expected) in table {
            let got = split_attribute_path(text).ok();
            assert_eq!(
                got,
                expected.map(|parts| parts.iter().map(|part| (*part).to_owned()).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn search_paths() {
        assert_eq!(split_search_path("a=/b:/c::x=https://e.org/y"), ["a=/b", "/c", "x=https://e.org/y"]);
    }
}
