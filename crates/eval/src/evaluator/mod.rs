//! The evaluator: one per thread, over state that all share.

mod call;
mod coerce;
mod compare;
mod env;
mod equality;
mod expect;
mod files;
mod fold;
mod force;
mod globals;
mod inequality;
mod inputs;
mod interrupt;
mod job;
mod made;
mod make;
mod names;
mod parallel;
mod repeats;

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nival_syntax::{Pos, Symbol};

pub use coerce::Coercion;
pub(crate) use coerce::Text;
pub(crate) use env::{Env, LOCAL};
pub use expect::describe_type;
pub use files::is_pseudo_url;
pub(crate) use force::{place, place_or};
pub(crate) use globals::Globals;
pub(crate) use inputs::{Sought, Tree};
pub use interrupt::Interrupt;
pub(crate) use parallel::Need;
pub use settings::{LintLevel, SearchEntry, Settings, Verbosity};

mod settings;

use crate::compile::ResolverRoom;
use crate::debug::Debugging;
use crate::error::{FrameText, Result};
use crate::host::Host;
use crate::memory::{self, Heap};
use crate::stack;
use crate::value::{Str, Thunk};
use crate::watch::Watch;

/// How many evaluators there can be at a time.
const MAX_EVALUATORS: u32 = 1 << 10;

/// Evaluates expressions. It belongs to one thread; [`Evaluator::fork`] makes another over the same state.
pub struct Evaluator {
    pub(crate) heap: Heap,
    pub(crate) resolver_room: ResolverRoom,
    /// The strings of names, by symbol number.
    name_strings: RefCell<Vec<Option<make::NameStrings>>>,
    names: names::Names,
    name_lists: names::NameLists,
    compared: equality::ComparedSets,
    made_strings: repeats::MadeStrings,
    /// Pieces of strings that are being put together.
    pub(crate) pieces: RefCell<Vec<Str>>,
    /// This evaluator's number, above zero.
    owner: u32,
    /// Whether no other evaluator can have come to know its values.
    is_alone: Cell<bool>,
    jobs: job::Jobs,
    /// How many more calls may be inside of each other; below zero there is one too many.
    calls_left: Cell<i64>,
    /// The lowest address that the stack may reach. Another thread sets it to the highest to stop this one.
    stack_limit: &'static AtomicUsize,
    /// When the stack was last cleared, in bytes handed out by the heap, and from where on.
    cleared: Cell<(usize, usize)>,
    /// Bytes of kept trees that it got from the host.
    loaded: Cell<usize>,
    /// When the host next puts away what it can have again, in bytes handed out by the heap and loaded.
    put_away_at: Cell<usize>,
    /// Its queue, if it is of the crew.
    place: Option<usize>,
    /// The threads that it started to help it.
    helpers: RefCell<parallel::Helpers>,
    /// The element that needs itself, while this is being found out.
    going_round: Cell<Option<Thunk>>,
    /// Numbers of elements that are in no place of their own.
    elements: Cell<u16>,
    /// The offers with what it does ahead of need, and began before something of that had to wait.
    stuck_in: RefCell<Vec<u64>>,
    /// Who wants to see every call, if anybody.
    observer: Option<Observer>,
    pub(crate) shared: Arc<Shared>,
}

enum Observer {
    Watch(Arc<Watch>),
    Debugging(Arc<Debugging>),
}

impl Observer {
    fn of(settings: &Settings) -> Option<Observer> {
        let debugging = settings.debugging.clone().map(Observer::Debugging);
        debugging.or_else(|| settings.watch.clone().map(Observer::Watch))
    }
}

/// What all evaluators of a program have in common.
pub(crate) struct Shared {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) settings: Settings,
    pub(crate) files: files::Files,
    pub(crate) crew: parallel::Crew,
    pub(crate) made: made::Made,
    inputs: inputs::Inputs,
    globals: OnceLock<Globals>,
    /// The setting `show-trace`, which may change between two lines of a REPL.
    show_trace: AtomicBool,
}

/// The numbers of evaluators that ended, to be used again.
static FREE_OWNERS: Mutex<Vec<u32>> = Mutex::new(Vec::new());
static NEXT_OWNER: AtomicU32 = AtomicU32::new(1);

static STACK_LIMITS: [AtomicUsize; MAX_EVALUATORS as usize] =
    [const { AtomicUsize::new(0) }; MAX_EVALUATORS as usize];

impl Evaluator {
    /// An evaluator for the current thread. Deep expressions need a deep stack: see
    /// [`with_big_stack`](crate::with_big_stack).
    ///
    /// # Panics
    /// When a thousand of them exist already.
    pub fn new(host: Arc<dyn Host>, settings: Settings) -> Evaluator {
        crate::builtins::intern_names();
        memory::configure(settings.collection);
        let crew = parallel::Crew::of(settings.eval_cores);
        let place = (!crew.is_empty()).then_some(0);
        let (files, inputs) = (files::Files::default(), inputs::Inputs::default());
        let show_trace = AtomicBool::new(settings.show_trace);
        let globals = OnceLock::new();
        let made = made::Made::default();
        let shared = Shared { host, settings, files, crew, made, inputs, globals, show_trace };
        let mut evaluator = Evaluator::fork(&SharedState(Arc::new(shared)));
        evaluator.place = place;
        evaluator.is_alone = Cell::new(true);
        evaluator
    }

    /// What to hand to another thread for [`Evaluator::fork`].
    pub fn shared(&self) -> SharedState {
        self.is_alone.set(false);
        SharedState(self.shared.clone())
    }

    /// Another evaluator over the same state, for the current thread.
    pub fn fork(shared: &SharedState) -> Evaluator {
        let free = FREE_OWNERS.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let owner = free.unwrap_or_else(|| NEXT_OWNER.fetch_add(1, Ordering::Relaxed));
        assert!(owner < MAX_EVALUATORS, "no more than {MAX_EVALUATORS} evaluators at a time");
        let stack_limit = &STACK_LIMITS[owner as usize];
        stack_limit.store(stack::current_limit(), Ordering::Relaxed);
        parallel::set_ahead(owner, false);
        job::LIVING.fetch_add(1, Ordering::Relaxed);
        Evaluator {
            heap: Heap::new(),
            resolver_room: ResolverRoom::default(),
            name_strings: RefCell::default(),
            names: names::no_names(),
            name_lists: names::no_name_lists(),
            compared: equality::no_compared_sets(),
            made_strings: repeats::no_made_strings(),
            pieces: RefCell::default(),
            owner,
            is_alone: Cell::new(false),
            jobs: job::Jobs::of(&shared.0.settings),
            calls_left: Cell::new(shared.0.settings.max_call_depth.into()),
            stack_limit,
            cleared: Cell::default(),
            loaded: Cell::new(0),
            put_away_at: Cell::new(force::PUT_AWAY_FROM / shared.0.crew.threads()),
            place: None,
            helpers: RefCell::default(),
            going_round: Cell::new(None),
            elements: Cell::new(0),
            stuck_in: RefCell::default(),
            observer: Observer::of(&shared.0.settings),
            shared: shared.0.clone(),
        }
    }

    /// The world.
    pub fn host(&self) -> &dyn Host {
        &*self.shared.host
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Whether somebody wants to see every call, also those that need not be made.
    pub(crate) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// Whether errors keep a frame for each call.
    pub(crate) fn shows_calls(&self) -> bool {
        self.shared.show_trace.load(Ordering::Relaxed)
    }

    /// Lets errors keep a frame for each call, or not.
    pub fn show_calls(&self, show: bool) {
        self.shared.show_trace.store(show, Ordering::Relaxed);
    }

    /// Bytes of values made so far.
    pub fn allocated_bytes(&self) -> usize {
        self.heap.allocated_bytes()
    }

    /// What became of the memory of values, in the whole process.
    pub fn memory_statistics(&self) -> memory::Statistics {
        memory::statistics()
    }

    /// Goes one call deeper, until the guard is dropped.
    #[inline(always)]
    pub(crate) fn enter(&self, pos: Pos) -> Result<DepthGuard<'_>> {
        self.enter_at(|| pos)
    }

    /// The same where the position has to be looked up.
    #[inline(always)]
    pub(crate) fn enter_at(&self, pos: impl FnOnce() -> Pos) -> Result<DepthGuard<'_>> {
        let left = self.calls_left.get();
        if left < 0 || self.is_at_the_stacks_end() {
            return Err(self.stack_end(pos()));
        }
        self.calls_left.set(left - 1);
        Ok(DepthGuard(&self.calls_left))
    }

    /// Whether there may be one more call: for those of which nothing is to be seen but that they can be one too many.
    #[inline(always)]
    pub(crate) fn check_depth(&self, pos: Pos) -> Result<()> {
        if self.calls_left.get() < 0 { Err(self.stack_end(pos)) } else { Ok(()) }
    }

    /// Does something one call deeper, where [`Evaluator::check_depth`] found room.
    #[inline(always)]
    pub(crate) fn deeper<T>(&self, work: impl FnOnce() -> T) -> T {
        let left = self.calls_left.get();
        self.calls_left.set(left - 1);
        let result = work();
        self.calls_left.set(left);
        result
    }

    #[inline(always)]
    fn is_at_the_stacks_end(&self) -> bool {
        stack::current_address() < self.stack_limit.load(Ordering::Relaxed)
    }

    /// How many brackets of a text may stand inside each other: what the native stack has room for, up to about what
    /// C++ Nix has room for.
    pub(crate) fn max_nesting(&self) -> u32 {
        const MOST: usize = 250_000;
        let free = stack::current_address().saturating_sub(self.stack_limit.load(Ordering::Relaxed));
        (free / stack::EACH_LEVEL).clamp(nival_syntax::MAX_DEPTH as usize / 10, MOST) as u32
    }

    /// Whether there is native stack left.
    #[inline(always)]
    pub(crate) fn check_stack(&self, pos: Pos) -> Result<()> {
        if self.is_at_the_stacks_end() { Err(self.stack_end(pos)) } else { Ok(()) }
    }
}

impl Drop for Evaluator {
    fn drop(&mut self) {
        self.end_helpers();
        job::LIVING.fetch_sub(1, Ordering::Relaxed);
        FREE_OWNERS.lock().unwrap_or_else(PoisonError::into_inner).push(self.owner);
    }
}

/// The state that evaluators share.
#[derive(Clone)]
pub struct SharedState(Arc<Shared>);

pub(crate) struct DepthGuard<'a>(&'a Cell<i64>);

impl Drop for DepthGuard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// The frame of an attribute's value.
pub(crate) fn attribute_frame(name: Symbol) -> FrameText {
    FrameText::Named("while evaluating the attribute '", name, "'")
}
