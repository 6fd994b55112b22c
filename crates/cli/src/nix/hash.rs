//! The command lines of `nix hash` and of `nix-hash` (C++ Nix, `src/nix/hash.cc`).

use nival_formats::HashAlgo;
use nival_formats::hash::HashFormat;

use super::flags::{CommandLine, Flags, misuse, unrecognised};
use super::groups;
use crate::command::hash::{Contents, Conversion, Hashing, parse_algo, parse_format};
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::output::Output;

/// What `nix-hash --help` prints.
const HELP: &str = include_str!("hash_help.txt");

/// `nix hash`, while its arguments are read.
#[derive(Default)]
pub(super) struct Line {
    verb: Option<String>,
    algo: Option<String>,
    format: Option<HashFormat>,
    from: Option<HashFormat>,
    to: Option<HashFormat>,
    mode: Option<String>,
    words: Vec<String>,
}

impl Line {
    pub(super) fn take_word(&mut self, word: String) -> Result {
        if self.verb.is_some() {
            self.words.push(word);
        } else {
            self.verb = Some(groups::member("hash", &word)?);
        }
        Ok(())
    }

    pub(super) fn take_flag(&mut self, flag: &str, line: &mut CommandLine, output: Output) -> Result<bool> {
        let one = |line: &mut CommandLine| line.values(flag).map(|[value]| value);
        match (self.verb.as_deref().unwrap_or_default(), flag) {
            ("file" | "path", "--sri") => self.format = Some(HashFormat::Sri),
            ("file" | "path", "--base64") => self.format = Some(HashFormat::Base64),
            ("file" | "path", "--base32") => self.format = Some(HashFormat::Nix32),
            ("file" | "path", "--base16") => self.format = Some(HashFormat::Base16),
            ("path", "--format") => self.format = Some(named_format(&one(line)?, output)?),
            ("path", "--mode") => self.mode = Some(mode(one(line)?)?),
            ("convert", "--from") => self.from = Some(named_format(&one(line)?, output)?),
            ("convert", "--to") => self.to = Some(named_format(&one(line)?, output)?),
            ("path", "--algo")
            | ("convert", "--hash-algo")
            | ("file" | "path" | "to-base16" | "to-base32" | "to-base64" | "to-sri", "--type") => {
                let name = one(line)?;
                name.parse::<HashAlgo>().map_err(misuse)?;
                self.algo = Some(name);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn run(&self, context: &Context, output: Output, flags: &Flags) -> Result {
        let verb = self.verb.as_deref().ok_or_else(|| groups::no_member(context, "hash"))?;
        let algo = self.algo.as_deref().map(|name| parse_algo(name, &flags.settings)).transpose()?;
        let conversion = |to| Conversion { algo, from: self.from, to };
        let conversion = match verb {
            "convert" => conversion(self.to.unwrap_or(HashFormat::Sri)),
            "file" | "path" => {
                let contents = match self.mode.as_deref() {
                    Some("git") => {
                        flags.settings.require(&["git-hashing"].into())?;
                        return Err(CommandError::failure("hashes of Git trees are not there yet"));
                    }
                    Some("flat") => Contents::Flat,
                    Some(_) => Contents::Nar,
                    None if verb == "file" => Contents::Flat,
                    None => Contents::Nar,
                };
                let format = self.format.unwrap_or(HashFormat::Sri);
                let algo = algo.unwrap_or(HashAlgo::Sha256);
                let hashing = Hashing { contents, algo, format, truncates: false };
                return self.words.iter().try_for_each(|path| hashing.run(context, output, path));
            }
            former => {
                output.warn(
                    "warning: The old format conversion subcommands of `nix hash` were deprecated in favor of `nix hash \
                     convert`.",
                );
                conversion(parse_format(former.trim_start_matches("to-"))?)
            }
        };
        self.words.iter().try_for_each(|text| conversion.run(output, text))
    }
}

fn named_format(name: &str, output: Output) -> Result<HashFormat> {
    let format = parse_format(name)?;
    if name == "base32" {
        output.warn("warning: \"base32\" is a deprecated alias for hash format \"nix32\".");
    }
    Ok(format)
}

fn mode(name: String) -> Result<String> {
    match name.as_str() {
        "flat" | "nar" | "git" => Ok(name),
        _ => Err(misuse(format!("Unknown file ingestion method '{name}', expect `flat`, `nar`, or `git`"))),
    }
}

/// `nix-hash`
pub(super) fn run_legacy(context: &Context, output: Output) -> Result {
    let mut flags = Flags::new(context, output)?;
    let mut line = CommandLine::new(context);
    let mut hashing = Hashing {
        contents: Contents::Nar,
        algo: HashAlgo::Md5,
        format: HashFormat::Base16,
        truncates: false,
    };
    let (mut algo, mut to, mut words) = (None, None, Vec::new());
    while let Some(argument) = line.next_argument() {
        match argument.as_str() {
            "--help" => {
                output.data(HELP);
                return Ok(());
            }
            "--version" => {
                output.line(super::version("nix-hash"));
                return Ok(());
            }
            "--flat" => hashing.contents = Contents::Flat,
            "--truncate" => hashing.truncates = true,
            "--base16" | "--base32" | "--base64" | "--sri" => {
                hashing.format = parse_format(argument.trim_start_matches('-'))?;
            }
            "--to-base16" | "--to-base32" | "--to-base64" | "--to-sri" => {
                to = Some(parse_format(argument.trim_start_matches("--to-"))?);
            }
            "--type" => algo = Some(parse_algo(&line.value(&argument)?, &flags.settings)?),
            flag if flag.starts_with('-') => {
                if line.takes_words_only() || !flags.take(flag, &mut line, context, output)? {
                    return Err(unrecognised(flag));
                }
            }
            _ => words.push(argument),
        }
    }
    flags.finish(output)?;
    hashing.algo = algo.unwrap_or(hashing.algo);
    match to {
        Some(to) => words.iter().try_for_each(|text| Conversion { algo, from: None, to }.run(output, text)),
        None => words.iter().try_for_each(|path| hashing.run(context, output, path)),
    }
}
