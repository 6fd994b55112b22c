//! Names as numbers: one process-wide, append-only table of byte strings.
//!
//! A [`Symbol`] is made once per distinct byte string and lives as long as the process, so that it can be
//! copied, compared and hashed as a number. Making one takes a lock on a part of the table; reading one
//! takes none.

use std::cell::RefCell;
use std::fmt;
use std::num::NonZeroU32;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock};

/// An interned byte string. `Option<Symbol>` is as small as `Symbol`.
///
/// The order is that of interning, not that of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(NonZeroU32);

macro_rules! well_known {
    ($($name:ident = $text:literal;)*) => {
        const WELL_KNOWN: &[&[u8]] = &[$($text.as_bytes()),*];

        #[expect(clippy::upper_case_acronyms, non_camel_case_types, reason = "only counts the constants below")]
        enum Index { $($name),* }

        impl Symbol {
            $(
                #[doc = concat!("`", $text, "`")]
                pub const $name: Symbol = Symbol(NonZeroU32::MIN.saturating_add(Index::$name as u32));
            )*
        }
    };
}

// The first ones in the order of C++ Nix (`StaticEvalSymbols` in eval.hh, 2.34): it shows where the
// reference walks over names in their order of creation.
well_known! {
    WITH = "<with>";
    OUT_PATH = "outPath";
    DRV_PATH = "drvPath";
    TYPE = "type";
    META = "meta";
    NAME = "name";
    VALUE = "value";
    SYSTEM = "system";
    OVERRIDES = "__overrides";
    OUTPUTS = "outputs";
    OUTPUT_NAME = "outputName";
    IGNORE_NULLS = "__ignoreNulls";
    FILE = "file";
    LINE = "line";
    COLUMN = "column";
    FUNCTOR = "__functor";
    TO_STRING = "__toString";
    RIGHT = "right";
    WRONG = "wrong";
    STRUCTURED_ATTRS = "__structuredAttrs";
    JSON = "__json";
    ALLOWED_REFERENCES = "allowedReferences";
    ALLOWED_REQUISITES = "allowedRequisites";
    DISALLOWED_REFERENCES = "disallowedReferences";
    DISALLOWED_REQUISITES = "disallowedRequisites";
    MAX_SIZE = "maxSize";
    MAX_CLOSURE_SIZE = "maxClosureSize";
    BUILDER = "builder";
    ARGS = "args";
    CONTENT_ADDRESSED = "__contentAddressed";
    IMPURE = "__impure";
    OUTPUT_HASH = "outputHash";
    OUTPUT_HASH_ALGO = "outputHashAlgo";
    OUTPUT_HASH_MODE = "outputHashMode";
    RECURSE_FOR_DERIVATIONS = "recurseForDerivations";
    DESCRIPTION = "description";
    SELF = "self";
    EMPTY = "";
    START_SET = "startSet";
    OPERATOR = "operator";
    KEY = "key";
    PATH = "path";
    PREFIX = "prefix";
    OUTPUT_SPECIFIED = "outputSpecified";
    SUB = "__sub";
    LESS_THAN = "__lessThan";
    MUL = "__mul";
    DIV = "__div";
    OR = "or";
    FIND_FILE = "__findFile";
    NIX_PATH = "__nixPath";
    BODY = "body";
}

impl Symbol {
    /// The symbol of these bytes, made if it is new.
    pub fn intern(bytes: impl AsRef<[u8]>) -> Symbol {
        let bytes = bytes.as_ref();
        let hash = hash(bytes);
        CACHE.with_borrow_mut(|cache| {
            let slot = &mut cache[(hash >> (64 - CACHE_BITS)) as usize];
            if let Some((cached_hash, text, symbol)) = *slot
                && cached_hash == hash
                && text == bytes
            {
                return symbol;
            }
            let symbol = TABLE.intern(bytes, hash);
            *slot = Some((hash, symbol.as_bytes(), symbol));
            symbol
        })
    }

    /// The bytes this symbol stands for.
    pub fn as_bytes(self) -> &'static [u8] {
        let index = self.0.get() - 1;
        match WELL_KNOWN.get(index as usize) {
            Some(text) => text,
            None => slot(index).read(),
        }
    }

    /// The number of the symbol, above zero; small, since symbols are numbered in the order they are made.
    pub const fn id(self) -> u32 {
        self.0.get()
    }

    /// The symbol of a number that [`Symbol::id`] gave.
    ///
    /// # Panics
    ///
    /// If no symbol has that number.
    pub fn from_id(id: u32) -> Symbol {
        let symbol = NonZeroU32::new(id).map(Symbol).expect("symbol numbers start at one");
        assert!(id <= NEXT.load(Ordering::Relaxed), "no symbol has the number {id}");
        symbol
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl From<&str> for Symbol {
    fn from(text: &str) -> Symbol {
        Symbol::intern(text)
    }
}

/// One symbol's bytes, published once. Slots lie in buckets of doubling size that never move.
struct Slot {
    text: AtomicPtr<&'static [u8]>,
}

impl Slot {
    fn read(&self) -> &'static [u8] {
        loop {
            let text = self.text.load(Ordering::Acquire);
            if !text.is_null() {
                // SAFETY: a pointer that is not null comes from `Box::leak` in `Table::intern`, is never
                // freed or written again, and the acquiring load sees what was written before its store.
                return unsafe { *text };
            }
            // Only a symbol handed over without synchronisation gets here, for an instant.
            std::hint::spin_loop();
        }
    }
}

const FIRST_BUCKET_BITS: u32 = 12;
static BUCKETS: [OnceLock<Box<[Slot]>>; 32 - FIRST_BUCKET_BITS as usize] =
    [const { OnceLock::new() }; 32 - FIRST_BUCKET_BITS as usize];
static NEXT: AtomicU32 = AtomicU32::new(WELL_KNOWN.len() as u32);

fn slot(index: u32) -> &'static Slot {
    let shifted = u64::from(index) + (1 << FIRST_BUCKET_BITS);
    let bits = shifted.ilog2();
    let bucket = BUCKETS[(bits - FIRST_BUCKET_BITS) as usize]
        .get_or_init(|| (0..1_u64 << bits).map(|_| Slot { text: AtomicPtr::new(ptr::null_mut()) }).collect());
    &bucket[(shifted - (1 << bits)) as usize]
}

const CACHE_BITS: u32 = 12;
type CacheEntry = Option<(u64, &'static [u8], Symbol)>;

thread_local! {
    /// The symbols this thread has lately met: most names are met again soon, and then need no lock.
    static CACHE: RefCell<Box<[CacheEntry]>> = RefCell::new(vec![None; 1 << CACHE_BITS].into());
}

const SHARD_BITS: u32 = 6;

struct Table {
    shards: Vec<Mutex<Shard>>,
}

/// An open-addressing table from bytes to symbols; zero marks a free place.
#[derive(Default)]
struct Shard {
    entries: Vec<(u32, u32)>,
    used: usize,
    /// Room for the bytes of coming symbols.
    arena: &'static mut [u8],
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let table = Table { shards: (0..1 << SHARD_BITS).map(|_| Mutex::default()).collect() };
    for (index, text) in WELL_KNOWN.iter().enumerate() {
        let hash = hash(text);
        let mut shard = table.shard(hash).lock().expect("nothing panics under this lock");
        shard.insert(hash, index as u32 + 1);
    }
    table
});

impl Table {
    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[(hash & ((1 << SHARD_BITS) - 1)) as usize]
    }

    fn intern(&self, bytes: &[u8], hash: u64) -> Symbol {
        let mut shard = self.shard(hash).lock().expect("nothing panics under this lock");
        if let Some(symbol) = shard.find(bytes, hash) {
            return symbol;
        }
        let index = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = index.checked_add(1).and_then(NonZeroU32::new).expect("memory ends before 2^32 symbols do");
        let text: &'static [u8] = shard.keep(bytes);
        slot(index).text.store(Box::leak(Box::new(text)), Ordering::Release);
        shard.insert(hash, id.get());
        Symbol(id)
    }
}

impl Shard {
    fn find(&self, bytes: &[u8], hash: u64) -> Option<Symbol> {
        let mask = self.entries.len().checked_sub(1)?;
        let short = (hash >> 32) as u32;
        let mut place = short as usize & mask;
        loop {
            let (entry_hash, id) = self.entries[place];
            let symbol = Symbol(NonZeroU32::new(id)?);
            if entry_hash == short && symbol.as_bytes() == bytes {
                return Some(symbol);
            }
            place = (place + 1) & mask;
        }
    }

    fn insert(&mut self, hash: u64, id: u32) {
        if self.used * 2 >= self.entries.len() {
            let size = (self.entries.len() * 2).max(64);
            for (hash, id) in std::mem::replace(&mut self.entries, vec![(0, 0); size]) {
                if id != 0 {
                    self.place(hash, id);
                }
            }
        }
        self.place((hash >> 32) as u32, id);
        self.used += 1;
    }

    fn place(&mut self, hash: u32, id: u32) {
        let mask = self.entries.len() - 1;
        let mut place = hash as usize & mask;
        while self.entries[place].1 != 0 {
            place = (place + 1) & mask;
        }
        self.entries[place] = (hash, id);
    }

    fn keep(&mut self, bytes: &[u8]) -> &'static [u8] {
        const CHUNK: usize = 8 << 10;
        if bytes.len() > CHUNK / 4 {
            return Box::leak(bytes.into());
        }
        if self.arena.len() < bytes.len() {
            self.arena = Box::leak(vec![0; CHUNK].into_boxed_slice());
        }
        let (text, rest) = std::mem::take(&mut self.arena).split_at_mut(bytes.len());
        self.arena = rest;
        text.copy_from_slice(bytes);
        text
    }
}

/// A fast hash for short strings; all bits of the result are good.
fn hash(bytes: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = bytes.len() as u64 ^ K;
    let mut mix = |word: u64| {
        let wide = u128::from(state ^ word) * u128::from(K ^ 0x5851_f42d_4c95_7f2d);
        state = (wide as u64) ^ (wide >> 64) as u64;
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        mix(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(u64::from_le_bytes(last));
    mix(K);
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_bytes_same_symbol() {
        for text in [&b""[..], b"a", b"\xff\0x", &[7; 5000]] {
            assert_eq!(Symbol::intern(text), Symbol::intern(text));
            assert_eq!(Symbol::intern(text).as_bytes(), text);
        }
        assert_ne!(Symbol::intern("a"), Symbol::intern("b"));
    }

    #[test]
    fn well_known_symbols_are_found_by_their_bytes() {
        assert_eq!(Symbol::intern("__sub"), Symbol::SUB);
        assert_eq!(Symbol::BODY.as_bytes(), b"body");
        assert_eq!(Symbol::from_id(Symbol::OR.id()), Symbol::OR);
        assert_eq!(Symbol::intern(""), Symbol::EMPTY);
    }

    #[test]
    fn threads_agree() {
        let names: Vec<String> = (0..20_000).map(|n| format!("name-{n}")).collect();
        let symbols = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| names.iter().map(Symbol::intern).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        });
        assert!(symbols.iter().all(|other| *other == symbols[0]));
        for (symbol, name) in symbols[0].iter().zip(&names) {
            assert_eq!(symbol.as_bytes(), name.as_bytes());
        }
    }
}
