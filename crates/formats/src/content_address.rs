//! Content addresses: how the bytes of a store object were hashed, and the hash.
//!
//! Source: C++ Nix 2.34 `libstore/content-address.cc`.

use std::{fmt, str::FromStr};

use crate::hash::{Hash, HashAlgo, HashError, HashFormat};

/// How an object's bytes are taken to be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentAddressMethod {
    /// The bytes of one file that may hold references; store derivations and `builtins.toFile`.
    Text,
    /// The bytes of one file.
    Flat,
    /// The NAR serialisation ("recursive").
    NixArchive,
    /// Git's object hash; experimental in the reference (`git-hashing`).
    Git,
}

/// Why a text is no content address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentAddressError {
    /// No colon.
    #[error("not a content address because it is not in the form '<prefix>:<rest>': {0}")]
    NoPrefix(String),
    /// Neither `text` nor `fixed`.
    #[error("content address prefix '{0}' is unrecognized. Recogonized prefixes are 'text' or 'fixed'")]
    UnknownPrefix(String),
    /// No colon between algorithm and hash.
    #[error("content address hash must be in form '<algo>:<hash>', but found: {0}")]
    NoAlgorithm(String),
    /// No such method.
    #[error("unknown file ingestion method '{0}', expect 'flat', 'nar', or 'git'")]
    UnknownMethod(String),
    /// The hash itself is wrong.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl ContentAddressMethod {
    /// The name in JSON and in `outputHashMode`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Flat => "flat",
            Self::NixArchive => "nar",
            Self::Git => "git",
        }
    }

    /// What stands before the algorithm in a derivation: ``, `r:`, `git:` or `text:`.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Text => "text:",
            Self::Flat => "",
            Self::NixArchive => "r:",
            Self::Git => "git:",
        }
    }

    /// Takes [`ContentAddressMethod::prefix`] off a text.
    pub fn split_prefix(text: &str) -> (Self, &str) {
        for method in [Self::NixArchive, Self::Git, Self::Text] {
            if let Some(rest) = text.strip_prefix(method.prefix()) {
                return (method, rest);
            }
        }
        (Self::Flat, text)
    }

    /// Parses `fixed:r:sha256` and the like: a content address without its hash, as `nix store add` sends it.
    pub fn parse_with_algo(text: &str) -> Result<(Self, HashAlgo), ContentAddressError> {
        let (prefix, rest) =
            text.split_once(':').ok_or_else(|| ContentAddressError::NoPrefix(text.into()))?;
        match prefix {
            "text" => Ok((Self::Text, rest.parse()?)),
            "fixed" => match Self::split_prefix(rest) {
                (Self::Text, _) => Err(HashError::UnknownAlgorithm("text".into()).into()),
                (method, algo) => Ok((method, algo.parse()?)),
            },
            _ => Err(ContentAddressError::UnknownPrefix(prefix.into())),
        }
    }

    /// The reverse of [`ContentAddressMethod::parse_with_algo`].
    pub fn print_with_algo(self, algo: HashAlgo) -> String {
        let fixed = if self == Self::Text { "" } else { "fixed:" };
        format!("{fixed}{}{algo}", self.prefix())
    }
}

impl FromStr for ContentAddressMethod {
    type Err = ContentAddressError;

    fn from_str(s: &str) -> Result<Self, ContentAddressError> {
        let all = [Self::Text, Self::Flat, Self::NixArchive, Self::Git];
        all.into_iter().find(|m| m.name() == s).ok_or_else(|| ContentAddressError::UnknownMethod(s.into()))
    }
}

/// A method and the hash it gave. Prints as `fixed:r:sha256:…`, `text:sha256:…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentAddress {
    /// How the bytes were taken.
    pub method: ContentAddressMethod,
    /// Their hash.
    pub hash: Hash,
}

impl ContentAddress {
    /// What is hashed for a fixed output, up to where its path may follow: `fixed:out:r:sha256:<base16>:`.
    pub(crate) fn fixed_text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(256);
        for piece in ["fixed:out:", self.method.prefix(), self.hash.algo().name(), ":"] {
            text.extend_from_slice(piece.as_bytes());
        }
        self.hash.write_base16(&mut text);
        text.push(b':');
        text
    }
}

impl fmt::Display for ContentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = if self.method == ContentAddressMethod::Text { "" } else { "fixed:" };
        write!(f, "{fixed}{}{}", self.method.prefix(), self.hash.to_prefixed(HashFormat::Nix32))
    }
}

impl FromStr for ContentAddress {
    type Err = ContentAddressError;

    fn from_str(text: &str) -> Result<Self, ContentAddressError> {
        let (prefix, rest) =
            text.split_once(':').ok_or_else(|| ContentAddressError::NoPrefix(text.into()))?;
        let (method, rest) = match prefix {
            "text" => (ContentAddressMethod::Text, rest),
            "fixed" => match ContentAddressMethod::split_prefix(rest) {
                // Only `r:` and `git:` are methods of `fixed`.
                (ContentAddressMethod::Text, _) => (ContentAddressMethod::Flat, rest),
                split => split,
            },
            _ => return Err(ContentAddressError::UnknownPrefix(prefix.into())),
        };
        let (algo, hash) =
            rest.split_once(':').ok_or_else(|| ContentAddressError::NoAlgorithm(text.into()))?;
        Ok(Self { method, hash: Hash::parse_unprefixed(hash, algo.parse()?)? })
    }
}
