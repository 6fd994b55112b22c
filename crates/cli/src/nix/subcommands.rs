//! `nix`: the program with sub-commands (C++ Nix manual, "Experimental Commands").

use std::collections::BTreeSet;
use std::sync::Arc;

use nival_syntax::suggestions;

use super::flags::{CommandLine, Flags, Word, misuse, unrecognised};
use super::{config, groups, hash, version};
use crate::arguments::{EvalArguments, ReplArguments, SourceArguments};
use crate::command::{self, eval, repl};
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::output::{Loudness, Output};
use crate::repl::debugger;
use crate::settings::flag_takes_value;
use crate::store_place::StorePlace;
use crate::world::World;

/// Whether the command line is one for this module. Other sub-commands are read as those of `nival`, if what C++ Nix asks for
/// its own is on.
pub(super) fn takes(context: &Context) -> bool {
    let quiet = Output { loudness: Loudness::Errors, colour: false };
    let (Ok(mut flags), mut line) = (Flags::silent(context), CommandLine::new(context)) else { return true };
    let mut subcommand = None;
    while let Some(word) = line.next_word() {
        match word {
            Word::Plain(name) if subcommand.is_none() => {
                if command::subcommand(&name).is_none()
                    || groups::alias(&name).is_some()
                    || matches!(name.as_str(), "eval" | "repl" | "config" | "hash" | "help")
                {
                    return true;
                }
                subcommand = Some(name);
            }
            Word::Flag(flag) if flag == "--version" => return true,
            Word::Flag(flag) if flag == "--help" => return subcommand.is_none(),
            Word::Flag(flag) => {
                let _ = flags.take(&flag, &mut line, context, quiet);
            }
            Word::Plain(_) => {}
        }
    }
    subcommand
        .is_none_or(|name| COMMANDS.contains(&name.as_str()) && !flags.settings.has_feature("nix-command"))
}

/// The sub-commands of C++ Nix 2.34, which may have been meant.
const COMMANDS: &[&str] = &[
    "build",
    "bundle",
    "config",
    "copy",
    "daemon",
    "derivation",
    "develop",
    "edit",
    "env",
    "eval",
    "flake",
    "fmt",
    "formatter",
    "hash",
    "help",
    "help-stores",
    "key",
    "log",
    "nar",
    "path-info",
    "print-dev-env",
    "profile",
    "realisation",
    "registry",
    "repl",
    "run",
    "search",
    "store",
    "upgrade-nix",
    "why-depends",
];

/// The command line as `nival` reads it, for sub-commands that are read so: settings are given by `--option`, and flags that
/// change nothing are left out.
pub(crate) fn translated(context: &Context) -> Vec<String> {
    let mut words: Vec<String> = context.arguments.first().cloned().into_iter().collect();
    let mut rest = context.arguments.iter().skip(1).cloned();
    while let Some(word) = rest.next() {
        if word == "--" {
            words.push(word);
            words.extend(rest);
            return words;
        }
        let name = word.strip_prefix("--").unwrap_or_default();
        let (name, is_off) = match name.strip_prefix("no-") {
            Some(name) if flag_takes_value(name) == Some(false) => (name, true),
            _ => (name, false),
        };
        match flag_takes_value(name) {
            Some(true) => match rest.next() {
                Some(value) => words.extend(["--option".to_owned(), name.to_owned(), value]),
                None => words.push(word),
            },
            Some(false) => {
                words.extend(["--option".to_owned(), name.to_owned(), (!is_off).to_string()]);
            }
            None if CHANGE_NOTHING.contains(&word.as_str()) || is_verbose(&word) => {}
            None => words.push(word),
        }
    }
    words
}

/// `--verbose`, `-v`, `-vv` …
fn is_verbose(word: &str) -> bool {
    let letters = word.strip_prefix('-').unwrap_or_default();
    word == "--verbose" || !letters.is_empty() && letters.bytes().all(|letter| letter == b'v')
}

/// Flags of every sub-command that have no value and change nothing here.
const CHANGE_NOTHING: [&str; 8] = [
    "--offline",
    "--no-net",
    "--no-update-lock-file",
    "--no-write-lock-file",
    "--commit-lock-file",
    "--recreate-lock-file",
    "--no-registries",
    "--debug",
];

/// Flags that only sub-commands which evaluate have.
const OF_EVALUATION: &[&str] = &[
    "--arg",
    "--argstr",
    "--arg-from-file",
    "--arg-from-stdin",
    "-I",
    "--include",
    "--impure",
    "--eval-store",
    "--repair",
];

/// A sub-command while its arguments are read.
enum Subcommand {
    Eval(Box<EvalArguments>),
    Repl(Box<ReplArguments>),
    Config {
        words: Vec<String>,
        json: bool,
    },
    Hash(Box<hash::Line>),
    Help {
        words: Vec<String>,
    },
    /// One that is not there under the name of this program, or that needs what is off.
    Other {
        name: String,
        /// The one of a group.
        member: Option<String>,
    },
}

pub(super) fn run(context: &Context, output: Output) -> Result {
    let mut flags = Flags::new(context, output)?;
    if !flags.settings.given.contains("pure-eval") {
        flags.settings.pure_eval = true;
    }
    let mut line = CommandLine::new(context);
    let mut subcommand: Option<Subcommand> = None;
    let (mut shows_version, mut shows_help) = (false, false);
    while let Some(word) = line.next_word() {
        match (word, &mut subcommand) {
            (Word::Flag(flag), _) if flag == "--version" => shows_version = true,
            (Word::Flag(flag), _) if flag == "--help" => shows_help = true,
            (Word::Flag(flag), _) if flag == "--refresh" => {
                flags.features.insert("nix-command");
                flags.refresh = true;
            }
            (Word::Flag(flag), subcommand) => {
                let is_taken = match subcommand {
                    Some(subcommand) => subcommand.take_flag(&flag, &mut line, output)?,
                    None => false,
                };
                if OF_EVALUATION.contains(&flag.as_str())
                    && !subcommand.as_ref().is_some_and(Subcommand::evaluates)
                {
                    return Err(unrecognised(&flag));
                }
                if !is_taken
                    && !take_global_flag(&flag, &mut line, &mut flags, output)?
                    && !flags.take(&flag, &mut line, context, output)?
                    && !matches!(subcommand, Some(Subcommand::Other { .. }))
                {
                    return Err(unrecognised(&flag));
                }
            }
            (Word::Plain(name), None) => match groups::alias(&name) {
                None => subcommand = Some(Subcommand::named(&name)?),
                Some((path, warning)) => {
                    if let Some(warning) = warning {
                        flags.output(output).warn(warning);
                    }
                    let mut found = Subcommand::named(path[0])?;
                    path[1..].iter().try_for_each(|word| found.take_word((*word).to_owned()))?;
                    subcommand = Some(found);
                }
            },
            (Word::Plain(word), Some(subcommand)) => subcommand.take_word(word)?,
        }
    }
    flags.finish(output)?;
    if shows_help {
        return help(output, subcommand.as_ref().map(Subcommand::name).as_slice());
    }
    if shows_version {
        output.line(version("nix"));
        return Ok(());
    }
    match &subcommand {
        None | Some(Subcommand::Repl(_)) => {}
        Some(Subcommand::Other { name, .. }) if name == "flake" => {
            // A word of its own for the feature of these, as long as the other one is on.
            flags.settings.require(&BTreeSet::from(["nix-command"]))?;
            flags.settings.require(&BTreeSet::from(["flakes"]))?;
        }
        Some(_) => flags.settings.require(&BTreeSet::from(["nix-command"]))?,
    }
    match subcommand {
        None => Err(misuse("no subcommand specified")),
        Some(Subcommand::Help { words }) => {
            help(output, &words.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Some(Subcommand::Other { name, member: None }) if groups::is_group(&name) => {
            Err(groups::no_member(context, &name))
        }
        Some(Subcommand::Hash(line)) => line.run(context, flags.output(output), &flags),
        Some(Subcommand::Other { name, .. }) => {
            Err(CommandError::failure(format!("'nix {name}' is not there yet")))
        }
        Some(Subcommand::Config { words, .. }) if words.is_empty() => {
            Err(groups::no_member(context, "config"))
        }
        Some(Subcommand::Config { words, json }) => config::run(output, &flags.settings, &words, json),
        Some(Subcommand::Eval(arguments)) => evaluate(context, output, flags, *arguments),
        Some(Subcommand::Repl(arguments)) => start_repl(context, output, flags, *arguments),
    }
}

impl Subcommand {
    fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "eval" => Self::Eval(Box::default()),
            "repl" => Self::Repl(Box::default()),
            "config" => Self::Config { words: Vec::new(), json: false },
            "hash" => Self::Hash(Box::default()),
            "help" => Self::Help { words: Vec::new() },
            _ if COMMANDS.contains(&name) => Self::Other { name: name.to_owned(), member: None },
            _ => {
                let similar = suggestions(name, COMMANDS.iter().map(|command| command.as_bytes()));
                return Err(misuse(format!(
                    "'{name}' is not a recognised command{}",
                    groups::did_you_mean(&similar)
                )));
            }
        })
    }

    fn name(&self) -> &str {
        match self {
            Self::Eval(_) => "eval",
            Self::Repl(_) => "repl",
            Self::Config { .. } => "config",
            Self::Hash(_) => "hash",
            Self::Help { .. } => "help",
            Self::Other { name, .. } => name,
        }
    }

    /// Whether it takes flags that are for evaluation.
    fn evaluates(&self) -> bool {
        matches!(self, Self::Eval(_) | Self::Repl(_) | Self::Other { .. })
    }

    fn take_flag(&mut self, flag: &str, line: &mut CommandLine, output: Output) -> Result<bool> {
        match self {
            Self::Eval(arguments) => take_eval_flag(arguments, flag, line),
            Self::Repl(arguments) => take_source_flag(&mut arguments.source, flag, line),
            Self::Hash(hash) => hash.take_flag(flag, line, output),
            Self::Config { json, .. } if flag == "--json" => {
                *json = true;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn take_word(&mut self, word: String) -> Result {
        match self {
            Self::Eval(arguments) if arguments.installable.is_none() => arguments.installable = Some(word),
            Self::Eval(_) => return Err(misuse(format!("unexpected argument '{word}'"))),
            Self::Repl(arguments) => arguments.installables.push(word),
            Self::Config { words, .. } if words.is_empty() => words.push(groups::member("config", &word)?),
            Self::Config { words, .. } | Self::Help { words } => words.push(word),
            Self::Hash(hash) => hash.take_word(word)?,
            Self::Other { name, member: member @ None } if groups::is_group(name) => {
                *member = Some(groups::member(name, &word)?);
            }
            Self::Other { .. } => {}
        }
        Ok(())
    }
}

/// Flags that every sub-command has, and that change nothing here.
fn take_global_flag(flag: &str, line: &mut CommandLine, flags: &mut Flags, output: Output) -> Result<bool> {
    match flag {
        "-L" | "--print-build-logs" | "--offline" | "--no-net" => {
            flags.features.insert("nix-command");
        }
        "--no-update-lock-file" | "--no-write-lock-file" | "--commit-lock-file" => {}
        "--recreate-lock-file" => output.warn(
            "warning: '--recreate-lock-file' is deprecated and will be removed in a future version; use 'nix flake \
             update' instead.",
        ),
        "--no-registries" => {
            output.warn("warning: '--no-registries' is deprecated; use '--no-use-registries'");
        }
        "--update-input" => {
            let [_] = line.values(flag)?;
            output.warn(
                "warning: '--update-input' is a deprecated alias for 'flake update' and will be removed in a future \
                 version.",
            );
        }
        "--reference-lock-file" | "--output-lock-file" => {
            let [_] = line.values(flag)?;
        }
        "--inputs-from" => {
            let [_] = line.values(flag)?;
            flags.features.insert("flakes");
        }
        "--override-input" | "--override-flake" => {
            let [_, _] = line.values(flag)?;
            flags.features.insert("flakes");
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn take_eval_flag(arguments: &mut EvalArguments, flag: &str, line: &mut CommandLine) -> Result<bool> {
    let value = |line: &mut CommandLine| line.values(flag).map(|[value]| value);
    match flag {
        "--raw" => arguments.raw = true,
        "--json" => arguments.json = true,
        "--pretty" => (arguments.pretty, arguments.no_pretty) = (true, false),
        "--no-pretty" => (arguments.pretty, arguments.no_pretty) = (false, true),
        "--read-only" => arguments.read_only = true,
        "--apply" => arguments.apply = Some(value(line)?),
        "--write-to" => arguments.write_to = Some(value(line)?.into()),
        _ => return take_source_flag(&mut arguments.source, flag, line),
    }
    Ok(true)
}

fn take_source_flag(source: &mut SourceArguments, flag: &str, line: &mut CommandLine) -> Result<bool> {
    let place = match flag {
        "--debugger" => {
            source.debugger = true;
            return Ok(true);
        }
        "--expr" => &mut source.expr,
        "-f" | "--file" => &mut source.file,
        _ => return Ok(false),
    };
    let [value] = line.values(flag)?;
    *place = Some(value);
    Ok(true)
}

fn evaluate(context: &Context, output: Output, mut flags: Flags, mut arguments: EvalArguments) -> Result {
    if arguments.source.file.is_some() && arguments.source.expr.is_none() {
        if flags.settings.pure_eval && flags.settings.given.contains("pure-eval") {
            return Err(misuse("'--file' is not compatible with '--pure-eval'"));
        }
        flags.settings.pure_eval = false;
    }
    arguments.source.include = std::mem::take(&mut flags.include);
    let given = std::mem::take(&mut flags.arguments);
    let mut world = world(context, output, flags)?;
    world.read_only = arguments.read_only;
    world.debugger = arguments.source.debugger.then_some(debugger);
    eval::run(&Arc::new(world), &arguments, given)
}

fn start_repl(context: &Context, output: Output, mut flags: Flags, mut arguments: ReplArguments) -> Result {
    if !flags.settings.given.contains("pure-eval") {
        flags.settings.pure_eval = false;
    }
    arguments.source.include = std::mem::take(&mut flags.include);
    let given = std::mem::take(&mut flags.arguments);
    let mut world = world(context, output, flags)?;
    world.debugger = arguments.source.debugger.then_some(debugger);
    repl::run(&Arc::new(world), arguments, given)
}

fn world(context: &Context, output: Output, flags: Flags) -> Result<World> {
    let place = StorePlace::decide(context, flags.eval_store.as_deref().or(flags.store.as_deref()))?;
    let output = flags.output(output);
    let verbosity = flags.verbosity();
    let mut world = World::new(context.clone(), flags.settings, output, place, false);
    world.as_reference = true;
    world.verbosity = verbosity;
    world.refresh = flags.refresh;
    world.existing = flags.existing;
    Ok(world)
}

/// The help of a sub-command: that of `nival`, which has the same options.
fn help(output: Output, path: &[&str]) -> Result {
    match (command::help("nix", path), path) {
        (Some(text), _) => output.data(text),
        (None, [name]) if COMMANDS.contains(name) => output.line(format!("'nix {name}' is not there yet")),
        (None, _) => return Err(misuse(format!("Nix has no subcommand '{}'", path.concat()))),
    }
    Ok(())
}
