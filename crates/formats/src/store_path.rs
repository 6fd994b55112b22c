//! Store paths: names, parsing, and the functions that compute them.
//!
//! Sources: C++ Nix 2.34 `libstore/path.cc`, `libstore/store-dir-config.cc` and the manual page
//! "Complete Store Path Calculation".

use std::{
    borrow::Cow,
    cell::Cell,
    cmp::Ordering,
    collections::BTreeSet,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    str::FromStr,
    sync::Arc,
};

use crate::{
    content_address::{ContentAddress, ContentAddressMethod},
    hash::{Hash, HashAlgo},
    nix32,
};

/// The longest allowed name.
pub const MAX_NAME_LEN: usize = 211;

/// Digits of the digest in a base name.
pub const DIGEST_LEN: usize = 32;

/// Why a text is no store path, or why one can't be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorePathError {
    /// The name is empty.
    #[error("name must not be empty")]
    EmptyName,
    /// The name is longer than [`MAX_NAME_LEN`].
    #[error("name '{0}' must be no longer than {MAX_NAME_LEN} characters")]
    NameTooLong(String),
    /// The name is `.` or `..`.
    #[error("name '{0}' is not valid")]
    DotName(String),
    /// The name starts with `.-` or `..-`.
    #[error("name '{name}' is not valid: first dash-separated component must not be '{component}'")]
    DotComponent {
        /// The whole name.
        name: String,
        /// `.` or `..`.
        component: &'static str,
    },
    /// The name has a character outside of `[0-9a-zA-Z+-._?=]`.
    #[error("name '{name}' contains illegal character '{character}'")]
    IllegalCharacter {
        /// The whole name.
        name: String,
        /// The first wrong character; the first byte of one that is not ASCII, as [`stand_in`] gives it.
        character: char,
    },
    /// The name of a path is wrong.
    #[error("path '{path}' is not a valid store path: {cause}")]
    BadName {
        /// The base name.
        path: String,
        /// What is wrong.
        cause: Box<StorePathError>,
    },
    /// No room for digest and dash.
    #[error("'{0}' is too short to be a valid store path")]
    TooShort(String),
    /// The digest has a wrong digit.
    #[error("store path '{path}' contains illegal base-32 character '{character}'")]
    BadDigest {
        /// The base name.
        path: String,
        /// The first wrong digit.
        character: char,
    },
    /// The path isn't a direct child of the store directory.
    #[error("path \"{0}\" is not in the Nix store")]
    NotInStore(String),
    /// A derivation was asked for.
    #[error("store path '{0}' is not a valid derivation path")]
    NotADerivation(String),
    /// Only the `source` type of paths can hold references.
    #[error(
        "fixed output derivation '{0}' is not allowed to refer to other store paths.\nYou may need to use the \
         'unsafeDiscardReferences' derivation attribute, see the manual for more details."
    )]
    ReferencesNotAllowed(String),
    /// Git trees are addressed by SHA-1 or SHA-256 alone.
    #[error("Git file ingestion must use SHA-1 or SHA-256 hash, but instead using: {0}")]
    GitHash(HashAlgo),
    /// A text can't contain its own path.
    #[error("self-reference not allowed with text hashing")]
    TextSelfReference,
    /// Texts are addressed by SHA-256 alone.
    #[error("text hashing must use SHA-256 hash, but instead using: {0}")]
    TextHash(HashAlgo),
}

/// Checks a store path name by the reference's rules.
pub fn check_name(name: &str) -> Result<(), StorePathError> {
    if name.is_empty() {
        return Err(StorePathError::EmptyName);
    }
    if name.len() > MAX_NAME_LEN {
        return Err(StorePathError::NameTooLong(name.into()));
    }
    for component in [".", ".."] {
        match name.strip_prefix(component) {
            Some("") => return Err(StorePathError::DotName(name.into())),
            Some(rest) if rest.starts_with('-') => {
                return Err(StorePathError::DotComponent { name: name.into(), component });
            }
            _ => {}
        }
    }
    if name.bytes().all(|byte| LEGAL[usize::from(byte)]) {
        return Ok(());
    }
    let first = name_bytes(name).iter().copied().find(|byte| !LEGAL[usize::from(*byte)]);
    let character = first.map_or(char::REPLACEMENT_CHARACTER, stand_in);
    Err(StorePathError::IllegalCharacter { name: name.into(), character })
}

/// Messages may hold any bytes. One that is no text by itself stands in them as a private character, with this number plus
/// its own.
const STAND_INS: u32 = 0x10_ff00 - 0x80;

/// A byte in a message: an ASCII character, or what stands for any other byte.
pub fn stand_in(byte: u8) -> char {
    if byte.is_ascii() {
        char::from(byte)
    } else {
        char::from_u32(STAND_INS + u32::from(byte)).unwrap_or('?')
    }
}

/// The bytes of a name that may have such characters in it.
#[inline]
pub(crate) fn name_bytes(name: &str) -> Cow<'_, [u8]> {
    if name.is_ascii() { Cow::Borrowed(name.as_bytes()) } else { Cow::Owned(without_stand_ins(name)) }
}

fn without_stand_ins(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    for character in name.chars() {
        match u32::from(character).checked_sub(STAND_INS) {
            Some(byte @ 0x80..=0xff) => bytes.push(byte as u8),
            _ => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// The bytes that names are made of.
const LEGAL: [bool; 256] = {
    let mut legal = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        legal[byte] = c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.' | b'_' | b'?' | b'=');
        byte += 1;
    }
    legal
};

/// The base name of a store object: 32 nix32 digits, a dash and a name.
///
/// Cheap to clone. Sorts as its text, the order derivations and databases keep.
#[derive(Clone, PartialEq, Eq)]
pub struct StorePath(Arc<str>);

impl Ord for StorePath {
    fn cmp(&self, other: &Self) -> Ordering {
        // The first digits nearly always decide.
        let start = |path: &Self| path.0.as_bytes().first_chunk().map(|start| u64::from_be_bytes(*start));
        start(self).cmp(&start(other)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for StorePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::hash::Hash for StorePath {
    /// The digest alone: it differs wherever anything does.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.hash_part().as_bytes());
    }
}

/// For tables of paths that were computed: these start with digits that are a hash already.
pub type DigestHash = BuildHasherDefault<DigestHasher>;

/// Mixes the digits of a path.
#[derive(Debug, Default)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.as_chunks().0 {
            self.0 = (self.0 ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl StorePath {
    /// A path from its digest and name.
    pub fn from_digest(digest: &[u8; 20], name: &str) -> Result<Self, StorePathError> {
        let digits = nix32::encode_digest(digest);
        if let Err(cause) = check_name(name) {
            let digits = str::from_utf8(&digits).expect("digits are text");
            let path = [digits, "-", name].concat();
            return Err(StorePathError::BadName { path, cause: Box::new(cause) });
        }
        let mut room = [b'-'; DIGEST_LEN + 1 + MAX_NAME_LEN];
        let path = &mut room[..DIGEST_LEN + 1 + name.len()];
        path[..DIGEST_LEN].copy_from_slice(&digits);
        path[DIGEST_LEN + 1..].copy_from_slice(name.as_bytes());
        Ok(Self(str::from_utf8(path).expect("digits and good names are text").into()))
    }

    /// `digest-name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 32 nix32 digits.
    pub fn hash_part(&self) -> &str {
        &self.0[..DIGEST_LEN]
    }

    /// The digest decoded.
    pub fn digest(&self) -> [u8; 20] {
        let bytes = nix32::decode(self.hash_part().as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.expect("a store path holds 32 valid digits, which are 20 bytes")
    }

    /// What follows the digest and dash.
    pub fn name(&self) -> &str {
        &self.0[DIGEST_LEN + 1..]
    }

    /// Whether the name ends in `.drv`.
    #[expect(clippy::case_sensitive_file_extension_comparisons, reason = "store paths are case-sensitive")]
    pub fn is_derivation(&self) -> bool {
        self.name().ends_with(".drv")
    }

    /// The name without `.drv`.
    pub fn derivation_name(&self) -> Result<&str, StorePathError> {
        self.name().strip_suffix(".drv").ok_or_else(|| StorePathError::NotADerivation(self.0.to_string()))
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;

    fn from_str(path: &str) -> Result<Self, StorePathError> {
        let bytes = path.as_bytes();
        if bytes.len() <= DIGEST_LEN {
            return Err(StorePathError::TooShort(path.into()));
        }
        if let Some(at) = bytes[..DIGEST_LEN].iter().position(|c| !nix32::is_digit(*c)) {
            let character = path.chars().nth(at).unwrap_or(char::REPLACEMENT_CHARACTER);
            return Err(StorePathError::BadDigest { path: path.into(), character });
        }
        // The reference doesn't look at the separator; a path without its dash could not be printed back.
        let Some(name) = path[DIGEST_LEN..].strip_prefix('-') else {
            return Err(StorePathError::TooShort(path.into()));
        };
        match check_name(name) {
            Ok(()) => Ok(Self(path.into())),
            Err(cause) => Err(StorePathError::BadName { path: path.into(), cause: Box::new(cause) }),
        }
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorePath({self})")
    }
}

/// What a content-addressed object refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Other store paths.
    pub others: BTreeSet<StorePath>,
    /// Whether it contains its own path.
    pub itself: bool,
}

/// The directory that store paths are printed in; part of every computed path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreDir(Arc<str>);

impl Default for StoreDir {
    fn default() -> Self {
        Self::new("/nix/store")
    }
}

impl StoreDir {
    /// A store directory from an absolute path, made canonical (no `.`, `..`, doubled or trailing slashes).
    pub fn new(path: &str) -> Self {
        Self(canonical(path).into())
    }

    /// The directory.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full path as text: `/nix/store/digest-name`.
    pub fn display(&self, path: &StorePath) -> String {
        [&self.0, "/", path.as_str()].concat()
    }

    /// Parses a full path that must be a direct child of the directory; it is made canonical first.
    pub fn parse(&self, path: &str) -> Result<StorePath, StorePathError> {
        if let Some(base) = self.strip(path)
            && !base.contains('/')
        {
            return base.parse();
        }
        let canonical = canonical(path);
        match self.strip(&canonical) {
            Some(base) if !base.contains('/') => base.parse(),
            _ => Err(StorePathError::NotInStore(canonical)),
        }
    }

    /// Splits a path in the store into the store path and what follows it: `("x-hello", "/bin/hello")`.
    /// The second part is empty for the store path itself.
    pub fn split<'a>(&self, path: &'a str) -> Result<(StorePath, &'a str), StorePathError> {
        let base = self.strip(path).ok_or_else(|| StorePathError::NotInStore(path.into()))?;
        let end = base.find('/').unwrap_or(base.len());
        Ok((base[..end].parse()?, &base[end..]))
    }

    fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&*self.0)?.strip_prefix('/')
    }

    fn make_path(&self, kind: Vec<u8>, inner: &Hash, name: &str) -> Result<StorePath, StorePathError> {
        let mut fingerprint = kind;
        for piece in [":", inner.algo().name(), ":"] {
            fingerprint.extend_from_slice(piece.as_bytes());
        }
        inner.write_base16(&mut fingerprint);
        for piece in [":", &self.0, ":"] {
            fingerprint.extend_from_slice(piece.as_bytes());
        }
        fingerprint.extend_from_slice(&name_bytes(name));
        let digest = Hash::sha256(&fingerprint).compress();
        FINGERPRINT.set(fingerprint);
        StorePath::from_digest(&digest, name)
    }

    fn kind_with_references<'a>(
        &self,
        kind: &str,
        others: impl Iterator<Item = &'a StorePath>,
        itself: bool,
    ) -> Vec<u8> {
        let mut out = kind_of_path([kind]);
        for path in others {
            for piece in [":", &self.0, "/", path.as_str()] {
                out.extend_from_slice(piece.as_bytes());
            }
        }
        if itself {
            out.extend_from_slice(b":self");
        }
        out
    }

    /// The path of a text with this hash, which refers to these paths, sorted.
    pub(crate) fn path_of_text<'a>(
        &self,
        name: &str,
        hash: &Hash,
        references: impl Iterator<Item = &'a StorePath>,
    ) -> Result<StorePath, StorePathError> {
        self.make_path(self.kind_with_references("text", references, false), hash, name)
    }

    /// The path of an input-addressed output, from the derivation's hash modulo.
    pub fn output_path(
        &self,
        derivation_name: &str,
        output: &str,
        hash_modulo: &Hash,
    ) -> Result<StorePath, StorePathError> {
        self.make_path(
            kind_of_path(["output:", output]),
            hash_modulo,
            &output_path_name(derivation_name, output),
        )
    }

    /// The path of a text with the given contents: `.drv` files, `builtins.toFile`.
    pub fn text_path(
        &self,
        name: &str,
        contents: &[u8],
        references: BTreeSet<StorePath>,
    ) -> Result<StorePath, StorePathError> {
        let address = ContentAddress { method: ContentAddressMethod::Text, hash: Hash::sha256(contents) };
        self.content_addressed_path(name, &address, &References { others: references, itself: false })
    }

    /// The path of a content-addressed object: texts, fixed outputs, added sources.
    pub fn content_addressed_path(
        &self,
        name: &str,
        address: &ContentAddress,
        references: &References,
    ) -> Result<StorePath, StorePathError> {
        let ContentAddress { method, hash } = address;
        match (method, hash.algo()) {
            (ContentAddressMethod::Text, HashAlgo::Sha256) => {
                if references.itself {
                    return Err(StorePathError::TextSelfReference);
                }
                self.make_path(self.kind_with_references("text", references.others.iter(), false), hash, name)
            }
            (ContentAddressMethod::Text, algo) => Err(StorePathError::TextHash(algo)),
            (ContentAddressMethod::NixArchive, HashAlgo::Sha256) => {
                let References { others, itself } = references;
                self.make_path(self.kind_with_references("source", others.iter(), *itself), hash, name)
            }
            (ContentAddressMethod::Git, algo) if !matches!(algo, HashAlgo::Sha1 | HashAlgo::Sha256) => {
                Err(StorePathError::GitHash(algo))
            }
            _ if *references != References::default() => {
                Err(StorePathError::ReferencesNotAllowed(name.into()))
            }
            _ => self.make_path(kind_of_path(["output:out"]), &Hash::sha256(&address.fixed_text()), name),
        }
    }

    /// The path of a fixed output without references.
    pub fn fixed_output_path(
        &self,
        name: &str,
        address: &ContentAddress,
    ) -> Result<StorePath, StorePathError> {
        self.content_addressed_path(name, address, &References::default())
    }
}

thread_local! {
    /// The room of what the last path was made from, for the next one.
    static FINGERPRINT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A kind of path, to be followed by more.
fn kind_of_path<const N: usize>(words: [&str; N]) -> Vec<u8> {
    let mut kind = FINGERPRINT.take();
    kind.clear();
    for word in words {
        kind.extend_from_slice(word.as_bytes());
    }
    kind
}

impl fmt::Display for StoreDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an output's path: that of the derivation, and `-output` unless it is `out`.
pub fn output_path_name<'a>(derivation_name: &'a str, output: &str) -> Cow<'a, str> {
    if output == "out" { derivation_name.into() } else { [derivation_name, "-", output].concat().into() }
}

fn canonical(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
