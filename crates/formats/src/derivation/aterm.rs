//! The `.drv` text, a subset of the ATerm format.
//!
//! Printing is byte-exact; reading takes what the reference prints. Lists without commas, repeated keys and text
//! after the end, which the reference's parser lets pass and its printer never makes, are errors.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Derivation, DerivationError, DerivationOutput, Draft, DraftAttrs, DraftOutput, InputOutputs,
    STRUCTURED_ATTRS_VARIABLE, StructuredAttrs,
};
use crate::{
    content_address::{ContentAddress, ContentAddressMethod},
    escape::{Escape, Escapes, escape, spare_for},
    hash::{Hash, HashAlgo},
    store_path::{StoreDir, StorePath, name_bytes},
};

/// Dynamic derivations nest; no honest one does so deeply.
const MAX_DEPTH: usize = 64;

/// Whether a hash covers the output paths of the derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// Paths as they are: what derivations further down see.
    Shown,
    /// Paths blanked: what the paths themselves are made from.
    Masked,
}

/// Where variables were left blank because they hold the path of an output, and the number of the output.
pub(super) type Blanks = Vec<(usize, usize)>;

/// A derivation that the text of another one names: its hash, and which of its outputs are used.
pub(super) struct HashedInput<'a> {
    /// The first bytes of the hash, which nearly always decide the order.
    start: u64,
    hash: &'a Hash,
    pub(super) outputs: Cow<'a, [&'a str]>,
}

impl<'a> HashedInput<'a> {
    pub(super) fn new(hash: &'a Hash, outputs: &'a [&'a str]) -> Self {
        let start = hash.as_bytes().first_chunk().map_or(0, |start| u64::from_be_bytes(*start));
        Self { start, hash, outputs: Cow::Borrowed(outputs) }
    }

    /// The order of the hashes.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.start.cmp(&other.start).then_with(|| self.hash.as_bytes().cmp(other.hash.as_bytes()))
    }
}

impl Draft<'_> {
    /// Prints the `.drv` file.
    pub(super) fn print(&self, store: &StoreDir) -> Result<Vec<u8>, DerivationError> {
        let mut out = Vec::new();
        self.print_outputs(store, Outputs::Shown, &mut out);
        self.print_inputs(store, &mut out);
        self.print_rest(store, Outputs::Shown, &mut out)?;
        Ok(out)
    }

    /// The beginning of the text, up to where the input derivations follow.
    pub(super) fn print_outputs(&self, store: &StoreDir, outputs: Outputs, out: &mut Vec<u8>) {
        let mut out = Printer(out);
        let is_dynamic = self.input_derivations.iter().any(|input| input.dynamic.is_some());
        out.raw(if is_dynamic { "DrvWithVersion(\"xp-dyn-drv\"," } else { "Derive(" });

        out.all(&self.outputs, |out, DraftOutput { name, output, path }| {
            out.raw("(");
            out.as_it_is(name);
            out.raw(",\"");
            if let (Outputs::Shown, Some(path)) = (outputs, path) {
                out.bare_path(store, path);
            }
            out.raw("\",\"");
            match output {
                DerivationOutput::InputAddressed(_) | DerivationOutput::Deferred => out.raw("\",\""),
                DerivationOutput::CaFixed(ContentAddress { method, hash }) => {
                    out.method(*method, hash.algo());
                    hash.write_base16(out.0);
                }
                DerivationOutput::CaFloating(method, algo) => out.method(*method, *algo),
                DerivationOutput::Impure(method, algo) => {
                    out.method(*method, *algo);
                    out.raw("impure");
                }
            }
            out.raw("\")");
        });
        out.raw(",");
    }

    /// The input derivations as the file names them: by path.
    pub(super) fn print_inputs(&self, store: &StoreDir, out: &mut Vec<u8>) {
        Printer(out).all(&self.input_derivations, |out, input| {
            out.raw("(\"");
            out.bare_path(store, input.path);
            out.raw("\",");
            match input.dynamic {
                None => out.names_of_input(&input.outputs),
                dynamic => out.input(&*input.outputs, dynamic),
            }
            out.raw(")");
        });
    }

    /// What follows the input derivations, the same in the file and in what is hashed.
    pub(super) fn print_rest(
        &self,
        store: &StoreDir,
        outputs: Outputs,
        out: &mut Vec<u8>,
    ) -> Result<Blanks, DerivationError> {
        let reserved = STRUCTURED_ATTRS_VARIABLE.as_bytes();
        let split = self.env.partition_point(|(name, _)| *name < reserved);
        let (before, after) = self.env.split_at(split);
        if after.first().is_some_and(|(name, _)| *name == reserved) {
            return Err(DerivationError::ReservedVariable);
        }
        let size: usize = self.env.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        let structured = self.structured_attrs.map(|attrs| match attrs {
            DraftAttrs::Json(text) => (reserved, text.as_bytes(), false),
            DraftAttrs::Escaped(text) => (reserved, text, true),
        });
        out.reserve(512 + size + spare_for(size) + structured.map_or(0, |(_, attrs, _)| attrs.len() * 5 / 4));
        let mut out = Printer(out);
        out.raw(",");
        out.all(&self.input_sources, |out, path| out.path(store, path));
        out.raw(",");
        out.as_it_is(self.system);
        out.raw(",");
        out.string(self.builder);
        out.raw(",");
        out.strings(&self.args);
        out.raw(",");
        let mut blanks = Vec::new();
        let plain = |(name, value)| (name, value, false);
        let variables =
            before.iter().copied().map(plain).chain(structured).chain(after.iter().copied().map(plain));
        out.all(variables, |out, (name, value, is_escaped)| {
            out.between(const { escape(b"(\"") }, name, const { escape(b"\",\"") });
            let of_output = self.outputs.iter().position(|output| output.name.as_bytes() == name);
            match of_output.filter(|_| outputs == Outputs::Masked) {
                Some(output) => blanks.push((out.0.len(), output)),
                None if is_escaped => out.0.extend_from_slice(value),
                None => return out.between(const { escape(b"") }, value, const { escape(b"\")") }),
            }
            out.raw("\")");
        });
        out.raw(")");
        Ok(blanks)
    }

    /// Prints the paths of the outputs that blanks stand for, as far as these are known by now, and tells where each ends.
    pub(super) fn print_fillings(&self, store: &StoreDir, blanks: &Blanks, out: &mut Vec<u8>) -> Vec<usize> {
        let print = |(_, output): &(usize, usize)| {
            if let Some(path) = &self.outputs[*output].path {
                Printer(out).bare_path(store, path);
            }
            out.len()
        };
        blanks.iter().map(print).collect()
    }
}

impl Derivation {
    /// Prints the `.drv` file.
    pub fn print(&self, store: &StoreDir) -> Result<Vec<u8>, DerivationError> {
        self.draft(store)?.print(store)
    }

    /// Reads a `.drv` file. `name` is the name of the derivation, which the text doesn't hold.
    pub fn parse(store: &StoreDir, name: &str, text: &[u8]) -> Result<Self, DerivationError> {
        let mut parser = Parser { text, at: 0, store };
        let derivation = parser.derivation(name)?;
        if parser.at < text.len() {
            return Err(parser.error("unexpected text after the end"));
        }
        Ok(derivation)
    }
}

/// The input derivations as they are hashed: by their own hashes, in the order of these.
pub(super) fn print_hashed_inputs(inputs: &[HashedInput<'_>], out: &mut Vec<u8>) {
    Printer(out).all(inputs, |out, input| {
        out.raw("(\"");
        input.hash.write_base16(out.0);
        out.raw("\",");
        out.names_of_input(&input.outputs);
        out.raw(")");
    });
}

struct Printer<'a>(&'a mut Vec<u8>);

/// What stands for bytes of strings.
pub(crate) const ESCAPES: Escapes = Escapes::none()
    .with(b'"', b"\\\"")
    .with(b'\\', b"\\\\")
    .with(b'\n', b"\\n")
    .with(b'\r', b"\\r")
    .with(b'\t', b"\\t");

impl Printer<'_> {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A text between pieces that are not escaped.
    fn between(&mut self, before: Escape, text: &[u8], behind: Escape) {
        static TABLE: Escapes = ESCAPES;
        TABLE.append_between(self.0, before, text, behind);
    }

    fn string(&mut self, text: impl AsRef<[u8]>) {
        const QUOTE: Escape = escape(b"\"");
        self.between(QUOTE, text.as_ref(), QUOTE);
    }

    /// A text that the reference does not escape (`derivations.cc`): names of outputs, the system, paths.
    fn as_it_is(&mut self, text: impl AsRef<str>) {
        self.raw("\"");
        self.0.extend_from_slice(&name_bytes(text.as_ref()));
        self.raw("\"");
    }

    fn path(&mut self, store: &StoreDir, path: &StorePath) {
        self.raw("\"");
        self.bare_path(store, path);
        self.raw("\"");
    }

    /// A path without its quotes.
    fn bare_path(&mut self, store: &StoreDir, path: &StorePath) {
        self.raw(store.as_str());
        self.raw("/");
        self.raw(path.as_str());
    }

    /// How an output is addressed, up to where its hash begins.
    fn method(&mut self, method: ContentAddressMethod, algo: HashAlgo) {
        self.raw(method.prefix());
        self.raw(algo.name());
        self.raw("\",\"");
    }

    /// A list.
    fn all<T>(&mut self, items: impl IntoIterator<Item = T>, mut print: impl FnMut(&mut Self, T)) {
        self.raw("[");
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.raw(",");
            }
            print(self, item);
        }
        self.raw("]");
    }

    fn strings<T: AsRef<[u8]>>(&mut self, items: impl IntoIterator<Item = T>) {
        self.all(items, Self::string);
    }

    /// Names of outputs.
    fn names<T: AsRef<str>>(&mut self, names: impl IntoIterator<Item = T>) {
        self.all(names, Self::as_it_is);
    }

    /// The same for an input, which mostly is the one output of a derivation.
    fn names_of_input(&mut self, names: &[&str]) {
        if *names == ["out"] { self.raw("[\"out\"]") } else { self.names(names) }
    }

    fn input<T: AsRef<str>>(
        &mut self,
        outputs: impl IntoIterator<Item = T>,
        dynamic: Option<&BTreeMap<String, InputOutputs>>,
    ) {
        let Some(dynamic) = dynamic else { return self.names(outputs) };
        self.raw("(");
        self.names(outputs);
        self.raw(",");
        self.all(dynamic, |out, (output, node)| {
            out.raw("(");
            out.as_it_is(output);
            out.raw(",");
            out.input(&node.outputs, Some(&node.dynamic).filter(|dynamic| !dynamic.is_empty()));
            out.raw(")");
        });
        self.raw(")");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Traditional,
    Dynamic,
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    store: &'a StoreDir,
}

impl<'a> Parser<'a> {
    fn error(&self, problem: impl Into<String>) -> DerivationError {
        DerivationError::Syntax { problem: problem.into(), offset: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, expected: &str) -> bool {
        let found = self.text[self.at..].starts_with(expected.as_bytes());
        if found {
            self.at += expected.len();
        }
        found
    }

    fn expect(&mut self, expected: &str) -> Result<(), DerivationError> {
        if self.take(expected) { Ok(()) } else { Err(self.error(format!("expected string '{expected}'"))) }
    }

    fn bytes(&mut self) -> Result<Cow<'a, [u8]>, DerivationError> {
        self.expect("\"")?;
        let unterminated = |parser: &Self| parser.error("unterminated string in derivation");
        let mut unescaped: Option<Vec<u8>> = None;
        loop {
            let rest = &self.text[self.at..];
            let end =
                rest.iter().position(|c| matches!(c, b'"' | b'\\')).ok_or_else(|| unterminated(self))?;
            let plain = &rest[..end];
            if rest[end] == b'"' {
                self.at += end + 1;
                return Ok(match unescaped {
                    None => Cow::Borrowed(plain),
                    Some(mut bytes) => {
                        bytes.extend_from_slice(plain);
                        Cow::Owned(bytes)
                    }
                });
            }
            let escaped = match rest.get(end + 1).ok_or_else(|| unterminated(self))? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                other => *other,
            };
            let bytes = unescaped.get_or_insert_default();
            bytes.extend_from_slice(plain);
            bytes.push(escaped);
            self.at += end + 2;
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, DerivationError> {
        let start = self.at;
        let bad = |at| DerivationError::Syntax { problem: "string isn't UTF-8".into(), offset: at };
        match self.bytes()? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| bad(start)),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| bad(start)),
        }
    }

    fn path(&mut self) -> Result<StorePath, DerivationError> {
        let path = self.string()?;
        self.store_path(&path)
    }

    fn store_path(&self, path: &str) -> Result<StorePath, DerivationError> {
        if !path.starts_with('/') {
            return Err(self.error(format!("bad path '{path}' in derivation")));
        }
        Ok(self.store.parse(path)?)
    }

    fn list(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), DerivationError>,
    ) -> Result<(), DerivationError> {
        self.expect("[")?;
        if self.take("]") {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.take("]") {
                return Ok(());
            }
            self.expect(",")?;
        }
    }

    fn string_set(&mut self) -> Result<BTreeSet<String>, DerivationError> {
        let mut set = BTreeSet::new();
        self.list(|parser| {
            set.insert(parser.string()?.into_owned());
            Ok(())
        })?;
        Ok(set)
    }

    fn insert<K: Ord, V>(
        &self,
        map: &mut BTreeMap<K, V>,
        key: K,
        value: V,
        what: &str,
    ) -> Result<(), DerivationError> {
        match map.insert(key, value) {
            None => Ok(()),
            Some(_) => Err(self.error(format!("the same {what} is given twice"))),
        }
    }

    fn derivation(&mut self, name: &str) -> Result<Derivation, DerivationError> {
        let mut derivation = Derivation { name: name.into(), ..Derivation::default() };
        let version = if self.take("Derive(") {
            Version::Traditional
        } else if self.take("DrvWithVersion(") {
            match &*self.string()? {
                "xp-dyn-drv" => Version::Dynamic,
                other => return Err(self.error(format!("Unknown derivation ATerm format version '{other}'"))),
            }
        } else {
            return Err(self.error("derivation does not start with 'Derive' or 'DrvWithVersion'"));
        };
        if version == Version::Dynamic {
            self.expect(",")?;
        }

        self.list(|parser| {
            parser.expect("(")?;
            let name = parser.string()?.into_owned();
            let output = parser.output()?;
            parser.insert(&mut derivation.outputs, name, output, "output")
        })?;
        self.expect(",")?;
        self.list(|parser| {
            parser.expect("(")?;
            let path = parser.path()?;
            parser.expect(",")?;
            let node = parser.input(version, 0)?;
            parser.expect(")")?;
            parser.insert(&mut derivation.input_derivations, path, node, "input derivation")
        })?;
        self.expect(",")?;
        self.list(|parser| {
            derivation.input_sources.insert(parser.path()?);
            Ok(())
        })?;
        self.expect(",")?;
        derivation.system = self.string()?.into_owned();
        self.expect(",")?;
        derivation.builder = self.bytes()?.into_owned();
        self.expect(",")?;
        self.list(|parser| {
            derivation.args.push(parser.bytes()?.into_owned());
            Ok(())
        })?;
        self.expect(",")?;
        self.list(|parser| {
            parser.expect("(")?;
            let key = parser.bytes()?;
            parser.expect(",")?;
            let value = parser.bytes()?;
            parser.expect(")")?;
            if *key == *STRUCTURED_ATTRS_VARIABLE.as_bytes() {
                derivation.structured_attrs = Some(StructuredAttrs::parse(&value)?);
                return Ok(());
            }
            parser.insert(&mut derivation.env, key.into_owned(), value.into_owned(), "environment variable")
        })?;
        self.expect(")")?;
        Ok(derivation)
    }

    fn output(&mut self) -> Result<DerivationOutput, DerivationError> {
        self.expect(",")?;
        let path = self.string()?;
        self.expect(",")?;
        let method = self.string()?;
        self.expect(",")?;
        let hash = self.string()?;
        self.expect(")")?;

        if method.is_empty() {
            return match &*path {
                "" => Ok(DerivationOutput::Deferred),
                path => Ok(DerivationOutput::InputAddressed(self.store_path(path)?)),
            };
        }
        let (method, algo) = ContentAddressMethod::split_prefix(&method);
        let algo: HashAlgo = algo.parse()?;
        match &*hash {
            "impure" | "" if !path.is_empty() => {
                let kind = if hash.is_empty() { "content-addressing" } else { "impure" };
                Err(self.error(format!("{kind} derivation output should not specify output path")))
            }
            "impure" => Ok(DerivationOutput::Impure(method, algo)),
            "" => Ok(DerivationOutput::CaFloating(method, algo)),
            hash => {
                // The path follows from the hash, so that it is checked for its form alone.
                self.store_path(&path)?;
                Ok(DerivationOutput::CaFixed(ContentAddress {
                    method,
                    hash: Hash::parse_unprefixed(hash, algo)?,
                }))
            }
        }
    }

    fn input(&mut self, version: Version, depth: usize) -> Result<InputOutputs, DerivationError> {
        if version == Version::Traditional || self.peek() == Some(b'[') {
            return Ok(InputOutputs { outputs: self.string_set()?, dynamic: BTreeMap::new() });
        }
        if depth == MAX_DEPTH {
            return Err(self.error("dynamic derivations are nested too deeply"));
        }
        if !self.take("(") {
            return Err(self.error("invalid inputDrvs entry in derivation"));
        }
        let mut node = InputOutputs { outputs: self.string_set()?, dynamic: BTreeMap::new() };
        self.expect(",")?;
        self.list(|parser| {
            parser.expect("(")?;
            let output = parser.string()?.into_owned();
            parser.expect(",")?;
            let inner = parser.input(version, depth + 1)?;
            parser.expect(")")?;
            parser.insert(&mut node.dynamic, output, inner, "dynamic output")
        })?;
        self.expect(")")?;
        Ok(node)
    }
}
