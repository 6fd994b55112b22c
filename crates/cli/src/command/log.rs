//! `nival log`: what a builder printed.

use std::io::Read;

use crate::error::{CommandError, Result};
use crate::world::World;

pub(crate) fn run(world: &World, path: &str) -> Result {
    let store = world.store()?;
    let path = store.parse(path)?;
    let derivers = if path.is_derivation() {
        vec![path.clone()]
    } else {
        store.query_path_info(&path)?.deriver.into_iter().collect()
    };
    for derivation in &derivers {
        if let Some(mut log) = nival_build::log(&store.config().log_dir, derivation)? {
            let mut text = Vec::new();
            log.read_to_end(&mut text)?;
            world.output.data(text);
            return Ok(());
        }
    }
    Err(CommandError::failure(format!("there is no log of '{}'", store.display(&path)))
        .hint("only what was built on this machine has one, and `nival gc` deletes none of them"))
}
