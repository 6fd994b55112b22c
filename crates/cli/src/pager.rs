//! Long text for people: through a pager on a terminal, else as it is.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::world::World;

/// Shows text with `$NIX_PAGER`, `$PAGER` or `less`, if standard output is a terminal.
pub(crate) fn show(world: &World, text: &[u8]) {
    let context = &world.context;
    let pager = context.variable("NIX_PAGER").or_else(|| context.variable("PAGER"));
    if !context.output_terminal || pager == Some("cat") {
        world.output.data(text);
        return;
    }
    let mut command = Command::new("sh");
    command.args(["-c", pager.unwrap_or("less || more || cat")]).stdin(Stdio::piped());
    if context.variable("LESS").is_none() {
        command.env("LESS", "FRSXMK");
    }
    let Ok(mut child) = command.spawn() else {
        world.output.data(text);
        return;
    };
    if let Some(mut stdin) = child.stdin.take() {
        // A pager that was left early does not want the rest.
        let _ = stdin.write_all(text);
    }
    let _ = child.wait();
}
