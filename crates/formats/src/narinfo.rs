//! narinfo: what a binary cache says about a store path, and the text its signatures cover.
//!
//! Sources: C++ Nix 2.34 `libstore/nar-info.cc`, `libstore/path-info.cc`.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    str::FromStr,
};

use crate::{
    content_address::ContentAddress,
    hash::{Hash, HashFormat, base64},
    store_path::{StoreDir, StorePath},
};

/// A `.narinfo` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    /// The path it is about.
    pub store_path: StorePath,
    /// Where the archive is, relative to the cache.
    pub url: String,
    /// How the archive is compressed; `bzip2` where the file doesn't say.
    pub compression: String,
    /// Hash of the compressed archive.
    pub file_hash: Option<Hash>,
    /// Size of the compressed archive; 0 when unknown.
    pub file_size: u64,
    /// Hash of the archive.
    pub nar_hash: Hash,
    /// Size of the archive.
    pub nar_size: u64,
    /// What the path refers to.
    pub references: BTreeSet<StorePath>,
    /// The derivation it was made by.
    pub deriver: Option<StorePath>,
    /// Who vouches for it.
    pub signatures: BTreeSet<Signature>,
    /// Its content address.
    pub content_address: Option<ContentAddress>,
}

/// A detached ed25519 signature: the name of the key and the bytes. Prints as `name:base64`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    /// The name of the key.
    pub key_name: String,
    /// The signature itself; 64 bytes when it is one.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key_name, base64::encode(&self.bytes))
    }
}

impl FromStr for Signature {
    type Err = CorruptSignature;

    fn from_str(text: &str) -> Result<Self, CorruptSignature> {
        let (key_name, bytes) = text.split_once(':').ok_or(CorruptSignature)?;
        match base64::decode(bytes.as_bytes()) {
            Some(bytes) if !bytes.is_empty() && !key_name.is_empty() => {
                Ok(Self { key_name: key_name.into(), bytes })
            }
            _ => Err(CorruptSignature),
        }
    }
}

/// The text is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signature is corrupt")]
pub struct CorruptSignature;

/// Why a narinfo file can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("NAR info file is corrupt: {reason}{}", at_line(*line))]
pub struct NarInfoError {
    /// What is wrong.
    pub reason: String,
    /// The line; `None` when something is missing as a whole.
    pub line: Option<usize>,
}

fn at_line(line: Option<usize>) -> String {
    line.map(|line| format!(" at line {line}")).unwrap_or_default()
}

/// The text that signatures of a store path cover.
pub fn fingerprint(
    store: &StoreDir,
    path: &StorePath,
    nar_hash: &Hash,
    nar_size: u64,
    references: &BTreeSet<StorePath>,
) -> String {
    let references: Vec<String> = references.iter().map(|path| store.display(path)).collect();
    let nar_hash = nar_hash.to_prefixed(HashFormat::Nix32);
    format!("1;{};{nar_hash};{nar_size};{}", store.display(path), references.join(","))
}

impl NarInfo {
    /// The text that its signatures cover.
    pub fn fingerprint(&self, store: &StoreDir) -> String {
        fingerprint(store, &self.store_path, &self.nar_hash, self.nar_size, &self.references)
    }

    /// Reads a file. Unknown fields are passed over.
    pub fn parse(store: &StoreDir, text: &str) -> Result<Self, NarInfoError> {
        let mut store_path = None;
        let mut nar_hash = None;
        let (mut url, mut compression) = (String::new(), String::new());
        let (mut file_hash, mut file_size, mut nar_size) = (None, 0, 0);
        let (mut references, mut signatures) = (BTreeSet::new(), BTreeSet::new());
        let (mut deriver, mut content_address) = (None, None);

        for (index, line) in text.split_inclusive('\n').enumerate() {
            let corrupt = |reason: String| NarInfoError { reason, line: Some(index + 1) };
            let because = |error: &dyn fmt::Display| corrupt(error.to_string());
            let hash = |text: &str| Hash::parse_prefixed(text).map_err(|_| corrupt("bad hash".into()));
            let path = |text: &str| text.parse::<StorePath>().map_err(|e| because(&e));
            let (field, value) = line.split_once(':').ok_or_else(|| corrupt("expecting ':'".into()))?;
            let value = value.strip_suffix('\n').ok_or_else(|| corrupt("expecting '\\n'".into()))?;
            let value = value.strip_prefix(' ').unwrap_or(value);
            let size = || value.parse::<u64>().map_err(|_| corrupt(format!("invalid {field}")));
            match field {
                "StorePath" => store_path = Some(store.parse(value).map_err(|e| because(&e))?),
                "URL" => url = value.into(),
                "Compression" => compression = value.into(),
                "FileHash" => file_hash = Some(hash(value)?),
                "FileSize" => file_size = size()?,
                "NarHash" => nar_hash = Some(hash(value)?),
                "NarSize" => nar_size = size()?,
                "References" if !references.is_empty() => return Err(corrupt("extra References".into())),
                "References" => {
                    let names = value.split(' ').filter(|name| !name.is_empty());
                    references = names.map(path).collect::<Result<_, _>>()?;
                }
                "Deriver" if value != "unknown-deriver" => deriver = Some(path(value)?),
                "Sig" => {
                    signatures.insert(value.parse().map_err(|e: CorruptSignature| because(&e))?);
                }
                "CA" if content_address.is_some() => return Err(corrupt("extra CA".into())),
                "CA" if !value.is_empty() => {
                    let parsed = value.parse();
                    content_address =
                        Some(parsed.map_err(|e: crate::content_address::ContentAddressError| because(&e))?);
                }
                _ => {}
            }
        }

        let missing = |what: &str| NarInfoError { reason: what.into(), line: None };
        let store_path = store_path.ok_or_else(|| missing("StorePath missing"))?;
        let nar_hash = nar_hash.ok_or_else(|| missing("NarHash missing"))?;
        if url.is_empty() {
            return Err(missing("URL missing"));
        }
        if nar_size == 0 {
            return Err(missing("NarSize missing or zero"));
        }
        if compression.is_empty() {
            compression = "bzip2".into();
        }
        Ok(Self {
            store_path,
            url,
            compression,
            file_hash,
            file_size,
            nar_hash,
            nar_size,
            references,
            deriver,
            signatures,
            content_address,
        })
    }

    /// Prints the file.
    pub fn print(&self, store: &StoreDir) -> String {
        let mut out = String::new();
        let mut field = |name: &str, value: &dyn fmt::Display| {
            writeln!(out, "{name}: {value}").expect("writing to a string doesn't fail");
        };
        field("StorePath", &store.display(&self.store_path));
        field("URL", &self.url);
        field("Compression", &self.compression);
        if let Some(hash) = &self.file_hash {
            field("FileHash", &hash.to_prefixed(HashFormat::Nix32));
            field("FileSize", &self.file_size);
        }
        field("NarHash", &self.nar_hash.to_prefixed(HashFormat::Nix32));
        field("NarSize", &self.nar_size);
        let references: Vec<&str> = self.references.iter().map(StorePath::as_str).collect();
        field("References", &references.join(" "));
        if let Some(deriver) = &self.deriver {
            field("Deriver", deriver);
        }
        for signature in &self.signatures {
            field("Sig", signature);
        }
        if let Some(address) = &self.content_address {
            field("CA", address);
        }
        out
    }
}
