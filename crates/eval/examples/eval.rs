//! Evaluates from the command line, with a store that is only in memory.
//!
//! `eval [--strict] [--raw] [--json] [--nix-instantiate] [--show-trace] [--stats] [--cores N] [--collect-from BYTES] [--stress BYTES] (--expr TEXT | -f FILE) [ATTR]`

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use nival_eval::memory_host::MemoryHost;
use nival_eval::{Coercion, EvalError, Evaluator, PrintErrors, PrintOptions, SearchEntry, Settings};
use nival_syntax::Pos;

fn main() -> ExitCode {
    nival_eval::with_big_stack(run)
}

fn run() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut expr, mut file, mut attr, mut stats) = (None, None, String::new(), false);
    let mut format = String::new();
    let mut settings = Settings { home: std::env::var("HOME").ok(), ..Settings::default() };
    if let Ok(path) = std::env::var("NIX_PATH") {
        settings.search_path =
            path.split(':').filter(|entry| !entry.is_empty()).map(SearchEntry::parse).collect();
    }
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--expr" => expr = arguments.next(),
            "-f" => file = arguments.next(),
            "--strict" | "--raw" | "--json" | "--nix-instantiate" => format = argument,
            "--collect-from" => {
                let from = arguments.next().and_then(|bytes| bytes.parse().ok());
                settings.collection.from = from.unwrap_or(usize::MAX);
            }
            "--stress" => settings.collection.stress = arguments.next().and_then(|bytes| bytes.parse().ok()),
            "--show-trace" => settings.show_trace = true,
            "--stats" => stats = true,
            "--cores" => {
                settings.eval_cores = arguments.next().and_then(|cores| cores.parse().ok()).unwrap_or(0);
            }
            _ => attr = argument,
        }
    }
    let show_trace = settings.show_trace;
    let ev = Evaluator::new(Arc::new(MemoryHost::on_disk()), settings);
    let base = std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
    let result = evaluate(&ev, expr.as_deref(), file.as_deref(), &base, &attr, &format);
    let code = match result {
        Ok(mut text) => {
            if format != "--raw" {
                text.push(b'\n');
            }
            if std::io::stdout().write_all(&text).is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            let shown = nival_syntax::render_reference(&error.to_diagnostic(), show_trace);
            let _ = writeln!(std::io::stderr(), "{shown}");
            ExitCode::FAILURE
        }
    };
    if stats {
        let _ = writeln!(
            std::io::stderr(),
            "{} bytes of values, {:?}",
            ev.allocated_bytes(),
            ev.memory_statistics()
        );
    }
    code
}

fn evaluate(
    ev: &Evaluator,
    expr: Option<&str>,
    file: Option<&str>,
    base: &str,
    attr: &str,
    format: &str,
) -> Result<Vec<u8>, EvalError> {
    let root = match (expr, file) {
        (Some(expr), _) => ev.eval_str(expr, base)?,
        (None, Some(file)) => {
            let path = std::path::Path::new(base).join(file);
            match format {
                "--strict" | "--nix-instantiate" => ev.eval_file_by_itself(&path)?,
                _ => ev.eval_file(&path)?,
            }
        }
        (None, None) => return Err(EvalError::other("give --expr or -f")),
    };
    let value = ev.find_along_path(attr, &BTreeMap::new(), root)?;
    match format {
        "--raw" => Ok(ev.coerce_to_string(value, Coercion::Interpolation, Pos::NONE, "")?.bytes().to_vec()),
        "--strict" => ev.print_ambiguous(ev.force_deep(value)?),
        "--nix-instantiate" => ev.print_ambiguous(value),
        _ => {
            let options = PrintOptions {
                force: true,
                derivation_paths: true,
                errors: PrintErrors::FailAtTop,
                ..PrintOptions::default()
            };
            ev.print(value, &options)
        }
    }
}
