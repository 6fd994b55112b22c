//! Which derivations have to be built, in which order, and the threads that build them.
//!
//! All output paths are known before anything runs, so the graph is drawn once and then only counted down.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nival_formats::{Derivation, StorePath};
use nival_store::LocalStore;

use crate::build_dir::remove_left_over;
use crate::error::{BuildError, BuildFailure, FailureKind};
use crate::event::{BuildEvent, EventSink};
use crate::job::{Job, Outcome, Trail};
use crate::options::{BuildOptions, CancelToken};

/// A derivation and which of its outputs are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedPath {
    /// The derivation.
    pub derivation: StorePath,
    /// Its outputs.
    pub outputs: WantedOutputs,
}

/// Outputs of a derivation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedOutputs {
    /// All there are.
    All,
    /// Those with these names.
    Names(BTreeSet<String>),
}

/// A derivation whose wanted outputs are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realised {
    /// The derivation.
    pub derivation: StorePath,
    /// Its wanted outputs.
    pub outputs: BTreeMap<String, StorePath>,
}

/// What a call of [`realise`] would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// Derivations that would be built, each after those it needs.
    pub will_build: Vec<StorePath>,
    /// Paths that nothing here can make: sources that aren't valid, derivations that can't be read.
    pub unknown: BTreeSet<StorePath>,
}

/// One derivation of the graph.
struct Goal {
    path: StorePath,
    derivation: Derivation,
    outputs: BTreeMap<String, StorePath>,
    dependencies: usize,
    dependents: Vec<usize>,
}

#[derive(Default)]
struct Graph {
    /// Each goal after those it needs.
    goals: Vec<Goal>,
    unknown: BTreeSet<StorePath>,
}

/// A derivation as it was found in the store.
struct Known {
    derivation: Derivation,
    outputs: BTreeMap<String, StorePath>,
    valid: BTreeSet<StorePath>,
}

fn look_up(store: &LocalStore, path: &StorePath) -> Result<Known, BuildError> {
    let unsupported = |reason: String| BuildError::Unsupported { derivation: store.display(path), reason };
    let derivation = store.read_derivation(path)?;
    let mut outputs = BTreeMap::new();
    for (name, output) in &derivation.outputs {
        let known = output
            .path(store.store_dir(), &derivation.name, name)
            .map_err(|error| unsupported(error.to_string()))?
            .ok_or_else(|| {
                unsupported(format!(
                    "its output '{name}' is content-addressed without a fixed hash, which is not supported yet"
                ))
            })?;
        outputs.insert(name.clone(), known);
    }
    if derivation.input_derivations.values().any(|wanted| !wanted.dynamic.is_empty()) {
        return Err(unsupported("it needs dynamic derivations, which are not supported yet".into()));
    }
    let valid = store.query_valid_paths(outputs.values())?;
    Ok(Known { derivation, outputs, valid })
}

/// Draws the graph below the wanted outputs, without recursion: derivations nest thousands deep.
fn draw(store: &LocalStore, wanted: &[DerivedPath]) -> Result<Graph, BuildError> {
    enum Step {
        Enter(StorePath, WantedOutputs, bool),
        Leave(StorePath),
    }
    let mut graph = Graph::default();
    let mut known: HashMap<StorePath, Known> = HashMap::new();
    let mut entered: BTreeSet<StorePath> = BTreeSet::new();
    let mut numbers: HashMap<StorePath, usize> = HashMap::new();
    let mut steps: Vec<Step> = wanted
        .iter()
        .rev()
        .map(|wanted| Step::Enter(wanted.derivation.clone(), wanted.outputs.clone(), true))
        .collect();
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(path, wanted, asked_for) => {
                if !known.contains_key(&path) {
                    // The caller hears of its own wrong paths; those of others are reported when they are needed.
                    match look_up(store, &path) {
                        Ok(found) => known.insert(path.clone(), found),
                        Err(BuildError::Store(_)) if !asked_for => {
                            graph.unknown.insert(path);
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                }
                let found = &known[&path];
                let needed = select(store, &path, &found.outputs, &wanted)?;
                if entered.contains(&path) || needed.values().all(|output| found.valid.contains(output)) {
                    continue;
                }
                entered.insert(path.clone());
                steps.push(Step::Leave(path.clone()));
                for (input, outputs) in found.derivation.input_derivations.iter().rev() {
                    let outputs = WantedOutputs::Names(outputs.outputs.clone());
                    steps.push(Step::Enter(input.clone(), outputs, false));
                }
                let sources = &found.derivation.input_sources;
                let valid = store.query_valid_paths(sources)?;
                graph.unknown.extend(sources.difference(&valid).cloned());
            }
            Step::Leave(path) => {
                let Some(Known { derivation, outputs, .. }) = known.get(&path) else { continue };
                let number = graph.goals.len();
                let needs: Vec<usize> = derivation
                    .input_derivations
                    .keys()
                    .filter_map(|input| numbers.get(input).copied())
                    .collect();
                for need in &needs {
                    graph.goals[*need].dependents.push(number);
                }
                numbers.insert(path.clone(), number);
                graph.goals.push(Goal {
                    path,
                    derivation: derivation.clone(),
                    outputs: outputs.clone(),
                    dependencies: needs.len(),
                    dependents: Vec::new(),
                });
            }
        }
    }
    Ok(graph)
}

fn select(
    store: &LocalStore,
    derivation: &StorePath,
    outputs: &BTreeMap<String, StorePath>,
    wanted: &WantedOutputs,
) -> Result<BTreeMap<String, StorePath>, BuildError> {
    let WantedOutputs::Names(names) = wanted else { return Ok(outputs.clone()) };
    names
        .iter()
        .map(|name| match outputs.get(name) {
            Some(path) => Ok((name.clone(), path.clone())),
            None => {
                Err(BuildError::NoSuchOutput { derivation: store.display(derivation), output: name.clone() })
            }
        })
        .collect()
}

/// What [`realise`] would have to do, without doing it.
pub fn query_missing(store: &LocalStore, wanted: &[DerivedPath]) -> Result<Missing, BuildError> {
    let graph = draw(store, wanted)?;
    let will_build = graph.goals.into_iter().map(|goal| goal.path).collect();
    Ok(Missing { will_build, unknown: graph.unknown })
}

/// Makes the wanted outputs valid: builds what isn't, after what that needs.
pub fn realise(
    store: &LocalStore,
    wanted: &[DerivedPath],
    options: &BuildOptions,
    events: EventSink<'_>,
) -> Result<Vec<Realised>, BuildError> {
    let graph = draw(store, wanted)?;
    if !graph.goals.is_empty() {
        let builds = options.build_dir.clone().unwrap_or_else(|| store.config().state_dir.join("builds"));
        remove_left_over(&builds);
        build_all(store, &graph.goals, options, events)?;
    }
    wanted
        .iter()
        .map(|wanted| {
            let outputs = look_up(store, &wanted.derivation)?.outputs;
            let outputs = select(store, &wanted.derivation, &outputs, &wanted.outputs)?;
            Ok(Realised { derivation: wanted.derivation.clone(), outputs })
        })
        .collect()
}

/// How far the goals are.
struct Progress {
    ready: Vec<usize>,
    /// By goal, how many goals it still waits for.
    waiting: Vec<usize>,
    /// By goal, how many goals that it needs have failed.
    failed: Vec<usize>,
    left: usize,
    failures: Vec<BuildFailure>,
    stopped: bool,
}

struct Scheduler<'a> {
    store: &'a LocalStore,
    goals: &'a [Goal],
    options: &'a BuildOptions,
    events: EventSink<'a>,
    progress: Mutex<Progress>,
    changed: Condvar,
    stop: CancelToken,
}

fn build_all(
    store: &LocalStore,
    goals: &[Goal],
    options: &BuildOptions,
    events: EventSink<'_>,
) -> Result<(), BuildError> {
    let waiting: Vec<usize> = goals.iter().map(|goal| goal.dependencies).collect();
    // Taken from the end, so that the first come first.
    let ready = (0..goals.len()).rev().filter(|number| waiting[*number] == 0).collect();
    let failed = vec![0; goals.len()];
    let progress =
        Progress { ready, waiting, failed, left: goals.len(), failures: Vec::new(), stopped: false };
    let scheduler = Scheduler {
        store,
        goals,
        options,
        events,
        progress: Mutex::new(progress),
        changed: Condvar::new(),
        stop: CancelToken::default(),
    };
    // A build lives as long as the thread that started it, since the kernel ties the two together: each worker
    // stays until the end.
    std::thread::scope(|scope| {
        for _ in 0..options.max_jobs.max(1).min(goals.len()) {
            scope.spawn(|| scheduler.work());
        }
    });
    let progress = scheduler.progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    if options.cancel.is_cancelled() {
        return Err(BuildError::Cancelled);
    }
    if progress.failures.is_empty() { Ok(()) } else { Err(BuildError::Failed(progress.failures)) }
}

impl Scheduler<'_> {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(number) = self.next() {
            let goal = &self.goals[number];
            let started = Instant::now();
            let mut trail = Trail::default();
            let job = Job {
                store: self.store,
                options: self.options,
                events: self.events,
                path: &goal.path,
                derivation: &goal.derivation,
                outputs: &goal.outputs,
                stop: &self.stop,
            };
            match job.build(&mut trail) {
                Ok(outcome) => {
                    let duration = (outcome == Outcome::Built).then(|| started.elapsed());
                    let (derivation, outputs) = (&goal.path, &goal.outputs);
                    (self.events)(BuildEvent::Finished { derivation, outputs, duration });
                    self.finish(number, true);
                }
                Err(kind) => self.fail(number, kind, trail, started),
            }
        }
    }

    fn next(&self) -> Option<usize> {
        let mut progress = self.lock();
        loop {
            if progress.stopped || progress.left == 0 || self.options.cancel.is_cancelled() {
                progress.stopped = true;
                self.changed.notify_all();
                return None;
            }
            if let Some(number) = progress.ready.pop() {
                return Some(number);
            }
            let tick = std::time::Duration::from_millis(100);
            progress = self.changed.wait_timeout(progress, tick).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn fail(&self, number: usize, kind: FailureKind, trail: Trail, started: Instant) {
        let stopped = self.lock().stopped || self.options.cancel.is_cancelled();
        if matches!(kind, FailureKind::Cancelled) && stopped {
            return;
        }
        if !self.options.keep_going {
            self.lock().stopped = true;
            self.stop.cancel();
        }
        self.record(number, kind, trail, started);
        self.finish(number, false);
    }

    fn record(&self, number: usize, kind: FailureKind, trail: Trail, started: Instant) {
        let goal = &self.goals[number];
        let failure = BuildFailure {
            derivation: self.store.display(&goal.path),
            kind,
            outputs: goal.outputs.values().map(|path| self.store.display(path)).collect(),
            log_tail: trail.log_tail,
            log_file: trail.log_file,
            kept_build_dir: trail.kept_build_dir,
        };
        let (derivation, duration) = (&goal.path, started.elapsed());
        (self.events)(BuildEvent::Failed { derivation, failure: &failure, duration });
        self.lock().failures.push(failure);
    }

    /// Counts a goal down, and with it all that can't be built since it failed.
    fn finish(&self, number: usize, good: bool) {
        let mut ended = vec![(number, good)];
        while let Some((number, good)) = ended.pop() {
            let mut hopeless = Vec::new();
            {
                let mut progress = self.lock();
                progress.left -= 1;
                for &dependent in &self.goals[number].dependents {
                    progress.waiting[dependent] -= 1;
                    progress.failed[dependent] += usize::from(!good);
                    let failed = progress.failed[dependent];
                    // Without `keep_going` the first failure decides.
                    if failed == 0 && progress.waiting[dependent] == 0 {
                        progress.ready.push(dependent);
                    } else if (self.options.keep_going && progress.waiting[dependent] == 0 && failed > 0)
                        || (!self.options.keep_going && !good && failed == 1)
                    {
                        hopeless.push((dependent, failed));
                    }
                }
                self.changed.notify_all();
            }
            for (dependent, failed) in hopeless {
                self.record(dependent, FailureKind::Dependencies(failed), Trail::default(), Instant::now());
                ended.push((dependent, false));
            }
        }
    }
}
