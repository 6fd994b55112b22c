//! `nival completions`: completions for a shell, from the definition of the command line.

use clap::CommandFactory;

use crate::arguments::Nival;
use crate::output::Output;

pub(crate) fn run(output: Output, shell: clap_complete::Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Nival::command(), "nival", &mut script);
    output.data(script);
}
