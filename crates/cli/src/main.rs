//! The `nival` program: everything is in the library.

#[cfg(feature = "mimalloc")]
mod allocator;

use std::process::ExitCode;

/// Evaluation allocates much and from more than one thread, where glibc's allocator asks the kernel for each page.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: nival_eval::Wiping<allocator::Allocator> = nival_eval::Wiping(allocator::Allocator);

fn main() -> ExitCode {
    nival_cli::main_from_process()
}
