//! What users may ask of an evaluation's work: statistics, flamegraphs, profiles.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nival_eval::watch::{Counter, Kind, Spent, Wanted, Watch};
use nival_eval::{Statistics, Verbosity};
use nival_syntax::{Pos, Symbol};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::output::Loudness;
use crate::settings::EvalProfiler;
use crate::world::World;

/// How many lines each part of a profile has.
const LINES: usize = 15;

/// An evaluation that is watched.
pub(super) struct Insight {
    pub(super) watch: Arc<Watch>,
    /// Bytes of values and what became of their memory, as the evaluator says when it is done.
    pub(super) memory: OnceLock<(u64, Statistics)>,
    statistics: bool,
    calls: bool,
    flamegraph: Option<File>,
    profile: bool,
    started: Instant,
}

/// As C++ Nix reads these variables: unset and `0` say no (`eval.cc`).
fn is_set(context: &Context, variable: &str) -> bool {
    context.environment.get(variable).is_some_and(|value| value != "0")
}

impl Insight {
    /// What the environment, the settings and the command line ask for, if anything.
    pub(super) fn wanted(world: &World, profile: bool) -> Result<Option<Self>> {
        let statistics = is_set(&world.context, "NIX_SHOW_STATS");
        let calls = statistics && is_set(&world.context, "NIX_COUNT_CALLS");
        let settings = &world.settings;
        let (flamegraph, stacks) = match settings.eval_profiler {
            EvalProfiler::Disabled => (None, None),
            EvalProfiler::Flamegraph => {
                let path = world.context.absolute(&settings.eval_profile_file);
                let period = match settings.eval_profiler_frequency {
                    0 => Duration::ZERO,
                    frequency => Duration::from_secs(1) / u32::try_from(frequency).unwrap_or(u32::MAX),
                };
                (Some(create(&path)?), Some(period))
            }
        };
        let is_quiet = world.output.loudness < Loudness::Usual || world.verbosity < Verbosity::Usual;
        let traces = settings.trace_function_calls && !is_quiet;
        if !statistics && !profile && stacks.is_none() && !traces {
            return Ok(None);
        }
        Ok(Some(Self {
            watch: Arc::new(Watch::new(Wanted { calls, stacks, times: profile, traces })),
            memory: OnceLock::new(),
            statistics,
            calls,
            flamegraph,
            profile,
            started: Instant::now(),
        }))
    }

    /// Tells what was seen.
    pub(super) fn tell(self, world: &World) -> Result {
        if let Some(mut file) = self.flamegraph.as_ref() {
            let mut text = String::new();
            for (stack, times) in self.watch.folded_stacks() {
                let _ = writeln!(text, "{stack} {times}");
            }
            file.write_all(text.as_bytes())
                .map_err(|error| CommandError::failure(format!("writing the evaluation profile: {error}")))?;
        }
        if self.profile {
            world.output.alert(self.profile());
        }
        if self.statistics {
            let text = serde_json::to_string_pretty(&self.statistics(&world.context))
                .map_err(CommandError::failure)?;
            match world.context.variable("NIX_SHOW_STATS_PATH").filter(|path| *path != "-") {
                None => world.output.alert(text),
                Some(path) => {
                    let path = world.context.absolute(path);
                    writeln!(create(&path)?, "{text}").map_err(|error| {
                        CommandError::failure(format!("writing '{}': {error}", path.display()))
                    })?;
                }
            }
        }
        Ok(())
    }

    /// The keys of C++ Nix 2.34 (`EvalState::printStatistics`); the book says what differs in meaning.
    fn statistics(&self, context: &Context) -> Value {
        let count = |counter| self.watch.count(counter);
        let (allocated, memory) = self.memory.get().copied().unwrap_or_default();
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        let [frames, frame_values] = [count(Counter::Frames), count(Counter::FrameValues)];
        let [sets, set_elements] = [count(Counter::Sets), count(Counter::SetElements)];
        let list_elements = count(Counter::ListElements);
        let values = frame_values + set_elements + list_elements;
        let mut statistics = json!({
            "cpuTime": cpu,
            "envs": { "bytes": 8 * (frames + frame_values), "elements": frame_values, "number": frames },
            "gc": { "cycles": memory.cycles, "heapSize": memory.heap_bytes, "totalBytes": allocated },
            "list": {
                "bytes": 8 * list_elements,
                "concats": count(Counter::ListConcats),
                "elements": list_elements,
            },
            "nrAvoided": count(Counter::Avoided),
            "nrExprs": count(Counter::Expressions),
            "nrFunctionCalls": count(Counter::FunctionCalls),
            "nrLookups": count(Counter::Lookups),
            "nrOpUpdateValuesCopied": count(Counter::UpdateValues),
            "nrOpUpdates": count(Counter::Updates),
            "nrPrimOpCalls": count(Counter::BuiltinCalls),
            "nrThunks": count(Counter::Thunks),
            "sets": { "bytes": 16 * sets + 8 * set_elements, "elements": set_elements, "number": sets },
            "sizes": { "Attr": 8, "Bindings": 16, "Env": 8, "Value": 8 },
            "symbols": {
                "bytes": Symbol::all().map(|symbol| symbol.as_bytes().len()).sum::<usize>(),
                "number": Symbol::all().count(),
            },
            "time": { "cpu": cpu, "gc": memory.seconds, "gcFraction": memory.seconds / cpu.max(f64::MIN_POSITIVE) },
            "values": { "bytes": 8 * values, "number": values },
        });
        if self.calls {
            // C++ Nix 2.34 counts selections and prints none of them.
            statistics["attributes"] = Value::Null;
            statistics["functions"] = self.functions();
            statistics["primops"] = json!(self.watch.builtin_calls());
        }
        if is_set(context, "NIX_SHOW_SYMBOLS") {
            statistics["symbols"] = Symbol::all().map(|symbol| symbol.to_string()).collect();
        }
        // In alphabetical order, as the reference prints them.
        let mut keys: Vec<_> =
            std::mem::take(statistics.as_object_mut().unwrap_or(&mut Map::new())).into_iter().collect();
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        Value::Object(keys.into_iter().collect())
    }

    fn functions(&self) -> Value {
        let mut calls: BTreeMap<(u32, Pos), (Option<Symbol>, u64)> = BTreeMap::new();
        for function in self.watch.functions() {
            let entry = calls.entry((function.pos.id(), function.pos)).or_insert((function.name, 0));
            entry.1 += function.calls();
        }
        let mut calls: Vec<_> = calls.into_iter().filter(|(_, (_, count))| *count > 0).collect();
        calls.sort_by_key(|(_, (_, count))| std::cmp::Reverse(*count));
        let show = |((_, pos), (name, count)): ((u32, Pos), (Option<Symbol>, u64))| {
            let mut shown = Map::new();
            if let Some(place) = pos.resolve() {
                shown.insert("column".into(), place.column.into());
                shown.insert("count".into(), count.into());
                if let Some(file) = place.source.origin().path() {
                    shown.insert("file".into(), file.into());
                }
                shown.insert("line".into(), place.line.into());
            } else {
                shown.insert("count".into(), count.into());
            }
            shown.insert("name".into(), name.map_or(Value::Null, |name| name.to_string().into()));
            Value::Object(shown)
        };
        calls.into_iter().map(show).collect()
    }

    fn profile(&self) -> String {
        let whole = self.started.elapsed();
        let mut text = format!("evaluation took {}\n", seconds(whole));
        let parts = [
            (Kind::Option, "option"),
            (Kind::Module, "definitions of a module"),
            (Kind::Package, "derivation"),
            (Kind::File, "file"),
        ];
        for (kind, title) in parts {
            let spent = self.watch.times(kind);
            if !spent.is_empty() {
                table(&mut text, title, &spent, whole);
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path)
        .map_err(|error| CommandError::failure(format!("opening file '{}': {error}", path.display())))
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// What took longest by itself, one line each.
fn table(text: &mut String, title: &str, spent: &[Spent], whole: Duration) {
    let share = |time: Duration| 100.0 * time.as_secs_f64() / whole.as_secs_f64().max(1e-9);
    let _ = writeln!(text, "\n{:>10} {:>6} {:>10} {:>6} {:>8}  {title}", "self", "%", "total", "%", "times");
    for Spent { name, own, total, times } in spent.iter().take(LINES) {
        let (own_share, total_share) = (share(*own), share(*total));
        let (own, total) = (seconds(*own), seconds(*total));
        let _ =
            writeln!(text, "{own:>10} {own_share:>6.1} {total:>10} {total_share:>6.1} {times:>8}  {name}");
    }
    if let Some(rest) = spent.get(LINES..).filter(|rest| !rest.is_empty()) {
        let own = rest.iter().map(|spent| spent.own).sum();
        let (shown, own_share) = (seconds(own), share(own));
        let _ = writeln!(text, "{shown:>10} {own_share:>6.1} {:>27}{} more", "", rest.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table() {
        let spent = |name: &str, own, total| Spent {
            name: name.into(),
            own: Duration::from_millis(own),
            total: Duration::from_millis(total),
            times: 3,
        };
        let mut many = vec![spent("a.b", 500, 1000), spent("c", 250, 250)];
        many.extend((0..LINES).map(|number| spent(&number.to_string(), 1, 1)));
        let mut text = String::new();
        table(&mut text, "option", &many, Duration::from_secs(1));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "      self      %      total      %    times  option");
        assert_eq!(lines[2], "   0.500 s   50.0    1.000 s  100.0        3  a.b");
        assert_eq!(lines[3], "   0.250 s   25.0    0.250 s   25.0        3  c");
        assert_eq!(lines.len(), 2 + LINES + 1);
        assert_eq!(lines.last().copied(), Some("   0.002 s    0.2                            2 more"));
    }
}
