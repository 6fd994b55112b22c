//! What evaluation saw of the world, and whether it would see the same again.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use super::encoding::{Reader, Writer};
use super::neighbours::Neighbours;
use crate::fingerprint::{Hash, hash};
use crate::lock::lock;

/// Everything that was seen.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Inputs<'a> {
    pub(super) files: Vec<Neighbours<'a>>,
    /// Environment variables; hashes of the values, since these may be secrets.
    pub(super) variables: BTreeMap<String, Option<Hash>>,
    /// Until when something fetched without a hash counts as fresh, in seconds since 1970.
    pub(super) expires: Option<u64>,
}

/// From so many groups of files on, several threads look at them.
const MANY: usize = 32;
/// More than there may be processors: where a disk is asked, they wait most of their time.
const THREADS: usize = 4;

impl<'a> Inputs<'a> {
    /// Nothing if something is not as it was; else whether the inputs should be written again, because a later
    /// check will be quicker.
    pub(super) fn check(&mut self, environment: &BTreeMap<String, String>) -> Option<bool> {
        if let Some(expires) = self.expires {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
            if now >= expires {
                return None;
            }
        }
        for (name, value) in &self.variables {
            if environment.get(name).map(|value| hash(value.as_bytes())) != *value {
                return None;
            }
        }
        let helpers = if self.files.len() < MANY { 0 } else { THREADS - 1 };
        let left = Mutex::new(self.files.iter_mut());
        let look = || {
            let mut better = false;
            while let Some(files) = { lock(&left).next() } {
                let Some(checked) = files.check() else {
                    *lock(&left) = [].iter_mut();
                    return None;
                };
                better |= checked;
            }
            Some(better)
        };
        thread::scope(|scope| {
            let helpers: Vec<_> =
                (0..helpers).map_while(|_| thread::Builder::new().spawn_scoped(scope, look).ok()).collect();
            let mut better = look()?;
            for helper in helpers {
                better |= helper.join().ok()??;
            }
            Some(better)
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.word(self.expires.unwrap_or(0));
        writer.number(self.variables.len() as u64);
        for (name, value) in &self.variables {
            writer.bytes(name.as_bytes());
            writer.0.push(u8::from(value.is_some()));
            if let Some(hash) = value {
                writer.hash(hash);
            }
        }
        writer.number(self.files.len() as u64);
        for files in &self.files {
            writer.bytes(files.as_bytes());
        }
    }

    pub(super) fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let expires = Some(reader.word()?).filter(|time| *time != 0);
        let mut variables = BTreeMap::new();
        for _ in 0..reader.count()? {
            let name = reader.text()?.to_owned();
            let value = if reader.byte()? == 0 { None } else { Some(reader.hash()?) };
            variables.insert(name, value);
        }
        let files =
            (0..reader.count()?).map(|_| reader.bytes().map(Neighbours::of_bytes)).collect::<Option<_>>()?;
        Some(Self { files, variables, expires })
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use std::fs;

    use super::super::neighbours::{TOGETHER, in_groups};
    use super::super::seen::tests::{contents_of, some_files};
    use super::*;

    pub(in crate::eval_cache) fn some_inputs() -> Inputs<'static> {
        Inputs {
            files: in_groups(&some_files()),
            variables: BTreeMap::from([("HOME".into(), Some([2; 32])), ("NONE".into(), None)]),
            expires: Some(77),
        }
    }

    #[test]
    fn many_files_by_several_threads() {
        let folder = tempfile::tempdir().unwrap();
        let at = |number: usize| folder.path().join(format!("{number:05}"));
        let last = 2 * MANY * TOGETHER;
        for number in 0..=last {
            fs::write(at(number), number.to_string()).unwrap();
        }
        let files: Vec<_> = (0..=last).map(|number| (at(number), contents_of(&at(number)))).collect();
        let mut inputs = Inputs { files: in_groups(&files), ..Inputs::default() };
        assert_eq!(inputs.files.len(), 2 * MANY + 1);
        // Where it takes long enough, the times of the files have come to do.
        assert!(inputs.check(&BTreeMap::new()).is_some());
        for number in [0, last / 2, last] {
            fs::write(at(number), "other").unwrap();
            assert_eq!(inputs.check(&BTreeMap::new()), None, "{number}");
            fs::write(at(number), number.to_string()).unwrap();
            assert!(inputs.check(&BTreeMap::new()).is_some());
        }
    }
}
