//! Names as numbers: one process-wide, append-only table of byte strings.
//!
//! A [`Symbol`] is made once per distinct byte string and lives as long as the process, so that it can be
//! copied, compared and hashed as a number. Making a new one takes a lock on the table; finding
//! and reading one takes none.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard};

use crate::prefetch::prefetch;
use crate::scan::Bytes;

/// An interned byte string. `Option<Symbol>` is as small as `Symbol`.
///
/// The order is that of interning, not that of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
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
        match Word::new(bytes) {
            Some(word) => Recent::with(|recent| recent.symbol(word)),
            None => Symbol::of_long(bytes),
        }
    }

    fn of_long(bytes: &[u8]) -> Symbol {
        TABLE.intern(&Name::new(bytes), &mut None)
    }

    /// The symbols of many names in their order, sooner than one by one.
    pub fn of_many<'n>(names: impl IntoIterator<Item = &'n [u8]>) -> Vec<Symbol> {
        let names = names.into_iter();
        let mut many = Many::with_capacity(names.size_hint().0);
        names.for_each(|name| many.add(Name::new(name)));
        many.symbols()
    }

    /// All symbols there are so far.
    pub fn all() -> impl Iterator<Item = Symbol> {
        (1..=NEXT.load(Ordering::Relaxed)).filter_map(|id| NonZeroU32::new(id).map(Symbol))
    }

    /// The bytes this symbol stands for.
    pub fn as_bytes(self) -> &'static [u8] {
        let index = self.0.get() - 1;
        match WELL_KNOWN.get(index as usize) {
            Some(text) => text,
            None => slot(index).read(),
        }
    }

    /// The first eight bytes as a number, with zeros behind a shorter name: what decides the order of most.
    pub fn first_bytes(self) -> u64 {
        let index = self.0.get() - 1;
        match WELL_KNOWN.get(index as usize) {
            Some(text) => Name::new(text).first.swap_bytes(),
            None => slot(index).first().swap_bytes(),
        }
    }

    /// The bytes as text for messages; see [`raw_text`](crate::raw_text).
    pub fn to_text(self) -> std::borrow::Cow<'static, str> {
        crate::raw_text(self.as_bytes())
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

impl Symbol {
    /// The name as it stands in an expression, quoted if it must be: so messages show it.
    pub fn to_identifier(self) -> String {
        let mut shown = Vec::new();
        crate::print::identifier(&mut shown, self.as_bytes());
        crate::raw_text(&shown).into_owned()
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
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

/// A byte string of up to sixteen bytes by value: most names are no longer.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    /// The bytes, with zeros behind them.
    low: u64,
    high: u64,
    length: u32,
}

impl PartialEq for Word {
    #[inline]
    fn eq(&self, other: &Word) -> bool {
        (self.low ^ other.low) | (self.high ^ other.high) | u64::from(self.length ^ other.length) == 0
    }
}

/// Which bits the first bytes take, by their count.
static MASKS: [[u64; 2]; Word::MAX + 1] = {
    let mut masks = [[0; 2]; Word::MAX + 1];
    let mut bit = 0;
    while bit < 128 {
        let mut length = bit / 8 + 1;
        while length <= Word::MAX {
            masks[length][bit / 64] |= 1 << (bit % 64);
            length += 1;
        }
        bit += 1;
    }
    masks
};

impl Word {
    /// The longest byte string that is a word.
    pub(crate) const MAX: usize = 16;

    #[inline]
    pub(crate) fn new(bytes: &[u8]) -> Option<Word> {
        let length = bytes.len();
        let [low, high] = if length > Word::MAX {
            return None;
        } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            // The last eight have some of the first eight before them, if there are less than sixteen.
            let last = u64::from_le_bytes(*last).checked_shr((Word::MAX - length) as u32 * 8);
            [u64::from_le_bytes(*first), last.unwrap_or(0)]
        } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            let last = u64::from(u32::from_le_bytes(*last)) << ((length - 4) * 8);
            [u64::from(u32::from_le_bytes(*first)) | last, 0]
        } else {
            [bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0]
        };
        Some(Word { low, high, length: length as u32 })
    }

    pub(crate) const EMPTY: Word = Word { low: 0, high: 0, length: 0 };

    /// A word that is known while compiling.
    pub(crate) const fn constant(text: &[u8]) -> Word {
        let mut value = 0;
        let mut index = text.len();
        while index > 0 {
            index -= 1;
            value = value << 8 | text[index] as u128;
        }
        Word { low: value as u64, high: (value >> 64) as u64, length: text.len() as u32 }
    }

    /// The first bytes of sixteen.
    #[inline]
    pub(crate) fn first(bytes: Bytes, length: usize) -> Word {
        let [low, high] = bytes.halves();
        let mask = MASKS[length];
        Word { low: low & mask[0], high: high & mask[1], length: length as u32 }
    }

    /// The first bytes of sixteen that lie in memory.
    #[inline]
    pub(crate) fn first_of(bytes: &[u8; Word::MAX], length: usize) -> Word {
        let bytes = u128::from_le_bytes(*bytes);
        Word::of_halves(length as u32, [bytes as u64, (bytes >> 64) as u64])
    }

    /// Its first eight bytes as a number.
    pub(crate) const fn start(self) -> u64 {
        self.low
    }

    pub(crate) const fn len(self) -> u32 {
        self.length
    }

    /// Its bytes as two numbers.
    pub(crate) const fn halves(self) -> [u64; 2] {
        [self.low, self.high]
    }

    /// The word of so many bytes that [`Word::halves`] gave; bytes that are too many count for nothing.
    #[inline]
    pub(crate) fn of_halves(length: u32, [low, high]: [u64; 2]) -> Word {
        let mask = MASKS[Word::MAX.min(length as usize)];
        Word { low: low & mask[0], high: high & mask[1], length }
    }

    /// The second half of the slot of such a short name.
    #[inline]
    fn short_rest(self) -> u64 {
        self.high | u64::from(self.length + 1) << TAG
    }

    fn bytes(self, room: &mut [u8; Word::MAX]) -> &[u8] {
        *room = (u128::from(self.low) | u128::from(self.high) << 64).to_le_bytes();
        &room[..self.length as usize]
    }

    #[inline]
    pub(crate) fn hash(self) -> u64 {
        mix(mix(self.low ^ K0, self.high ^ K1) ^ u64::from(self.length), K0)
    }
}

pub(crate) const K0: u64 = 0x9e37_79b9_7f4a_7c15;
pub(crate) const K1: u64 = 0xa076_1d64_78bd_642f;

#[inline]
pub(crate) fn mix(left: u64, right: u64) -> u64 {
    let wide = u128::from(left) * u128::from(right);
    wide as u64 ^ (wide >> 64) as u64
}

/// The hash of more bytes than make a word.
fn hash_long(bytes: &[u8]) -> u64 {
    let (chunks, _) = bytes.as_chunks::<8>();
    let state = chunks.iter().fold(K1, |state, chunk| mix(state ^ u64::from_le_bytes(*chunk), K0));
    let last = bytes.last_chunk::<8>().map_or(0, |last| u64::from_le_bytes(*last));
    mix(state ^ last, K1 ^ bytes.len() as u64)
}

const CACHE_BITS: u32 = 12;

/// The numbers of the short names that a thread has lately met, so that most need no look at the table; zero in an
/// empty place. They lie on the heap: what is thread-local itself is cleared for every thread that starts.
pub(crate) struct Recent(Box<[Cell<u32>; 1 << CACHE_BITS]>);

thread_local! {
    static RECENT: Recent = Recent::new();
}

impl Recent {
    fn new() -> Self {
        let places = vec![Cell::new(0); 1 << CACHE_BITS];
        Recent(places.try_into().expect("there are as many"))
    }

    pub(crate) fn with<T>(then: impl FnOnce(&Recent) -> T) -> T {
        RECENT.with(then)
    }

    #[inline]
    fn symbol(&self, word: Word) -> Symbol {
        let hash = word.hash();
        self.known(word, hash).unwrap_or_else(|| self.look_up(word, hash))
    }

    /// The symbol of a word with this hash, if it was lately met.
    #[inline]
    pub(crate) fn known(&self, word: Word, hash: u64) -> Option<Symbol> {
        let id = NonZeroU32::new(self.place(hash).get())?;
        slot(id.get() - 1).is_word(word).then_some(Symbol(id))
    }

    /// Notes the symbol of a word with this hash.
    #[inline]
    pub(crate) fn note(&self, hash: u64, symbol: Symbol) {
        self.place(hash).set(symbol.id());
    }

    #[inline]
    fn place(&self, hash: u64) -> &Cell<u32> {
        &self.0[(hash >> (64 - CACHE_BITS)) as usize]
    }

    #[cold]
    fn look_up(&self, word: Word, hash: u64) -> Symbol {
        let symbol = TABLE.intern(&Name::of_word(word, hash, word.bytes(&mut [0; Word::MAX])), &mut None);
        self.note(hash, symbol);
        symbol
    }
}

/// A name's bytes as its slot has them.
pub(crate) struct Name<'a> {
    hash: u64,
    bytes: &'a [u8],
    /// Those of them that come first, with zeros behind a shorter name.
    first: u64,
    /// The others, and their count, if that is all; or [`LONG`].
    rest: u64,
}

/// What tells where the bytes are, in the upper byte of a slot's second half: [`LONG`], or one more than their count.
const TAG: u32 = 56;
/// The bytes have a place of their own, whose address is in the lower bytes.
const LONG: u64 = 0xff << TAG;
/// The longest name whose bytes are in the slot.
const SHORT: usize = 15;

impl<'a> Name<'a> {
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn new(bytes: &'a [u8]) -> Name<'a> {
        match (Word::new(bytes), bytes.first_chunk()) {
            (Some(word), _) => Name::of_word(word, word.hash(), bytes),
            (None, first) => {
                let first = first.map_or(0, |first| u64::from_le_bytes(*first));
                Name { hash: hash_long(bytes), bytes, first, rest: LONG }
            }
        }
    }

    /// The name that a word is, with its hash and the same bytes.
    #[inline]
    pub(crate) fn of_word(word: Word, hash: u64, bytes: &'a [u8]) -> Name<'a> {
        let rest = if bytes.len() <= SHORT { word.short_rest() } else { LONG };
        Name { hash, bytes, first: word.low, rest }
    }
}

/// Names that become symbols together: what the table has of some is fetched from memory before any of it is needed,
/// as to wait for each by itself takes most of the time.
pub(crate) struct Many<'a> {
    table: &'static Table,
    names: Vec<Name<'a>>,
    symbols: Vec<Symbol>,
}

impl<'a> Many<'a> {
    const AT_ONCE: usize = 32;

    pub(crate) fn with_capacity(count: usize) -> Many<'a> {
        let names = Vec::with_capacity(Many::AT_ONCE.min(count));
        Many { table: &TABLE, names, symbols: Vec::with_capacity(count) }
    }

    #[inline]
    pub(crate) fn add(&mut self, name: Name<'a>) {
        prefetch(std::ptr::from_ref(self.table.place(&name)).addr());
        self.names.push(name);
        if self.names.len() == Many::AT_ONCE {
            self.find();
        }
    }

    fn find(&mut self) {
        for name in &self.names {
            let entry = self.table.place(name).load(Ordering::Acquire);
            prefetch(std::ptr::from_ref(slot((entry as u32).saturating_sub(1))).addr());
        }
        let mut lock = None;
        self.symbols.extend(self.names.iter().map(|name| self.table.intern(name, &mut lock)));
        self.names.clear();
    }

    pub(crate) fn symbols(mut self) -> Vec<Symbol> {
        self.find();
        self.symbols
    }
}

/// One symbol's bytes, published once. Slots never move.
///
/// Both halves are in the order of bytes in memory, so that short names can be read where they are.
#[repr(C)]
struct Slot {
    first: AtomicU64,
    /// Zero before the name is there.
    rest: AtomicU64,
}

const COUNT: usize = size_of::<usize>();

impl Slot {
    fn put(&self, name: &Name<'_>, writer: &mut Writer) {
        let place = if name.rest == LONG { writer.keep(name.bytes).expose_provenance() as u64 } else { 0 };
        assert!(place >> TAG == 0, "programs have no addresses of more than 56 bits");
        self.first.store(name.first.to_le(), Ordering::Relaxed);
        self.rest.store((name.rest | place).to_le(), Ordering::Release);
    }

    /// The first eight bytes, the very first as the lowest.
    fn first(&self) -> u64 {
        self.rest();
        u64::from_le(self.first.load(Ordering::Relaxed))
    }

    fn rest(&self) -> u64 {
        loop {
            match self.rest.load(Ordering::Acquire) {
                // Only a symbol handed over without synchronisation gets here, for an instant.
                0 => std::hint::spin_loop(),
                rest => return u64::from_le(rest),
            }
        }
    }

    fn read(&'static self) -> &'static [u8] {
        let rest = self.rest();
        if rest >= LONG {
            return Slot::read_long(rest);
        }
        // SAFETY: the two halves follow each other, they are not written again, the acquiring load sees what was written
        // before, and a short name is no longer than they are.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), (rest >> TAG) as usize - 1) }
    }

    fn read_long(rest: u64) -> &'static [u8] {
        let text = std::ptr::with_exposed_provenance::<u8>((rest ^ LONG) as usize);
        // SAFETY: the address is of `Writer::keep`: there is a count and so many bytes, which are never freed or
        // written again, and who has loaded it sees what was written before it was stored.
        unsafe {
            let length = usize::from_ne_bytes(text.cast::<[u8; COUNT]>().read());
            std::slice::from_raw_parts(text.add(COUNT), length)
        }
    }

    #[inline]
    fn is_word(&self, word: Word) -> bool {
        if word.length as usize > SHORT {
            return self.is(&Name::new(word.bytes(&mut [0; Word::MAX])));
        }
        let (first, rest) = (self.first.load(Ordering::Relaxed), self.rest.load(Ordering::Relaxed));
        (u64::from_le(first) ^ word.low) | (u64::from_le(rest) ^ word.short_rest()) == 0
    }

    fn is(&self, name: &Name<'_>) -> bool {
        let rest = u64::from_le(self.rest.load(Ordering::Acquire));
        u64::from_le(self.first.load(Ordering::Relaxed)) == name.first
            && (rest == name.rest || name.rest == LONG && rest > LONG && Slot::read_long(rest) == name.bytes)
    }
}

const CHUNK_BITS: u32 = 13;
/// Where slots are, so many together. A chunk is made for its first symbol, by whoever has locked the table.
static CHUNKS: [AtomicPtr<Slot>; 1 << (u32::BITS - CHUNK_BITS)] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; 1 << (u32::BITS - CHUNK_BITS)];
static NEXT: AtomicU32 = AtomicU32::new(WELL_KNOWN.len() as u32);

#[inline]
fn slot(index: u32) -> &'static Slot {
    loop {
        let chunk = CHUNKS[(index >> CHUNK_BITS) as usize].load(Ordering::Acquire);
        if !chunk.is_null() {
            // SAFETY: chunks have as many slots as these bits can tell, and are never freed.
            return unsafe { &*chunk.add(index as usize % (1 << CHUNK_BITS)) };
        }
        // Only a symbol handed over without synchronisation gets here, for an instant.
        std::hint::spin_loop();
    }
}

fn new_slot(index: u32) -> &'static Slot {
    let chunk = &CHUNKS[(index >> CHUNK_BITS) as usize];
    if chunk.load(Ordering::Relaxed).is_null() {
        // SAFETY: zeros are slots without names.
        let slots: Box<[Slot]> = unsafe { Box::new_zeroed_slice(1 << CHUNK_BITS).assume_init() };
        chunk.store(Box::leak(slots).as_mut_ptr(), Ordering::Release);
    }
    slot(index)
}

/// Where the table begins: as many places.
const FIRST_SIZE: usize = 4096;

/// From bytes to symbols: open addressing. It is read without a lock.
struct Table {
    /// Half a hash and a symbol's number each, or zero in a free place. A larger array takes the place of
    /// one that fills up; readers may still be in the old one, which is kept.
    places: AtomicPtr<Box<[AtomicU64]>>,
    writer: Mutex<Writer>,
}

struct Writer {
    /// Room for the bytes of coming symbols.
    arena: &'static mut [u8],
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let writer = Mutex::new(Writer { arena: &mut [] });
    let table = Table { places: AtomicPtr::new(places_for(FIRST_SIZE)), writer };
    let mut writer = table.write();
    for (id, text) in (1..).filter_map(NonZeroU32::new).zip(WELL_KNOWN) {
        table.add(&mut writer, &Name::new(text), id);
    }
    drop(writer);
    table
});

impl Table {
    /// The symbol of a name, made if it is new. Whoever has more of them leaves the table locked from the first new one on,
    /// as locking takes longer than all else.
    fn intern<'t>(&'t self, name: &Name<'_>, lock: &mut Option<MutexGuard<'t, Writer>>) -> Symbol {
        if let Some(symbol) = self.find(name) {
            return symbol;
        }
        let writer = match lock {
            Some(writer) => writer,
            None => {
                let writer = lock.insert(self.write());
                // Another thread may just have made it.
                if let Some(symbol) = self.find(name) {
                    return symbol;
                }
                writer
            }
        };
        let next = NEXT.load(Ordering::Relaxed).checked_add(1);
        let id = next.and_then(NonZeroU32::new).expect("memory ends before 2^32 symbols do");
        NEXT.store(id.get(), Ordering::Relaxed);
        self.add(writer, name, id);
        Symbol(id)
    }

    fn write(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().expect("nothing panics under this lock")
    }

    fn places(&self) -> &'static [AtomicU64] {
        // SAFETY: the pointer comes from `places_for`, which leaks what it leads to.
        unsafe { &*self.places.load(Ordering::Acquire) }
    }

    /// Where [`Table::find`] looks first.
    #[inline]
    fn place(&self, name: &Name<'_>) -> &'static AtomicU64 {
        let places = self.places();
        &places[(name.hash >> 32) as usize & (places.len() - 1)]
    }

    fn find(&self, name: &Name<'_>) -> Option<Symbol> {
        let places = self.places();
        let mut place = (name.hash >> 32) as usize;
        loop {
            place &= places.len() - 1;
            let entry = places[place].load(Ordering::Acquire);
            let id = NonZeroU32::new(entry as u32)?;
            if entry >> 32 == name.hash >> 32 && slot(id.get() - 1).is(name) {
                return Some(Symbol(id));
            }
            place += 1;
        }
    }

    /// Adds a name, which has the number after those of all others.
    fn add(&self, writer: &mut Writer, name: &Name<'_>, id: NonZeroU32) {
        new_slot(id.get() - 1).put(name, writer);
        let mut places = self.places();
        if id.get() as usize * 4 > places.len() * 3 {
            let larger = places_for(places.len() * 4);
            // SAFETY: as in `places`.
            let larger_places: &'static [AtomicU64] = unsafe { &*larger };
            for entry in places {
                let entry = entry.load(Ordering::Relaxed);
                if entry != 0 {
                    put(larger_places, entry);
                }
            }
            self.places.store(larger, Ordering::Release);
            places = larger_places;
        }
        put(places, name.hash >> 32 << 32 | u64::from(id.get()));
    }
}

fn places_for(count: usize) -> *mut Box<[AtomicU64]> {
    const PAGE: usize = 4096;
    // SAFETY: zero is a value of these numbers.
    let places: Box<[AtomicU64]> = unsafe { Box::new_zeroed_slice(count).assume_init() };
    // What comes next reads each place before it writes there, which would be two page faults for each page.
    for place in places.iter().step_by(PAGE / size_of::<AtomicU64>()) {
        place.store(0, Ordering::Relaxed);
    }
    Box::leak(Box::new(places))
}

/// Only one thread at a time writes to an array.
fn put(places: &[AtomicU64], entry: u64) {
    let mut place = (entry >> 32) as usize & (places.len() - 1);
    while places[place].load(Ordering::Relaxed) != 0 {
        place = (place + 1) & (places.len() - 1);
    }
    places[place].store(entry, Ordering::Release);
}

impl Writer {
    /// Keeps bytes with their count in front.
    fn keep(&mut self, bytes: &[u8]) -> *mut u8 {
        const CHUNK: usize = 16 << 10;
        let size = bytes.len() + COUNT;
        if size > CHUNK / 4 {
            return fill(Box::leak(vec![0; size].into_boxed_slice()), bytes);
        }
        if self.arena.len() < size {
            self.arena = Box::leak(vec![0; CHUNK].into_boxed_slice());
        }
        let (room, rest) = std::mem::take(&mut self.arena).split_at_mut(size);
        self.arena = rest;
        fill(room, bytes)
    }
}

fn fill(room: &'static mut [u8], bytes: &[u8]) -> *mut u8 {
    room[..COUNT].copy_from_slice(&bytes.len().to_ne_bytes());
    room[COUNT..].copy_from_slice(bytes);
    room.as_mut_ptr()
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
        for text in ["", "name", "123456789012345", "1234567890123456", "12345678901234567"] {
            let word = Word::new(text.as_bytes());
            assert!(word.is_none_or(|word| word.len() as usize == text.len()));
        }
        assert_ne!(Symbol::intern("a"), Symbol::intern("b"));
    }

    #[test]
    fn words_are_their_bytes() {
        for length in 0..=Word::MAX {
            let bytes = &b"0123456789abcdef"[..length];
            let word = Word::new(bytes).expect("it is short");
            assert_eq!(word.bytes(&mut [0; Word::MAX]), bytes);
            assert!(word == Word::constant(bytes));
        }
        assert!(Word::new(b"0123456789abcdefg").is_none());
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
