//! Foreign texts for the built-in functions that read some: TOML, JSON and regular expressions. The first byte
//! chooses, a NUL ends a pattern.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nival_eval::memory_host::MemoryHost;
use nival_eval::{Evaluator, Settings};
use nival_syntax::Pos;

thread_local! {
    static EVALUATOR: Evaluator =
        Evaluator::new(Arc::new(MemoryHost::with_files([("/x", "")])), Settings::default());
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, text)) = data.split_first() else { return };
    let name = ["fromTOML", "fromJSON", "match", "split"][usize::from(kind) % 4];
    EVALUATOR.with(|evaluator| {
        let Ok(function) = evaluator.eval_str(&format!("builtins.{name}"), "/") else { return };
        let mut parts = text.splitn(2, |&byte| byte == 0);
        let mut arguments = vec![evaluator.string(parts.next().unwrap_or_default())];
        if name == "match" || name == "split" {
            arguments.push(evaluator.string(parts.next().unwrap_or_default()));
        }
        let _ = evaluator.call(function, &arguments, Pos::NONE);
    });
});
