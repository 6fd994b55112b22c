//! Sets that share the values of what they were made of, and how `//` makes them.
//!
//! Most results of `//` are made like others before: of sets with the same names. How two kinds of sets go together
//! is worked out once. Where it pays, the result then has no values of its own: its shape says for each name which of
//! the flat sets below it, its layers, has the value, and where there.

use std::hash::{BuildHasher, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};

use nival_syntax::Symbol;

use super::attrs::Plain;
use super::keys::Keys;
use super::tree::{Node, Place};
use crate::hash::{WordHash, WordHasher};
use crate::memory::{self, Heap};

/// Where a shared set has a value: in which layer, and at which index there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(super) struct Pick(u16);

const INDEX_BITS: u32 = 12;
/// A layer's index is smaller than this.
const LAYER_LIMIT: usize = 1 << INDEX_BITS;
/// No shared set has more layers, so that not all bits of a pick are ever set.
const MAX_LAYERS: usize = 15;
/// So many words must be saved: what is copied is found with one step less.
const LEAST_GAIN: usize = 2;

impl Pick {
    fn new(layer: usize, index: usize) -> Pick {
        debug_assert!(layer < MAX_LAYERS && index < LAYER_LIMIT);
        Pick((layer << INDEX_BITS | index) as u16)
    }

    #[inline(always)]
    pub(super) fn of_bits(bits: usize) -> Pick {
        Pick(bits as u16)
    }

    #[inline(always)]
    pub(super) fn to_bits(self) -> usize {
        usize::from(self.0)
    }

    #[inline(always)]
    pub(super) fn layer(self) -> usize {
        self.to_bits() >> INDEX_BITS
    }

    #[inline(always)]
    pub(super) fn index(self) -> usize {
        self.to_bits() & (LAYER_LIMIT - 1)
    }
}

/// The names of a shared set and where their values are. Equal ones are one object. A pick for each name follows in memory.
#[repr(C)]
pub(super) struct Shape {
    pub(super) keys: &'static Keys,
    below: [Place<Shape>; 2],
}

impl Node for Shape {
    fn below(&self) -> &[Place<Shape>; 2] {
        &self.below
    }
}

impl Shape {
    fn of(heap: &Heap, keys: &'static Keys, picks: &[Pick]) -> &'static Shape {
        let mut hasher = WordHasher::default();
        for four in picks.chunks(4) {
            hasher.write_u64(four.iter().fold(0, |word, pick| word << u16::BITS | u64::from(pick.0)));
        }
        keys.shapes.find_or_make(
            hasher.finish(),
            |shape| shape.picks() == picks,
            || heap.keep_before(Shape { keys, below: [const { Place::new() }; 2] }, picks),
        )
    }

    #[inline(always)]
    pub(super) fn picks(&self) -> &[Pick] {
        // SAFETY: `of`, which makes all shapes, puts a pick for each name behind the shape.
        unsafe { memory::behind(self, self.keys.names().len()) }
    }
}

/// How two kinds of sets are merged by `//`.
#[derive(Clone, Copy)]
pub(crate) enum Plan {
    /// The values are copied.
    Copy(&'static MergePlan),
    /// The result shares them.
    Share(&'static SharePlan),
}

/// The result's shape. For each of its layers follows in memory where it is from.
#[repr(C)]
pub(crate) struct SharePlan {
    pub(super) shape: &'static Shape,
    layers: usize,
}

/// A layer of a result: a layer of one of the sides, or a flat side itself.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Source(u8);

const FROM_RIGHT: u8 = 1 << 7;

impl Source {
    #[inline(always)]
    pub(super) fn is_right(self) -> bool {
        self.0 & FROM_RIGHT != 0
    }

    #[inline(always)]
    pub(super) fn layer(self) -> usize {
        usize::from(self.0 & !FROM_RIGHT)
    }
}

impl SharePlan {
    #[inline(always)]
    pub(super) fn sources(&self) -> &[Source] {
        // SAFETY: `share`, which makes all such plans, puts so many behind them.
        unsafe { memory::behind(self, self.layers) }
    }
}

/// For each name its index on the left times two, or on the right times two plus one, follows in memory.
#[repr(C)]
pub(crate) struct MergePlan {
    pub(super) keys: &'static Keys,
    /// Where the attributes of the last set that was merged this way were written, as a `Sighted`: see [`Origins::merged`].
    ///
    /// [`Origins::merged`]: super::Origins::merged
    last: AtomicU64,
}

impl MergePlan {
    pub(super) fn picks(&self) -> &[u32] {
        // SAFETY: `make`, which makes all such plans, puts one behind the plan for each name.
        unsafe { memory::behind(self, self.keys.names().len()) }
    }

    /// Whether an attribute comes from the right side, and its index there or on the left.
    pub(super) fn pick(&self, index: usize) -> (bool, usize) {
        split(self.picks()[index])
    }

    pub(super) fn last(&self) -> &AtomicU64 {
        &self.last
    }
}

pub(super) fn split(pick: u32) -> (bool, usize) {
    (pick & 1 == 1, (pick >> 1) as usize)
}

/// Two kinds of sets, or a kind and names, with what was worked out for them.
struct Pair<T: 'static> {
    kinds: (usize, usize),
    below: [Place<Pair<T>>; 2],
    result: T,
}

impl<T> Node for Pair<T> {
    fn below(&self) -> &[Place<Pair<T>>; 2] {
        &self.below
    }
}

type Pairs<T, const PLACES: usize> = [Place<Pair<T>>; PLACES];

static PLANS: Pairs<Plan, { 1 << 14 }> = [const { Place::new() }; 1 << 14];
static RESTS: Pairs<Rest, { 1 << 12 }> = [const { Place::new() }; 1 << 12];

/// A bit for each pair that was met, at a place made of its hash. Others may have the same.
static MET: [AtomicU64; 1 << 14] = [const { AtomicU64::new(0) }; 1 << 14];

/// Two kinds of sets with how they are merged.
#[derive(Clone, Copy)]
pub(super) struct Planned(&'static Pair<Plan>);

impl<T: Copy> Pair<T> {
    /// The pair in the table, for which the result is worked out if it isn't there.
    #[inline(always)]
    fn find<const PLACES: usize>(
        heap: &Heap,
        table: &Pairs<T, PLACES>,
        kinds: (usize, usize),
        hash: u64,
        work_out: impl Fn() -> T,
    ) -> &'static Pair<T> {
        let make = || {
            let below = [const { Place::new() }; 2];
            let pair = heap.keep(Pair { kinds, below, result: work_out() });
            // SAFETY: what the heap keeps is never moved or freed.
            unsafe { pair.as_ref() }
        };
        Pair::place(table, hash).find_or_make(hash, |pair| pair.kinds == kinds, make)
    }

    /// The same, but nothing if the two were never met before: many pairs are not met again.
    #[inline(always)]
    fn find_met<const PLACES: usize>(
        heap: &Heap,
        table: &Pairs<T, PLACES>,
        kinds: (usize, usize),
        work_out: impl Fn() -> T,
    ) -> Option<&'static Pair<T>> {
        let hash = WordHash::new().hash_one(kinds);
        let known = Pair::place(table, hash).find(hash, |pair| pair.kinds == kinds);
        known.or_else(|| meet(hash).then(|| Pair::find(heap, table, kinds, hash, work_out)))
    }

    #[inline(always)]
    fn place<const PLACES: usize>(table: &Pairs<T, PLACES>, hash: u64) -> &Place<Pair<T>> {
        &table[(hash >> 32) as usize % PLACES]
    }
}

impl Planned {
    /// How two kinds are merged.
    #[inline]
    pub(super) fn of(heap: &Heap, left: Plain, right: Plain) -> Planned {
        let kinds = (left.kind(), right.kind());
        let hash = WordHash::new().hash_one(kinds);
        Planned(Pair::find(heap, &PLANS, kinds, hash, || {
            meet(hash);
            make(heap, left, right)
        }))
    }

    /// The same, but nothing if the two were never met before.
    #[inline]
    pub(super) fn of_met(heap: &Heap, left: Plain, right: Plain) -> Option<Planned> {
        let kinds = (left.kind(), right.kind());
        Pair::find_met(heap, &PLANS, kinds, || make(heap, left, right)).map(Planned)
    }

    #[inline(always)]
    pub(super) fn plan(self) -> Plan {
        self.0.result
    }
}

/// The two kinds of sets that one place of the code merged last, and how: the address of the pair, and a tag that tells
/// most other pairs without a look at this one.
#[derive(Default)]
pub(crate) struct LastMerge(AtomicU64);

const TAG_BITS: u32 = 16;

impl LastMerge {
    #[inline(always)]
    fn tag((left, right): (usize, usize)) -> u64 {
        (left as u64 ^ (right as u64).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            >> (u64::BITS - TAG_BITS)
    }

    /// How two kinds are merged, if they are those.
    #[inline(always)]
    pub(super) fn plan(&self, kinds: (usize, usize)) -> Option<Plan> {
        let word = self.0.load(Ordering::Acquire);
        if word & ((1 << TAG_BITS) - 1) != LastMerge::tag(kinds) {
            return None;
        }
        let place = std::ptr::with_exposed_provenance::<Pair<Plan>>((word >> TAG_BITS) as usize);
        // SAFETY: only the addresses of pairs are stored, which stay.
        let pair = unsafe { place.as_ref() }?;
        (pair.kinds == kinds).then_some(pair.result)
    }

    #[inline(always)]
    pub(super) fn note(&self, merge: Planned) {
        let address = std::ptr::from_ref(merge.0).expose_provenance() as u64;
        self.0.store(address << TAG_BITS | LastMerge::tag(merge.0.kinds), Ordering::Release);
    }
}

/// Notes that the pair with this hash was met. Says whether it had been before.
#[inline]
fn meet(hash: u64) -> bool {
    let (word, bit) = (&MET[hash as usize / 64 % MET.len()], 1 << (hash % 64));
    word.load(Ordering::Relaxed) & bit != 0 || word.fetch_or(bit, Ordering::Relaxed) & bit != 0
}

/// What is left of a set without some names.
#[derive(Clone, Copy)]
pub(crate) enum Rest {
    All,
    Part(Plan),
}

impl Rest {
    /// What is left of such a set without these names, if that was asked before.
    pub(crate) fn of_met(heap: &Heap, set: Plain, names: &Keys) -> Option<Rest> {
        let kinds = (set.kind(), std::ptr::from_ref(names).addr());
        Pair::find_met(heap, &RESTS, kinds, || make_rest(heap, set, names)).map(|pair| pair.result)
    }
}

fn make_rest(heap: &Heap, set: Plain, names: &Keys) -> Rest {
    let (kept, indices) = others(set.keys.names(), names.names());
    if kept.len() == set.len() {
        return Rest::All;
    }
    let picks: Vec<u32> = indices.into_iter().map(|index| (index as u32) << 1).collect();
    Rest::Part(plan(heap, Keys::of(heap, &kept), &picks, set, set))
}

/// Which of the names are not among the others, and where they are. Both are sorted.
pub(super) fn others(names: &[Symbol], without: &[Symbol]) -> (Vec<Symbol>, Vec<usize>) {
    let mut rest = without;
    let (mut kept, mut indices) = (Vec::with_capacity(names.len()), Vec::with_capacity(names.len()));
    for (index, name) in names.iter().enumerate() {
        while rest.first().is_some_and(|other| other < name) {
            rest = &rest[1..];
        }
        if rest.first() != Some(name) {
            kept.push(*name);
            indices.push(index);
        }
    }
    (kept, indices)
}

fn make(heap: &Heap, left: Plain, right: Plain) -> Plan {
    let (names, picks) = merged(left.keys.names(), right.keys.names());
    let keys = Keys::of(heap, &names);
    plan(heap, keys, &picks, left, right)
}

fn plan(heap: &Heap, keys: &'static Keys, picks: &[u32], left: Plain, right: Plain) -> Plan {
    match share(heap, keys, picks, left, right) {
        Some(plan) => Plan::Share(plan),
        None => Plan::Copy(heap.keep_before(MergePlan { keys, last: AtomicU64::new(0) }, picks)),
    }
}

/// The names of both, and where the values are, as in a [`MergePlan`].
pub(super) fn merged(low_names: &[Symbol], high_names: &[Symbol]) -> (Vec<Symbol>, Vec<u32>) {
    let capacity = low_names.len() + high_names.len();
    let (mut names, mut picks) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
    let (mut low, mut high) = (0, 0);
    while let (Some(low_name), Some(high_name)) = (low_names.get(low), high_names.get(high)) {
        let is_low = low_name < high_name;
        names.push(if is_low { *low_name } else { *high_name });
        picks.push(if is_low { (low as u32) << 1 } else { (high as u32) << 1 | 1 });
        low += usize::from(low_name <= high_name);
        high += usize::from(!is_low);
    }
    names.extend_from_slice(&low_names[low..]);
    picks.extend((low..low_names.len()).map(|index| (index as u32) << 1));
    names.extend_from_slice(&high_names[high..]);
    picks.extend((high..high_names.len()).map(|index| (index as u32) << 1 | 1));
    (names, picks)
}

/// Where a flat set has its values, if it were the only layer of a shared one.
static IN_ORDER: [Pick; LAYER_LIMIT] = {
    let mut picks = [Pick(0); LAYER_LIMIT];
    let mut index = 0;
    while index < LAYER_LIMIT {
        picks[index] = Pick(index as u16);
        index += 1;
    }
    picks
};

/// A plan to share, if there are not too many layers and it saves memory.
fn share(
    heap: &Heap,
    keys: &'static Keys,
    picks: &[u32],
    left: Plain,
    right: Plain,
) -> Option<&'static SharePlan> {
    if [left, right].iter().any(|side| side.picks().is_none() && side.len() > LAYER_LIMIT) {
        return None;
    }
    // Which side it is can't be guessed, so there is no branch for it.
    let side_picks = [left, right].map(|side| side.picks().unwrap_or(&IN_ORDER[..side.len()]));
    // Those layers of which something can be seen, and for each layer of the sides which of these it is.
    let mut sources = [0; MAX_LAYERS];
    let mut count = 0;
    let mut numbers = [[MAX_LAYERS; 1 << (u16::BITS - INDEX_BITS)]; 2];
    let mut places = vec![Pick(0); picks.len()];
    for (place, pick) in places.iter_mut().zip(picks) {
        let (is_right, index) = split(*pick);
        let pick = side_picks[usize::from(is_right)][index];
        let number = &mut numbers[usize::from(is_right)][pick.layer()];
        if *number == MAX_LAYERS {
            if count == MAX_LAYERS {
                return None;
            }
            sources[count] = pick.layer() as u8 | if is_right { FROM_RIGHT } else { 0 };
            *number = count;
            count += 1;
        }
        *place = Pick::new(*number, pick.index());
    }
    let sources = &sources[..count];
    // A copy has a word for its origins besides.
    let gain = (1 + picks.len()).saturating_sub(count);
    if gain < LEAST_GAIN {
        return None;
    }
    let plan = SharePlan { shape: Shape::of(heap, keys, &places), layers: count };
    Some(heap.keep_before(plan, sources))
}

#[cfg(test)]
mod tests {
    use nival_syntax::Pos;

    use super::*;
    use crate::value::{Attrs, AttrsBuilder, Value};

    fn set(heap: &Heap, from: u32, names: &[&str]) -> Attrs {
        let mut attrs = AttrsBuilder::new();
        for (name, number) in names.iter().zip(from..) {
            let value = Value::new_int(heap, i64::from(number));
            attrs.insert(Symbol::intern(name.as_bytes()), value, Pos::from_id(number));
        }
        attrs.build(heap)
    }

    /// In what is made by `//` each attribute has value and position of the last set that has it.
    fn check(sets: &[Attrs], is_shared: bool) {
        let heap = Heap::new();
        // What is only worked out when it is met again is used in the end.
        let mut is_found_shared = None;
        for _ in 0..=sets.len() {
            let merged = sets.iter().copied().reduce(|below, above| below.update(&heap, above));
            let merged = merged.expect("there are sets");
            let keys = merged.keys(&heap);
            for attr in sets.iter().flat_map(|set| set.iter()) {
                let last = sets.iter().rev().find_map(|set| set.get_attr(attr.name)).expect("one has it");
                let found = merged.get_attr(attr.name).expect("what one has, all have");
                assert_eq!((found.value, found.pos()), (last.value, last.pos()), "{}", attr.name);
            }
            let mut walked: Vec<(Symbol, Value, Pos)> =
                merged.iter().map(|attr| (attr.name, attr.value, attr.pos())).collect();
            assert!(walked.iter().map(|attr| attr.0).eq(keys.names().iter().copied()));
            assert_eq!(walked.len(), merged.len());
            assert!(walked.is_sorted_by(|low, high| low.0 < high.0));
            walked.retain(|(name, value, pos)| {
                merged.get_attr(*name).is_none_or(|attr| (attr.value, attr.pos()) != (*value, *pos))
            });
            assert!(walked.is_empty(), "the same by walking and by looking up");
            is_found_shared = merged.plain().map(|plain| plain.picks().is_some());
        }
        assert_eq!(is_found_shared, Some(is_shared));
    }

    #[test]
    fn what_is_merged_keeps_values_and_positions() {
        let heap = Heap::new();
        let one = set(&heap, 10, &["a", "b", "c", "d"]);
        let other = set(&heap, 20, &["c", "d", "e", "f"]);
        check(&[one, other], true);
        check(&[other, one, other], true);
        check(&[one, set(&heap, 30, &["a"]), other, set(&heap, 40, &["b", "x"])], true);
        check(&[one, set(&heap, 50, &["a", "b", "c", "d", "e"])], true);
        check(&[set(&heap, 60, &["a"]), set(&heap, 70, &["b"])], false);
    }

    #[test]
    fn a_place_that_merges_remembers_the_last_kinds() {
        let heap = Heap::new();
        let one = set(&heap, 10, &["a", "b", "c", "d"]);
        let other = set(&heap, 20, &["c", "d", "e", "f"]);
        let few = set(&heap, 30, &["b"]);
        let empty = set(&heap, 40, &[]);
        let both = one.update(&heap, other);
        let all = |set: Attrs| set.iter().map(|attr| (attr.name, attr.value, attr.pos())).collect::<Vec<_>>();
        let last = LastMerge::default();
        let pairs =
            [(one, other), (one, other), (other, one), (both, one), (both, one), (both, few), (few, empty)];
        for (left, right) in pairs.into_iter().cycle().take(3 * pairs.len()) {
            let merged = left.update_as_last(&heap, right, &last);
            assert_eq!(all(merged), all(left.update(&heap, right)));
        }
        let kind = |set: Attrs| set.plain().expect("it is flat or shared").kind();
        both.update_as_last(&heap, one, &last);
        assert!(last.plan((kind(both), kind(one))).is_some());
        assert!(last.plan((kind(one), kind(both))).is_none());
    }

    #[test]
    fn a_part_keeps_values_and_positions() {
        let heap = Heap::new();
        let one = set(&heap, 10, &["a", "b", "c", "d", "e"]);
        let both = one.update(&heap, set(&heap, 20, &["d", "e", "f", "g"]));
        let mut names = ["b", "e", "x"].map(|name| Symbol::intern(name.as_bytes()));
        names.sort_unstable();
        for whole in [one, both] {
            for is_met in [false, true, true] {
                let names = Keys::of(&heap, &names);
                let part = whole.without(&heap, names.names(), |set| Rest::of_met(&heap, set, names));
                assert_eq!(part.plain().map(|plain| plain.picks().is_some()), Some(is_met));
                assert_eq!(part.len(), whole.len() - 2);
                for attr in whole.iter().filter(|attr| !names.names().contains(&attr.name)) {
                    let found = part.get_attr(attr.name).expect("it was not named");
                    assert_eq!((found.value, found.pos()), (attr.value, attr.pos()), "{}", attr.name);
                }
            }
        }
    }

    #[test]
    fn a_shared_set_has_not_too_many_layers() {
        let heap = Heap::new();
        let names: Vec<String> = (0..60).map(|number| format!("n{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let sets: Vec<Attrs> =
            names.chunks(3).zip(1..).map(|(names, index)| set(&heap, index * 10, names)).collect();
        check(&sets[..MAX_LAYERS], true);
        check(&sets[..=MAX_LAYERS], false);
        check(&sets, true);
    }
}
