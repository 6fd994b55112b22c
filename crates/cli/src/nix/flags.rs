//! The flags that the older programs of C++ Nix have in common (its manual, "Common Options").

use std::collections::VecDeque;

use crate::context::Context;
use crate::error::{CommandError, Kind, Result};
use crate::evaluation::{Argument, Arguments, argument_file, read_stdin};
use crate::output::Output;
use crate::settings::{Settings, flag_takes_value};

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
        self.rest.pop_front().ok_or_else(|| misuse(format!("'{flag}' requires an argument")))
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
    /// Whether what was evaluated and fetched before counts as out of date.
    pub(super) refresh: bool,
}

impl Flags {
    /// The same without a word of warning.
    pub(super) fn silent(context: &Context) -> Result<Self> {
        let (settings, _) = Settings::load(context)?;
        Ok(Self::over(settings))
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
            refresh: false,
        }
    }

    /// The settings from files and environment, before any flag.
    pub(super) fn new(context: &Context, output: Output) -> Result<Self> {
        let (mut settings, warnings) = Settings::load(context)?;
        for warning in warnings {
            output.warn(warning);
        }
        if matches!(context.variable("NIX_ABORT_ON_WARN"), Some("1" | "yes" | "true")) {
            settings.abort_on_warn = true;
        }
        Ok(Self::over(settings))
    }

    /// Takes a flag and its values, if it is one of the common ones.
    pub(super) fn take(
        &mut self,
        flag: &str,
        line: &mut CommandLine,
        context: &Context,
        output: Output,
    ) -> Result<bool> {
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
                self.store = Some(store);
            }
            "--eval-store" => {
                let [store] = line.values(flag)?;
                self.eval_store = Some(store);
            }
            "--option" => {
                let [name, value] = line.values(flag)?;
                match self.settings.apply(&name, &value) {
                    Ok(None) => {}
                    Ok(Some(warning)) => output.warn(format!("warning: {warning}")),
                    Err(_) => output.warn(format!("warning: setting '{name}' has invalid value '{value}'")),
                }
            }
            "--impure" => self.settings.pure_eval = false,
            "-j" => {
                let [value] = line.values(flag)?;
                self.set("max-jobs", &value)?;
            }
            "-k" => self.set("keep-going", "true")?,
            "-K" => self.set("keep-failed", "true")?,
            "-v" | "--verbose" => self.verbosity = (self.verbosity + 1).min(7),
            "--quiet" => self.verbosity = self.verbosity.saturating_sub(1),
            "--debug" => self.verbosity = 6,
            "-Q" | "--no-build-output" => {}
            "--log-format" => {
                let [_] = line.values(flag)?;
            }
            _ => return self.take_setting(flag, line),
        }
        Ok(true)
    }

    /// `--NAME VALUE`, `--NAME` and `--no-NAME`.
    fn take_setting(&mut self, flag: &str, line: &mut CommandLine) -> Result<bool> {
        let Some(name) = flag.strip_prefix("--") else { return Ok(false) };
        if let Some(name) = name.strip_prefix("no-").filter(|name| flag_takes_value(name) == Some(false)) {
            self.set(name, "false")?;
            return Ok(true);
        }
        match flag_takes_value(name) {
            None => return Ok(false),
            Some(false) => self.set(name, "true")?,
            Some(true) => {
                let [value] = line.values(flag)?;
                self.set(name, &value)?;
            }
        }
        Ok(true)
    }

    fn set(&mut self, name: &str, value: &str) -> Result {
        match self.settings.apply(name, value) {
            Ok(_) => Ok(()),
            Err(_) => Err(misuse(format!("setting '{name}' has invalid value '{value}'"))),
        }
    }
}
