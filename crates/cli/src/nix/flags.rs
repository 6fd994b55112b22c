//! The flags that the older programs of C++ Nix have in common (its manual, "Common Options").

use std::collections::{BTreeMap, VecDeque};

use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::output::Output;
use crate::settings::{Settings, flag_takes_value};

/// What is left of a command line.
pub(super) struct CommandLine {
    program: &'static str,
    rest: VecDeque<String>,
}

impl CommandLine {
    pub(super) fn new(program: &'static str, context: &Context) -> Self {
        Self { program, rest: context.arguments.iter().skip(1).cloned().collect() }
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
        self.rest.pop_front().ok_or_else(|| self.misuse(format!("'{flag}' requires an argument")))
    }

    fn values<const COUNT: usize>(&mut self, flag: &str) -> Result<[String; COUNT]> {
        let given = self.rest.len();
        if given < COUNT {
            let message = format!("flag '{flag}' requires {COUNT} argument(s), but only {given} were given");
            return Err(self.misuse(message));
        }
        Ok(std::array::from_fn(|_| self.rest.pop_front().unwrap_or_default()))
    }

    /// The error for a command line that cannot be understood.
    pub(super) fn misuse(&self, message: impl std::fmt::Display) -> CommandError {
        CommandError::failure(format!(
            "error: {message}\nTry '{} --help' for more information.",
            self.program
        ))
    }

    pub(super) fn unrecognised(&self, flag: &str) -> CommandError {
        self.misuse(format!("unrecognised flag '{flag}'"))
    }
}

/// An argument for the functions that files evaluate to.
#[derive(Debug)]
pub(super) enum Argument {
    Expression(String),
    Text(Vec<u8>),
}

/// What the common flags say.
pub(super) struct Flags {
    pub(super) settings: Settings,
    pub(super) store: Option<String>,
    pub(super) include: Vec<String>,
    pub(super) arguments: BTreeMap<String, Argument>,
}

impl Flags {
    /// The settings from files and environment, before any flag.
    pub(super) fn new(context: &Context, output: Output) -> Result<Self> {
        let (mut settings, warnings) = Settings::load(context)?;
        for warning in warnings {
            output.warn(warning);
        }
        if matches!(context.variable("NIX_ABORT_ON_WARN"), Some("1" | "yes" | "true")) {
            settings.abort_on_warn = true;
        }
        Ok(Self { settings, store: None, include: Vec::new(), arguments: BTreeMap::new() })
    }

    /// Takes a flag and its values, if it is one of the common ones.
    pub(super) fn take(&mut self, flag: &str, line: &mut CommandLine, output: Output) -> Result<bool> {
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
                let text = std::fs::read(&file)
                    .map_err(|error| CommandError::failure(format!("opening file '{file}': {error}")))?;
                self.arguments.insert(name, Argument::Text(text));
            }
            "-I" | "--include" => {
                let [entry] = line.values(flag)?;
                self.include.push(entry);
            }
            "--store" => {
                let [store] = line.values(flag)?;
                self.store = Some(store);
            }
            "--option" => {
                let [name, value] = line.values(flag)?;
                match self.settings.apply(&name, &value) {
                    Ok(None) => {}
                    Ok(Some(warning)) => output.warn(format!("warning: {warning}")),
                    Err(_) => output.warn(format!("warning: setting '{name}' has invalid value '{value}'")),
                }
            }
            "--impure" => self.set("pure-eval", "false", line)?,
            "-j" => {
                let [value] = line.values(flag)?;
                self.set("max-jobs", &value, line)?;
            }
            "-k" => self.set("keep-going", "true", line)?,
            "-K" => self.set("keep-failed", "true", line)?,
            "-v" | "--verbose" | "--quiet" | "--debug" | "-Q" | "--no-build-output" => {}
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
            self.set(name, "false", line)?;
            return Ok(true);
        }
        match flag_takes_value(name) {
            None => return Ok(false),
            Some(false) => self.set(name, "true", line)?,
            Some(true) => {
                let [value] = line.values(flag)?;
                self.set(name, &value, line)?;
            }
        }
        Ok(true)
    }

    fn set(&mut self, name: &str, value: &str, line: &CommandLine) -> Result {
        match self.settings.apply(name, value) {
            Ok(_) => Ok(()),
            Err(_) => Err(line.misuse(format!("setting '{name}' has invalid value '{value}'"))),
        }
    }
}
