//! What is kept of one command, and its form on disk.

use nival_eval::host::MessageKind;
use nival_formats::{Hash, HashAlgo, StorePath};

use super::encoding::{Reader, Writer};
use super::inputs::Inputs;

/// The first line of a file: it changes with the form.
const MAGIC: &[u8] = b"nival evaluation cache 3\n";

/// What a command saw and said.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Entry<'a> {
    pub(super) inputs: Inputs<'a>,
    /// What must be valid in the store: what evaluation wrote there, without what others of it refer to, and what
    /// it asked for.
    pub(super) paths: Vec<StorePath>,
    pub(super) said: Vec<Said>,
}

/// Something that a command said.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// A message of the evaluation.
    Message(MessageKind, Vec<u8>),
    /// A part of the answer.
    Data(Vec<u8>),
}

impl<'a> Entry<'a> {
    /// The file: the first line, a hash of the rest, the rest.
    pub(super) fn encode(&self, key: &[u8; 32]) -> Vec<u8> {
        let start = MAGIC.len() + 32;
        let mut body = Writer::default();
        body.0.extend_from_slice(MAGIC);
        body.hash(&[0; 32]);
        body.hash(key);
        self.inputs.encode(&mut body);
        body.number(self.paths.len() as u64);
        for path in &self.paths {
            body.bytes(path.as_str().as_bytes());
        }
        body.number(self.said.len() as u64);
        for said in &self.said {
            let (tag, bytes) = match said {
                Said::Data(bytes) => (0, bytes),
                Said::Message(MessageKind::Trace, text) => (1, text),
                Said::Message(MessageKind::EvaluationWarning, text) => (2, text),
                Said::Message(MessageKind::Warning, text) => (3, text),
                Said::Message(MessageKind::Notice, text) => (4, text),
            };
            body.0.push(tag);
            body.bytes(bytes);
        }
        let mut file = body.0;
        let hash = Hash::of(HashAlgo::Blake3, &file[start..]);
        file[MAGIC.len()..start].copy_from_slice(hash.as_bytes());
        file
    }

    /// Nothing if the file is not whole, or not of this key.
    pub(super) fn decode(file: &'a [u8], key: &[u8; 32]) -> Option<Self> {
        let mut reader = Reader(file.strip_prefix(MAGIC)?);
        let hash = reader.hash()?;
        if Hash::of(HashAlgo::Blake3, reader.0).as_bytes() != hash || reader.hash()? != *key {
            return None;
        }
        let inputs = Inputs::decode(&mut reader)?;
        let paths = (0..reader.count()?).map(|_| reader.text()?.parse().ok()).collect::<Option<_>>()?;
        let said = (0..reader.count()?)
            .map(|_| {
                let tag = reader.byte()?;
                let bytes = reader.bytes()?.to_vec();
                Some(match tag {
                    0 => Said::Data(bytes),
                    1 => Said::Message(MessageKind::Trace, bytes),
                    2 => Said::Message(MessageKind::EvaluationWarning, bytes),
                    3 => Said::Message(MessageKind::Warning, bytes),
                    4 => Said::Message(MessageKind::Notice, bytes),
                    _ => return None,
                })
            })
            .collect::<Option<_>>()?;
        reader.0.is_empty().then_some(Self { inputs, paths, said })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::eval_cache::inputs::tests::some_inputs;

    fn entry() -> Entry<'static> {
        Entry {
            inputs: some_inputs(),
            paths: vec![StorePath::from_digest(&[7; 20], "hello-2.12").expect("a good name")],
            said: vec![
                Said::Message(MessageKind::Trace, b"looking".to_vec()),
                Said::Data(vec![0, 255]),
                Said::Message(MessageKind::EvaluationWarning, Vec::new()),
                Said::Message(MessageKind::Warning, b"w".to_vec()),
                Said::Message(MessageKind::Notice, b"n".to_vec()),
            ],
        }
    }

    #[test]
    fn comes_back_as_it_was() {
        let key = [3; 32];
        assert_eq!(Entry::decode(&entry().encode(&key), &key), Some(entry()));
        assert_eq!(Entry::decode(&entry().encode(&key), &[4; 32]), None);
    }

    #[test]
    fn any_damage_is_noticed() {
        let key = [3; 32];
        let file = entry().encode(&key);
        for position in 0..file.len() {
            let mut damaged = file.clone();
            damaged[position] ^= 0x40;
            assert_eq!(Entry::decode(&damaged, &key), None, "byte {position}");
            assert_eq!(Entry::decode(&file[..position], &key), None, "cut at {position}");
        }
        let mut longer = file;
        longer.push(0);
        assert_eq!(Entry::decode(&longer, &key), None);
    }

    /// A file whose hash is right and whose body is not is read without a panic.
    #[test]
    fn nonsense_with_a_right_hash() {
        let key = [3; 32];
        let file = entry().encode(&key);
        let start = MAGIC.len() + 32;
        for position in start + 32..file.len() {
            for change in [0x01, 0x40, 0x80, 0xff] {
                let mut damaged = file.clone();
                damaged[position] ^= change;
                let hash = Hash::of(HashAlgo::Blake3, &damaged[start..]);
                damaged[MAGIC.len()..start].copy_from_slice(hash.as_bytes());
                if let Some(mut entry) = Entry::decode(&damaged, &key) {
                    let _ = entry.inputs.check(&BTreeMap::new());
                }
            }
        }
    }
}
