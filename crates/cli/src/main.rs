//! The `nival` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    nival_cli::main_from_process()
}
