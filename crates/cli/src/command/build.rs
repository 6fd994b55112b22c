//! `nival build`: derivations in, output paths out.

use std::sync::Arc;

use crate::arguments::BuildArguments;
use crate::error::Result;
use crate::world::World;
use crate::{building, evaluation};

pub(crate) fn run(world: &Arc<World>, arguments: &BuildArguments) -> Result {
    let targets = evaluation::derivations(world, arguments)?;
    if arguments.dry_run {
        return building::say_missing(world, &targets);
    }
    let outputs = building::realise(world, &targets)?;
    for (index, output) in outputs.iter().enumerate() {
        let path = world.store_dir().display(output);
        if !arguments.no_link {
            let mut link = arguments.out_link.clone();
            if index > 0 {
                link.as_mut_os_string().push(format!("-{index}"));
            }
            building::make_result_link(world, &link, std::path::Path::new(&path))?;
        }
        if arguments.print_out_paths || arguments.no_link {
            world.output.line(path);
        }
    }
    Ok(())
}
