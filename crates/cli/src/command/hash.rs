//! `nival hash`, `nix hash` and `nix-hash`: hashes of files, and other notations of hashes.

use std::fs::File;
use std::path::Path;

use nival_formats::hash::HashFormat;
use nival_formats::{Hash, HashAlgo, Hasher};
use nival_store::{StoreError, dump_path};

use crate::arguments::{HashCommand, HashStyle};
use crate::context::Context;
use crate::error::{CommandError, Kind, Result, reason};
use crate::output::Output;
use crate::settings::Settings;

/// What of a path is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// The contents of a file.
    Flat,
    /// A file or a folder as a NAR.
    Nar,
}

/// How hashes of paths are made and shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashing {
    pub(crate) contents: Contents,
    pub(crate) algo: HashAlgo,
    pub(crate) format: HashFormat,
    /// Whether more than 160 bits are folded to that many.
    pub(crate) truncates: bool,
}

/// How hashes are written anew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conversion {
    pub(crate) algo: Option<HashAlgo>,
    /// The only notation that is taken.
    pub(crate) from: Option<HashFormat>,
    pub(crate) to: HashFormat,
}

/// `nival hash`
pub(crate) fn run(context: &Context, output: Output, settings: &Settings, command: &HashCommand) -> Result {
    match command {
        HashCommand::File { style, paths } => style.print(context, output, settings, Contents::Flat, paths),
        HashCommand::Path { style, flat, paths } => {
            let contents = if *flat { Contents::Flat } else { Contents::Nar };
            style.print(context, output, settings, contents, paths)
        }
        HashCommand::Convert { algo, from, to, hashes } => {
            let conversion = Conversion {
                algo: algo.as_deref().map(|algo| parse_algo(algo, settings)).transpose()?,
                from: from.as_deref().map(parse_format).transpose()?,
                to: parse_format(to)?,
            };
            hashes.iter().try_for_each(|text| conversion.run(output, text))
        }
    }
}

impl HashStyle {
    fn print(
        &self,
        context: &Context,
        output: Output,
        settings: &Settings,
        contents: Contents,
        paths: &[String],
    ) -> Result {
        let algo = parse_algo(&self.algo, settings)?;
        let hashing = Hashing { contents, algo, format: parse_format(&self.format)?, truncates: false };
        paths.iter().try_for_each(|path| hashing.run(context, output, path))
    }
}

/// The algorithm of a name, if it may be used.
pub(crate) fn parse_algo(name: &str, settings: &Settings) -> Result<HashAlgo> {
    let algo = name.parse().map_err(|error| CommandError::new(Kind::Usage, error))?;
    if algo == HashAlgo::Blake3 {
        settings.require(&["blake3-hashes"].into())?;
    }
    Ok(algo)
}

/// The notation of a name.
pub(crate) fn parse_format(name: &str) -> Result<HashFormat> {
    name.parse().map_err(|error| CommandError::new(Kind::Usage, error))
}

impl Hashing {
    /// Prints the hash of what is at a path.
    pub(crate) fn run(self, context: &Context, output: Output, path: &str) -> Result {
        let place = context.absolute(path);
        let hash = match self.contents {
            Contents::Flat => self.of_file(path, &place)?,
            Contents::Nar => self.of_tree(context, &place)?,
        };
        output.line(self.show(&hash));
        Ok(())
    }

    /// Read as it comes: what a shell makes of `<(…)` has no size.
    fn of_file(self, shown: &str, place: &Path) -> Result<Hash> {
        let failed = |error| CommandError::failure(format!("opening file \"{shown}\": {}", reason(&error)));
        let mut file = File::open(place).map_err(failed)?;
        let mut hasher = Hasher::new(self.algo);
        std::io::copy(&mut file, &mut hasher)
            .map_err(|error| CommandError::failure(format!("read of 65536 bytes: {}", reason(&error))))?;
        Ok(hasher.finish())
    }

    fn of_tree(self, context: &Context, place: &Path) -> Result<Hash> {
        if place.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            // C++ Nix has the root of all paths in front.
            let root = if context.is_called_as_reference() { "/" } else { "" };
            let message = format!("path '{root}{}' does not exist", place.display());
            return Err(CommandError::failure(message));
        }
        let hasher: std::result::Result<Hasher, StoreError> = dump_path(place, None, Hasher::new(self.algo));
        Ok(hasher?.finish())
    }

    fn show(self, hash: &Hash) -> String {
        if !self.truncates || hash.as_bytes().len() <= 20 {
            return hash.to_format(self.format);
        }
        let short = Hash::from_bytes(HashAlgo::Sha1, &hash.compress::<20>()).expect("SHA-1 has 20 bytes");
        match self.format {
            HashFormat::Sri => format!("{}-{}", hash.algo(), short.to_base64()),
            format => short.to_format(format),
        }
    }
}

impl Conversion {
    /// Prints a hash in another notation.
    pub(crate) fn run(self, output: Output, text: &str) -> Result {
        let (hash, found) = Hash::parse_any_with_format(text, self.algo).map_err(CommandError::failure)?;
        if let Some(from) = self.from.filter(|from| *from != found) {
            let message = format!(
                "input hash '{text}' has format '{}', but '--from {}' was specified",
                found.name(),
                from.name()
            );
            return Err(CommandError::failure(message));
        }
        output.line(hash.to_format(self.to));
        Ok(())
    }
}
