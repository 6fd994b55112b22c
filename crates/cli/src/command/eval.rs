//! `nival eval`: the value of an expression.

use std::sync::Arc;

use crate::arguments::EvalArguments;
use crate::error::Result;
use crate::evaluation::{self, Show};
use crate::world::World;

pub(crate) fn run(world: &Arc<World>, arguments: &EvalArguments) -> Result {
    let show = match (arguments.raw, arguments.json) {
        (true, _) => Show::Raw,
        (_, true) => Show::Json,
        _ => Show::Value,
    };
    let text = evaluation::show(world, arguments, show)?;
    if show == Show::Raw {
        world.output.data(text);
    } else {
        world.output.line(text);
    }
    Ok(())
}
