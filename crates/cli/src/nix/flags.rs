//! The flags that the older programs of C++ Nix have in common (its manual, "Common Options").

use std::collections::{BTreeSet, VecDeque};

use nival_eval::Verbosity;
use nival_store::Existing;

use crate::context::Context;
use crate::error::{CommandError, Kind, Result};
use crate::evaluation::{Argument, Arguments, argument_file, read_stdin};
use crate::features;
use crate::output::{Loudness, Output};
use crate::settings::{Loaded, Settings, flag_takes_value};
use crate::store_place::StorePlace;

/// How C++ Nix can be asked to tell of builds.
const LOG_FORMATS: [&str; 5] = ["raw", "raw-with-logs", "internal-json", "bar", "bar-with-logs"];

/// What is left of a command line.
pub(super) struct CommandLine {
    rest: VecDeque<String>,
    /// After `--` nothing is a flag.
    only_words: bool,
}

/// A part of a command line.
pub(super) enum Word {
    /// It starts with a dash.
    Flag(String),
    /// Anything else.
    Plain(String),
}

impl CommandLine {
    pub(super) fn new(context: &Context) -> Self {
        Self { rest: context.arguments.iter().skip(1).cloned().collect(), only_words: false }
    }

    /// The next part, as the newer programs read it: `-` is a flag, after `--` there are none.
    pub(super) fn next_word(&mut self) -> Option<Word> {
        if self.only_words {
            return self.rest.pop_front().map(Word::Plain);
        }
        let argument = self.next()?;
        if argument == "--" {
            self.only_words = true;
            return self.next_word();
        }
        Some(if argument.starts_with('-') { Word::Flag(argument) } else { Word::Plain(argument) })
    }

    /// Whether `--` has been met.
    pub(super) fn takes_words_only(&self) -> bool {
        self.only_words
    }

    /// The next argument, as the older programs read it: they know their own flags after `--`, too.
    pub(super) fn next_argument(&mut self) -> Option<String> {
        if self.only_words {
            return self.rest.pop_front();
        }
        let argument = self.next()?;
        if argument == "--" {
            self.only_words = true;
            return self.next_argument();
        }
        Some(argument)
    }

    /// The next argument; `-ab` is taken apart to `-a -b`, `-j3` to `-j 3`.
    pub(super) fn next(&mut self) -> Option<String> {
        let argument = self.rest.pop_front()?;
        let letters = argument.strip_prefix('-').filter(|rest| rest.len() > 1);
        let Some(letters) =
            letters.filter(|rest| rest.starts_with(|first: char| first.is_ascii_alphabetic()))
        else {
            return Some(argument);
        };
        let flags = letters.chars().take_while(char::is_ascii_alphabetic).count();
        if flags < letters.len() {
            self.rest.push_front(letters[flags..].to_owned());
        }
        for letter in letters[..flags].chars().rev() {
            self.rest.push_front(format!("-{letter}"));
        }
        self.rest.pop_front()
    }

    /// The value of a flag of this program.
    pub(super) fn value(&mut self, flag: &str) -> Result<String> {
        let next = if self.only_words { None } else { self.rest.pop_front() };
        next.ok_or_else(|| misuse(format!("'{flag}' requires an argument")))
    }

    pub(super) fn values<const COUNT: usize>(&mut self, flag: &str) -> Result<[String; COUNT]> {
        let given = self.rest.len();
        if given < COUNT {
            let message = format!("flag '{flag}' requires {COUNT} argument(s), but only {given} were given");
            return Err(misuse(message));
        }
        Ok(std::array::from_fn(|_| self.rest.pop_front().unwrap_or_default()))
    }
}

/// The error for a command line that cannot be understood.
pub(super) fn misuse(message: impl std::fmt::Display) -> CommandError {
    CommandError::new(Kind::Usage, message)
}

/// The error for a flag that nothing takes.
pub(super) fn unrecognised(flag: &str) -> CommandError {
    misuse(format!("unrecognised flag '{flag}'"))
}

/// What the common flags say.
pub(super) struct Flags {
    pub(super) settings: Settings,
    pub(super) store: Option<String>,
    pub(super) eval_store: Option<String>,
    pub(super) include: Vec<String>,
    pub(super) arguments: Arguments,
    /// How much is said: 3 is usual, 0 is errors only.
    pub(super) verbosity: u8,
    /// What becomes of valid paths that evaluation adds again.
    pub(super) existing: Existing,
    /// Whether what was evaluated and fetched before counts as out of date.
    pub(super) refresh: bool,
    /// The experimental features that flags need.
    pub(super) features: BTreeSet<&'static str>,
    /// Settings that need one of them.
    gated: Vec<(String, String)>,
    /// Settings that there are none of.
    unknown: BTreeSet<String>,
}

impl Flags {
    /// The same without a word of warning.
    pub(super) fn silent(context: &Context) -> Result<Self> {
        Ok(Self::over(Settings::load(context)?.settings))
    }

    fn over(settings: Settings) -> Self {
        let arguments = Arguments::new();
        Self {
            settings,
            store: None,
            eval_store: None,
            include: Vec::new(),
            arguments,
            verbosity: 3,
            existing: Existing::Keep,
            refresh: false,
            features: BTreeSet::new(),
            gated: Vec::new(),
            unknown: BTreeSet::new(),
        }
    }

    /// The settings from files and environment, before any flag.
    pub(super) fn new(context: &Context, output: Output) -> Result<Self> {
        let Loaded { mut settings, warnings, unknown } = Settings::load(context)?;
        for warning in warnings {
            output.warn(format!("warning: {warning}"));
        }
        if matches!(context.variable("NIX_ABORT_ON_WARN"), Some("1" | "yes" | "true")) {
            settings.abort_on_warn = true;
        }
        Ok(Self { unknown, ..Self::over(settings) })
    }

    /// How much evaluation says of what it does.
    pub(super) fn verbosity(&self) -> Verbosity {
        match self.verbosity {
            0..=2 => Verbosity::Quiet,
            3 => Verbosity::Usual,
            4 => Verbosity::Talkative,
            5 => Verbosity::Chatty,
            6 => Verbosity::Debug,
            _ => Verbosity::Everything,
        }
    }

    /// The output with as much talk as was asked for so far.
    pub(super) fn output(&self, output: Output) -> Output {
        let loudness = match self.verbosity {
            0 => Loudness::Errors,
            1 => Loudness::Warnings,
            _ => Loudness::Usual,
        };
        Output { loudness, ..output }
    }

    /// Takes a flag and its values, if it is one of the common ones.
    pub(super) fn take(
        &mut self,
        flag: &str,
        line: &mut CommandLine,
        context: &Context,
        output: Output,
    ) -> Result<bool> {
        let output = self.output(output);
        match flag {
            "--arg" => {
                let [name, text] = line.values(flag)?;
                self.arguments.insert(name, Argument::Expression(text));
            }
            "--argstr" => {
                let [name, text] = line.values(flag)?;
                self.arguments.insert(name, Argument::Text(text.into_bytes()));
            }
            "--arg-from-file" => {
                let [name, file] = line.values(flag)?;
                self.arguments.insert(name, argument_file(context, &file)?);
            }
            "--arg-from-stdin" => {
                let [name] = line.values(flag)?;
                self.arguments.insert(name, Argument::Text(read_stdin()?));
            }
            "-I" | "--include" => {
                let [entry] = line.values(flag)?;
                self.include.push(entry);
            }
            "--store" => {
                let [store] = line.values(flag)?;
                self.store = Some(StorePlace::checked(store)?);
            }
            "--eval-store" => {
                let [store] = line.values(flag)?;
                self.eval_store = Some(StorePlace::checked(store)?);
            }
            "--option" => {
                let [name, value] = line.values(flag)?;
                if !Settings::knows(&name) {
                    self.unknown.insert(name);
                } else if let Err(error) = self.apply(&name, &value, output) {
                    output.warn(format!("warning: {}", error.message));
                }
            }
            "--repair" => self.existing = Existing::Replace,
            "--impure" => self.settings.pure_eval = false,
            "-j" => {
                let [value] = line.values(flag)?;
                self.apply("max-jobs", &value, output)?;
            }
            "-v" | "--verbose" => self.verbosity = (self.verbosity + 1).min(7),
            "--quiet" => self.verbosity = self.verbosity.saturating_sub(1),
            "--debug" => self.verbosity = 6,
            "--log-format" => {
                let [format] = line.values(flag)?;
                if !LOG_FORMATS.contains(&format.as_str()) {
                    let message = format!("option 'log-format' has an invalid value '{format}'");
                    return Err(CommandError::failure(message));
                }
            }
            _ => return self.take_setting(flag, line, output),
        }
        Ok(true)
    }

    /// `--NAME VALUE`, `--NAME` and `--no-NAME`.
    fn take_setting(&mut self, flag: &str, line: &mut CommandLine, output: Output) -> Result<bool> {
        let Some(name) = flag.strip_prefix("--") else { return Ok(false) };
        let (name, value) = match name.strip_prefix("no-") {
            Some(name) if flag_takes_value(name) == Some(false) => (name, "false".to_owned()),
            _ => match flag_takes_value(name) {
                None => return Ok(false),
                Some(false) => (name, "true".to_owned()),
                Some(true) => {
                    let [value] = line.values(flag)?;
                    (name, value)
                }
            },
        };
        match features::of_setting(name) {
            // Whether that is on is known when all flags are.
            Some(feature) => {
                self.gated.push((name.to_owned(), value));
                self.features.insert(feature);
            }
            None => self.apply(name, &value, output)?,
        }
        Ok(true)
    }

    fn apply(&mut self, name: &str, value: &str, output: Output) -> Result {
        let warnings =
            self.settings.apply(name, value).map_err(|problem| CommandError::new(Kind::Usage, problem))?;
        for warning in warnings {
            output.warn(format!("warning: {warning}"));
        }
        Ok(())
    }

    /// Ends the reading of the command line: what its flags need must be on now.
    pub(super) fn finish(&mut self, output: Output) -> Result {
        let output = self.output(output);
        for name in std::mem::take(&mut self.unknown) {
            output.warn(format!("warning: unknown setting '{name}'"));
        }
        self.settings.require(&self.features)?;
        for (name, value) in std::mem::take(&mut self.gated) {
            self.apply(&name, &value, output)?;
        }
        Ok(())
    }
}
