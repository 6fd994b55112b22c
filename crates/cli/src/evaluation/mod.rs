//! Evaluation with the settings in force, over a [`World`].

mod flake_reference;
mod home;
mod insight;
mod installable;

use std::sync::Arc;

use nival_eval::debug::{Debugging, StopAt};
use nival_eval::{
    Collection, ErrorKind, EvalError, Evaluator, Host, LintLevel, SearchEntry, Verbosity, with_big_stack,
};
use nival_syntax::{Diagnostic, HumanStyle, Origin, Pos, render_human, render_reference};

use insight::Insight;

pub(crate) use home::{Home, home};
pub(crate) use installable::{
    Argument, Arguments, FlakeDefault, Installables, argument_file, argument_values, file_argument,
    given_arguments, named_flake, read_stdin, split_outputs,
};

use crate::arguments::BuildArguments;
use crate::building::{self, Target};
use crate::context::Context;
use crate::error::{CommandError, Kind, Result};
use crate::eval_cache::{self, Recorder};
use crate::host::WorldHost;
use crate::world::World;

/// When garbage is collected: as variables say that C++ Nix has from its collector (Boehm's), or before values take
/// more than a half of the memory that there is. `NIVAL_GC_STRESS` and `NIVAL_GC_JOBS` are for tests of our own.
fn collection(context: &Context) -> Collection {
    let size = |variable| context.variable(variable).and_then(bytes);
    if context.variable("GC_DONT_GC").is_some() {
        return Collection::NEVER;
    }
    let from = size("GC_INITIAL_HEAP_SIZE").unwrap_or_else(|| available_memory() / 2);
    let jobs_from = size("NIVAL_GC_JOBS").unwrap_or(LARGE_JOB);
    Collection { from, jobs_from, stress: size("NIVAL_GC_STRESS") }
}

/// What an evaluation must make, in bytes, so that looking for what of it is still needed pays.
const LARGE_JOB: usize = 128 << 20;

/// How many bytes of memory the machine has, or lets a container have (cgroup v2).
fn available_memory() -> usize {
    let machine = rustix::system::sysinfo();
    let machine = (machine.totalram as usize).saturating_mul(machine.mem_unit as usize);
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max");
    container
        .ok()
        .and_then(|limit| limit.trim().parse().ok())
        .map_or(machine, |limit: usize| limit.min(machine))
}

/// `1000`, `64k`, `512M`, `2g`
fn bytes(text: &str) -> Option<usize> {
    let (number, shift) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    number.parse::<usize>().ok()?.checked_mul(1 << shift)
}

/// What an evaluator is made from.
pub(crate) struct Session<'a> {
    world: &'a Arc<World>,
    settings: nival_eval::Settings,
    /// Whether to tell where the time went.
    pub(crate) profile: bool,
}

pub(crate) type Evaluated<T> = nival_eval::Result<T>;

impl<'a> Session<'a> {
    pub(crate) fn new(world: &'a Arc<World>, include: &[String]) -> Self {
        let settings = &world.settings;
        let stop_at = StopAt {
            no_tries: settings.ignore_try,
            traces: settings.debugger_on_trace,
            warnings: settings.debugger_on_warn,
        };
        let mut entries: Vec<String> = include.to_vec();
        entries.extend(if settings.given.contains("nix-path") {
            settings.nix_path.clone()
        } else {
            usual_search_path(world)
        });
        Self {
            world,
            profile: false,
            settings: nival_eval::Settings {
                pure_eval: settings.pure_eval,
                shows_sources: settings.pure_eval || !world.as_reference,
                restrict_eval: settings.restrict_eval,
                allowed_uris: settings.allowed_uris.clone(),
                allow_import_from_derivation: settings.allow_import_from_derivation,
                // A debugger follows one thread.
                eval_cores: if world.debugger.is_some() {
                    1
                } else {
                    usize::try_from(settings.eval_cores).unwrap_or(usize::MAX)
                },
                trace_import_from_derivation: settings.trace_import_from_derivation,
                max_call_depth: u32::try_from(settings.max_call_depth).unwrap_or(u32::MAX),
                search_path: entries.iter().map(|entry| SearchEntry::parse(entry)).collect(),
                debugging: world.debugger.map(|debugger| Debugging::new(debugger(world), stop_at)),
                trace_verbose: settings.trace_verbose,
                abort_on_warn: settings.abort_on_warn,
                lint_url_literals: settings.lint_url_literals,
                lint_absolute_path_literals: settings.lint_absolute_path_literals,
                lint_short_path_literals: match settings.lint_short_path_literals {
                    LintLevel::Ignore
                        if settings.warn_short_path_literals
                            && !settings.given.contains("lint-short-path-literals") =>
                    {
                        LintLevel::Warn
                    }
                    level => level,
                },
                show_trace: settings.show_trace,
                verbosity: world.verbosity,
                home: (!settings.pure_eval).then(|| world.context.home().to_string_lossy().into_owned()),
                experimental_features: settings.experimental_features.clone(),
                current_system: settings.this_system(),
                collection: collection(&world.context),
                watch: None,
            },
        }
    }

    /// Runs `work` with an evaluator, and nothing is remembered.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce(&Evaluator) -> Evaluated<T> + Send) -> Result<T> {
        self.run_on(Arc::new(WorldHost(Arc::clone(self.world))), work)
    }

    /// Runs `work` with an evaluator on a deep stack, and renders its error.
    fn run_on<T: Send>(
        &self,
        host: Arc<dyn Host>,
        work: impl FnOnce(&Evaluator) -> Evaluated<T> + Send,
    ) -> Result<T> {
        let insight = Insight::wanted(self.world, self.profile)?;
        let mut settings = self.settings.clone();
        if let Some(insight) = &insight {
            settings.watch = Some(Arc::clone(&insight.watch));
            // A watch follows one thread.
            settings.eval_cores = 1;
        }
        let world = self.world;
        let memory = insight.as_ref().map(|insight| &insight.memory);
        let outcome = with_big_stack(move || {
            let evaluator = Evaluator::new(host, settings);
            let begun = evaluator.talk_of_beginning();
            let restricted = evaluator.settings().restrict_eval;
            let allowed =
                begun.and_then(|()| if restricted { evaluator.allow_search_path() } else { Ok(()) });
            let outcome = allowed.and_then(|()| work(&evaluator));
            if let Some(memory) = memory {
                let _ = memory.set((evaluator.allocated_bytes() as u64, evaluator.memory_statistics()));
            }
            outcome.map_err(|error| {
                let kind = match error.kind() {
                    ErrorKind::HashMismatch => Kind::HashMismatch,
                    ErrorKind::Usage if world.as_reference => Kind::Usage,
                    _ => Kind::Failure,
                };
                CommandError::new(kind, render(world, &error, world.settings.show_trace))
            })
        });
        if let Some(insight) = insight {
            insight.tell(self.world)?;
        }
        outcome
    }

    /// Runs `work`, unless the cache has what it said when it was asked the same `question` and everything that it
    /// read is unchanged. Each part of the answer goes to `sink`, in both cases. Derivations are in the store
    /// afterwards.
    ///
    /// `work` may look at the world through the evaluator only, since nothing else is noted, and at what is in
    /// `question`.
    pub(crate) fn answer(
        &self,
        question: &[impl AsRef<[u8]>],
        work: impl FnOnce(&Evaluator, &mut dyn FnMut(&[u8])) -> Evaluated<()> + Send,
        mut sink: impl FnMut(&[u8]) -> Result + Send,
    ) -> Result {
        let slot = match Insight::wanted(self.world, self.profile)? {
            None if self.world.verbosity <= Verbosity::Usual => {
                eval_cache::slot(self.world, &self.settings, question)
            }
            // What the user wants to look at has to happen.
            _ => None,
        };
        if let Some(said) = slot.as_ref().and_then(|slot| slot.recall(self.world)) {
            return eval_cache::replay(self.world, &said, sink);
        }
        let host = WorldHost(Arc::clone(self.world));
        let Some(slot) = slot else {
            return self.run_with_sink(Arc::new(host), work, sink);
        };
        let recorder = Arc::new(Recorder::new(host));
        let noted = |bytes: &[u8]| {
            recorder.say(bytes);
            sink(bytes)
        };
        self.run_with_sink(Arc::<Recorder>::clone(&recorder), work, noted)?;
        slot.keep(self.world, &recorder);
        Ok(())
    }

    fn run_with_sink(
        &self,
        host: Arc<dyn Host>,
        work: impl FnOnce(&Evaluator, &mut dyn FnMut(&[u8])) -> Evaluated<()> + Send,
        mut sink: impl FnMut(&[u8]) -> Result + Send,
    ) -> Result {
        let mut poured = Ok(());
        let outcome = self.run_on(host, |evaluator| {
            work(evaluator, &mut |bytes| {
                if poured.is_ok() {
                    poured = sink(bytes);
                }
            })
        });
        poured.and(outcome)?;
        self.world.write_derivations()
    }

    /// As [`Session::answer`], for an answer of one part.
    pub(crate) fn answer_once(
        &self,
        question: &[impl AsRef<[u8]>],
        work: impl FnOnce(&Evaluator) -> Evaluated<Vec<u8>> + Send,
    ) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        let say = |evaluator: &Evaluator, say: &mut dyn FnMut(&[u8])| {
            say(&work(evaluator)?);
            Ok(())
        };
        self.answer(question, say, |bytes| {
            answer.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(answer)
    }

    /// Evaluates an expression of ours to a string.
    fn string(&self, expression: &str) -> Result<Vec<u8>> {
        self.answer_once(&["string", expression], |evaluator| {
            // Named as part of the library, so that errors show the user's own text first.
            let origin = Origin::File("/__nival__/«command»".to_owned());
            let value = evaluator.eval_text(origin, expression.as_bytes().to_vec(), "/")?;
            Ok(evaluator.force_string(value, Pos::NONE, "")?.bytes().to_vec())
        })
    }
}

/// An error as the user of the program wants to read it.
pub(crate) fn render(world: &World, error: &EvalError, show_trace: bool) -> String {
    render_diagnostic(world, &error.to_diagnostic(), show_trace)
}

/// The same, of what an error says.
pub(crate) fn render_diagnostic(world: &World, diagnostic: &Diagnostic, show_trace: bool) -> String {
    if world.as_reference {
        render_reference(diagnostic, show_trace)
    } else {
        render_human(diagnostic, HumanStyle { colour: world.output.colour, show_trace })
    }
}

/// Where `<name>` is looked up when nobody says it: in the user's and root's channels, if there are any (C++ Nix manual,
/// `nix-path`).
fn usual_search_path(world: &World) -> Vec<String> {
    let (context, settings) = (&world.context, &world.settings);
    if settings.pure_eval || settings.restrict_eval {
        return Vec::new();
    }
    let state = context.variable("NIX_STATE_DIR").unwrap_or("/nix/var/nix");
    let root = format!("{state}/profiles/per-user/root/channels");
    let user = context.home().join(".nix-defexpr/channels").to_string_lossy().into_owned();
    let places = [("", user), ("nixpkgs=", format!("{root}/nixpkgs")), ("", root)];
    let there = places.into_iter().filter(|(_, path)| std::path::Path::new(path).exists());
    there.map(|(prefix, path)| format!("{prefix}{path}")).collect()
}

/// A string as a literal of the language.
fn quote(text: &str) -> String {
    let mut literal = Vec::new();
    nival_syntax::print::string(&mut literal, text.as_bytes());
    String::from_utf8_lossy(&literal).into_owned()
}

/// The derivations that `nival build` is to build.
pub(crate) fn derivations(world: &Arc<World>, arguments: &BuildArguments) -> Result<Vec<Target>> {
    if let Some(path) = arguments.installable.as_deref().filter(|path| path.ends_with(".drv")) {
        let derivation = world.store()?.parse(path)?;
        return Ok(vec![Target { derivation, outputs: nival_build::WantedOutputs::All }]);
    }
    let installables =
        Installables::new(world, &arguments.source, given_arguments(&world.context, &arguments.source)?)?;
    let name = arguments.installable.as_deref().unwrap_or(".");
    let question = ["build".to_owned(), format!("{installables:?} {name}")];
    let mut found = Vec::new();
    Session::new(world, &arguments.source.include).answer(
        &question,
        |evaluator, say| derivations_in(evaluator, world, &installables, name, say),
        |said| {
            let said = String::from_utf8_lossy(said);
            let (path, output) = said.rsplit_once('!').expect("each path has its output");
            found.push((world.store_dir().parse(path).map_err(CommandError::failure)?, output.to_owned()));
            Ok(())
        },
    )?;
    let (_, wanted) = split_outputs(name).map_err(CommandError::failure)?;
    let mut targets: Vec<Target> = Vec::new();
    for (derivation, output) in found {
        if let Some(wanted) = &wanted {
            let target = Target { derivation, outputs: wanted.clone() };
            if !targets.contains(&target) {
                targets.push(target);
            }
        } else {
            targets.push(building::output(derivation, &output));
        }
    }
    Ok(targets)
}

/// Says where the derivations are that a word of the command line stands for, with the outputs that are meant.
fn derivations_in(
    evaluator: &Evaluator,
    world: &World,
    installables: &Installables,
    name: &str,
    say: &mut dyn FnMut(&[u8]),
) -> Evaluated<()> {
    let value = installables.value(evaluator, &world.context, name)?;
    let arguments = argument_values(evaluator, &installables.arguments, &installables.base)?;
    if installables.are_flakes() && !evaluator.is_derivation(value)? {
        let fragment = name.split_once('#').map_or("", |(_, fragment)| fragment);
        let fragment = split_outputs(fragment)?.0.trim_start_matches('.');
        let what = format!("flake output attribute '{fragment}' to be a derivation or path");
        return Err(evaluator.expected(&what, value));
    }
    evaluator.packages(value, &arguments, &mut |package| {
        let path = world.store_dir().display(&package.derivation);
        say(format!("{path}!{}", package.output).as_bytes());
    })
}
