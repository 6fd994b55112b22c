//! References to flakes on the command line: `DIR#NAME`, `path:DIR#NAME`, `nival#NAME`.

use std::path::PathBuf;

use nival_formats::url::percent_decode;
use thiserror::Error;

/// Where a flake is, and which of its attributes is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlakeRef {
    /// The folder with the `flake.nix`; `None` for the library in the binary.
    pub folder: Option<PathBuf>,
    /// What follows the `#`; empty when there was none.
    pub fragment: String,
}

/// A reference that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FlakeRefError {
    /// A scheme that needs a fetcher.
    #[error(
        "flake reference '{reference}' needs fetching, which is not there yet; a folder on this machine works"
    )]
    NeedsFetching {
        /// As it was given.
        reference: String,
    },
    /// A percent escape that stands for nothing.
    #[error("flake reference '{reference}' has an invalid '%' escape")]
    InvalidEscape {
        /// As it was given.
        reference: String,
    },
}

impl FlakeRef {
    /// Parses `text`. Relative folders stay relative: the caller knows the working directory.
    pub fn parse(text: &str) -> Result<Self, FlakeRefError> {
        let (location, fragment) = text.split_once('#').unwrap_or((text, ""));
        let fragment = percent_decode(fragment)
            .map_err(|_| FlakeRefError::InvalidEscape { reference: text.to_owned() })?;
        let folder = match location {
            "nival" | "flake:nival" => None,
            "" => Some(PathBuf::from(".")),
            _ => match location.split_once(':') {
                Some(("path", folder)) => Some(PathBuf::from(folder)),
                Some(_) => return Err(FlakeRefError::NeedsFetching { reference: text.to_owned() }),
                None => Some(PathBuf::from(location)),
            },
        };
        Ok(Self { folder, fragment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let good = [
            (".", Some("."), ""),
            ("#x", Some("."), "x"),
            ("examples/home#commander", Some("examples/home"), "commander"),
            ("path:/a/b#c.d", Some("/a/b"), "c.d"),
            ("nival#lib", None, "lib"),
            (".#you%40host", Some("."), "you@host"),
        ];
        for (text, folder, fragment) in good {
            let expected = FlakeRef { folder: folder.map(PathBuf::from), fragment: fragment.into() };
            assert_eq!(FlakeRef::parse(text), Ok(expected), "{text}");
        }
        for text in ["github:NixOS/nixpkgs#hello", "https://example.org/x.tar.gz"] {
            assert!(matches!(FlakeRef::parse(text), Err(FlakeRefError::NeedsFetching { .. })), "{text}");
        }
        for text in [".#%4", ".#%zz", ".#%ff"] {
            assert!(matches!(FlakeRef::parse(text), Err(FlakeRefError::InvalidEscape { .. })), "{text}");
        }
    }
}
