//! The names of a tree: numbered as they are met, and made symbols together.

use crate::Symbol;
use crate::ast::{Local, NameBytes, bytes_of};
use crate::symbol::{Many, Name, Recent, Word};

/// Names by their numbers. Most texts have so few that all of this stays in the nearest cache, which a table of all
/// names of the process does not.
#[derive(Default)]
pub(super) struct Names {
    met: Vec<Met>,
    /// As [`NameBytes`] has them.
    lengths: Vec<u8>,
    bytes: Vec<u8>,
    /// A power of two of places, at least half of them free, where names are by their hashes: the number and one, or
    /// zero.
    places: Vec<u32>,
}

/// A name that was met.
struct Met {
    hash: u64,
    /// Its bytes as they lie in memory, with zeros behind them; of one that is no word, where they begin.
    halves: [u64; 2],
    length: u32,
}

impl Met {
    fn is_word(&self) -> bool {
        self.length as usize <= Word::MAX
    }

    fn is(&self, word: Word, halves: [u64; 2]) -> bool {
        (self.halves[0] ^ halves[0]) | (self.halves[1] ^ halves[1]) | u64::from(self.length ^ word.len()) == 0
    }

    /// The bytes of one that is no word.
    fn long_bytes<'n>(&self, bytes: &'n [u8]) -> &'n [u8] {
        &bytes[self.halves[0] as usize..][..self.length as usize]
    }

    #[inline]
    fn word(&self) -> Option<Word> {
        self.is_word().then(|| Word::of_halves(self.length, self.halves.map(u64::from_le)))
    }

    #[inline]
    fn name<'n>(&'n self, bytes: &'n [u8]) -> Name<'n> {
        match self.word() {
            Some(word) => Name::of_word(word, self.hash, &bytes_of(&self.halves)[..self.length as usize]),
            None => Name::new(self.long_bytes(bytes)),
        }
    }
}

impl Names {
    /// For how many places there is always room.
    const PLACES: usize = 256;

    /// The number of a name.
    pub(super) fn number(&mut self, bytes: &[u8]) -> Local {
        match Word::new(bytes) {
            Some(word) => self.number_of_word(word),
            None => self.number_of_long(bytes),
        }
    }

    /// The same of a short one.
    #[inline]
    pub(super) fn number_of_word(&mut self, word: Word) -> Local {
        let (hash, halves) = (word.hash(), word.halves().map(u64::to_le));
        match self.find(hash, |met, _| met.is(word, halves)) {
            Some(number) => number,
            None => self.add_word(hash, halves, word.len()),
        }
    }

    #[inline(never)]
    fn add_word(&mut self, hash: u64, halves: [u64; 2], length: u32) -> Local {
        self.lengths.push(length as u8);
        // More than there is, as to copy a fixed count of bytes takes no loop.
        let end = self.bytes.len() + length as usize;
        self.bytes.extend_from_slice(bytes_of(&halves));
        self.bytes.truncate(end);
        self.add(Met { hash, halves, length })
    }

    #[inline(never)]
    fn number_of_long(&mut self, bytes: &[u8]) -> Local {
        let hash = Name::new(bytes).hash();
        let is_it =
            |met: &Met, long: &[u8]| met.hash == hash && !met.is_word() && met.long_bytes(long) == bytes;
        if let Some(number) = self.find(hash, is_it) {
            return number;
        }
        let length = u8::try_from(bytes.len()).unwrap_or(NameBytes::VERY_LONG);
        self.lengths.push(length);
        if length == NameBytes::VERY_LONG {
            self.bytes.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        }
        let halves = [self.bytes.len() as u64, 0];
        self.bytes.extend_from_slice(bytes);
        self.add(Met { hash, halves, length: bytes.len() as u32 })
    }

    #[inline]
    fn find(&self, hash: u64, is_it: impl Fn(&Met, &[u8]) -> bool) -> Option<Local> {
        let mask = self.places.len().checked_sub(1)?;
        let mut place = hash as usize & mask;
        loop {
            let number = self.places[place].checked_sub(1)?;
            if is_it(&self.met[number as usize], &self.bytes) {
                return Some(Local(number));
            }
            place = (place + 1) & mask;
        }
    }

    fn add(&mut self, met: Met) -> Local {
        let number = self.met.len() as u32;
        self.met.push(met);
        if self.met.len() * 2 > self.places.len() {
            let places = (self.places.len() * 2).max(Names::PLACES);
            self.places.clear();
            self.places.resize(places, 0);
            (0..=number).for_each(|number| self.put(number));
        } else {
            self.put(number);
        }
        Local(number)
    }

    fn put(&mut self, number: u32) {
        let mask = self.places.len() - 1;
        let mut place = self.met[number as usize].hash as usize & mask;
        while self.places[place] != 0 {
            place = (place + 1) & mask;
        }
        self.places[place] = number + 1;
    }

    /// Makes symbols of those that are not symbols yet, in the order in which they were met: symbols are numbered so.
    pub(super) fn make_symbols(&self, symbols: &mut Vec<Symbol>) {
        let first = symbols.len();
        let new = &self.met[first..];
        symbols.reserve(new.len());
        Recent::with(|recent| {
            let mut others = Vec::new();
            for (number, met) in (first..).zip(new) {
                let known = met.word().and_then(|word| recent.known(word, met.hash));
                symbols.push(known.unwrap_or_else(|| {
                    others.push((number, met));
                    Symbol::EMPTY
                }));
            }
            let mut many = Many::with_capacity(others.len());
            for (_, met) in &others {
                many.add(met.name(&self.bytes));
            }
            for ((number, met), symbol) in others.iter().zip(many.symbols()) {
                symbols[*number] = symbol;
                if met.is_word() {
                    recent.note(met.hash, symbol);
                }
            }
        });
    }

    pub(super) fn name_bytes(&self) -> NameBytes<'_> {
        NameBytes { lengths: &self.lengths, bytes: &self.bytes }
    }

    pub(super) fn clear(&mut self) {
        self.met.clear();
        self.lengths.clear();
        self.bytes.clear();
        self.places.truncate(Names::PLACES);
        self.places.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_first_meetings() {
        let texts: Vec<String> =
            (0..2000).map(|number| "a".repeat(number % 40) + &number.to_string()).collect();
        let mut names = Names::default();
        for _ in 0..2 {
            for _ in 0..2 {
                for (number, text) in (0..).zip(&texts) {
                    assert_eq!(names.number(text.as_bytes()), Local(number), "{text}");
                }
            }
            let mut symbols = vec![Symbol::intern(&texts[0])];
            names.make_symbols(&mut symbols);
            assert_eq!(symbols, texts.iter().map(Symbol::intern).collect::<Vec<_>>());
            names.clear();
            assert_eq!(names.number(b"another"), Local(0));
            names.clear();
        }
    }
}
