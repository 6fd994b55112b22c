//! Hashes in the notations of Nix: base 16, nix32, base 64 and SRI.
//!
//! Rules and messages are those of C++ Nix 2.34 `libutil/hash.cc`. BLAKE3 sits behind an experimental feature
//! there; whether it is enabled is for the caller to ask.

mod pair;

use std::{cmp::Ordering, fmt, io, str::FromStr};

use sha2::Digest as _;

use crate::nix32;

pub(crate) use pair::{sha256_of, sha256_of_both};

/// A hash algorithm that Nix knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgo {
    /// 16 bytes; broken, accepted for old fixed-output derivations.
    Md5,
    /// 20 bytes; broken, accepted for old fixed-output derivations and git.
    Sha1,
    /// 32 bytes; what store paths are made of.
    Sha256,
    /// 64 bytes.
    Sha512,
    /// 32 bytes; experimental in the reference (`blake3-hashes`).
    Blake3,
}

impl HashAlgo {
    /// All of them, in the order the reference lists them.
    pub const ALL: [Self; 5] = [Self::Blake3, Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// The length of a hash in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha512 => 64,
        }
    }

    /// The name used in every notation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Blake3 => "blake3",
        }
    }
}

impl fmt::Display for HashAlgo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for HashAlgo {
    type Err = HashError;

    fn from_str(s: &str) -> Result<Self, HashError> {
        let found = Self::ALL.into_iter().find(|algo| algo.name() == s);
        found.ok_or_else(|| HashError::UnknownAlgorithm(s.into()))
    }
}

/// A notation for the bytes of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashFormat {
    /// Hexadecimal, lower case when printed.
    Base16,
    /// See [`nix32`].
    Nix32,
    /// RFC 4648 with padding.
    Base64,
    /// `algo-base64`, as in Subresource Integrity.
    Sri,
}

impl HashFormat {
    /// The name that `nix hash convert --to` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base16 => "base16",
            Self::Nix32 => "nix32",
            Self::Base64 => "base64",
            Self::Sri => "sri",
        }
    }
}

impl FromStr for HashFormat {
    type Err = HashError;

    /// `base32` is taken too; the reference warns that it is a deprecated alias of `nix32`.
    fn from_str(s: &str) -> Result<Self, HashError> {
        match s {
            "base16" => Ok(Self::Base16),
            "nix32" | "base32" => Ok(Self::Nix32),
            "base64" => Ok(Self::Base64),
            "sri" => Ok(Self::Sri),
            _ => Err(HashError::UnknownFormat(s.into())),
        }
    }
}

/// Why a text is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// No such algorithm.
    #[error("unknown hash algorithm '{0}', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'")]
    UnknownAlgorithm(String),
    /// No such notation.
    #[error("unknown hash format '{0}', expect 'base16', 'base32', 'base64', or 'sri'")]
    UnknownFormat(String),
    /// None of the notations of the algorithm has this length.
    #[error("hash '{text}' has wrong length for hash algorithm '{algo}'")]
    WrongLength {
        /// The hash as given, without its prefix.
        text: String,
        /// The algorithm it should belong to.
        algo: HashAlgo,
    },
    /// The digits are wrong, or decode to another length. `found` is 0 when a digit is wrong.
    #[error("invalid {notation} hash '{text}', length {found} != expected length {expected}")]
    Invalid {
        /// The notation tried.
        notation: &'static str,
        /// The hash as given, without its prefix.
        text: String,
        /// Decoded length.
        found: usize,
        /// Length of the algorithm's hashes.
        expected: usize,
    },
    /// SRI was asked for.
    #[error("hash '{0}' is not SRI")]
    NotSri(String),
    /// A prefix was asked for.
    #[error("hash '{0}' does not include a type")]
    NoType(String),
    /// Neither prefix nor context names the algorithm.
    #[error("hash '{0}' does not include a type, nor is the type otherwise known from context")]
    UnknownType(String),
    /// Prefix and context differ.
    #[error("hash '{text}' should have type '{expected}'")]
    TypeMismatch {
        /// The hash as given.
        text: String,
        /// What the context asks for.
        expected: HashAlgo,
    },
}

const MAX_SIZE: usize = 64;

/// Each byte in hexadecimal.
const BASE16: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut bytes = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        bytes[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    bytes
};

/// A hash and its algorithm.
///
/// The order is that of the reference: by length, then bytes, then algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash {
    algo: HashAlgo,
    // Zero beyond the algorithm's size, so that derived equality holds.
    bytes: [u8; MAX_SIZE],
}

impl Hash {
    /// A hash from its bytes; `None` when the length isn't that of the algorithm.
    pub fn from_bytes(algo: HashAlgo, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != algo.size() {
            return None;
        }
        let mut hash = Self::zero(algo);
        hash.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(hash)
    }

    /// The hash of all zeros: what the reference assumes for `outputHash = ""`.
    pub const fn zero(algo: HashAlgo) -> Self {
        Self { algo, bytes: [0; MAX_SIZE] }
    }

    /// Hashes a byte string.
    pub fn of(algo: HashAlgo, data: &[u8]) -> Self {
        if algo == HashAlgo::Blake3 {
            // Without the large state of a hasher, which most texts are too short for.
            let mut hash = Self::zero(algo);
            hash.bytes[..algo.size()].copy_from_slice(blake3::hash(data).as_bytes());
            return hash;
        }
        let mut hasher = Hasher::new(algo);
        hasher.update(data);
        hasher.finish()
    }

    /// SHA-256 of a byte string.
    pub fn sha256(data: &[u8]) -> Self {
        let mut hash = Self::zero(HashAlgo::Sha256);
        hash.bytes[..HashAlgo::Sha256.size()].copy_from_slice(&sha2::Sha256::digest(data));
        hash
    }

    /// The algorithm.
    pub const fn algo(&self) -> HashAlgo {
        self.algo
    }

    /// The bytes, as many as the algorithm has.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algo.size()]
    }

    /// Folds the hash to `N` bytes by exclusive or; store path digests are SHA-256 folded to 20.
    pub fn compress<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        for bytes in self.as_bytes().chunks(N) {
            for (folded, byte) in out.iter_mut().zip(bytes) {
                *folded ^= byte;
            }
        }
        out
    }

    /// Lower-case hexadecimal, without a prefix.
    pub fn to_base16(&self) -> String {
        let mut out = Vec::with_capacity(self.algo.size() * 2);
        self.write_base16(&mut out);
        String::from_utf8(out).expect("digits are text")
    }

    /// Appends the same.
    pub(crate) fn write_base16(&self, out: &mut Vec<u8>) {
        let mut digits = [[0; 2]; MAX_SIZE];
        let digits = &mut digits[..self.algo.size()];
        for (pair, byte) in digits.iter_mut().zip(&self.bytes) {
            *pair = BASE16[usize::from(*byte)];
        }
        out.extend_from_slice(digits.as_flattened());
    }

    /// nix32, without a prefix.
    pub fn to_nix32(&self) -> String {
        nix32::encode(self.as_bytes())
    }

    /// Base 64 with padding, without a prefix.
    pub fn to_base64(&self) -> String {
        base64::encode(self.as_bytes())
    }

    /// `algo-base64`.
    pub fn to_sri(&self) -> String {
        format!("{}-{}", self.algo, self.to_base64())
    }

    /// The hash in a notation, without the algorithm (but for SRI, which always has it).
    pub fn to_format(&self, format: HashFormat) -> String {
        match format {
            HashFormat::Base16 => self.to_base16(),
            HashFormat::Nix32 => self.to_nix32(),
            HashFormat::Base64 => self.to_base64(),
            HashFormat::Sri => self.to_sri(),
        }
    }

    /// The hash in a notation with the algorithm before it: `sha256:…`, or SRI.
    pub fn to_prefixed(&self, format: HashFormat) -> String {
        match format {
            HashFormat::Sri => self.to_sri(),
            _ => format!("{}:{}", self.algo, self.to_format(format)),
        }
    }

    /// Parses any notation, prefixed or not; `algo` is what the context knows.
    pub fn parse_any(text: &str, algo: Option<HashAlgo>) -> Result<Self, HashError> {
        Self::parse_any_with_format(text, algo).map(|(hash, _)| hash)
    }

    /// As [`Hash::parse_any`], and tells which notation was used.
    pub fn parse_any_with_format(
        text: &str,
        algo: Option<HashAlgo>,
    ) -> Result<(Self, HashFormat), HashError> {
        let parts = Prefixed::split(text)?;
        let algo = match (parts.algo, algo) {
            (None, None) => return Err(HashError::UnknownType(text.into())),
            (Some(found), Some(expected)) if found != expected => {
                return Err(HashError::TypeMismatch { text: text.into(), expected });
            }
            (Some(algo), _) | (None, Some(algo)) => algo,
        };
        parts.decode(algo)
    }

    /// Parses `algo:…` or `algo-…`.
    pub fn parse_prefixed(text: &str) -> Result<Self, HashError> {
        let parts = Prefixed::split(text)?;
        let algo = parts.algo.ok_or_else(|| HashError::NoType(text.into()))?;
        parts.decode(algo).map(|(hash, _)| hash)
    }

    /// Parses SRI and nothing else.
    pub fn parse_sri(text: &str) -> Result<Self, HashError> {
        let (algo, rest) = text.split_once('-').ok_or_else(|| HashError::NotSri(text.into()))?;
        decode(rest, algo.parse()?, HashFormat::Sri)
    }

    /// Parses base 16, nix32 or base 64 without a prefix; the length tells which.
    pub fn parse_unprefixed(text: &str, algo: HashAlgo) -> Result<Self, HashError> {
        decode(text, algo, format_from_length(text, algo)?)
    }

    /// Parses one notation without a prefix.
    pub fn parse_format(text: &str, algo: HashAlgo, format: HashFormat) -> Result<Self, HashError> {
        decode(text, algo, format)
    }
}

impl fmt::Display for Hash {
    /// SRI, the notation of the reference's newer commands and messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_sri())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl Ord for Hash {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.algo.size(), self.bytes, self.algo).cmp(&(other.algo.size(), other.bytes, other.algo))
    }
}

impl PartialOrd for Hash {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

struct Prefixed<'a> {
    algo: Option<HashAlgo>,
    is_sri: bool,
    rest: &'a str,
}

impl<'a> Prefixed<'a> {
    fn split(text: &'a str) -> Result<Self, HashError> {
        let (algo, is_sri, rest) = if let Some((algo, rest)) = text.split_once(':') {
            (Some(algo.parse()?), false, rest)
        } else if let Some((algo, rest)) = text.split_once('-') {
            (Some(algo.parse()?), true, rest)
        } else {
            (None, false, text)
        };
        Ok(Self { algo, is_sri, rest })
    }

    fn decode(&self, algo: HashAlgo) -> Result<(Hash, HashFormat), HashError> {
        let format = if self.is_sri { HashFormat::Sri } else { format_from_length(self.rest, algo)? };
        Ok((decode(self.rest, algo, format)?, format))
    }
}

fn format_from_length(text: &str, algo: HashAlgo) -> Result<HashFormat, HashError> {
    let (size, len) = (algo.size(), text.len());
    if len == size * 2 {
        Ok(HashFormat::Base16)
    } else if len == nix32::encoded_len(size) {
        Ok(HashFormat::Nix32)
    } else if len == base64::encoded_len(size) {
        Ok(HashFormat::Base64)
    } else {
        Err(HashError::WrongLength { text: text.into(), algo })
    }
}

fn decode(text: &str, algo: HashAlgo, format: HashFormat) -> Result<Hash, HashError> {
    let (notation, bytes) = match format {
        HashFormat::Base16 => ("base16", decode_base16(text.as_bytes())),
        HashFormat::Nix32 => ("nix32", nix32::decode(text.as_bytes()).ok()),
        HashFormat::Base64 => ("Base64", base64::decode(text.as_bytes())),
        HashFormat::Sri => ("SRI", base64::decode(text.as_bytes())),
    };
    // A wrong digit counts as an empty hash: the reference reports it as length 0.
    let bytes = bytes.unwrap_or_default();
    Hash::from_bytes(algo, &bytes).ok_or_else(|| HashError::Invalid {
        notation,
        text: text.into(),
        found: bytes.len(),
        expected: algo.size(),
    })
}

fn decode_base16(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

pub(crate) mod base64 {
    use crate::digits::{INVALID, values};

    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    const VALUES: [u8; 256] = values(ALPHABET);

    pub(crate) const fn encoded_len(bytes: usize) -> usize {
        bytes.div_ceil(3) * 4
    }

    pub(crate) fn encode(bytes: &[u8]) -> String {
        let mut out = String::with_capacity(encoded_len(bytes.len()));
        for chunk in bytes.chunks(3) {
            let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for i in 0..4 {
                let digit = ALPHABET[(bits >> (18 - 6 * i) & 0x3f) as usize];
                out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
            }
        }
        out
    }

    /// As lenient as the reference: newlines are skipped, all after the first `=` is ignored.
    pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
        let (mut bits, mut count) = (0_u32, 0);
        for c in text.iter().take_while(|c| **c != b'=').filter(|c| **c != b'\n') {
            let digit = VALUES[usize::from(*c)];
            if digit == INVALID {
                return None;
            }
            bits = bits << 6 | u32::from(digit);
            count += 6;
            if count >= 8 {
                count -= 8;
                out.push((bits >> count) as u8);
            }
        }
        Some(out)
    }
}

/// Hashes what is written to it.
///
/// It is a [`std::io::Write`] too, and counts the bytes it has seen.
#[derive(Clone)]
pub struct Hasher {
    state: State,
    written: u64,
}

#[derive(Clone)]
enum State {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new(algo: HashAlgo) -> Self {
        let state = match algo {
            HashAlgo::Md5 => State::Md5(md5::Md5::new()),
            HashAlgo::Sha1 => State::Sha1(sha1::Sha1::new()),
            HashAlgo::Sha256 => State::Sha256(sha2::Sha256::new()),
            HashAlgo::Sha512 => State::Sha512(sha2::Sha512::new()),
            HashAlgo::Blake3 => State::Blake3(Box::new(blake3::Hasher::new())),
        };
        Self { state, written: 0 }
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.written += data.len() as u64;
        match &mut self.state {
            State::Md5(h) => h.update(data),
            State::Sha1(h) => h.update(data),
            State::Sha256(h) => h.update(data),
            State::Sha512(h) => h.update(data),
            State::Blake3(h) => {
                h.update(data);
            }
        }
    }

    /// How many bytes were added.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The hash of all that was added.
    pub fn finish(self) -> Hash {
        let hash = |algo, bytes: &[u8]| Hash::from_bytes(algo, bytes);
        let hash = match self.state {
            State::Md5(h) => hash(HashAlgo::Md5, &h.finalize()),
            State::Sha1(h) => hash(HashAlgo::Sha1, &h.finalize()),
            State::Sha256(h) => hash(HashAlgo::Sha256, &h.finalize()),
            State::Sha512(h) => hash(HashAlgo::Sha512, &h.finalize()),
            State::Blake3(h) => hash(HashAlgo::Blake3, h.finalize().as_bytes()),
        };
        hash.expect("a hasher answers with as many bytes as its algorithm has")
    }
}

impl io::Write for Hasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes what is read through it, and no byte more.
pub struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: io::BufRead> HashingReader<R> {
    /// Reads from `inner`.
    pub fn new(inner: R, algo: HashAlgo) -> Self {
        Self { inner, hasher: Hasher::new(algo) }
    }

    /// The inner reader, the hash of what was read and how many bytes that were.
    pub fn finish(self) -> (R, Hash, u64) {
        let read = self.hasher.written();
        (self.inner, self.hasher.finish(), read)
    }
}

impl<R: io::BufRead> io::Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

impl<R: io::BufRead> io::BufRead for HashingReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed was filled before, so that this neither reads nor fails.
        if let Ok(buffer) = self.inner.fill_buf() {
            self.hasher.update(&buffer[..amount.min(buffer.len())]);
        }
        self.inner.consume(amount);
    }
}
