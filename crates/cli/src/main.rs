//! The `nival` program: everything is in the library.

use std::process::ExitCode;

/// Evaluation allocates much and from more than one thread, where glibc's allocator asks the kernel for each page.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nival_cli::main_from_process()
}
