//! Evaluation ahead of need, on the other cores.
//!
//! Whoever is about to need several values ([`Evaluator::offer`]) puts those that come later into a queue;
//! the others take from the oldest offer, the farthest first, and evaluate that. Who offered takes back what
//! nobody took. Since thunks are claimed before they are computed, no work is done twice.
//!
//! Who needs what another is computing makes a detour: it takes something else, but not of an offer with something
//! that it already is stuck in. The rest of such an offer mostly waits for the same: all elements of a list may need what
//! their function needs first.
//!
//! What runs ahead must not be noticed: a value may be evaluated that the program never comes to, because of an
//! error before it. So whatever is not a plain result ends the attempt and leaves the thunks as they were: errors,
//! messages, builds, fetches, cycles. The program's own thread then comes to it in its own time and order, and
//! finds what it would have found alone.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nival_syntax::{Pos, Symbol};

use super::{Coercion, Evaluator, SharedState, Verbosity};
use crate::error::{ErrorKind, EvalError, Result};
use crate::host::MessageKind;
use crate::memory;
use crate::value::{List, Thunk, Value, View};

/// By how many calls evaluation ahead of need keeps away from the limit.
const CALLS_TO_SPARE: i64 = 16;

/// The stack of a helping thread: what needs more is left to the program's own.
const STACK_BYTES: usize = 1 << 30;
/// More threads than this only get in each other's way.
const MAX_THREADS: usize = 64;
/// An idle thread looks for work this often at first, and less often as nothing comes.
const SHORTEST_NAP: Duration = Duration::from_micros(50);
const LONGEST_NAP: Duration = Duration::from_micros(400);
/// Who waits for another takes up other work, but not without end.
const MAX_DETOURS: usize = 32;
/// More than this is not offered at a time: small things far in the future are not worth it.
const LONGEST_QUEUE: usize = 1 << 14;
/// In a longer list there is little to do for each element.
const LONGEST_LIST: usize = 1 << 12;

/// For each evaluator whether what it does is not known to be needed.
static AHEAD: [AtomicBool; super::MAX_EVALUATORS as usize] =
    [const { AtomicBool::new(false) }; super::MAX_EVALUATORS as usize];

pub(super) fn is_ahead(owner: u32) -> bool {
    AHEAD[owner as usize].load(Ordering::SeqCst)
}

pub(super) fn set_ahead(owner: u32, ahead: bool) -> bool {
    AHEAD[owner as usize].swap(ahead, Ordering::SeqCst)
}

/// How far a value will be needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// To its outermost form.
    Value,
    /// As a string.
    Text(Coercion),
    /// As JSON.
    Json,
    /// With all that is in it.
    Deep,
}

#[derive(Clone, Copy)]
struct Task {
    value: Value,
    need: Need,
    calls_left: i64,
    /// The number of the offer that it was in.
    offer: u64,
}

/// What one thread offers.
#[derive(Default)]
struct Queue {
    offers: Mutex<Offers>,
    /// How many values are in the offers.
    length: AtomicUsize,
    /// The number of the evaluator that has it, zero as long as there is none.
    owner: AtomicU32,
}

#[derive(Default)]
struct Offers {
    /// Those that were not taken back, the oldest first.
    standing: Vec<Standing>,
    /// The number of the latest.
    latest: u64,
    /// Room that earlier ones have left.
    room: Vec<Vec<Value>>,
}

struct Standing {
    number: u64,
    need: Need,
    calls_left: i64,
    /// What nobody took, the farthest last.
    values: Vec<Value>,
}

/// The threads that evaluate one program.
#[derive(Default)]
pub(crate) struct Crew {
    /// One for each thread; the program's own comes first.
    queues: Box<[Queue]>,
    ended: AtomicBool,
}

impl Crew {
    /// Of so many threads; 0 stands for as many as there are cores.
    pub(crate) fn of(threads: usize) -> Crew {
        let threads = match threads {
            0 => thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS),
            threads => threads.min(MAX_THREADS),
        };
        let queues = if threads > 1 { (0..threads).map(Queue::of).collect() } else { Box::default() };
        Crew { queues, ended: AtomicBool::new(false) }
    }

    /// Whether there is nobody but the program's own thread.
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// How many threads evaluate, or will.
    pub(super) fn threads(&self) -> usize {
        self.queues.len().max(1)
    }

    /// Ends these threads, which may be started again then.
    fn end(&self, helpers: Helpers) {
        self.ended.store(true, Ordering::SeqCst);
        for queue in &self.queues[1..] {
            let owner = queue.owner.load(Ordering::SeqCst);
            super::STACK_LIMITS[owner as usize].store(usize::MAX, Ordering::Relaxed);
        }
        for helper in helpers.into_iter().flatten() {
            // A helper that panicked has said so.
            let _ = helper.join();
        }
        self.queues[1..].iter().for_each(|queue| queue.owner.store(0, Ordering::SeqCst));
        self.ended.store(false, Ordering::SeqCst);
    }
}

impl Queue {
    /// That of a place in the crew.
    fn of(place: usize) -> Queue {
        // No two offers of a crew have the same number.
        let offers = Offers { latest: (place as u64) << 48, ..Offers::default() };
        Queue { offers: Mutex::new(offers), ..Queue::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Offers> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn length(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Only who has the lock does so.
    fn set_length(&self, length: usize) {
        self.length.store(length, Ordering::Relaxed);
    }

    fn put(&self, need: Need, calls_left: i64, values: impl Iterator<Item = Value>) {
        let offers = &mut *self.lock();
        let mut room = offers.room.pop().unwrap_or_default();
        room.extend(values);
        self.set_length(self.length() + room.len());
        offers.latest += 1;
        offers.standing.push(Standing { number: offers.latest, need, calls_left, values: room });
    }

    /// Takes something that is in none of these offers.
    fn take(&self, but_not_of: &[u64]) -> Option<Task> {
        if self.length() == 0 {
            return None;
        }
        let mut offers = self.lock();
        let mut others = offers.standing.iter_mut().filter(|offer| !but_not_of.contains(&offer.number));
        others.find_map(|Standing { number, need, calls_left, values }| {
            let value = values.pop()?;
            self.set_length(self.length() - 1);
            Some(Task { value, need: *need, calls_left: *calls_left, offer: *number })
        })
    }

    /// Takes the latest offer back.
    fn withdraw(&self) {
        let mut offers = self.lock();
        if let Some(Standing { mut values, .. }) = offers.standing.pop() {
            self.set_length(self.length() - values.len());
            values.clear();
            offers.room.push(values);
        }
    }
}

/// The threads that an evaluator started to help it; `None` stands for one that could not be had. They end with it.
pub(super) type Helpers = Vec<Option<JoinHandle<()>>>;

/// What was offered and not yet taken back.
pub(crate) struct Offer<'a>(Option<&'a Queue>);

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.0 {
            queue.withdraw();
        }
    }
}

/// Values that will be needed with all that is in them, one after the other, offered as far as that does not show.
///
/// Whether a function was called before shows in the frames of errors. So its first call is the business of who comes to it.
///
/// Nothing is offered before the first value is done, nor if the one before was a large job: what they make is freed after
/// each, and the helpers help with the one that is next.
#[derive(Default)]
pub(super) struct DeepOffer<'a> {
    offer: Option<Offer<'a>>,
    /// How many of the values are in it or were, and are not yet done.
    left: usize,
    /// Bytes that had been made before the value that was the last.
    made: Option<usize>,
}

impl<'a> DeepOffer<'a> {
    /// To be called before each of the values is evaluated, with it and all later ones.
    #[inline]
    pub(super) fn renew<V: Iterator<Item = Value>>(&mut self, ev: &'a Evaluator, values: impl Fn() -> V) {
        if !ev.has_company() {
            return;
        }
        // Offers are taken back in turn, the latest first.
        if ev.expects_jobs() && self.is_before_job() {
            self.offer = None;
            self.left = 0;
            return;
        }
        if self.left == 0 {
            self.left = values().take_while(|value| !is_first_call(*value)).count();
            drop(self.offer.take());
            self.offer = Some(ev.offer(Need::Deep, values().take(self.left)));
        }
        self.left = self.left.saturating_sub(1);
    }

    /// Whether the next value may need as much memory as a large job does, as far as is known by the one before.
    fn is_before_job(&mut self) -> bool {
        let made = memory::made();
        let before = self.made.replace(made);
        before.is_none_or(|before| made - before >= memory::jobs_from())
    }
}

impl Evaluator {
    /// Says that all of these values will be needed, one after the other, unless one of them fails. The
    /// offer stands until what is returned is dropped.
    #[inline]
    pub(crate) fn offer(&self, need: Need, values: impl Iterator<Item = Value>) -> Offer<'_> {
        Offer(self.place.and_then(|place| self.offer_from(place, need, values)))
    }

    /// Whether there are other threads to offer something to.
    #[inline]
    pub(crate) fn has_company(&self) -> bool {
        self.place.is_some()
    }

    /// Calls a function with each element of a list and hands both the element and the result on. Where there are
    /// other threads, later results are offered meanwhile.
    pub(crate) fn call_for_each(
        &self,
        function: Value,
        list: List,
        pos: Pos,
        hand_on: impl FnMut(Value, Value) -> Result<()>,
    ) -> Result<()> {
        self.prepare_and_call_for_each(function, list, pos, |_| Ok(()), hand_on)
    }

    /// The same, with something to be done with each element before.
    pub(crate) fn prepare_and_call_for_each(
        &self,
        function: Value,
        list: List,
        pos: Pos,
        prepare: impl Fn(Value) -> Result<()>,
        mut hand_on: impl FnMut(Value, Value) -> Result<()>,
    ) -> Result<()> {
        if !self.has_company() || !(2..=LONGEST_LIST).contains(&list.len()) {
            return list.iter().try_for_each(|element| {
                prepare(element)?;
                hand_on(element, self.call(function, &[element], pos)?)
            });
        }
        let results = List::mapped(&self.heap, function.escape(), list);
        let _offer = self.offer(Need::Value, results.iter());
        list.iter().zip(results.iter()).try_for_each(|(element, result)| {
            prepare(element)?;
            hand_on(element, self.force(result, pos)?)
        })
    }

    fn offer_from(&self, place: usize, need: Need, values: impl Iterator<Item = Value>) -> Option<&Queue> {
        // The first is what the caller is going to do at once.
        let mut later = values.filter(|value| is_worth_it(*value, need)).skip(1);
        let next = later.next()?;
        let queue = &self.shared.crew.queues[place];
        if queue.length() >= LONGEST_QUEUE {
            return None;
        }
        queue.put(need, self.calls_left.get(), std::iter::once(next).chain(later));
        self.start_a_helper();
        Some(queue)
    }

    /// Each offer starts one more thread, until there are enough: a short evaluation starts few.
    #[inline]
    fn start_a_helper(&self) {
        let mut helpers = self.helpers.borrow_mut();
        let place = helpers.len() + 1;
        if self.place == Some(0) && place < self.shared.crew.queues.len() {
            take_exact_naps();
            let shared = self.shared();
            let builder = thread::Builder::new().name(format!("evaluator {place}"));
            helpers.push(builder.stack_size(STACK_BYTES).spawn(move || help(&shared, place)).ok());
        }
    }

    /// Ends the threads that help this evaluator. What they are at is given up; later offers start others.
    pub(super) fn end_helpers(&self) {
        let helpers = self.helpers.take();
        if !helpers.is_empty() {
            self.shared.crew.end(helpers);
        }
    }

    /// Whether something that this thread offers stands.
    pub(super) fn has_offered(&self) -> bool {
        self.place.is_some_and(|place| !self.shared.crew.queues[place].lock().standing.is_empty())
    }

    fn take_task(&self) -> Option<Task> {
        let place = self.place?;
        let stuck_in = self.stuck_in.borrow();
        let (before, after) = self.shared.crew.queues.split_at(place);
        // Its own come last: who waits may as well do what it will come to later.
        let mut queues = after[1..].iter().chain(before).chain(&after[..1]);
        queues.find_map(|queue| queue.take(&stuck_in))
    }

    /// Does something else while another thread is at work on what this one needs.
    pub(super) fn make_a_detour(&self) -> bool {
        if self.stuck_in.borrow().len() >= MAX_DETOURS {
            return false;
        }
        let Some(task) = self.take_task() else { return false };
        self.run_ahead(task);
        true
    }

    fn run_ahead(&self, task: Task) {
        self.stuck_in.borrow_mut().push(task.offer);
        // Who runs ahead gives up a little before `max-call-depth`: it must not get further than who needs the value.
        let calls_left = self.calls_left.replace(task.calls_left - CALLS_TO_SPARE);
        let was_ahead = self.set_ahead(true);
        // An error leaves everything as it was: see above.
        let _ = match task.need {
            Need::Value => self.force(task.value, Pos::NONE).map(|_| ()),
            Need::Text(how) => self.prepare_text(task.value, how),
            Need::Json => self.prepare_json(task.value),
            Need::Deep => self.force_deep(task.value).map(|_| ()),
        };
        self.set_ahead(was_ahead);
        self.calls_left.set(calls_left);
        self.stuck_in.borrow_mut().pop();
    }

    /// Evaluates what [`Evaluator::coerce_to_string`] will need.
    fn prepare_text(&self, value: Value, how: Coercion) -> Result<()> {
        let _depth = self.enter(Pos::NONE)?;
        let value = self.force(value, Pos::NONE)?;
        match value.view() {
            View::List(list) => {
                let _offer = self.offer(Need::Text(how), list.iter());
                list.iter().try_for_each(|element| self.prepare_text(element, how))
            }
            View::Attrs(attrs) if !attrs.contains(Symbol::TO_STRING) => {
                attrs.get(Symbol::OUT_PATH).map_or(Ok(()), |path| self.prepare_text(path, how))
            }
            View::Path(path) if how == Coercion::Derivation => self.copy_to_store(path).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Evaluates what `toJSON` will need.
    fn prepare_json(&self, value: Value) -> Result<()> {
        let _depth = self.enter(Pos::NONE)?;
        let value = self.force(value, Pos::NONE)?;
        match value.view() {
            View::List(list) => {
                let _offer = self.offer(Need::Json, list.iter());
                list.iter().try_for_each(|element| self.prepare_json(element))
            }
            View::Attrs(attrs) if attrs.contains(Symbol::TO_STRING) => Ok(()),
            View::Attrs(attrs) => match attrs.get(Symbol::OUT_PATH) {
                Some(path) => self.prepare_json(path),
                None => {
                    let _offer = self.offer(Need::Json, attrs.iter().map(|attr| attr.value));
                    attrs.iter().try_for_each(|attr| self.prepare_json(attr.value))
                }
            },
            View::Path(path) => self.copy_to_store(path).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Whether what is evaluated is not known to be needed.
    #[inline]
    pub(crate) fn is_ahead(&self) -> bool {
        is_ahead(self.owner)
    }

    fn set_ahead(&self, ahead: bool) -> bool {
        set_ahead(self.owner, ahead)
    }

    /// Stops an evaluation that runs ahead where it would be noticed.
    pub(crate) fn must_not_be_ahead(&self) -> Result<()> {
        if self.is_ahead() { Err(abandoned()) } else { Ok(()) }
    }

    /// Tells the user what is being done, if he wants to hear that much.
    #[inline]
    pub fn talk(&self, verbosity: Verbosity, text: impl FnOnce() -> String) -> Result<()> {
        if self.settings().verbosity < verbosity {
            return Ok(());
        }
        self.say(MessageKind::Notice, text().as_bytes())
    }

    /// What the reference has to say when it begins: it evaluates the text of `derivation` at once.
    pub fn talk_of_beginning(&self) -> Result<()> {
        let name = crate::builtins::DERIVATION_NAME;
        self.talk(Verbosity::Talkative, || format!("evaluating file '{name}'"))
    }

    /// Says something to the user.
    pub(crate) fn say(&self, kind: MessageKind, text: &[u8]) -> Result<()> {
        self.must_not_be_ahead()?;
        self.host().message(kind, text);
        Ok(())
    }

    /// Whether the program ended while this thread ran ahead of it.
    pub(super) fn is_over(&self) -> bool {
        self.shared.crew.ended.load(Ordering::Relaxed)
    }
}

/// The end of an attempt. It is never seen, by debuggers neither.
#[cold]
pub(super) fn abandoned() -> EvalError {
    let error = EvalError::new(ErrorKind::Abandoned, "evaluation was given up");
    error.is_new_to_debugger();
    error
}

/// Whether there is something to do for a value.
#[inline]
fn is_worth_it(value: Value, need: Need) -> bool {
    match Thunk::of(value) {
        Some(thunk) => thunk.result().is_none() || need != Need::Value,
        None => need != Need::Value && matches!(value.view(), View::List(_) | View::Attrs(_)),
    }
}

/// Naps are as long as they should be, and not longer by the 50 µs that the system is free to add.
fn take_exact_naps() {
    // Where it can't be had, naps are longer.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

/// Whether it is a call of a function that was not called before.
fn is_first_call(value: Value) -> bool {
    let function = Thunk::of(value).and_then(Thunk::function).map(|function| function.settled().view());
    matches!(function, Some(View::Lambda(lambda)) if !lambda.code().is_seen())
}

fn help(shared: &SharedState, place: usize) {
    let mut ev = Evaluator::fork(shared);
    ev.place = Some(place);
    shared.0.crew.queues[place].owner.store(ev.owner, Ordering::SeqCst);
    ev.set_ahead(true);
    take_exact_naps();
    let mut nap = SHORTEST_NAP;
    while !ev.is_over() {
        ev.heap.pause();
        match ev.take_task() {
            Some(task) => {
                ev.run_ahead(task);
                nap = SHORTEST_NAP;
            }
            None => {
                thread::sleep(nap);
                nap = (nap * 2).min(LONGEST_NAP);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Heap;

    fn taken(queue: &Queue, but_not_of: &[u64]) -> Option<(i64, u64)> {
        let task = queue.take(but_not_of)?;
        let View::Int(number) = task.value.view() else { panic!("numbers were offered") };
        Some((number, task.offer))
    }

    #[test]
    fn the_oldest_offer_and_the_farthest_come_first() {
        let heap = Heap::new();
        let queue = Queue::of(1);
        for numbers in [[1, 2], [3, 4], [5, 6]] {
            queue.put(Need::Value, 0, numbers.iter().map(|number| Value::new_int(&heap, *number)));
        }
        let (first, oldest) = taken(&queue, &[]).expect("six were offered");
        assert_eq!(first, 2);
        // Who is stuck in an offer takes from others, from them too if there are no more of those.
        assert_eq!(taken(&queue, &[oldest]), Some((4, oldest + 1)));
        assert_eq!(taken(&queue, &[oldest, oldest + 1]), Some((6, oldest + 2)));
        queue.withdraw();
        assert_eq!(taken(&queue, &[oldest, oldest + 1]), None);
        assert_eq!(taken(&queue, &[]), Some((1, oldest)));
        assert_eq!(taken(&queue, &[]), Some((3, oldest + 1)));
        assert_eq!(taken(&queue, &[]), None);
        assert_eq!(queue.length(), 0);
        // What is offered after an offer was taken back has another number.
        queue.put(Need::Value, 0, [7].iter().map(|number| Value::new_int(&heap, *number)));
        assert_eq!(taken(&queue, &[oldest, oldest + 1, oldest + 2]), Some((7, oldest + 3)));
    }

    #[test]
    fn offers_of_different_threads_have_different_numbers() {
        let heap = Heap::new();
        let numbers = [0, 1].map(|place| {
            let queue = Queue::of(place);
            queue.put(Need::Value, 0, std::iter::once(Value::new_int(&heap, 1)));
            queue.take(&[]).expect("it was offered").offer
        });
        assert_ne!(numbers[0], numbers[1]);
    }
}
