//! A collection of what was made lately, by something whose result refers to none of it.
//!
//! The collector of all garbage (see [`super::collect`]) can't tell a reference from a number that looks like one. One such
//! number keeps a whole configuration. Here no guess is needed. When an evaluation has ended, those who asked for it hold what
//! they held before, as they did nothing meanwhile. So what it made is only referred to by its result, by objects that are
//! older (places of thunks that have values now), by code, and by the tables of the evaluator, which are all known. What is
//! older stays.
//!
//! What is older: marks of the last collection say what was left then. Granules that were taken since are counted, and of
//! those that heaps were filling in the beginning it is known how far they had come.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::collect::{self, Marker};
use super::space::{self, GRANULE, Kind, base, space};
use super::{Heap, given_back, world};

/// How many granules were taken when garbage was collected last.
static LAST: AtomicU32 = AtomicU32::new(0);

/// Where the heaps of a thread were. Of what other threads were filling then, all counts as older.
pub(crate) struct Moment {
    /// Bytes handed out by all heaps.
    made: usize,
    /// How many granules had been taken.
    taken: u32,
    /// The ends of the granules that were being filled, and how far: addresses, or zero.
    open: [(usize, usize); 8],
}

impl Heap {
    /// The moment before something is evaluated. What was given back before is forgotten: later it could not be told from
    /// what is older.
    pub(crate) fn moment(&self) -> Moment {
        given_back::forget();
        let mut open = [(0, 0); 8];
        let (own, others) = open.split_at_mut(4);
        let note = |heap: &Heap, open: &mut [(usize, usize)]| {
            for (stream, open) in heap.collected_streams().into_iter().zip(open) {
                *open = (stream.limit.get(), stream.cursor.get());
            }
        };
        note(self, own);
        crate::value::with_flat_forms(|heap| note(heap, others));
        Moment { made: collect::made(), taken: space().pool().count(), open }
    }

    /// Frees what was made since a moment, when nothing but objects that are older, code and `roots` can refer to it. These
    /// call what they are given with each value or address that they have. Only the one thread that has values may do so.
    pub(crate) fn free_since(&self, moment: &Moment, roots: impl FnOnce(&mut dyn FnMut(u64))) {
        self.leave();
        let free = || {
            let start = Instant::now();
            collect::finish(start, free(moment, roots));
        };
        let _ = world::only(free);
    }
}

impl Moment {
    /// Bytes handed out since then, by all heaps.
    pub(crate) fn made_since(&self) -> usize {
        collect::made() - self.made
    }

    /// Whether enough was made since then for a look through all that is older.
    pub(crate) fn is_worth_it(&self) -> bool {
        const LEAST_PART: usize = 4;
        collect::is_strict() || self.made_since() >= space().granules().len() * GRANULE / LEAST_PART
    }
}

/// Notes that garbage was collected when so many granules had been taken.
pub(super) fn note_collection(taken: u32) {
    LAST.store(taken, Ordering::Relaxed);
}

fn free(moment: &Moment, roots: impl FnOnce(&mut dyn FnMut(u64))) -> std::io::Result<usize> {
    let mut marker = Marker::new()?;
    let (granules, last) = (space().granules(), LAST.load(Ordering::Relaxed));
    for granule in granules.clone() {
        marker.mark(older_part(granule, moment, last));
    }
    for granule in granules {
        let part = granule * GRANULE..(granule + 1) * GRANULE;
        match space::kind_of(granule) {
            Kind::Objects => marker.marked(part),
            Kind::LargeObject => marker.marked(space::large_object(granule)),
            Kind::Roots => {
                for offset in part.step_by(8) {
                    // SAFETY: granules that were taken can be read.
                    let word = unsafe { std::ptr::with_exposed_provenance::<u64>(base() + offset).read() };
                    marker.reference(word, 0);
                }
            }
            _ => {}
        }
    }
    roots(&mut |word| marker.reference(word, 0));
    marker.finish();
    drop(marker);
    Ok(collect::sweep())
}

/// What of a granule is older than a moment but younger than the last collection: places in the space.
fn older_part(granule: usize, moment: &Moment, last: u32) -> Range<usize> {
    let (start, taken) = (granule * GRANULE, space::taken(granule));
    let is_older = last < taken && taken <= moment.taken;
    match space::kind_of(granule) {
        Kind::Objects | Kind::Bytes if is_older => {
            let limit = base() + start + GRANULE;
            let open = moment.open.iter().find(|(of, _)| *of == limit);
            start..open.map_or(start + space::filled(granule), |(_, cursor)| cursor - base())
        }
        Kind::LargeObject | Kind::LargeBytes if is_older => space::large_object(granule),
        _ => 0..0,
    }
}
